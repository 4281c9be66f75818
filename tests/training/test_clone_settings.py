"""What of behavioural cloning no outcome shows: its learning rate, its bounds, and what its networks are shown."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import BCConfig, TD3Config
from credo.demonstrations import from_episodes
from credo.environments import Episode
from credo.learners.cloning import negative_log_likelihood
from credo.learners.td3 import td3
from credo.training.clone import Data, make_cloner, make_data
from credo.training.state import make_constants, make_parts
from training.linear_discriminator import SPEC, settings


@pytest.mark.parametrize("rate", [1e-2, 3e-2])
def test_the_first_step_of_a_clone_is_as_long_as_its_learning_rate(rate):
    """Adam's is, in every weight with a gradient that is not next to 0."""
    learner = td3(TD3Config(hidden=()), 2, 1)
    rows = np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)
    data = Data(*(jnp.asarray(x) for x in (rows, np.ones((8, 1), np.float32)) * 2))
    start = learner.init(jax.random.key(0)).actor
    settings = BCConfig(batch_size=8, epochs=1, learning_rate=rate)
    found = make_cloner(learner.cloning, settings, data)(start, 0, lambda epoch: None)
    moved = np.abs(np.asarray(found.network[0].bias) - np.asarray(start[0].bias))
    np.testing.assert_allclose(moved, np.full_like(moved, rate), rtol=1e-3)


def test_actions_near_their_bounds_are_cloned_as_they_are():
    # atanh(0.999) = 3.8002011: the likelihood is highest with the mean there, 0 but for constants; 1 is 0.9999.
    mean = jnp.full((1, 1), 3.8002011)
    found = negative_log_likelihood(mean, jnp.zeros((1, 1)), jnp.full((1, 1), 0.999))
    assert float(found) == pytest.approx(0.0, abs=1e-5)
    # atanh(0.9999) = 4.9517188.
    found = negative_log_likelihood(jnp.zeros((2, 1)), jnp.zeros((2, 1)), jnp.array([[1.0], [-1.0]]))
    assert float(found) == pytest.approx(0.5 * 4.9517188**2, rel=1e-3)


def test_a_clone_is_shown_what_its_policy_will_be_shown():
    """Observations less 0.5, by 2; actions as they are; in what is trained on and in what is held out."""
    parts = make_parts(dataclasses.replace(settings(), held_out=0.5), SPEC)
    half = np.full(1, 0.5, np.float32), np.full(1, 2.0, np.float32)
    constants = make_constants(parts, half, np.zeros((9, 1), np.float32), np.zeros((9, 1), np.float32))

    def counting(start):
        numbers = start + np.arange(5, dtype=np.float32)[:, None]
        return Episode(numbers, numbers[:4] / 100, np.ones(4, np.float32), False, True, None)

    data = make_data(parts, constants, from_episodes([counting(start) for start in (0, 10, 20, 30)], "probe"))
    assert len(data.action) + len(data.held_action) == 16
    for observation, action in ((data.observation, data.action), (data.held_observation, data.held_action)):
        assert len(action) > 0
        np.testing.assert_allclose(observation, (100 * action - 0.5) / 2, rtol=1e-4)
