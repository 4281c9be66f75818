"""Checks on demonstrations: a failure is one ``CredoError`` line with field, place, and what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credo import experts
from credo.types import CredoError, EnvironmentSpec, same_bounds

if TYPE_CHECKING:
    from credo.demonstrations.dataset import Demonstrations

ACTION_TOLERANCE = 1e-6
"""An action may pass 1 by this much (rounding of a rescaled action); it is then stored as exactly 1."""
_CHUNK = 1 << 16


class ActionRangeError(CredoError):
    """An action beyond [-1, 1]: where, which dimension, and its value as scaled."""

    def __init__(self, place: str, dimension: int, value: float) -> None:
        super().__init__(place, dimension, value)  # as arguments, so that it can travel between processes
        self.place, self.dimension, self.value = place, dimension, value

    def __str__(self) -> str:
        return (
            f"demonstrations: field action: {self.place}, dimension {self.dimension} is {self.value:g}, "
            "-1 to 1 expected (scale the environment's action box to [-1, 1])"
        )


def float_array(name: str, value: object, axes: int) -> np.ndarray:
    """``value`` as contiguous float32 with ``axes`` axes; CredoError for objects, text, complex numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise _error(name, f"dtype {array.dtype} found, float32 expected")
    _check_axes(name, array, axes)
    with np.errstate(over="ignore"):  # what overflows is reported as infinite
        return np.ascontiguousarray(array, dtype=np.float32)


def flag_array(name: str, value: object) -> np.ndarray:
    """``value`` as [N] bool; numbers are refused, since a step's flag given as 0.5 has no meaning."""
    array = np.asarray(value)
    if array.dtype.kind != "b":
        raise _error(name, f"dtype {array.dtype} found, bool expected")
    _check_axes(name, array, 1)
    return np.ascontiguousarray(array)


def row_array(name: str, value: object) -> np.ndarray:
    """``value`` as [K] int64."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise _error(name, f"dtype {array.dtype} found, int64 expected")
    _check_axes(name, array, 1)
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise _error(name, f"{array.max()} is too large")
    return np.ascontiguousarray(array, dtype=np.int64)


def check_boundaries(episode_start: np.ndarray, rows: int) -> None:
    """``episode_start`` must rise strictly from 0 to ``rows``: no empty, overlapping or uncovered episode."""
    if rows == 0:
        raise CredoError("demonstrations: empty: at least one transition is needed")
    if len(episode_start) < 2:
        raise _error("episode_start", f"{len(episode_start)} offsets found, one an episode and the end expected")
    if episode_start[0] != 0:
        raise _error("episode_start", f"starts at {episode_start[0]}, 0 expected")
    bad = np.flatnonzero(episode_start[1:] <= episode_start[:-1])
    if bad.size:
        k = int(bad[0])
        raise _error(
            "episode_start",
            f"episode {k} goes from row {episode_start[k]} to {episode_start[k + 1]}; "
            "every episode needs at least one row and must end where the next begins",
        )
    if episode_start[-1] != rows:
        raise _error("episode_start", f"ends at {episode_start[-1]}, the number of rows ({rows}) expected")


def check_rows(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """``array`` must have exactly ``shape``."""
    if array.shape != shape:
        raise _error(name, f"shape {array.shape} found, {shape} expected")


def check_ends(name: str, flags: np.ndarray, episode_start: np.ndarray) -> None:
    """A flag that ends an episode may stand on an episode's last row only."""
    inside = flags.copy()
    inside[episode_start[1:] - 1] = False
    if inside.any():
        row = int(np.argmax(inside))
        raise _error(name, f"{place(episode_start, row)} is not the episode's last step, but the flag is set there")


def check_successors(successor_row: np.ndarray, episode_start: np.ndarray) -> None:
    """``successor_row`` must rise strictly within the rows and hold every episode's last row."""
    rows = int(episode_start[-1])
    if successor_row.size and (successor_row[0] < 0 or successor_row[-1] >= rows):
        raise _error("successor_row", f"goes from {successor_row[0]} to {successor_row[-1]}, 0 to {rows - 1} expected")
    if (np.diff(successor_row) <= 0).any():
        raise _error("successor_row", "is not in rising order")
    listed = np.zeros(rows, bool)
    listed[successor_row] = True
    missing = np.flatnonzero(~listed[episode_start[1:] - 1])
    if missing.size:
        raise _error("successor_row", f"the last observation of episode {missing[0]} is missing")


