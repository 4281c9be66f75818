"""Safetensors files that are written whole or not at all, and read without trust in what they hold.

Policies, demonstrations, checkpoints, replays and the evidence of frozen seeds share this container: named arrays plus
string metadata, with the format's name and version and a SHA-256 over everything else. Reading parses and never
executes, and allocates no more than the file's own size.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from credo.files import check_regular, name_beside, sync_folder
from credo.types import CredoError, check_unicode, one_line

MAXIMUM_HEADER_BYTES = 1 << 20
"""A header describes a few dozen arrays at most; a larger one is refused before it is parsed."""
_UMASK = os.umask(0)
os.umask(_UMASK)
RESERVED = ("format", "format_version", "sha256")
"""Names in the metadata that the format itself uses."""


def content_sha256(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """SHA-256 in hex over names, dtypes, shapes, little-endian C-order bytes and metadata, in any order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(repr((name, array.dtype.name, tensors[name].shape)).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    for key in sorted(metadata):
        digest.update(repr((key, metadata[key])).encode())
    return digest.hexdigest()


def write_tensors(
    path: str | Path,
    *,
    format: str,
    version: int,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
    overwrite: bool,
) -> None:
    """Write one safetensors file atomically (temporary file beside it, fsync, rename).

    ``metadata`` may not use the names in ``RESERVED``. CredoError where the folder is missing or cannot be
    written, where ``path`` exists and ``overwrite`` is False, or is what ``check_replaceable`` refuses.
    """
    path = Path(path)
    if not overwrite and path.exists():
        raise already_there(path)
    check_replaceable(path)
    check_unicode("file", path)
    assert not set(metadata) & set(RESERVED), f"{sorted(metadata)}: {', '.join(RESERVED)} are the format's own"
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    header = {"format": format, "format_version": str(version), **metadata}
    header["sha256"] = content_sha256(contiguous, header)
    temporary = name_beside(path)
    try:
        save_file(contiguous, str(temporary), metadata=header)
        put_in_place(temporary, path, overwrite)
    except FileExistsError:
        raise already_there(path) from None
    except (OSError, SafetensorError) as error:
        raise CredoError(f"{path}: cannot be written ({one_line(error, 160)})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_tensors(path: str | Path, *, format: str, version: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and metadata (without ``RESERVED``) of a file that ``write_tensors`` wrote.

    ``version`` is the newest format version that the caller understands. CredoError for a file that is
    missing, truncated, damaged, of another format or of a newer version.
    """
    path = Path(path)
    _check_frame(path, format)
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            _check_format(path, metadata, format, version)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except CredoError:
        raise
    except Exception as error:  # the parser's own errors are of many types
        raise CredoError(f"{path}: not a readable {format} file ({one_line(error, 160)})") from None
    stored = metadata.pop("sha256", "missing")
    actual = content_sha256(tensors, metadata)
    if stored != actual:
        raise CredoError(
            f"{path}: field sha256: the file says {_shown(stored)} but its content has {actual[:12]}...; "
            "it is damaged: copy or make it again"
        )
    for name in ("format", "format_version"):
        del metadata[name]
    return tensors, metadata


def file_sha256(path: str | Path) -> str:
    """SHA-256 in hex of a file's bytes; CredoError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CredoError(f"{path}: cannot be read ({error.strerror or error})") from None


def write_text(path: str | Path, text: str, *, overwrite: bool) -> None:
    """Write a UTF-8 text file atomically; errors as ``write_tensors``."""
    write_bytes(path, text.encode(), overwrite=overwrite)


def write_bytes(path: str | Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file atomically; errors as ``write_tensors``."""
    path = Path(path)
    if not overwrite and path.exists():
        raise already_there(path)
    check_replaceable(path)
    temporary = name_beside(path)
    try:
        temporary.write_bytes(content)
        put_in_place(temporary, path, overwrite)
    except FileExistsError:
        raise already_there(path) from None
    except OSError as error:
        raise CredoError(f"{path}: cannot be written ({one_line(error, 160)})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def already_there(path: Path) -> CredoError:
    """The error for a file that may not be overwritten."""
    return CredoError(f"{path}: exists already and is left as it is; choose another name or ask to overwrite it")


def check_replaceable(path: Path) -> None:
    """CredoError where something is there that is no regular file: a new file would take the place of a device, a pipe
    or a link, and what is written would not go where it leads."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:  # nothing is there; what else is wrong with the name shows when it is written
        return
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise CredoError(f"{path}: is {kind} and is left as it is; choose another name")


def put_in_place(temporary: Path, path: Path, overwrite: bool) -> None:
    """Rename a finished temporary file beside ``path`` to it, on disk; FileExistsError unless ``overwrite``."""
    os.chmod(temporary, 0o666 & ~_UMASK)  # the writer library makes files that only their owner can read
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    if overwrite:
        os.replace(temporary, path)
    else:
        try:
            os.link(temporary, path)  # unlike a rename, refuses to replace a file that appeared meanwhile
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if path.exists():
                raise FileExistsError from None
            os.replace(temporary, path)
    sync_folder(path.parent)


def put_folder_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished folder beside ``path`` to it. One that is there goes last: whoever is killed loses neither.
    OSError with the old one where it was, or CredoError that names where it is."""
    if not path.exists():
        os.replace(temporary, path)
        return
    aside = name_beside(path, "old")
    os.replace(path, aside)
    try:
        os.replace(temporary, path)
    except OSError as error:
        try:
            os.replace(aside, path)
        except OSError:
            told = f"cannot be written ({error.strerror or error}); what was there is now {aside}"
            raise CredoError(f"{path}: {told}") from None
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _check_frame(path: Path, format: str) -> None:
    """Refuse what is no regular file, or whose announced header cannot be true, before anything is parsed."""
    try:
        status = check_regular(path, f"a {format} file")
        with open(path, "rb") as file:
            start = file.read(8)
    except FileNotFoundError:
        raise CredoError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise CredoError(f"{path}: cannot be read ({one_line(error, 160)})") from None
    if status.st_size == 0:
        raise CredoError(f"{path}: the file is empty; a {format} file was expected")
    header_bytes = int.from_bytes(start, "little")
    if len(start) < 8 or header_bytes > min(MAXIMUM_HEADER_BYTES, status.st_size - 8):
        raise CredoError(f"{path}: not a {format} file, or a truncated one ({status.st_size} bytes)")


def _check_format(path: Path, metadata: dict[str, str], format: str, version: int) -> None:
    if metadata.get("format") != format:
        found = _shown(metadata.get("format", "nothing"))
        raise CredoError(f"{path}: field format: {found} found, {format!r} expected")
    text = metadata.get("format_version", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and int(text) >= 1):
        raise CredoError(f"{path}: field format_version: {_shown(text)} is not a version number")
    if int(text) > version:
        raise CredoError(f"{path}: field format_version: {text} is newer than {version}, the newest this Credo reads")


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")
