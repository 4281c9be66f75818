"""A run is a folder, and its files are the truth: names, atomic writing, reading. Imports no JAX.

config.json            the settings, the identity, the command and the versions
metrics/*.parquet      one row per seed and round
evaluations/*.parquet  one row per seed and evaluation
checkpoints/           whole states to go on from
policies/seed-K/       best.safetensors (chosen by ``Evaluation`` distance) and last.safetensors
summary.json           state, verdict material per seed, wall-clock
curves.png, curves.html, video.mp4
DONE                   present once all steps are done
lock                   held by the process that trains
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from credo.config import RunConfig, from_dict, identity, run_id, to_dict
from credo.types import CredoError

FORMAT = 1
METRICS, EVALUATIONS, CHECKPOINTS, POLICIES = "metrics", "evaluations", "checkpoints", "policies"
CONFIG, SUMMARY, DONE, LOCK = "config.json", "summary.json", "DONE", "lock"
_KEYS = {"seed": pa.int32(), "round": pa.int32(), "step": pa.int64()}
_VERSIONED = ("credo-imitation", "jax", "jaxlib", "numpy", "gymnasium", "mujoco", "optax")


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def write_json(path: Path, tree: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(tree, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Parse a JSON object; CredoError names the file where it is not one."""
    try:
        tree = json.loads(path.read_text())
    except FileNotFoundError:
        raise CredoError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CredoError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(tree, dict):
        raise CredoError(f"{path}: expected a JSON object")
    return tree


def versions() -> dict[str, str]:
    """Versions of what determines a run's numbers."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def create(folder: Path, config: RunConfig, demonstrations: dict[str, Any], command: str) -> bool:
    """Make the folder of a run, or recognise it; True where it is to be gone on with.

    ``demonstrations`` is what is recorded of them (sha256, return_mean, ...). Refuses (CredoError) a folder that holds
    something else, or a run whose identity differs, naming the settings that do; nothing in it is touched then.
    """
    sha256 = str(demonstrations.get("sha256", ""))
    if (folder / CONFIG).exists():
        stored = read_json(folder / CONFIG)
        changed = differences(stored.get("identity", {}), identity(config, sha256))
        if changed:
            raise CredoError(f"out: {folder} holds another run ({'; '.join(changed)}); choose another folder")
        write_json(folder / CONFIG, stored | {"config": to_dict(config), "command": command})
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CredoError(f"out: {folder} exists and is not a run; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (METRICS, EVALUATIONS, CHECKPOINTS, POLICIES):
            (folder / name).mkdir()
    except OSError as error:
        raise CredoError(f"out: {folder} cannot be made ({error.strerror})") from None
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            "id": run_id(config, sha256),
            "config": to_dict(config),
            "identity": identity(config, sha256),
            "demonstrations": demonstrations,
            "command": command,
            "versions": versions(),
        },
    )
    return False


def differences(stored: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines "name: stored, not wanted" for every leaf that differs between two trees of settings."""
    lines = []
    for name in sorted(stored.keys() | wanted.keys()):
        old, new = stored.get(name), wanted.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            lines.append(f"{prefix}{name}: {json.dumps(old)}, not {json.dumps(new)}")
    return lines


def read_config(folder: Path) -> tuple[RunConfig, dict[str, Any]]:
    """The settings of a run and the whole of its config.json; CredoError where the folder is not a run."""
    if not (folder / CONFIG).is_file():
        raise CredoError(f"run: {folder} is not a run folder (it has no {CONFIG})")
    stored = read_json(folder / CONFIG)
    if stored.get("format") != FORMAT:
        raise CredoError(f"{folder / CONFIG}: format {stored.get('format')!r}; this version reads {FORMAT}")
    return from_dict(stored.get("config", {}), where=str(folder / CONFIG)), stored


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json, or an empty one where the run has not got that far."""
    return read_json(folder / SUMMARY) if (folder / SUMMARY).exists() else {}


def write_part(folder: Path, kind: str, index: int, rows: list[dict[str, Any]]) -> None:
    """Write rows as the Parquet part ``index`` of ``metrics`` or ``evaluations``."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([row.get(name, np.nan) for row in rows], _KEYS.get(name, pa.float32())) for name in names}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    write_atomically(folder / kind / f"part-{index:06d}.parquet", sink.getvalue().to_pybytes())


def drop_parts_from(folder: Path, kind: str, index: int) -> None:
    """Remove parts written after a checkpoint: their rounds will be run again."""
    for path in sorted((folder / kind).glob("part-*.parquet")):
        if int(path.stem.split("-")[1]) >= index:
            path.unlink()


def read_parts(folder: Path, kind: str, columns: list[str] | None = None) -> dict[str, np.ndarray]:
    """All rows of ``metrics`` or ``evaluations`` as columns, ordered by seed, then step; empty where there are none."""
    tables = []
    for path in sorted((folder / kind).glob("part-*.parquet")):
        tables.append(_read_part(path, columns))
    if not tables:
        return {}
    table = pa.concat_tables(tables, promote_options="default")
    if {"seed", "step"} <= set(table.column_names):
        table = table.sort_by([("seed", "ascending"), ("step", "ascending")])
    return {name: table[name].to_numpy() for name in table.column_names}


def read_part(path: Path) -> dict[str, np.ndarray]:
    """The rows of one part as columns, as they were written; CredoError where it cannot be read."""
    table = _read_part(path, None)
    return {name: table[name].to_numpy() for name in table.column_names}


def _read_part(path: Path, columns: list[str] | None) -> pa.Table:
    try:
        # A part is small: to read ahead and to share its columns between threads would cost more than it saves.
        file = pq.ParquetFile(path, pre_buffer=False)
        known = set(file.metadata.schema.names)
        return file.read(columns=None if columns is None else [c for c in columns if c in known], use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise CredoError(f"{path}: not a readable Parquet file ({error})") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run's lock; CredoError if another process holds it. The system drops it when its holder dies."""
    with open(folder / LOCK, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise CredoError(f"out: {folder} is being trained by another process ({file.read().strip()})") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def policy_path(folder: Path, seed: int, which: str = "best") -> Path:
    return folder / POLICIES / f"seed-{seed}" / f"{which}.safetensors"
