"""The probes are what they say, since learners are judged by them."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from credo.environments import rollout_episodes
from credo.environments.probes import (
    ActionReward,
    ConstantReward,
    DelayedReward,
    ObservationActionReward,
    ObservationReward,
    PointMass,
    TimeLimitProbe,
    point_mass_expert,
)


def constant_policy(value: float):
    return lambda observation: np.full((len(observation), 1), value, np.float32)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "probe",
    [
        ConstantReward,
        ObservationReward,
        DelayedReward,
        ActionReward,
        ObservationActionReward,
        TimeLimitProbe,
        PointMass,
    ],
)
def test_follows_gymnasium(probe):
    check_env(probe(), skip_render_check=True)
    assert isinstance(probe(), gymnasium.Env)


@pytest.mark.parametrize(
    ("probe", "observations", "rewards"),
    [
        (ConstantReward, [[0], [0]], [1]),
        (DelayedReward, [[0], [1], [2]], [0, 1]),
        (ActionReward, [[0], [0]], [-0.0625]),
        (functools.partial(TimeLimitProbe, 3, True), [[0], [0], [0], [0]], [1, 1, 1]),
    ],
)
def test_fixed_courses(probe, observations, rewards):
    (episode,) = rollout_episodes(probe, constant_policy(0.25), 1, seed=0)
    np.testing.assert_array_equal(episode.observation, observations)
    np.testing.assert_allclose(episode.reward, rewards)
    assert episode.terminated


def test_observation_rewards():
    episodes = rollout_episodes(ObservationReward, constant_policy(0), 40, seed=0)
    assert {float(episode.reward[0]) for episode in episodes} == {-1.0, 1.0}
    assert all(episode.reward[0] == episode.observation[0, 0] for episode in episodes)
    for policy, best in ((lambda o: o / 2, 0.0), (lambda o: -o / 2, -1.0)):
        for episode in rollout_episodes(ObservationActionReward, policy, 10, seed=0):
            assert episode.reward[0] == best


def test_time_limit_values():
    assert TimeLimitProbe(5).value(0.9) == pytest.approx(10)
    assert TimeLimitProbe(1, terminates=True).value(0.9) == 1
    assert TimeLimitProbe(5, terminates=True).value(0.9) == pytest.approx(1 / (1 - 0.9 * 0.8))
    # With a trace of 1 the mean of whole returns: 1, 1.9 and 2.71 where three steps terminate.
    assert TimeLimitProbe(3, terminates=True).value(0.9, 1.0) == pytest.approx(5.61 / 3)
    # Late and terminated, whole returns are 1, 0.9 and 0.81. Cut off, each goes on with 0.9^steps left times the value.
    assert TimeLimitProbe(3, terminates=True, late=True).value(0.9, 1.0) == pytest.approx(2.71 / 3)
    assert TimeLimitProbe(3, late=True).value(0.9, 1.0) == pytest.approx(2.71 / (3 - 0.9 - 0.81 - 0.729))
    (episode,) = rollout_episodes(functools.partial(TimeLimitProbe, 3, late=True), constant_policy(0), 1, seed=0)
    np.testing.assert_array_equal(episode.reward, [0, 0, 1])
    (episode,) = rollout_episodes(functools.partial(TimeLimitProbe, 5), constant_policy(0), 1, seed=0)
    assert (episode.terminated, episode.truncated, len(episode.reward)) == (False, True, 5)


def test_point_mass_expert_is_far_better_than_chance():
    generator = np.random.default_rng(0)
    expert = rollout_episodes(PointMass, point_mass_expert, 30, seed=0)
    random = rollout_episodes(PointMass, lambda o: generator.uniform(-1, 1, (len(o), 2)), 30, seed=0)
    returns = [np.array([episode.reward.sum() for episode in run]) for run in (expert, random)]
    assert returns[0].min() > 35
    assert returns[0].mean() > returns[1].mean() + 20
    assert all(episode.success and episode.truncated for episode in expert)
    assert sum(bool(episode.success) for episode in random) <= 3
    assert point_mass_expert(np.zeros(4)).shape == (2,)
