"""Expert demonstrations in memory: flat arrays of transitions, grouped into episodes.

An observation is held once. The successor of a row is the next row, except at the rows listed in
``successor_row`` (episode ends; every row where transitions were left out), whose successors stand in
``successor``. So a million Humanoid transitions take 1.4 GB and not 2.9, and a subsampled set still has the
true next observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from credo.demonstrations import validate
from credo.demonstrations.rows import joined_ranges, mean_and_deviation, subsampled
from credo.random import SPLIT, Purpose, host_generator
from credo.storage import content_sha256
from credo.types import CredoError, Transition

STANDARD_DEVIATION_FLOOR = 1e-3
ARRAYS = (
    "observation",
    "action",
    "terminated",
    "truncated",
    "episode_start",
    "successor_row",
    "successor",
    "lengths",
    "reward",
    "returns",
    "action_bounds",
)


class Statistics(NamedTuple):
    """Normalisation constants of the observations: ``(observation - mean) / std``."""

    mean: np.ndarray
    """[O] float32."""
    std: np.ndarray
    """[O] float32, at least 0.001; exactly 1 for a constant dimension, which thus maps to 0."""


class Split(NamedTuple):
    """Demonstrations for training and for measuring, divided by episode."""

    training: Demonstrations
    held_out: Demonstrations
    shared: bool
    """True if there is one episode only, which both sides then hold: held-out measures are not held out."""


class DemonstratedEpisode(NamedTuple):
    """The kept transitions of one episode, in order."""

    observation: np.ndarray
    """[T, O] float32."""
    action: np.ndarray
    """[T, A] float32 in [-1, 1]."""
    next_observation: np.ndarray
    """[T, O] float32: the true successor of each row."""
    reward: np.ndarray | None
    """[T] float32, or None if unknown."""
    terminated: bool
    truncated: bool


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """N transitions of E episodes, checked on construction; arrays are read-only.

    Build it with ``from_episodes`` or ``from_transitions`` (``credo.demonstrations.build``). CredoError, one
    line, names the field and the first bad episode, step and dimension: wrong shapes or kinds, NaN or
    infinity, actions beyond [-1, 1] by more than 1e-6, empty episodes, episode boundaries that do not cover
    the rows, end flags inside an episode, no data at all.
    """

    observation: np.ndarray
    """[N, O] float32."""
    action: np.ndarray
    """[N, A] float32 in [-1, 1], where -1 and 1 stand for the bounds of the environment's action box; A is 0 where the
    actions are unknown."""
    terminated: np.ndarray
    """[N] bool: the episode ended in the successor; False everywhere but at episodes' last rows."""
    truncated: np.ndarray
    """[N] bool: the episode was cut off there (time limit) or, where transitions were left out, behind; False
    everywhere but at episodes' last rows."""
    episode_start: np.ndarray
    """[E + 1] int64: first row of each episode, and N."""
    successor_row: np.ndarray
    """[K] int64, rising: the rows whose successor is not the next row; episodes' last rows among them."""
    successor: np.ndarray
    """[K, O] float32: the observations that follow ``successor_row``."""
    lengths: np.ndarray
    """[E] int64: steps of each episode as recorded, more than its rows where transitions were left out."""
    reward: np.ndarray | None = None
    """[N] float32: the environment's reward, or None if unknown; nothing learns from it."""
    returns: np.ndarray | None = None
    """[E] float64: undiscounted return of each episode as recorded, or None if unknown."""
    action_bounds: np.ndarray | None = None
    """[2, A] float32: low and high of the action box that [-1, 1] was scaled from, or None if unknown."""
    environment: str = ""
    """Name of the environment they were recorded in, or ""."""
    source: str = ""
    """Where they come from, for people to read; no part of ``sha256``."""

    def __post_init__(self) -> None:
        for name in ("environment", "source"):
            if not isinstance(getattr(self, name), str):
                kind = type(getattr(self, name)).__name__
                raise CredoError(f"demonstrations: field {name}: {kind} found, text expected")
        values = {
            "observation": validate.float_array("observation", self.observation, 2),
            "action": validate.float_array("action", self.action, 2),
            "terminated": validate.flag_array("terminated", self.terminated),
            "truncated": validate.flag_array("truncated", self.truncated),
            "episode_start": validate.row_array("episode_start", self.episode_start),
            "successor_row": validate.row_array("successor_row", self.successor_row),
            "successor": validate.float_array("successor", self.successor, 2),
            "lengths": validate.row_array("lengths", self.lengths),
        }
        if self.reward is not None:
            values["reward"] = validate.float_array("reward", self.reward, 1)
        if self.returns is not None:
            validate.float_array("returns", self.returns, 1)
            values["returns"] = np.array(self.returns, dtype=np.float64)
        if self.action_bounds is not None:
            values["action_bounds"] = validate.float_array("action_bounds", self.action_bounds, 2)
        _check(values)
        if validate.check_action_range(values["action"], values["episode_start"]):
            values["action"] = np.clip(values["action"], -1, 1)
        for name, array in values.items():
            array = array.view()  # the caller's own array stays writeable
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        of = self.environment or "no named environment"
        sizes = f"{self.observation_size} dimensions, {self.action_size or 'unknown'} actions"
        return f"<Demonstrations of {of}: {self.episodes} episodes, {len(self)} transitions, {sizes}>"

    def __len__(self) -> int:
        return len(self.observation)

    @property
    def observation_size(self) -> int:
        return self.observation.shape[1]

    @property
    def action_size(self) -> int:
        return self.action.shape[1]

    @property
    def has_actions(self) -> bool:
        """Whether the actions are known; else ``action`` is [N, 0]."""
        return self.action.shape[1] > 0

    @property
    def episodes(self) -> int:
        return len(self.episode_start) - 1

    @property
    def rows_per_episode(self) -> np.ndarray:
        """[E] int64: transitions held of each episode."""
        return np.diff(self.episode_start)

    @property
    def last_row(self) -> np.ndarray:
        """[E] int64: the last row held of each episode."""
        return self.episode_start[1:] - 1

    @property
    def whole(self) -> np.ndarray:
        """[E] bool: the episodes held whole, but perhaps for the last row: some formats lack its successor, and it."""
        return np.asarray(self.rows_per_episode >= self.lengths - 1)

    @property
    def next_observation(self) -> np.ndarray:
        """[N, O] float32: the true successors. Allocated on each call; ``transitions`` gathers a few rows."""
        result = np.empty_like(self.observation)
        result[:-1] = self.observation[1:]
        result[self.successor_row] = self.successor
        return result

    @cached_property
    def sha256(self) -> str:
        """SHA-256 in hex of the content (not of ``source``), the same on every platform."""
        return content_sha256(tensors(self), {"environment": self.environment})

    def transitions(self, rows: np.ndarray) -> Transition:
        """The transitions at ``rows`` (int, any shape), copied; unknown rewards are NaN."""
        rows = np.asarray(rows)
        listed = np.searchsorted(self.successor_row, rows)
        listed = np.minimum(listed, len(self.successor_row) - 1)
        jumps = self.successor_row[listed] == rows
        following = self.observation[np.minimum(rows + 1, len(self) - 1)]
        return Transition(
            observation=self.observation[rows],
            action=self.action[rows],
            reward=np.full(rows.shape, np.nan, np.float32) if self.reward is None else self.reward[rows],
            next_observation=np.where(jumps[..., None], self.successor[listed], following),
            terminated=self.terminated[rows],
        )

    def episode(self, index: int) -> DemonstratedEpisode:
        """Episode ``index``, from 0; CredoError if there is no such episode."""
        _check_episodes(np.array([index]), self.episodes)
        rows = np.arange(self.episode_start[index], self.episode_start[index + 1])
        batch = self.transitions(rows)
        return DemonstratedEpisode(
            observation=batch.observation,
            action=batch.action,
            next_observation=batch.next_observation,
            reward=None if self.reward is None else batch.reward,
            terminated=bool(self.terminated[rows[-1]]),
            truncated=bool(self.truncated[rows[-1]]),
        )

    def select_episodes(self, indices: Sequence[int] | np.ndarray) -> Demonstrations:
        """The episodes ``indices``, in that order; CredoError if there are none or one does not exist."""
        if len(indices) == 0:
            raise CredoError("demonstrations: no episodes chosen, at least one is needed")
        chosen = validate.row_array("episodes", indices)
        _check_episodes(chosen, self.episodes)
        starts, stops = self.episode_start[chosen], self.episode_start[chosen + 1]
        rows = joined_ranges(starts, stops)
        episode_start = np.concatenate([[0], np.cumsum(stops - starts)])
        first = np.searchsorted(self.successor_row, starts)
        last = np.searchsorted(self.successor_row, stops)
        kept = joined_ranges(first, last)
        shift = np.repeat(episode_start[:-1] - starts, last - first)
        return replace(
            self,
            observation=self.observation[rows],
            action=self.action[rows],
            terminated=self.terminated[rows],
            truncated=self.truncated[rows],
            reward=None if self.reward is None else self.reward[rows],
            episode_start=episode_start,
            successor_row=self.successor_row[kept] + shift,
            successor=self.successor[kept],
            lengths=self.lengths[chosen],
            returns=None if self.returns is None else self.returns[chosen],
        )

    def subsample(self, stride: int, seed: int) -> Demonstrations:
        """Every ``stride``-th transition of each episode, from a seeded offset below ``stride``.

        Each episode keeps at least one transition; successors, lengths and returns stay the true ones.
        CredoError unless 1 <= ``stride`` < 2**31.
        """
        if not 1 <= stride < 2**31:
            raise CredoError(f"demonstrations: subsample={stride}: {'fewer' if stride > 1 else '1 or more'} expected")
        offsets, episode_start = subsampled(self.rows_per_episode, stride, seed)
        kept = np.diff(episode_start)
        within = np.arange(episode_start[-1]) - np.repeat(episode_start[:-1], kept)
        rows = np.repeat(self.episode_start[:-1] + offsets, kept) + stride * within
        # An episode that was cut off still is, whichever row is its last now: without a flag it terminated.
        truncated = np.zeros(len(rows), bool)
        truncated[episode_start[1:] - 1] = self.truncated[self.last_row]
        return self._keep(rows, episode_start, truncated)

    def first_transitions(self, count: int) -> Demonstrations:
        """The first ``count`` transitions; an episode cut by this is marked truncated, its return stays the
        whole's.

        CredoError unless 1 <= ``count`` <= N.
        """
        if not 1 <= count <= len(self):
            raise CredoError(f"demonstrations: {count} transitions asked for, 1 to {len(self)} expected")
        last = int(np.searchsorted(self.episode_start, count))
        episode_start = np.minimum(self.episode_start[: last + 1], count)
        truncated = self.truncated[:count].copy()
        truncated[-1] |= self.episode_start[last] != count
        return self.select_episodes(range(last))._keep(np.arange(count), episode_start, truncated)

    def fell(self, horizon: int) -> np.ndarray:
        """[E] bool: the episodes that terminated. One without the row in which it did, which subsampling drops, has
        neither flag, and terminated if it is shorter than ``horizon``, which episodes may be long."""
        ends = self.last_row
        return np.asarray(self.terminated[ends] | (~self.truncated[ends] & (self.lengths < horizon)))

    def split_held_out(self, fraction: float, seed: int) -> Split:
        """Divide by episode: about ``fraction`` (0 to 1, exclusive) of the episodes are held out, at random.

        Each side has at least one episode; a single episode goes to both sides and ``shared`` says so.
        """
        if not 0 < fraction < 1:
            raise CredoError(f"demonstrations: fraction {fraction} to hold out: a number between 0 and 1 expected")
        if self.episodes == 1:
            return Split(self, self, shared=True)
        held = min(max(round(self.episodes * fraction), 1), self.episodes - 1)
        order = host_generator(seed, Purpose.DEMONSTRATIONS, SPLIT).permutation(self.episodes)
        return Split(
            training=self.select_episodes(np.sort(order[held:])),
            held_out=self.select_episodes(np.sort(order[:held])),
            shared=False,
        )

    def statistics(self) -> Statistics:
        """Mean and standard deviation of the observations, accumulated in float64."""
        mean, std = mean_and_deviation(self.observation)
        low, high = self.observation.min(axis=0), self.observation.max(axis=0)
        constant = low == high  # the mean of equal values is not always that value
        return Statistics(
            mean=np.where(constant, low, mean).astype(np.float32),
            std=np.where(constant, 1.0, np.maximum(std, STANDARD_DEVIATION_FLOOR)).astype(np.float32),
        )

    def _keep(self, rows: np.ndarray, episode_start: np.ndarray, truncated: np.ndarray) -> Demonstrations:
        """These rows alone (rising, some of every episode); lengths and returns stay the episodes' own."""
        batch = self.transitions(rows)
        follows = np.diff(rows, append=-1) == 1
        follows[episode_start[1:] - 1] = False
        follows &= ~np.isin(rows, self.successor_row)
        return replace(
            self,
            observation=batch.observation,
            action=batch.action,
            terminated=batch.terminated,
            truncated=truncated,
            reward=None if self.reward is None else batch.reward,
            episode_start=episode_start,
            successor_row=np.flatnonzero(~follows),
            successor=batch.next_observation[~follows],
        )


