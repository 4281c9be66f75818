"""Learners by name. A new learner is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from credo.config import RunConfig
from credo.learners.interface import Learner
from credo.learners.ppo import ppo
from credo.learners.sac import sac
from credo.learners.td3 import td3

LEARNERS: dict[str, Callable[..., Learner]] = {"td3": td3, "sac": sac, "ppo": ppo}
"""Name to a function of (the learner's settings, observation size, action size); one that eats rollouts also gets the
number of environments that a seed steps."""


def make_learner(config: RunConfig, observation_size: int, action_size: int) -> Learner:
    """The learner that ``config`` names, with its settings."""
    settings: tuple[Any, ...] = (config.learner_config, observation_size, action_size)
    if config.on_policy:
        settings = (*settings, config.environments_per_seed)
    return LEARNERS[config.learner](*settings)


__all__ = ["LEARNERS", "Learner", "make_learner"]
