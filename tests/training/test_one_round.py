"""One compiled round: relabelling, clipping, measures, and what becomes of a bad update."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import TD3Config
from credo.discriminator.model import DiscriminatorState
from credo.discriminator.rewards import REWARDS
from credo.environments import environment_spec, make_environment
from credo.precision import in_full_precision
from credo.training.relabel import relabelled
from credo.training.state import initial_state, make_constants, make_parts
from credo.training.step import Experience, learned_from, make_round
from credo.types import Transition
from training.training_runs import SMALL, changed

UPDATES, BATCH, OBSERVATION, ACTION = 2, 8, 3, 1
UNCLIPPED = changed(
    credo=changed(SMALL.credo, mode="off", threshold=-1e6),
    td3=TD3Config(hidden=(8,), batch_size=8, actor_learning_rate=1e-12, preactivation_penalty=0.0),
)
"""CREDO is off, every logit is past the threshold, and the actor stays as it is."""


@functools.cache
def pendulum():
    environment = make_environment("Pendulum-v1")
    spec = environment_spec(environment, "Pendulum-v1")
    environment.close()
    return spec


def experience(seed=0):
    generator = np.random.default_rng(seed)

    def normal(*shape):
        return generator.standard_normal((UPDATES, BATCH, *shape)).astype(np.float32)

    batches = Transition(
        observation=normal(OBSERVATION),
        action=np.tanh(normal(ACTION)),
        reward=1e6 * np.ones((UPDATES, BATCH), np.float32),
        next_observation=normal(OBSERVATION),
        terminated=np.zeros((UPDATES, BATCH), bool),
    )
    return Experience(batches, normal(OBSERVATION), np.tanh(normal(ACTION)))


def one_round(change_state=lambda state: state):
    parts = make_parts(UNCLIPPED, pendulum())
    generator = np.random.default_rng(1)
    mean, std = np.full(3, 0.5, np.float32), np.full(3, 2.0, np.float32)
    constants = make_constants(
        parts,
        (mean, std),
        generator.standard_normal((30, 3)).astype(np.float32),
        generator.uniform(-1, 1, (30, 1)).astype(np.float32),
    )
    state = change_state(initial_state(parts, 0))
    keys = jax.random.key(1), jax.random.key(2)
    updated, metrics = jax.jit(make_round(parts))(state, constants, experience(), *keys)
    return parts, constants, state, updated, metrics


def test_a_round_on_a_gpu_multiplies_in_float32_unless_the_user_says_otherwise():
    """TF32, JAX's default there, keeps 10 bits of a number."""
    parts, constants, before, _, _ = one_round()
    keys = jax.random.key(1), jax.random.key(2)

    def products(round_function):
        traced = str(jax.make_jaxpr(round_function)(before, constants, experience(), *keys))
        return traced.count("dot_general["), traced.count("Precision.HIGHEST, Precision.HIGHEST")

    made = make_round(parts)
    every, precise = products(in_full_precision(made))
    assert every == precise > 10
    assert products(made) == (every, 0)
    with jax.default_matmul_precision("tensorfloat32"):
        assert products(in_full_precision(made)) == (every, 0)


def test_rewards_come_from_the_updated_discriminator_and_never_from_the_environment():
    parts, constants, before, after, metrics = one_round()
    batches = experience().batches
    inputs = jnp.concatenate([constants.normalise(jnp.asarray(batches.observation)), batches.action], axis=-1)
    expected = np.asarray(REWARDS["plr"](parts.discriminator.logit(after.discriminator.network, inputs)))
    stale = np.asarray(REWARDS["plr"](parts.discriminator.logit(before.discriminator.network, inputs)))
    for name, function in (("mean", np.mean), ("min", np.min), ("max", np.max)):
        assert float(metrics[f"reward_{name}"]) == pytest.approx(function(expected), rel=1e-5)
    assert abs(stale.mean() - expected.mean()) > 1e-4 * expected.mean()
    assert float(metrics["finite"]) == 1.0
    np.testing.assert_allclose(
        constants.normalise(jnp.full((1, 3), 4.5)), np.full((1, 3), 2.0), err_msg="(4.5 - 0.5) / 2"
    )


