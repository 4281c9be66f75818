"""The figures of a report as PNG, SVG and PDF, and the numbers they draw as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import vl_convert

from credo.reports import charts
from credo.reports.collect import Collection
from credo.reports.figures import BOXES_KEY
from credo.run_folder import write_atomically
from credo.studies.tables import Table

FOLDER, TABLES = "figures", "tables"
_SCALE = 1.5
_LINE_COLUMNS = ("method", "seed", "verdict", "step", "value")
_BOX_COLUMNS = ("method", "seed", "phase", "value")


def write_figures(collection: Collection, out: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Write every figure of every environment to ``out/figures``; addresses relative to ``out``, by environment and
    figure, then by kind of file."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[tuple[str, str], Callable[[], dict[str, str]]]] = []
    for environment, slug in zip(collection.environments, slugs(collection.environments), strict=True):
        cells, outcome = collection.of(environment), collection.outcome(environment)
        for figure in collection.figures(environment):
            rows = [{"method": cell.method} | row for cell in cells for row in charts.line_rows(cell, figure)[0]]
            specification = charts.still(collection, environment, figure)
            job = _job(folder, f"{figure.key}-{slug}", specification, _LINE_COLUMNS, rows)
            jobs.append(((environment, figure.key), job))
        if outcome is not None:
            specification = charts.still_boxes(collection, environment, outcome)
            job = _job(folder, f"{BOXES_KEY}-{slug}", specification, _BOX_COLUMNS, charts.box_rows(cells, outcome))
            jobs.append(((environment, BOXES_KEY), job))
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        found = list(pool.map(lambda job: job[1](), jobs))
    return {key: files for (key, _), files in zip(jobs, found, strict=True)}


def write_tables(tables: Sequence[Table], out: Path) -> None:
    """Write every table to ``out/tables/NAME.csv``."""
    folder = out / TABLES
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        write_atomically(folder / f"{slug_of(table.name)}.csv", _csv(table.columns, rows))


def slugs(names: Sequence[str]) -> list[str]:
    """A file name's part for each name, all different."""
    found: list[str] = []
    for name in names:
        slug = slug_of(name)
        found.append(slug if slug not in found else f"{slug}-{len(found)}")
    return found


def slug_of(name: str) -> str:
    """Letters, digits, dot, dash and underscore alone; never empty, never hidden."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "unnamed"


def _job(
    folder: Path, name: str, specification: dict[str, Any], columns: Sequence[str], rows: charts.Rows
) -> Callable[[], dict[str, str]]:
    def draw() -> dict[str, str]:
        svg = vl_convert.vegalite_to_svg(json.dumps(specification), vl_version=charts.VEGA_LITE)
        contents = {
            "png": vl_convert.svg_to_png(svg, scale=_SCALE),
            "svg": svg.encode(),
            "pdf": vl_convert.svg_to_pdf(svg),
            "csv": _csv(columns, rows),
        }
        for kind, content in contents.items():
            write_atomically(folder / f"{name}.{kind}", content)
        return {kind: f"{FOLDER}/{name}.{kind}" for kind in contents}

    return draw


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return sink.getvalue().encode()


def _safe(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
