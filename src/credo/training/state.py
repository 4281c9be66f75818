"""The state of one seed's training, as one pytree, and what it is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from credo.config import RunConfig
from credo.discriminator.model import Discriminator, make_discriminator
from credo.learners import Learner, make_learner
from credo.networks import Network
from credo.policies import Policy
from credo.random import Purpose, device_key
from credo.types import Array, Demonstrated, EnvironmentSpec

SPLIT_SEED = 0
"""Which episodes are held out is the same for every seed of every run."""


class TrainState(NamedTuple):
    """Everything compiled code carries from round to round, for one seed."""

    learner: Any
    discriminator: Any
    """DiscriminatorState; an empty tuple where the reward is the environment's."""


class Constants(NamedTuple):
    """What all seeds share and no round changes."""

    observation_mean: Array
    """[O] float32; zeros without normalisation."""
    observation_std: Array
    """[O] float32; ones without normalisation."""
    expert_inputs: Array
    """[n, D] float32: the demonstrations as the discriminator sees them, stays in the absorbing state included (n = 0
    without one)."""
    demonstrated: Demonstrated | None = None
    """[n, O] and [n, A]: the demonstrations as the actor sees them, for a learner that clones too; otherwise None."""

    def normalise(self, observation: Array) -> Array:
        """Observations as all networks see them; None stays None."""
        if observation is None:
            return None
        mean, std = (jnp.broadcast_to(x, observation.shape) for x in (self.observation_mean, self.observation_std))
        return (observation - mean) / std


class Parts(NamedTuple):
    """What a run is made of: its settings, its environment's description and its pure functions."""

    config: RunConfig
    spec: EnvironmentSpec
    learner: Learner
    discriminator: Discriminator | None


def make_parts(config: RunConfig, spec: EnvironmentSpec) -> Parts:
    learner = make_learner(config, spec.observation_size, spec.action_size)
    discriminator = None
    if config.adversarial:
        discriminator = make_discriminator(
            config.discriminator,
            config.credo,
            config.reward,
            spec.observation_size,
            spec.action_size,
            config.discount,
            learner.log_prob,
        )
    return Parts(config, spec, learner, discriminator)


def make_constants(
    parts: Parts,
    statistics: tuple[np.ndarray, np.ndarray] | None,
    observation: np.ndarray,
    action: np.ndarray,
    next_observation: np.ndarray | None = None,
    terminated: np.ndarray | None = None,
) -> Constants:
    """``statistics``: mean and standard deviation of observations, or None for no normalisation; ``observation``
    [n, O], ``action`` [n, A], ``next_observation`` [n, O] and ``terminated`` [n] are the demonstrations to train on (n
    may be 0; the last two may be None where the discriminator looks at neither)."""
    size = parts.spec.observation_size
    mean, std = statistics or (np.zeros(size, np.float32), np.ones(size, np.float32))

    def normalised(values: np.ndarray | None) -> Array:
        return None if values is None else jnp.asarray((values - mean) / std, jnp.float32)

    expert_inputs = jnp.zeros((0, size + parts.spec.action_size))
    if parts.discriminator is not None:
        layout = parts.discriminator.layout
        expert_inputs = layout.join(
            normalised(observation), jnp.asarray(action, jnp.float32), normalised(next_observation), terminated
        )
        if layout.absorbing and terminated is not None:
            stays = jnp.tile(layout.absorbed(), (int(np.sum(terminated)), 1))
            expert_inputs = jnp.concatenate([expert_inputs, stays])
    demonstrated = None
    if parts.config.cloning_weight > 0:
        demonstrated = Demonstrated(normalised(observation), jnp.asarray(action, jnp.float32))
    return Constants(jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32), expert_inputs, demonstrated)


def initial_state(parts: Parts, seed: int) -> TrainState:
    key = device_key(seed, Purpose.INITIALISE)
    learner_key, discriminator_key = jax.random.split(key)
    discriminator = parts.discriminator.init(discriminator_key) if parts.discriminator else ()
    return TrainState(parts.learner.init(learner_key), discriminator)


def policy_of(parts: Parts, constants: Constants, state: TrainState, metadata: dict[str, str]) -> Policy:
    """The deterministic policy as a NumPy callable, observation normalisation and action scaling inside."""
    learner = parts.learner
    first, *rivals = learner.choice(state.learner).actors if learner.choice else (learner.actor(state.learner),)
    critics = learner.choice(state.learner).critics if learner.choice else ()
    low, high = parts.spec.policy_bounds
    return Policy(
        layers=_in_numpy(first),
        rivals=tuple(_in_numpy(rival) for rival in rivals),
        critics=tuple(_in_numpy(critic) for critic in critics),
        activation=learner.activation,
        observation_mean=np.asarray(constants.observation_mean),
        observation_std=np.asarray(constants.observation_std),
        action_low=low,
        action_high=high,
        environment=parts.spec.name,
        metadata=metadata,
    )


def _in_numpy(network: Network) -> tuple[tuple[np.ndarray, ...], ...]:
    return tuple(tuple(np.asarray(array) for array in layer) for layer in network)
