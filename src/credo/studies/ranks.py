"""Does a value go with a fate, within one method and environment? Differences between such cells count for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
    cell: np.ndarray, seed: np.ndarray, fails: np.ndarray, values: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """``rank``, and how often it is as far from 1/2 when the readings of whole seeds are exchanged, in all cells at
    once (of ``PERMUTATIONS`` drawings): a seed's runs share their first weights and random actions, and are no
    independent ones. Seeds are exchanged with those that are in the same cells; pairs of which either has no reading
    are left out.

    Args:
        cell: [n] int.
        seed: [n] int: the number of each, one of a kind in its cell.
        fails: [n] bool.
        values: [n] float64; NaN where there is no reading.
    """
    found = rank(cell, fails, values)
    if np.isnan(found):
        return found, 1.0
    names, place = np.unique(seed, return_inverse=True)
    drawn = _exchanges(cell, place, len(names), generator)
    above, pairs = np.zeros(PERMUTATIONS), np.zeros(PERMUTATIONS, int)
    for each in np.unique(cell):
        here = (cell == each) & ~np.isnan(values)
        failing, others = (place[here & kind] for kind in (fails, ~fails))
        if not (failing.size and others.size):
            continue
        # Places in the order of readings, small integers along the drawings, are compared many times as fast.
        order, ranks = np.unique(values[here], return_inverse=True)
        unknown = len(order)
        reading = np.full(len(names), unknown, np.int16)
        reading[place[here]] = ranks
        theirs, mine = reading[drawn[others]], reading[drawn[failing]]
        known = (theirs < unknown).sum(axis=0)
        for one in mine:
            # What is unknown lies above all, as theirs counts for nothing by that, as mine not at all.
            read = one < unknown
            above += read * ((one > theirs).sum(axis=0) + (one == theirs).sum(axis=0) / 2)
            pairs += read * known
    # Drawings that are exactly as far must count, whatever rounding makes of them.
    distance = np.abs(np.divide(above, pairs, out=np.full_like(above, 0.5), where=pairs > 0) - 0.5)
    return found, float(((distance >= abs(found - 0.5) - 1e-9).sum() + 1) / (PERMUTATIONS + 1))


def _exchanges(cell: np.ndarray, place: np.ndarray, seeds: int, generator: np.random.Generator) -> np.ndarray:
    """[seeds, PERMUTATIONS] int: whose readings each seed gets."""
    drawn = np.tile(np.arange(seeds), (PERMUTATIONS, 1))
    kinds: dict[frozenset[int], list[int]] = {}
    for each in range(seeds):
        kinds.setdefault(frozenset(cell[place == each].tolist()), []).append(each)
    for alike in kinds.values():
        drawn[:, alike] = generator.permuted(drawn[:, alike], axis=1)
    return np.ascontiguousarray(drawn.T)


def _cells(cell: np.ndarray, fails: np.ndarray, values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each cell the ranks of its known values, from 1, equal ones sharing their mean, and who fails."""
    from scipy.stats import rankdata  # takes a second to import, which every run would spend on its curves

    known = ~np.isnan(values)
    for each in np.unique(cell[known]):
        here = known & (cell == each)
        yield rankdata(values[here]), fails[here]


def _least(failing: np.ndarray) -> float:
    """The sum of ranks of those that fail if they have the lowest of all."""
    count = int(failing.sum())
    return count * (count + 1) / 2
