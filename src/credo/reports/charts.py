"""Figures as Vega-Lite: templates that the page fills in the browser, and whole figures for PNG, SVG and PDF."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import vl_convert

from credo.diagnostics.divergence import KINDS
from credo.reports.collect import Cell, Collection, SeedResult
from credo.reports.figures import BOXES_KEY, FIGURES, PHASES, Figure
from credo.reports.style import (
    DASHES,
    EVENTS,
    FONT,
    GRID,
    INK,
    SHORT_NUMBER,
    SOFT,
    SURFACE,
    VERDICTS,
    colours,
    symmetric_log_ticks,
    ticks_from,
)

VEGA_LITE = "6.1"
"""The version of the specifications below."""
Rows = list[dict[str, Any]]
_STILL_WIDTH, _STILL_HEIGHT, _PER_ROW = 330, 210, 3
_EVENT_OF = {kind: kind for kind in ("dead", "exploded", "non-finite", "faulted")} | {"recovered": "came back"}


class Axis(NamedTuple):
    """How far the vertical axis of a figure runs: the same for all methods, so that panels can be compared."""

    linear: tuple[float, float]
    log: tuple[float, float]
    ticks: tuple[float, ...]
    """Of the log(x + 1) axis."""
    small: tuple[float, float] | None
    """Of the logarithmic axis from the figure's smallest value on, with ..."""
    small_ticks: tuple[float, ...]
    """... its ticks."""


def axis_of(figure: Figure, cells: Sequence[Cell]) -> Axis:
    """The range of all curves of a figure, 0 and the expert's return with them."""
    values = [0.0]
    for cell in cells:
        for seed in cell.seeds.values():
            if figure.key in seed.curves:
                values += [float(seed.curves[figure.key].value.min()), float(seed.curves[figure.key].value.max())]
        if figure.key == "return" and cell.expert_return is not None:
            values.append(cell.expert_return)
    low, high = min(values), max(values)
    if figure.scale == "share":
        linear = (min(low, 0.0), max(high, 1.0))
    else:
        room = 0.1 * (high - low) or 1.0
        linear = (low - room if low < 0 else low, high + room if high > 0 else high)
    log = (1.2 * low, max(1.2 * high, 1.0 if low == 0 else 0.0))
    axis = Axis(linear, log, tuple(symmetric_log_ticks(*log)), None, ())
    if figure.smallest is None:
        return axis
    top = 2 * max(high, figure.smallest)
    return axis._replace(small=(0.0, top), small_ticks=tuple(ticks_from(figure.smallest, top)))


def events(seed: SeedResult, figure: Figure) -> Rows:
    """What is marked on a seed's curve: its first point from the verdict's step on."""
    event, step = _EVENT_OF.get(seed.verdict.kind), seed.verdict.step
    curve = seed.curves.get(figure.key)
    if event is None or step is None or curve is None:
        return []
    at = min(int(curve.step.searchsorted(step)), len(curve.step) - 1)
    value = short(float(curve.value[at]))
    return [{"event": event, "step": int(curve.step[at]), "value": value, "reason": seed.verdict.reason}]


def panel(figure: Figure) -> dict[str, Any]:
    """One method's panel as a template: data sets ``expert``, ``lines`` and ``marks`` are to be filled, and domains,
    colours and size to be set. Rows of lines: seed, group (that colours), verdict, step, value.
    """
    x = _quantitative("step", "environment steps")
    x["axis"] |= {"grid": False}
    y = _quantitative("value", figure.axis)
    colour = _nominal("group", ["healthy"], ["black"])
    dashes = [DASHES.get(kind, [1, 0]) for kind in KINDS]
    shape = _nominal("event", list(EVENTS), list(EVENTS.values()))
    rule: dict[str, Any] = {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.2, "color": {"expr": "ink"}}
    text: dict[str, Any] = {"type": "text", "align": "left", "baseline": "bottom", "dx": 4, "dy": -3, "fontSize": 11}
    text |= {"color": {"expr": "ink"}}
    line: dict[str, Any] = {"x": x, "y": y, "detail": {"field": "seed"}, "color": colour, "opacity": _OPACITY}
    line |= {"strokeWidth": _WIDTH}
    if figure.kind == "evaluations":
        # Dashes of a curve that shakes cannot be seen, and cost most of the time of a picture.
        line["strokeDash"] = _nominal("verdict", list(KINDS), dashes)
    mark = {"type": "point", "filled": True, "size": 90}
    return {
        # chosen: the seed that is shown before the others.
        "params": [{"name": "chosen", "value": None}, _INK_PARAMETER],
        "layer": [
            {"data": {"name": "expert"}, "mark": rule, "encoding": {"y": y}},
            {
                "data": {"name": "expert"},
                "mark": text,
                "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "label"}},
            },
            {
                "data": {"name": "lines"},
                "mark": {"type": "line", "strokeJoin": "round"},
                "encoding": line,
            },
            {
                "data": {"name": "marks"},
                "mark": mark,
                "encoding": {"x": x, "y": y, "color": colour, "shape": shape, "opacity": _OPACITY},
            },
        ],
    }


