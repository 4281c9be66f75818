"""Files of Credo's own: written whole or not at all, and JSON read within limits. Imports no JAX."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import uuid
from pathlib import Path
from typing import Any

from credo.types import CredoError, one_line

MAXIMUM_JSON_BYTES = 64 << 20
"""Statistics of a large dataset take a few megabytes."""


def as_path(name: str, value: object) -> Path:
    """What a user gave as a path; CredoError where it is none."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise CredoError(f"{name}: {type(value).__name__} found; a path expected")
    if "\0" in text:
        raise CredoError(f"{name}: {text!r} holds a null character; no file has such a name")
    return Path(text)


def home_folder() -> Path:
    """The user's; the folder for temporary files where the account has none, as in some containers."""
    home = os.path.expanduser("~")
    # An account without a home folder leaves "~" as it is.
    return Path(tempfile.gettempdir() if home == "~" else home)


def make_folder(folder: Path, name: str = "folder") -> None:
    """With those above it, where they are not there yet; CredoError, which begins with ``name``, where that cannot be
    done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CredoError(f"{name}: {folder} cannot be made ({error.strerror or error})") from None


def check_folder(folder: Path, name: str = "folder", written: bool = True) -> None:
    """CredoError, which begins with ``name``, unless ``folder`` is one or could be made, and may be written to where it
    is to be ``written``. Nothing is made."""
    nearest = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path())
    if not nearest.is_dir():
        what = "a link to nothing" if nearest.is_symlink() and not nearest.exists() else "not a folder"
        raise CredoError(f"{name}: {nearest} is {what}; give a folder")
    if written and not os.access(nearest, os.W_OK | os.X_OK):
        raise CredoError(f"{name}: {nearest} may not be written to; give another folder")


def name_beside(path: Path, ending: str = "tmp") -> Path:
    """A hidden name of nothing else in the folder of ``path``. Not by the process's number: on other machines, and in
    containers, others have the same."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex}.{ending}"


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename, flush the folder: a reader sees the old file or the new one, never a part.
    CredoError where that cannot be done (a full disk, a folder that may not be written to)."""
    temporary = name_beside(path)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise CredoError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk: a rename in it is then there after a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_regular(path: Path, expected: str) -> os.stat_result:
    """What the system tells of a file, which is to be what ``expected`` says; CredoError where it is a device, a folder
    or a pipe, which whoever opens it would wait for. OSError where there is nothing."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise CredoError(f"{path}: is not a regular file; {expected} was expected")
    return status


def read_json(path: Path, maximum: int = MAXIMUM_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in a file; CredoError names the file where it is none, or no regular file, or larger than
    ``maximum`` bytes."""
    try:
        _check_size(str(path), check_regular(path, "JSON").st_size, maximum)
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no name of a file
        raise CredoError(f"{path}: cannot be read as JSON ({one_line(error, 200)})") from None
    return parse_json(str(path), raw)


def parse_json(where: str, raw: str | bytes) -> dict[str, Any]:
    """The object that ``raw`` holds, bare Infinity and NaN included; CredoError, ``where`` first, where it is none, or
    larger than ``MAXIMUM_JSON_BYTES``."""
    _check_size(where, len(raw), MAXIMUM_JSON_BYTES)
    try:
        tree = json.loads(raw)
    except RecursionError:
        raise CredoError(f"{where}: not readable as JSON (nested too deeply)") from None
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise CredoError(f"{where}: not readable as JSON ({one_line(error, 200)})") from None
    if not isinstance(tree, dict):
        raise CredoError(f"{where}: expected a JSON object")
    return tree


def _check_size(where: str, size: int, maximum: int) -> None:
    if size > maximum:
        raise CredoError(f"{where}: larger than {maximum:,} bytes; not the JSON that was expected")
