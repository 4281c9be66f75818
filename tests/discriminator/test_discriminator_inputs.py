"""What a discriminator's input holds, entry by entry, on a hand-built episode."""

import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import DiscriminatorConfig
from credo.discriminator.inputs import make_layout

OBSERVATION = jnp.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]])
ACTION = jnp.array([[0.5], [-0.5], [0.7]])
NEXT = jnp.array([[3.0, 4.0], [5.0, 6.0], [8.0, 8.0]])
TERMINATED = jnp.array([False, True, False])
ABSORBING = jnp.array([False, False, True])
"""A step, a last step, and a stay in the absorbing state, whose own entries must not show."""

PLAIN = {
    "s": [[1, 2], [3, 4]],
    "sa": [[1, 2, 0.5], [3, 4, -0.5]],
    "ss": [[1, 2, 3, 4], [3, 4, 5, 6]],
    "sas": [[1, 2, 0.5, 3, 4], [3, 4, -0.5, 5, 6]],
}
WITH_ABSORBING = {
    "s": [[1, 2, 0], [3, 4, 0], [0, 0, 1]],
    "sa": [[1, 2, 0, 0.5], [3, 4, 0, -0.5], [0, 0, 1, 0]],
    "ss": [[1, 2, 0, 3, 4, 0], [3, 4, 0, 0, 0, 1], [0, 0, 1, 0, 0, 1]],
    "sas": [[1, 2, 0, 0.5, 3, 4, 0], [3, 4, 0, -0.5, 0, 0, 1], [0, 0, 1, 0, 0, 0, 1]],
}


def layout(**changes):
    return make_layout(DiscriminatorConfig(**changes), 2, 1)


@pytest.mark.parametrize("inputs", PLAIN)
def test_entries(inputs):
    found = layout(inputs=inputs).join(OBSERVATION[:2], ACTION[:2], NEXT[:2], TERMINATED[:2])
    np.testing.assert_allclose(found, PLAIN[inputs])
    assert layout(inputs=inputs).size == found.shape[1]


@pytest.mark.parametrize("inputs", WITH_ABSORBING)
def test_entries_with_absorbing_states(inputs):
    made = layout(inputs=inputs, absorbing_states=True)
    found = made.join(OBSERVATION, ACTION, NEXT, TERMINATED, ABSORBING)
    np.testing.assert_allclose(found, WITH_ABSORBING[inputs])
    np.testing.assert_allclose(made.absorbed(), WITH_ABSORBING[inputs][2])
    assert made.size == found.shape[1]


def test_what_the_layout_does_not_hold_may_be_left_out():
    np.testing.assert_allclose(layout().join(OBSERVATION, ACTION), np.concatenate([OBSERVATION, ACTION], axis=1))
    np.testing.assert_allclose(layout(inputs="s").join(OBSERVATION, ACTION), OBSERVATION)


@pytest.mark.parametrize("kind", ["airl-state", "airl-state-action"])
def test_airl_sees_whole_transitions_and_whether_they_go_on(kind):
    found = layout(kind=kind, inputs="s").join(OBSERVATION[:2], ACTION[:2], NEXT[:2], TERMINATED[:2])
    np.testing.assert_allclose(found, [[1, 2, 0.5, 3, 4, 1], [3, 4, -0.5, 5, 6, 0]])
