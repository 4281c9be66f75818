"""Acting beside the environments reads a part of the learner's state, and says what the learner says."""

import jax
import numpy as np
import pytest

from credo.training.acting import actor_beside, learner_act
from credo.training.state import initial_state, make_constants, make_parts
from credo.types import EnvironmentSpec
from training.training_runs import changed

SPEC = EnvironmentSpec("Pendulum-v1", 3, 1, np.array([-2.0], np.float32), np.array([2.0], np.float32), 200)
LANES, SEEDS, INDEX = 2, 3, 5
NETWORK = 4
"""Arrays of a network with one hidden layer."""
READ = {"ddpg": NETWORK, "td3": NETWORK, "sac": NETWORK, "sd3": 4 * NETWORK}
"""SD3 chooses between two actors by two critics; targets and optimisers act for none."""


@pytest.mark.parametrize("learner", READ)
def test_what_crosses_is_what_acts_and_it_acts_the_same(learner):
    generator = np.random.default_rng(0)
    parts = make_parts(changed(learner=learner, environments_per_seed=LANES), SPEC)
    statistics = generator.normal(size=3).astype(np.float32), np.array([0.5, 1, 2], np.float32)
    constants = make_constants(parts, statistics, np.zeros((5, 3)), np.zeros((5, 1)))
    states = [initial_state(parts, seed).learner for seed in range(SEEDS)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    beside = actor_beside(parts, constants, stacked, jax.devices("cpu")[0])
    fetched = beside.fetch(stacked)
    assert len(fetched) == READ[learner]
    observations = generator.normal(size=(SEEDS, LANES, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(1), SEEDS)
    together = beside.act(fetched, observations, keys, INDEX)
    assert together.shape == (SEEDS, LANES, 1)
    alone = [learner_act(parts)(states[i], constants, observations[i], keys[i], INDEX) for i in range(SEEDS)]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    later = beside.act(fetched, observations, keys, INDEX + 1)
    assert np.abs(later - together).max() > 1e-3  # the noise of another step
