"""The figures, as Altair charts over the rows that the measurements return; nothing is computed here."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

Rows = list[dict[str, Any]]
WIDTH, HEIGHT = 360, 260
LOG10 = float(np.log(10.0))


def _data(rows: Rows) -> alt.Data:
    return alt.Data(values=rows)


def styled(chart: Any) -> Any:
    """One look for all: legible sizes, a quiet grid, white ground."""
    return (
        chart.configure(aria=False, background="white", font="DejaVu Sans, Arial, sans-serif", padding=12)
        .configure_axis(labelFontSize=12, titleFontSize=13, gridColor="#e6e6e6", labelLimit=260)
        .configure_legend(labelFontSize=12, titleFontSize=12, titleLimit=320, labelLimit=360, symbolStrokeWidth=3)
        .configure_title(fontSize=14, anchor="start", subtitleFontSize=12, subtitleColor="#444")
        .configure_header(labelFontSize=13, titleFontSize=13)
        .configure_view(stroke="#bbbbbb")
    )


def _sigma(title: str = "policy standard deviation σ") -> alt.X:
    return alt.X(
        "sigma:Q", title=title, scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format="~g", tickCount=5)
    )


def gradient_against_sigma(curves: Rows, fits: Rows, expert_deviation: float) -> Any:
    """Three panels over sigma: fixed disparity, proportional disparity, averages; slopes fitted in the labels."""
    named = {(f["quantity"], f["regime"], f["parameter"]): f for f in fits if f["expert_deviation"] == expert_deviation}

    def panel(title: str, pick: dict[tuple[str, str, float], str], floor: float, ceiling: float) -> Any:
        rows = []
        for row in curves:
            key = (row["quantity"], row["regime"], row["parameter"])
            if row["expert_deviation"] != expert_deviation or key not in pick:
                continue
            value = row["log_value"] / LOG10
            if not np.isfinite(value):
                continue
            fit = named.get(key)
            label = pick[key]
            if fit and fit["slope_in_inverse_variance"] is None:
                label += f": {fit['exponent']:.2f} ± {fit['standard_error']:.2f}"
            elif fit:
                label += f": exp({fit['slope_in_inverse_variance']:.3g}/σ²)"
            rows.append({"sigma": row["sigma"], "value": value, "curve": label})
        order = list(dict.fromkeys(r["curve"] for r in rows))
        return (
            alt.Chart(_data(rows), title=title)
            .mark_line(point=alt.OverlayMarkDef(size=22), strokeWidth=2, clip=True)
            .encode(
                x=_sigma(),
                y=alt.Y("value:Q", title="log10 of the norm", scale=alt.Scale(domain=[floor, ceiling])),
                color=alt.Color(
                    "curve:N",
                    title="curve: fitted slope",
                    sort=order,
                    scale=alt.Scale(domain=order, scheme="tableau10"),
                    legend=alt.Legend(orient="bottom", columns=1, labelLimit=WIDTH + 60),
                ),
            )
            .properties(width=WIDTH, height=HEIGHT)
        )

    gaps = sorted({r["parameter"] for r in curves if r["regime"] == "fixed" and r["quantity"] == "theorem 1"})
    fixed = {("theorem 1", "fixed", g): f"|a - h| = {g:g}" for g in gaps}
    fixed[("bound", "fixed", gaps[2])] = f"||Σ⁻¹(a - h)||, |a - h| = {gaps[2]:g}"
    proportional = {("theorem 1", "proportional", float(k)): f"Theorem 1, |a - h| = {k}σ" for k in (1, 2)}
    proportional[("corollary 1", "proportional", 1.0)] = "Corollary 1, |a - h| = 1σ"
    proportional[("bound", "proportional", 1.0)] = "||Σ⁻¹(a - h)||, |a - h| = 1σ"
    proportional[("exact gradient, expert as narrow", "proportional", 2.0)] = "exact gradient, expert spread σ, 2σ away"
    averaged = {
        ("theorem 1", "averaged", 1.0): "Theorem 1, mean norm",
        ("theorem 1, root mean square", "averaged", 2.0): "Theorem 1, root mean square",
        ("corollary 1", "averaged", 1.0): "Corollary 1, mean norm",
        ("bound", "averaged", 1.0): "||Σ⁻¹(a - h)||, mean",
        ("exact gradient", "averaged", 1.0): "exact gradient of D_JS",
    }
    panels = (
        panel("Fixed disparity (Theorem 1's estimator)", fixed, -12, 8),
        panel("Disparity proportional to σ", proportional, -2, 9),
        panel("Averaged over expert samples", averaged, -4, 8),
    )
    return styled(alt.hconcat(*panels).resolve_scale(color="independent"))


def phase_diagram(rows: Rows) -> Any:
    """Theorem 1's estimator and the bound's quantity over (sigma, disparity)."""
    sigmas = sorted({r["sigma"] for r in rows})
    gaps = sorted({r["disparity"] for r in rows})
    cells = []
    for row in rows:
        for name, key in (("estimator", "log10_estimator"), ("bound", "log10_bound")):
            value = row[key]
            if np.isfinite(value):
                cells.append(
                    {
                        "panel": name,
                        "x": _edge(sigmas, row["sigma"], -1),
                        "x2": _edge(sigmas, row["sigma"], 1),
                        "y": _edge(gaps, row["disparity"], -1),
                        "y2": _edge(gaps, row["disparity"], 1),
                        "value": float(np.clip(value, -8, 8)),
                    }
                )
    line = [{"x": s, "y": s} for s in (max(min(sigmas), min(gaps)), min(max(sigmas), max(gaps)))]

    def panel(name: str, title: str) -> Any:
        base = (
            alt.Chart(_data([c for c in cells if c["panel"] == name]), title=title)
            .mark_rect(strokeWidth=0)
            .encode(
                x=alt.X(
                    "x:Q",
                    title="policy standard deviation σ",
                    scale=alt.Scale(type="log", nice=False),
                    axis=alt.Axis(format="~g", tickCount=5),
                ),
                x2="x2:Q",
                y=alt.Y(
                    "y:Q",
                    title="disparity |a - h(s)|",
                    scale=alt.Scale(type="log", nice=False),
                    axis=alt.Axis(format="~g", tickCount=5),
                ),
                y2="y2:Q",
                color=alt.Color(
                    "value:Q",
                    title=["log10 of", "the norm", "(±8: cut)"],
                    scale=alt.Scale(scheme="redblue", reverse=True, domain=[-8, 8]),
                ),
            )
        )
        diagonal = (
            alt.Chart(_data(line)).mark_line(color="black", strokeDash=[5, 4], strokeWidth=1.5).encode(x="x:Q", y="y:Q")
        )
        return (base + diagonal).properties(width=WIDTH, height=WIDTH)

    return styled(
        alt.hconcat(
            panel("estimator", "Theorem 1's estimator (dashed: |a - h| = σ)"),
            panel("bound", "||Σ⁻¹(a - h)||, the bound's quantity"),
        )
    )


def _edge(values: list[float], value: float, side: int) -> float:
    """Edge of a cell of a log-spaced axis: the geometric mean with the neighbour, or the value at the end."""
    index = values.index(value)
    other = index + side
    return float(np.sqrt(value * values[other])) if 0 <= other < len(values) else float(value)


def estimator_distribution(rows: Rows) -> Any:
    """Probability that the estimator's norm exceeds a level, one curve per sigma."""
    labelled = [r | {"curve": f"σ = {r['sigma']:.2g}"} for r in rows if r["probability"] > 0]
    order = list(dict.fromkeys(r["curve"] for r in labelled))
    return styled(
        alt.Chart(_data(labelled), title="Theorem 1's estimator over expert samples")
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("log10_norm:Q", title="log10 of the norm"),
            y=alt.Y(
                "probability:Q",
                title="probability of a larger norm",
                scale=alt.Scale(type="log", domain=[1e-4, 1]),
                axis=alt.Axis(format="~g", tickCount=5),
            ),
            color=alt.Color("curve:N", title=None, sort=order, scale=alt.Scale(domain=order, scheme="viridis")),
        )
        .properties(width=460, height=300)
    )


