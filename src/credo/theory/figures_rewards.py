"""The figures about rewards, the deterministic policy gradient, CREDO and real discriminators."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from credo.theory.discriminators import REWARDS
from credo.theory.figures import HEIGHT, WIDTH, Rows, _data, _sigma, styled

LABELS = {
    name: f"r{i + 1} {name}: {r.formula}" if i < 2 else f"{name}: {r.formula}"
    for i, (name, r) in enumerate(REWARDS.items())
}


def _reward_color() -> alt.Color:
    return alt.Color(
        "label:N",
        title=None,
        sort=list(LABELS.values()),
        scale=alt.Scale(domain=list(LABELS.values()), scheme="tableau10"),
    )


def rewards_and_slopes(rows: Rows) -> Any:
    """All eight rewards and their slopes against the logit."""
    labelled = [r | {"label": LABELS[r["reward"]]} for r in rows]
    values = (
        alt.Chart(_data([r for r in labelled if -6 <= r["value"] <= 6]), title="Reward")
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("logit:Q", title="logit"), y=alt.Y("value:Q", title="reward (cut at ±6)"), color=_reward_color()
        )
    )
    slopes = (
        alt.Chart(_data([r for r in labelled if 1e-6 <= r["slope"] <= 1e3]), title="Slope of the reward in the logit")
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("logit:Q", title="logit"),
            y=alt.Y("slope:Q", title="slope", scale=alt.Scale(type="log"), axis=alt.Axis(format="~e", tickCount=6)),
            color=_reward_color(),
        )
    )
    return styled(
        alt.hconcat(values.properties(width=WIDTH, height=HEIGHT), slopes.properties(width=WIDTH, height=HEIGHT))
    )


def steepness(rows: Rows) -> Any:
    """The deterministic gradient against the discriminator's steepness, where it is lost and where it is fooled."""
    kept = [
        r
        | {
            "label": LABELS[r["reward"]],
            "panel": "discriminator wins (logit < 0)" if r["sign"] < 0 else "discriminator fooled (logit > 0)",
        }
        for r in rows
        if 1e-10 <= r["total"] <= 1e12
    ]
    return styled(
        alt.Chart(_data(kept))
        .mark_line(point=alt.OverlayMarkDef(size=16), strokeWidth=2)
        .encode(
            x=alt.X(
                "steepness:Q",
                title="factor on the logit",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~g", tickCount=4),
            ),
            y=alt.Y(
                "total:Q",
                title="norm of the gradient",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~e", tickCount=6),
            ),
            color=_reward_color(),
            column=alt.Column("panel:N", title=None, sort="descending"),
        )
        .properties(width=WIDTH - 30, height=HEIGHT)
    )


def narrow_expert(rows: Rows) -> Any:
    """The largest deterministic gradient on the way from policy to expert, against the expert's spread."""
    kept = [r | {"label": LABELS[r["reward"]]} for r in rows if r["total"] <= 1e8]
    return styled(
        alt.Chart(_data(kept), title="Optimal discriminator: largest gradient between policy and expert")
        .mark_line(point=alt.OverlayMarkDef(size=20), strokeWidth=2)
        .encode(
            x=alt.X(
                "expert_deviation:Q",
                title="expert's standard deviation",
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(format="~g", tickCount=5),
            ),
            y=alt.Y(
                "total:Q",
                title="norm (cut at 1e8)",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~e", tickCount=6),
            ),
            color=_reward_color(),
        )
        .properties(width=440, height=300)
    )


