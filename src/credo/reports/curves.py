"""The curves of one run as one figure: curves.png, and curves.html, which needs no network."""

from __future__ import annotations

import functools
import html
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import altair as alt
import numpy as np
import vl_convert

from credo.diagnostics.critics import OVER_REFERENCE
from credo.files import write_atomically
from credo.reports.headings import headings
from credo.reports.load import Columns, LoadedRun, load_run, thin
from credo.reports.style import EVENTS, FONT, SHORT_NUMBER, colours, symmetric_log_ticks
from credo.types import printable

PANEL_WIDTH, PANEL_HEIGHT, PER_ROW = 500, 190, 2
"""Two panels with their axes are about 1,200 pixels."""
PNG_SCALE = 1.5
POINTS = 250
"""Points of a line, about one for two pixels."""
MARKED_EVALUATIONS = 40
"""Up to this many evaluations are drawn as points too."""

_EVENTS = {"explosion" if event == "exploded" else event: shape for event, shape in EVENTS.items()}
_INK, _SOFT, _LINE, _GRID = "#222222", "#666666", "#999999", "#E6E6E6"
_CHOSEN: dict[str, Any] = {"name": "chosen", "select": {"type": "point", "fields": ["seed"]}, "bind": "legend"}
STYLE = {
    "background": "white",
    "padding": 16,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelColor": _INK,
        "titleColor": _SOFT,
        "gridColor": _GRID,
        "domainColor": _LINE,
        "tickColor": _LINE,
    },
    # One width for all numbers, so that panels stand exactly below each other.
    "axisY": {"minExtent": 40},
    "title": {"fontSize": 14, "fontWeight": 600, "color": _INK, "anchor": "start", "frame": "group", "offset": 8},
    "legend": {
        "orient": "top",
        "direction": "horizontal",
        "labelLimit": 220,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 600,
        "labelColor": _INK,
        "titleColor": _INK,
        "layout": {"top": {"anchor": "start", "direction": "horizontal", "margin": 36}},
    },
}

Datasets = dict[str, list[dict[str, Any]]]
"""Name to rows."""


class Panel(NamedTuple):
    """One diagram of the figure; it is left out where its column has no finite value."""

    title: str
    axis: str
    kind: Literal["metrics", "evaluations"]
    column: str
    scale: Literal["linear", "share", "log"] = "linear"
    reduce: Literal["max", "mean"] = "mean"


class _Level(NamedTuple):
    """A dashed line that all curves of a diagram are compared with."""

    name: str
    value: float
    label: str
    baseline: Literal["top", "bottom"]
    """Of its label, which stands on the side where the edge of the diagram is not near."""


PANELS = (
    Panel("Return", "mean return of an evaluation", "evaluations", "return_mean"),
    Panel(
        "Distance to the expert's states and actions",
        "distance (standard deviations)",
        "evaluations",
        "occupancy_distance",
    ),
    Panel("Success", "share of evaluation episodes", "evaluations", "success_rate", "share"),
    Panel("P(expert) of expert samples", "probability", "metrics", "expert_probability_expert", "share"),
    Panel("P(expert) of policy samples", "probability", "metrics", "expert_probability_policy", "share"),
    Panel("Largest absolute actor gradient", "gradient, log(x+1) axis", "metrics", "actor_gradient_max", "log", "max"),
    Panel("Saturated actions", "share of actions at ±1", "metrics", "action_saturation", "share"),
    Panel("Expert samples past the outlier threshold", "share", "metrics", "outlier_share", "share"),
    Panel("Expert samples filtered", "share", "metrics", "filtered_share", "share"),
    Panel("Critic loss", "loss, log(x+1) axis", "metrics", "critic_loss", "log"),
    Panel("Mean value of the critic", "Q", "metrics", "q_mean"),
    Panel("Mean Q over its reference", "mean Q / reference, log(x+1) axis", "metrics", OVER_REFERENCE, "log"),
)


