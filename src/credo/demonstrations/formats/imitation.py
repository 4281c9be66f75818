"""Trajectories saved by the ``imitation`` library: a Hugging Face dataset's folder, or its older ``.npz``.

Both hold T + 1 observations an episode, and ``terminal``, which is also set where a time limit ended the episode. The
infos are never decoded (that would run code). In a folder they are text, in which ``"TimeLimit.truncated": true`` of
the last step is looked for; else an episode of the environment's time limit, where that is known, counts as
truncated. Pickled trajectories (``.pkl``) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from credo.demonstrations.formats import arrow
from credo.demonstrations.formats.npz import read_arrays
from credo.demonstrations.formats.recording import ReadOptions, RecordedEpisode, Recording, check_numeric, flags
from credo.files import read_json
from credo.types import CredoError

STATE = "state.json"
LEGACY = {"obs", "acts", "indices", "terminal"}
_TIME_LIMIT = '"TimeLimit.truncated": true'


def is_imitation(path: Path) -> bool:
    """Whether the folder is a Hugging Face dataset saved to disk."""
    return (path / STATE).is_file()


@contextmanager
def open_imitation(path: Path, options: ReadOptions) -> Iterator[Recording]:
    """A recording of a saved dataset's folder, or of an older ``.npz``."""
    yield _open_folder(path, options) if path.is_dir() else _open_legacy(path, options)


def _open_folder(path: Path, options: ReadOptions) -> Recording:
    listed = read_json(path / STATE).get("_data_files")
    if not isinstance(listed, list) or not listed:
        raise CredoError(f"{path / STATE}: field _data_files: a list of files expected")
    files = []
    for entry in listed:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
            raise CredoError(f"{path / STATE}: field _data_files: {str(name)[:60]!r}, a file of this folder expected")
        files.append(path / name)
    present = arrow.read_names(files[0], "arrow")
    rewarded = "rews" in present
    optional = [name for name in ("rews", "infos") if name in present]
    table = arrow.read(files, "arrow", ["obs", "acts", "terminal", *optional])
    if not len(table):
        raise CredoError(f"{path}: empty: at least one trajectory is needed")
    terminal = flags(path, "terminal", arrow.vector(path, "terminal", table["terminal"]))
    observation_size, action_size = (_width(path, name, table) for name in ("obs", "acts"))
    lengths = np.array([len(_items(path, "acts", table, k)) for k in range(len(table))], dtype=np.int64)

    def episode(index: int) -> RecordedEpisode:
        observation = _values(path, "obs", table, index, observation_size)
        action = _values(path, "acts", table, index, action_size)
        reward = _values(path, "rews", table, index, 1)[:, 0] if rewarded else None
        cut = _limit_reached(len(action), options) or ("infos" in present and _says_truncated(table["infos"][index]))
        return _episode(path, index, observation, action, reward, bool(terminal[index]), cut)

    return Recording(lengths=lengths, episode=episode, observation_size=observation_size, action_size=action_size)


def _open_legacy(path: Path, options: ReadOptions) -> Recording:
    arrays = read_arrays(path, LEGACY | {"rews"})
    for name in LEGACY - arrays.keys():
        raise CredoError(f"{path}: field {name}: missing")
    observation, action, indices = arrays["obs"], arrays["acts"], arrays["indices"]
    check_numeric(path, "obs", observation.dtype, observation.shape, 2)
    check_numeric(path, "acts", action.dtype, action.shape, 2)
    terminal = flags(path, "terminal", arrays["terminal"])
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise CredoError(
            f"{path}: field indices: {str(indices.dtype)[:40]} of shape {indices.shape}, row numbers expected"
        )
    # The first trajectory's start is left out, or, in some versions, the last one's end.
    cuts = indices[(indices > 0) & (indices < len(action))].astype(np.int64)
    start = np.concatenate([[0], cuts, [len(action)]])
    episodes = len(start) - 1
    if len(terminal) != episodes or (np.diff(start) < 1).any() or len(observation) != len(action) + episodes:
        raise CredoError(
            f"{path}: field indices: {episodes} trajectories of {len(action)} actions, but {len(terminal)} terminal "
            f"flags and {len(observation)} observations; one more observation than actions in each expected"
        )
    reward = arrays.get("rews")
    if reward is not None:
        check_numeric(path, "rews", reward.dtype, reward.shape, 1)

    def episode(index: int) -> RecordedEpisode:
        first, last = int(start[index]), int(start[index + 1])
        return _episode(
            path,
            index,
            observation[first + index : last + index + 1],
            action[first:last],
            None if reward is None else reward[first:last],
            bool(terminal[index]),
            _limit_reached(last - first, options),
        )

    return Recording(
        lengths=np.diff(start), episode=episode, observation_size=observation.shape[1], action_size=action.shape[1]
    )


def _episode(
    path: Path,
    index: int,
    observation: np.ndarray,
    action: np.ndarray,
    reward: np.ndarray | None,
    terminal: bool,
    cut: bool,
) -> RecordedEpisode:
    if len(observation) != len(action) + 1:
        raise CredoError(f"{path}: episode {index}: {len(observation)} observations and {len(action)} actions found")
    terminated = terminal and not cut
    return RecordedEpisode(observation[:-1], action, observation[1:], reward, terminated, not terminated)


def _limit_reached(steps: int, options: ReadOptions) -> bool:
    return options.spec is not None and steps == options.spec.max_episode_steps


def _says_truncated(infos: Any) -> bool:
    """Whether the text of the last step's info says that a time limit ended the episode."""
    values = infos.values
    last = values[len(values) - 1].as_py() if values is not None and len(values) else None
    return isinstance(last, str) and _TIME_LIMIT in last


def _items(path: Path, name: str, table: pa.Table, index: int) -> pa.Array:
    """What the list at a row holds."""
    scalar = table[name][index]
    if not arrow.is_list(scalar.type) or scalar.values is None:
        raise CredoError(f"{path}: field {name}: {str(scalar.type)[:60]} at row {index}, a list expected")
    return scalar.values


def _values(path: Path, name: str, table: pa.Table, index: int, size: int) -> np.ndarray:
    return arrow.matrix(path, name, pa.chunked_array([_items(path, name, table, index)]), size)


def _width(path: Path, name: str, table: pa.Table) -> int:
    return arrow.list_size(path, name, pa.chunked_array([_items(path, name, table, 0)]))
