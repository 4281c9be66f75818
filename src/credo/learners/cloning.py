"""Behavioural cloning (Pomerleau 1991): the losses under which an actor becomes a clone of demonstrations, and which
part of a learner's state that is. Training on them is in ``credo.training.clone``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from credo import networks
from credo.networks import Network
from credo.types import Array

LARGEST_ACTION = 1.0 - 1e-4
"""Actions are taken for this in absolute value at most where tanh is inverted, which is infinite at 1."""


class Cloning(NamedTuple):
    """How a learner's actor is cloned.

    get: state -> the network to train.
    put: (state, network) -> the state with that network for every actor and target actor.
    loss: (network, observation [B, O], action [B, A]) -> scalar.
    """

    get: Callable[[Any], Network]
    put: Callable[[Any, Network], Any]
    loss: Callable[[Network, Array, Array], Array]


def squared_error(actor: Network, observation: Array, action: Array, activation: str = "relu") -> Array:
    """Mean squared difference to the demonstrated actions, over samples and dimensions, of an actor's tanh."""
    return jnp.mean(jnp.square(jnp.tanh(networks.apply(actor, observation, activation)) - action))


def negative_log_likelihood(mean: Array, log_std: Array, action: Array) -> Array:
    """Of demonstrated actions [B, A] under a Gaussian squashed by tanh (scalar: mean over samples of the sum over
    dimensions), without what does not depend on the Gaussian: constants, and the slope of tanh."""
    raw = jnp.arctanh(jnp.clip(action, -LARGEST_ACTION, LARGEST_ACTION))
    return jnp.mean(jnp.sum(0.5 * jnp.square((raw - mean) * jnp.exp(-log_std)) + log_std, axis=-1))
