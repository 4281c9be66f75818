"""Samples that a method needs to come near the expert; a seed that never does counts as never."""

from __future__ import annotations

import numpy as np

from credo.studies.curves import RETURN, SeedDigest, values

SHARES = (0.5, 0.9, 0.95)
"""Of the expert's return."""
HOLD = 3
"""Evaluations whose median must reach the share: one lucky evaluation does not."""


def samples_to(curve: SeedDigest, share: float) -> float:
    """Environment steps after which the median of the last ``HOLD`` evaluations first reaches a share of the expert's
    return; infinite if it never does. Evaluations of a frozen seed reach nothing."""
    value = values(curve, RETURN)
    value = np.where(np.isnan(value), -np.inf, value)
    if len(value) < HOLD:
        return np.inf
    running = np.median(np.lib.stride_tricks.sliding_window_view(value, HOLD), axis=-1)
    reached = np.flatnonzero(running >= share)
    return float(curve.evaluations["step"][reached[0] + HOLD - 1]) if reached.size else np.inf


def upper_median(values: np.ndarray) -> np.ndarray:
    """Median along the last axis; of an even number the upper middle one, so that "half of the seeds never" is
    never."""
    return np.sort(values, axis=-1)[..., values.shape[-1] // 2]
