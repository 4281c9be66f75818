"""Gymnasium environments as the learners see them: float32 vectors, actions in [-1, 1], no autoreset."""

from credo.environments.batch import EnvironmentBatch, EpisodeSummary, Step
from credo.environments.construct import EnvironmentSource, environment_spec, make_environment, source_name
from credo.environments.errors import NonFiniteActionError, NonFiniteEnvironmentError
from credo.environments.rollout import Episode, EpisodeRunner, Policy, rollout_episodes

__all__ = [
    "EnvironmentBatch",
    "EnvironmentSource",
    "Episode",
    "EpisodeRunner",
    "EpisodeSummary",
    "NonFiniteActionError",
    "NonFiniteEnvironmentError",
    "Policy",
    "Step",
    "environment_spec",
    "make_environment",
    "rollout_episodes",
    "source_name",
]
