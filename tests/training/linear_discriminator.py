"""A discriminator whose logit is known by hand, and three transitions for it."""

import jax
import jax.numpy as jnp
import numpy as np

from credo.types import EnvironmentSpec, Transition
from training.training_runs import SMALL, changed

SPEC = EnvironmentSpec("probe", 1, 1, -np.ones(1, np.float32), np.ones(1, np.float32), 5)


def settings(**changes):
    return changed(
        environment="probe",
        reward="cr",
        credo=changed(SMALL.credo, mode="off"),
        discriminator=changed(SMALL.discriminator, **changes),
    )


def linear(parts, *weights):
    """The state of a discriminator whose logit is linear in what it sees: behind two rectifiers, x and -x."""
    size = parts.discriminator.layout.size
    state = parts.discriminator.init(jax.random.key(0))
    weight = np.zeros((size, 8), np.float32)
    weight[:, 0], weight[:, 1] = weights, -np.asarray(weights)
    first = state.network[0]._replace(weight=jnp.asarray(weight), bias=jnp.zeros(8))
    last = state.network[1]._replace(weight=jnp.array([[1.0], [-1.0], *[[0.0]] * 6]), bias=jnp.zeros(1))
    return state._replace(network=(first, last))


BATCH = Transition(
    observation=jnp.array([[1.0], [2.0], [3.0]]),
    action=jnp.array([[0.5], [0.5], [0.5]]),
    reward=jnp.zeros(3),
    next_observation=jnp.array([[2.0], [3.0], [4.0]]),
    terminated=jnp.array([False, False, True]),
)
