"""The numbers of an evaluation by hand, which episodes are held out, and which policy is kept."""

import dataclasses
import types

import numpy as np
import pytest

from credo.demonstrations import from_episodes
from credo.diagnostics.imitation import occupancy_distance
from credo.diagnostics.selection import badness
from credo.environments import Episode
from credo.training.evaluate import (
    distance_between_demonstrations,
    divided,
    evaluate,
    expert_probability,
    separated,
)
from credo.training.state import SPLIT_SEED, initial_state, make_constants, make_parts
from credo.training.stopping import Stop
from training.linear_discriminator import SPEC, linear, settings


def episode(length, start, terminated=False, reward=1.0, success=None):
    """Observations that count on from ``start``."""
    numbers = start + np.arange(length + 1, dtype=np.float32)[:, None]
    rewards = np.full(length, reward, np.float32)
    return Episode(numbers, np.full((length, 1), 0.1, np.float32), rewards, terminated, not terminated, success)


def measured(distance, returned, success=np.nan):
    return {"occupancy_distance": distance, "return_mean": returned, "success_rate": success}


def test_the_nearest_policy_is_kept_and_without_demonstrations_the_best():
    assert badness(measured(0.2, 1.0)) < badness(measured(0.9, 5.0))
    assert badness(measured(np.nan, 5.0)) < badness(measured(np.nan, 1.0))


def test_success_comes_before_the_distance_where_the_environment_tells_it():
    assert badness(measured(30.0, 1.0, success=0.6)) < badness(measured(0.1, 5.0, success=0.4))
    assert badness(measured(0.1, 1.0, success=1.0)) < badness(measured(0.2, 5.0, success=1.0))
    # Where no episode of an evaluation told of it, none is known to have succeeded.
    assert badness(measured(30.0, 1.0, success=0.2)) < badness(measured(0.1, 5.0))
    assert badness(measured(0.1, 5.0)) < badness(measured(0.2, 5.0, success=0.0))
    # Nor without demonstrations.
    assert badness(measured(np.nan, -40.0, success=1.0)) < badness(measured(np.nan, -10.0, success=0.0))
    assert badness(measured(np.nan, -10.0, success=1.0)) < badness(measured(np.nan, -40.0, success=1.0))


def test_how_far_demonstrations_are_from_each_other():
    """One number that is observed, no spread within an episode: by hand, a projection's distance is |its first
    entry| times the difference of the standardised numbers, which a still policy's would be, too."""

    def still(number, length=4):
        numbers = np.full((length + 1, 1), number, np.float32)
        ones = np.ones(length, np.float32)
        return Episode(numbers, np.zeros((length, 1), np.float32), ones, False, True, None)

    config = dataclasses.replace(settings(), held_out=0.2)
    data = from_episodes([still(number) for number in (0.0, 1.0, 2.0, 3.0, 4.0)], "probe")
    training, held_out = separated(config, SPEC, data)
    (held,) = np.unique(held_out.observation)
    numbers = [training.episode(index).observation[0, 0] for index in range(4)]

    def apart(group):
        played = [still(number) for number in group]
        return occupancy_distance(
            *(held_out.observation, held_out.action, held_out.lengths, held_out.rows, played),
            *(held_out.mean, held_out.std, held_out.horizon),
        )

    # An evaluation of one episode: each on its own, so the unit distance times the mean of the differences.
    unit = apart([held + 1.0])
    each = np.mean([abs(number - held) * unit for number in numbers])
    assert distance_between_demonstrations(held_out, training, 1) == pytest.approx(each, rel=1e-5)
    assert distance_between_demonstrations(held_out, training, 4) == pytest.approx(apart(numbers), rel=1e-5)
    assert distance_between_demonstrations(held_out, training, 9) == pytest.approx(apart(numbers), rel=1e-5)
    first = apart(numbers[:3])
    assert distance_between_demonstrations(held_out, training, 3) == pytest.approx(first, rel=1e-5), "whole groups"
    assert np.isnan(distance_between_demonstrations(held_out, training.subsample(2, 0), 1))


def test_held_out_episodes_are_kept_from_the_discriminator_and_the_statistics():
    parts = make_parts(dataclasses.replace(settings(), held_out=0.34), SPEC)
    data = from_episodes([episode(5, 100 * index) for index in range(3)], "probe")
    constants, held_out = divided(parts, data)
    split = data.split_held_out(0.34, SPLIT_SEED)
    mean, deviation = split.training.statistics()
    np.testing.assert_array_equal(held_out.observation, split.held_out.observation)
    np.testing.assert_array_equal(constants.observation_mean, mean)
    seen = (split.training.observation - mean) / deviation
    np.testing.assert_allclose(constants.expert_inputs[:, :1], seen, rtol=1e-5)


def test_a_row_is_of_the_episodes_that_were_played():
    parts = make_parts(settings(), SPEC)
    constants, held_out = divided(parts, from_episodes([episode(5, 100 * index) for index in range(20)], "probe"))
    held_out = held_out._replace(apart=0.375)
    played = [
        episode(5, -100, success=False),
        episode(3, -300, terminated=True, reward=2.0, success=True),
        episode(5, -500),  # says nothing: no success
    ]
    seed = types.SimpleNamespace(number=0, evaluator=types.SimpleNamespace(run=lambda *rest: played))
    policy = types.SimpleNamespace(normalised_action=lambda observation: np.zeros((len(observation), 1)))
    seen = []

    def probability(state, constants, observation, action, following, terminated):
        seen.append((observation, following, terminated))
        return 0.75 if (observation >= 0).all() else 0.25

    row = evaluate(parts, constants, seed, None, policy, held_out, probability, Stop())
    assert (row["expert_probability_held_out"], row["expert_probability_policy"]) == (0.75, 0.25)
    for observation, following, _ in seen:
        np.testing.assert_array_equal(following, observation + 1)
    observation, following, terminated = seen[1]
    assert observation.min() == -500
    np.testing.assert_array_equal(terminated, following[:, 0] == -297)  # the truncated ends are no such
    assert (row["return_min"], row["return_mean"], row["return_max"]) == (5.0, pytest.approx(16 / 3), 6.0)
    assert row["success_rate"] == pytest.approx(1 / 3)
    assert row["demonstration_distance"] == 0.375


def test_the_discriminator_is_asked_about_normalised_observations():
    parts = make_parts(settings(), SPEC)
    half = np.full(1, 0.5, np.float32), np.full(1, 2.0, np.float32)
    constants = make_constants(parts, half, np.zeros((9, 1), np.float32), np.zeros((9, 1), np.float32))
    state = initial_state(parts, 0)._replace(discriminator=linear(parts, 2.0, 0.0))
    one = np.array([[4.5]], np.float32)  # (4.5 - 0.5) / 2 = 2, whose logit is 4
    found = expert_probability(parts)(state, constants, one, 0 * one, one, np.zeros(1, bool))
    assert float(found) == pytest.approx(1 / (1 + np.exp(-4)), rel=1e-5)