def tensors(demonstrations: Demonstrations) -> dict[str, np.ndarray]:
    """Every array that is not None, by field name: all of the content but ``environment`` and ``source``."""
    values = {name: getattr(demonstrations, name) for name in ARRAYS}
    return {name: array for name, array in values.items() if array is not None}


def check_type(where: str, value: object) -> None:
    """CredoError, ``where`` first, unless ``value`` is a set of demonstrations."""
    if not isinstance(value, Demonstrations):
        raise CredoError(f"{where}: {type(value).__name__} found; Demonstrations expected")


def _check(values: dict[str, np.ndarray]) -> None:
    """Sizes that agree, whole episodes, finite values; ``values`` by field name, no None among them."""
    observation, action, episode_start = values["observation"], values["action"], values["episode_start"]
    rows, episodes = len(observation), len(episode_start) - 1
    validate.check_boundaries(episode_start, rows)
    if observation.shape[1] == 0:
        raise CredoError("demonstrations: field observation: 0 dimensions found, 1 or more expected")
    for name, shape in {
        "action": (rows, action.shape[1]),
        "terminated": (rows,),
        "truncated": (rows,),
        "reward": (rows,),
        "successor": (len(values["successor_row"]), observation.shape[1]),
        "lengths": (episodes,),
        "returns": (episodes,),
        "action_bounds": (2, action.shape[1]),
    }.items():
        if name in values:
            validate.check_rows(name, values[name], shape)
    validate.check_ends("terminated", values["terminated"], episode_start)
    validate.check_ends("truncated", values["truncated"], episode_start)
    validate.check_successors(values["successor_row"], episode_start)
    short = np.flatnonzero(values["lengths"] < np.diff(episode_start))
    if short.size:
        raise CredoError(f"demonstrations: field lengths: episode {short[0]} has more rows than steps")
    for name in ("observation", "action", "reward"):
        if name in values:
            validate.check_finite(name, values[name], episode_start)
    validate.check_finite("successor", values["successor"], episode_start, values["successor_row"])
    for name in ("returns", "action_bounds"):
        if name in values and not np.isfinite(values[name]).all():
            raise CredoError(f"demonstrations: field {name}: holds NaN or infinity, finite values expected")
    if "action_bounds" in values and (values["action_bounds"][0] >= values["action_bounds"][1]).any():
        index = int(np.argmax(values["action_bounds"][0] >= values["action_bounds"][1]))
        low, high = values["action_bounds"][:, index]
        raise CredoError(
            f"demonstrations: field action_bounds: dimension {index} is {low:g} to {high:g}; the lower first expected"
        )


def _check_episodes(indices: np.ndarray, episodes: int) -> None:
    outside = indices[(indices < 0) | (indices >= episodes)]
    if outside.size:
        raise CredoError(f"demonstrations: episode {outside[0]} asked for, 0 to {episodes - 1} exist")
