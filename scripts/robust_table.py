"""The table of docs/stability.md on the preset robust, from the small files that keep_study.py wrote."""

from __future__ import annotations

from pathlib import Path

from kept_files import ENVIRONMENTS, LEARNERS, NEAR_THE_EXPERT, Rows, markdown, read

HEADER = (
    "",
    "steps",
    "dead",
    "inactive at the end",
    "kept policy at 0.9",
    "its share of the expert's return",
    "last evaluation at 0.9 (least)",
    "at 0.9 first: median, last seed",
)
NAMES = LEARNERS | {"bc": "cloning alone", "ppo": "PPO", "td3-without-cloning": "TD3 without cloning"}


def cell(seeds: Rows, evaluations: Rows) -> list[str]:
    """One row of the table: a method in an environment."""
    method, environment, expert = (seeds[0][name] for name in ("method", "environment", "expert_return"))
    kept = [row["kept_return"] / expert for row in seeds if row["kept_return"] != ""]
    first, last = [], []
    for row in seeds:
        mine = [e for e in evaluations if e["seed"] == row["seed"] and e["return"] != ""]
        first.append(min((e["step"] for e in mine if e["return"] >= NEAR_THE_EXPERT * expert), default=float("inf")))
        last += [e["return"] / expert for e in mine[-1:]]
    of, there = f"of {len(seeds)}", [sorted(first)[len(first) // 2], max(first)]
    trained = method != "bc"
    return [
        f"{NAMES.get(method, method)}, {ENVIRONMENTS[environment]}",
        f"{round(min(row['steps'] for row in seeds), -3):,.0f}" if trained else "none",
        f"{sum(row['verdict'] == 'dead' for row in seeds)} {of}",
        f"{sum(row['inactive'] for row in seeds):.0f} {of}" if trained else "-",
        f"{sum(share >= NEAR_THE_EXPERT for share in kept)} of {len(kept)}",
        f"{min(kept):.2f} to {max(kept):.2f}" if kept else "-",
        f"{sum(share >= NEAR_THE_EXPERT for share in last)} {of} ({min(last):.2f})" if last else "-",
        ", ".join("not yet" if step == float("inf") else f"{round(step, -3):,.0f}" for step in there)
        if trained
        else "",
    ]


def table(results: Path) -> list[str]:
    """Its lines, in Markdown."""
    seeds, evaluations = (read(results / f"stability-robust-{kind}.csv") for kind in ("seeds", "evaluations"))
    cells: dict[tuple[str, str], Rows] = {}
    for row in seeds:
        cells.setdefault((row["method"], row["environment"]), []).append(row)
    found = []
    for key, rows in cells.items():
        mine = [row for row in evaluations if (row["method"], row["environment"]) == key]
        found.append(cell(rows, mine))
    return markdown(HEADER, found)
