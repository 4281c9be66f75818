"""Parity of the replay's files: any one of a group that is damaged or lost is made again from the others.

Checkpoints share the files of older steps, which exist once. A group is up to eight files of one seed; its parity, a
file as long as the longest of them, is the exclusive or of their bytes, the shorter ones continued by zeros. What is
made again is checked against the SHA-256 that the checkpoint lists.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from credo.files import write_atomically
from credo.types import CredoError

MEMBERS = 8
"""Files of a group, at most: parity takes an eighth of the disk that the replay takes."""


def protect(
    folder: Path, home: str, files: Sequence[dict[str, Any]], before: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Write the parity of ``files`` (each a name in ``folder``, sha256 and size) to ``folder / home``.

    Returns the groups: name, sha256 and size of the parity, and the names of the files it is of. ``before`` holds the
    ``files`` and groups (``parity``) of the checkpoint before; a group that stays as it was is not written again.
    """
    old_groups = before.get("parity", []) if before else []
    present = {file["name"]: file for file in files}
    known = {file["name"]: file for file in before["files"]} | present if before else present
    wanted = [[name for name in group["files"] if name in present] for group in old_groups]
    covered = {name for names in wanted for name in names}
    for name in present:
        if name in covered:
            continue
        if not wanted or len(wanted[-1]) == MEMBERS:
            wanted.append([])
        wanted[-1].append(name)
    groups = []
    for old, names in itertools.zip_longest(old_groups, wanted):
        if old is not None and old["files"] == names:
            groups.append(old)
        elif names and (content := _changed(folder, old, names, known)) is not None:
            sha256 = hashlib.sha256(content).hexdigest()
            name = f"{home}/{sha256[:12]}.parity"
            write_atomically(folder / name, content)
            groups.append({"name": name, "sha256": sha256, "size": len(content), "files": names})
    return groups


def rebuild(folder: Path, entry: dict[str, Any], damaged: Iterable[str]) -> set[str]:
    """Make ``damaged`` files of a checkpoint's replay again, where each is the only one of its group; returns the
    names of those that cannot be."""
    left = set(damaged)
    known = {file["name"]: file for file in [*entry["files"], *entry.get("parity", [])]}
    for group in entry.get("parity", []):
        names = [group["name"], *group["files"]]
        lost = [name for name in names if name in left]
        if len(lost) != 1:
            continue
        wanted = known[lost[0]]
        content = _combined(folder, [known[name] for name in names if name != lost[0]])[: wanted["size"]]
        if hashlib.sha256(content).hexdigest() == wanted["sha256"]:
            (folder / lost[0]).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / lost[0], content)
            left.remove(lost[0])
    return left


def _changed(
    folder: Path, old: dict[str, Any] | None, names: Sequence[str], known: dict[str, dict[str, Any]]
) -> bytes | None:
    """The parity of ``names``: from that of ``old`` and what joined or left it, or anew where that is not whole. None
    where a file is damaged meanwhile, which is found when it is read."""
    members = [known[name] for name in names]
    size = max(file["size"] for file in members)
    if old is not None:
        with contextlib.suppress(CredoError, KeyError):
            moved = [known[name] for name in sorted({*names} ^ {*old["files"]})]
            return _combined(folder, [old, *moved])[:size]
    with contextlib.suppress(CredoError):
        return _combined(folder, members)
    return None


def _combined(folder: Path, files: Sequence[dict[str, Any]]) -> bytes:
    """The exclusive or of whole files; CredoError where one is not what was written."""
    contents = [_content(folder / file["name"], file["sha256"]) for file in files]
    combined = np.zeros(max(map(len, contents)), np.uint8)
    for content in contents:
        combined[: len(content)] ^= np.frombuffer(content, np.uint8)
    return combined.tobytes()


def _content(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CredoError(f"{path}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CredoError(f"{path}: is not what was written")
    return content
