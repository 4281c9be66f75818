"""How often TD3's actor moves: by its setting, whatever the default."""

import jax
import numpy as np
import pytest

from credo.config import TD3Config
from credo.learners.td3 import td3
from credo.types import Transition

UPDATES = 6


@pytest.mark.parametrize("delay", [1, 3])
def test_the_actor_moves_at_every_so_many_updates_of_the_critics(delay):
    """Adam counts its steps; targets move with the actor: with a rate of 1/2, by half of what is left each time."""
    learner = td3(TD3Config(hidden=(), actor_delay=delay, target_rate=0.5, critic_learning_rate=1e-12), 1, 1)
    state = learner.init(jax.random.key(0))
    start = np.asarray(state.critics[0][0].weight)
    state = state._replace(target_critics=jax.tree.map(lambda x: x + 1.0, state.critics))
    zeros = np.zeros((UPDATES, 2, 1), np.float32)
    batches = Transition(zeros, zeros, zeros[..., 0], zeros, np.ones((UPDATES, 2), bool))
    updated, _ = jax.jit(learner.update)(state, batches, jax.random.key(1))
    assert int(updated.critic_optimiser[0].count) == UPDATES
    assert int(updated.actor_optimiser[0].count) == UPDATES // delay
    away = np.asarray(updated.target_critics[0][0].weight) - start
    np.testing.assert_allclose(away, np.full_like(away, 0.5 ** (UPDATES // delay)), rtol=1e-4)
