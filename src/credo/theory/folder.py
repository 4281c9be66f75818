"""The folder of findings: nothing in it is replaced or removed but what ``credo theory`` wrote there itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from credo.files import make_folder, read_json, write_atomically
from credo.types import CredoError

RECORD = "findings.json"
"""Lists, under ``files``, all that a run writes, itself included."""
_FOLDERS = ("data", "figures")


def earlier_files(out: Path) -> set[str]:
    """What an earlier run wrote to ``out`` and still lies there; CredoError where anything else lies there, hidden
    files aside."""
    if not out.exists():
        return set()
    if not out.is_dir():
        raise CredoError(f"out: {out} is not a folder; give an empty or a new one")
    there = dict(_entries(out))
    told: set[str] = set()
    if there.get(RECORD):
        record = read_json(out / RECORD)
        files = record.get("files")
        if str(record.get("command", "")).startswith("credo theory") and isinstance(files, list):
            told = set(map(str, files))
    for name, ordinary in there.items():
        if not (ordinary and name in told):
            raise CredoError(
                f"out: {out} holds {name!r}, which credo theory did not write; give an empty or a new folder"
            )
    return set(there)


def _entries(out: Path) -> Iterator[tuple[str, bool]]:
    """(path inside ``out``, whether it is a file and no link) of all but hidden ones and the folders themselves."""
    for folder in (out, *(out / name for name in _FOLDERS)):
        if not folder.is_dir() or (folder != out and folder.is_symlink()):
            continue
        for path in sorted(folder.iterdir()):
            linked = path.is_symlink()
            own_folder = folder == out and path.name in _FOLDERS and path.is_dir() and not linked
            if not path.name.startswith(".") and not own_folder:
                yield path.relative_to(out).as_posix(), path.is_file() and not linked


def make_folders(out: Path) -> None:
    """Make the folder and those inside; CredoError where one cannot be made or written to."""
    for folder in (out, *(out / name for name in _FOLDERS)):
        make_folder(folder, "out")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CredoError(f"out: {folder} may not be written to; give another folder")


def write_findings(out: Path, contents: dict[str, bytes], earlier: set[str]) -> None:
    """Write ``contents`` by path inside ``out`` and remove what an earlier run left and this one does not write.

    The record comes first, so that of a run that is interrupted everything that lies there is listed.
    """
    for name in sorted(earlier - contents.keys()):
        try:
            (out / name).unlink(missing_ok=True)
        except OSError as error:
            raise CredoError(f"out: {out / name} cannot be removed ({error.strerror})") from None
    for name in sorted(contents, key=lambda name: name != RECORD):
        write_atomically(out / name, contents[name])
