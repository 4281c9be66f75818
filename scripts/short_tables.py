"""The tables of docs/stability.md itself: what the pages beside it hold cell by cell, in a few rows."""

from __future__ import annotations

import json
from collections import Counter
from math import isinf
from pathlib import Path
from statistics import median

from bed_table import STUDY as BED
from critics_table import Window, curves, ratios
from early_tables import cells_of, inactive
from kept_files import ENVIRONMENTS, LEARNERS, NEAR_THE_EXPERT, Rows, frozen, markdown, read, whole
from robust_table import NAMES, curves_of, diverged_of, first_there

ROBUST = "stability-robust"
SHORT = {name: full.removesuffix("-v5") for name, full in ENVIRONMENTS.items()}
REGIME = (
    "the paper's regime",
    "inactive at step 2,560",
    "the same, with the penalty",
    "at 25,000 steps: dead",
    "below 0.1 of the expert at every evaluation, not dead",
    "above 0.1 at the end (most)",
    "mean Q over its reference: " + ", ".join(SHORT.values()),
)
ARRIVES = (
    "",
    "steps",
    "diverged",
    "kept policy at 0.9 of the expert",
    "its share of the expert's return, least to most",
    "last evaluation at 0.9",
    "step by which every seed had reached 0.9: " + ", ".join(SHORT.values()),
)

COSTS = ("study", "what", "cells stored", "minutes", "minutes shared with a study above")
STUDIES = {
    "stability-early": "TD3 on Hopper, one change at a time, 2,560 steps",
    "stability-early-remedies": "more changes",
    "stability-early-others": "what these two had left out",
    "stability-early-33": "the penalty, 22 new seeds",
    "stability-early-again-33": "six other changes, 22 new seeds",
    "stability-early-learners": "three learners, three environments, with the penalty and without",
    "stability-bed": "the same to 25,000 steps, and CREDO",
    "stability-bed-longer": "TD3 on Hopper without CREDO, on from 25,000 steps",
    "stability-bed-dead": "the dead of the other cells of `stability-bed`, one a cell, anew to 100,000 steps",
    "stability-penalty-longer": "TD3 on Hopper to 100,000 steps, the penalty alone beside nothing",
    "stability-penalty-with": "TD3 on Hopper to 25,000 steps, one part of `robust` beside the penalty",
    "stability-penalty-without": "the same, all parts but the cloning loss, less one at a time",
    "stability-two-parts": "TD3 on three environments to 25,000 steps, two parts of `robust` and no penalty",
    "stability-input-offset": "the same to 2,560 steps, with observations shifted and divided, new seeds",
    "stability-explosion": "DDPG on Walker2d, one change at a time, 25,000 steps",
    "stability-remedies": "TD3 on Hopper, one change at a time, 25,000 steps",
    "stability-credo-early": "CREDO under an over-trained discriminator, 2,560 steps",
    "stability-credo-early-33": "the same, new seeds",
    "stability-credo-slope-33": "the size of the reward",
    "stability-credo-direction-33": "its direction",
    "stability-credo": "CREDO to 25,000 steps, in the paper's schedule and over-trained",
    "stability-credo-alive": "the same with the penalty",
    "stability-credo-33": "the same, new seeds",
    "stability-robust": "the presets `robust`, PPO, cloning alone, TD3 without CREDO",
    "stability-robust-credo": "`robust` without the gradient penalty, CREDO off and on",
    "stability-robust-parts": "`robust`, one part at a time as in `fast`, or a discriminator that never learns",
}


ANEW = ("stability-bed-dead",)
"""What shares no run, though its settings are another study's."""


