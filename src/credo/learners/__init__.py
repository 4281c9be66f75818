"""Learners by name. A new learner is one file and one line here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from credo.config import RunConfig, SD3Config
from credo.learners.ddpg import ddpg
from credo.learners.interface import Learner
from credo.learners.ppo import ppo
from credo.learners.sac import sac
from credo.learners.sd3 import beta_of, sd3
from credo.learners.td3 import td3

LEARNERS: dict[str, Callable[..., Learner]] = {"ddpg": ddpg, "td3": td3, "sd3": sd3, "sac": sac, "ppo": ppo}
"""Name to a function of (the learner's settings, observation size, action size); one that eats rollouts also gets the
number of environments that a seed steps."""


def make_learner(config: RunConfig, observation_size: int, action_size: int) -> Learner:
    """The learner that ``config`` names, with its settings and what the environment's name settles of them."""
    settings = config.learner_config
    if isinstance(settings, SD3Config) and settings.beta is None:
        settings = dataclasses.replace(settings, beta=beta_of(config.environment))
    lanes = (config.environments_per_seed,) if config.on_policy else ()
    return LEARNERS[config.learner](settings, observation_size, action_size, *lanes)


__all__ = ["LEARNERS", "Learner", "make_learner"]
