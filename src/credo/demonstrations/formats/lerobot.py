"""LeRobot datasets, v2 and v3: the state and action columns of the Parquet files; videos are not read.

Observations are the columns named by ``@keys=``, else ``observation.state`` and, where present,
``observation.environment_state``. Frames hold no successor for the last action of an episode: it is dropped. Nothing
says whether an episode terminated, so every one counts as truncated. ``next.reward`` is the reward where present.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from credo.demonstrations.formats import arrow
from credo.demonstrations.formats.recording import ReadOptions, RecordedEpisode, Recording, without_lone_rows
from credo.files import read_json
from credo.types import CredoError

INFO = "meta/info.json"
STATES = ("observation.state", "observation.environment_state")
REWARD = "next.reward"
_VERSIONS = ("v2.", "v3.")


def is_lerobot(path: Path) -> bool:
    """Whether the folder has LeRobot's description."""
    return (path / INFO).is_file()


@contextmanager
def open_lerobot(path: Path, options: ReadOptions) -> Iterator[Recording]:
    """A recording of a dataset's folder; one Parquet file at a time is in memory."""
    place = path / INFO
    info = read_json(place)
    if not str(info.get("codebase_version", "")).startswith(_VERSIONS):
        raise CredoError(
            f"{place}: field codebase_version: {str(info.get('codebase_version'))[:40]!r}; v2 and v3 are read"
        )
    features = info.get("features")
    if not isinstance(features, dict):
        raise CredoError(f"{place}: field features: an object expected")
    keys = options.chosen(place, features, [key for key in STATES if key in features])
    for key in (*keys, "action"):
        if key not in features:
            raise CredoError(f"{place}: field features: {key[:60]!r} is missing; there are {', '.join(features)[:200]}")
    if not keys:
        raise CredoError(f"{place}: field features: no {STATES[0]}; there are {', '.join(features)[:200]}")
    rewarded = REWARD in features
    files = sorted(path.glob("data/*/*.parquet"))
    if not files:
        raise CredoError(f"{path}: no data/*/*.parquet; a LeRobot dataset expected")
    parts, last = [], -1
    for number, file in enumerate(files):
        for first, rows, identity in _episodes(file):
            if identity <= last:
                raise CredoError(f"{file}: field episode_index: {identity} after {last}; episodes in order expected")
            parts.append((number, first, rows))
            last = identity
    parts = [parts[k] for k in without_lone_rows(path, np.array([rows for _, _, rows in parts]))]
    columns = _Columns(files, keys, rewarded)

    def episode(index: int) -> RecordedEpisode:
        number, first, rows = parts[index]
        observation, action, reward = columns.of(number)
        shown = observation[first : first + rows]
        rewards = None if reward is None else reward[first : first + rows]
        return RecordedEpisode(
            observation=shown[:-1],
            action=action[first : first + rows - 1],
            next_observation=shown[1:],
            reward=None if rewards is None else rewards[:-1],
            terminated=False,
            truncated=True,
            length=rows,
            total=None if rewards is None else float(rewards.astype(np.float32).sum(dtype=np.float64)),
        )

    observation, action, _ = columns.of(0)
    yield Recording(
        lengths=np.array([rows - 1 for _, _, rows in parts], dtype=np.int64),
        episode=episode,
        observation_size=observation.shape[1],
        action_size=action.shape[1],
        joined=tuple(keys),
    )


class _Columns:
    """The columns of the file read last."""

    def __init__(self, files: Sequence[Path], keys: Sequence[str], rewarded: bool) -> None:
        self._files, self._keys, self._rewarded = files, keys, rewarded
        self._number = -1
        self._values: tuple[Any, Any, Any] = (None, None, None)

    def of(self, number: int) -> tuple[Any, Any, Any]:
        """Observations [N, O], actions [N, A] and rewards [N] or None of file ``number``."""
        if number != self._number:
            file = self._files[number]
            names = [*self._keys, "action", *([REWARD] if self._rewarded else [])]
            table = arrow.read([file], "parquet", names)

            def matrix(name: str) -> np.ndarray:
                column = table[name]
                return arrow.matrix(file, name, column, arrow.list_size(file, name, column))

            observation = np.concatenate([matrix(key) for key in self._keys], axis=1)
            reward = arrow.vector(file, REWARD, table[REWARD]) if self._rewarded else None
            self._number, self._values = number, (observation, matrix("action"), reward)
        return self._values


def _episodes(file: Path) -> list[tuple[int, int, int]]:
    """(first row, rows, episode index) of the episodes in a file."""
    table = arrow.read([file], "parquet", ["episode_index"])
    index = arrow.vector(file, "episode_index", table["episode_index"])
    if not len(index) or index.dtype.kind not in "iu":
        raise CredoError(f"{file}: field episode_index: a whole number a frame expected")
    first = np.flatnonzero(np.diff(index, prepend=index[0] - 1))
    return list(zip(first.tolist(), np.diff(first, append=len(index)).tolist(), index[first].tolist(), strict=True))
