"""Refusal of settings that cannot work, one line each."""

from __future__ import annotations

import dataclasses
import typing

from credo.config.discriminator import needs_density
from credo.config.learners import DeterministicConfig, PPOConfig, SD3Config, TD3Config
from credo.config.limits import check_limits, refuse
from credo.config.names import REGISTERED, plain_name
from credo.config.own import LEARNER_SETTINGS, check_settings
from credo.config.run import LearnerName, RunConfig
from credo.random import EVALUATION_SEED
from credo.types import CredoError


def rises(reward: str) -> bool:
    """Whether a reward rises with the logit."""
    registered = REGISTERED["reward"].get(plain_name(reward))
    return reward != "fairl" if registered is None else registered.rising


SHORT_ROLLOUT = 256
"""Steps of a round below which a learner of rollouts is told that it has few."""


def validate(config: RunConfig) -> None:
    """Refuse what cannot work (CredoError naming field, value and what would be right)."""
    check_limits(config)
    check_limits(config.credo)
    if config.adversarial:
        check_limits(config.discriminator, "discriminator.")
    _check_learner(config)
    for name, settings in config.plugin_settings.items():
        check_settings(settings, f"{name.replace('.', ' ', 1)}: ")
    _check_run(config)
    _check_credo(config)
    if config.adversarial:
        check_discriminator(config)
    if config.warm_start == "bc":
        check_limits(config.bc, "bc.")
    if config.needs_clone:
        _check_clone(config)


def other_learners_settings(config: RunConfig, default: RunConfig) -> str | None:
    """One line on settings that were given and belong to a learner that is not used; None where there are none."""
    given = [
        f"{learner}.{setting.name}"
        for learner in typing.get_args(LearnerName)
        if learner not in (config.learner, config.warm_start)
        for setting in dataclasses.fields(getattr(config, learner))
        if getattr(getattr(config, learner), setting.name) != getattr(getattr(default, learner), setting.name)
    ]
    own = "; it has --learner-settings NAME=VALUE" if config.learner in REGISTERED["learner"] else ""
    return f"{', '.join(given)}: not used with learner {config.learner}{own}" if given else None


def late_notes(config: RunConfig) -> list[str]:
    """One line each on what would only begin after the run's last step, or would not be done at all."""
    if config.clones:
        default = RunConfig().steps
        unused = f"steps: {config.steps:,} are not used: a clone stops by its held-out loss (--bc.epochs at most)"
        return [] if config.steps == default else [unused]
    lines, done = [], config.rounds * config.steps_per_round
    if done < 0.95 * config.steps:
        lines.append(f"steps: {config.steps:,} are no whole rounds of {config.steps_per_round:,}; {done:,} are trained")
    if config.on_policy:
        return lines
    if config.updates_per_round == 0 or config.learning_starts > done:
        setting = f"learning_starts: {config.learning_starts:,} of {config.steps:,} steps"
        lines.append(f"{'updates_per_round: 0' if config.updates_per_round == 0 else setting}: nothing is learned")
    if config.random_steps >= config.steps:
        lines.append(f"random_steps: {config.random_steps:,} of {config.steps:,} steps: every action is a random one")
    return lines


def on_policy_notes(config: RunConfig) -> list[str]:
    """One line each on settings that do nothing, or little good, with a learner of the round's steps alone."""
    if not config.on_policy:
        return []
    lines, default = [], RunConfig()
    changed = [name for name in config.unused if getattr(config, name) != getattr(default, name)]
    if changed:
        lines.append(f"learner {config.learner} learns from each round's steps alone: {', '.join(changed)} unused")
    if config.steps_per_round < SHORT_ROLLOUT:
        steps = f"the {config.steps_per_round} steps of a round"
        lines.append(f"learner {config.learner} learns from {steps} alone; --steps-per-round of 1024 or more is usual")
    return lines


def _check_learner(config: RunConfig) -> None:
    settings, prefix = config.learner_config, f"{config.learner}."
    if config.learner in REGISTERED["learner"]:
        prefix = f"{LEARNER_SETTINGS}."
        check_settings(settings, prefix)
    elif config.learner_settings:
        right = f"left out: learner {config.learner} has settings of its own ({config.learner}.NAME)"
        refuse(LEARNER_SETTINGS, " ".join(config.learner_settings), right)
    else:
        check_limits(settings, prefix)
    # A plug-in's may be one of these, too.
    if isinstance(settings, TD3Config) and config.updates_per_round % settings.actor_delay:
        right = f"a multiple of {prefix}actor_delay ({settings.actor_delay})"
        refuse("updates_per_round", config.updates_per_round, right)
    if isinstance(settings, SD3Config):
        _check_noise(settings, prefix)
    if isinstance(settings, PPOConfig):
        if config.steps_per_round % settings.minibatch_size:
            right = f"a divisor of steps_per_round ({config.steps_per_round})"
            refuse(f"{prefix}minibatch_size", settings.minibatch_size, right)
        if settings.minibatch_size == 1 and settings.normalise_advantages:
            right = f"2 or more with {prefix}normalise_advantages, which takes a lone advantage to 0"
            refuse(f"{prefix}minibatch_size", 1, right)