def write_curves(folder: Path, out: Path | None = None) -> tuple[Path, Path]:
    """Draw the curves of a run folder.

    Args:
        folder: of the run; it may be running or killed.
        out: folder for the two files; None: the run's own.

    Returns:
        The paths of curves.png and curves.html.

    Raises:
        CredoError: the folder is not a run.
    """
    run = load_run(Path(folder))
    out = Path(folder) if out is None else Path(out)
    out.mkdir(parents=True, exist_ok=True)
    version = vega_lite_version()
    png_path, html_path = out / "curves.png", out / "curves.html"
    still = json.dumps(figure(run, interactive=False))
    write_atomically(png_path, vl_convert.vegalite_to_png(still, vl_version=version, scale=PNG_SCALE))
    page = _page(figure(run, interactive=True), f"Credo: {printable(run.folder.resolve().name)}", version)
    write_atomically(html_path, page.encode())
    return png_path, html_path


def figure(run: LoadedRun, interactive: bool) -> dict[str, Any]:
    """The figure as a Vega-Lite specification with its data inside; ``interactive`` adds tooltips and selections."""
    labels = {seed: f"{seed} {run.verdicts[seed].kind}" for seed in run.seeds}
    colour = alt.Color(
        "seed:N",
        title="seed",
        scale=alt.Scale(domain=list(labels.values()), range=colours(len(run.seeds))),
        legend=alt.Legend(columns=6, symbolType="stroke", symbolStrokeWidth=4, symbolSize=260),
    )
    span = max(run.steps_done, 1)
    data: Datasets = {}
    charts = {panel: _panel(run, panel, labels, colour, interactive, span, data) for panel in PANELS}
    drawn = {panel: chart for panel, chart in charts.items() if chart is not None}
    if drawn:
        panels: list[Any] = list(drawn.values())
    else:
        data["nothing"] = [{"text": "Nothing is recorded yet"}]
        panels = [alt.Chart(alt.NamedData("nothing")).mark_text(fontSize=14).encode(text="text:N")]
    title, subtitle = headings(run)
    chart: Any = alt.concat(*panels, columns=PER_ROW, bounds="flush", spacing={"row": 84, "column": 92})
    chart = chart.resolve_scale(color="shared", shape="shared").properties(
        title=alt.TitleParams(
            title,
            subtitle=subtitle,
            fontSize=19,
            subtitleFontSize=13,
            subtitleColor=_SOFT,
            subtitlePadding=6,
            offset=14,
        )
    )
    # Rows and style are added to the finished specification: altair would check every row against the schema of the
    # language, which takes seconds, and does not know the legends' layout.
    specification = chart.to_dict() | {"datasets": data, "config": STYLE}
    if interactive and drawn:
        # One selection for all panels, made where each draws its lines (the first layer's legend counts);
        # altair can only repeat it.
        views = [f"panel-{i}" for i in range(len(drawn))]
        for name, view in zip(views, specification["concat"], strict=True):
            view["layer"][0]["name"] = name
        specification["params"] = [_CHOSEN | {"views": views}]
    return specification


