"""Draw the figures of docs/stability.md from the small files in results/stability; ``make figures`` calls it.

python scripts/stability_figures.py [--results results/stability] [--out docs/images]
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import altair as alt
import bed_table
import critics_table
import penalty_table
import slope_table
import vl_convert
from early_tables import CHANGES
from kept_files import ENVIRONMENTS, LEARNERS, LOW, NEAR_THE_EXPERT, Rows, in_order, read, whole

from credo.reports.curves import PNG_SCALE, STYLE, vega_lite_version
from credo.reports.style import VERDICTS, colours
from credo.studies.counts import clopper_pearson

AUTOPSIES = {
    "plain": "the paper's regime",
    "still-discriminator": "discriminator never learns",
    "environment-reward": "environment's reward",
    "slow-actor": "actor's learning rate 1e-4",
    "small-last-layer": "last layer starts at 1/100",
    "preactivation-penalty": "pre-activation penalty",
    "layer-norm-actor": "layer norm in the actor",
    "layer-norm-critic": "layer norm in the critics",
    "normalised-observations": "normalised observations",
    "gradient-penalty": "gradient penalty",
}
"""Cells that were gone through update by update, in the order of their panels."""
SATURATED = math.atanh(0.99)
LIVING_AND_DEAD = ["#0072B2", "#D55E00"]
DASHES = {"strokeDash": [5, 4], "color": "#D55E00"}
AGAIN = ("early-33", "early-again-33")
"""Studies to 2,560 steps of 33 seeds, of which 22 are new."""


def heading(title: str, subtitle: str) -> alt.TitleParams:
    return alt.TitleParams(title, subtitle=subtitle.splitlines(), fontSize=18, subtitleFontSize=13, offset=14)


def first_updates(results: Path) -> alt.Chart | None:
    """Output before tanh and the critic's agreement in the first updates, one line a seed, one column a cell."""
    cells = {name: read(results / f"autopsy-{name}.csv") for name in AUTOPSIES}
    rows = [row | {"cell": AUTOPSIES[name]} for name, found in cells.items() for row in found]
    if not rows:
        return None
    order = [AUTOPSIES[name] for name, found in cells.items() if found]
    x = alt.X("update:Q", title="updates of the actor", axis=alt.Axis(values=[0, 20, 40, 60], grid=False))

    def panel(cell: str, column: str, title: str | None, top: float, first: bool) -> Any:
        mine = [{k: row[k] for k in ("seed", "update", column)} for row in rows if row["cell"] == cell]
        y = alt.Y(f"{column}:Q", title=title, scale=alt.Scale(domain=[0, top], clamp=True))
        lines = (
            alt.Chart(alt.InlineData(mine))
            .mark_line(strokeWidth=1.2, opacity=0.7, color=colours(1)[0])
            .encode(x, y, detail="seed:N")
        )
        layers = [lines]
        if column == "preactivation":
            rule = alt.Chart(alt.InlineData([{"value": SATURATED}]))
            layers.append(rule.mark_rule(**DASHES).encode(y="value:Q"))
        shown = alt.TitleParams(cell, fontSize=12) if first else alt.TitleParams("")
        return alt.layer(*layers).properties(width=190, height=150 if first else 110, title=shown)

    top = math.ceil(max(row["preactivation"] for row in rows))
    columns = [
        alt.vconcat(
            panel(cell, "preactivation", "|output before tanh|" if i % 5 == 0 else None, top, True),
            panel(cell, "agreement", "critic's agreement" if i % 5 == 0 else None, 1.0, False),
            spacing=6,
        )
        for i, cell in enumerate(order)
    ]
    title = heading(
        "TD3 on Hopper, the paper's regime: with nothing changed every actor passes 2.65 within 14 updates",
        "one line a seed (11), the first two rounds; above the dashed line an action is "
        "beyond 0.99; agreement 1: the critic pushes an action component the same way in every state",
    )
    return alt.concat(*columns, columns=5, spacing=22).properties(title=title)


