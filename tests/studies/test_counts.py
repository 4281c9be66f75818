"""Exact intervals, tests and power, against SciPy, hand-counted tables and brute force."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from credo.studies.counts import (
    Stratum,
    clopper_pearson,
    detectable_rate,
    exact_test,
    holm,
    least_significant_failures,
)


@pytest.mark.parametrize(("failed", "seeds"), [(0, 11), (4, 11), (11, 11), (1, 1), (3, 330)])
def test_the_interval_is_scipys(failed, seeds):
    expected = stats.binomtest(failed, seeds).proportion_ci(0.95, method="exact")
    assert clopper_pearson(failed, seeds) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_failure_in_eleven_still_allows_a_quarter():
    low, high = clopper_pearson(0, 11)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 11))
    assert clopper_pearson(0, 0) == (0, 1)


def test_four_of_eleven_against_none_is_not_significant():
    # Both tails: the likeliest tables apart, 2 * C(11, 4) / C(22, 4) = 660 / 7315.
    assert exact_test([Stratum(4, 11, 0, 11)]) == pytest.approx(660 / 7315)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_one_stratum_is_fishers_test(seeds, other_seeds, data):
    failed, other = data.draw(st.integers(0, seeds)), data.draw(st.integers(0, other_seeds))
    expected = stats.fisher_exact([[failed, seeds - failed], [other, other_seeds - other]]).pvalue
    assert exact_test([Stratum(failed, seeds, other, other_seeds)]) == pytest.approx(expected, rel=1e-6)


def by_enumeration(strata):
    """Every way to deal the failures out, with its probability."""
    seen = sum(s.failed for s in strata)
    sums = {}
    for dealt in product(*(range(s.seeds + 1) for s in strata)):
        chance = 1.0
        for count, s in zip(dealt, strata, strict=True):
            total = s.failed + s.other_failed
            chance *= stats.hypergeom.pmf(count, s.seeds + s.other_seeds, total, s.seeds)
        sums[sum(dealt)] = sums.get(sum(dealt), 0) + chance
    return sum(p for p in sums.values() if p <= sums[seen] * (1 + 1e-7))


@pytest.mark.parametrize(
    "strata",
    [
        [Stratum(4, 11, 0, 11), Stratum(3, 11, 1, 11), Stratum(0, 11, 0, 11)],
        [Stratum(2, 5, 1, 4), Stratum(5, 5, 3, 6)],
        [Stratum(1, 3, 3, 3), Stratum(2, 2, 0, 5), Stratum(1, 4, 2, 4)],
    ],
)
def test_strata_are_summed_over_every_outcome(strata):
    assert exact_test(strata) == pytest.approx(by_enumeration(strata), rel=1e-9)


def test_strata_are_not_pooled():
    # Equal rates inside each environment, but unequal shares of easy and hard ones: pooling would see a difference.
    strata = [Stratum(9, 10, 18, 20), Stratum(1, 20, 0, 10)]
    assert exact_test(strata) == pytest.approx(1.0)
    assert stats.fisher_exact([[10, 20], [18, 12]]).pvalue < 0.1


def test_an_environment_that_says_nothing_changes_nothing():
    informative = Stratum(4, 11, 0, 11)
    assert exact_test([informative, Stratum(0, 11, 0, 11), Stratum(7, 7, 7, 7)]) == pytest.approx(660 / 7315)
    assert exact_test([Stratum(0, 11, 0, 11)]) == 1
    assert exact_test([]) == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_eleven_seeds_can_show():
    assert least_significant_failures(0, 11) == 5
    assert least_significant_failures(0, 3) is None
    found = detectable_rate(0.0, 11)
    # Against no failure five of eleven are needed.
    assert stats.binom.sf(4, 11, found) >= 0.8 > stats.binom.sf(4, 11, found - 0.001)
    assert detectable_rate(0.5, 4) is None
