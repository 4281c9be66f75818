"""The reward-free measures, against SciPy and by their properties."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from credo.diagnostics.imitation import action_error, occupancy_distance
from credo.random import Purpose, host_generator

OBSERVATIONS, ACTIONS, HORIZON = 4, 2, 100
MEAN, STD = np.array([1.0, -2.0, 0.0, 5.0]), np.array([0.5, 2.0, 1.0, 3.0])


class Played(NamedTuple):
    observation: np.ndarray
    action: np.ndarray
    terminated: bool


def played(generator: np.random.Generator, length: int, terminated: bool, shift: float = 0.0) -> Played:
    observation = MEAN + STD * (generator.standard_normal((length + 1, OBSERVATIONS)) + shift)
    return Played(observation, generator.uniform(-1, 1, (length, ACTIONS)), terminated)


def distance(expert: list[Played], policy: list[Played], **options) -> float:
    return occupancy_distance(
        np.concatenate([e.observation[:-1] for e in expert]),
        np.concatenate([e.action for e in expert]),
        np.array([len(e.action) if e.terminated else HORIZON for e in expert]),
        np.array([len(e.action) for e in expert]),
        policy,
        MEAN,
        STD,
        HORIZON,
        **options,
    )


def padded(episodes: list[Played]) -> tuple[np.ndarray, np.ndarray]:
    """Samples and weights with the absorbing padding written out, one row a step."""
    rows, weights = [], []
    for e in episodes:
        alive = np.concatenate([(e.observation[:-1] - MEAN) / STD, e.action], axis=1)
        alive = np.concatenate([alive, np.zeros((len(alive), 1))], axis=1)
        absorbing = np.zeros((HORIZON - len(alive) if e.terminated else 0, alive.shape[1]))
        absorbing[:, -1] = np.sqrt(OBSERVATIONS + ACTIONS)
        rows.append(np.concatenate([alive, absorbing]))
        weights.append(np.full(len(rows[-1]), 1 / len(rows[-1])))
    return np.concatenate(rows), np.concatenate(weights)


def test_matches_scipy_with_the_padding_written_out():
    generator = np.random.default_rng(0)
    expert = [played(generator, 100, False), played(generator, 100, False)]
    policy = [played(generator, 30, True, 0.5), played(generator, 100, False), played(generator, 60, False)]
    directions = host_generator(3, Purpose.MEASURE).standard_normal((7, OBSERVATIONS + ACTIONS + 1))
    directions = directions.astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    (expert_rows, expert_weights), (policy_rows, policy_weights) = padded(expert), padded(policy)
    expected = np.mean(
        [wasserstein_distance(expert_rows @ d, policy_rows @ d, expert_weights, policy_weights) for d in directions]
    )
    assert distance(expert, policy, projections=7, seed=3) == pytest.approx(expected, rel=1e-5)


def test_an_expert_that_falls_is_matched_too():
    generator = np.random.default_rng(1)
    expert = [played(generator, 100, False), played(generator, 40, True)]
    (rows, weights), (policy_rows, policy_weights) = padded(expert), padded(expert[:1])
    # The expert's rows share its living mass equally: 0.7 over 140 rows.
    weights = np.where(rows[:, -1] > 0, 0.3 / 60, 0.7 / 140)
    directions = host_generator(0, Purpose.MEASURE).standard_normal((5, OBSERVATIONS + ACTIONS + 1))
    directions = directions.astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.mean([wasserstein_distance(rows @ d, policy_rows @ d, weights, policy_weights) for d in directions])
    assert distance(expert, expert[:1], projections=5) == pytest.approx(expected, rel=1e-5)


def test_zero_for_equal_sets_in_any_order():
    generator = np.random.default_rng(2)
    expert = [played(generator, n, n < HORIZON) for n in (100, 20, 70)]
    assert distance(expert, expert[::-1]) == pytest.approx(0, abs=1e-5)


def test_grows_the_earlier_the_policy_falls_even_if_every_step_is_the_experts():
    generator = np.random.default_rng(3)
    expert = [played(generator, 100, False) for _ in range(20)]

    def fall(length: int) -> float:
        return distance(expert, [Played(e.observation[: length + 1], e.action[:length], True) for e in expert])

    distances = [fall(length) for length in (99, 80, 60, 40, 20, 5, 1)]
    assert np.all(np.diff(distances) > 0)
    assert distances[0] < 0.05
    assert 0.8 < distances[-1] < 1.3


def test_a_cut_off_episode_is_no_fall():
    generator = np.random.default_rng(4)
    expert = [played(generator, 100, False) for _ in range(20)]
    cut = [Played(e.observation[:51], e.action[:50], False) for e in expert]
    fallen = [e._replace(terminated=True) for e in cut]
    assert distance(expert, cut) < 0.1 < 0.4 < distance(expert, fallen)


def test_every_episode_of_the_expert_has_the_same_mass_however_many_of_its_rows_are_there():
    """Two that were cut off after 100 and 20 steps, in different places: who plays the same is at no distance."""
    generator = np.random.default_rng(9)
    expert = [played(generator, 100, False), played(generator, 20, False, shift=3.0)]
    assert distance(expert, expert) == pytest.approx(0.0, abs=1e-6)
    assert distance(expert[:1] * 2, expert) > 0.5


def test_subsampled_demonstrations_count_their_true_lengths():
    generator = np.random.default_rng(5)
    expert = played(generator, 100, False)
    sparse = occupancy_distance(
        expert.observation[:-1:10], expert.action[::10], np.array([100]), np.array([10]), [expert], MEAN, STD, HORIZON
    )
    assert sparse < 0.3


def test_a_dimension_in_which_the_expert_hardly_moves_does_not_outweigh_all_others():
    generator = np.random.default_rng(6)
    expert = [played(generator, 100, False)]
    moved = [e._replace(observation=e.observation + np.array([1e6, 0, 0, 0])) for e in expert]
    assert distance(expert, moved) < 10


def test_nan_without_samples():
    generator = np.random.default_rng(7)
    empty = Played(np.zeros((1, OBSERVATIONS)), np.zeros((0, ACTIONS)), True)
    assert np.isnan(distance([played(generator, 100, False)], []))
    assert np.isnan(distance([played(generator, 100, False)], [empty]))
    assert np.isnan(distance([empty], [played(generator, 100, False)]))


def test_fast_enough_for_every_evaluation():
    generator = np.random.default_rng(8)
    expert = generator.standard_normal((5000, 11)), generator.uniform(-1, 1, (5000, 3))
    episodes = [
        Played(generator.standard_normal((1001, 11)), generator.uniform(-1, 1, (1000, 3)), False) for _ in range(3)
    ]
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        occupancy_distance(*expert, np.full(5, 1000), np.full(5, 1000), episodes, np.zeros(11), np.ones(11), 1000)
        seconds.append(time.process_time() - begin)
    # 25 ms here; the bound leaves room for other machines.
    assert min(seconds) < 0.15


def test_action_error_is_the_root_mean_square_over_samples_and_dimensions():
    observation = np.zeros((2, 3))
    action = np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert action_error(lambda o: np.zeros((len(o), 2)), observation, action) == pytest.approx(np.sqrt(0.5))
    assert action_error(lambda o: action, observation, action) == 0
    assert np.isnan(action_error(lambda o: action, np.zeros((0, 3)), np.zeros((0, 2))))
