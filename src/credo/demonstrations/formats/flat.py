"""Flat transitions, one row after another, with end flags: how D4RL and ``.npz`` files are cut into episodes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo.demonstrations import validate
from credo.demonstrations.formats.recording import ReadOptions, RecordedEpisode, Recording, without_lone_rows
from credo.types import CredoError

Column = Any
"""A NumPy array, or anything with ``shape`` and ``dtype`` that gives one when sliced (a dataset in a file)."""
_CHUNK = 1 << 20
"""Numbers that are compared at once."""


class Flat(NamedTuple):
    """N transitions in recorded order."""

    observation: Column
    """[N, O]."""
    action: Column
    """[N, A]."""
    terminated: np.ndarray
    """[N] bool."""
    truncated: np.ndarray | None
    """[N] bool, or None where the file does not say which episodes were cut off."""
    next_observation: Column | None
    """[N, O], or None: the next row's observation then, and the last row of each episode is dropped."""
    reward: Column | None
    """[N], or None."""
    episode_start: np.ndarray | None = None
    """[E + 1] first row of each episode and N, where the file says so; else the flags say it."""
    action_bounds: np.ndarray | None = None
    environment: str = ""
    lengths: np.ndarray | None = None
    """[E] steps as recorded, where transitions were left out."""
    returns: np.ndarray | None = None
    """[E] as recorded."""


def flat_recording(path: Path, flat: Flat, options: ReadOptions) -> Recording:
    """A recording of flat transitions.

    An episode ends where ``terminated`` or ``truncated`` is set. Where a file has no ``truncated``, it also ends where
    the next observation is not the next row's, or else after the environment's time limit. What ends otherwise (at
    the last row too) counts as truncated. Without next observations the successor of an episode's last row was not
    recorded: that row is dropped, and the episode counts as truncated before it; one of a single row is left out.
    """
    rows = len(flat.terminated)
    for name in ("observation", "action", "next_observation", "reward", "truncated"):
        column = getattr(flat, name)
        if column is not None and column.shape[0] != rows:
            raise CredoError(f"{path}: field {name}: {column.shape[0]} rows found, {rows} expected")
    if flat.next_observation is not None and flat.next_observation.shape != flat.observation.shape:
        found, expected = flat.next_observation.shape, flat.observation.shape
        raise CredoError(f"{path}: field next_observation: shape {found} found, {expected} expected")
    if rows == 0:
        raise CredoError(f"{path}: empty: at least one transition is needed")
    told = flat.episode_start is not None
    start = flat.episode_start if flat.episode_start is not None else _boundaries(flat, options)
    try:
        validate.check_boundaries(start, rows)
        validate.check_ends("terminated", flat.terminated, start)
        if flat.truncated is not None:
            validate.check_ends("truncated", flat.truncated, start)
        for name in ("lengths", "returns"):
            if getattr(flat, name) is not None:
                validate.check_rows(name, getattr(flat, name), (len(start) - 1,))
    except CredoError as error:
        raise CredoError(f"{path}: {error}") from None
    dropped = 0 if flat.next_observation is not None else 1
    kept = without_lone_rows(path, np.diff(start)) if dropped else np.arange(len(start) - 1)

    def episode(index: int) -> RecordedEpisode:
        k = int(kept[index])
        first, last = int(start[k]), int(start[k + 1]) - dropped
        observation = flat.observation[first : last + dropped]
        following = observation[1:] if flat.next_observation is None else flat.next_observation[first:last]
        reward = None if flat.reward is None else flat.reward[first : last + dropped]
        terminated = bool(flat.terminated[last - 1]) if not dropped else False
        marked = flat.truncated is not None and bool(flat.truncated[last - 1])
        total = None if flat.returns is None else float(flat.returns[k])
        if reward is not None and total is None:
            total = float(reward.astype(np.float32).sum(dtype=np.float64))
        return RecordedEpisode(
            observation=observation[: last - first],
            action=flat.action[first:last],
            next_observation=following,
            reward=None if reward is None else reward[: last - first],
            terminated=terminated,
            truncated=bool(dropped) or marked or not (terminated or told),
            length=int(flat.lengths[k]) if flat.lengths is not None else last - first + dropped,
            total=total,
        )

    return Recording(
        lengths=np.diff(start)[kept] - dropped,
        episode=episode,
        observation_size=flat.observation.shape[1],
        action_size=flat.action.shape[1],
        action_bounds=flat.action_bounds,
        environment=flat.environment,
    )


def _boundaries(flat: Flat, options: ReadOptions) -> np.ndarray:
    """[E + 1] episode starts from the flags and, without truncation flags, from what else tells an end."""
    ends = flat.terminated.copy()
    ends[-1] = True
    if flat.truncated is not None:
        ends |= flat.truncated
    elif flat.next_observation is not None:
        step = max(1, _CHUNK // flat.observation.shape[1])
        for first in range(0, len(ends) - 1, step):
            last = min(first + step, len(ends) - 1)
            following, own = flat.next_observation[first:last], flat.observation[first + 1 : last + 1]
            ends[first:last] |= (following != own).any(axis=1)
    elif options.spec is not None and options.spec.max_episode_steps:
        stops = np.flatnonzero(ends) + 1
        for first, last in itertools.pairwise([0, *stops.tolist()]):
            ends[first + options.spec.max_episode_steps - 1 : last : options.spec.max_episode_steps] = True
    return np.concatenate([[0], np.flatnonzero(ends) + 1])
