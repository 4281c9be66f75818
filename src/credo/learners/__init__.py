"""Learners by name. A new learner is one file and one line here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from credo.config import BCConfig, RunConfig, SACConfig, SD3Config, TD3Config
from credo.learners.ddpg import ddpg
from credo.learners.interface import Learner
from credo.learners.ppo import ppo
from credo.learners.sac import sac
from credo.learners.sd3 import beta_of, sd3
from credo.learners.td3 import td3
from credo.types import CredoError

LEARNERS: dict[str, Callable[..., Learner]] = {"ddpg": ddpg, "td3": td3, "sd3": sd3, "sac": sac, "ppo": ppo}
"""Name to a function of (the learner's settings, observation size, action size); one that learns from rollouts also
gets the number of environments that a seed steps."""


def make_learner(config: RunConfig, observation_size: int, action_size: int) -> Learner:
    """The learner that ``config`` names, with its settings and what the environment's name settles of them."""
    if config.clones:
        return _cloned(config.bc, observation_size, action_size)
    settings = config.learner_config
    if isinstance(settings, SD3Config) and settings.beta is None:
        settings = dataclasses.replace(settings, beta=beta_of(config.environment))
    lanes = (config.environments_per_seed,) if config.on_policy else ()
    learner = LEARNERS[config.learner](settings, observation_size, action_size, *lanes)
    _check(config, learner)
    return learner


def _check(config: RunConfig, learner: Learner) -> None:
    """Refuse (CredoError) a plug-in's learner that is not what it was registered as."""
    experience = "rollout" if config.on_policy else "replay"
    if learner.experience != experience:
        raise CredoError(
            f"learner {config.learner}: registered with experience {experience!r}, but learns from "
            f"{learner.experience!r}; register it with that"
        )
    if config.on_policy and learner.deviation is None:
        raise CredoError(f"learner {config.learner}: has no deviation, by which a learner of rollouts acts")
    if config.warm_start == "bc" and learner.cloning is None:
        raise CredoError(f"warm_start: 'bc' is not possible; it must be none with learner {config.learner}")


def _cloned(settings: BCConfig, observation_size: int, action_size: int) -> Learner:
    """A learner whose actor is of the kind to be cloned: TD3's, or SAC's for its likelihood; it never updates."""
    if settings.loss == "likelihood":
        return sac(SACConfig(hidden=settings.hidden), observation_size, action_size)
    return td3(TD3Config(hidden=settings.hidden), observation_size, action_size)


__all__ = ["LEARNERS", "Learner", "make_learner"]
