"""When an actor has a gradient, none to speak of, or too much: from the rows of its rounds. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from credo.diagnostics.criteria import Criteria

FEWEST_ROUNDS = Criteria().activity_rounds
"""After fewer no actor is inactive; a wider window needs no more, so that it judges short runs, too."""


class Activity(NamedTuple):
    """The rounds of a seed, from the first with an actor gradient on."""

    step: np.ndarray
    """[m] int64."""
    inactive: np.ndarray
    """[m] bool."""
    vanished: np.ndarray
    """[m] bool: no gradient, saturated or not."""
    gradient: np.ndarray
    """[m] float64: the largest absolute one."""


def column(columns: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """A column as float64; all NaN where it is missing."""
    if name in columns:
        return np.asarray(columns[name], np.float64)
    return np.full(len(columns.get("step", ())), np.nan)


def steps_of(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The steps of the rows, int64; none where they are missing."""
    return np.asarray(columns.get("step", ()), np.int64)


def activity_of(metrics: Mapping[str, np.ndarray], criteria: Criteria = Criteria()) -> Activity:
    """In which rounds a seed's actor is inactive, whatever it returns; ``metrics`` as in ``verdict``."""
    gradient, saturation = column(metrics, "actor_gradient_max"), column(metrics, "action_saturation")
    learning = ~np.isnan(gradient)
    with np.errstate(invalid="ignore"):
        vanished = np.abs(gradient) <= criteria.vanishing_gradient
        stuck = (saturation >= criteria.saturation) & (np.abs(gradient) <= criteria.saturated_gradient)
        inactive = vanished | stuck
    step = steps_of(metrics)[learning]
    return Activity(step, inactive[learning], vanished[learning], np.abs(gradient[learning]))


def first_explosion(activity: Activity, criteria: Criteria, after: int = -1) -> int | None:
    """The step of the first exploding gradient behind the step ``after``; None without one."""
    gradient, window = activity.gradient, max(criteria.explosion_window, 1)
    # The median is renewed every quarter of a window, and only where the floor is passed: speed.
    block = max(window // 4, 1)
    if not len(gradient):
        return None
    starts = np.arange(0, len(gradient), block)
    peaks = np.fmax.reduceat(gradient, starts)
    usable = ~activity.inactive & np.isfinite(gradient)
    baseline = None
    for first in starts[peaks > criteria.explosion_floor]:
        past = slice(max(first - window, 0), max(first, window))
        alive = np.sort(gradient[past][usable[past]])
        # An inactive actor has no scale of its own, and waking up is no explosion: the last known scale serves.
        if alive.size >= min(window, 10):
            baseline = float(alive[(alive.size - 1) // 2] + alive[alive.size // 2]) / 2
        if baseline is None:
            continue
        least = max(criteria.explosion_floor, criteria.explosion_factor * baseline)
        here = slice(first, first + block)
        beyond = (gradient[here] > least) & (activity.step[here] > after)
        if beyond.any():
            return int(activity.step[first + int(np.argmax(beyond))])
    return None


def mostly(activity: Activity, condition: np.ndarray, steps: np.ndarray, criteria: Criteria) -> np.ndarray:
    """[n] bool: whether most of the last rounds up to each of ``steps`` [n] meet the condition [m]; False where there
    are fewer than ``FEWEST_ROUNDS`` of learning."""
    end = np.searchsorted(activity.step, steps, side="right")
    begin = np.maximum(end - criteria.activity_rounds, 0)
    met = np.concatenate([[0], np.cumsum(condition)])
    enough = end >= min(criteria.activity_rounds, FEWEST_ROUNDS)
    return enough & (2 * (met[end] - met[begin]) > end - begin)