def _panel(
    run: LoadedRun,
    panel: Panel,
    labels: dict[int, str],
    colour: alt.Color,
    interactive: bool,
    span: int,
    data: Datasets,
) -> Any:
    """One diagram; its rows go to ``data``. None where there are none."""
    curves = run.metrics if panel.kind == "metrics" else run.evaluations
    rows: list[dict[str, Any]] = []
    for seed, columns in curves.items():
        step, value = _finite(columns, panel.column)
        step, value = thin(step, value, POINTS, panel.reduce)
        rows += [{"seed": labels[seed], "step": int(s), "value": _short(v)} for s, v in zip(step, value, strict=True)]
    if not rows:
        return None
    values = np.array([row["value"] for row in rows])
    level = _level(run, panel)
    steps = "minibatches" if run.config.clones else "environment steps"
    x = alt.X("step:Q", title=steps, scale=alt.Scale(domain=[0, span], nice=False), axis=_step_axis())
    y = _y(panel, values, None if level is None else level.value)
    opacity: Any = alt.value(0.9)
    if interactive:
        opacity = alt.condition(alt.selection_point(name=_CHOSEN["name"]), opacity, alt.value(0.08))
    data[panel.column] = rows
    base = alt.Chart(alt.NamedData(panel.column)).encode(x=x, y=y, color=colour, opacity=opacity)
    few = panel.kind == "evaluations" and max(len(c["step"]) for c in curves.values()) <= MARKED_EVALUATIONS
    points = alt.OverlayMarkDef(size=22, filled=True) if few else False
    layers: list[alt.Chart] = [base.mark_line(strokeWidth=1.8, strokeJoin="round", point=points)]
    if level is not None:
        data[level.name] = [{"value": level.value, "label": level.label}]
        layers += _level_marks(level, y)
    if interactive:
        number = ",.0f" if panel.column == "return_mean" else ".4~g"
        tooltip = [
            alt.Tooltip("seed:N", title="seed"),
            alt.Tooltip("step:Q", title="step", format=","),
            alt.Tooltip("value:Q", title=panel.title, format=number),
        ]
        # Invisible and wide, so that a line need not be hit exactly.
        layers.append(base.mark_point(size=90, filled=True).encode(opacity=alt.value(0), tooltip=tooltip))
    events = _events(run, panel, labels)
    if events:
        # The shapes of all panels have one legend: of what the whole figure marks.
        present = [event for event in _EVENTS if any(event == marked[1] for marked in _marked(run))]
        data[f"{panel.column} events"] = events
        layers.append(_event_marks(f"{panel.column} events", present, x, y, colour, opacity))
    return alt.layer(*layers).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT, title=panel.title)


def _finite(columns: Columns, name: str) -> tuple[np.ndarray, np.ndarray]:
    if name not in columns:
        return np.zeros(0, np.int64), np.zeros(0)
    value = np.asarray(columns[name], np.float64)
    finite = np.isfinite(value)
    return columns["step"][finite], value[finite]


def _short(value: float) -> float:
    """Five significant digits: more cannot be seen, and the page holds thousands of them."""
    return float(f"{value:.5g}")


def _step_axis() -> alt.Axis:
    return alt.Axis(labelExpr=SHORT_NUMBER, tickCount=6, grid=False)


def _level(run: LoadedRun, panel: Panel) -> _Level | None:
    """Where the expert is: his return, or the distance between demonstrations."""
    if panel.column == "return_mean" and run.expert_return is not None:
        return _Level("expert", run.expert_return, f"expert {run.expert_return:,.0f}", "top")
    if panel.column == "occupancy_distance":
        apart = [_finite(columns, "demonstration_distance")[1] for columns in run.evaluations.values()]
        told = next((float(values[-1]) for values in apart if len(values)), None)
        return None if told is None else _Level("apart", told, f"between demonstrations {told:.2g}", "bottom")
    return None


def _y(panel: Panel, values: np.ndarray, level: float | None) -> alt.Y:
    axis, scale = alt.Axis(tickCount=5, labelExpr=SHORT_NUMBER), alt.Scale(zero=panel.column != "q_mean", nice=True)
    if panel.scale == "share":
        axis, scale = alt.Axis(tickCount=5, format=".0%"), alt.Scale(domain=[0, 1], clamp=True)
        if panel.axis == "probability":
            axis = alt.Axis(tickCount=5, format=".1f")
    elif panel.scale == "log":
        # symlog with constant 1 is log(x + 1).
        low, top = min(1.1 * float(values.min()), 0.0), max(1.1 * float(values.max()), 1.0)
        axis = alt.Axis(values=symmetric_log_ticks(low, top), labelExpr=SHORT_NUMBER)
        scale = alt.Scale(type="symlog", constant=1, domain=[low, top], nice=False)
    elif level is not None:
        low, high = min(float(values.min()), 0.0, level), max(float(values.max()), 0.0, level)
        room = 0.08 * (high - low)
        scale = alt.Scale(domain=[low - room if low < 0 else low, high + room if high > 0 else high], nice=False)
    return alt.Y("value:Q", title=panel.axis, scale=scale, axis=axis)


