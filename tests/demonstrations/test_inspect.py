from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from credo.demonstrations import inspect, lines


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
