"""The table of docs/stability.md on early warning, from the small files that keep_study.py wrote.

A diagnostic is read at a fixed step, of the seeds alone that are not dead by then and of cells with seeds of both
fates. Its *rank* is the chance that, of two seeds of one cell, the one that dies later has the larger value (1/2: it
tells nothing); settings that are more deadly than others cannot raise it. p is of a permutation test within cells.
Precision and recall are of the threshold that is best on all other seeds; lead: median steps from the reading to the
death of those warned of rightly.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kept_files import Rows, markdown, read, whole

from credo.studies.counts import holm
from credo.studies.foretelling import leave_one_out
from credo.studies.ranks import rank_p_value

STUDIES = ("stability-early", "stability-early-33", "stability-early-remedies", "stability-early-learners")
STEPS = (64, 128, 256, 512, 1024)
DIAGNOSTICS = {
    "actor_gradient_max": "largest gradient of the actor",
    "actor_preactivation": "output before tanh",
    "action_saturation": "share of saturated actions",
    "q_action_slope": "critic's slope in the action",
    "q_mean": "Q",
    "critic_gradient_max": "largest gradient of the critics",
    "discriminator_action_slope": "discriminator's slope in the action",
    "expert_probability_expert": "P(expert) of the expert's",
    "expert_probability_policy": "P(expert) of the policy's",
    "outlier_share": "share of outliers",
}
SHOWN = 3
HEADER = (
    "read at step",
    "seeds alive",
    "die later",
    "read",
    "rank",
    "p, alone / Holm",
    "warned",
    "precision",
    "recall",
    "lead (steps)",
)
Place = tuple[str, str, float]


class Alive(NamedTuple):
    """The seeds that are not dead at a step, of cells where some die later and some do not."""

    cell: np.ndarray
    """[n] int."""
    dead_from: np.ndarray
    """[n] the step that each is dead from; infinite where it never is."""
    values: np.ndarray
    """[diagnostics, n]: in the last window of rounds that ends by then."""

    @property
    def dies(self) -> np.ndarray:
        """[n] bool."""
        return np.isfinite(self.dead_from)


def known_by(step: int, rows: Rows) -> bool:
    """Whether a seed has learned anything by then."""
    return any(row["step"] <= step and row["actor_preactivation"] != "" for row in rows)


def alive_at(step: int, fates: dict[Place, float], curves: dict[Place, Rows]) -> Alive:
    alive = [place for place, dead_from in fates.items() if dead_from > step and known_by(step, curves[place])]
    seen: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for place in alive:
        seen[place[:2]].add(np.isfinite(fates[place]))
    cells = [cell for cell, kinds in seen.items() if len(kinds) == 2]
    alive = [place for place in alive if place[:2] in cells]
    last = [[row for row in curves[place] if row["step"] <= step][-1] for place in alive]
    values = [[row[name] if row[name] != "" else np.nan for row in last] for name in DIAGNOSTICS]
    return Alive(
        np.array([cells.index(place[:2]) for place in alive], int),
        np.array([fates[place] for place in alive], float),
        np.array(values, float).reshape(len(DIAGNOSTICS), len(alive)),
    )


def rows_at(step: int, alive: Alive) -> list[list[Any]]:
    """The diagnostics that tell most at a step."""
    generator = np.random.default_rng(step)
    known = [i for i, row in enumerate(alive.values) if not np.isnan(row).all()]
    found = [rank_p_value(alive.cell, alive.dies, alive.values[i], generator) for i in known]
    corrected = holm([p for _, p in found])
    warned, _ = leave_one_out(alive.values[known], alive.dies)
    best = sorted(range(len(known)), key=lambda i: (found[i][1], -abs(found[i][0] - 0.5)))[:SHOWN]
    dying, names = int(alive.dies.sum()), list(DIAGNOSTICS.values())
    rows = []
    for place, i in enumerate(best):
        rightly = warned[i] & alive.dies
        right = int(rightly.sum())
        counts = (f"{step:,}", len(alive.dies), f"{dying} ({dying / len(alive.dies):.2f})") if place == 0 else ("",) * 3
        (rank, p), given = found[i], int(warned[i].sum())
        share = (f"{right / given:.2f}", f"{right / dying:.2f}") if given else ("-", "0.00")
        lead = f"{np.median(alive.dead_from[rightly]) - step:,.0f}" if right else "-"
        rows.append([*counts, names[known[i]], f"{rank:.2f}", f"{p:.2g} / {corrected[i]:.2g}", given, *share, lead])
    return rows


def table(results: Path) -> list[str]:
    """Its lines, in Markdown."""
    fates: dict[Place, float] = {}
    curves: dict[Place, Rows] = defaultdict(list)
    for study in STUDIES:
        for row in whole(read(results / f"{study}-seeds.csv")):
            # Studies share runs: a seed counts once.
            fates.setdefault(place_of(study, row), row["step"] if row["verdict"] == "dead" else np.inf)
        mine: dict[Place, Rows] = defaultdict(list)
        for row in read(results / f"{study}-rounds.csv"):
            mine[place_of(study, row)].append(row)
        curves |= {place: rows for place, rows in mine.items() if place not in curves}
    rows = []
    for step in STEPS:
        alive = alive_at(step, fates, curves)
        if alive.dies.any():
            rows += rows_at(step, alive)
    return markdown(HEADER, rows)


def place_of(study: str, row: dict[str, Any]) -> Place:
    """A seed's cell and number; the same setting in two studies is one cell."""
    method, environment = row["method"], row["environment"]
    if study == "stability-early-learners":
        method = method.removeprefix("td3 ") if environment == "hopper" else method
        environment = "Hopper-v5" if environment == "hopper" else environment
    return method, environment, row["seed"]
