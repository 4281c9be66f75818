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
import stat
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from credo.config import RunConfig, from_dict, identity, run_id, to_dict
from credo.config.limits import MAXIMUM_SEEDS, MAXIMUM_STEPS
from credo.types import CredoError

FORMAT = 1
METRICS, EVALUATIONS, CHECKPOINTS, POLICIES = "metrics", "evaluations", "checkpoints", "policies"
CONFIG, SUMMARY, DONE, LOCK = "config.json", "summary.json", "DONE", "lock"
_KEYS = {"seed": pa.int32(), "round": pa.int32(), "step": pa.int64()}
_MAXIMUM_JSON_BYTES = 64 << 20
_MAXIMUM_ROWS, _MAXIMUM_COLUMNS = 5_000_000, 1_000
"""Of one Parquet part: a few hundred bytes can announce billions of rows."""
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
    """Parse a JSON object; CredoError names the file where it is not one, or no regular file, or larger than 64 MB."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise CredoError(f"{path}: is not a regular file; JSON was expected")
        if status.st_size > _MAXIMUM_JSON_BYTES:
            raise CredoError(f"{path}: larger than {_MAXIMUM_JSON_BYTES} bytes; not what Credo writes")
        tree = json.loads(path.read_bytes())
    # ValueError: no JSON, no UTF-8, or a number of thousands of digits.
    except (OSError, ValueError, RecursionError) as error:
        raise CredoError(f"{path}: not readable as JSON ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(tree, dict):
        raise CredoError(f"{path}: expected a JSON object")
    return tree


def check_links(folder: Path) -> None:
    """Refuse (CredoError) a run folder that holds a link to something outside it: what is read or written there would
    be somebody else's."""
    inside = os.path.realpath(folder) + os.sep
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            entry = os.path.join(path, name)
            if os.path.islink(entry) and not os.path.realpath(entry).startswith(inside):
                raise CredoError(f"{entry}: is a link out of the run folder; replace it by what it points to")


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
    sha256, logged = (str(demonstrations.get(name, "")) for name in ("sha256", "seed_replay_sha256"))
    if (folder / CONFIG).exists():
        check_links(folder)
        stored = read_json(folder / CONFIG)
        changed = differences(stored.get("identity", {}), identity(config, sha256, logged))
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
            "id": run_id(config, sha256, logged),
            "config": to_dict(config),
            "identity": identity(config, sha256, logged),
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
    check_links(folder)
    stored = read_json(folder / CONFIG)
    if stored.get("format") != FORMAT:
        raise CredoError(f"{folder / CONFIG}: format {stored.get('format')!r}; this version reads {FORMAT}")
    config = from_dict(stored.get("config", {}), where=str(folder / CONFIG))
    if config.seeds > MAXIMUM_SEEDS or abs(config.steps) > MAXIMUM_STEPS or abs(config.first_seed) > 2**31:
        raise CredoError(f"{folder / CONFIG}: seeds or steps beyond anything that Credo runs")
    return config, stored


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
        number = path.stem.removeprefix("part-")
        if number.isdecimal() and int(number) >= index:
            path.unlink()


def read_parts(folder: Path, kind: str, columns: list[str] | None = None) -> dict[str, np.ndarray]:
    """All rows of ``metrics`` or ``evaluations`` as columns, ordered by seed, then step; empty where there are none."""
    tables = []
    for path in sorted((folder / kind).glob("part-*.parquet")):
        try:
            file = pq.ParquetFile(path)
            _check_part(path, file)
            wanted = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
            tables.append(file.read(columns=wanted))
        except (pa.ArrowException, OSError) as error:
            raise CredoError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())[:200]})") from None
    if not tables:
        return {}
    try:
        table = pa.concat_tables(tables, promote_options="default")
    except pa.ArrowException as error:
        raise CredoError(f"{folder / kind}: its parts do not fit together ({' '.join(str(error).split())})") from None
    if {"seed", "step"} <= set(table.column_names):
        table = table.sort_by([("seed", "ascending"), ("step", "ascending")])
    return {name: table[name].to_numpy() for name in table.column_names}


def _check_part(path: Path, file: pq.ParquetFile) -> None:
    """Refuse what is not a modest table of numbers."""
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if rows > _MAXIMUM_ROWS or len(schema) > _MAXIMUM_COLUMNS:
        raise CredoError(f"{path}: {rows} rows of {len(schema)} columns; not what Credo writes")
    if len(set(schema.names)) != len(schema):
        raise CredoError(f"{path}: has two columns of one name")
    for column in schema:
        number = pa.types.is_integer if column.name in _KEYS else _is_number
        if not number(column.type):
            raise CredoError(f"{path}: column {column.name[:60]!r} is of type {column.type}; numbers expected")


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run's lock; CredoError if another process holds it. The system drops it when its holder dies."""
    # Not through a link: what it points to would be emptied.
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "r+") as file:
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