def costs(results: Path) -> list[str]:
    """A study a row: what its cells took; a run that several studies share stands in each, and is told of."""
    seen: dict[str, float] = {}
    told = []
    for study, what in STUDIES.items():
        path = results / f"{study}.json"
        if not path.exists():
            continue
        cells = json.loads(path.read_text()).values()
        # A run that one study goes on with shares what the other took.
        known = {} if study in ANEW else seen
        shared = [min(known[cell["id"]], cell["wall_seconds"]) for cell in cells if cell["id"] in known]
        known |= {cell["id"]: cell["wall_seconds"] for cell in cells}
        minutes = sum(cell["wall_seconds"] for cell in cells) / 60
        told.append([f"`{study}`", what, len(cells), f"{minutes:,.0f}", f"{sum(shared) / 60:,.0f}" if shared else ""])
    return markdown(COSTS, told)


def regime(results: Path) -> list[str]:
    """A learner of the paper's regime a row, over the environments that have been run."""
    early, bed, found = cells_of(results, "stability-early-learners"), cells_of(results, BED), curves(results, BED)
    told = []
    for learner, full in LEARNERS.items():
        first = [
            [row for name in SHORT for row in early.get((f"{learner} {change}", name), [])]
            for change in ("plain", "preactivation-penalty")
        ]
        if not first[0]:
            continue
        cells = {name: whole(bed[f"{learner} plain", name]) for name in SHORT if (f"{learner} plain", name) in bed}
        later = [""] * 4
        if rows := [row for mine in cells.values() for row in mine]:
            kinds = Counter(row["verdict"] for row in rows)
            ends = [row["last_return"] / row["expert_return"] for row in rows]
            of = f"of {len(rows)}" + (
                "" if len(cells) == len(SHORT) else f" ({', '.join(SHORT[name] for name in cells)})"
            )
            later = [
                f"{kinds['dead']} {of}",
                f"{kinds['failed']} {of}",
                f"{sum(end > 0.1 for end in ends)} {of} ({max(ends):.2f})",
                ", ".join(
                    _overshoot(cells[name], found[f"{learner} plain", name]) if name in cells else "-" for name in SHORT
                ),
            ]
        told.append([full, *(f"{inactive(mine)} of {len(mine)}" for mine in first), *later])
    return markdown(REGIME, told)


def _overshoot(seeds: Rows, found: dict[float, list[Window]]) -> str:
    """Mean Q over its reference at the end, the median of those that are not dead."""
    ratio = median(ratios(seeds, found))
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def arrives(results: Path) -> list[str]:
    """A method a row, over the environments that have been run."""
    evaluations, played = (read(results / f"{ROBUST}-{kind}.csv") for kind in ("evaluations", "kept"))
    cells = cells_of(results, ROBUST)
    methods = [name for name in NAMES if name in LEARNERS or name in ("ppo", "bc")]
    told = []
    for method in methods:
        mine = {name: cells[method, name] for name in SHORT if (method, name) in cells}
        if not mine:
            continue
        expert = {name: rows[0]["expert_return"] for name, rows in mine.items()}
        seeds = [row for rows in mine.values() for row in rows]
        kept = [
            row["mean"] / expert[row["environment"]] for row in played if row["method"] == method and row["mean"] != ""
        ]
        shares = {name: curves_of(evaluations, cells, method, name) for name in mine}
        last = [one[-1][1] for each in shares.values() for one in each]
        steps = [min(row["steps"] for row in rows if not frozen(row)) for rows in mine.values()]
        there = {name: max(first_there(one) for one in each) for name, each in shares.items()}
        told.append(
            [
                NAMES[method],
                "none" if method == "bc" else _span(steps),
                diverged_of(seeds),
                f"{sum(share >= NEAR_THE_EXPERT for share in kept)} of {len(kept)}",
                f"{min(kept):.2f} to {max(kept):.2f}",
                f"{sum(share >= NEAR_THE_EXPERT for share in last)} of {len(last)}",
                "" if method == "bc" else ", ".join(_reached(there.get(name)) for name in SHORT),
            ]
        )
    return markdown(ARRIVES, told)


def _span(steps: list[float]) -> str:
    least, most = (f"{round(step, -3):,.0f}" for step in (min(steps), max(steps)))
    return least if least == most else f"{least} to {most}"


def _reached(step: float | None) -> str:
    if step is None:
        return "-"
    return "not yet" if isinf(step) else f"{round(step, -3):,.0f}"
