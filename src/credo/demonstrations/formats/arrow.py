"""Arrow and Parquet files from strangers.

Arrow files are read as the stream of messages that both of its layouts hold. They must be uncompressed, as minari and
Hugging Face write them: then nothing in them can be larger than the file. What they declare is validated in full
before it is used.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from credo.demonstrations.formats.recording import check_declared, reading
from credo.files import check_regular
from credo.types import CredoError

_MAGIC = b"ARROW1\0\0"
_RECORD_BATCH_COMPRESSION = 3
_MESSAGE_HEADER = 2
_VALUE_BYTES = 8
_BATCH_ROWS = 1 << 16
_STRING_LIMIT, _CONTAINER_LIMIT = 16 << 20, 1 << 20


def rows(path: Path, layout: str) -> int:
    """Rows of one file."""
    with reading(path, layout):
        if layout == "parquet":
            with _parquet(path) as file:
                return file.metadata.num_rows
        return sum(batch.num_rows for batch in _batches(path))


def read_names(path: Path, layout: str) -> list[str]:
    """The names of the columns of a file."""
    with reading(path, layout):
        if layout == "parquet":
            with _parquet(path) as file:
                return list(file.schema_arrow.names)
        return next((list(batch.schema.names) for batch in _batches(path)), [])


def read(paths: Sequence[Path], layout: str, columns: Sequence[str]) -> pa.Table:
    """The named columns of files with one schema, in order; CredoError where one is missing."""
    tables = []
    for path in paths:
        with reading(path, layout):
            if layout == "parquet":
                tables.append(_read_parquet(path, columns))
            else:
                batches = list(_batches(path))
                if not batches:
                    raise CredoError(f"{path}: empty")
                _check_columns(path, batches[0].schema.names, columns)
                tables.append(pa.Table.from_batches(batches).select(list(columns)))
    with reading(paths[0], layout):
        return pa.concat_tables(tables)


def field(path: Path, table: pa.Table, keys: Sequence[str]) -> Any:
    """A column, or a field of a struct column."""
    column = table[keys[0]]
    for key in keys[1:]:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(key) < 0:
            raise CredoError(f"{path}: field {'.'.join(keys)}: missing")
        column = pc.struct_field(column, key)
    return column


def vector(path: Path, name: str, column: Any) -> np.ndarray:
    """A column of numbers or flags, or of lists of one, as [N]."""
    if column.null_count:
        raise CredoError(f"{path}: field {name}: {column.null_count} values are missing")
    if is_list(column.type):
        return matrix(path, name, column, 1)[:, 0]
    if not _is_number(column.type):
        raise CredoError(f"{path}: field {name}: {str(column.type)[:60]} found, numbers expected")
    return (
        np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks])
        if len(column)
        else np.zeros(0)
    )


def matrix(path: Path, name: str, column: Any, size: int) -> np.ndarray:
    """A column of lists of ``size`` numbers as [N, size]; nested lists are flattened."""
    parts = [_matrix(path, name, chunk, size) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros((0, size))


def list_size(path: Path, name: str, column: Any) -> int:
    """How many numbers the first row of a column of lists has; 1 for a column of numbers."""
    if not is_list(column.type):
        return 1
    first = next((chunk for chunk in column.chunks if len(chunk)), None)
    if first is None:
        raise CredoError(f"{path}: field {name}: empty")
    values = first.slice(0, 1)
    while is_list(values.type):
        values = values.flatten()
    return len(values)


def is_list(kind: Any) -> bool:
    """Whether a column of this type holds lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def write(path: Path, arrays: dict[str, np.ndarray], layout: str) -> None:
    """One file with a column of numbers, or of lists of one size, for every array."""
    columns = {
        name: pa.array(array)
        if array.ndim == 1
        else pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
        for name, array in arrays.items()
    }
    table = pa.table(columns)
    if layout == "parquet":
        pq.write_table(table, path)
        return
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(table), 1))


