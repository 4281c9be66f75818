"""Learners by name. A new learner is one file and one line here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from credo.config import BCConfig, RunConfig, SACConfig, SD3Config, TD3Config
from credo.learners.ddpg import ddpg
from credo.learners.interface import Learner
from credo.learners.sac import sac
from credo.learners.sd3 import beta_of, sd3
from credo.learners.td3 import td3

LEARNERS: dict[str, Callable[[Any, int, int], Learner]] = {"ddpg": ddpg, "td3": td3, "sd3": sd3, "sac": sac}
"""Name to a function of (the learner's settings, observation size, action size)."""


def make_learner(config: RunConfig, observation_size: int, action_size: int) -> Learner:
    """The learner that ``config`` names, with its settings and what the environment's name settles of them."""
    if config.learner == "bc":
        return _cloned(config.bc, observation_size, action_size)
    settings = config.learner_config
    if isinstance(settings, SD3Config) and settings.beta is None:
        settings = dataclasses.replace(settings, beta=beta_of(config.environment))
    return LEARNERS[config.learner](settings, observation_size, action_size)


def _cloned(settings: BCConfig, observation_size: int, action_size: int) -> Learner:
    """A learner whose actor is of the kind to be cloned: TD3's, or SAC's for its likelihood; it never updates."""
    if settings.loss == "likelihood":
        return sac(SACConfig(hidden=settings.hidden), observation_size, action_size)
    return td3(TD3Config(hidden=settings.hidden), observation_size, action_size)


__all__ = ["LEARNERS", "Learner", "make_learner"]
