"""Table of docs/stability/robust.md: the preset robust, from the files of keep_study.py."""

from __future__ import annotations

import itertools
import json
from math import isinf
from pathlib import Path
from statistics import mean, median_high

import numpy as np
from early_tables import Cells, inactive
from kept_files import ENVIRONMENTS, LEARNERS, NEAR_THE_EXPERT, Rows, frozen, in_order, markdown, read

from credo.diagnostics.divergence import DIVERGED
from credo.studies.paired import signed_rank_test

HEADER = (
    "",
    "steps",
    "diverged",
    "inactive at the end",
    "kept policy at 0.9",
    "its share of the expert's return",
    "its episodes below half",
    "last evaluation at 0.9 (least)",
    "at 0.9 first: median, last seed",
    "below it again (most in a row)",
)
COSTS = (
    "Hopper-v5",
    "steps to 0.9: median",
    "last of 11",
    "processor time of a step, ms (of TD3's)",
    "minutes to 0.9: median",
    "last of 11",
)
NAMES = LEARNERS | {
    "bc": "cloning alone",
    "ppo": "PPO",
    "td3-without-cloning": "TD3 without cloning",
    "td3-without-credo": "TD3 without CREDO",
}
Curves = list[list[tuple[float, float]]]
"""Of each seed, the steps of its evaluations and the shares of the expert's return."""


def curve(seed: float, evaluations: Rows, expert: float) -> list[tuple[float, float]]:
    """Of each evaluation of a seed, the step and the share of the expert's return; 0 where it was frozen."""
    mine = [row for row in evaluations if row["seed"] == seed]
    return [(row["step"], 0.0 if row["return"] == "" else row["return"] / expert) for row in mine]


def curves_of(evaluations: Rows, cells: Cells, method: str, environment: str) -> Curves:
    mine = [row for row in evaluations if (row["method"], row["environment"]) == (method, environment)]
    # Seeds are paired in this order, whatever that of the files.
    seeds = sorted(cells[method, environment], key=lambda row: row["seed"])
    return [curve(row["seed"], mine, row["expert_return"]) for row in seeds]


def means(side: Curves) -> list[float]:
    return [mean(share for _, share in one) for one in side]


def there(side: Curves) -> tuple[int, int]:
    """How many seeds are near the expert in the last evaluation, and in any."""
    last = sum(one[-1][1] >= NEAR_THE_EXPERT for one in side)
    return last, sum(max(share for _, share in one) >= NEAR_THE_EXPERT for one in side)


def first_there(shares: list[tuple[float, float]]) -> float:
    """The step of the first evaluation near the expert; infinite without any."""
    return min((step for step, share in shares if share >= NEAR_THE_EXPERT), default=float("inf"))


def longest_relapse(shares: list[tuple[float, float]]) -> int:
    """The most evaluations in a row that were not near the expert, after the first that was."""
    after = [share < NEAR_THE_EXPERT for step, share in shares if step > first_there(shares)]
    return max((sum(run) for low, run in itertools.groupby(after) if low), default=0)


def cell(seeds: Rows, evaluations: Rows, played: Rows) -> list[str]:
    """One row of the table: a method in an environment; ``played``: its kept policies on fresh starts."""
    method, environment, expert = (seeds[0][name] for name in ("method", "environment", "expert_return"))
    of = f"of {len(seeds)}"
    kept = [row["mean"] / expert for row in played if row["mean"] != ""]
    low, episodes = (int(sum(row[name] or 0 for row in played)) for name in ("below_half", "episodes"))
    curves = [curve(row["seed"], evaluations, expert) for row in seeds]
    last = [shares[-1][1] for shares in curves]
    told = [
        f"{sum(share >= NEAR_THE_EXPERT for share in kept)} of {len(kept)}",
        f"{min(kept):.2f} to {max(kept):.2f}" if kept else "-",
        f"{low} of {episodes}",
        f"{sum(share >= NEAR_THE_EXPERT for share in last)} {of} ({min(last):.2f})",
    ]
    name, diverged = f"{NAMES.get(method, method)}, {ENVIRONMENTS[environment]}", diverged_of(seeds)
    if method == "bc":
        return [name, "none", diverged, "-", *told, "", ""]
    there = [first_there(shares) for shares in curves]
    steps = ["not yet" if isinf(step) else f"{round(step, -3):,.0f}" for step in (median_high(there), max(there))]
    relapses = [longest_relapse(shares) for shares in curves]
    back = f"{sum(count > 0 for count in relapses)} {of} ({max(relapses)})"
    done = min(row["steps"] for row in seeds if not frozen(row))
    return [name, f"{round(done, -3):,.0f}", diverged, f"{inactive(seeds)} {of}", *told, ", ".join(steps), back]


def costs(results: Path) -> list[str]:
    """Of each method on Hopper-v5: steps to the expert, and processor time to it, by the time of a step that
    ``python -m benchmarks.robust`` measured."""
    told = json.loads((results.parent / "benchmark" / "robust.json").read_text())["microseconds"]
    rows = [row for row in read(results / "stability-robust-evaluations.csv") if row["environment"] == "hopper"]
    seeds = [row for row in read(results / "stability-robust-seeds.csv") if row["environment"] == "hopper"]
    lines = []
    for method in (name for name in told if name in NAMES):
        mine = [row for row in rows if row["method"] == method]
        there = [
            first_there(curve(row["seed"], mine, row["expert_return"])) for row in seeds if row["method"] == method
        ]
        if there and not isinf(max(there)):
            steps = median_high(there), max(there)
            counted = (f"{round(step, -3):,.0f}" for step in steps)
            cost = f"{told[method] / 1e3:.2f} ({told[method] / told['td3']:.2f})"
            minutes = (f"{step * told[method] / 60e6:.1f}" for step in steps)
            lines.append([NAMES[method], *counted, cost, *minutes])
    return markdown(COSTS, lines)


def of_pairs(differences: list[float]) -> float:
    """The signed-rank test of differences between pairs."""
    return signed_rank_test(np.array(differences), np.zeros(len(differences)))


def diverged_of(seeds: Rows) -> str:
    return f"{sum(row['verdict'] in DIVERGED for row in seeds)} of {len(seeds)}"


def table(results: Path) -> list[str]:
    """Its lines, in Markdown."""
    kinds = ("seeds", "evaluations", "kept")
    seeds, evaluations, played = (read(results / f"stability-robust-{kind}.csv") for kind in kinds)
    cells: dict[tuple[str, str], Rows] = {}
    for row in seeds:
        cells.setdefault((row["method"], row["environment"]), []).append(row)
    found = []
    for key in in_order(cells, NAMES):
        mine, theirs = (
            [row for row in rows if (row["method"], row["environment"]) == key] for rows in (evaluations, played)
        )
        found.append(cell(cells[key], mine, theirs))
    return markdown(HEADER, found)
