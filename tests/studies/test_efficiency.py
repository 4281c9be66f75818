"""Samples to shares of the expert, and final scores."""

import numpy as np
import pytest
from made_up_curves import curve

from credo.studies.curves import DISTANCE, RETURN, SUCCESS, choose_measure, final_score
from credo.studies.efficiency import samples_to


def with_returns(returns, **changes):
    evaluations = {"step": np.arange(1, len(returns) + 1) * 1_000, "return_mean": np.asarray(returns, float)}
    return curve()._replace(evaluations=evaluations | changes)


def test_samples_need_the_median_of_three_evaluations():
    assert samples_to(with_returns([0, 600, 0, 600, 600, 700]), 0.5) == 4_000
    assert samples_to(with_returns([0, 600, 0, 0, 0, 0]), 0.5) == np.inf
    assert samples_to(with_returns([600, 600]), 0.5) == np.inf


def test_a_frozen_seed_never_gets_there_but_keeps_what_it_reached():
    assert samples_to(with_returns([100, np.nan, np.nan, np.nan]), 0.5) == np.inf
    assert samples_to(with_returns([600, 600, 600, np.nan, np.nan]), 0.5) == 3_000


def test_a_negative_return_is_a_cost():
    seed = with_returns([-400, -200, -200, -200])._replace(expert_return=-100.0)
    assert samples_to(seed, 0.5) == 3_000
    assert samples_to(seed, 0.9) == np.inf


def test_the_final_score_counts_a_frozen_seed_as_nothing():
    assert final_score(with_returns([0, 0, 900, 600, 300]), RETURN) == pytest.approx(0.6)
    failed = np.array([0.0, 0, 1, 1, 1])
    assert final_score(with_returns([900, 900, np.nan, np.nan, np.nan], failed=failed), RETURN) == 0
    assert final_score(with_returns([]), RETURN) is None


def test_without_returns_the_distance_serves():
    distance = np.array([1.0, 0.5, 0.2, 0.2, 0.2])
    seed = with_returns([np.nan] * 5, occupancy_distance=distance)._replace(expert_return=None)
    assert choose_measure([seed]) == DISTANCE
    assert final_score(seed, DISTANCE) == pytest.approx(-0.2)
    assert choose_measure([curve()]) == RETURN
    assert choose_measure([curve(), seed]) == DISTANCE
    assert choose_measure([with_returns([1, 2])._replace(expert_return=None)]) is None


def test_without_returns_success_serves_before_the_distance():
    distance, success = np.array([1.0, 0.5, 0.2, 0.2, 0.2]), np.array([0.0, 0.2, 0.4, 0.6, 0.8])
    unknown = with_returns([np.nan] * 5, occupancy_distance=distance)._replace(expert_return=None)
    told = with_returns([np.nan] * 5, occupancy_distance=distance, success_rate=success)._replace(expert_return=None)
    assert choose_measure([told, told]) == SUCCESS
    assert final_score(told, SUCCESS) == pytest.approx(0.6)
    assert choose_measure([curve()]) == RETURN
    assert choose_measure([told, unknown]) == DISTANCE  # one environment does not tell it
    frozen = unknown._replace(evaluations=unknown.evaluations | {"failed": np.array([0.0, 0, 0, 1, 1])})
    assert choose_measure([told, frozen]) == SUCCESS
    assert final_score(frozen, SUCCESS) == 0
    assert choose_measure([frozen]) == DISTANCE
    assert choose_measure([]) is None