def early(results: Path) -> alt.Chart | None:
    """Share of seeds whose actor is inactive after 2,560 steps, with its interval, one row a change."""
    studies = ("early", "early-remedies", "early-others")
    rows = [row for study in studies for row in read(results / f"stability-{study}-seeds.csv")]
    again = {row["method"] for name in AGAIN for row in read(results / f"stability-{name}-seeds.csv")}
    kinds = {"run again on 22 new seeds": LIVING_AND_DEAD[0], "": VERDICTS["light"]["dead"]}
    found = [
        row
        | {
            "row": re.sub("[*`]", "", CHANGES[row["method"]]),
            "kind": next(iter(kinds)) if row["method"] in again else "",
        }
        for row in whole(rows)
    ]
    inactive = Counter(row["row"] for row in found if row["inactive"])
    # Nothing changed at the top, and below it what leaves the fewest inactive.
    found.sort(key=lambda row: (row["method"] != "plain", inactive[row["row"]]))
    title = heading(
        "Inactive actors after 2,560 steps, one change at a time",
        "TD3-GAIL, the paper's regime, Hopper-v5, 11 seeds; bars: exact 95% intervals\n"
        "dashed: with nothing changed; blue: run again on 22 new seeds (not shown)",
    )
    plain = [row["inactive"] for row in found if row["method"] == "plain"]
    return shares(found, kinds, title, level=sum(plain) / len(plain) if plain else None)


def early_learners(results: Path) -> alt.Chart | None:
    """The same for three learners in three environments, without and with the pre-activation penalty."""
    kinds = {"plain": "nothing changed", "preactivation-penalty": "pre-activation penalty"}
    found = []
    for row in whole(read(results / "stability-early-learners-seeds.csv")):
        learner, changed = row["method"].split(" ")
        name = f"{LEARNERS[learner]}, {ENVIRONMENTS[row['environment']]}"
        found.append(row | {"row": name, "kind": kinds[changed]})
    title = heading(
        "Inactive actors after 2,560 steps, every deterministic learner",
        "the paper's regime, 11 seeds each; bars: exact 95% intervals",
    )
    colour = dict(zip(kinds.values(), (VERDICTS["light"]["dead"], VERDICTS["light"]["healthy"]), strict=True))
    return shares(found, colour, title)


def direction(results: Path) -> alt.Chart | None:
    """Share of seeds stuck after 2,560 steps, by what an action costs in the reward, without the filter and with it."""
    found = slope_table.kept(results, slope_table.DIRECTION)
    rows = [
        {"row": name.replace("`", ""), "kind": "CREDO off" if "off" in name else "filter", "inactive": stuck}
        for method, (name, *_) in slope_table.DIRECTIONS.items()
        for stuck in (found.stuck_seeds(method) if found.windows else ())
    ]
    title = heading(
        "A pull to 0 saves as many as the filter; one away from 0 takes its effect away",
        "TD3-GAIL, over-trained discriminator, Hopper-v5, 22 seeds, 2,560 steps; bars: exact 95% intervals",
    )
    colour = {"CREDO off": VERDICTS["light"]["dead"], "filter": VERDICTS["light"]["healthy"]}
    return shares(rows, colour, title, "share of stuck seeds (at least 99% of their actions at ±1)")