def _check_run(config: RunConfig) -> None:
    last_seed = config.first_seed + config.seeds - 1
    if last_seed >= 2**31:
        refuse("first_seed", config.first_seed, "so small that every seed is below 2**31, or two would share keys")
    if config.first_seed <= EVALUATION_SEED <= last_seed:
        right = f"such that no seed is {EVALUATION_SEED:,}, from whose initial states finished policies are played"
        refuse("first_seed", config.first_seed, right)
    one_round = f"at least one round of {config.steps_per_round} steps"
    if config.steps < config.steps_per_round:
        refuse("steps", config.steps, one_round)
    if config.keeps_replay and config.replay_capacity < config.steps_per_round:
        refuse("replay_capacity", config.replay_capacity, f"large enough for {one_round}")
    if config.steps_per_round % config.environments_per_seed:
        right = f"a divisor of steps_per_round ({config.steps_per_round})"
        refuse("environments_per_seed", config.environments_per_seed, right)
    if config.seed_replay is not None and not config.keeps_replay:
        refuse("seed_replay", config.seed_replay, f"left out: learner {config.learner} learns from no replay here")
    if config.environment_timeout is not None and not config.environment_workers:
        right = "left out, or --environment-workers 1 or more: only a process can be ended in the middle of a step"
        refuse("environment_timeout", config.environment_timeout, right)


def _check_clone(config: RunConfig) -> None:
    name = "learner" if config.clones else "warm_start"
    if not config.imitates:
        refuse(name, "bc", "another one with reward environment, which comes without demonstrations to clone")
    if config.held_out == 0:
        refuse("held_out", config.held_out, f"above 0 with {name} bc, which stops by held-out episodes")
    if config.learner == config.warm_start:
        refuse("warm_start", "bc", "none with learner bc, which is a clone already")


def _check_noise(settings: SD3Config, prefix: str) -> None:
    name, samples = f"{prefix}noise_samples", settings.noise_samples
    if settings.noise == "antithetic" and samples % 2:
        refuse(name, samples, "even with antithetic noise, whose samples come in pairs")
    if settings.noise == "sobol" and samples < 2:
        refuse(name, samples, "at least 2 with sobol noise; one sample is independent")


def check_discriminator(config: RunConfig) -> None:
    """What a discriminator cannot do with this learner, reward or each other of its settings."""
    settings = config.discriminator
    names = [plain_name(text) for text in settings.regularisers]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        refuse("discriminator.regularisers", settings.regularisers, f"a list that has {min(twice)} once")
    relabelling = sorted({"mixup", "label-smoothing"} & set(settings.regularisers))
    if relabelling and "positive-unlabelled" in settings.regularisers:
        right = f"without {relabelling[0]} beside positive-unlabelled: both say what the labels are"
        refuse("discriminator.regularisers", settings.regularisers, right)
    if settings.kind != "gail":
        # Credo's own: a plug-in with such settings may draw its actions all the same.
        if isinstance(vars(config).get(config.learner), DeterministicConfig):
            raise CredoError(needs_density(settings.kind))
        if settings.absorbing_states:
            right = "off with AIRL: a policy has no density in the absorbing state"
            refuse("discriminator.absorbing_states", settings.absorbing_states, right)
    if not rises(config.reward) and config.credo.mode != "off":
        _check_not_rising(config)


def _check_not_rising(config: RunConfig) -> None:
    mode, unit = config.credo.mode, config.credo.threshold_unit
    own = plain_name(config.reward) in REGISTERED["reward"]
    why = "is registered without inverse=" if own else "does not rise with the logit"
    if mode in ("filter", "both") and unit == "reward":
        right = f"probability or logit with reward {config.reward}, which {why}; or --credo off"
        refuse("threshold_unit", unit, right)
    if mode in ("clip", "both") and unit != "reward":
        right = f"reward, or --credo filter, with reward {config.reward}, which {why}"
        refuse("threshold_unit", unit, right)


def check_action_free(config: RunConfig) -> None:
    """Refuse (CredoError) a discriminator that looks at actions, for demonstrations that have none."""
    settings = config.discriminator
    if config.needs_clone:
        name = "learner" if config.clones else "warm_start"
        refuse(name, "bc", "something else: the demonstrations have no actions to clone")
    if config.cloning_weight > 0:
        right = "0: the demonstrations have no actions to clone"
        refuse(f"{config.learner}.cloning_weight", config.cloning_weight, right)
    if settings.kind != "gail":
        refuse("discriminator.kind", settings.kind, "gail: the demonstrations have no actions")
    if settings.inputs not in ("s", "ss"):
        refuse("discriminator.inputs", settings.inputs, "s or ss: the demonstrations have no actions")


def _check_credo(config: RunConfig) -> None:
    # Also where the mode is off: the share of outliers is measured all the same.
    value, unit = config.credo.threshold, config.credo.threshold_unit
    if unit == "reward" and value <= 0:
        refuse("threshold", value, "above 0 as a reward (see --threshold-unit for the other units)")
    if unit == "probability" and not 0 < value < 1:
        refuse("threshold", value, "in (0, 1) as an expert probability")