def exploration_noise(rows: Rows) -> Any:
    """Remark 2: what depends on the exploration noise and what does not."""
    names = {
        "noisy_slope": "logit's slope at noisy actions (rms)",
        "slope_at_mean": "logit's slope at a = h(s)",
        "theorem1_mean_norm": "Theorem 1's estimator, mean norm",
        "total": "deterministic gradient, plr",
        "exact_js_gradient": "exact gradient of D_JS",
    }
    kept = [
        {"sigma": r["sigma"], "value": r[key], "curve": label}
        for r in rows
        if r["reward"] == "plr"
        for key, label in names.items()
    ]
    return styled(
        alt.Chart(_data(kept), title="Exploration noise of deviation σ")
        .mark_line(point=alt.OverlayMarkDef(size=20), strokeWidth=2)
        .encode(
            x=_sigma("exploration noise σ"),
            y=alt.Y("value:Q", title="norm", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g", tickCount=6)),
            color=alt.Color(
                "curve:N",
                title=None,
                sort=list(names.values()),
                scale=alt.Scale(domain=list(names.values()), scheme="dark2"),
            ),
        )
        .properties(width=440, height=300)
    )


def density_ratio_bound(intervals: Rows, measured: Rows) -> Any:
    """E.2's bound on rho_h/rho_E against c, with the smallest ratio found among retained pairs."""
    lines = []
    for row in intervals:
        for name in ("plr", "cr"):
            lines.append(
                {"c": row["c"], "value": row[f"log_ratio_bound_{name}"] / np.log(10), "reward": f"bound, {name}"}
            )
    domain = ["bound, plr", "bound, cr"]
    points = [
        {"c": r["c"], "value": r["smallest_log_ratio"] / np.log(10), "reward": f"bound, {r['reward']}"}
        for r in measured
        if np.isfinite(r["smallest_log_ratio"])
    ]
    color = alt.Color(
        "reward:N", title="line: bound, dot: measured", scale=alt.Scale(domain=domain, scheme="tableau10")
    )
    y = alt.Y("value:Q", title="log10 of ρ_h / ρ_E")
    left = alt.Chart(_data(lines), title="E.2's bound at Eq. 9's optimum").mark_line(strokeWidth=2).encode(
        x=alt.X("c:Q", title="threshold c"), y=y, color=color
    ) + alt.Chart(_data(points)).mark_point(filled=True, size=55).encode(x="c:Q", y=y, color=color)
    shares = []
    names = {
        "retained_mass": "expert samples retained",
        "past_threshold_after": "retained ones past c again, after training on them",
        "share_of_mean_norm_kept": "share of the estimator's mean norm they carry",
        "disparity_retained": "disparity ≥ distance, among retained",
    }
    for row in measured:
        if row["reward"] == "plr":
            shares += [
                {"c": row["c"], "value": row[key], "what": label}
                for key, label in names.items()
                if row[key] is not None
            ]
    right = (
        alt.Chart(_data(shares), title="What the filter leaves (plr)")
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("c:Q", title="threshold c"),
            y=alt.Y("value:Q", title="share", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "what:N",
                title=None,
                sort=list(names.values()),
                scale=alt.Scale(domain=list(names.values()), scheme="dark2"),
            ),
        )
    )
    panels = left.properties(width=WIDTH - 40, height=HEIGHT), right.properties(width=WIDTH - 40, height=HEIGHT)
    return styled(alt.hconcat(*panels).resolve_scale(color="independent"))


def credo_effect(rows: Rows, threshold: float) -> Any:
    """CREDO's variants: steepest logit and largest gradient on the way from policy to expert."""
    order = ["none", "clip", "filter, rescored", "filter, batch", "filter, retained", "both"]
    kept = [
        r | {"label": LABELS[r["reward"]]}
        for r in rows
        if r["threshold_logit"] == threshold and r["reward"] in ("plr", "cr", "r4")
    ]
    y = alt.Y("variant:N", title=None, sort=order)
    gradient = (
        alt.Chart(_data(kept), title=f"Largest gradient (threshold at logit {threshold:g})")
        .mark_point(filled=True, size=90, opacity=0.9)
        .encode(
            x=alt.X("largest:Q", title="norm", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g", tickCount=5)),
            y=y,
            color=alt.Color("label:N", title=None, scale=alt.Scale(scheme="dark2")),
            shape=alt.Shape("label:N", title=None),
        )
    )
    direction = (
        alt.Chart(
            _data([r for r in kept if r["reward"] == "plr"]), title="Share of the way with a gradient to the expert"
        )
        .mark_bar(color="#4c78a8")
        .encode(
            x=alt.X("towards:Q", title="share (plr)", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5)),
            y=alt.Y("variant:N", title=None, sort=order, axis=alt.Axis(labels=False, ticks=False)),
        )
    )
    return styled(
        alt.hconcat(gradient.properties(width=WIDTH, height=210), direction.properties(width=WIDTH - 60, height=210))
    )


def discriminator_errors(rows: Rows) -> Any:
    """Quantiles of the logit's error of trained discriminators, per case, step and side."""
    kept = []
    for row in rows:
        kept.append(
            {
                "case": row["case"],
                "step": f"{row['step']} steps",
                "side": f"{row['side']} samples",
                "low": _signed_log(row["shift_q05"]),
                "middle": _signed_log(row["shift_q50"]),
                "high": _signed_log(row["shift_q95"]),
            }
        )
    steps = list(dict.fromkeys(r["step"] for r in kept))
    x = alt.X(
        "low:Q",
        title="logit - optimal logit (signed log scale)",
        scale=alt.Scale(domain=[_signed_log(-200), _signed_log(5000)], nice=False),
        axis=alt.Axis(
            values=[_signed_log(v) for v in (-100, -10, -1, 0, 1, 10, 100, 1000)],
            labelExpr="(datum.value < 0 ? '-' : '') + format(pow(10, abs(datum.value)) - 1, '.3~g')",
        ),
    )
    base = alt.Chart(_data(kept))
    color = alt.Color("step:N", title="bar: 5% to 95%", sort=steps, scale=alt.Scale(scheme="dark2"))
    y = alt.Y("case:N", title=None, sort=list(dict.fromkeys(r["case"] for r in kept)))
    offset = alt.YOffset("step:N", sort=steps)
    bars = base.mark_bar(height=7).encode(x=x, x2="high:Q", y=y, yOffset=offset, color=color)
    dots = base.mark_point(filled=True, color="black", size=28).encode(x="middle:Q", y=y, yOffset=offset)
    return styled((bars + dots).properties(width=WIDTH - 60, height=200).facet(column=alt.Column("side:N", title=None)))


def _signed_log(value: float) -> float:
    return float(np.sign(value) * np.log10(1.0 + abs(value)))