def shares(
    found: Rows,
    kinds: dict[str, str],
    title: alt.TitleParams,
    axis: str = "share of seeds with an inactive actor",
    level: float | None = None,
) -> alt.Chart | None:
    """Share of seeds inactive at the end, a dot with its exact interval; one line a ``row``, one colour a ``kind``.

    ``level``: a share to draw a dashed line at.
    """
    places = [(row["row"], row.get("kind", "")) for row in found]
    seeds, dead = Counter(places), Counter(place for place, row in zip(places, found, strict=True) if row["inactive"])
    if not seeds:
        return None
    data = []
    for (row, kind), count in seeds.items():
        low, high = clopper_pearson(dead[row, kind], count)
        told = f"{dead[row, kind]} of {count}"
        data.append(
            {"row": row, "kind": kind, "share": dead[row, kind] / count, "low": low, "high": high, "told": told}
        )
    order = list(dict.fromkeys(entry["row"] for entry in data))
    y = alt.Y("row:N", title=None, sort=order, axis=alt.Axis(labelLimit=320))
    x = alt.X("low:Q", title=axis, scale=alt.Scale(domain=[0, 1]))
    scale = alt.Scale(domain=list(kinds), range=list(kinds.values()))
    legend = alt.Legend(title=None, orient="top") if len(kinds) > 1 and "" not in kinds else None
    beside = len(seeds) > len(order)
    offset = alt.YOffset("kind:N", sort=list(kinds)) if beside else alt.YOffsetValue(12 if len(data) < 30 else 8.5)
    chart = alt.Chart(alt.InlineData(data))
    interval = chart.mark_rule(strokeWidth=2, color="#9AA0A6").encode(x, alt.X2("high:Q"), y, offset)
    dot = chart.mark_point(filled=True, size=90, opacity=1).encode(
        alt.X("share:Q"), y, offset, alt.Color("kind:N", scale=scale, legend=legend)
    )
    text = chart.mark_text(align="left", dx=10, fontSize=11).encode(alt.XValue(520), y, offset, text="told:N")
    rules = alt.Chart(alt.InlineData([{"low": level}] if level is not None else [])).mark_rule(**DASHES).encode(x)
    return alt.layer(rules, interval, dot, text).properties(
        width=520, height=(24 if len(data) < 30 else 17) * len(data), title=title
    )


def robust(results: Path) -> alt.Chart | None:
    """Return as a share of the expert's over steps, one line a seed, a column an environment, a row a learner."""
    experts = {
        (row["method"], row["environment"]): row["expert_return"]
        for row in read(results / "stability-robust-seeds.csv")
        if row["method"] in LEARNERS
    }
    rows = [
        {
            "cell": (row["method"], row["environment"]),
            "seed": row["seed"],
            "step": row["step"] / 1000,
            "share": row["return"] / experts[row["method"], row["environment"]],
        }
        for row in read(results / "stability-robust-evaluations.csv")
        if row["method"] in LEARNERS and row["return"] != ""
    ]
    if not rows:
        return None
    last = 10 * math.ceil(max(row["step"] for row in rows) / 10)
    rule = alt.Chart(alt.InlineData([{"value": NEAR_THE_EXPERT}]))
    panels = []
    for index, (learner, environment) in enumerate(in_order(experts, LEARNERS)):
        mine = [{k: row[k] for k in ("seed", "step", "share")} for row in rows if row["cell"] == (learner, environment)]
        span = alt.Scale(domain=[0, last])
        ticks = alt.Axis(grid=False, values=[20, 40, 60, 80, 100])
        x = alt.X("step:Q", title="environment steps (thousands)", scale=span, axis=ticks)
        title = "share of the expert's return" if index % 3 == 0 else None
        y = {"title": title, "scale": alt.Scale(domain=[0, 1.1], clamp=True)}
        data = alt.Chart(alt.InlineData(mine)).encode(x)
        lines = data.mark_line(strokeWidth=1.2, opacity=0.55, color=colours(1)[0]).encode(
            alt.Y("share:Q", **y), detail="seed:N"
        )
        middle = data.mark_line(strokeWidth=2.5, color=VERDICTS["light"]["dead"]).encode(alt.Y("median(share):Q", **y))
        shown = alt.TitleParams(f"{LEARNERS[learner]}, {ENVIRONMENTS[environment]}", fontSize=12)
        dashes = rule.mark_rule(**DASHES).encode(y="value:Q")
        panels.append(alt.layer(lines, middle, dashes).properties(width=250, height=170, title=shown))
    title = heading(
        "The presets robust: of each learner one setting for all",
        "one line a seed, thick: their median; five demonstrated episodes; dashed: 0.9 of the expert's return",
    )
    return alt.concat(*panels, columns=3, spacing=22).properties(title=title)


