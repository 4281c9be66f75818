"""Minari datasets in the HDF5, Arrow and Parquet layouts, read and written without the minari package.

A dataset is a folder with ``data/metadata.json``. Episodes hold T + 1 observations and T actions; the columnar
layouts pad the actions, rewards and flags with one more row, which is dropped. ``terminations`` and ``truncations``
mean what Credo means. Dict observations are joined in the order of the metadata, as ``gymnasium.spaces.flatten`` does.
Rewards that are all NaN are unknown: what Credo writes for demonstrations without rewards.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo.demonstrations.dataset import Demonstrations
from credo.demonstrations.formats import arrow, hdf5
from credo.demonstrations.formats.recording import (
    ReadOptions,
    RecordedEpisode,
    Recording,
    check_numeric,
    flags,
    gapless_episodes,
    unscaled_action,
)
from credo.environment_name import gymnasium_json
from credo.files import home_folder, name_beside, parse_json, read_json
from credo.storage import already_there, put_folder_in_place
from credo.types import CredoError

MAIN = "main_data.hdf5"
METADATA = "metadata.json"
LAYOUTS = ("hdf5", "arrow", "parquet")
VERSION = "0.5.0"
"""The dataset version that is written: all of minari 0.5 reads it."""
_IDENTIFIER = re.compile(r"(?:[-_\w][-_\w/]*[-_\w]/)?[-_\w]+?-v\d+", re.ASCII)


class Leaf(NamedTuple):
    """One array of a space: where it lies below "observations", and how many numbers it has."""

    keys: tuple[str, ...]
    size: int
    shape: tuple[int, ...]


def datasets_folder() -> Path:
    """``$MINARI_DATASETS_PATH``, else ``~/.minari/datasets``."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or home_folder() / ".minari" / "datasets")


def folder_of(identifier: str) -> Path:
    """The folder of ``minari:ID``; CredoError where the ID is no dataset's name."""
    if not _IDENTIFIER.fullmatch(identifier):
        raise CredoError(f"demonstrations: 'minari:{identifier[:60]}': (NAMESPACE/)NAME-vN expected after minari:")
    return datasets_folder() / identifier


def data_folder(path: Path) -> Path | None:
    """The folder that holds ``metadata.json``, if ``path`` is a dataset, its data folder or its HDF5 file."""
    for folder in (path / "data", path, path.parent) if path.is_dir() else (path.parent,):
        if (folder / METADATA).is_file() and (path.is_dir() or path.name == MAIN):
            return folder
    return None


@contextmanager
def open_minari(path: Path, options: ReadOptions) -> Iterator[Recording]:
    """A recording of a dataset's folder; every episode is read when asked for."""
    folder = data_folder(path)
    if folder is None:
        raise CredoError(f"{path}: no {METADATA}; a Minari dataset's folder expected")
    place = folder / METADATA
    metadata = read_json(place)
    layout = metadata.get("data_format", "hdf5")
    if layout not in LAYOUTS:
        raise CredoError(f"{place}: field data_format: {str(layout)[:40]!r}; {', '.join(LAYOUTS)} are read")
    episodes = metadata.get("total_episodes")
    if not isinstance(episodes, int) or isinstance(episodes, bool) or episodes < 0:
        raise CredoError(f"{place}: field total_episodes: {str(episodes)[:40]!r}, a whole number expected")
    observation = _chosen(
        place, _leaves(place, "observation_space", _space(place, metadata, "observation_space")), options
    )
    action_space = _space(place, metadata, "action_space")
    (action,) = _leaves(place, "action_space", action_space)
    opened = _hdf5_episodes if layout == "hdf5" else _columnar_episodes
    with opened(folder, layout, episodes, observation, action) as (lengths, episode):
        yield Recording(
            lengths=lengths,
            episode=episode,
            observation_size=sum(leaf.size for leaf in observation),
            action_size=action.size,
            action_bounds=_bounds(place, action_space, action.size),
            environment=_environment(metadata),
            joined=tuple(dict.fromkeys(leaf.keys[0] for leaf in observation if leaf.keys)),
        )


