"""Arithmetic of rows that are grouped into episodes."""

from __future__ import annotations

import numpy as np

from credo.random import SUBSAMPLE, Purpose, host_generator

_CHUNK = 1 << 16
"""Rows looked at at once: a float64 copy of a whole set would take twice its memory."""


def subsampled(counts: np.ndarray, stride: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are kept of episodes of ``counts`` [E] rows, every ``stride``-th from a seeded offset on.

    Returns:
        [E] int64: the first row kept of each episode, counted in it, below ``stride``; and [E + 1] int64: where each
        episode begins among the rows kept, and their number.
    """
    generator = host_generator(seed, Purpose.DEMONSTRATIONS, SUBSAMPLE, stride)
    offsets = generator.integers(0, np.minimum(stride, counts))
    kept = -((offsets - counts) // stride)
    return offsets, np.concatenate([[0], np.cumsum(kept)])


def joined_ranges(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """The concatenation of ``arange(start, stop)`` over all pairs."""
    counts = stops - starts
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) + np.repeat(starts - ends + counts, counts)


def mean_and_deviation(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[D] float64 each: mean and standard deviation of the columns of ``values`` [N, D]."""
    mean = values.mean(axis=0, dtype=np.float64)
    square = np.zeros_like(mean)
    for first in range(0, len(values), _CHUNK):
        square += np.square(values[first : first + _CHUNK] - mean).sum(axis=0)
    return mean, np.sqrt(square / len(values))
