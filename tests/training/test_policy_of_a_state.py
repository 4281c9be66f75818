"""The policy that a run leaves, and that acts on the host, is the learner's mode of normalised observations."""

import types

import gymnasium
import jax
import numpy as np
import pytest

from credo.environments import specification
from credo.environments.probes import PointMass
from credo.learners import LEARNERS
from credo.policies import load_policy, onnx_bytes, save_policy
from credo.training.acting import host_actor
from credo.training.state import initial_state, make_constants, make_parts, policy_of
from credo.types import EnvironmentSpec
from training.training_runs import ON_POLICY, changed

SPEC = EnvironmentSpec("Pendulum-v1", 3, 1, np.array([-1.0], np.float32), np.array([4.0], np.float32), 200)
MEAN, DEVIATION = np.array([0.5, -1.0, 0.0], np.float32), np.array([0.25, 1.0, 8.0], np.float32)
OBSERVATION = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32) * DEVIATION + MEAN


def made(learner):
    parts = make_parts(changed(ON_POLICY, learner=learner, environments_per_seed=2), SPEC)
    constants = make_constants(parts, (MEAN, DEVIATION), np.zeros((5, 3)), np.zeros((5, 1)))
    # Larger weights, so that what the policy is shown makes a difference to it.
    state = jax.tree.map(lambda x: 8 * x if x.ndim == 2 else x, initial_state(parts, 0).learner)
    mode = np.asarray(parts.learner.mode(state, (OBSERVATION - MEAN) / DEVIATION))
    assert mode.std() > 0.02
    return parts, constants, initial_state(parts, 0)._replace(learner=state), mode


@pytest.mark.parametrize("learner", [name for name in LEARNERS if name != "bc"])
def test_the_policy_normalises_as_the_learner_was_shown_and_acts_between_the_bounds(learner):
    parts, constants, state, mode = made(learner)
    policy = policy_of(parts, constants, state, {})
    np.testing.assert_allclose(policy.normalised_action(OBSERVATION), mode, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(policy(OBSERVATION), 1.5 + 2.5 * mode, rtol=1e-4, atol=1e-4)


class Narrow(PointMass):
    """A box of float64 whose bounds float32 cannot hold."""

    def __init__(self):
        super().__init__()
        self.action_space = gymnasium.spaces.Box(-0.3, 0.1, (2,), np.float64)


def test_a_policys_actions_lie_in_its_environments_box_and_so_do_those_of_its_files(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    spec, space = specification(Narrow), Narrow().action_space
    parts = make_parts(changed(ON_POLICY, learner="td3"), spec)
    constants = make_constants(parts, (np.zeros(4), np.ones(4)), np.zeros((5, 4)), np.zeros((5, 2)))
    learner = jax.tree.map(lambda x: 1e3 * x if x.ndim == 2 else x, initial_state(parts, 0).learner)
    policy = policy_of(parts, constants, initial_state(parts, 0)._replace(learner=learner), {})
    save_policy(tmp_path / "policy.safetensors", policy)
    (tmp_path / "policy.onnx").write_bytes(onnx_bytes(policy))
    policies = [policy, *(load_policy(tmp_path / f"policy.{ending}") for ending in ("safetensors", "onnx"))]
    for observation in np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32):
        for each in policies:
            assert np.abs(each.normalised_action(observation)).max() > 0.99
            assert space.contains(each(observation))


def test_what_acts_on_the_host_is_the_mode_and_noise_of_every_steps_own():
    """Of a step: the same in every call. Of two steps: the same mode, and another deviation from it."""
    parts, constants, state, mode = made("ppo")
    seed = types.SimpleNamespace(number=0, environments=types.SimpleNamespace(observation=OBSERVATION[:2]))
    act = host_actor(parts, constants, state, seed, 3)
    steps = parts.config.steps_per_round // 2
    noise = np.stack([act(index) for index in range(steps)]) - mode[:2]
    np.testing.assert_array_equal(act(1), act(1))
    assert len(np.unique(noise.round(5))) == 2 * steps
    assert abs(noise.mean()) < 0.8 * np.exp(0.5)
    assert noise.std() == pytest.approx(np.exp(0.5), rel=0.5)
    other = host_actor(parts, constants, state, seed, 4)
    assert not np.any(np.isclose(other(0), act(0)))
