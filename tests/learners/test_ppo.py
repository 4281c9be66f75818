"""PPO by hand, and whole updates against NumPy float64, given the very order of minibatches that JAX draws."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import networks
from credo.config import PPOConfig
from credo.learners.ppo import (
    RunningReturn,
    advantages,
    explained_variance,
    gaussian_entropy,
    gaussian_log_prob,
    normalised_rewards,
    ppo,
    surrogate,
    value_loss,
)
from credo.types import Rollout
from reference.multilayer import to_numpy
from reference.ppo import PPO, discounted_returns

OBSERVATION, ACTION, STEPS, LANES = 3, 2, 8, 2


def column(*values):
    return jnp.array(values, jnp.float32)[:, None]


def by_hand(terminated, truncated):
    """Rewards 1, 2, 3, 4 of one environment, every value 1, successors worth 2, 2, 8, 2; discount and lambda 1/2."""
    terminated, truncated = (np.array(x, bool)[:, None] for x in (terminated, truncated))
    zeros = jnp.zeros((4, 1, 1))
    rollout = Rollout(zeros, zeros, column(1, 2, 3, 4), zeros, terminated, zeros, terminated | truncated)
    advantage, target = advantages(rollout, column(1, 1, 1, 1), column(2, 2, 8, 2), 0.5, 0.5)
    np.testing.assert_allclose(target, advantage + 1.0)
    return np.asarray(advantage)[:, 0]


def test_advantages_by_hand():
    # Errors: 1 + 0.5 * 2 - 1 = 1, 2 + 1 - 1 = 2, 3 + 4 - 1 = 6, 4 + 1 - 1 = 4; each takes a quarter of the next.
    np.testing.assert_allclose(by_hand([0, 0, 0, 0], [0, 0, 0, 0]), [1.9375, 3.75, 7.0, 4.0])


def test_advantages_stop_at_termination_and_truncation():
    # Terminated after the second: its error is 2 - 1 = 1, and nothing comes back from the third. Truncated after the
    # third: its error is 6, with the successor's value, and nothing comes back from the fourth.
    np.testing.assert_allclose(by_hand([0, 1, 0, 0], [0, 0, 1, 0]), [1.25, 1.0, 6.0, 4.0])


def test_surrogate_by_hand():
    # Ratios 1.5 and 0.5: with a positive advantage 1.2 and 0.5 count, with a negative one 1.5 and 0.8.
    log_ratio = jnp.log(jnp.array([1.5, 0.5, 1.5, 0.5]))
    found = surrogate(log_ratio, jnp.array([1.0, 1.0, -1.0, -1.0]), 0.2)
    assert float(found) == pytest.approx((1.2 + 0.5 - 1.5 - 0.8) / 4)


def test_value_loss_by_hand():
    value, old, target = jnp.array([3.0, 1.0]), jnp.array([1.0, 1.0]), jnp.array([4.0, 2.0])
    assert float(value_loss(value, old, target, None)) == pytest.approx(0.5 * (1 + 1) / 2)
    # Kept within 0.5 of the old value, the first is 1.5, whose error is 2.5.
    assert float(value_loss(value, old, target, 0.5)) == pytest.approx(0.5 * (6.25 + 1) / 2)


def test_density_and_entropy_by_hand():
    # Two deviations away in the first dimension, at the mean in the second, with deviations 1/2 and 1.
    log_std = jnp.array([math.log(0.5), 0.0], jnp.float32)
    found = gaussian_log_prob(jnp.array([[0.0, 0.3]]), log_std, jnp.array([[1.0, 0.3]]))
    assert float(found[0]) == pytest.approx(-2.0 - math.log(0.5) - math.log(2 * math.pi), rel=1e-6)
    assert float(gaussian_entropy(log_std)) == pytest.approx(1 + math.log(2 * math.pi) + math.log(0.5), rel=1e-6)


def test_explained_variance():
    target = jnp.array([1.0, 2.0, 3.0])
    assert float(explained_variance(target, target + 5)) == pytest.approx(1)
    assert float(explained_variance(target, 0 * target)) == 0
    assert float(explained_variance(target, -target)) == pytest.approx(-3)
    assert float(explained_variance(jnp.ones(3), target)) == 0


def test_rewards_are_divided_by_the_deviation_of_all_returns_so_far():
    generator = np.random.default_rng(0)
    rewards = 5 + 3 * generator.standard_normal((3, STEPS, LANES)).astype(np.float32)
    ended = generator.random((3, STEPS, LANES)) < 0.2
    zero = jnp.zeros(())
    running = RunningReturn(jnp.zeros(LANES), zero, zero, zero)
    for index in range(3):
        running, found = normalised_rewards(running, rewards[index], ended[index], 0.9)
        so_far = [x[: index + 1].reshape(-1, LANES) for x in (rewards.astype(np.float64), ended)]
        deviation = discounted_returns(*so_far, 0.9).std()
        np.testing.assert_allclose(found, rewards[index] / deviation, rtol=1e-5)
    # One-step episodes that all bring the same: a deviation of nothing, and no reward of thousands.
    _, found = normalised_rewards(
        RunningReturn(jnp.zeros(1), zero, zero, zero), column(1, 1), jnp.ones((2, 1), bool), 0.9
    )
    np.testing.assert_array_equal(found, [[10.0], [10.0]])


def rollout_of(seed=0):
    generator = np.random.default_rng(seed)

    def normal(*shape):
        return generator.standard_normal((STEPS, LANES, *shape)).astype(np.float32)

    terminated = generator.random((STEPS, LANES)) < 0.2
    truncated = ~terminated & (generator.random((STEPS, LANES)) < 0.2)
    assert terminated.any()
    assert truncated.any()
    raw = normal(ACTION)
    return Rollout(
        observation=normal(OBSERVATION),
        action=np.clip(raw, -1, 1),
        reward=3 * normal(),
        next_observation=normal(OBSERVATION),
        terminated=terminated,
        raw_action=raw,
        ended=terminated | truncated,
    )


BASE = PPOConfig(
    hidden=(7, 5),
    actor_learning_rate=2e-2,
    critic_learning_rate=1e-2,
    epochs=2,
    minibatch_size=4,
    discount=0.9,
    gae_lambda=0.7,
    gradient_clip=0.3,
)
CASES = {
    "plain": BASE,
    "all": dataclasses.replace(
        BASE,
        activation="relu",
        value_clip=0.05,
        entropy_coefficient=0.1,
        normalise_rewards=True,
        normalise_advantages=False,
        gradient_clip=None,
    ),
}


def start(config):
    learner = ppo(config, OBSERVATION, ACTION, LANES)
    state = learner.init(jax.random.key(0))
    last = jax.tree.map(lambda x: 100 * x, state.actor[-1])
    return learner, state._replace(actor=(*state.actor[:-1], last)), rollout_of(), jax.random.key(1)


def reference(config):
    """The reference after the update that ``start`` leads to."""
    _, state, rollout, key = start(config)
    orders = [np.asarray(jax.random.permutation(k, STEPS * LANES)) for k in jax.random.split(key, config.epochs)]
    agent = PPO(config, to_numpy(state.actor), np.asarray(state.log_std, np.float64), to_numpy(state.critic))
    agent.update({n: x if x.dtype == bool else x.astype(np.float64) for n, x in rollout._asdict().items()}, orders)
    return agent


def update(config):
    learner, *arguments = start(config)
    updated, metrics = jax.jit(learner.update)(*arguments)
    return updated, {name: float(value) for name, value in metrics.items()}


def assert_agree(agent, updated):
    for found, expected in ((updated.actor, agent.actor), (updated.critic, agent.critic)):
        for layers in zip(found, expected, strict=True):
            for one, other in zip(*layers, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=3e-6)
    np.testing.assert_allclose(updated.log_std, agent.log_std, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_an_update_agrees_with_numpy(case):
    agent = reference(CASES[case])
    updated, metrics = update(CASES[case])
    assert_agree(agent, updated)
    assert metrics["clip_fraction"] == pytest.approx(np.mean(agent.clip_fractions), rel=1e-5)
    assert metrics["clip_fraction"] > 0
    assert metrics["approx_kl"] == pytest.approx(np.mean(agent.kls), rel=1e-3)
    assert metrics["explained_variance"] == pytest.approx(agent.explained_variance, rel=1e-4)
    arrays = [[array for layer in gradient for array in layer] for gradient in agent.actor_gradients]
    norms = [math.sqrt(sum(np.sum(x**2) for x in gradient)) for gradient in arrays]
    assert metrics["actor_gradient_norm"] == pytest.approx(max(norms), rel=1e-4), "raw, before clipping"
    assert max(norms) > 0.3
    largest = max(np.abs(x).max() for gradient in arrays for x in gradient)
    assert metrics["actor_gradient_max"] == pytest.approx(largest, rel=1e-4)
    assert metrics["update_share"] == 1


def test_updates_end_at_the_first_minibatch_past_the_target_kl():
    agents = [reference(dataclasses.replace(BASE, target_kl=0.99 * kl)) for kl in reference(BASE).kls[1:]]
    # One that skips minibatches, of which some would pass: they are not applied all the same.
    agent = next(a for a in agents if a.skipped_kls and min(a.skipped_kls) < 0.9 * a.config.target_kl)
    updated, metrics = update(agent.config)
    assert_agree(agent, updated)
    assert metrics["update_share"] == pytest.approx(len(agent.kls) / (len(agent.kls) + len(agent.skipped_kls)))
    assert metrics["approx_kl"] == pytest.approx(np.mean(agent.kls), rel=1e-3)


def test_actions_are_drawn_from_the_density_they_are_given():
    learner = ppo(PPOConfig(hidden=(4,), initial_log_std=0.7), 1, 1)
    state = learner.init(jax.random.key(0))
    observation = jnp.zeros((20_000, 1))
    drawn = learner.act(state, observation, jax.random.key(1))
    assert float(jnp.abs(drawn).max()) > 1, "they are not clipped here"
    np.testing.assert_allclose(learner.deviation(state), [math.exp(0.7)], rtol=1e-6)
    # The mean log density of draws from a Gaussian is minus its entropy.
    mean = float(jnp.mean(learner.log_prob(state, observation, drawn)))
    assert mean == pytest.approx(-float(gaussian_entropy(state.log_std)), abs=0.03)


def test_the_mean_value_is_of_the_critic_before_the_update():
    _, state, rollout, _ = start(BASE)
    _, metrics = update(BASE)
    value = networks.apply(state.critic, rollout.observation, BASE.activation)
    assert metrics["value_mean"] == pytest.approx(float(value.mean()), rel=1e-4)
