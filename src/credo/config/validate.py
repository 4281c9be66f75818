"""Refusal of settings that cannot work, one line each."""

from __future__ import annotations

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
    if config.environment_timeout is not None and not config.environment_workers:
        right = "left out, or --environment-workers 1 or more: only a process can be ended in the middle of a step"
        refuse("environment_timeout", config.environment_timeout, right)


def _check_credo(config: RunConfig) -> None:
    # Also where the mode is off: the share of outliers is measured all the same.
    value, unit = config.credo.threshold, config.credo.threshold_unit
    if unit == "reward" and value <= 0:
        refuse("threshold", value, "above 0 as a reward (see --threshold-unit for the other units)")
    if unit == "probability" and not 0 < value < 1:
        refuse("threshold", value, "in (0, 1) as an expert probability")