def _matrix(path: Path, name: str, chunk: Any, size: int) -> np.ndarray:
    count, values = len(chunk), chunk
    if chunk.null_count:
        raise CredoError(f"{path}: field {name}: {chunk.null_count} values are missing")
    counts = np.ones(count, np.int64)
    while is_list(values.type):
        inner = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        counts = inner if values is chunk else _sums(inner, counts)
        values = values.flatten()
        if values.null_count:
            raise CredoError(f"{path}: field {name}: {values.null_count} values are missing")
    if not _is_number(values.type):
        raise CredoError(f"{path}: field {name}: {str(values.type)[:60]} found, numbers expected")
    odd = counts != size
    if odd.any():
        row = int(np.argmax(odd))
        raise CredoError(f"{path}: field {name}: {counts[row]} numbers at row {row}, {size} expected")
    return values.to_numpy(zero_copy_only=False).reshape(count, size)


def _sums(inner: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums of ``inner`` over consecutive groups of ``counts`` elements."""
    total = np.concatenate([[0], np.cumsum(inner)])
    ends = np.cumsum(counts)
    return total[ends] - total[ends - counts]


def _is_number(kind: Any) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)


def _check_columns(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if list(found).count(name) != 1:
            raise CredoError(f"{path}: field {name}: {'stored twice' if name in found else 'missing'}")


def _batches(path: Path) -> Any:
    """The record batches of an Arrow file or stream, uncompressed and valid; nothing is copied."""
    check_regular(path, "Arrow")
    with pa.memory_map(str(path)) as source:
        if source.size() == 0:
            raise CredoError(f"{path}: the file is empty")
        if source.read(len(_MAGIC)) != _MAGIC:
            source.seek(0)
        start = source.tell()
        for message in pa.ipc.MessageReader.open_stream(source):
            _check_message(path, message)
        source.seek(start)
        for batch in pa.ipc.open_stream(source):
            batch.validate(full=True)
            yield batch


def _check_message(path: Path, message: Any) -> None:
    """Refuse compressed batches, whose declared sizes nothing bounds, and messages that are not needed."""
    if message.type == "schema":
        return
    if message.type != "record batch":
        raise CredoError(f"{path}: a {message.type} message is not read")
    # The message is a flatbuffer: a table has an offset to its vtable, which lists where its fields are.
    data = message.metadata.to_pybytes()

    def place_of(table: int, index: int) -> int:
        vtable = table - struct.unpack_from("<i", data, table)[0]
        entry = vtable + 4 + 2 * index
        within = entry < vtable + struct.unpack_from("<H", data, vtable)[0]
        offset = struct.unpack_from("<H", data, entry)[0] if within else 0
        return table + offset if offset else 0

    root = struct.unpack_from("<I", data, 0)[0]
    header = place_of(root, _MESSAGE_HEADER)
    if header and place_of(header + struct.unpack_from("<I", data, header)[0], _RECORD_BATCH_COMPRESSION):
        raise CredoError(f"{path}: is compressed; Arrow files are read uncompressed only, Parquet files either way")


def _parquet(path: Path) -> pq.ParquetFile:
    check_regular(path, "Parquet")
    return pq.ParquetFile(
        str(path), thrift_string_size_limit=_STRING_LIMIT, thrift_container_size_limit=_CONTAINER_LIMIT
    )


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    stored = os.path.getsize(path)
    with _parquet(path) as file:
        _check_columns(path, file.schema_arrow.names, columns)
        # The descriptions of single columns are left alone: pyarrow ends the process on some damaged ones.
        description = file.metadata
        for group in range(description.num_row_groups):
            check_declared(path, f"row group {group}", description.row_group(group).total_byte_size, stored)
        check_declared(path, "num_rows", description.num_rows * _VALUE_BYTES, stored)
        batches, held = [], 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns), use_threads=False):
            batch.validate(full=True)
            held += batch.nbytes
            check_declared(path, "data", held, stored)
            batches.append(batch)
        if not batches:
            raise CredoError(f"{path}: empty")
        return pa.Table.from_batches(batches).select(list(columns))
