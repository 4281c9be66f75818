"""The policy's reward: absorbing states on hand-built episodes, clipping, normalisation, and real rounds with them."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest

from credo import run_folder
from credo.demonstrations import from_episodes
from credo.discriminator.model import DiscriminatorState
from credo.environments import Episode
from credo.environments.probes import TimeLimitProbe
from credo.moments import add, deviation, empty
from credo.policies import load_policy
from credo.training.relabel import relabelled
from credo.training.seed import draw_experience, make_seed
from credo.training.state import initial_state, make_constants, make_parts
from credo.types import Transition
from training.linear_discriminator import BATCH, SPEC, linear, settings
from training.training_runs import rows, run


def test_a_terminated_step_brings_the_absorbing_state_for_ever_and_a_truncated_one_does_not():
    parts = make_parts(settings(absorbing_states=True), SPEC)
    # logit = 2 s + 10 a - 0.3 indicator: 7, 9, 11; and -0.3 for ever: 0.99 / 0.01 * -0.3 = -29.7.
    state = linear(parts, 2.0, -0.3, 10.0)
    _, reward, metrics = relabelled(parts, state, BATCH, None)
    np.testing.assert_allclose(reward, [7.0, 9.0, 11.0 - 29.7], rtol=1e-5)
    assert float(metrics["absorbing_reward"]) == pytest.approx(-0.3, rel=1e-5)
    truncated = BATCH._replace(terminated=jnp.zeros(3, bool))
    np.testing.assert_allclose(relabelled(parts, state, truncated, None)[1], [7.0, 9.0, 11.0], rtol=1e-6)


def test_it_is_the_value_of_a_chain_with_an_absorbing_state():
    """Value iteration on s1 -> s2 -> s3 -> absorbing, which returns to itself with reward -0.3."""
    parts = make_parts(settings(absorbing_states=True), SPEC)
    _, reward, _ = relabelled(parts, linear(parts, 2.0, -0.3, 10.0), BATCH, None)
    discount = parts.config.learner_config.discount
    chain = np.zeros(4)
    for _ in range(5000):
        chain = np.array([7.0, 9.0, 11.0, -0.3]) + discount * chain[[1, 2, 3, 3]]
    value = 0.0
    for step in (2, 1, 0):
        value = float(reward[step]) + discount * (not BATCH.terminated[step]) * value
    assert value == pytest.approx(chain[0], rel=1e-4)


def test_next_states_after_a_termination_are_the_absorbing_one():
    parts = make_parts(settings(absorbing_states=True, inputs="ss"), SPEC)
    state = linear(parts, 0.0, 0.0, 1.0, 50.0)
    _, reward, _ = relabelled(parts, state, BATCH, None)
    np.testing.assert_allclose(reward, [2.0, 3.0, 50.0 + 99 * 50.0], rtol=1e-5)


def test_demonstrations_stay_in_the_absorbing_state_once_for_each_termination():
    parts = make_parts(settings(absorbing_states=True, inputs="sas"), SPEC)
    observation = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)
    action = np.full((4, 1), 0.5, np.float32)
    statistics = (np.ones(1, np.float32), np.full(1, 2.0, np.float32))
    ends = np.array([False, True, False, True])
    constants = make_constants(parts, statistics, observation, action, observation + 1, ends)
    np.testing.assert_allclose(
        constants.expert_inputs,
        [
            [0.0, 0, 0.5, 0.5, 0],
            [0.5, 0, 0.5, 0.0, 1],
            [1.0, 0, 0.5, 1.5, 0],
            [1.5, 0, 0.5, 0.0, 1],
            [0, 1, 0, 0, 1],
            [0, 1, 0, 0, 1],
        ],
    )
    none = make_constants(parts, statistics, observation, action, observation + 1, np.zeros(4, bool))
    assert none.expert_inputs.shape == (4, 5)


@pytest.mark.parametrize("samples", ["replay", "fresh"])
@pytest.mark.parametrize("terminates", [True, False])
def test_the_policys_side_has_a_stay_for_each_termination(terminates, samples):
    config = dataclasses.replace(
        settings(absorbing_states=True, updates_per_round=40, batch_size=50, policy_samples=samples), steps=4096
    )
    seed = make_seed(config, functools.partial(TimeLimitProbe, 4, terminates), 0, None)
    ended = (np.arange(16) % 4 == 3)[:, None]
    zeros = np.zeros((16, 1, 1), np.float32)
    steps = Transition(zeros, zeros, zeros[..., 0], zeros, ended & terminates)
    seed.replay.add(steps, ended)
    found = draw_experience(config, seed, steps, 3)
    seed.environments.close()
    seed.evaluator.close()
    share = found.policy_absorbing.mean()
    # 4 terminations and 16 steps: one in five.
    assert share == pytest.approx(0.2 if terminates else 0.0, abs=0.02)
    assert (share > 0) == terminates


def test_the_reward_is_clipped_and_divided_by_its_running_deviation():
    parts = make_parts(settings(reward_clip=8.0, reward_normalisation=True), SPEC)
    state = linear(parts, 2.0, 10.0)
    state, reward, metrics = relabelled(parts, state, BATCH, None)
    clipped = np.array([7.0, 8.0, 8.0])
    assert float(metrics["reward_scale"]) == pytest.approx(clipped.std(), rel=1e-5)
    np.testing.assert_allclose(reward, clipped / clipped.std(), rtol=1e-5)
    second = BATCH._replace(observation=-BATCH.observation)
    state, reward, metrics = relabelled(parts, state, second, None)
    everything = np.array([7.0, 8.0, 8.0, 3.0, 1.0, -1.0])
    assert float(metrics["reward_scale"]) == pytest.approx(everything.std(), rel=1e-5)
    np.testing.assert_allclose(reward, everything[3:] / everything.std(), rtol=1e-5)


def test_the_reward_is_multiplied_last_and_the_absorbing_states_with_it():
    parts = make_parts(settings(reward_clip=8.0, reward_factor=4.0, absorbing_states=True), SPEC)
    _, reward, metrics = relabelled(parts, linear(parts, 2.0, -0.3, 10.0), BATCH, None)
    np.testing.assert_allclose(reward, [28.0, 32.0, 4 * (8.0 - 29.7)], rtol=1e-5)
    assert float(metrics["absorbing_reward"]) == pytest.approx(-1.2, rel=1e-5)
    parts = make_parts(settings(reward_normalisation=True, reward_factor=4.0), SPEC)
    _, reward, metrics = relabelled(parts, linear(parts, 2.0, 10.0), BATCH, None)
    values = np.array([7.0, 9.0, 11.0])
    assert float(metrics["reward_scale"]) == pytest.approx(values.std(), rel=1e-5), "of the reward without the factor"
    np.testing.assert_allclose(reward, 4 * values / values.std(), rtol=1e-5)


def test_an_actions_cost_is_taken_from_the_reward_last_of_all():
    action = jnp.array([[0.5, -1.0], [0.0, 0.0], [-1.0, 1.0]])
    spec = SPEC._replace(action_size=2, action_low=-np.ones(2, np.float32), action_high=np.ones(2, np.float32))
    for cost in (2.0, -1.0):
        parts = make_parts(settings(reward_clip=8.0, reward_factor=4.0, action_cost=cost), spec)
        _, reward, _ = relabelled(parts, linear(parts, 2.0, 10.0, 0.0), BATCH._replace(action=action), None)
        # 2 s + 10 a: 7, 4 and -4; times 4; mean squares 0.625, 0 and 1.
        np.testing.assert_allclose(reward, np.array([28.0, 16.0, -16.0]) - cost * np.array([0.625, 0.0, 1.0]))
    batch = BATCH._replace(action=jnp.array([[0.5], [0.0], [-1.0]]))
    square = np.array([0.25, 0.0, 1.0])
    for further in ({"absorbing_states": True}, {"reward_normalisation": True}):
        weights = (2.0, -0.3, 10.0) if "absorbing_states" in further else (2.0, 10.0)
        found = []
        for cost in (0.0, 2.0):
            parts = make_parts(settings(action_cost=cost, **further), SPEC)
            found.append(relabelled(parts, linear(parts, *weights), batch, None))
        (_, free, measured), (_, costly, same) = found
        # Staying in an absorbing state costs nothing, and the deviation is of the reward without the cost.
        np.testing.assert_allclose(costly, free - 2.0 * square, rtol=1e-5)
        assert measured == same


def test_moments_of_chunks_are_the_moments_of_all():
    values = np.random.default_rng(0).normal(50.0, 2.0, 600).astype(np.float32)
    moments = empty()
    for chunk in np.split(values, [7, 100, 101, 400]):
        moments = add(moments, jnp.asarray(chunk))
    assert float(moments.mean) == pytest.approx(values.mean(), rel=1e-5)
    assert float(deviation(moments)) == pytest.approx(values.std(), rel=1e-3)
    assert float(deviation(add(empty(), jnp.ones(5)))) > 0, "equal rewards are divided by something"


def falling(steps, terminated):
    return Episode(
        observation=np.zeros((steps + 1, 1), np.float32),
        action=np.full((steps, 1), 0.1, np.float32),
        reward=np.ones(steps, np.float32),
        terminated=terminated,
        truncated=not terminated,
        success=None,
    )


def finished(folder, config, *budgets):
    """A run over a probe whose episodes terminate, gone on with as the budgets say; its metrics and evaluations."""
    data = from_episodes([falling(4, True), falling(4, True), falling(5, False)], "probe")
    for steps in budgets:
        run(folder, dataclasses.replace(config, steps=steps), functools.partial(TimeLimitProbe, 4, True), data)
    return rows(folder, run_folder.METRICS, 0), rows(folder, run_folder.EVALUATIONS, 0)


def test_a_run_with_absorbing_states_resumes_exactly_and_exports_a_plain_policy(tmp_path):
    config = settings(
        absorbing_states=True,
        inputs="sas",
        reward_normalisation=True,
        reward_clip=3.0,
        regularisers=("dropout", "spectral-normalisation", "weight-decay", "learning-rate-decay"),
    )
    config = dataclasses.replace(config, evaluation_interval=48, checkpoint_interval=48)
    metrics, evaluations = finished(tmp_path / "whole", config, 96)
    resumed, _ = finished(tmp_path / "half", config, 48, 96)
    for column, values in metrics.items():
        np.testing.assert_array_equal(resumed[column], values, err_msg=column)
    assert np.isfinite(metrics["absorbing_reward"][-1])
    assert metrics["discriminator_action_slope"][-1] > 0
    assert 0 < evaluations["expert_probability_held_out"][-1] < 1
    assert load_policy(run_folder.policy_path(tmp_path / "whole", 0)).observation_size == 1


def test_a_run_of_airl_on_states_measures_no_slope_in_the_action(tmp_path):
    config = dataclasses.replace(settings(kind="airl-state"), learner="sac", evaluation_interval=48)
    metrics, evaluations = finished(tmp_path / "run", config, 48)
    assert np.isfinite(metrics["discriminator_loss"][-1])
    assert metrics["discriminator_action_slope"][-1] == 0.0
    assert 0 < evaluations["expert_probability_policy"][-1] < 1


def test_the_default_state_has_no_statistics():
    state = initial_state(make_parts(settings(), SPEC), 0)
    assert isinstance(state.discriminator, DiscriminatorState)
    assert state.discriminator.rewards == ()


def test_the_reward_is_clipped_on_both_sides():
    parts = make_parts(settings(reward_clip=8.0), SPEC)
    low = BATCH._replace(observation=-10 * BATCH.observation)
    np.testing.assert_allclose(relabelled(parts, linear(parts, 2.0, 10.0), low, None)[1], [-8.0, -8.0, -8.0])


def test_the_absorbing_reward_is_clipped_and_divided_as_others_are():
    clipped = make_parts(settings(absorbing_states=True, reward_clip=8.0), SPEC)
    _, reward, metrics = relabelled(clipped, linear(clipped, 2.0, 50.0, 10.0), BATCH, None)
    assert float(metrics["absorbing_reward"]) == 8.0
    np.testing.assert_allclose(reward, [7.0, 8.0, 8.0 + 99 * 8.0], rtol=1e-5)
    scaled = make_parts(settings(absorbing_states=True, reward_normalisation=True), SPEC)
    _, _, metrics = relabelled(scaled, linear(scaled, 2.0, -0.3, 10.0), BATCH, None)
    assert float(metrics["absorbing_reward"]) == pytest.approx(-0.3 / np.array([7.0, 9.0, 11.0]).std(), rel=1e-5)
