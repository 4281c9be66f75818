"""Refusal of settings that cannot work, one line each."""

from __future__ import annotations

from credo.config.limits import check_limits, refuse
from credo.config.run import RunConfig

SHORT_ROLLOUT = 256
"""Steps of a round below which a learner of rollouts is told that it has few."""


def validate(config: RunConfig) -> None:
    """Refuse what cannot work (CredoError naming field, value and what would be right)."""
    check_limits(config)
    check_limits(config.credo, "credo.")
    if config.adversarial:
        check_limits(config.discriminator, "discriminator.")
    check_limits(config.learner_config, f"{config.learner}.")
    _check_run(config)
    _check_credo(config)
    if config.learner == "td3" and config.updates_per_round % config.td3.actor_delay:
        right = f"a multiple of td3.actor_delay ({config.td3.actor_delay})"
        refuse("updates_per_round", config.updates_per_round, right)
    if config.learner == "ppo" and config.steps_per_round % config.ppo.minibatch_size:
        right = f"a divisor of steps_per_round ({config.steps_per_round})"
        refuse("ppo.minibatch_size", config.ppo.minibatch_size, right)


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


def _check_run(config: RunConfig) -> None:
    last_seed = config.first_seed + config.seeds - 1
    if last_seed >= 2**31:
        refuse("first_seed", config.first_seed, "so small that every seed is below 2**31, or two would share keys")
    one_round = f"at least one round of {config.steps_per_round} steps"
    if config.steps < config.steps_per_round:
        refuse("steps", config.steps, one_round)
    if config.keeps_replay and config.replay_capacity < config.steps_per_round:
        refuse("replay_capacity", config.replay_capacity, f"large enough for {one_round}")
    if config.steps_per_round % config.environments_per_seed:
        right = f"a divisor of steps_per_round ({config.steps_per_round})"
        refuse("environments_per_seed", config.environments_per_seed, right)


def _check_credo(config: RunConfig) -> None:
    # Also where the mode is off: the share of outliers is measured all the same.
    value, unit = config.credo.threshold, config.credo.threshold_unit
    if unit == "reward" and value <= 0:
        refuse("threshold", value, "above 0 as a reward (see --threshold-unit for the other units)")
    if unit == "probability" and not 0 < value < 1:
        refuse("threshold", value, "in (0, 1) as an expert probability")
