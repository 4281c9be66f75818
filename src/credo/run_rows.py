"""The rows of a run's metrics and evaluations: Parquet parts, written whole or not at all. Imports no JAX.

metrics/part-NNNNNN.parquet      one row per seed and round
evaluations/part-NNNNNN.parquet  one row per seed and evaluation
evaluations/final-seed-K.parquet what a longer run would not have
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from credo.files import check_regular, write_atomically
from credo.machine import MEMORY_SHARE, available_memory
from credo.types import CredoError, one_line

_KEYS = {"seed": pa.int32(), "round": pa.int32(), "step": pa.int64()}
_MAXIMUM_ROWS, _MAXIMUM_COLUMNS = 5_000_000, 1_000
"""Of one Parquet part: a few hundred bytes can announce billions of rows."""
_COPIES = 2
"""Rows are in memory twice while they are sorted."""


def write_part(folder: Path, kind: str, index: int, rows: list[dict[str, Any]]) -> None:
    """Write rows as the Parquet part ``index`` of ``metrics`` or ``evaluations``."""
    _write_rows(folder / kind / f"part-{index:06d}.parquet", rows)


def write_final(folder: Path, kind: str, seed: int, rows: list[dict[str, Any]]) -> None:
    """Write a seed's rows that a longer run would not have: they go when the seed goes on (``drop_final``)."""
    _write_rows(_final_path(folder, kind, seed), rows)


def drop_final(folder: Path, kind: str, seed: int) -> None:
    _final_path(folder, kind, seed).unlink(missing_ok=True)


def _final_path(folder: Path, kind: str, seed: int) -> Path:
    return folder / kind / f"final-seed-{seed}.parquet"


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([row.get(name, np.nan) for row in rows], _KEYS.get(name, pa.float32())) for name in names}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd", write_page_checksum=True)
    write_atomically(path, sink.getvalue().to_pybytes())


def drop_parts_from(folder: Path, kind: str, index: int) -> None:
    """Remove parts written after a checkpoint: their rounds will be run again."""
    for path in part_paths(folder, kind):
        number = path.stem.removeprefix("part-")
        if number.isdecimal() and int(number) >= index:
            path.unlink()


def part_paths(folder: Path, kind: str) -> list[Path]:
    """The parts of ``metrics`` or ``evaluations``, in the order in which they were written."""
    return sorted((folder / kind).glob("part-*.parquet"))


def read_parts(
    folder: Path, kind: str, columns: list[str] | None = None, problems: list[str] | None = None
) -> dict[str, np.ndarray]:
    """All rows of ``metrics`` or ``evaluations`` as columns, ordered by seed, then step; empty where there are none.

    A part that cannot be read is a CredoError, or, where a list of ``problems`` is given, one more line in it.
    """
    tables, room = [], MEMORY_SHARE * available_memory()
    if (folder / kind).is_dir() and not os.access(folder / kind, os.R_OK | os.X_OK):
        line = f"{folder / kind}: may not be read"
        if problems is None:
            raise CredoError(line)
        problems.append(line)
    for path in [*part_paths(folder, kind), *sorted((folder / kind).glob("final-*.parquet"))]:
        try:
            tables.append(_read_part(path, columns, room))
            room -= _COPIES * tables[-1].nbytes
        except CredoError as error:
            if problems is None:
                raise
            problems.append(str(error))
    if not tables:
        return {}
    try:
        table = pa.concat_tables(tables, promote_options="default")
    except pa.ArrowException as error:
        raise CredoError(f"{folder / kind}: its parts do not fit together ({one_line(error)})") from None
    if {"seed", "step"} <= set(table.column_names):
        table = table.sort_by([("seed", "ascending"), ("step", "ascending")])
    return {name: table[name].to_numpy() for name in table.column_names}


def read_rows(folder: Path, kind: str) -> dict[str, np.ndarray]:
    """All rows as ``read_parts`` has them; of a run that has none yet the columns that every row has, empty."""
    return read_parts(folder, kind) or {name: np.zeros(0, of.to_pandas_dtype()) for name, of in _KEYS.items()}


def read_part(path: Path) -> dict[str, np.ndarray]:
    """The rows of one part as columns, as they were written; CredoError where it cannot be read."""
    table = _read_part(path, None, MEMORY_SHARE * available_memory())
    return {name: table[name].to_numpy() for name in table.column_names}


def _read_part(path: Path, columns: list[str] | None, room: float) -> pa.Table:
    """The named columns of a part, all with None; CredoError where they need more than ``room`` bytes."""
    try:
        check_regular(path, "Parquet")
        with open(path, "rb") as handle:  # Arrow itself opens no name that is not UTF-8
            # A part is small: to read ahead and to share its columns between threads would cost more than it saves.
            file = pq.ParquetFile(handle, pre_buffer=False, page_checksum_verification=True)
            _check_part(path, file)
            wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
            _check_room(path, file, wanted, room)
            table = file.read(columns=wanted, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CredoError(f"{path}: not a readable Parquet file ({one_line(error, 200)})") from None
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and not pa.types.is_floating(column.type):
            raise CredoError(f"{path}: column {name[:60]!r} has rows without a value")
    return _in_single_precision(table)


def _in_single_precision(table: pa.Table) -> pa.Table:
    """As Credo writes it. What is too large for it becomes infinite: no sum or axis could be made of it."""
    for index, field in enumerate(table.schema):
        if pa.types.is_float64(field.type):
            single = table.column(index).cast(pa.float32(), safe=False)
            table = table.set_column(index, field.name, single)
    return table


def _check_part(path: Path, file: pq.ParquetFile) -> None:
    """Refuse what is not a modest table of numbers."""
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if rows > _MAXIMUM_ROWS or len(schema) > _MAXIMUM_COLUMNS:
        raise CredoError(f"{path}: {rows} rows of {len(schema)} columns; not what Credo writes")
    if len(set(schema.names)) != len(schema):
        raise CredoError(f"{path}: has two columns of one name")
    lacking = {"seed", "step"} - set(schema.names)
    if lacking and len(schema):
        raise CredoError(f"{path}: has no column {min(lacking)!r}")
    for column in schema:
        number = pa.types.is_integer if column.name in _KEYS else _is_number
        if not number(column.type):
            raise CredoError(f"{path}: column {column.name[:60]!r} is of type {column.type}; numbers expected")


def _check_room(path: Path, file: pq.ParquetFile, wanted: list[str] | None, room: float) -> None:
    """Refuse, before it is read, what memory has no room for."""
    rows = file.metadata.num_rows
    kinds = [column.type for column in file.schema_arrow if wanted is None or column.name in wanted]
    needed = _COPIES * rows * sum(max(1, kind.bit_width // 8) for kind in kinds)
    if needed > room:
        raise CredoError(
            f"{path}: {rows} rows of {len(kinds)} columns need {needed / 2**30:.1f} GiB; "
            f"{max(room, 0) / 2**30:.1f} GiB are left of the memory that is free"
        )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