@contextmanager
def _hdf5_episodes(
    folder: Path, layout: str, episodes: int, observation: list[Leaf], action: Leaf
) -> Iterator[tuple[np.ndarray, Callable[[int], RecordedEpisode]]]:
    path = folder / MAIN
    with hdf5.opened(path) as root:
        if episodes > len(root):
            raise CredoError(f"{path}: {len(root)} episodes found, {METADATA} says {episodes}")

        def length(index: int) -> int:
            return int(hdf5.column(path, hdf5.subgroup(path, root, f"episode_{index}"), "rewards", 1).shape[0])

        def episode(index: int) -> RecordedEpisode:
            group = hdf5.subgroup(path, root, f"episode_{index}")

            def leaf_values(name: str, leaf: Leaf) -> np.ndarray:
                owner, keys = group, (name, *leaf.keys)
                for key in keys[:-1]:
                    owner = hdf5.subgroup(path, owner, key)
                place = f"{owner.name}/{keys[-1]}"
                return _flat(path, place, hdf5.values(path, owner, keys[-1], 1 + len(leaf.shape)), leaf)

            return _episode(
                path,
                index,
                [leaf_values("observations", leaf) for leaf in observation],
                leaf_values("actions", action),
                hdf5.values(path, group, "rewards", 1),
                hdf5.flag_column(path, group, "terminations"),
                hdf5.flag_column(path, group, "truncations"),
            )

        yield _lengths(path, length, episodes), episode


@contextmanager
def _columnar_episodes(
    folder: Path, layout: str, episodes: int, observation: list[Leaf], action: Leaf
) -> Iterator[tuple[np.ndarray, Callable[[int], RecordedEpisode]]]:
    def files(index: int) -> list[Path]:
        found = sorted((folder / str(index)).glob(f"*.{layout}"))
        if not found:
            raise CredoError(f"{folder / str(index)}: no .{layout} file; an episode of a Minari dataset expected")
        return found

    def length(index: int) -> int:
        return sum(arrow.rows(file, layout) for file in files(index)) - 1

    def episode(index: int) -> RecordedEpisode:
        place = folder / str(index)
        columns = ["observations", "actions", "rewards", "terminations", "truncations"]
        table = arrow.read(files(index), layout, columns)

        def leaf_values(name: str, leaf: Leaf) -> np.ndarray:
            return arrow.matrix(
                place, ".".join((name, *leaf.keys)), arrow.field(place, table, (name, *leaf.keys)), leaf.size
            )

        reward = arrow.vector(place, "rewards", table["rewards"])
        check_numeric(place, "rewards", reward.dtype, reward.shape, 1)
        return _episode(
            place,
            index,
            [leaf_values("observations", leaf) for leaf in observation],
            leaf_values("actions", action)[:-1],
            reward[:-1],
            flags(place, "terminations", arrow.vector(place, "terminations", table["terminations"]))[:-1],
            flags(place, "truncations", arrow.vector(place, "truncations", table["truncations"]))[:-1],
        )

    yield _lengths(folder, length, episodes), episode


def _lengths(path: Path, length: Callable[[int], int], episodes: int) -> np.ndarray:
    found: list[int] = []
    for k in range(episodes):
        found.append(length(k))
        if found[-1] < 1:
            raise CredoError(f"{path}: episode {k}: empty: every episode needs at least one step")
    return np.array(found, dtype=np.int64)


def _episode(
    path: Path,
    index: int,
    observations: list[np.ndarray],
    action: np.ndarray,
    reward: np.ndarray,
    terminations: np.ndarray,
    truncations: np.ndarray,
) -> RecordedEpisode:
    steps = len(action)
    for name, array, rows in (
        *(("observations", values, steps + 1) for values in observations),
        ("rewards", reward, steps),
        ("terminations", terminations, steps),
        ("truncations", truncations, steps),
    ):
        if len(array) != rows:
            raise CredoError(f"{path}: episode {index}: {name} has {len(array)} rows, {rows} expected")
    for name, ends in (("terminations", terminations), ("truncations", truncations)):
        if ends[:-1].any():
            step = int(np.argmax(ends))
            raise CredoError(f"{path}: episode {index}: {name} is set at step {step}, which is not the last")
    joined = observations[0] if len(observations) == 1 else np.concatenate(observations, axis=1)
    known = reward.dtype.kind != "f" or not np.isnan(reward).all()
    return RecordedEpisode(
        observation=joined[:-1],
        action=action,
        next_observation=joined[1:],
        reward=reward if known else None,
        terminated=bool(terminations[-1]),
        truncated=bool(truncations[-1] or not terminations[-1]),
    )


