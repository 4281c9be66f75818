"""The actors that learn are those that play, and not the targets that follow them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import DDPGConfig, SD3Config, TD3Config
from credo.learners import LEARNERS

SETTINGS = {
    "ddpg": DDPGConfig(hidden=(), exploration_noise=0.0),
    "td3": TD3Config(hidden=(), exploration_noise=0.0),
    "sd3": SD3Config(hidden=(), exploration_noise=0.0, noise_samples=2),
}
TARGETS = ("target_actor", "target_actors", "target_critics")


def made(name):
    learner = LEARNERS[name](SETTINGS[name], 3, 2)
    return learner, learner.init(jax.random.key(0))


def others(state):
    """The same, but for its targets, which are anything else."""
    held = {each: getattr(state, each) for each in TARGETS if hasattr(state, each)}
    return state._replace(**jax.tree.map(lambda x: 1.0 - 3.0 * x, held))


@pytest.mark.parametrize("name", SETTINGS)
def test_targets_neither_play_nor_are_cloned_nor_told_of(name):
    learner, state = made(name)
    other = others(state)
    observation, action = jax.random.normal(jax.random.key(1), (7, 3)), jnp.full((7, 2), 0.25)
    whoever = {
        "mode": lambda s: learner.mode(s, observation),
        "act": lambda s: learner.act(s, observation, jax.random.key(2)),
        "actor": lambda s: learner.actor(s),
        "cloned": lambda s: learner.cloning.get(s),
        "value": lambda s: learner.q_value(s, observation, action),
    }
    for which, asked in whoever.items():
        for one, two in zip(jax.tree.leaves(asked(state)), jax.tree.leaves(asked(other)), strict=True):
            np.testing.assert_array_equal(one, two, err_msg=which)


@pytest.mark.parametrize("name", SETTINGS)
def test_all_targets_begin_as_what_they_follow(name):
    _, state = made(name)
    held = [each for each in TARGETS if hasattr(state, each)]
    assert len(held) == 2
    for target in held:
        online, followed = (jax.tree.leaves(getattr(state, each)) for each in (target.removeprefix("target_"), target))
        for one, two in zip(online, followed, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=target)
