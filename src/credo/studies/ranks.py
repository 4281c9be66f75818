"""Does a value go with a fate, within one method and environment? Differences between such cells count for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

PERMUTATIONS = 10_000


def rank(cell: np.ndarray, fails: np.ndarray, values: np.ndarray) -> float:
    """The chance that of two seeds of one cell the one that fails has the larger value, ties half, over all such pairs:
    Mann and Whitney's statistic, stratified. 1/2 tells nothing; NaN without any pair.

    Args:
        cell: [n] int.
        fails: [n] bool.
        values: [n] float64; a seed with NaN is left out.
    """
    pairs, above = 0, 0.0
    for ranks, failing in _cells(cell, fails, values):
        pairs += int(failing.sum() * (~failing).sum())
        above += ranks[failing].sum() - _least(failing)
    return above / pairs if pairs else np.nan


def rank_p_value(
    cell: np.ndarray, fails: np.ndarray, values: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """``rank``, and how often fates drawn anew within each cell are as far from 1/2 (of ``PERMUTATIONS`` drawings)."""
    found = rank(cell, fails, values)
    pairs, drawn = 0, np.zeros(PERMUTATIONS)
    for ranks, failing in _cells(cell, fails, values):
        pairs += int(failing.sum() * (~failing).sum())
        shuffled = generator.permuted(np.tile(ranks, (PERMUTATIONS, 1)), axis=1)
        drawn += shuffled[:, : failing.sum()].sum(axis=1) - _least(failing)
    if not pairs:
        return np.nan, 1.0
    # Drawings that are exactly as far must count, whatever rounding makes of them.
    as_far = np.abs(drawn / pairs - 0.5) >= abs(found - 0.5) - 1e-9
    return found, float((as_far.sum() + 1) / (PERMUTATIONS + 1))


def _cells(cell: np.ndarray, fails: np.ndarray, values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each cell the ranks of its known values, from 1, equal ones sharing their mean, and who fails."""
    known = ~np.isnan(values)
    for each in np.unique(cell[known]):
        here = known & (cell == each)
        yield stats.rankdata(values[here]), fails[here]


def _least(failing: np.ndarray) -> float:
    """The sum of ranks of those that fail if they have the lowest of all."""
    count = int(failing.sum())
    return count * (count + 1) / 2