def _level_marks(level: _Level, y: alt.Y) -> list[alt.Chart]:
    data = alt.NamedData(level.name)
    rule = alt.Chart(data).mark_rule(strokeDash=[6, 4], color=_INK, strokeWidth=1.2).encode(y=y)
    away = 4 if level.baseline == "top" else -4
    text = alt.Chart(data).mark_text(align="left", baseline=level.baseline, dx=4, dy=away, color=_INK, fontSize=12)
    return [rule, text.encode(y=y, x=alt.value(0), text="label:N")]


def _marked(run: LoadedRun) -> list[tuple[int, str, int]]:
    """(seed, event, step) of all that is marked in the figure."""
    names = {kind: kind for kind in ("dead", "non-finite", "faulted")} | {"recovered": "came back"}
    found = []
    for seed, verdict in run.verdicts.items():
        for event, step in ((names.get(verdict.kind), verdict.step), ("explosion", verdict.first_explosion)):
            if event is not None and step is not None:
                found.append((seed, event, step))
    return found


def _events(run: LoadedRun, panel: Panel, labels: dict[int, str]) -> list[dict[str, Any]]:
    """The rows of what is marked on a panel: verdicts on the outcome and the gradient, explosions on the latter."""
    events: list[dict[str, Any]] = []
    if panel.column not in ("return_mean", "occupancy_distance", "actor_gradient_max"):
        return events
    for seed, event, at in _marked(run):
        step, value = _finite((run.metrics if panel.kind == "metrics" else run.evaluations)[seed], panel.column)
        if len(step) and (event != "explosion" or panel.kind == "metrics"):
            height = float(value[min(int(np.searchsorted(step, at)), len(step) - 1)])
            reason = printable(run.verdicts[seed].reason)
            events.append({"seed": labels[seed], "step": at, "value": _short(height), "event": event, "reason": reason})
    return events


def _event_marks(name: str, present: list[str], x: alt.X, y: alt.Y, colour: alt.Color, opacity: Any) -> alt.Chart:
    shape = alt.Shape(
        "event:N",
        title="marks",
        scale=alt.Scale(domain=present, range=[_EVENTS[event] for event in present]),
        legend=alt.Legend(symbolFillColor=_SOFT, symbolStrokeColor=_INK, symbolSize=110),
    )
    tooltip = [
        alt.Tooltip("seed:N"),
        alt.Tooltip("event:N"),
        alt.Tooltip("step:Q", format=","),
        alt.Tooltip("reason:N"),
    ]
    marks = alt.Chart(alt.NamedData(name)).mark_point(size=130, filled=True, stroke=_INK, strokeWidth=1)
    return marks.encode(x=x, y=y, color=colour, shape=shape, opacity=opacity, tooltip=tooltip)


def vega_lite_version() -> str:
    """The version of altair's specifications, or the newest of the same major that the converter has."""
    wanted = alt.SCHEMA_VERSION.removeprefix("v").split(".")
    known = vl_convert.get_vegalite_versions()
    exact = ".".join(wanted[:2])
    return exact if exact in known else [v for v in known if v.split(".")[0] == wanted[0]][-1]


@functools.cache
def _library(version: str) -> str:
    """The drawing library as a script: making it takes as long as everything else here."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version).replace("</script", "<\\/script")


def _page(spec: dict[str, Any], title: str, version: str) -> str:
    """A page with the drawing library and the data inside."""
    # "</script>" or "<!--" in a name would end the script, or keep it from ending.
    data = json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")
    hint = "Click a seed in the legend to see it alone (shift-click adds one); point at a line for its numbers."
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>
body {{ margin: 0 auto; max-width: 1240px; font: 14px {FONT}; color: {_INK}; background: white; }}
p {{ margin: 12px 16px 0; color: {_SOFT}; }}
#figure {{ overflow-x: auto; }}
</style>
</head>
<body>
<p>{hint}</p>
<div id="figure"></div>
<script>{_library(version)}</script>
<script>
const options = {{ renderer: "canvas", actions: {{ export: true, source: false, compiled: false, editor: false }} }};
vegaEmbed("#figure", {data}, options).catch(error => {{
  document.getElementById("figure").textContent = "The figure could not be drawn: " + error.message;
}});
</script>
</body>
</html>
"""
