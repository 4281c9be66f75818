"""Early warning: which diagnostic, read early, foretells that a seed will fail.

A diagnostic is read at a fixed step, of those seeds alone that have not failed by then. The threshold that turns it
into a warning is chosen on all other seeds, never on the seed it is applied to (leave one out).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from credo.diagnostics.divergence import DIVERGED
from credo.studies.curves import DIAGNOSTICS, SeedCurve, column

FAILED = (*DIVERGED, "failed")
"""Verdicts that a warning should foretell."""
READINGS = ("largest", "latest")
"""The largest value so far; the mean over the last ``LATEST`` rounds."""
LATEST = 20
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


def failure_step(curve: SeedCurve) -> float:
    """The step at which a seed failed; infinite if it did not."""
    failed = curve.verdict.kind in FAILED and curve.verdict.step is not None
    return float(curve.verdict.step) if failed and curve.verdict.step is not None else np.inf


def read(curve: SeedCurve, diagnostic: str, reading: str, step: int) -> float:
    """A diagnostic of the rounds up to ``step``; NaN where none is known."""
    end = int(np.searchsorted(curve.metrics["step"], step, side="right"))
    value = column({name: part[:end] for name, part in curve.metrics.items()}, diagnostic)
    value = value[~np.isnan(value)]
    if not len(value):
        return np.nan
    return float(value.max()) if reading == "largest" else float(value[-LATEST:].mean())


def landmarks(curves: Sequence[SeedCurve]) -> tuple[int, ...]:
    """Steps to read at: 1,000, 2,000, 5,000, 10,000, ... up to half of the longest curve."""
    longest = max((curve.last_step for curve in curves), default=0)
    steps = [digit * 10**power for power in range(3, 9) for digit in (1, 2, 5)]
    return tuple(step for step in steps if step <= longest / 2)


def forecasts(curves: Sequence[SeedCurve]) -> tuple[list[Forecast], list[Forecast]]:
    """(every diagnostic, reading and landmark with a failure ahead; for each landmark the one whose diagnostic too
    was chosen without the seed), the first sorted from best to worst by F1."""
    failed_at = np.array([failure_step(curve) for curve in curves])
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
        values = np.array([[read(curves[int(seed)], *name, step) for seed in at_risk] for name in names])
        known = np.flatnonzero((~np.isnan(values)).any(axis=1))
        if not known.size:
            continue
        warnings = np.array([leave_one_out(values[row], fails) for row in known])
        for row, warned in zip(known, warnings, strict=True):
            every.append(_forecast(*names[row], step, warned, fails, lead))
        best = _choose_without_each(values[known], fails)
        chosen.append(_forecast("chosen without the seed", "either", step, best, fails, lead))
    return sorted(every, key=lambda f: (-f.f1, f.step)), chosen


def leave_one_out(values: np.ndarray, fails: np.ndarray) -> np.ndarray:
    """[n] bool: whether each seed is warned for, by the rule that is best on all others. NaN is never warned for."""
    return np.array([_apply(_rule(np.delete(values, i), np.delete(fails, i)), values[i]) for i in range(len(values))])


class _Rule(NamedTuple):
    sign: int
    """+1: warn above the threshold; -1: below."""
    threshold: float
    f1: float


def _rule(values: np.ndarray, fails: np.ndarray) -> _Rule:
    """The direction and threshold with the highest F1; thresholds lie midway between neighbouring values."""
    best = _Rule(1, np.inf, 0.0)
    failures = int(fails.sum())
    for sign in (1, -1):
        known = ~np.isnan(values)
        signed, label = sign * values[known], fails[known]
        order = np.argsort(-signed, kind="stable")
        signed, right = signed[order], np.cumsum(label[order])
        warned = np.arange(1, len(signed) + 1)
        f1 = 2 * right / (warned + failures) if failures else np.zeros(len(signed))
        # A cut between equal values is none.
        cuts = np.flatnonzero(np.append(signed[:-1] != signed[1:], True))
        if not cuts.size:
            continue
        cut = int(cuts[np.argmax(f1[cuts])])
        if f1[cut] > best.f1:
            everyone = cut + 1 == len(signed)
            threshold = -np.inf if everyone else _midway(signed[cut], signed[cut + 1])
            best = _Rule(sign, threshold, float(f1[cut]))
    return best


def _midway(one: float, other: float) -> float:
    """Finite even between infinite values."""
    halves = np.clip((one, other), -_LARGEST, _LARGEST) / 2
    return float(halves.sum())


def _apply(rule: _Rule, value: float) -> bool:
    return bool(rule.sign * value > rule.threshold)


def _choose_without_each(values: np.ndarray, fails: np.ndarray) -> np.ndarray:
    """[n] bool: warnings where for each seed the diagnostic too is the one best on the others."""
    warned = np.zeros(len(fails), bool)
    for seed in range(len(fails)):
        others = np.delete(fails, seed)
        rules = [_rule(np.delete(row, seed), others) for row in values]
        best = int(np.argmax([rule.f1 for rule in rules]))
        warned[seed] = _apply(rules[best], values[best, seed])
    return warned


def _forecast(
    diagnostic: str, reading: str, step: int, warned: np.ndarray, fails: np.ndarray, lead: np.ndarray
) -> Forecast:
    foretold = warned & fails
    median = float(np.median(lead[foretold])) if foretold.any() else np.nan
    counts = (len(fails), int(fails.sum()), int(warned.sum()), int(foretold.sum()))
    return Forecast(diagnostic, reading, step, *counts, median)