def check_finite(name: str, array: np.ndarray, episode_start: np.ndarray, rows: np.ndarray | None = None) -> None:
    """Every value finite; ``rows`` are the transitions that the rows of ``array`` belong to (None: all)."""
    for first in range(0, len(array), _CHUNK):  # in chunks: a mask of the whole would cost a quarter of the data
        finite = np.isfinite(array[first : first + _CHUNK])
        if not finite.all():
            where = np.argwhere(~finite)[0]
            row, value = first + int(where[0]), array[first + int(where[0])][tuple(where[1:])]
            step = place(episode_start, row if rows is None else int(rows[row]))
            raise _error(name, f"{step}{_dimension(where)} is {value}, a finite value expected")


def check_action_range(action: np.ndarray, episode_start: np.ndarray) -> bool:
    """Every action in [-1, 1] within ``ACTION_TOLERANCE``; returns whether any lies beyond 1 within it."""
    beyond = False
    for first in range(0, len(action), _CHUNK):
        size = np.abs(action[first : first + _CHUNK])
        largest = float(size.max(initial=0.0))
        if largest > 1 + ACTION_TOLERANCE:
            where = np.argwhere(size > 1 + ACTION_TOLERANCE)[0]
            row = first + int(where[0])
            raise ActionRangeError(place(episode_start, row), int(where[1]), float(action[row, where[1]]))
        beyond = beyond or largest > 1
    return beyond


def check_fits(demonstrations: Demonstrations, spec: EnvironmentSpec) -> None:
    """CredoError where the demonstrations' sizes or action bounds are not those of the environment."""
    for name, found, expected in (
        ("observation", demonstrations.observation_size, spec.observation_size),
        ("action", demonstrations.action_size, spec.action_size if demonstrations.has_actions else 0),
    ):
        if found != expected:
            raise CredoError(
                f"demonstrations ({demonstrations.source or 'given'}): {name} has {found} dimensions, "
                f"but {spec.name} has {expected}{_meant(demonstrations, spec)}"
            )
    if demonstrations.action_bounds is None:
        return
    bounds = np.stack([spec.action_low, spec.action_high])
    differs = np.flatnonzero(~same_bounds(demonstrations.action_bounds, bounds))
    if differs.size:
        i = int(differs[0])
        low, high = demonstrations.action_bounds[:, i]
        raise CredoError(
            f"demonstrations ({demonstrations.source or 'given'}): action dimension {i} was scaled from "
            f"[{low:g}, {high:g}], but {spec.name} has [{bounds[0, i]:g}, {bounds[1, i]:g}]"
        )


def _meant(demonstrations: Demonstrations, spec: EnvironmentSpec) -> str:
    meant = demonstrations.environment[:80] if demonstrations.environment != spec.name else ""
    return _shipped_for(spec.name) + (f"; they are of {meant}: --env {meant}?" if meant else "")


def _shipped_for(environment: str) -> str:
    names = experts.names_for(environment)
    return f"; shipped for it: {', '.join(names)}" if names else ""


def check_loggable(demonstrations: Demonstrations, *, rewarded: bool, lanes: int) -> None:
    """CredoError where demonstrations cannot begin a replay of ``lanes`` environments; ``rewarded``: they need rewards,
    since the environment's own is learned from."""
    name = f"seed_replay ({demonstrations.source or 'given'})"
    if not demonstrations.has_actions:
        raise CredoError(f"{name}: has no actions; a replay needs them")
    if rewarded and demonstrations.reward is None:
        raise CredoError(f"{name}: has no rewards, which are what a run with --reward environment learns from")
    if len(demonstrations) < lanes:
        raise CredoError(f"{name}: {len(demonstrations)} transitions; at least one for each of {lanes} environments")


def place(episode_start: np.ndarray, row: int) -> str:
    """ "episode 3, step 17" for a row of the flat arrays."""
    episode = int(np.searchsorted(episode_start, row, side="right")) - 1
    return f"episode {episode}, step {row - episode_start[episode]}"


def _dimension(where: np.ndarray) -> str:
    return f", dimension {where[1]}" if len(where) > 1 else ""


def _check_axes(name: str, array: np.ndarray, axes: int) -> None:
    if array.ndim != axes:
        raise _error(name, f"shape {array.shape} found, {axes} axes expected")


def _error(name: str, message: str) -> CredoError:
    return CredoError(f"demonstrations: field {name}: {message}")
