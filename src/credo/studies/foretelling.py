"""Early warning: which diagnostic, read early, foretells that a seed will fail.

A diagnostic is read at a fixed step, of those seeds alone that have not failed by then. The threshold that turns it
into a warning is chosen on all other seeds, never on the seed it is applied to, nor on the same seed under another
method, whose first weights and random actions are the same (leave one seed number out). Where seeds of several methods
or environments are looked at, a threshold may do no more than tell those apart: the rank cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from credo.diagnostics.activity import column
from credo.diagnostics.divergence import DIVERGED
from credo.studies.curves import DIAGNOSTICS, SeedCurve, SeedDigest
from credo.studies.ranks import rank

FAILED = (*DIVERGED, "failed")
"""Verdicts that a warning should foretell."""
READINGS = ("largest", "latest")
"""The largest value so far; the mean over the last ``LATEST`` rounds."""
LATEST = 20
LANDMARKS = tuple(digit * 10**power for power in range(2, 9) for digit in (1, 2, 5))
"""Steps to read at."""
_LARGEST = float(np.finfo(np.float64).max)


class Forecast(NamedTuple):
    """How well one reading of one diagnostic at one step foretold failures."""

    diagnostic: str
    reading: str
    step: int
    at_risk: int
    """Seeds that had not failed by then."""
    failures: int
    """Of these, how many failed later."""
    warned: int
    """Of these, how many the warning was given for."""
    right: int
    """Of the warned, how many failed."""
    lead: float
    """Median of steps from the warning to the failure, over the failures foretold; NaN without any."""
    rank: float = np.nan
    """The chance that of two seeds of one method and environment the one that fails has the larger value."""

    @property
    def precision(self) -> float | None:
        return self.right / self.warned if self.warned else None

    @property
    def recall(self) -> float | None:
        return self.right / self.failures if self.failures else None

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where no failure was foretold."""
        return 2 * self.right / (self.warned + self.failures) if self.right else 0.0


def failure_step(curve: SeedDigest) -> float:
    """The step at which a seed failed; infinite if it did not."""
    step = curve.verdict.step
    return np.inf if step is None or curve.verdict.kind not in FAILED else float(step)


def readings(curve: SeedCurve) -> np.ndarray:
    """[landmarks, diagnostics, readings] float64: every diagnostic of the rounds up to each landmark; NaN where none is
    known by then."""
    step = np.asarray(curve.metrics["step"])
    found = np.full((len(LANDMARKS), len(DIAGNOSTICS), len(READINGS)), np.nan)
    for index, diagnostic in enumerate(DIAGNOSTICS):
        value = column(curve.metrics, diagnostic)
        known = ~np.isnan(value)
        value = value[known]
        if len(value):
            largest = np.maximum.accumulate(value)
            for landmark, end in enumerate(np.searchsorted(step[known], LANDMARKS, side="right")):
                if end:
                    found[landmark, index] = largest[end - 1], value[max(end - LATEST, 0) : end].mean()
    return found


def landmarks(curves: Sequence[SeedDigest]) -> tuple[int, ...]:
    """The steps to read these at: up to half of the longest curve."""
    longest = max((curve.last_step for curve in curves), default=0)
    return tuple(step for step in LANDMARKS if step <= longest / 2)


