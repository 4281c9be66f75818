"""Two methods on the same seeds: an exact test and an interval of their differences. NumPy and SciPy alone."""

from __future__ import annotations

import numpy as np
from scipy import stats

from credo.studies.scores import RESAMPLES, Estimate, Strata

_ROUNDING = 1e-9
"""Of the largest score: differences below half of it, or as near to each other, are not told apart."""
_EXACT = 300
"""Up to so many differences the distribution is computed exactly."""


def signed_rank_test(one: np.ndarray, other: np.ndarray) -> float:
    """Two-sided p-value that scores differ as often and as far in one direction as in the other: Wilcoxon's signed-rank
    test of pairs, given the sizes of the differences, exact also where sizes are equal (up to 300 differences, then
    normal). What differs by rounding alone is equal.

    Args:
        one, other: [n] float64, finite; pairs without a difference say nothing and are left out.
    """
    grid = _ROUNDING * max(np.abs([one, other]).max(initial=0.0), np.finfo(np.float64).tiny)
    differences = np.rint((one - other) / grid)
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    if len(differences) > _EXACT:
        return float(stats.wilcoxon(differences, method="asymptotic").pvalue)
    # Shared ranks are halves: twice a rank is a whole number.
    doubled = np.rint(2 * stats.rankdata(np.abs(differences))).astype(np.int64)
    distribution = np.ones(1)
    for rank in doubled:
        with_it = np.zeros(len(distribution) + rank)
        with_it[: len(distribution)] = distribution
        with_it[rank:] += distribution
        distribution = with_it / 2
    seen = int(doubled[differences > 0].sum())
    tail = min(distribution[: seen + 1].sum(), distribution[seen:].sum())
    return min(2 * float(tail), 1.0)


def mean_difference(strata: Strata, seed: int = 0) -> Estimate:
    """Mean of all differences, with its 95% bootstrap interval: pairs are drawn within their environment.

    Args:
        strata: for each environment [pairs] float64.
    """
    generator = np.random.default_rng(seed)
    total = sum(map(len, strata))
    drawn = sum(each[generator.integers(len(each), size=(RESAMPLES, len(each)))].sum(axis=1) for each in strata) / total
    low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    return Estimate(float(np.concatenate(list(strata)).mean()), float(low), float(high))