_OPACITY = {"condition": {"test": "chosen === null || datum.seed === chosen", "value": 0.9}, "value": 0.12}
_INK_PARAMETER = {"name": "ink", "value": INK["light"]}
_WIDTH = {"condition": {"test": "datum.seed === chosen", "value": 3}, "value": 1.5}


def boxes(outcome: Figure) -> dict[str, Any]:
    """Box plots of the outcome at the phases of training, methods side by side, as a template: data set ``boxes`` has
    rows method, phase, seed, value."""
    x: dict[str, Any] = {
        "field": "phase",
        "type": "ordinal",
        "title": None,
        "sort": list(PHASES),
        "axis": {"labelAngle": 0},
    }
    x["scale"] = {"domain": list(PHASES)}
    offset = {"field": "method", "type": "nominal", "scale": {"domain": ["method"]}}
    y = _quantitative("value", outcome.axis)
    shared = {"x": x, "xOffset": offset, "y": y, "color": _nominal("method", ["method"], ["black"])}
    # Four phases share the width, and the methods that of a phase, with room between.
    size = f"clamp(0.65 * width / {len(PHASES)} / length(domain('xOffset')), 2, 34)"
    box: dict[str, Any] = {"type": "boxplot", "extent": "min-max", "size": {"expr": size}}
    box |= {"median": {"color": "white", "strokeWidth": 2}, "opacity": 0.75}
    points = {"type": "point", "filled": True, "size": 16, "opacity": 0.9}
    return {
        "width": 400,
        "layer": [
            {"data": {"name": "boxes"}, "mark": box, "encoding": shared},
            {"data": {"name": "boxes"}, "mark": points, "encoding": shared},
        ],
    }


def templates() -> dict[str, Any]:
    """The templates that the page's script fills, as Vega: by kind of figure, and the boxes."""
    kinds = {figure.kind: panel(figure) for figure in FIGURES}
    return {
        name: vl_convert.vegalite_to_vega(copy.deepcopy(chart), vl_version=VEGA_LITE)
        for name, chart in (kinds | {BOXES_KEY: boxes(FIGURES[0])}).items()
    }


def config(theme: str) -> dict[str, Any]:
    """Vega-Lite's config of a theme."""
    ink, soft = INK[theme], SOFT[theme]
    words = {"labelColor": ink, "titleColor": soft}
    return {
        "background": None,
        "font": FONT,
        "view": {"stroke": None},
        "style": {"cell": {"stroke": None}},
        "axis": words
        | {
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 6,
            "gridColor": GRID[theme],
            "domainColor": soft,
            "tickColor": soft,
        },
        "axisY": {"minExtent": 34},
        "legend": words,
        "title": {"color": ink, "subtitleColor": soft},
    }


def line_rows(cell: Cell, figure: Figure) -> tuple[Rows, Rows]:
    """The rows of lines and of marks of a panel, worst verdicts last, so that they lie on top."""
    lines: Rows = []
    marks: Rows = []
    for number, seed in sorted(cell.seeds.items(), key=lambda item: KINDS.index(item[1].verdict.kind)):
        if figure.key not in seed.curves:
            continue
        kind = seed.verdict.kind
        same = {"seed": number, "verdict": kind, "group": kind}
        curve = seed.curves[figure.key]
        lines += [same | {"step": int(s), "value": short(v)} for s, v in zip(curve.step, curve.value, strict=True)]
        marks += [same | mark for mark in events(seed, figure)]
    return lines, marks


def expert_rows(cell: Cell, figure: Figure) -> Rows:
    if figure.key != "return" or cell.expert_return is None:
        return []
    return [{"value": cell.expert_return, "label": f"expert {cell.expert_return:,.0f}"}]


def box_rows(cells: Sequence[Cell], outcome: Figure) -> Rows:
    """One row for each seed and phase that has an evaluation."""
    return [
        {"method": cell.method, "phase": phase, "seed": number, "value": short(value)}
        for cell in cells
        for number, seed in cell.seeds.items()
        for phase, value in zip(PHASES, seed.phases.get(outcome.key, ()), strict=False)
        if value is not None
    ]


