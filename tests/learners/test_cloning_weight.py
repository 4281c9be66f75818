"""The cloning part of an actor's loss by hand: its unit is how large values are, whatever their signs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.learners.targets import cloning_loss
from credo.networks import Layer
from credo.types import Demonstrated


def loss(values, bias=0.0, weight=0.5):
    """Of an actor that does tanh(bias) everywhere; demonstrated are 1, and 0 beside it."""
    actor = (Layer(jnp.zeros((1, 2)), jnp.full(2, bias)),)
    pairs = Demonstrated(jnp.ones((3, 1)), jnp.tile(jnp.array([[1.0, 0.0]]), (3, 1)))
    return cloning_loss(actor, values, pairs, weight)


@pytest.mark.parametrize("values", [[4.0, 2.0], [-4.0, -2.0], [4.0, -2.0], [-6.0, 0.0]])
def test_values_of_both_signs_do_not_cancel(values):
    # The mean absolute value is 3, and the mean squared error of tanh(0) to 1 and to 0 is 1/2.
    assert float(loss(jnp.array(values))) == pytest.approx(0.5 * 3 * 0.5, rel=1e-6)
    assert float(loss(jnp.array(values), weight=0.25)) == pytest.approx(0.25 * 3 * 0.5, rel=1e-6)


def test_values_are_a_unit_and_no_way_to_a_smaller_loss():
    """The actor cannot lower its cloning loss by actions that are worth nothing."""
    np.testing.assert_array_equal(jax.grad(loss)(jnp.array([4.0, -2.0])), [0.0, 0.0])
    assert float(jax.grad(loss, argnums=1)(jnp.array([4.0, -2.0]), 0.0)) < 0
