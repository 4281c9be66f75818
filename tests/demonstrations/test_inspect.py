from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from credo.demonstrations import from_transitions, inspect, lines
from credo.demonstrations.formats.table import read_file
from credo.demonstrations.inspect import beyond_bounds, doubtful_ends
from credo.types import EnvironmentSpec


def test_numbers(make_demonstrations):
    d = make_demonstrations([3, 9, 6])
    result = inspect(d)
    assert (result.episodes, result.transitions) == (3, 18)
    assert (result.length_minimum, result.length_mean, result.length_maximum) == (3, 6.0, 9)
    assert (result.terminated_share, result.truncated_share) == (2 / 3, 1 / 3)
    assert result.returns is not None
    assert result.returns.mean == pytest.approx(d.returns.mean())
    assert result.returns.std == pytest.approx(d.returns.std())
    assert (result.returns.minimum, result.returns.maximum) == (d.returns.min(), d.returns.max())
    assert result.returns.quantiles[2] == np.median(d.returns)
    for values, ranges in ((d.observation, result.observation), (d.action, result.action)):
        np.testing.assert_allclose([r.minimum for r in ranges], values.min(axis=0))
        np.testing.assert_allclose([r.maximum for r in ranges], values.max(axis=0))
        np.testing.assert_allclose([r.mean for r in ranges], values.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose([r.std for r in ranges], values.std(axis=0), rtol=1e-5)
    assert inspect(d.subsample(3, 0)).returns == result.returns


def quiet(d):
    return replace(d, returns=np.full(d.episodes, 10.0))


def test_no_problems(make_demonstrations):
    result = inspect(quiet(make_demonstrations([5, 6])))
    assert result.problems == ()
    assert ("problems", "none found") in lines(result)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: replace(d, observation=d.observation * [1, 0, 1]), "observation: constant in dimension 1"),
        (lambda d: replace(d, action=d.action * 0), "action: constant in dimensions 0, 1"),
        (lambda d: replace(d, action=np.sign(d.action)), "action: 100% of components are saturated"),
        (lambda d: d.select_episodes([0, 1, 0, 0]), "duplicates of earlier ones: episodes 2, 3"),
        (lambda d: d.select_episodes([1]), "only one"),
        (lambda d: d.select_episodes([0, 2]), "one step only: episode 1"),
        (
            lambda d: replace(d, returns=np.array([10.0, 100.0, 10.0])),
            "returns: vary widely (std 42.4, mean 40.0)",
        ),
    ],
)
def test_problems(make_demonstrations, change, problem):
    d = quiet(make_demonstrations([5, 6, 1]))
    result = inspect(change(d))
    assert sum(problem in found for found in result.problems) == 1
    assert any(name == "problem" and problem in value for name, value in lines(result))


def test_many_constant_dimensions_make_one_short_line(make_demonstrations):
    d = quiet(make_demonstrations([5, 6]))
    wide = np.zeros((11, 40), np.float32)
    result = inspect(replace(d, observation=wide, successor=wide[:2]))
    assert result.problems == ("observation: constant in dimensions 0, 1, 2, 3, 4, 5, 6, 7 and 32 more",)


def test_without_rewards(make_demonstrations):
    result = inspect(replace(make_demonstrations([5, 5]), reward=None, returns=None))
    assert result.returns is None
    rows = dict(lines(result))
    assert rows["return"] == "unknown (no rewards)"
    assert rows["episode length [steps]"] == "5"
    assert all("\n" not in value for value in rows.values())


def test_ends_that_are_doubtful_are_told(make_demonstrations):
    d = make_demonstrations([4, 4, 4])
    assert doubtful_ends(d, 4) == doubtful_ends(d) == []
    assert doubtful_ends(d.subsample(2, 0), 4) == []
    (longer,) = doubtful_ends(d, 3)
    assert "longer than the environment's limit of 3 steps: episodes 0, 1, 2" in longer
    all_end = replace(d, terminated=np.isin(np.arange(12), (3, 7, 11)), truncated=np.zeros(12, bool))
    for limit in (4, None):
        (limited,) = doubtful_ends(all_end, limit)
        assert "every episode is, after 4 steps" in limited
    assert doubtful_ends(all_end, 9) == []
    arrays = {"observation": d.observation, "action": d.action, "next_observation": d.next_observation}
    none, some = np.zeros(12, bool), np.isin(np.arange(12), (3, 7, 11))
    glued = from_transitions(**arrays, terminated=none, truncated=none)
    told = doubtful_ends(glued, 4)
    assert "in 2 rows the next observation is not the next row's (the first is episode 0, step 3)" in told[0]
    assert "longer than the environment's limit" in told[1]
    still = from_transitions(**arrays | {"next_observation": d.observation}, terminated=none, truncated=some)
    assert "100% of them equal the observation before" in doubtful_ends(still)[0]


