"""The manifest of a checkpoint: what it holds, by field, and what is refused since Credo writes no such thing.

state.json begins with its format and version; ``position`` is the run's own (parts of rows written, seconds), and
``seeds`` says of each where it stands, which files it needs, and what its environments hold beside arrays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from credo.config.limits import MAXIMUM_STEPS
from credo.diagnostics.selection import badness
from credo.files import read_json, write_atomically
from credo.run_folder import EVALUATIONS, METRICS, check_version
from credo.training.faults import LONGEST
from credo.training.seed import Frozen
from credo.types import CredoError, is_number, one_line

FORMAT = "credo-checkpoint"
VERSION = 3
MANIFEST, CHECKSUM = "state.json", "state.sha256"


class OtherVersionError(CredoError):
    """A checkpoint that this version of Credo does not read: not damage, so no older one may take its place."""


@contextlib.contextmanager
def as_written(path: Path) -> Iterator[None]:
    """CredoError where a manifest does not hold what it must: somebody else may have made it."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        about = f"{type(error).__name__}: {one_line(error, LONGEST)}"
        raise CredoError(f"{path / MANIFEST}: is not as Credo writes it ({about})") from error


def write_manifest(folder: Path, round_number: int, position: dict[str, Any], seeds: dict[str, Any]) -> None:
    tree = {"format": FORMAT, "version": VERSION, "round": round_number, "position": position, "seeds": seeds}
    content = (json.dumps(tree, indent=1, allow_nan=False) + "\n").encode()
    write_atomically(folder / MANIFEST, content)
    write_atomically(folder / CHECKSUM, checksum_line(content))


def checksum_line(content: bytes) -> bytes:
    """As sha256sum writes and checks it."""
    return f"{hashlib.sha256(content).hexdigest()}  {MANIFEST}\n".encode()


def read_manifest(path: Path) -> dict[str, Any]:
    """What the checkpoint ``path`` says of itself, its fields of the kinds and within the bounds of what Credo writes.

    Raises:
        OtherVersionError: it is of a newer version.
        CredoError: it is damaged, or is not as Credo writes it.
    """
    described = read_json(path / MANIFEST)
    version = described.get("version")
    if described.get("format") != FORMAT:
        raise CredoError(f"{path}: format {described.get('format')!r} found, {FORMAT!r} expected")
    if version == 1 and not (path / CHECKSUM).exists():
        pass  # which had no checksum of its own
    elif _read_bytes(path / CHECKSUM) != checksum_line(_read_bytes(path / MANIFEST)):
        raise CredoError(f"{MANIFEST} is not as {CHECKSUM} says")
    try:
        check_version(path / MANIFEST, version, VERSION)
    except CredoError as error:
        raise OtherVersionError(str(error)) from None
    with as_written(path):
        _check_position(described["position"])
        for number, entry in described["seeds"].items():
            _check_seed(number, entry, described["version"])
    return described


def _check_position(position: dict[str, Any]) -> None:
    """Of the run; ValueError, or what a wrong kind raises, where it is not as Credo writes it."""
    if position["parts"].keys() != {METRICS, EVALUATIONS}:  # the names are those of folders, in which parts are removed
        raise ValueError(f"position.parts: {METRICS} and {EVALUATIONS} expected")
    for kind, count in position["parts"].items():
        _check_whole(f"position.parts.{kind}", count)
    seconds = position["seconds"]
    if not is_number(seconds) or seconds < 0:
        raise ValueError(f"position.seconds: {_shown(seconds)} found, a number of seconds expected")


def _check_seed(number: str, entry: dict[str, Any], version: int) -> None:
    """Of one seed; ValueError, or what a wrong kind raises, where it is not as Credo writes it."""
    if str(int(number)) != number or int(number) < 0:
        raise ValueError(f"seeds: {_shown(number)} found, the number of a seed expected")
    where = f"seeds.{number}"
    _check_whole(f"{where}.next_round", entry["next_round"])
    if (unevaluated := entry.get("unevaluated")) is not None:
        _check_whole(f"{where}.unevaluated", unevaluated, most=entry["next_round"] - 1)
    if (frozen := entry["frozen"]) is not None:
        if set(frozen) != set(Frozen._fields) or not isinstance(frozen["cause"], str):
            raise ValueError(f"{where}.frozen: a step and the text of a cause expected")
        _check_whole(f"{where}.frozen.step", frozen["step"])
    elif not isinstance(entry["environments"], dict):
        raise ValueError(f"{where}.environments: {_shown(entry['environments'])} found, an object expected")
    for name in ("best", "last"):
        _check_row(f"{where}.{name}", entry[name])
    if entry["best"] is not None and not np.isfinite(badness(with_nan(entry["best"]) or {})):
        raise ValueError(f"{where}.best: a distance or a return expected")
    if version > 1:
        _check_replay(f"{where}.replay", entry["replay"])


def _check_row(where: str, row: dict[str, Any] | None) -> None:
    """An evaluation, of which some measures may be unknown (None)."""
    if row is None:
        return
    for name, value in row.items():
        if not is_number(value) and (value is not None or name in ("step", "return_mean")):
            raise ValueError(f"{where}.{name[:60]}: {_shown(value)} found, a number expected")
    if not {"step", "return_mean"} <= row.keys():
        raise ValueError(f"{where}: a step and a return_mean expected")


def _check_replay(where: str, entry: dict[str, Any]) -> None:
    """Numbers and lists of what ``replay_files.append`` returns; whoever opens the files looks at names and hashes."""
    _check_whole(f"{where}.written", entry["written"])
    groups = entry.get("parity", [])
    for file in [*entry["files"], *groups]:
        if "size" in file:
            _check_whole(f"{where}: size", file["size"])
    for file in entry["files"]:
        _check_whole(f"{where}: stop", file["stop"], most=entry["written"])
        _check_whole(f"{where}: start", file["start"], most=file["stop"] - 1)
    if not all(isinstance(name, str) for group in groups for name in group["files"]):
        raise ValueError(f"{where}.parity: names of files expected")


def _check_whole(where: str, value: object, most: int = MAXIMUM_STEPS) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{where}: {_shown(value)} found, a whole number of 0 to {most} expected")


def _shown(value: object) -> str:
    """A value of JSON, briefly: no list or object, which may be deep."""
    return repr(value)[:60] if value is None or isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _read_bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise CredoError(f"{path.name} is not a regular file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredoError(f"{path.name} cannot be read ({error.strerror})") from None


def with_nan(row: dict[str, float | None] | None) -> dict[str, float] | None:
    """A row as it was before JSON, which knows no NaN."""
    if row is None:
        return None
    return {name: np.nan if value is None else value for name, value in row.items()}
