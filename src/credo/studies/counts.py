"""Exact statistics of how many seeds failed: intervals, tests between methods, and what they can show at all.

Seeds are taken as independent trials. SciPy and NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL, POWER = 0.05, 0.8
"""The level of tests and intervals, and with which probability a test should show what there is."""
_TIES = 1 + 1e-7
"""Outcomes whose probabilities differ by less than this factor are equally likely: rounding must not split them."""


class Stratum(NamedTuple):
    """Two methods in one environment: how many seeds of how many failed."""

    failed: int
    seeds: int
    other_failed: int
    other_seeds: int


def clopper_pearson(failed: int, seeds: int) -> tuple[float, float]:
    """The exact 95% interval of a rate (Clopper and Pearson 1934): it covers the true rate at least so often.

    Without any seed nothing is known: (0, 1).
    """
    if seeds == 0:
        return 0.0, 1.0
    low = 0.0 if failed == 0 else float(stats.beta.ppf(LEVEL / 2, failed, seeds - failed + 1))
    high = 1.0 if failed == seeds else float(stats.beta.ppf(1 - LEVEL / 2, failed + 1, seeds - failed))
    return low, high


def exact_test(strata: Sequence[Stratum]) -> float:
    """Two-sided p-value that two methods fail equally often in every environment.

    The exact conditional form of the Cochran-Mantel-Haenszel test: given the totals of every environment, the failures
    of the first method are a sum of independent hypergeometric counts, whose distribution is their convolution; p is
    the probability of all sums no likelier than the one seen. With one environment it is Fisher's exact test. An
    environment in which both methods failed always or never says nothing and changes nothing.
    """
    distribution, seen, smallest = np.ones(1), 0, 0
    for stratum in strata:
        counts, probability = _conditional(stratum)
        distribution = np.convolve(distribution, probability)
        seen += stratum.failed
        smallest += int(counts[0])
    return _two_sided(distribution, seen - smallest)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for testing all of them (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = largest
    return [float(value) for value in adjusted]


def detectable_rate(rate: float, seeds: int) -> float | None:
    """The least failure rate above ``rate`` that ``seeds`` seeds of each method tell from it with probability
    ``POWER``, to 0.001; None where even failing always would not show."""
    significant = _p_values(seeds) <= LEVEL
    counts = np.arange(seeds + 1)
    given = stats.binom.pmf(counts, seeds, rate) @ significant
    rates = np.arange(int(np.ceil(rate * 1000)) + 1, 1001) / 1000
    powers = stats.binom.pmf(counts[:, None], seeds, rates).T @ given
    enough = np.flatnonzero(powers >= POWER)
    return float(rates[enough[0]]) if enough.size else None


def least_significant_failures(failed: int, seeds: int) -> int | None:
    """How many of ``seeds`` must fail beside ``failed`` of as many for Fisher's p to reach ``LEVEL``; None: all of them
    would not do."""
    above = np.flatnonzero(_p_values(seeds)[failed, failed:] <= LEVEL)
    return failed + int(above[0]) if above.size else None


def _conditional(stratum: Stratum) -> tuple[np.ndarray, np.ndarray]:
    """Every count that the first method's failures can take given all totals, and its probability."""
    total = stratum.failed + stratum.other_failed
    counts = np.arange(max(0, total - stratum.other_seeds), min(total, stratum.seeds) + 1)
    return counts, stats.hypergeom.pmf(counts, stratum.seeds + stratum.other_seeds, total, stratum.seeds)


def _two_sided(distribution: np.ndarray, seen: int) -> float:
    return min(1.0, float(distribution[distribution <= distribution[seen] * _TIES].sum()))


def _p_values(seeds: int) -> np.ndarray:
    """[seeds + 1, seeds + 1] Fisher's p of every outcome."""
    table = np.ones((seeds + 1, seeds + 1))
    for total in range(2 * seeds + 1):
        first = max(0, total - seeds)
        stratum = Stratum(first, seeds, total - first, seeds)
        counts, probability = _conditional(stratum)
        table[counts, total - counts] = [_two_sided(probability, index) for index in range(len(counts))]
    return table
