"""Table of docs/stability/longer.md: does the penalty alone arrive, given time? From the files of keep_study.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

import numpy as np
from bed_table import REMEDIED
from credo_table import of_dead
from critics_table import curves, ratios
from early_tables import cells_of, rounded
from kept_files import NEAR_THE_EXPERT, Rows, markdown, read, whole

from credo.studies.counts import holm

STUDY, TREATED = "stability-penalty-longer", "preactivation-penalty"
LAST = 3
"""Evaluations that are the end of a seed."""
HEADER = (
    "changed",
    "steps",
    "dead",
    "end, mean share of the expert's return: mean of seeds (least to most)",
    "best evaluation, share: median (least to most)",
    "at 0.9 in any",
    "kept policy at 0.9 in the evaluation that chose it",
    "Q / due, of those not dead: median (most)",
    "p of dead, of the end, alone / Holm",
)


def ends(seeds: Rows, evaluations: Rows) -> list[float]:
    """Of every seed the mean of its last evaluations, as a share of the expert's return."""
    found = []
    for seed in seeds:
        place = (seed["method"], seed["environment"], seed["seed"])
        mine = [row for row in evaluations if (row["method"], row["environment"], row["seed"]) == place]
        last = sorted(mine, key=lambda row: row["step"])[-LAST:]
        found.append(mean(row["return"] for row in last) / seed["expert_return"])
    return found


def exchanged(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the difference of means: the share of all exchanges of seeds that differ as much."""
    values = np.array([*first, *second])
    chosen = np.array(list(itertools.combinations(range(len(values)), len(first))))
    means = values[chosen].mean(axis=1)
    # The other side's mean follows from this one's.
    apart = abs(means - values.mean())
    return float((apart >= abs(np.mean(first) - values.mean()) - 1e-12).mean())


def table(results: Path) -> list[str]:
    """Nothing changed, and the penalty on the same seeds."""
    cells = {method: whole(rows) for (method, _), rows in cells_of(results, STUDY).items()}
    evaluations, found = read(results / f"{STUDY}-evaluations.csv"), curves(results, STUDY)
    at_end = {method: ends(rows, evaluations) for method, rows in cells.items()}
    promised = {method: of for (method, _), of in found.items()}
    told = []
    for method, rows in sorted(cells.items(), reverse=True, key=lambda cell: cell[0] == "plain"):
        bests = [row["best_return"] / row["expert_return"] for row in rows]
        kept = [row["kept_return"] / row["expert_return"] for row in rows]
        times = ratios(rows, promised[method])
        tested = ""
        if method == TREATED and "plain" in cells:
            alone = [of_dead(rows, cells["plain"]), exchanged(at_end[method], at_end["plain"])]
            pairs = zip(map(rounded, alone), map(rounded, holm(alone)), strict=True)
            tested = ", ".join(f"{one} / {both}" for one, both in pairs)
        told.append(
            [
                REMEDIED[method],
                f"{max(row['steps'] for row in rows):,.0f}",
                f"{sum(row['verdict'] == 'dead' for row in rows)} of {len(rows)}",
                f"{mean(at_end[method]):.2f} ({min(at_end[method]):.2f} to {max(at_end[method]):.2f})",
                f"{median(bests):.2f} ({min(bests):.2f} to {max(bests):.2f})",
                f"{sum(best >= NEAR_THE_EXPERT for best in bests)} of {len(rows)}",
                f"{sum(share >= NEAR_THE_EXPERT for share in kept)} of {len(rows)}",
                f"{median(times):.1f} ({max(times):.1f})",
                tested,
            ]
        )
    return markdown(HEADER, told)
