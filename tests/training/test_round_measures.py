"""What a round measures where sides are taken for each other easily: signs, whole rollouts, draws, bad gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.networks import Layer
from credo.training.state import initial_state, make_constants, make_parts
from credo.training.step import Experience, learned_from, make_round, measured, policy_diagnostics
from credo.types import Rollout, Transition
from training.linear_discriminator import BATCH, SPEC, settings


def two_batches():
    numbers = np.random.default_rng(0).standard_normal((2, 8, 1)).astype(np.float32)
    return Transition(numbers, np.tanh(numbers), numbers[..., 0], numbers + 1, np.zeros((2, 8), bool))


def experience():
    batches = two_batches()
    return Experience(batches, batches.observation, batches.action)


def constants_of(parts):
    numbers = np.arange(30, dtype=np.float32)[:, None]
    return make_constants(parts, None, numbers, np.tanh(numbers))


def test_actions_saturate_at_both_bounds():
    """Outputs of 9, -9 and 0."""
    parts = make_parts(settings(), SPEC)
    learner = initial_state(parts, 0).learner._replace(actor=(Layer(jnp.array([[9.0]]), jnp.zeros(1)),))
    found = policy_diagnostics(parts, learner, BATCH._replace(observation=jnp.array([[1.0], [-1.0], [0.0]])))
    assert float(found["action_saturation"]) == pytest.approx(2 / 3)


def test_diagnostics_of_a_rollout_are_of_all_its_steps():
    numbers = np.arange(6, dtype=np.float32).reshape(3, 2)
    ends = np.zeros((3, 2), bool)
    wide = numbers[..., None]
    found = measured(Rollout(wide, wide, numbers, wide + 1, ends, wide, ends))
    np.testing.assert_array_equal(found.reward, [0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(found.next_observation[:, 0], [1, 2, 3, 4, 5, 6])


def test_every_round_draws_pairs_of_its_own_for_an_actor_that_clones():
    config = settings()
    parts = make_parts(dataclasses.replace(config, td3=dataclasses.replace(config.td3, cloning_weight=1.0)), SPEC)
    constants, state, drawn = constants_of(parts), initial_state(parts, 0), []
    for number in (0, 1):
        _, batches, _ = learned_from(parts, state, constants, experience(), jax.random.key(number))
        drawn.append(np.asarray(batches.demonstrated.observation))
    assert not np.array_equal(*drawn)


def test_a_gradient_that_is_not_finite_brings_the_state_back_though_no_parameter_shows_it():
    parts = make_parts(settings(), SPEC)

    def update(state, batches, key):
        moved = jax.tree.map(lambda x: x + jnp.ones_like(x), state)
        return moved, {"actor_gradient_norm": jnp.float32(jnp.nan), "critic_loss": jnp.float32(0.0)}

    before = initial_state(parts, 0)
    spied = parts._replace(learner=parts.learner._replace(update=update))
    keys = jax.random.key(1), jax.random.key(2)
    after, metrics = make_round(spied)(before, constants_of(parts), experience(), *keys)
    assert float(metrics["finite"]) == 0.0
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(old, new)


def test_diagnostics_ask_for_the_density_of_the_policy_that_the_updates_were_made_with():
    """AIRL's logit is of a policy: the one before the learner's update, here 0 and after it 1."""
    parts, seen = make_parts(settings(), SPEC), []
    discriminator = parts.discriminator

    def logit(network, inputs, policy=None):
        seen.append(float(jax.tree.leaves(policy)[0].ravel()[0]))
        return discriminator.logit(network, inputs, policy)

    def update(state, batches, key):
        return jax.tree.map(jnp.ones_like, state), {}

    spied = parts._replace(
        learner=parts.learner._replace(update=update), discriminator=discriminator._replace(logit=logit)
    )
    state = initial_state(parts, 0)
    state = state._replace(learner=jax.tree.map(jnp.zeros_like, state.learner))
    with jax.disable_jit():
        make_round(spied)(state, constants_of(parts), experience(), jax.random.key(1), jax.random.key(2))
    assert len(seen) > 2
    assert set(seen) == {0.0}
