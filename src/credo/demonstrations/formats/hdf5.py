"""HDF5 files from strangers: what is read of them, and what is refused before it is read.

Links that lead elsewhere (soft, external), virtual datasets and data in other files are refused, so that a file can
only give what it holds. Sizes are checked against what is stored before anything is allocated. Filters other than
gzip, LZF, shuffle and Fletcher-32 are refused: they would be loaded from the machine's plugin folder.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from credo.demonstrations.formats.recording import check_declared, check_numeric, check_ratio, check_room, flags
from credo.files import check_regular
from credo.types import CredoError

CHUNK_CACHE = 16 << 20
ATTRIBUTE_BYTES = 1 << 20
SMALL_CHUNK = 128 << 10
"""A compressed chunk up to this size cannot grow beyond 130 MB; a larger one is inflated piecewise beforehand."""
_DEFLATE = 1
_FILTERS = {_DEFLATE, 2, 3, 32000}  # gzip, shuffle, Fletcher-32, LZF


def library() -> Any:
    """h5py; CredoError where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise CredoError("HDF5 files need h5py, which is not installed; pip install h5py") from None
    return h5py


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The root group of a file, open for reading."""
    check_regular(path, "HDF5")
    with library().File(path, "r", rdcc_nbytes=CHUNK_CACHE) as file:
        yield file


def names(group: Any) -> list[str]:
    """The names in a group, whatever they lead to."""
    return list(group)


def has(group: Any, name: str) -> bool:
    """Whether there is anything of that name, readable or not."""
    return group.id.links.exists(name.encode())


def child(path: Path, group: Any, name: str) -> Any:
    """The group or dataset ``name``; CredoError where it is missing or lies elsewhere."""
    h5py = library()
    place = f"{group.name.rstrip('/')}/{name}"
    if not has(group, name):
        raise CredoError(f"{path}: field {place}: missing")
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise CredoError(f"{path}: field {place}: is a {type(link).__name__}, which is not followed")
    return group[name]


def subgroup(path: Path, group: Any, name: str) -> Any:
    """The group ``name``; CredoError for anything else."""
    found = child(path, group, name)
    if not isinstance(found, library().Group):
        raise CredoError(f"{path}: field {found.name}: a group expected")
    return found


def column(path: Path, group: Any, name: str, axes: int) -> Any:
    """A dataset of numbers that may be sliced: nothing of it is read yet, and it may be larger than memory, two of its
    rows not."""
    dataset = _dataset(path, group, name)
    check_numeric(path, dataset.name, dataset.dtype, dataset.shape, axes)
    check_room(path, dataset.name, 2 * _bytes(dataset, (1, *dataset.shape[1:])))
    return dataset


def values(path: Path, group: Any, name: str, axes: int) -> np.ndarray:
    """A dataset of numbers, read whole."""
    return _whole(path, column(path, group, name, axes))


def flag_column(path: Path, group: Any, name: str) -> np.ndarray:
    """A dataset of flags, [N] bool."""
    dataset = _dataset(path, group, name)
    if len(dataset.shape) not in (1, 2) or dataset.dtype.kind not in "biuf":
        raise CredoError(f"{path}: field {dataset.name}: shape {dataset.shape}; one flag a step expected")
    return flags(path, dataset.name, _whole(path, dataset))


def text_column(path: Path, group: Any, name: str, most: int) -> list[str]:
    """A dataset of short texts, [N]; CredoError where it is something else, or more than ``most`` of them."""
    dataset = _dataset(path, group, name)
    text = library().check_string_dtype(dataset.dtype) is not None or dataset.dtype.kind == "S"
    if not text or len(dataset.shape) != 1 or dataset.shape[0] > most:
        raise CredoError(f"{path}: field {dataset.name}: a list of at most {most:,} names expected")
    # One by one: texts of any length lie elsewhere in the file, and many may be the same.
    found = (dataset[index] for index in range(dataset.shape[0]))
    return [each[:200].decode("utf-8", "replace") if isinstance(each, bytes) else str(each)[:200] for each in found]


def text_attribute(path: Path, owner: Any, name: str) -> str | None:
    """A text attribute, None where it is missing; CredoError where it is no short text."""
    h5py = library()
    if name not in owner.attrs:
        return None
    attribute = h5py.h5a.open(owner.id, name.encode())
    if attribute.shape != () or attribute.get_storage_size() > ATTRIBUTE_BYTES:
        raise CredoError(f"{path}: attribute {name}: one text of at most {ATTRIBUTE_BYTES:,} bytes expected")
    if h5py.check_string_dtype(attribute.dtype) is None and attribute.dtype.kind != "S":
        raise CredoError(f"{path}: attribute {name}: {str(attribute.dtype)[:40]} found, text expected")
    value = owner.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _dataset(path: Path, group: Any, name: str) -> Any:
    dataset = child(path, group, name)
    if not isinstance(dataset, library().Dataset):
        raise CredoError(f"{path}: field {dataset.name}: a dataset expected")
    where = dataset.name
    if dataset.is_virtual or dataset.external:
        raise CredoError(f"{path}: field {where}: its data lie in other files, which are not read")
    if dataset.shape is None:
        raise CredoError(f"{path}: field {where}: is empty")
    stored = dataset.id.get_storage_size()
    check_ratio(path, where, _bytes(dataset, dataset.shape), stored)
    if dataset.chunks is not None:
        _check_chunks(path, where, dataset, stored)
    return dataset


def _whole(path: Path, dataset: Any) -> np.ndarray:
    check_room(path, dataset.name, _bytes(dataset, dataset.shape))
    return dataset[()]


def _bytes(dataset: Any, shape: tuple[int, ...]) -> int:
    """What so many of its entries take."""
    return dataset.dtype.itemsize * math.prod(map(int, shape))


def _check_chunks(path: Path, where: str, dataset: Any, stored: int) -> None:
    """Known filters, and chunks that do not inflate to more than they declare."""
    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    if not set(filters) <= _FILTERS or len(set(filters)) != len(filters):
        raise CredoError(
            f"{path}: field {where}: filters {filters}; gzip, lzf, shuffle and fletcher32, once each, are read"
        )
    chunk_bytes = _bytes(dataset, dataset.chunks)
    check_declared(path, where, chunk_bytes, stored)
    if not filters:
        return
    large: list[tuple[int, ...]] = []

    def collect(chunk: Any) -> None:
        if chunk.size > SMALL_CHUNK:
            large.append(chunk.chunk_offset)

    dataset.id.chunk_iter(collect)
    for offset in large:
        mask, data = dataset.id.read_direct_chunk(offset)
        if _DEFLATE in filters and not mask >> filters.index(_DEFLATE) & 1:
            _check_inflation(path, where, data, chunk_bytes)
        elif len(data) > 2 * chunk_bytes + 64:
            raise CredoError(f"{path}: field {where}: a chunk of {chunk_bytes:,} bytes is stored in {len(data):,}")


def _check_inflation(path: Path, where: str, data: bytes, chunk_bytes: int) -> None:
    inflater, total = zlib.decompressobj(), 0
    while data and not inflater.eof:
        total += len(inflater.decompress(data, 1 << 20))
        data = inflater.unconsumed_tail
        if total > chunk_bytes + 64:  # Fletcher-32 adds four bytes
            raise CredoError(f"{path}: field {where}: a chunk of {chunk_bytes:,} bytes inflates to more")


@contextmanager
def written(path: Path) -> Iterator[Any]:
    """A new file to fill. It is made in memory, and written when the block ends: the library itself ends the process
    where a disk is full."""
    content = io.BytesIO()
    with library().File(content, "w", track_order=True) as file:
        yield file
    path.write_bytes(content.getbuffer())
