"""Table of docs/stability/first-steps.md: early warning, from the files of keep_study.py.

A diagnostic is read at a fixed step, of the seeds alone that are not dead by then and of cells with seeds of both
fates. Its *rank* is the chance that, of two seeds of one cell, the one that dies later has the larger value (1/2: it
tells nothing); settings that are more deadly than others cannot raise it. p: the readings of whole seeds exchanged, in
all cells at once. Precision and recall are of the threshold that is best on all other seeds; lead: median steps from
the reading to the death of those warned of rightly.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kept_files import Rows, markdown, read, whole

from credo.studies.counts import holm
from credo.studies.foretelling import leave_one_out
from credo.studies.ranks import PERMUTATIONS, rank_p_value

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
SEEDS = 11
"""Those that every study has."""
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
    """The seeds of cells where, of those that are not dead at a step, some die later and some do not."""

    cell: np.ndarray
    """[n] int."""
    seed: np.ndarray
    """[n] int: its number."""
    alive: np.ndarray
    """[n] bool."""
    dead_from: np.ndarray
    """[n] the step that each is dead from; infinite where it never is."""
    values: np.ndarray
    """[diagnostics, n]: in the last window of rounds that ends by then; NaN of the dead."""

    @property
    def dies(self) -> np.ndarray:
        """[n] bool."""
        return np.isfinite(self.dead_from)


def known_by(step: int, rows: Rows) -> bool:
    """Whether a seed has learned anything by then."""
    return any(row["step"] <= step and row["actor_preactivation"] != "" for row in rows)


def read_at(step: int, rows: Rows) -> list[float]:
    """A seed's diagnostics."""
    last = [row for row in rows if row["step"] <= step][-1]
    return [last[name] if last[name] != "" else np.nan for name in DIAGNOSTICS]


def alive_at(step: int, fates: dict[Place, float], curves: dict[Place, Rows]) -> Alive:
    alive = {place for place, dead_from in fates.items() if dead_from > step and known_by(step, curves[place])}
    seen: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for place in fates:
        if place in alive:
            seen[place[:2]].add(np.isfinite(fates[place]))
    cells = [cell for cell, kinds in seen.items() if len(kinds) == 2]
    places = [place for place in fates if place[:2] in cells]
    unknown = [np.nan] * len(DIAGNOSTICS)
    values = [read_at(step, curves[place]) if place in alive else unknown for place in places]
    return Alive(
        np.array([cells.index(place[:2]) for place in places], int),
        np.array([place[2] for place in places], int),
        np.array([place in alive for place in places], bool),
        np.array([fates[place] for place in places], float),
        np.array(values, float).reshape(len(places), len(DIAGNOSTICS)).T,
    )


def rows_at(step: int, read: Alive) -> list[list[Any]]:
    """The diagnostics that tell most at a step."""
    generator = np.random.default_rng(step)
    known = [i for i, row in enumerate(read.values) if not np.isnan(row).all()]
    found = [rank_p_value(read.cell, read.seed, read.dies, read.values[i], generator) for i in known]
    corrected = holm([p for _, p in found])
    dies, dead_from = read.dies[read.alive], read.dead_from[read.alive]
    warned, _ = leave_one_out(read.values[known][:, read.alive], dies, read.seed[read.alive])
    best = sorted(range(len(known)), key=lambda i: (found[i][1], -abs(found[i][0] - 0.5)))[:SHOWN]
    dying, names = int(dies.sum()), list(DIAGNOSTICS.values())
    rows = []
    for place, i in enumerate(best):
        rightly = warned[i] & dies
        right = int(rightly.sum())
        counts = (f"{step:,}", len(dies), f"{dying} ({dying / len(dies):.2f})") if place == 0 else ("",) * 3
        (rank, p), given = found[i], int(warned[i].sum())
        share = (f"{right / given:.2f}", f"{right / dying:.2f}") if given else ("-", "0.00")
        lead = f"{np.median(dead_from[rightly]) - step:,.0f}" if right else "-"
        rows.append([*counts, names[known[i]], f"{rank:.2f}", f"{p:.2g} / {corrected[i]:.2g}", given, *share, lead])
    return rows


def fates_of(results: Path) -> dict[Place, float]:
    """The step that each seed is dead from; infinite where it never is. Studies share runs: a seed counts once."""
    fates: dict[Place, float] = {}
    for study in STUDIES:
        for row in whole(read(results / f"{study}-seeds.csv")):
            fates.setdefault(place_of(study, row), row["step"] if row["verdict"] == "dead" else np.inf)
    return fates


def by_seed(results: Path) -> list[str]:
    """How often each seed number dies, over TD3's cells on Hopper with seeds of both fates; p: how often the numbers
    differ as much (sum of squares) with fates exchanged within cells."""
    dead: dict[str, dict[int, bool]] = defaultdict(dict)
    for (method, environment, seed), step in fates_of(results).items():
        if environment == "Hopper-v5" and not method.startswith(("ddpg", "sd3")) and seed < SEEDS:
            dead[method][int(seed)] = np.isfinite(step)
    mixed = [row for row in dead.values() if len(set(row.values())) == 2]
    table = np.array([[row[seed] for seed in range(SEEDS)] for row in mixed], int)
    counts = table.sum(axis=0)
    drawings = np.random.default_rng(0).permuted(np.tile(table, (PERMUTATIONS, 1, 1)), axis=2).sum(axis=1)
    as_far = ((drawings**2).sum(axis=1) >= (counts**2).sum()).sum()
    p = (as_far + 1) / (PERMUTATIONS + 1)
    return markdown(("seed", *range(SEEDS), "p"), [[f"dies in so many of {len(table)} settings", *counts, f"{p:.2g}"]])


def table(results: Path) -> list[str]:
    """Its lines, in Markdown."""
    fates = fates_of(results)
    curves: dict[Place, Rows] = defaultdict(list)
    for study in STUDIES:
        mine: dict[Place, Rows] = defaultdict(list)
        for row in read(results / f"{study}-rounds.csv"):
            mine[place_of(study, row)].append(row)
        curves |= {place: rows for place, rows in mine.items() if place not in curves}
    rows = []
    for step in STEPS:
        alive = alive_at(step, fates, curves)
        if (alive.dies & alive.alive).any():
            rows += rows_at(step, alive)
    return markdown(HEADER, rows)


def place_of(study: str, row: dict[str, Any]) -> Place:
    """A seed's cell and number; the same setting in two studies is one cell."""
    method, environment = row["method"], row["environment"]
    if study == "stability-early-learners":
        method = method.removeprefix("td3 ") if environment == "hopper" else method
        environment = "Hopper-v5" if environment == "hopper" else environment
    return method, environment, row["seed"]
