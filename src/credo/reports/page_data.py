"""What the page's script draws from, as plain JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from credo.diagnostics.divergence import KINDS
from credo.reports import charts
from credo.reports.collect import Cell, Collection, Curve
from credo.reports.figures import BOXES_KEY, FIGURES, PHASES, Figure
from credo.reports.style import colours

Files = Mapping[tuple[str, str], Mapping[str, str]]
"""By environment and figure: kind of file to its address relative to the page."""


def page_data(collection: Collection, files: Files) -> dict[str, Any]:
    """What the page's script draws from."""
    themes = charts.themes()
    for theme, found in themes.items():
        found |= {"seeds": colours(11, theme), "methods": colours(len(collection.methods), theme)}
    return {
        "kinds": list(KINDS),
        "phases": list(PHASES),
        "themes": themes,
        "figures": {
            **{
                f.key: {"title": f.title, "scale": f.scale, "axis": f.axis, "smallest": f.smallest, "template": f.kind}
                for f in FIGURES
            },
            BOXES_KEY: {"title": "Phases of training", "scale": "linear", "smallest": None, "template": BOXES_KEY},
        },
        "templates": charts.templates(),
        "environments": [_environment_data(collection, name, files) for name in collection.environments],
    }


def _environment_data(collection: Collection, name: str, files: Files) -> dict[str, Any]:
    cells, outcome = collection.of(name), collection.outcome(name)
    found: dict[str, Any] = {
        "name": name,
        "extent": collection.extent(name),
        "methods": [_method_data(cell) for cell in cells],
        "figures": [
            _figure_data(cells, figure) | {"files": files.get((name, figure.key))}
            for figure in collection.figures(name)
        ],
        "boxes": None,
    }
    if outcome is not None:
        indices = {cell.method: index for index, cell in enumerate(cells)}
        rows = [row | {"method": indices[row["method"]]} for row in charts.box_rows(cells, outcome)]
        found["boxes"] = {
            "title": f"{outcome.title} in the phases of training",
            "title_of_axis": outcome.axis,
            "axis": charts.axis_of(outcome, cells)._asdict(),
            "rows": rows,
            "files": files.get((name, BOXES_KEY)),
        }
    return found


def _method_data(cell: Cell) -> dict[str, Any]:
    return {
        "name": cell.method,
        "counts": charts.verdict_counts(cell),
        "expert": cell.expert_return,
        "seeds": [
            {"n": number, "verdict": seed.verdict.kind, "reason": seed.verdict.reason}
            for number, seed in cell.seeds.items()
        ],
    }


def _figure_data(cells: Sequence[Cell], figure: Figure) -> dict[str, Any]:
    panels = []
    for index, cell in enumerate(cells):
        series = {}
        for number, seed in cell.seeds.items():
            if figure.key in seed.curves:
                marks = charts.events(seed, figure)
                series[str(number)] = pack(seed.curves[figure.key]) | ({"m": marks} if marks else {})
        panels.append({"method": index, "series": series})
    return {"key": figure.key, "axis": charts.axis_of(figure, cells)._asdict(), "panels": panels}


def pack(curve: Curve) -> dict[str, Any]:
    """A curve in few characters: steps as differences in their greatest common divisor ``u``."""
    unit = int(np.gcd.reduce(curve.step)) or 1
    steps = np.diff(curve.step // unit, prepend=0)
    values = [int(v) if v == int(v) else charts.short(v) for v in map(charts.short, curve.value.tolist())]
    quarters = [None if value is None else charts.short(value) for value in curve.quarters]
    return {"u": unit, "s": steps.tolist(), "v": values, "q": quarters}
