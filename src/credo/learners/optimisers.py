"""The optimisers of a learner's actor and critic."""

from __future__ import annotations

from typing import NamedTuple

import optax

from credo.config import DeterministicConfig, PPOConfig, SACConfig


class Optimisers(NamedTuple):
    actor: optax.GradientTransformation
    critic: optax.GradientTransformation


def optimisers(config: DeterministicConfig | SACConfig | PPOConfig) -> Optimisers:
    """Adam for each, at the learning rates of the settings."""
    return Optimisers(optax.adam(config.actor_learning_rate), optax.adam(config.critic_learning_rate))
