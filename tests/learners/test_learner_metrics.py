"""What learners tell of an update, and SAC's Gaussian, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import networks
from credo.config import SACConfig, SD3Config
from credo.learners.sac import gaussian, sac
from credo.learners.sd3 import sd3
from credo.learners.targets import critic_loss
from credo.networks import Layer
from credo.types import Transition


def transitions(reward, observation, action, terminated=True):
    """One batch of one-dimensional observations."""
    ends = np.full(reward.shape, terminated)
    return Transition(*(x[None] for x in (observation, action, reward, observation, ends)))


def test_mean_q_is_of_the_critics_and_not_of_their_target():
    critic = (Layer(jnp.array([[1.0], [0.0]]), jnp.zeros(1)),)
    observation, zeros = jnp.array([[1.0], [2.0], [3.0]]), jnp.zeros(3)
    batch = Transition(observation, zeros[:, None], zeros, observation, zeros > 0)
    _, mean = critic_loss((critic, critic), batch, jnp.full(3, 50.0))
    assert float(mean) == pytest.approx(2.0)


def test_sac_tells_the_entropy_of_its_actions_and_its_temperature():
    learner = sac(SACConfig(hidden=(4,), initial_temperature=0.2), 1, 2)
    state = learner.init(jax.random.key(0))
    narrow = Layer(jnp.zeros((4, 4)), jnp.array([0.0, 0.0, -3.0, -3.0]))
    state = state._replace(actor=(state.actor[0], narrow))
    zeros = np.zeros(256, np.float32)
    batches = transitions(zeros, zeros[:, None], np.zeros((256, 2), np.float32), terminated=False)
    _, metrics = learner.update(state, batches, jax.random.key(1))
    # Two dimensions of a Gaussian of deviation exp(-3), which tanh hardly bends: 2 (-3 + log sqrt(2 pi e)).
    assert float(metrics["entropy"]) == pytest.approx(2 * (-3 + 0.5 * np.log(2 * np.pi * np.e)), abs=0.2)
    assert float(metrics["temperature"]) == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize(("bias", "expected"), [(-10.0, -10.0), (-30.0, -20.0), (1.0, 1.0), (5.0, 2.0)])
def test_the_log_deviation_stays_between_its_bounds(bias, expected):
    _, log_std = gaussian((Layer(jnp.zeros((1, 2)), jnp.array([0.0, bias])),), jnp.zeros((1, 1)))
    assert float(log_std[0, 0]) == expected


def test_sac_explores_with_its_own_deviation():
    learner = sac(SACConfig(hidden=()), 1, 1)
    state = learner.init(jax.random.key(0))
    state = state._replace(actor=(Layer(jnp.zeros((1, 2)), jnp.array([0.3, -2.0])),))
    raw = jnp.arctanh(learner.act(state, jnp.zeros((5000, 1)), jax.random.key(1)))
    assert float(raw.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(raw.std()) == pytest.approx(np.exp(-2.0), rel=0.05)


def test_sd3s_critic_loss_is_the_sum_of_both_critics():
    """Each learns from half of a batch; the target of a terminated step is its reward."""
    learner = sd3(SD3Config(hidden=(4,), noise_samples=2), 1, 1)
    state = learner.init(jax.random.key(0))
    reward, observation, action = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    batches = transitions(reward, observation[:, None], np.tanh(action)[:, None])
    _, metrics = learner.update(state, batches, jax.random.key(1))
    errors = []
    for critic, half in zip(state.critics, (slice(0, 4), slice(4, 8)), strict=True):
        value = networks.q_value(critic, batches.observation[0, half], batches.action[0, half])
        errors.append(float(np.mean(np.square(value - reward[half]))))
    assert float(metrics["critic_loss"]) == pytest.approx(sum(errors), rel=1e-4)