@pytest.mark.parametrize("mode", ["off", "filter", "clip", "both"])
@pytest.mark.parametrize("name", [name for name, reward in REWARDS.items() if reward.inverse])
def test_clip_caps_the_reward_and_filter_does_not(name, mode):
    credo = changed(SMALL.credo, mode=mode, threshold=0.25, threshold_unit="logit")
    config = changed(reward=name, credo=credo)
    parts = make_parts(config, pendulum())
    network = jax.tree.map(lambda x: 20 * x, initial_state(parts, 0).discriminator.network)
    batches = experience().batches
    logit = parts.discriminator.logit(network, jnp.concatenate([batches.observation, batches.action], axis=-1))
    assert float(logit.min()) < 0.25 < float(logit.max())
    state = DiscriminatorState(network, ())
    reward = np.asarray(relabelled(parts, state, jax.tree.map(jnp.asarray, batches), None)[1])
    plain = np.asarray(REWARDS[name](logit))
    cap = float(REWARDS[name](jnp.float32(0.25)))
    expected = np.minimum(plain, cap) if mode in ("clip", "both") else plain
    np.testing.assert_allclose(reward, expected, rtol=1e-6)


def test_an_actor_that_clones_is_given_pairs_of_the_demonstrations():
    """As many as a batch has steps, normalised, each observation with its own action, drawn anew for every update."""
    parts = make_parts(changed(td3=dataclasses.replace(SMALL.td3, cloning_weight=1.0)), pendulum())
    action = np.linspace(-1, 1, 30, dtype=np.float32)[:, None]
    statistics = np.full(3, 0.5, np.float32), np.full(3, 2.0, np.float32)
    constants = make_constants(parts, statistics, np.repeat(action, 3, axis=1), action)
    _, batches, _ = learned_from(parts, initial_state(parts, 0), constants, experience(), jax.random.key(1))
    pairs = batches.demonstrated
    assert pairs.observation.shape == (UPDATES, BATCH, 3)
    assert pairs.action.shape == (UPDATES, BATCH, 1)
    np.testing.assert_allclose(pairs.observation, np.repeat((pairs.action - 0.5) / 2.0, 3, axis=-1), rtol=1e-6)
    drawn = np.asarray(pairs.action)[..., 0]
    assert set(drawn.ravel()) <= set(action.ravel())
    assert len(set(drawn.ravel())) > 8
    assert not np.array_equal(drawn[0], drawn[1])
    without = make_parts(SMALL, pendulum())
    assert make_constants(without, statistics, np.repeat(action, 3, axis=1), action).demonstrated is None


def test_a_bad_update_brings_the_state_before_the_round_back():
    def spoilt(state):
        layer = state.learner.critics[0][0]
        critics = ((layer._replace(bias=layer.bias.at[0].set(jnp.inf)), *state.learner.critics[0][1:]),)
        return state._replace(learner=state.learner._replace(critics=(*critics, state.learner.critics[1])))

    _, _, before, after, metrics = one_round(spoilt)
    assert float(metrics["finite"]) == 0.0
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(old, new)


def test_saturation_and_outliers_are_measured():
    def saturated(state):
        last = state.learner.actor[-1]
        actor = (*state.learner.actor[:-1], last._replace(bias=last.bias + 50.0))
        return state._replace(learner=state.learner._replace(actor=actor))

    *_, metrics = one_round(saturated)
    assert float(metrics["action_saturation"]) == 1.0
    assert float(metrics["actor_gradient_max"]) == 0.0
    assert float(metrics["outlier_share"]) == 1.0, "measured where CREDO is off too"
    assert float(metrics["filtered_share"]) == 0.0
    quantiles = [float(metrics[f"expert_logit_q{q}"]) for q in ("05", "50", "95")]
    assert quantiles == sorted(quantiles)