def critics(results: Path) -> alt.Chart | None:
    """Mean Q over its reference, one line a seed: DDPG and TD3 in the paper's regime and under robust."""
    columns = {
        "DDPG, the paper's regime": (critics_table.BED, "ddpg plain"),
        "TD3, the paper's regime": (critics_table.BED, "td3 plain"),
        "DDPG, robust": (critics_table.ROBUST, "ddpg"),
        "TD3, robust": (critics_table.ROBUST, "td3"),
    }
    panels = []
    for environment in ENVIRONMENTS:
        for index, (name, (study, method)) in enumerate(columns.items()):
            found = critics_table.shares(results, study, (method, environment))
            if not found:
                return None
            x = alt.X("step:Q", title="environment steps (thousands)", axis=alt.Axis(grid=False, tickCount=5))
            title = "mean Q / reference" if index == 0 else None
            scale = alt.Scale(type="log", domain=[0.1, 1000], clamp=True)
            y = alt.Y("share:Q", title=title, scale=scale, axis=alt.Axis(values=[0.1, 1, 10, 100, 1000], format="~g"))
            kind = alt.Color(
                "kind:N", title=None, scale=alt.Scale(domain=["not dead", "dead"], range=["#0072B2", "#999999"])
            )
            lines = alt.Chart(alt.InlineData(found)).mark_line(strokeWidth=1.2, opacity=0.7)
            dashes = alt.Chart(alt.InlineData([{"value": 1}])).mark_rule(**DASHES)
            shown = alt.TitleParams(f"{name}, {ENVIRONMENTS[environment]}", fontSize=12)
            layers = alt.layer(lines.encode(x, y, kind, detail="seed:N"), dashes.encode(y="value:Q"))
            panels.append(layers.properties(width=190, height=150, title=shown))
    title = heading(
        "Mean Q over its reference",
        "one line a seed; dashed: the reference, a critic without error that learns from the same rewards; "
        "below 0.1 drawn at 0.1, negative Q left out; the paper's regime to 25,000 steps, robust to 100,000",
    )
    return alt.concat(*panels, columns=4, spacing=18).properties(title=title)


def longer(results: Path) -> alt.Chart | None:
    """Return as a share of the expert's over steps, one line a seed: TD3 on Hopper in the paper's regime, by what had
    become of a seed when it was first judged, and under robust."""
    dead = {
        row["seed"]
        for row in read(results / f"{bed_table.LONGER}-at-{bed_table.JUDGED}-seeds.csv")
        if row["verdict"] == "dead" and row["environment"] == "hopper" and row["method"] == "td3"
    }
    kinds = ("not dead", f"not dead, below {LOW} throughout")
    panels = []
    for name, study, gone in (("the paper's regime", bed_table.LONGER, dead), ("robust", "stability-robust", set())):
        told = {kind: read(results / f"{study}-{kind}.csv") for kind in ("seeds", "evaluations")}
        seeds, rows = (
            [row for row in found if row["method"] == "td3" and row["environment"] == "hopper"]
            for found in told.values()
        )
        if not seeds:
            return None
        expert = seeds[0]["expert_return"]
        low = {row["seed"]: kinds[row["best_return"] < LOW * expert] for row in seeds}
        data = [
            {
                "seed": row["seed"],
                "step": row["step"] / 1000,
                "share": row["return"] / expert,
                "kind": "dead at 25,000" if row["seed"] in gone else low[row["seed"]],
            }
            for row in rows
            if row["return"] != ""
        ]
        x = alt.X("step:Q", title="environment steps (thousands)", axis=alt.Axis(grid=False))
        y = alt.Y("share:Q", title="share of the expert's return", scale=alt.Scale(domain=[0, 1.1], clamp=True))
        scale = alt.Scale(domain=[*kinds, "dead at 25,000"], range=[LIVING_AND_DEAD[0], "#222222", LIVING_AND_DEAD[1]])
        kind = alt.Color("kind:N", title=None, scale=scale)
        lines = alt.Chart(alt.InlineData(data)).mark_line(strokeWidth=1.4, opacity=0.75)
        shown = alt.TitleParams(f"TD3, Hopper-v5, {name}", fontSize=12)
        panels.append(lines.encode(x, y, kind, detail="seed:N").properties(width=380, height=220, title=shown))
    title = heading(
        "TD3 on Hopper: the dead at 25,000 steps stay dead; most others learn",
        "one line a seed, 11 seeds a side; evaluations of 5 episodes",
    )
    return alt.hconcat(*panels, spacing=22).resolve_scale(x="shared").properties(title=title)


