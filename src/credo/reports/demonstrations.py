"""A picture of demonstrations: returns, episode lengths, the range of every dimension, saturation of the actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from credo.demonstrations import Demonstrations, Inspection, inspect
from credo.demonstrations.inspect import SATURATION
from credo.files import write_atomically
from credo.reports.curves import PNG_SCALE, STYLE, vega_lite_version
from credo.types import CredoError, printable

WIDTH, HEIGHT = 420, 190
BINS = 24
DIMENSIONS = 60
"""At most so many dimensions of the observation are drawn."""
_BLUE, _ORANGE = "#0072B2", "#D55E00"


def check_picture(path: Path) -> None:
    """CredoError for a name that does not end in .png or .svg, or a folder that is not there."""
    if path.suffix not in (".png", ".svg"):
        raise CredoError(f"picture: {path}: .png or .svg expected")
    if not path.parent.is_dir():
        raise CredoError(f"picture: {path.parent} is not a folder")


def write_picture(path: Path, demonstrations: Demonstrations) -> None:
    """Draw demonstrations into a .png or .svg file; CredoError as of ``check_picture``."""
    check_picture(path)
    specification, version = json.dumps(picture(demonstrations)), vega_lite_version()
    if path.suffix == ".png":
        content = vl_convert.vegalite_to_png(specification, vl_version=version, scale=PNG_SCALE)
    else:
        content = vl_convert.vegalite_to_svg(specification, vl_version=version).encode()
    write_atomically(path, content)


def picture(demonstrations: Demonstrations) -> dict[str, Any]:
    """The figure as a Vega-Lite specification with its data inside."""
    found = inspect(demonstrations)
    charts = [
        _histogram("episode lengths", "steps", demonstrations.lengths.astype(float)),
        _ranges("observation: 5% to 95%, and all, of each dimension", demonstrations.observation),
    ]
    if demonstrations.has_actions:
        charts.append(_ranges("action: likewise; -1 and 1 are the bounds", demonstrations.action))
        charts.append(_saturation(demonstrations))
    if demonstrations.returns is not None:
        charts.insert(0, _histogram("returns", "undiscounted return", demonstrations.returns))
    subtitle = (
        f"{found.episodes} episodes, {found.transitions} transitions; {found.terminated_share:.0%} terminated, "
        f"{found.truncated_share:.0%} truncated"
    )
    chart = (
        alt.concat(*charts, columns=2, spacing=40)
        .resolve_scale(color="independent")
        .properties(
            title=alt.TitleParams(_title(found), subtitle=subtitle, fontSize=18, subtitleFontSize=13, offset=14)
        )
    )
    return chart.to_dict() | {"config": STYLE}


def _title(found: Inspection) -> str:
    name = printable(found.environment or "an unknown environment")
    return f"Demonstrations of {name}" + (f": {printable(found.source)}" if found.source else "")


def _histogram(title: str, axis: str, values: np.ndarray) -> Any:
    apart = np.ptp(values) > 1e-9 * np.abs(values).max(initial=0.0)
    counts, edges = np.histogram(values, bins=BINS if apart else 1)
    rows = [
        {"from": float(low), "to": float(high), "episodes": int(count)}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return (
        alt.Chart(alt.InlineData(rows))
        .mark_bar(color=_BLUE, stroke="white")
        .encode(
            x=alt.X("from:Q", title=axis, scale=alt.Scale(zero=False, nice=False)),
            x2="to:Q",
            y=alt.Y("episodes:Q", title="episodes", axis=alt.Axis(values=_whole(int(counts.max())), format="d")),
            y2=alt.datum(0),
        )
        .properties(title=title, width=WIDTH, height=HEIGHT)
    )


def _ranges(title: str, values: np.ndarray) -> Any:
    shown = values[:, :DIMENSIONS]
    low, first, median, last, high = np.quantile(shown, [0, 0.05, 0.5, 0.95, 1], axis=0).astype(float)
    rows = [
        {"dimension": i, "low": low[i], "first": first[i], "median": median[i], "last": last[i], "high": high[i]}
        for i in range(shown.shape[1])
    ]
    base = alt.Chart(alt.InlineData(rows)).encode(
        x=alt.X("dimension:O", title="dimension", axis=_dimensions(len(rows)))
    )
    return alt.layer(
        base.mark_rule(color=_BLUE).encode(y=alt.Y("low:Q", title="value"), y2="high:Q"),
        base.mark_bar(color=_BLUE, size=max(2, min(12, WIDTH / len(rows) - 2))).encode(y="first:Q", y2="last:Q"),
        base.mark_tick(color="white", thickness=2, size=max(2, min(12, WIDTH / len(rows) - 2))).encode(y="median:Q"),
    ).properties(title=title, width=WIDTH, height=HEIGHT)


def _saturation(demonstrations: Demonstrations) -> Any:
    """Share of steps at either bound, for each dimension of the action."""
    action = demonstrations.action
    rows = [
        {"dimension": i, "bound": bound, "share": float(share)}
        for bound, hits in (("low", action <= -SATURATION), ("high", action >= SATURATION))
        for i, share in enumerate(hits.mean(axis=0))
    ]
    return (
        alt.Chart(alt.InlineData(rows))
        .mark_bar()
        .encode(
            x=alt.X("dimension:O", title="dimension", axis=_dimensions(action.shape[1])),
            y=alt.Y("share:Q", title="share of steps", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%")),
            color=alt.Color(
                "bound:N",
                title="at the bound",
                legend=alt.Legend(orient="top-right"),
                scale=alt.Scale(domain=["low", "high"], range=[_BLUE, _ORANGE]),
            ),
        )
        .properties(title="action: saturation", width=WIDTH, height=HEIGHT)
    )


def _whole(largest: int) -> list[int]:
    """Whole-numbered ticks from 0 on, six at most."""
    return list(range(0, largest + 1, max(1, -(-largest // 5))))


def _dimensions(count: int) -> alt.Axis:
    return alt.Axis(labelAngle=0, values=list(range(0, count, max(1, count // 12))))
