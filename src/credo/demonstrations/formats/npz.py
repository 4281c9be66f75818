"""NumPy ``.npz`` archives of plain arrays; object arrays are pickles and are refused.

Written and read: ``observations``, ``actions`` (in the environment's own units), ``next_observations``,
``terminated``, ``truncated``; and, where known, ``rewards``, ``action_bounds``, ``environment``, ``episode_start``,
``lengths``, ``returns``. The last four make a file that Credo wrote come back whole. ``scaled`` says that actions are
in [-1, 1] already: of ``action_bounds``, else of an unknown box. Unknown actions are [N, 0]. Read too: the singular,
and the names in ``ALIASES``.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from credo.demonstrations.dataset import Demonstrations
from credo.demonstrations.formats.flat import Flat, flat_recording
from credo.demonstrations.formats.recording import (
    ReadOptions,
    Recording,
    check_declared,
    check_numeric,
    flags,
    unscaled_action,
)
from credo.files import name_beside
from credo.storage import check_replaceable, put_in_place
from credo.types import CredoError

ALIASES = {
    "observation": ("observations", "observation", "obs"),
    "action": ("actions", "action", "acts"),
    "next_observation": ("next_observations", "next_observation", "next_obs"),
    "reward": ("rewards", "reward", "rews"),
    "terminated": ("terminated", "terminations", "terminals"),
    "truncated": ("truncated", "truncations", "timeouts"),
}
_EXTRA = ("action_bounds", "environment", "episode_start", "lengths", "returns", "scaled")
MEMBERS = 64
"""An archive with more members is refused."""
_NAMED = 12
"""Of a file's fields so many are told."""
HEADER_BYTES = 1 << 12
"""A plain array's header is 128 bytes."""


def open_npz(path: Path, options: ReadOptions) -> Recording:
    """A recording of an archive, whose arrays are read at once."""
    known = {name for names in ALIASES.values() for name in names} | set(_EXTRA)
    arrays = read_arrays(path, known)
    columns: dict[str, Any] = {}
    for field, names in ALIASES.items():
        found = [name for name in names if name in arrays]
        if len(found) > 1:
            raise CredoError(f"{path}: fields {' and '.join(found)}: one of them expected, both mean {field}")
        columns[field] = arrays[found[0]] if found else None
    for field in ("observation", "action", "terminated"):
        if columns[field] is None:
            raise CredoError(f"{path}: field {ALIASES[field][0]}: missing{_told(path, field)}")
    for field, axes in (("observation", 2), ("action", 2), ("next_observation", 2), ("reward", 1)):
        if columns[field] is not None:
            array = columns[field]
            check_numeric(path, field, array.dtype, array.shape, axes, empty=field == "action")
    for field in ("terminated", "truncated"):
        if columns[field] is not None:
            columns[field] = flags(path, field, columns[field])
    for field, kinds, axes in (
        ("episode_start", "iu", 1),
        ("lengths", "iu", 1),
        ("returns", "f", 1),
        ("action_bounds", "fiu", 2),
        ("environment", "U", 0),
        ("scaled", "b", 0),
    ):
        if field not in arrays:
            continue
        array = arrays[field]
        if array.dtype.kind not in kinds or array.ndim != axes:
            raise CredoError(f"{path}: field {field}: {str(array.dtype)[:40]} of shape {array.shape} is not expected")
        columns[field] = str(array)[:200] if field == "environment" else array
    unread = tuple(name for name in _names(path) if name not in known)
    scaled = bool(columns.pop("scaled", False))
    return flat_recording(path, Flat(**columns), options)._replace(scaled=scaled, unread=unread[:_NAMED])


def _names(path: Path) -> list[str]:
    """The fields that are there."""
    with zipfile.ZipFile(path) as archive:
        return sorted(info.filename.removesuffix(".npy")[:40] for info in archive.infolist())


def _told(path: Path, field: str) -> str:
    """What a field may be called, and what is there."""
    found = _names(path)
    called = " or ".join(ALIASES[field])
    done = next((name for name in found if name in ("done", "dones")), None) if field == "terminated" else None
    hint = f"; {done!r} does not say which: divide it into terminated and truncated (by a time limit)" if done else ""
    return f" ({called}); found {', '.join(found[:_NAMED]) or 'nothing'}{hint}"


def write_npz(path: Path, demonstrations: Demonstrations, overwrite: bool) -> None:
    """Write one archive, atomically."""
    check_replaceable(path)
    d = demonstrations
    boxless = d.action_bounds is None and d.has_actions
    arrays: dict[str, Any] = {
        "observations": d.observation,
        "actions": unscaled_action(d),
        "next_observations": d.next_observation,
        "rewards": d.reward,
        "terminated": d.terminated,
        "truncated": d.truncated,
        "episode_start": d.episode_start,
        "lengths": d.lengths,
        "returns": d.returns,
        "action_bounds": d.action_bounds,
        # Without a box they are in [-1, 1], which a reader must be told.
        "scaled": np.array(True) if boxless else None,
        "environment": np.array(d.environment) if d.environment else None,
    }
    temporary = name_beside(path)
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **{name: array for name, array in arrays.items() if array is not None})
        put_in_place(temporary, path, overwrite)
    except OSError as error:
        raise CredoError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_arrays(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """The arrays named in ``wanted``; every size is checked before anything is allocated."""
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive:
        for info in checked_members(path, archive):
            name = info.filename.removesuffix(".npy")
            if name not in wanted or name == info.filename:
                continue
            if name in arrays:
                raise CredoError(f"{path}: field {name}: stored twice")
            check_declared(path, name, info.file_size, info.compress_size)
            with archive.open(info) as member:
                arrays[name] = _read_array(path, name, member, info.file_size)
    return arrays


def checked_members(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of an archive, none of them outside it, encrypted or larger than can be true."""
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise CredoError(f"{path}: {len(members)} members found, at most {MEMBERS} expected")
    size = os.path.getsize(path)
    for info in members:
        name = info.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
            raise CredoError(f"{path}: member {name[:60]!r}: points outside the archive")
        if info.flag_bits & 1:
            raise CredoError(f"{path}: member {name[:60]!r}: is encrypted")
        if info.compress_size > size:
            raise CredoError(f"{path}: member {name[:60]!r}: claims more bytes than the file has")
    return members


def _read_array(path: Path, name: str, member: Any, size: int) -> np.ndarray:
    version = np.lib.format.read_magic(member)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise CredoError(f"{path}: field {name}: array format {version} is not read, 1.0 or 2.0 expected")
    shape, fortran, dtype = read_header(member, max_header_size=HEADER_BYTES)
    if dtype.hasobject or dtype.kind not in "biufU":
        kind = "Python objects (a pickle)" if dtype.hasobject else str(dtype)[:40]
        raise CredoError(f"{path}: field {name}: holds {kind}; plain numbers expected, nothing is unpickled")
    count = 1
    for extent in shape:
        count *= extent
    declared, stored = count * dtype.itemsize, size - member.tell()
    if min(shape, default=0) < 0 or declared != stored:
        raise CredoError(f"{path}: field {name}: shape {shape} needs {declared:,} bytes, {stored:,} are stored")
    data = member.read(declared)
    if len(data) != declared:
        raise CredoError(f"{path}: field {name}: ends after {len(data):,} of {declared:,} bytes")
    array = np.frombuffer(data, dtype=dtype)
    if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise CredoError(f"{path}: field {name}: holds bytes other than 0 and 1")
    return array.reshape(shape, order="F" if fortran else "C")
