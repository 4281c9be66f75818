"""Demonstrations of stacked frames are those that the environment of stacked frames gives; demonstrations without
actions; logs that begin a replay."""

import dataclasses

import numpy as np
import pytest

from credo.demonstrations import (
    check_fits,
    check_loggable,
    fitted,
    from_episodes,
    inspect,
    lines,
    read_demonstrations,
    save_demonstrations,
    stack_frames,
)
from credo.demonstrations.formats.table import read_file
from credo.environments import Episode, environment_spec, make_environment, rollout_episodes, viewed
from credo.environments.probes import PointMass, point_mass_expert
from credo.types import CredoError


def spec(frames=1):
    return environment_spec(make_environment(viewed(PointMass, (), frames)), "PointMass")


@pytest.fixture(scope="module")
def single():
    return from_episodes(rollout_episodes(PointMass, point_mass_expert, 3, seed=0), "PointMass")


def test_stacking_a_recording_is_recording_the_stack(single):
    frames = 3
    episodes = rollout_episodes(
        viewed(PointMass, (), frames), lambda o: point_mass_expert(o[:, 4 * (frames - 1) :]), 3, seed=0
    )
    recorded = from_episodes(episodes, "PointMass")
    stacked = stack_frames(single, frames)
    assert stacked.sha256 == recorded.sha256
    np.testing.assert_array_equal(stacked.next_observation, recorded.next_observation)
    assert stacked.split_held_out(0.4, 0).training.observation_size == 12


def test_episodes_shorter_than_the_stack():
    observation = np.float32([[1], [2], [3]])
    episode = Episode(observation, np.zeros((2, 1), np.float32), None, True, False, None)
    stacked = stack_frames(from_episodes([episode], "x"), 5)
    assert stacked.observation.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 2]]
    assert stacked.successor.tolist() == [[1, 1, 1, 2, 3]]


def test_stacked_already_and_not_at_all(single):
    stacked = stack_frames(single, 2)
    assert fitted(stacked, spec(2), 2) is stacked
    assert fitted(single, spec(2), 2).sha256 == stacked.sha256
    assert fitted(single, spec()) is single
    with pytest.raises(CredoError, match="observation has 8 dimensions, but PointMass has 12"):
        fitted(stacked, spec(3), 3)


def test_left_out_transitions_cannot_be_stacked(single):
    for gappy in (single.subsample(5, 0), single.first_transitions(70)):
        with pytest.raises(CredoError, match="whole episodes"):
            stack_frames(gappy, 2)
    assert stack_frames(single, 2).subsample(5, 0).observation_size == 8


def test_a_last_step_without_a_successor_is_no_gap(single, tmp_path):
    """A reader leaves it out; of three steps every second is none that can be stacked, though one is missing there."""
    ends = np.isin(np.arange(len(single)), single.episode_start[1:] - 1)
    bounds = np.outer([-1, 1], np.ones(single.action_size))
    arrays = {"observations": single.observation, "actions": single.action, "terminals": np.zeros(len(single), bool)}
    np.savez(tmp_path / "d.npz", **arrays, timeouts=ends, action_bounds=bounds)
    read = read_file(tmp_path / "d.npz")
    assert (read.lengths - read.rows_per_episode).tolist() == [1] * single.episodes
    stacked = stack_frames(read, 3)
    whole = stack_frames(single, 3)
    np.testing.assert_array_equal(stacked.observation, whole.observation[~ends])
    np.testing.assert_array_equal(stacked.next_observation, whole.next_observation[~ends])
    episode = Episode(np.float32([[1], [2], [3], [4]]), np.zeros((3, 1), np.float32), None, False, True, None)
    three = from_episodes([episode], "x")
    every_second = next(d for d in (three.subsample(2, seed) for seed in range(9)) if len(d) == 2)
    with pytest.raises(CredoError, match="whole episodes"):
        stack_frames(every_second, 2)


@pytest.fixture(scope="module")
def without_actions(single):
    episodes = [single.episode(k) for k in range(single.episodes)]
    return from_episodes(
        [
            Episode(
                np.concatenate([e.observation, e.next_observation[-1:]]),
                np.zeros((len(e.action), 0)),
                None,
                e.terminated,
                e.truncated,
                None,
            )
            for e in episodes
        ],
        "PointMass",
    )


def test_demonstrations_without_actions_are_kept_and_described(without_actions, tmp_path):
    save_demonstrations(tmp_path / "x.safetensors", without_actions)
    again = read_demonstrations(tmp_path / "x.safetensors")
    assert again.sha256 == without_actions.sha256
    assert not again.has_actions
    check_fits(again, spec())
    assert again.subsample(7, 0).transitions(np.arange(3)).action.shape == (3, 0)
    assert not stack_frames(again, 2).has_actions
    told = dict(lines(inspect(again)))
    assert told["action"].startswith("unknown")
    assert "saturated actions" not in told
    assert told["problems"] == "none found"


def test_what_can_begin_a_replay(single, without_actions):
    check_loggable(single, rewarded=True, lanes=2)
    for data, rewarded, lanes, words in (
        (without_actions, False, 1, "no actions"),
        (dataclasses.replace(single, reward=None, returns=None), True, 1, "has no rewards"),
        (single, True, 1000, "150 transitions"),
    ):
        with pytest.raises(CredoError, match=words):
            check_loggable(data, rewarded=rewarded, lanes=lanes)


def counted(*numbers):
    observation = np.array(numbers, np.float32)[:, None]
    return Episode(observation, np.zeros((len(numbers) - 1, 1), np.float32), None, True, False, None)


def test_the_last_stack_of_a_short_episode_holds_none_of_the_one_before():
    stacked = stack_frames(from_episodes([counted(9, 8, 7, 6), counted(1, 2)], "test"), 3)
    assert stacked.successor.tolist() == [[8, 7, 6], [1, 1, 2]]


def test_half_of_a_two_step_episode_is_not_a_whole_one():
    half = from_episodes([counted(1, 2, 3)], "test").subsample(2, 0)
    with pytest.raises(CredoError, match="whole episodes"):
        stack_frames(half, 2)