def remedies(results: Path) -> alt.Chart | None:
    """What seeds come to in 25,000 steps, at best and at the end, one row a change."""
    cells = penalty_table.measured(results, penalty_table.REMEDIES)
    if not cells:
        return None
    dead = {method: sum(row["verdict"] == "dead" for row in cell.seeds) for method, cell in cells.items()}
    # Nothing changed at the top, and below it what leaves the fewest dead.
    order = sorted(cells, key=lambda method: (method != "plain", dead[method], -sum(cells[method].ends)))
    names = {method: re.sub("[*`]", "", bed_table.REMEDIED[method]) for method in order}
    data = [
        {"row": names[method], "share": share, "kind": "dead" if row["verdict"] == "dead" else "not dead", "of": of}
        for method in order
        for row, end in zip(cells[method].seeds, cells[method].ends, strict=True)
        for of, share in (("at best", row["best_return"] / row["expert_return"]), ("at the end", end))
    ]
    counts = [{"row": names[method], "count": f"{dead[method]} of {len(cells[method].seeds)} dead"} for method in order]
    rows = alt.Y("row:N", title=None, sort=list(names.values()), axis=alt.Axis(labelLimit=400, grid=True))
    scale = alt.Scale(type="sqrt", domain=[0, 1.05], clamp=True)
    ticks = alt.Axis(values=[0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9], format="~g")
    x = alt.X("share:Q", title="share of the expert's return (square-root axis)", scale=scale, axis=ticks)
    kinds = alt.Scale(domain=["not dead", "dead"], range=LIVING_AND_DEAD)
    shapes = alt.Scale(domain=["at the end", "at best"], range=["circle", "M0,-1V1"])
    colour = alt.Color("kind:N", title="verdict", scale=kinds)
    beside = alt.YOffset("of:N", sort=["at best", "at the end"], scale=alt.Scale(paddingOuter=0.6))
    seeds = alt.Chart(alt.InlineData(data)).mark_point(opacity=0.75, size=45, strokeWidth=1.6)
    dots = seeds.encode(x, rows, beside, colour, shape=alt.Shape("of:N", title="evaluation", scale=shapes))
    said = (
        alt.Chart(alt.InlineData(counts)).mark_text(align="left", dx=8).encode(x=alt.value(600), y=rows, text="count:N")
    )
    title = heading(
        "What keeps actors alive does not make them good",
        "TD3-GAIL, the paper's regime, Hopper-v5, 25,000 steps, 11 seeds; "
        "the end: the mean of its last three evaluations; below 0 drawn at 0",
    )
    return alt.layer(dots, said).properties(width=600, height=30 * len(order), title=title)


FIGURES = {
    "stability-first-updates": first_updates,
    "stability-early": early,
    "stability-early-learners": early_learners,
    "stability-direction": direction,
    "stability-critics": critics,
    "stability-longer": longer,
    "stability-remedies": remedies,
    "stability-robust": robust,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results/stability"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        chart = draw(options.results)
        if chart is None:
            print(f"{name}: nothing to draw in {options.results}")
            continue
        specification = json.dumps(chart.to_dict() | {"config": STYLE})
        png = vl_convert.vegalite_to_png(specification, vl_version=vega_lite_version(), scale=PNG_SCALE)
        (options.out / f"{name}.png").write_bytes(png)
        print(f"written: {options.out / name}.png")


if __name__ == "__main__":
    main()