def still(collection: Collection, environment: str, figure: Figure) -> dict[str, Any]:
    """A figure of every method in an environment, with its data inside, for an image file."""
    cells = [cell for cell in collection.of(environment) if any(figure.key in s.curves for s in cell.seeds.values())]
    kinds = [kind for kind in KINDS if any(cell.counts[kind] for cell in cells)]
    axis = axis_of(figure, cells)
    datasets: dict[str, Rows] = {}
    charts = []
    for index, cell in enumerate(cells):
        lines, marks = line_rows(cell, figure)
        chart = panel(figure)
        for layer in chart["layer"]:
            name = layer["data"]["name"]
            layer["data"] = {"name": f"{name}-{index}"}
            _set_scales(layer["encoding"], figure, axis, collection.extent(environment))
            if "color" in layer["encoding"]:
                layer["encoding"] |= {"color": _still_colour(kinds), "opacity": {"value": 1}}
            if "strokeWidth" in layer["encoding"]:
                layer["encoding"]["strokeWidth"] = {"value": 1.5}
        datasets |= {f"lines-{index}": lines, f"marks-{index}": marks, f"expert-{index}": expert_rows(cell, figure)}
        heading: dict[str, Any] = {
            "text": textwrap.wrap(cell.method, 44, break_on_hyphens=False),
            "subtitle": verdict_counts(cell),
            "anchor": "start",
        }
        heading |= {"fontSize": 13}
        charts.append(
            {
                "params": chart["params"][1:],
                "layer": chart["layer"],
                "width": _STILL_WIDTH,
                "height": _STILL_HEIGHT,
                "title": heading,
            }
        )
    marked = dict.fromkeys(row["event"] for name, rows in datasets.items() if name.startswith("marks") for row in rows)
    title: dict[str, Any] = {"text": f"{figure.title}: {environment}", "anchor": "start", "fontSize": 17, "offset": 12}
    if marked:
        title["subtitle"] = "Marks: " + ", ".join(f"{EVENTS[event].split('-')[0]} = {event}" for event in marked)
    return {
        "title": title,
        "padding": 14,
        "params": [_INK_PARAMETER],
        "concat": charts,
        "columns": min(_PER_ROW, len(charts)),
        "spacing": {"row": 36, "column": 28},
        "resolve": {"scale": {"color": "shared", "strokeDash": "shared"}},
        "datasets": datasets,
        "config": config("light") | {"background": "white"},
    }


def still_boxes(collection: Collection, environment: str, outcome: Figure) -> dict[str, Any]:
    """The box plots of an environment, with their data inside, for an image file."""
    cells = collection.of(environment)
    chart = boxes(outcome)
    methods = [cell.method for cell in cells]
    axis = axis_of(outcome, cells)
    for layer in chart["layer"]:
        layer["encoding"]["y"]["scale"] |= {"domain": list(axis.linear)}
        layer["encoding"]["xOffset"]["scale"] = {"domain": methods}
        layer["encoding"]["color"] = {
            "field": "method",
            "type": "nominal",
            "scale": {"domain": methods, "range": colours(len(methods))},
            "legend": {"orient": "top", "title": None, "columns": 2, "labelLimit": 400},
        }
    return chart | {
        "title": {"text": f"{outcome.title} in the phases of training: {environment}", "anchor": "start"},
        "width": 760,
        "height": 300,
        "padding": 14,
        "datasets": {"boxes": box_rows(cells, outcome)},
        "config": config("light") | {"background": "white"},
    }


def verdict_counts(cell: Cell) -> str:
    """ "4 dead, 7 weak", worst first."""
    return ", ".join(f"{cell.counts[kind]} {kind}" for kind in reversed(KINDS) if cell.counts[kind])


def short(value: float) -> float:
    """Four significant digits: more cannot be seen, and a page holds hundreds of thousands of them."""
    return float(f"{value:.4g}")


def _quantitative(field: str, title: str) -> dict[str, Any]:
    axis = {"tickCount": 5, "labelExpr": SHORT_NUMBER}
    scale: dict[str, Any] = {"nice": False, "zero": False, "domain": [0, 1]}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis, "scale": scale}


def _nominal(field: str, domain: list[str], values: list[Any]) -> dict[str, Any]:
    return {"field": field, "type": "nominal", "legend": None, "scale": {"domain": domain, "range": values}}


def _set_scales(encoding: dict[str, Any], figure: Figure, axis: Axis, extent: int) -> None:
    log = figure.scale == "log"
    if "field" in encoding.get("x", {}):
        encoding["x"] = copy.deepcopy(encoding["x"])
        encoding["x"]["scale"]["domain"] = [0, extent]
    encoding["y"] = copy.deepcopy(encoding["y"])
    encoding["y"]["scale"] |= {"domain": list(axis.log if log else axis.linear)}
    if log:
        encoding["y"]["scale"] |= {"type": "symlog", "constant": 1}
        encoding["y"]["axis"] |= {"values": list(axis.ticks)}
        encoding["y"]["title"] = f"{figure.axis}, log(x+1) axis"


def _still_colour(kinds: list[str]) -> dict[str, Any]:
    scale = {"domain": kinds, "range": [VERDICTS["light"][kind] for kind in kinds]}
    legend = {"orient": "top", "title": None, "symbolType": "stroke", "symbolStrokeWidth": 3, "symbolSize": 250}
    return {"field": "group", "type": "nominal", "scale": scale, "legend": legend}


def themes() -> dict[str, Any]:
    """What the page needs to draw in either theme."""
    return {
        theme: {
            "config": config(theme),
            "verdicts": VERDICTS[theme],
            "surface": SURFACE[theme],
            "ink": INK[theme],
            "soft": SOFT[theme],
        }
        for theme in ("light", "dark")
    }
