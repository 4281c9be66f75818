"""Scores and their intervals, beside numbers that rliable 1.2.0 printed for the same scores."""

import numpy as np
import pytest

from credo.studies.scores import bootstrap, interquartile_mean, iqm, mean, median, performance_profile
from credo.studies.scores import probability_of_improvement as improvement

# The scores that rliable was given.
_GENERATOR = np.random.RandomState(7)
ONE = list(np.round(_GENERATOR.uniform(0, 1.1, (11, 3)), 3).T)
OTHER = list(np.round(_GENERATOR.uniform(0.2, 1.2, (11, 3)), 3).T)


def test_interquartile_means_are_rliables():
    # library.get_interval_estimates with metrics.aggregate_iqm, 50,000 resamples.
    one, other = iqm(ONE, resamples=20_000), iqm(OTHER, resamples=20_000)
    assert one.value == pytest.approx(0.54629412, abs=1e-8)
    assert other.value == pytest.approx(0.69064706, abs=1e-8)
    assert (one.low, one.high) == pytest.approx((0.42170588, 0.67247059), abs=0.006)
    assert (other.low, other.high) == pytest.approx((0.60041176, 0.78241176), abs=0.006)


def test_probability_of_improvement_is_rliables():
    # metrics.probability_of_improvement, 5,000 resamples.
    found = improvement(ONE, OTHER, resamples=10_000)
    assert found.value == pytest.approx(0.38016529, abs=1e-8)
    assert (found.low, found.high) == pytest.approx((0.24242424, 0.52341598), abs=0.012)


def test_performance_profiles_are_rliables():
    found = performance_profile(ONE, [0.25, 0.5, 0.75, 1.0], resamples=5_000)
    assert [e.value for e in found] == pytest.approx([0.78787879, 0.57575758, 0.27272727, 0.12121212], abs=1e-8)
    assert [e.low for e in found] == pytest.approx([0.66666667, 0.42424242, 0.15151515, 0.03030303], abs=0.031)
    assert [e.high for e in found] == pytest.approx([0.90909091, 0.72727273, 0.42424242, 0.24242424], abs=0.031)


def test_interquartile_mean_cuts_a_quarter_at_each_end():
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -100])) == pytest.approx(3.5)
    assert interquartile_mean(np.array([7.0])) == 7


def test_seeds_are_resampled_within_their_environment():
    # Constant in each environment: nothing can vary unless seeds cross.
    found = mean([np.full(5, 1.0), np.full(5, 3.0)])
    assert found == (2.0, 2.0, 2.0)


def test_ties_count_half_and_order_matters():
    one, other = [np.array([1.0, 2.0])], [np.array([1.0, 0.0])]
    assert improvement(one, other).value == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert improvement(other, one).value == pytest.approx(0.5 / 4)
    assert improvement(one, one).value == 0.5


def test_a_median_can_be_never():
    assert median([np.array([5.0, np.inf, np.inf])]).value == np.inf
    # Half of the seeds never: so does the median.
    assert median([np.array([5.0, 6.0, np.inf, np.inf])]).value == np.inf
    found = median([np.array([5.0, 6.0, 7.0, 8.0, np.inf])])
    assert found.value == 7
    assert found.low == 5
    assert found.high == np.inf


def test_an_interval_covers_the_true_mean_as_often_as_it_says():
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        found = mean([generator.standard_normal(30)], resamples=300)
        covered += found.low <= 0 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval():
    assert iqm(ONE, seed=4) == iqm(ONE, seed=4)
    assert iqm(ONE, seed=4) != iqm(ONE, seed=5)


def test_a_bootstrap_of_one_score_is_that_score():
    assert bootstrap([[np.array([2.0])]], lambda drawn: drawn[0].sum(axis=-1)) == (2, 2, 2)
