"""Scores of whole methods over seeds and environments, with bootstrap intervals (Agarwal et al. 2021, "Deep
reinforcement learning at the edge of the statistical precipice"). NumPy and SciPy alone.

``strata`` are one array of scores per environment; seeds are resampled within their environment, never across.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from credo.studies.efficiency import upper_median

Strata = Sequence[np.ndarray]
RESAMPLES = 2_000
_CHUNK = 500
"""Resamples held in memory at once."""


class Estimate(NamedTuple):
    """A number with its 95% bootstrap interval (percentiles)."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis: floor(n / 4) scores are cut at each end."""
    return np.asarray(stats.trim_mean(scores, 0.25, axis=-1))


def bootstrap(
    groups: Sequence[Strata],
    statistic: Callable[..., np.ndarray],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """A statistic of one or more groups of strata, with its interval.

    ``statistic`` gets, for each group, a list of arrays [resamples, scores of the stratum] and gives [resamples].
    Infinite values are kept: the ends of the interval are values that occurred, never means of two.
    """
    value = float(statistic(*([scores[None, :] for scores in strata] for strata in groups))[0])
    generator = np.random.default_rng(seed)
    drawn = []
    for first in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - first)
        drawn.append(statistic(*([_resampled(scores, count, generator) for scores in strata] for strata in groups)))
    values = np.concatenate(drawn)
    low = np.quantile(values, 0.025, method="inverted_cdf")
    high = np.quantile(values, 0.975, method="inverted_cdf")
    return Estimate(value, float(low), float(high))


def iqm(strata: Strata, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Interquartile mean of all scores together, stratified bootstrap."""
    return bootstrap([strata], lambda drawn: interquartile_mean(np.concatenate(drawn, axis=-1)), seed, resamples)


def mean(strata: Strata, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean of all scores together, stratified bootstrap."""
    return bootstrap([strata], lambda drawn: np.concatenate(drawn, axis=-1).mean(axis=-1), seed, resamples)


def median(strata: Strata, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Median of all scores together (``upper_median``); infinite where half of them are."""
    return bootstrap([strata], lambda drawn: upper_median(np.concatenate(drawn, axis=-1)), seed, resamples)


def probability_of_improvement(one: Strata, other: Strata, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Probability that a seed of ``one`` scores above a seed of ``other`` in the same environment, ties counting half
    (the Mann-Whitney statistic), the mean over environments."""

    def statistic(drawn: list[np.ndarray], others: list[np.ndarray]) -> np.ndarray:
        wins = [_share_of_wins(mine, theirs) for mine, theirs in zip(drawn, others, strict=True)]
        return np.mean(wins, axis=0)

    return bootstrap([one, other], statistic, seed, resamples)


def performance_profile(
    strata: Strata, thresholds: Sequence[float], seed: int = 0, resamples: int = RESAMPLES
) -> list[Estimate]:
    """For each threshold the share of all seeds that score above it."""

    def above(threshold: float) -> Estimate:
        return bootstrap(
            [strata], lambda drawn: (np.concatenate(drawn, axis=-1) > threshold).mean(axis=-1), seed, resamples
        )

    return [above(threshold) for threshold in thresholds]


def _resampled(scores: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    return scores[generator.integers(len(scores), size=(count, len(scores)))]


def _share_of_wins(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    mine, theirs = mine[:, :, None], theirs[:, None, :]
    return (mine > theirs).mean(axis=(1, 2)) + (mine == theirs).mean(axis=(1, 2)) / 2
