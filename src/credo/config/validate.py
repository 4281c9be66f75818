"""Refusal of settings that cannot work, one line each."""

from __future__ import annotations

from credo.config.learners import SD3Config
from credo.config.limits import check_limits, refuse
from credo.config.run import RunConfig


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
    if config.warm_start == "bc":
        check_limits(config.bc, "bc.")
    if "bc" in (config.learner, config.warm_start):
        _check_clone(config)
    if config.learner == "sd3":
        _check_noise(config.sd3)


def _check_run(config: RunConfig) -> None:
    last_seed = config.first_seed + config.seeds - 1
    if last_seed >= 2**31:
        refuse("first_seed", config.first_seed, "so small that every seed is below 2**31, or two would share keys")
    one_round = f"at least one round of {config.steps_per_round} steps"
    if config.steps < config.steps_per_round:
        refuse("steps", config.steps, one_round)
    if config.replay_capacity < config.steps_per_round:
        refuse("replay_capacity", config.replay_capacity, f"large enough for {one_round}")
    if config.steps_per_round % config.environments_per_seed:
        right = f"a divisor of steps_per_round ({config.steps_per_round})"
        refuse("environments_per_seed", config.environments_per_seed, right)


def _check_clone(config: RunConfig) -> None:
    name = "learner" if config.learner == "bc" else "warm_start"
    if not config.imitates:
        refuse(name, "bc", "another one with reward environment, which comes without demonstrations to clone")
    if config.held_out == 0:
        refuse("held_out", config.held_out, f"above 0 with {name} bc, which stops by held-out episodes")
    if config.learner == config.warm_start:
        refuse("warm_start", "bc", "none with learner bc, which is a clone already")


def _check_noise(settings: SD3Config) -> None:
    if settings.noise == "antithetic" and settings.noise_samples % 2:
        refuse("sd3.noise_samples", settings.noise_samples, "even with antithetic noise, whose samples come in pairs")
    if settings.noise == "sobol" and settings.noise_samples < 2:
        refuse("sd3.noise_samples", settings.noise_samples, "at least 2 with sobol noise; one sample is independent")


def _check_credo(config: RunConfig) -> None:
    # Also where the mode is off: the share of outliers is measured all the same.
    value, unit = config.credo.threshold, config.credo.threshold_unit
    if unit == "reward" and value <= 0:
        refuse("threshold", value, "above 0 as a reward (see --threshold-unit for the other units)")
    if unit == "probability" and not 0 < value < 1:
        refuse("threshold", value, "in (0, 1) as an expert probability")
