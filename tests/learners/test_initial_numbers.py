"""Networks at the beginning: every array has numbers of its own."""

import jax
import numpy as np

from credo import networks
from credo.config import SD3Config
from credo.learners.sd3 import sd3


def test_weights_and_biases_are_drawn_apart():
    first, _ = networks.initialise(jax.random.key(0), (1, 50, 1))
    assert not np.any(np.ravel(first.weight) == first.bias)


def test_sd3s_actors_and_critics_begin_apart():
    """Of one observation and one action whose critics' first layer is as wide as two actors' last."""
    state = sd3(SD3Config(hidden=(), noise_samples=2), 3, 4).init(jax.random.key(0))
    drawn = [np.ravel(layer.weight)[:7] for network in (*state.actors, *state.critics) for layer in network]
    scaled = {(row / np.abs(row).max()).round(4).tobytes() for row in drawn}
    assert len(scaled) == len(drawn)