def _flat(path: Path, name: str, values: np.ndarray, leaf: Leaf) -> np.ndarray:
    if values.shape[1:] != leaf.shape:
        raise CredoError(f"{path}: field {name}: shape {values.shape} found, [rows, {leaf.shape}] expected")
    return values.reshape(len(values), -1)


def _space(place: Path, metadata: dict[str, Any], name: str) -> dict[str, Any]:
    text = metadata.get(name)
    if not isinstance(text, str):
        raise CredoError(f"{place}: field {name}: missing (datasets of minari before 0.5 are not read)")
    return parse_json(f"{place}: field {name}", text)


def _leaves(place: Path, name: str, space: Any, keys: tuple[str, ...] = ()) -> list[Leaf]:
    kind = space.get("type") if isinstance(space, dict) else None
    if kind == "Box":
        shape = space.get("shape")
        if not (isinstance(shape, list) and all(type(n) is int and 0 < n < 1 << 24 for n in shape)):
            raise CredoError(f"{place}: field {name}: shape {str(shape)[:60]}, positive whole numbers expected")
        return [Leaf(keys, math.prod(shape), tuple(shape))]
    if kind == "Dict" and isinstance(space.get("subspaces"), dict) and name == "observation_space" and len(keys) < 4:
        found = [leaf for key, part in space["subspaces"].items() for leaf in _leaves(place, name, part, (*keys, key))]
        if found:
            return found
    raise CredoError(
        f"{place}: field {name}: {str(kind)[:40]} found; Box, or for observations a Dict of them, expected"
    )


def _chosen(place: Path, leaves: list[Leaf], options: ReadOptions) -> list[Leaf]:
    """The leaves of the keys asked for, in their order; all where none is."""
    known = list(dict.fromkeys(leaf.keys[0] for leaf in leaves if leaf.keys))
    for key in options.keys:
        if key not in known:
            raise CredoError(f"{place}: keys: {key[:40]!r} is no observation; known are {', '.join(known) or 'none'}")
    chosen = options.chosen(place, known, known)
    return [leaf for key in chosen for leaf in leaves if leaf.keys[:1] == (key,)] or leaves


def _bounds(place: Path, space: dict[str, Any], size: int) -> np.ndarray | None:
    """[2, A] of a Box; None where it has no bounds (bare Infinity in the JSON)."""
    try:
        bounds = np.array([space.get("low"), space.get("high")], dtype=np.float64).reshape(2, -1)
    except (ValueError, TypeError, OverflowError):
        bounds = np.zeros((2, 0))
    if bounds.shape != (2, size):
        raise CredoError(f"{place}: field action_space: low and high of {size} numbers expected")
    if not np.isfinite(bounds).all():
        return None
    if not (bounds[0] < bounds[1]).all():
        raise CredoError(f"{place}: field action_space: low is not below high")
    return bounds.astype(np.float32)


