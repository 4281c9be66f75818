"""Does a value go with a fate, within one method and environment? Differences between such cells count for nothing."""

from __future__ import annotations

import numpy as np

PERMUTATIONS = 10_000


def midranks(cell: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[n] float64: the rank of each value among those of its cell, from 1; equal ones share their mean."""
    found = np.empty(len(values))
    for each in np.unique(cell):
        here = cell == each
        mine = values[here]
        found[here] = 0.5 + (mine[:, None] > mine).sum(axis=1) + 0.5 * (mine[:, None] == mine).sum(axis=1)
    return found


def rank(cell: np.ndarray, fails: np.ndarray, values: np.ndarray) -> float:
    """The chance that of two seeds of one cell the one that fails has the larger value, ties half, over all such pairs:
    Mann and Whitney's statistic, stratified. 1/2 tells nothing; NaN without any pair.

    Args:
        cell: [n] int.
        fails: [n] bool.
        values: [n] float64; a seed with NaN is left out.
    """
    known = ~np.isnan(values)
    cell, fails, values = cell[known], fails[known], values[known]
    ranks, pairs, above = midranks(cell, values), 0, 0.0
    for each in np.unique(cell):
        here = cell == each
        failing = int(fails[here].sum())
        pairs += failing * int((~fails[here]).sum())
        above += ranks[here & fails].sum() - failing * (failing + 1) / 2
    return above / pairs if pairs else np.nan


def rank_p_value(
    cell: np.ndarray, fails: np.ndarray, values: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """``rank``, and how often fates drawn anew within each cell are as far from 1/2 (of ``PERMUTATIONS`` drawings)."""
    known = ~np.isnan(values)
    cell, fails, values = cell[known], fails[known], values[known]
    found, ranks = rank(cell, fails, values), midranks(cell, values)
    pairs, drawn = 0, np.zeros(PERMUTATIONS)
    for each in np.unique(cell):
        here = cell == each
        failing = int(fails[here].sum())
        pairs += failing * int((~fails[here]).sum())
        shuffled = generator.permuted(np.tile(ranks[here], (PERMUTATIONS, 1)), axis=1)
        drawn += shuffled[:, :failing].sum(axis=1) - failing * (failing + 1) / 2
    if not pairs:
        return np.nan, 1.0
    # Drawings that are exactly as far must count, whatever rounding makes of them.
    as_far = np.abs(drawn / pairs - 0.5) >= abs(found - 0.5) - 1e-9
    return found, float((as_far.sum() + 1) / (PERMUTATIONS + 1))
