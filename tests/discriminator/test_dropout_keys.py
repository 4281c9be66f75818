"""Random numbers of dropout: they are drawn for nothing else, and every layer has units of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import DiscriminatorConfig
from credo.discriminator.inputs import make_layout
from credo.discriminator.logits import AIRLNetwork, Dropped, airl_value, perceptron
from credo.discriminator.losses import Samples
from credo.discriminator.regularisers import REGULARISERS
from credo.networks import Layer

UNITS = 400


def layer(weight, bias):
    return Layer(jnp.asarray(weight, jnp.float32), jnp.asarray(bias, jnp.float32))


def test_what_dropout_hands_on_is_not_the_key_of_its_units():
    """Behind it another regulariser would draw the very numbers by which units are left out."""
    seen = []

    def watched(network, expert, policy, key):
        seen.append((network, key))
        return jnp.zeros(())

    side, key = Samples(jnp.zeros((2, 1))), jax.random.key(3)
    REGULARISERS["dropout"].loss(watched, None, DiscriminatorConfig())(jnp.float32(1.0), side, side, key)
    ((network, handed_on),) = seen
    assert isinstance(network, Dropped)
    assert len({jax.random.key_data(each).tobytes() for each in (network.key, handed_on, key)}) == 3


def test_layers_of_one_width_leave_out_units_of_their_own():
    # Units of 1 pass through an identity: a quarter is kept by both layers, at 4. The same units twice: half, at 4.
    eye = layer(np.eye(UNITS), np.zeros(UNITS))
    network = (layer(np.zeros((1, UNITS)), np.ones(UNITS)), eye, layer(np.full((UNITS, 1), 1 / UNITS), np.zeros(1)))
    found = perceptron(network, jnp.zeros((50, 1)), DiscriminatorConfig(dropout=0.5), jax.random.key(0))
    assert float(found.mean()) == pytest.approx(1.0, abs=0.1)


def test_each_of_airls_three_terms_leaves_out_units_of_its_own():
    """With s' = s and no discount h(s') - h(s) would be 0 of the same units, and g - h of the same network."""
    config = DiscriminatorConfig(kind="airl-state", dropout=0.5, hidden=(UNITS,))
    layout = make_layout(config, 1, 1)
    constant = (layer(np.zeros((1, UNITS)), np.ones(UNITS)), layer(np.full((UNITS, 1), 1 / UNITS), np.zeros(1)))
    nothing = jax.tree.map(jnp.zeros_like, constant)
    zeros = jnp.zeros((50, 1))

    def spread(reward, terminated):
        network = Dropped(AIRLNetwork(reward, constant), jax.random.key(1))
        inputs = layout.join(zeros, zeros, zeros, jnp.full(50, terminated))
        return float(jnp.std(airl_value(network, inputs, config, layout, 1.0)))

    # A mean of 400 units, each 0 or 2, deviates by 1 / 20; a difference of two by the root of 2 times it.
    expected = np.sqrt(2 / UNITS)
    assert spread(nothing, False) == pytest.approx(expected, rel=0.35), "h(s') and h(s)"
    assert spread(constant, True) == pytest.approx(expected, rel=0.35), "g(s) and h(s)"