def _environment(metadata: dict[str, Any]) -> str:
    """The id in ``env_spec``, or "": a name to show, never code to run."""
    try:
        identifier = json.loads(metadata["env_spec"])["id"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""
    return identifier[:200] if isinstance(identifier, str) else ""


def write_minari(path: Path, demonstrations: Demonstrations, overwrite: bool, layout: str = "hdf5") -> None:
    """Write a dataset's folder, which minari 0.5 loads where it lies in its datasets folder.

    CredoError where the folder's name is no dataset's, where something is there and ``overwrite`` is False, where
    transitions were left out, or where there are no actions.
    """
    if not demonstrations.has_actions:
        raise CredoError(
            f"{path}: the demonstrations have no actions, which a Minari dataset cannot do without; "
            ".safetensors and .npz can"
        )
    identifier = _identifier(path)
    if path.exists() and not overwrite:
        raise already_there(path)
    if os.path.lexists(path) and (path.is_symlink() or data_folder(path) != path / "data"):
        raise CredoError(f"{path}: is not a Minari dataset, so it is not overwritten")
    temporary = name_beside(path)
    try:
        data = temporary / "data"
        data.mkdir(parents=True)
        (_write_hdf5 if layout == "hdf5" else _write_columnar)(data, path, demonstrations, layout)
        size = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
        metadata = _metadata(demonstrations, identifier, layout) | {"dataset_size": round(size / 1e6, 1)}
        (data / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
        put_folder_in_place(temporary, path)
    except OSError as error:
        raise CredoError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _identifier(path: Path) -> str:
    """The dataset's id: the path below minari's folder, or else the folder's own name."""
    absolute, root = Path(os.path.abspath(path)), Path(os.path.abspath(datasets_folder()))
    identifier = absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else absolute.name
    if not _IDENTIFIER.fullmatch(identifier):
        raise CredoError(f"{path}: a Minari dataset's folder is named NAME-vN, such as hopper-v0")
    return identifier


def _metadata(d: Demonstrations, identifier: str, layout: str) -> dict[str, Any]:
    low, high = d.action_bounds if d.action_bounds is not None else (np.full(d.action_size, sign) for sign in (-1, 1))
    metadata = {
        "dataset_id": identifier,
        "minari_version": VERSION,
        "data_format": layout,
        "jpeg_encoding": False,
        "total_episodes": d.episodes,
        "total_steps": len(d),
        "observation_space": json.dumps(_box(d.observation_size, -math.inf, math.inf)),
        "action_space": json.dumps(_box(d.action_size, low.tolist(), high.tolist())),
        "description": d.source,
    }
    specification = gymnasium_json(d.environment)
    return metadata if specification is None else metadata | {"env_spec": specification}


def _box(size: int, low: Any, high: Any) -> dict[str, Any]:
    def full(bound: Any) -> list[float]:
        return bound if isinstance(bound, list) else [bound] * size

    return {"type": "Box", "dtype": "float32", "shape": [size], "low": full(low), "high": full(high)}


def _arrays(d: Demonstrations, path: Path) -> Iterator[dict[str, np.ndarray]]:
    action = unscaled_action(d).astype(np.float32)
    for start, stop, observation in gapless_episodes(d, path, "a Minari dataset"):
        unknown = np.full(stop - start, np.nan, np.float32)
        yield {
            "observations": observation,
            "actions": action[start:stop],
            "rewards": unknown if d.reward is None else d.reward[start:stop],
            "terminations": d.terminated[start:stop],
            "truncations": d.truncated[start:stop],
        }


def _write_hdf5(data: Path, path: Path, d: Demonstrations, layout: str) -> None:
    with hdf5.written(data / MAIN) as file:
        for k, arrays in enumerate(_arrays(d, path)):
            group = file.create_group(f"episode_{k}")
            group.attrs["id"] = k
            group.attrs["total_steps"] = len(arrays["rewards"])
            for name, array in arrays.items():
                group.create_dataset(name, data=array, chunks=True, maxshape=(None, *array.shape[1:]))
            group.create_group("infos")


def _write_columnar(data: Path, path: Path, d: Demonstrations, layout: str) -> None:
    for k, arrays in enumerate(_arrays(d, path)):
        folder = data / str(k)
        folder.mkdir()
        steps = len(arrays["rewards"])
        padded = {
            name: array if len(array) > steps else np.concatenate([array, np.zeros_like(array[:1])])
            for name, array in arrays.items()
        }
        arrow.write(folder / f"part-0.{layout}", padded, layout)
        (folder / METADATA).write_text(json.dumps({"id": k, "total_steps": steps}), encoding="utf-8")
