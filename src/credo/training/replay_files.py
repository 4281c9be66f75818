"""The replay of a checkpoint in files, each step of it written once.

A file holds consecutive steps of one seed and never changes. A checkpoint lists those that it needs with their SHA-256;
a later one lists the same and one more, until the ring buffer has dropped all steps of a file. Files that no kept
checkpoint lists are removed. Parity beside them brings one of eight back (``credo.training.parity``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from credo.experience import Replay
from credo.files import sync_folder
from credo.storage import file_sha256, read_tensors, write_tensors
from credo.training.parity import protect, rebuild
from credo.types import CredoError

FORMAT = "credo-replay"
VERSION = 1
FOLDER = "replay"
LEAST = 16_384
"""Transitions from which a file is left as it is; a smaller newest one is written again with what came after it, so
that checkpoints in quick succession do not leave thousands of files."""
MOST = 65_536
"""Transitions of a file, at most: what a checkpoint copies at a time."""
_NAME = re.compile(r"replay/seed-(\d+)/(\d+-\d+-[0-9a-f]{12}\.safetensors|[0-9a-f]{12}\.parity)")


def append(folder: Path, seed: int, replay: Replay, entry: dict[str, Any] | None) -> dict[str, Any]:
    """Write the steps that are new since ``entry`` (what this returned last; None: nothing was written) to the
    ``checkpoints`` folder, and return what a checkpoint needs to say of the replay."""
    files = [file for file in (entry or {}).get("files", []) if file["stop"] > replay.oldest]
    start = entry["written"] if entry else 0
    if replay.written > start:
        if files and (files[-1]["stop"] - files[-1]["start"]) * replay.lanes < LEAST:
            start = files.pop()["start"]
        start = max(start, replay.oldest)
        size = max(MOST // replay.lanes, 1)
        for first in range(start, replay.written, size):
            files.append(_write(folder, seed, replay, first, min(first + size, replay.written)))
    # Checkpoints of version 2 told no sizes.
    files = [file if "size" in file else file | {"size": os.stat(folder / file["name"]).st_size} for file in files]
    parity = protect(folder, f"{FOLDER}/seed-{seed}", files, entry)
    return {"written": replay.written, "files": files, "parity": parity}


def restore(folder: Path, replay: Replay, entry: dict[str, Any], newest: np.ndarray) -> None:
    """Bring a replay to what ``append`` told of it; ``newest`` as ``Replay.newest``. CredoError if it does not fit."""

    def rows() -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for file in entry["files"]:
            yield file["start"], read_tensors(folder / file["name"], format=FORMAT, version=VERSION)[0]

    try:
        replay.restore(entry["written"], rows(), newest)
    except ValueError as error:
        raise CredoError(f"{folder / FOLDER}: {error}") from None


def without_newest(entry: dict[str, Any]) -> dict[str, Any]:
    """``entry`` such that the file of the newest step is written again: that step has changed."""
    if not entry["files"]:
        return entry
    *files, last = entry["files"]
    return entry | {"written": last["start"], "files": files}


def named_in(entry: dict[str, Any], seed: int) -> Iterator[tuple[str, str]]:
    """(name in the ``checkpoints`` folder, SHA-256) of every file; CredoError for a name that none of ours has."""
    for file in [*entry["files"], *entry.get("parity", [])]:
        match = _NAME.fullmatch(file["name"])
        if match is None or int(match[1]) != seed:
            raise CredoError(f"{file['name'][:60]!r} is no file of seed {seed}'s replay")
        yield file["name"], file["sha256"]


def verify(folder: Path, files: Iterable[tuple[str, str]]) -> None:
    """CredoError that names the first file which is missing, a link, or not of its SHA-256."""
    for name, wrong in _damage(folder, files).items():
        raise CredoError(f"{name} {wrong}")


def mend(folder: Path, entry: dict[str, Any], seed: int) -> list[str]:
    """Verify the files of a seed's replay and make those again that parity brings back, with a line about each;
    CredoError that names one that is lost."""
    damaged = _damage(folder, named_in(entry, seed))
    for name in rebuild(folder, entry, damaged):
        raise CredoError(f"{name} {damaged[name]}")
    return [f"{name} {wrong}; it was made again from the files beside it" for name, wrong in damaged.items()]


def _damage(folder: Path, files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name to what is wrong with it, of the files that are missing or not of their SHA-256; CredoError for a link."""
    found = {}
    for name, sha256 in files:
        path = folder / name
        if path.is_symlink() or path.parent.is_symlink():
            raise CredoError(f"{name} is a link")
        if not path.is_file():
            found[name] = "is missing"
        elif file_sha256(path) != sha256:
            found[name] = "is not what was written"
    return found


def remove_others(folder: Path, needed: set[str]) -> None:
    """Remove the files of replays that are not ``needed``."""
    for path in (folder / FOLDER).glob("seed-*/[0-9a-f]*"):
        if path.relative_to(folder).as_posix() not in needed:
            path.unlink(missing_ok=True)


def restore_version_1(replay: Replay, arrays: dict[str, np.ndarray]) -> None:
    """Bring a replay to what a checkpoint of version 1 kept, which was all of it: by slot, lane by lane."""
    written = int(arrays["written"])
    held = min(written, replay.length)
    if len(arrays["reward"]) != held * replay.lanes:
        raise CredoError(f"checkpoint: a replay of {len(arrays['reward'])} transitions does not fit {replay.capacity}")
    # Slots of a ring that is full begin with the step that took the place of the oldest.
    order = (np.arange(written - held, written) % replay.length)[:, None] + np.arange(replay.lanes) * held
    rows = {name: arrays[name][order] for name in ("observation", "action", "reward", "terminated", "ended")}
    successors = {int(slot): row for slot, row in zip(arrays["side_slot"], arrays["side_observation"], strict=True)}
    length = replay.length
    if held < length and held and replay.lanes > 1:  # the buffer may have been shorter: its last slot tells
        length = (int(arrays["side_slot"].max()) - (written - 1)) // (replay.lanes - 1)
    slots = np.arange(written - held, written)[:, None] % length + np.arange(replay.lanes) * length
    size = arrays["observation"].shape[1]
    rows["successor"] = np.array([successors[slot] for slot in slots[rows["ended"]]], np.float32).reshape(-1, size)
    newest = np.array([successors[slot] for slot in slots[-1]] if held else [], np.float32).reshape(-1, size)
    replay.restore(written, [(written - held, rows)], newest)


def _write(folder: Path, seed: int, replay: Replay, start: int, stop: int) -> dict[str, Any]:
    home = folder / FOLDER / f"seed-{seed}"
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".{start:012d}.tmp"
    try:
        rows = replay.rows(start, stop)
        write_tensors(temporary, format=FORMAT, version=VERSION, tensors=rows, metadata={}, overwrite=True)
        sha256 = file_sha256(temporary)
        # The content in the name: a file of the same steps that another checkpoint needs is never written over.
        path = home / f"{start:012d}-{stop:012d}-{sha256[:12]}.safetensors"
        os.replace(temporary, path)
        sync_folder(home)
    finally:
        temporary.unlink(missing_ok=True)
    entry = {"name": path.relative_to(folder).as_posix(), "sha256": sha256, "size": path.stat().st_size}
    return entry | {"start": start, "stop": stop}