def forecasts(curves: Sequence[SeedDigest]) -> tuple[list[Forecast], list[Forecast]]:
    """(every diagnostic, reading and landmark with a failure ahead; for each landmark the one whose diagnostic too
    was chosen without the seed), the first sorted from best to worst by F1."""
    failed_at = np.array([failure_step(curve) for curve in curves])
    places = [(curve.method, curve.environment) for curve in curves]
    cells = np.array([sorted(set(places)).index(place) for place in places], int)
    numbers = np.array([curve.seed for curve in curves], int)
    every: list[Forecast] = []
    chosen: list[Forecast] = []
    for step in landmarks(curves):
        going = np.array([curve.last_step > step for curve in curves])
        at_risk = np.flatnonzero((failed_at > step) & going)
        fails = np.isfinite(failed_at[at_risk])
        if fails.sum() < 2 or (~fails).sum() < 2:
            continue
        lead = failed_at[at_risk] - step
        names = [(diagnostic, reading) for diagnostic in DIAGNOSTICS for reading in READINGS]
        values = np.array([curves[seed].readings[LANDMARKS.index(step)].ravel() for seed in at_risk.tolist()]).T
        known = np.flatnonzero((~np.isnan(values)).any(axis=1))
        if not known.size:
            continue
        warnings, f1 = leave_one_out(values[known], fails, numbers[at_risk])
        for row, warned in zip(known, warnings, strict=True):
            forecast = _forecast(*names[row], step, warned, fails, lead)
            every.append(forecast._replace(rank=rank(cells[at_risk], fails, values[row])))
        # For each seed the diagnostic, too, is the one that is best on the others.
        best = np.take_along_axis(warnings, f1.argmax(axis=0)[None], axis=0)[0]
        chosen.append(_forecast("chosen without the seed", "either", step, best, fails, lead))
    return sorted(every, key=lambda f: (-f.f1, f.step)), chosen


def leave_one_out(values: np.ndarray, fails: np.ndarray, seed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Judge every run by the rule (direction and threshold) that has the highest F1 on those of all other seeds.

    Args:
        values: [readings, n]; a run with NaN is never warned for.
        fails: [n] bool.
        seed: [n] int: the number of each run's seed.

    Returns:
        [readings, n] whether each run is warned for, and the F1 on the others of the rule that says so. Thresholds
        lie midway between neighbouring values; where no rule foretells anything there is no warning.
    """
    above, below = _one_sided(values, fails, seed), _one_sided(-values, fails, seed)
    better = below[1] > above[1]
    return np.where(better, below[0], above[0]), np.where(better, below[1], above[1])


def _one_sided(values: np.ndarray, fails: np.ndarray, seed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``leave_one_out`` with rules that warn above their threshold."""
    # NaN comes last, and is no part of any rule.
    order = np.argsort(-values, axis=1, kind="stable")
    ordered, label, number = np.take_along_axis(values, order, axis=1), fails[order], seed[order]
    warned, f1 = np.zeros(values.shape, bool), np.zeros(values.shape)
    for each in np.unique(seed):
        out = seed == each
        others = number != each
        threshold, score = _best_cut(*(kept[others].reshape(len(values), -1) for kept in (ordered, label)))
        warned[:, out] = (score[:, None] > 0) & (values[:, out] > threshold[:, None])
        f1[:, out] = score[:, None]
    return warned, f1


def _best_cut(ordered: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[readings] the threshold above which a warning has the highest F1, and that F1, of falling values [readings, n]
    and who fails; where nothing is known there is none, and an F1 of 0."""
    rows, n = ordered.shape
    if not n:
        return np.full(rows, np.inf), np.zeros(rows)
    every, known = np.arange(rows), (~np.isnan(ordered)).sum(axis=1)
    # A cut lies behind a value that the next one differs from: between equal values there is none.
    differs = np.ones((rows, n), bool)
    differs[:, :-1] = ordered[:, :-1] != ordered[:, 1:]
    differs &= np.arange(n) < known[:, None]
    score = 2 * np.cumsum(label, axis=1) / (np.arange(1, n + 1) + label.sum(axis=1, keepdims=True))
    score[~differs] = 0
    cut = score.argmax(axis=1)
    threshold = _midway(ordered[every, cut], ordered[every, np.minimum(cut + 1, n - 1)])
    threshold[cut + 1 >= known] = -np.inf
    return threshold, score[every, cut]


def _midway(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Finite even between infinite values."""
    return np.clip(one, -_LARGEST, _LARGEST) / 2 + np.clip(other, -_LARGEST, _LARGEST) / 2


def _forecast(
    diagnostic: str, reading: str, step: int, warned: np.ndarray, fails: np.ndarray, lead: np.ndarray
) -> Forecast:
    foretold = warned & fails
    median = float(np.median(lead[foretold])) if foretold.any() else np.nan
    counts = (len(fails), int(fails.sum()), int(warned.sum()), int(foretold.sum()))
    return Forecast(diagnostic, reading, step, *counts, median)
