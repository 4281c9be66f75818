"""What a round gives to its parts, and what its diagnostics are of: normalised observations, keys, newest networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import networks
from credo.config import CredoConfig
from credo.demonstrations import from_episodes
from credo.environments import Episode
from credo.networks import Layer
from credo.random import Purpose, device_key
from credo.training.acting import learner_act
from credo.training.seed import logged_steps, make_seed
from credo.training.state import initial_state, make_constants, make_parts
from credo.training.step import Experience, discriminator_diagnostics, learned_from, make_round, policy_diagnostics
from credo.training.vmapped import held_where_inactive
from credo.types import Transition
from training.linear_discriminator import BATCH, SPEC, linear, settings

HALF = np.full(1, 0.5, np.float32), np.full(1, 2.0, np.float32)
"""Mean and deviation by which observations are normalised."""


def two_batches():
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.standard_normal((2, 8, *shape)).astype(np.float32)

    return Transition(normal(1), np.tanh(normal(1)), normal(), normal(1), np.zeros((2, 8), bool))


def zeros(parts, statistics=HALF):
    return make_constants(parts, statistics, np.zeros((9, 1), np.float32), np.zeros((9, 1), np.float32))


def test_both_observations_of_a_step_reach_the_learner_normalised():
    parts, batches = make_parts(settings(), SPEC), two_batches()
    given = Experience(batches, batches.observation, batches.action)
    _, found, _ = learned_from(parts, initial_state(parts, 0), zeros(parts), given, jax.random.key(0))
    for name in ("observation", "next_observation"):
        np.testing.assert_allclose(getattr(found, name), (getattr(batches, name) - 0.5) / 2, rtol=1e-6)


def test_the_policys_samples_reach_the_discriminator_normalised_and_with_their_stays():
    parts, seen = make_parts(settings(absorbing_states=True, inputs="sas"), SPEC), []

    def update(state, expert, policy, *rest):
        seen.append(policy)
        return state, {}

    parts = parts._replace(discriminator=parts.discriminator._replace(update=update))
    ones = np.ones(1, np.float32)
    constants = make_constants(parts, (ones, 2 * ones), *(np.zeros((4, 1), np.float32),) * 3, np.zeros(4, bool))
    given = Experience(
        jax.tree.map(lambda x: x[None], BATCH),
        policy_observation=np.array([[[2.0], [3.0], [7.0]]], np.float32),
        policy_action=np.full((1, 3, 1), 0.5, np.float32),
        policy_next_observation=np.array([[[3.0], [9.0], [7.0]]], np.float32),
        policy_terminated=np.array([[False, True, False]]),
        policy_absorbing=np.array([[False, False, True]]),
    )
    learned_from(parts, initial_state(parts, 0), constants, given, jax.random.key(0))
    # Observation, its indicator, action, next observation, its indicator; of mean 1 and deviation 2.
    np.testing.assert_allclose(seen[0][0], [[0.5, 0, 0.5, 1.0, 0], [1.0, 0, 0.5, 0, 1], [0, 1, 0, 0, 1]])


def test_the_policy_acts_on_what_it_learns_from():
    config = settings()
    parts = make_parts(dataclasses.replace(config, td3=dataclasses.replace(config.td3, exploration_noise=0.0)), SPEC)
    state = initial_state(parts, 0).learner
    acted = learner_act(parts)(state, zeros(parts), jnp.array([[4.5]]), jax.random.key(0), np.int32(0))
    np.testing.assert_allclose(acted, parts.learner.mode(state, jnp.array([[2.0]])), rtol=1e-5)


def test_diagnostics_are_of_the_networks_after_the_round_on_its_last_batch():
    config = settings(hidden=(8,), learning_rate=0.1)
    config = dataclasses.replace(config, td3=dataclasses.replace(config.td3, actor_learning_rate=0.1))
    parts, generator, batches = make_parts(config, SPEC), np.random.default_rng(1), two_batches()
    expert = generator.standard_normal((30, 1)), generator.uniform(-1, 1, (30, 1))
    constants = make_constants(parts, HALF, *(x.astype(np.float32) for x in expert))
    given = Experience(batches, batches.observation + 1, batches.action)
    keys = jax.random.key(1), jax.random.key(2)
    after, metrics = jax.jit(make_round(parts))(initial_state(parts, 0), constants, given, *keys)
    seen = constants.normalise(jnp.asarray(batches.observation[-1]))
    inputs = jnp.concatenate([seen, jnp.asarray(batches.action[-1])], axis=-1)
    logit = parts.discriminator.logit(after.discriminator.network, inputs)
    assert float(metrics["policy_logit_q50"]) == pytest.approx(float(np.quantile(logit, 0.5)), rel=1e-4)
    outputs = networks.apply(after.learner.actor, seen)
    assert float(metrics["actor_preactivation"]) == pytest.approx(float(np.abs(outputs).mean()), rel=1e-4)


def test_expert_and_policy_are_not_taken_for_each_other():
    past_zero = CredoConfig(mode="off", threshold=0.0, threshold_unit="logit")
    parts = make_parts(dataclasses.replace(settings(), credo=past_zero), SPEC)
    constants = make_constants(parts, None, np.ones((9, 1), np.float32), np.zeros((9, 1), np.float32))
    network = linear(parts, 2.0, 10.0).network
    batch = BATCH._replace(observation=-jnp.ones((3, 1)), action=jnp.zeros((3, 1)))
    found = discriminator_diagnostics(parts, parts.discriminator, network, constants, batch, jax.random.key(0), None)
    for side, logit in (("expert", 2.0), ("policy", -2.0)):
        assert float(found[f"{side}_logit_q50"]) == pytest.approx(logit)
        assert float(found[f"expert_probability_{side}"]) == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-5)
    assert float(found["outlier_share"]) == 1.0


def test_sizes_are_means_of_sizes():
    """Outputs of 2 and -2, slopes of 3 and -3: neither mean is 0."""
    parts = make_parts(settings(), SPEC)
    learner = initial_state(parts, 0).learner
    absolute = (Layer(jnp.array([[0.0, 0.0], [3.0, -3.0]]), jnp.zeros(2)), Layer(jnp.ones((2, 1)), jnp.zeros(1)))
    learner = learner._replace(actor=(Layer(jnp.array([[2.0]]), jnp.zeros(1)),), critics=(absolute, absolute))
    found = policy_diagnostics(parts, learner, BATCH._replace(observation=jnp.array([[1.0], [-1.0]])))
    assert float(found["actor_preactivation"]) == pytest.approx(2.0)
    assert float(found["q_action_slope"]) == pytest.approx(3.0)


def test_discriminator_and_learner_share_no_key():
    """Neither at the beginning, nor in an update, nor between a seed's purposes."""
    parts, seen, batches = make_parts(settings(), SPEC), [], two_batches()

    def update(state, batches, key):
        seen.append(key)
        return state, {}

    spied = parts._replace(learner=parts.learner._replace(update=update))
    given = Experience(batches, batches.observation, batches.action)
    make_round(spied)(initial_state(parts, 0), zeros(parts), given, jax.random.key(1), jax.random.key(2))
    assert seen == [jax.random.key(2)]
    told = [part._replace(init=lambda key: key) for part in (parts.learner, parts.discriminator)]
    state = initial_state(parts._replace(learner=told[0], discriminator=told[1]), 0)
    assert state.learner != state.discriminator
    seed = make_seed(dataclasses.replace(settings(), environment="Pendulum-v1"), "Pendulum-v1", 3, None)
    seed.environments.close()
    seed.evaluator.close()
    for purpose in (Purpose.ACT, Purpose.DISCRIMINATOR, Purpose.LEARNER):
        assert seed.key(purpose, 5) == jax.random.fold_in(device_key(3, purpose), 5)


def test_logged_steps_without_rewards_earn_nothing():
    numbers = np.arange(5, dtype=np.float32)[:, None]
    episode = Episode(numbers, 0 * numbers[1:], np.ones(4, np.float32), False, True, None)
    log = dataclasses.replace(from_episodes([episode], "probe"), reward=None, returns=None)
    np.testing.assert_array_equal(logged_steps(log, 1)[0].reward, np.zeros((4, 1)))


def test_a_seed_that_is_not_active_is_held():
    held = held_where_inactive(lambda state: (state + 1.0, {}))
    for active in (True, False):
        assert float(held(jnp.zeros(()), jnp.array(active))[0]) == float(active)
