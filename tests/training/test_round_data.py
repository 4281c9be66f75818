"""What real rounds put into the replay, and when they begin to learn."""

import functools

import jax
import numpy as np
import pytest

from credo import run_folder
from credo.environments.probes import AutoresetProbe, TimeLimitProbe
from credo.random import Purpose, host_generator
from credo.training.seed import Recorder, draw_experience, make_seed
from training.training_runs import REWARDED, changed, rows, run


def trained_seeds(folder, config, source=None):
    kept = []
    run(folder, config, source, on_round=lambda progress: kept.append(progress.seeds))
    return kept[-1]


@pytest.mark.parametrize("execution", ["threads", "vmap"])
@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("terminates", [True, False])
def test_successors_at_episode_ends_are_true_and_truncation_is_no_termination(terminates, lanes, execution, tmp_path):
    length = 5  # no divisor of a round's steps: episodes cross rounds
    config = changed(
        REWARDED,
        environment="probe",
        steps=96,
        seeds=2,
        environments_per_seed=lanes,
        execution=execution,
        updates_per_round=0,
        evaluation_interval=1000,
    )
    seeds = trained_seeds(tmp_path / "run", config, functools.partial(AutoresetProbe, length, terminates))
    for seed in seeds:
        held = seed.replay.gather(seed.replay._slots_of(seed.replay.oldest, seed.replay.written).T.ravel())
        episode, step = held.observation.T
        assert len(episode) == 96
        np.testing.assert_array_equal(held.next_observation[:, 0], episode)
        np.testing.assert_array_equal(held.next_observation[:, 1], step + 1)
        np.testing.assert_array_equal(held.reward, step + 1)
        ends = held.next_observation[:, 1] == length
        assert ends.sum() == (96 // lanes // length) * lanes
        np.testing.assert_array_equal(held.terminated, ends & terminates)
        for lane in range(lanes):
            of_lane = slice(lane * 96 // lanes, (lane + 1) * 96 // lanes)
            counted = np.arange(96 // lanes)
            np.testing.assert_array_equal(step[of_lane], counted % length)
            np.testing.assert_array_equal(episode[of_lane] - episode[0], counted // length)


@pytest.mark.parametrize("lanes", [1, 2])
def test_exactly_the_first_actions_are_uniform(lanes, tmp_path):
    config = changed(REWARDED, random_steps=24, steps=64, environments_per_seed=lanes, first_seed=3)
    (seed,) = trained_seeds(tmp_path / "run", config)
    per_lane = 64 // lanes
    stored = seed.replay.action[:, 0].reshape(lanes, per_lane).T.ravel()  # in the order of steps
    uniform = np.concatenate(
        [
            host_generator(3, Purpose.ACT, number).uniform(-1, 1, (16 // lanes, lanes, 1)).astype(np.float32).ravel()
            for number in range(4)
        ]
    )
    same = stored == uniform
    assert same[:24].all()
    assert not same[24:].any()


@pytest.mark.parametrize(("learning_starts", "first"), [(0, 16), (16, 16), (17, 32), (32, 32), (33, 48)])
def test_the_first_update_has_at_least_so_many_steps(learning_starts, first, tmp_path):
    config = changed(REWARDED, learning_starts=learning_starts, steps=64)
    run(tmp_path / "run", config)
    metrics = rows(tmp_path / "run", run_folder.METRICS, 0)
    assert metrics["step"][np.isfinite(metrics["critic_loss"])].min() == first


def test_episode_returns_are_recorded_when_episodes_end(tmp_path):
    config = changed(REWARDED, environment="probe", steps=64, updates_per_round=0)
    run(tmp_path / "run", config, functools.partial(TimeLimitProbe, 20))
    metrics = rows(tmp_path / "run", run_folder.METRICS, 0)
    np.testing.assert_array_equal(metrics["episode_return"], [np.nan, 20, 20, 20])
    np.testing.assert_array_equal(metrics["episode_length"], [np.nan, 20, 20, 20])


@pytest.mark.parametrize(("learner", "batches"), [("ddpg", 1), ("td3", 1), ("sd3", 2), ("sac", 1)])
def test_an_update_gets_a_batch_for_each_pair_that_it_trains(learner, batches):
    config = changed(REWARDED, learner=learner, environment="Pendulum-v1")
    seed = make_seed(config, config.environment, 0, None)
    try:
        steps = Recorder(config, seed).steps
        seed.replay.add(jax.tree.map(np.zeros_like, steps), np.zeros(steps.reward.shape, bool))
        drawn = draw_experience(config, seed, steps, 0).batches
    finally:
        seed.environments.close()
        seed.evaluator.close()
    assert drawn.reward.shape == (config.updates_per_round, batches * config.learner_config.batch_size)
