"""Targets, densities and actions by hand, and what every learner of the table promises."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import networks
from credo.config import DDPGConfig, PPOConfig, RunConfig, SACConfig, SD3Config, TD3Config
from credo.config.run import ON_POLICY
from credo.learners import LEARNERS, make_learner
from credo.learners.sac import log_prob_of, soft_target, squashed_log_prob
from credo.learners.targets import policy, smallest_value_target, smoothed
from credo.networks import Layer
from credo.training.state import Parts, TrainState, make_constants, policy_of
from credo.types import EnvironmentSpec, Transition

SMALL = {
    "ddpg": DDPGConfig(hidden=(8,)),
    "td3": TD3Config(hidden=(8,)),
    "sd3": SD3Config(hidden=(8,), noise_samples=4),
    "sac": SACConfig(hidden=(8,)),
    "ppo": PPOConfig(hidden=(8,)),
}

STOCHASTIC = {"sac", "ppo"}


def linear_critic(observation_weight, action_weight, bias=0.0):
    weight = jnp.array([[observation_weight], [action_weight]], jnp.float32)
    return (Layer(weight, jnp.array([bias], jnp.float32)),)


def one_step_batch():
    """Two transitions into observation 2, one of which terminates."""
    column = jnp.array([[2.0], [2.0]], jnp.float32)
    return Transition(
        observation=jnp.zeros((2, 1)),
        action=jnp.zeros((2, 1)),
        reward=jnp.array([1.5, 1.5], jnp.float32),
        next_observation=column,
        terminated=jnp.array([False, True]),
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_td3_target_by_hand(compiled):
    # Q1 = 3 * 2 + 0.5 = 6.5, Q2 = 2 + 4 * 0.5 = 4, the smaller is 4; 1.5 + 0.9 * 4 = 5.1, and 1.5 at the end.
    critics = (linear_critic(3.0, 1.0), linear_critic(1.0, 4.0))
    function = jax.jit(smallest_value_target, static_argnums=3) if compiled else smallest_value_target
    target = function(critics, one_step_batch(), jnp.full((2, 1), 0.5), 0.9)
    assert target.dtype == jnp.float32
    np.testing.assert_allclose(target, [5.1, 1.5], rtol=1e-6)


def test_soft_target_by_hand():
    # The smaller value is 4; 4 - 0.2 * (-3) = 4.6; 1.5 + 0.9 * 4.6 = 5.64.
    critics = (linear_critic(3.0, 1.0), linear_critic(1.0, 4.0))
    log_prob, temperature = jnp.full((2,), -3.0), jnp.float32(0.2)
    target = soft_target(critics, one_step_batch(), jnp.full((2, 1), 0.5), log_prob, temperature, 0.9)
    np.testing.assert_allclose(target, [5.64, 1.5], rtol=1e-6)


def test_smoothing_noise_is_clipped_and_so_is_the_action():
    # tanh of the actor's 0 is 0, and of its 2 is 0.9640: 0.9640 + 0.1 leaves the action range.
    actor = (Layer(jnp.ones((1, 1)), jnp.zeros(1)),)
    observation = jnp.array([[0.0], [0.0], [0.0], [2.0]])
    normal = jnp.array([[1.0], [5.0], [-5.0], [0.5]])
    action = smoothed(policy(actor, observation), normal, 0.2, 0.5)
    np.testing.assert_allclose(action[:, 0], [0.2, 0.5, -0.5, 1.0], rtol=1e-6)


def test_log_density_of_a_squashed_gaussian_by_hand():
    # Standard normal at 0: log(1 / sqrt(2 pi)) = -0.9189385, and the slope of tanh there is 1.
    action, log_prob = squashed_log_prob(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.zeros((1, 1)))
    assert float(action[0, 0]) == 0.0
    assert float(log_prob[0]) == pytest.approx(-0.9189385, abs=1e-6)


def test_squashed_density_integrates_to_one():
    for mean, log_std in ((0.0, 0.0), (0.8, -0.7), (-0.4, 0.3)):
        normal = jnp.linspace(-9.0, 9.0, 20_001)[:, None]
        shape = normal.shape
        action, log_prob = squashed_log_prob(jnp.full(shape, mean), jnp.full(shape, log_std), normal)
        total = np.trapezoid(np.exp(np.asarray(log_prob, np.float64)), np.asarray(action[:, 0], np.float64))
        assert total == pytest.approx(1.0, abs=2e-3)


def test_log_density_stays_finite_where_tanh_saturates():
    action, log_prob = squashed_log_prob(jnp.full((1, 1), 50.0), jnp.zeros((1, 1)), jnp.zeros((1, 1)))
    assert float(action[0, 0]) == 1.0
    assert float(log_prob[0]) == pytest.approx(-0.9189385 + 2 * (50 - math.log(2)), rel=1e-6)


def test_initial_weights_lie_within_one_over_the_root_of_the_inputs():
    network = networks.initialise(jax.random.key(0), (100, 50, 25, 2))
    assert [layer.weight.shape for layer in network] == [(100, 50), (50, 25), (25, 2)]
    for layer in network:
        bound = layer.weight.shape[0] ** -0.5
        for array in layer:
            assert array.dtype == jnp.float32
            assert float(jnp.abs(array).max()) <= bound
        assert float(jnp.abs(layer.weight).max()) > 0.9 * bound
        assert float(jnp.std(layer.weight)) == pytest.approx(bound / math.sqrt(3), rel=0.15)
    assert not np.array_equal(network[0].weight[:25, :25], network[1].weight[:25])


@pytest.mark.parametrize("name", LEARNERS)
class TestEveryLearner:
    def make(self, name):
        learner = LEARNERS[name](SMALL[name], 3, 2)
        return learner, learner.init(jax.random.key(0))

    def test_actions(self, name):
        learner, state = self.make(name)
        observation = jax.random.normal(jax.random.key(1), (5, 3)) * 100
        one, two = (learner.act(state, observation, jax.random.key(seed)) for seed in (2, 3))
        mode = learner.mode(state, observation)
        for action in (one, two, mode):
            assert action.shape == (5, 2)
            assert action.dtype == jnp.float32
            assert float(jnp.abs(action).max()) <= 1.0 or learner.experience == "rollout"
        assert float(jnp.abs(mode).max()) <= 1.0
        near = observation / 1000
        assert not np.array_equal(*(learner.act(state, near, jax.random.key(seed)) for seed in (2, 3)))
        assert len({float(x) for x in np.ravel(learner.act(state, 0 * near, jax.random.key(2)))}) == 10, (
            "each environment and dimension has noise of its own"
        )

    def test_the_exported_policy_is_what_mode_plays(self, name):
        learner, state = self.make(name)
        spec = EnvironmentSpec("Probe-v0", 3, 2, -np.ones(2, np.float32), np.ones(2, np.float32), None)
        parts = Parts(RunConfig(), spec, learner, None)
        constants = make_constants(parts, None, np.zeros((0, 3)), np.zeros((0, 2)))
        policy = policy_of(parts, constants, TrainState(state, ()), {})
        observation = jax.random.normal(jax.random.key(1), (200, 3))
        exported = policy.normalised_action(np.asarray(observation))
        np.testing.assert_allclose(exported, learner.mode(state, observation), rtol=1e-4, atol=1e-6)

    def test_targets_start_as_copies_in_buffers_of_their_own(self, name):
        _, state = self.make(name)
        pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
        assert len(pointers) == len(set(pointers)), "a donated state must not hold one buffer twice"
        if not hasattr(state, "target_critics"):
            return
        for online, target in zip(jax.tree.leaves(state.critics), jax.tree.leaves(state.target_critics), strict=True):
            np.testing.assert_array_equal(online, target)

    def test_twin_critics_differ(self, name):
        _, state = self.make(name)
        if not hasattr(state, "critics"):
            return
        weights = {critic[0].weight.tobytes() for critic in jax.tree.map(np.asarray, state.critics)}
        assert len(weights) == len(state.critics)

    def test_q_value_is_the_first_critic(self, name):
        learner, state = self.make(name)
        # With several actors it is that of the pair that plays.
        if learner.q_value is None or learner.choice is not None:
            return
        observation, action = jnp.ones((4, 3)), jnp.full((4, 2), 0.5)
        expected = networks.q_value(state.critics[0], observation, action)
        np.testing.assert_array_equal(learner.q_value(state, observation, action), expected)
        assert expected.shape == (4,)

    def test_densities_are_of_stochastic_learners_and_finite_on_the_bounds(self, name):
        learner, state = self.make(name)
        assert (learner.log_prob is None) == (name not in STOCHASTIC)
        if learner.log_prob is None:
            return
        observation = jax.random.normal(jax.random.key(1), (2, 5, 3))
        for bound in (-1.0, 0.0, 1.0):
            density = learner.log_prob(state, observation, jnp.full((2, 5, 2), bound))
            assert density.shape == (2, 5)
            assert density.dtype == jnp.float32
            assert np.isfinite(density).all()

    def test_what_eats_rollouts_acts_on_the_host(self, name):
        learner, state = self.make(name)
        assert (learner.experience == "rollout") == (name in ON_POLICY)
        if name in ON_POLICY:
            observation, many = jnp.zeros((1, 3)), jnp.zeros((20_000, 3))
            drawn = learner.act(state, many, jax.random.key(1)) - learner.mode(state, observation)
            np.testing.assert_allclose(learner.deviation(state), drawn.std(axis=0), rtol=0.03)


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.8, -0.7), (-2.0, -3.0)])
def test_the_density_of_a_squashed_action_is_that_of_drawing_it(mean, log_std):
    normal = jnp.linspace(-3.0, 3.0, 31)[:, None]
    mean, log_std = jnp.full(normal.shape, mean), jnp.full(normal.shape, log_std)
    action, log_prob = squashed_log_prob(mean, log_std, normal)
    inside = np.abs(np.asarray(action[:, 0])) < 0.999
    assert inside.sum() > 10
    np.testing.assert_allclose(log_prob_of(mean, log_std, action)[inside], log_prob[inside], atol=2e-3)


def test_the_density_at_the_bounds_is_that_of_the_largest_action():
    # atanh(1 - 1e-6) = 7.2543; the slope of tanh there is 1 - (1 - 1e-6)^2 = 2e-6 to first order.
    found = log_prob_of(jnp.zeros((3, 1)), jnp.zeros((3, 1)), jnp.array([[1.0], [-1.0], [1.0 - 1e-6]]))
    expected = -0.9189385 - 0.5 * 7.2543**2 - math.log(2e-6)
    np.testing.assert_allclose(found, np.full(3, expected), rtol=2e-2)


def test_every_learner_has_settings_of_its_name():
    for name in LEARNERS:
        config = RunConfig(learner=name)
        assert make_learner(config, 3, 2).update is not None
        assert type(config.learner_config) is type(SMALL[name])
