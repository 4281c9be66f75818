"""The figures of a report as PNG, SVG and PDF, and the numbers they draw as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from credo.files import write_atomically
from credo.reports.charts import Rows, box_rows, line_rows, still, still_boxes
from credo.reports.collect import Collection
from credo.reports.draw import KINDS, drawing
from credo.reports.figures import BOXES_KEY
from credo.reports.tables import Line
from credo.studies.present import csv_field, latex
from credo.studies.tables import Table
from credo.types import plural

FOLDER, TABLES, VIDEOS = "figures", "tables", "videos"
_LINE_COLUMNS = ("method", "seed", "verdict", "step", "value")
_BOX_COLUMNS = ("method", "seed", "phase", "value")


@contextlib.contextmanager
def writing_figures(
    collection: Collection, out: Path, line: Line = lambda line: None
) -> Iterator[dict[tuple[str, str], dict[str, str]]]:
    """Write every figure of every environment to ``out/figures`` while the block runs, which gets their addresses
    relative to ``out``, by environment and figure, then by kind of file. ``line`` gets how many there are."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    specifications: dict[str, dict[str, Any]] = {}
    files: dict[tuple[str, str], dict[str, str]] = {}

    def add(environment: str, key: str, slug: str, drawn: dict[str, Any], columns: Sequence[str], rows: Rows) -> None:
        name = f"{key}-{slug}"
        specifications[name] = drawn
        write_atomically(folder / f"{name}.csv", _csv(columns, rows))
        files[environment, key] = {kind: f"{FOLDER}/{name}.{kind}" for kind in (*KINDS, "csv")}

    for environment, slug in zip(collection.environments, slugs(collection.environments), strict=True):
        cells, outcome = collection.of(environment), collection.outcome(environment)
        for figure in collection.figures(environment):
            rows = [{"method": cell.method} | row for cell in cells for row in line_rows(cell, figure)[0]]
            add(environment, figure.key, slug, still(collection, environment, figure), _LINE_COLUMNS, rows)
        if outcome is not None:
            boxes = still_boxes(collection, environment, outcome)
            add(environment, BOXES_KEY, slug, boxes, _BOX_COLUMNS, box_rows(cells, outcome))
    line(f"drawing {plural(len(specifications), 'figure')}")
    with drawing(folder, specifications):
        # Handed on: hundreds of thousands of rows.
        specifications.clear()
        yield files


def table_files(tables: Sequence[Table], tex: bool = False) -> set[str]:
    """What ``write_tables`` writes, relative to its folder."""
    return {_table_file(table, kind) for table in tables for kind in (("csv", "tex") if tex else ("csv",))}


def write_tables(tables: Sequence[Table], out: Path, tex: bool = False) -> None:
    """Write every table to ``out/tables/NAME.csv`` and, with ``tex``, to ``NAME.tex``."""
    (out / TABLES).mkdir(parents=True, exist_ok=True)
    for table in tables:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        write_atomically(out / _table_file(table, "csv"), _csv(table.columns, rows))
        if tex:
            write_atomically(out / _table_file(table, "tex"), latex(table).encode(errors="backslashreplace"))


def _table_file(table: Table, kind: str) -> str:
    return f"{TABLES}/{slug_of(table.name)}.{kind}"


def slugs(names: Sequence[str]) -> list[str]:
    """A file name's part for each name, all different."""
    found: list[str] = []
    for name in names:
        slug = slug_of(name)
        while slug in found:
            slug += "-"
        found.append(slug)
    return found


def slug_of(name: str) -> str:
    """Letters, digits, dot, dash and underscore alone; never empty, never hidden."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "unnamed"


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_field(value) for name, value in row.items()} for row in rows)
    return sink.getvalue().encode(errors="backslashreplace")