def exceedance(curves: Rows, expert_deviation: float) -> Any:
    """What Theorem 1 says tends to 1, against the probability that the estimator is in fact large."""
    order = ["norm of Theorem 1's estimator ≥ C", "||Σ⁻¹(a - h)|| ≥ C (the bound)"]
    rows = []
    for row in curves:
        if row["regime"] != "exceedance" or row["expert_deviation"] != expert_deviation:
            continue
        if row["quantity"] not in ("theorem 1", "bound"):
            continue
        rows.append(
            {
                "sigma": row["sigma"],
                "value": float(np.exp(row["log_value"])),
                "what": order[row["quantity"] == "bound"],
                "level": f"C = {row['parameter']:g}",
            }
        )
    title = alt.Title("Probability over expert samples", subtitle=f"solid: {order[0]}; dashed: {order[1]}")
    return styled(
        alt.Chart(_data(rows), title=title)
        .mark_line(point=alt.OverlayMarkDef(size=24), strokeWidth=2)
        .encode(
            x=_sigma(),
            y=alt.Y("value:Q", title="probability", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("level:N", title=None, scale=alt.Scale(scheme="dark2")),
            strokeDash=alt.StrokeDash("what:N", legend=None, scale=alt.Scale(domain=order, range=[[1, 0], [4, 3]])),
        )
        .properties(width=460, height=300)
    )


def outlier_intervals(rows: Rows) -> Any:
    """alpha and beta against c, and the widths of both intervals."""
    ends, widths = [], []
    for row in rows:
        for name, key, width in (("α (plr): [α, 1]", "alpha", "width_alpha"), ("β (cr): [β, 1]", "beta", "width_beta")):
            ends.append({"c": row["c"], "value": row[key], "end": name})
            widths.append({"c": row["c"], "value": row[width], "end": name})
        widths.append({"c": row["c"], "value": row["difference"], "end": "β - α"})
    x = alt.X("c:Q", title="threshold c")
    shared = ["α (plr): [α, 1]", "β (cr): [β, 1]", "β - α"]
    color = alt.Color("end:N", title=None, sort=shared, scale=alt.Scale(domain=shared, scheme="tableau10"))
    left = (
        alt.Chart(_data(ends), title="Lower end of the outlier interval")
        .mark_line(strokeWidth=2)
        .encode(x=x, y=alt.Y("value:Q", title="discriminator value D"), color=color)
    )
    right = (
        alt.Chart(_data(widths), title="Width of the interval")
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=alt.Y("value:Q", title="width", scale=alt.Scale(type="log"), axis=alt.Axis(format="~e", tickCount=6)),
            color=color,
        )
    )
    return styled(
        alt.hconcat(left.properties(width=WIDTH, height=HEIGHT), right.properties(width=WIDTH, height=HEIGHT))
    )
