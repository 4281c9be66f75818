"""Gymnasium environments as the learners see them: float32 vectors, actions in [-1, 1], no autoreset."""

from credo.environments.batch import EnvironmentBatch, EpisodeSummary, Step
from credo.environments.construct import environment_spec, make_environment, specification
from credo.environments.errors import (
    EnvironmentFaultError,
    HungEnvironmentError,
    LostEnvironmentError,
    NonFiniteActionError,
    NonFiniteEnvironmentError,
)
from credo.environments.lane import told_success
from credo.environments.rollout import Episode, EpisodeRunner, rollout_episodes
from credo.environments.source import EnvironmentSource, as_view, source_name, viewed
from credo.environments.workers import Workers

__all__ = [
    "EnvironmentBatch",
    "EnvironmentFaultError",
    "EnvironmentSource",
    "Episode",
    "EpisodeRunner",
    "EpisodeSummary",
    "HungEnvironmentError",
    "LostEnvironmentError",
    "NonFiniteActionError",
    "NonFiniteEnvironmentError",
    "Step",
    "Workers",
    "as_view",
    "environment_spec",
    "make_environment",
    "rollout_episodes",
    "source_name",
    "specification",
    "told_success",
    "viewed",
]