def test_what_a_file_without_successors_loses_is_told(make_demonstrations, tmp_path):
    d = make_demonstrations([4, 5])
    ends = np.isin(np.arange(9), (3, 8))
    arrays = {"observations": d.observation, "actions": d.action, "terminals": ends, "timeout": ~ends}
    np.savez(tmp_path / "own.npz", **arrays, action_bounds=[[-1] * d.action_size, [1] * d.action_size])
    read = read_file(tmp_path / "own.npz")
    assert len(read) == 7
    (lost,) = doubtful_ends(read, 9)
    assert "of every episode's last step the file has none" in lost
    # A misspelt field, "timeout" for "timeouts", is none that is read.
    assert read.source == "own.npz (NumPy .npz; not read: 'timeout')"
    assert "fields: not read: 'timeout'" in inspect(read).problems
    assert doubtful_ends(read.subsample(2, 0), 9) == []


def test_the_action_box_is_told(make_demonstrations):
    d = make_demonstrations([3])
    for bounds, told in (
        (None, "unknown"),
        ([[-5.0, -3.0], [5.0, 3.0]], "-5 to 5, -3 to 3"),
        ([[-2.0, -2.0], [2.0, 2.0]], "-2 to 2"),
    ):
        sized = replace(d, action_bounds=bounds if bounds is None else np.array(bounds, np.float32))
        assert dict(lines(inspect(sized)))["action box"].startswith(told)


def test_episodes_of_other_actions_are_no_duplicates(make_demonstrations):
    twice = make_demonstrations([5, 6]).select_episodes([0, 0])
    assert any("duplicates" in line for line in inspect(twice).problems)
    action = twice.action.copy()
    action[5:] /= 2
    assert not any("duplicates" in line for line in inspect(replace(twice, action=action)).problems)


def test_observations_beyond_what_the_environment_declares_are_told(make_demonstrations):
    d = quiet(make_demonstrations([50, 50]))
    largest = np.abs(d.observation).max(axis=0)

    def told(demonstrations, bounds):
        spec = EnvironmentSpec("Probe-v0", 3, 2, np.full(2, -2.0), np.full(2, 3.0), None, (), bounds)
        assert inspect(demonstrations, spec=spec).problems == tuple(beyond_bounds(demonstrations, spec))
        return beyond_bounds(demonstrations, spec)

    wide = np.stack([-largest, largest])
    assert told(d, None) == told(d, wide) == told(d, wide[:, :2]) == []
    degrees = replace(d, observation=d.observation * np.float32([1, 57.3, 1]))
    (line,) = told(degrees, wide)
    assert line.startswith("observation: beyond what Probe-v0 declares in dimension 1: dimension 1 is ")
    assert f"declared are {-largest[1]:.4g} to {largest[1]:.4g}" in line
    # What is declared infinite, and what lies beyond by a rounding or once in a hundred steps, is nothing to tell.
    assert told(degrees, wide * [[1, np.inf, 1]] * 2) == []
    assert told(replace(d, observation=d.observation * np.float32(1.0005)), wide) == []
    once = d.observation.copy()
    once[7, 2] *= 99
    assert told(replace(d, observation=once), wide) == []
    low = np.stack([largest + 1, largest + 2])  # all below
    assert "in dimensions 0, 1, 2" in told(d, low)[0]


def test_rewards_that_are_all_0_tell_nothing(make_demonstrations):
    d = make_demonstrations([5, 6])
    silent = replace(d, reward=np.zeros(11, np.float32), returns=np.zeros(2))
    assert dict(lines(inspect(silent)))["return"] == "0 in every episode, which tells nothing"
