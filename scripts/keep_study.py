"""Keep what a study showed as small files, complete enough to draw its figures from.

    python scripts/keep_study.py STUDY [--store runs] [--out results/stability] [--only CELL ...] [--at STEPS]

Writes, of every seed of a cell that has begun, and keeps what stood there of cells and seeds that have not begun in
this store, so that a long study can be run in parts and in several places:
    OUT/STUDY-seeds.csv        one row a seed: verdict, when it broke, whether its actor was inactive at the end
    OUT/STUDY-evaluations.csv  one row a seed and evaluation: its return
    OUT/STUDY-rounds.csv       diagnostics in windows of rounds that grow with time (1, 1, 1, 1, 2, 2, 4, 4, 8, ...):
                               gradients are the largest of a window, the rest its mean
    OUT/STUDY.json             identity, versions, demonstrations and wall-clock of every cell
With --at, the first of these alone, as OUT/STUDY-at-STEPS-seeds.csv: the seeds as they were judged after so many steps.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keep_results import over_rounds

from credo.diagnostics.activity import activity_of
from credo.diagnostics.divergence import Verdict
from credo.reports.load import LoadedRun, load_run
from credo.studies.shipped import find_study
from credo.studies.store import Store, part_of, place
from credo.studies.study import Cell, Study, load_study

RECORDED = (
    "actor_gradient_max",
    "actor_preactivation",
    "action_saturation",
    "q_action_slope",
    "q_mean",
    "reward_mean",
    "critic_gradient_max",
    "discriminator_action_slope",
    "expert_probability_expert",
    "expert_probability_policy",
    "filtered_share",
    "outlier_share",
)
LAST_ROUNDS, MOST_OF_THEM = 10, 9
"""An actor is inactive at the end if it is in so many of the last rounds."""


def windows(rounds: int) -> Iterator[slice]:
    """Rows of rounds: four of one round, then pairs of twice the width."""
    begin, width, left = 0, 1, 4
    while begin < rounds:
        yield slice(begin, min(begin + width, rounds))
        begin, left = begin + width, left - 1
        if left == 0:
            width, left = 2 * width, 2


def window_rows(metrics: dict[str, np.ndarray]) -> Iterator[list[Any]]:
    """One row for each window: its last step, then ``RECORDED``."""
    for rows in windows(len(metrics["step"])):
        values = (over_rounds(metrics, name, rows) for name in RECORDED)
        yield [int(metrics["step"][rows][-1]), *("" if value == "" else f"{value:.4g}" for value in values)]


def inactive_at_the_end(metrics: dict[str, np.ndarray]) -> bool:
    last = activity_of(metrics).inactive[-LAST_ROUNDS:]
    return len(last) == LAST_ROUNDS and int(last.sum()) >= MOST_OF_THEM


class Kept(NamedTuple):
    """One seed of a cell."""

    place: tuple[str, str, int]
    """Method, environment, seed."""
    metrics: dict[str, np.ndarray]
    evaluations: dict[str, np.ndarray]
    expert_return: float | None
    verdict: Verdict
    policy: tuple[Any, Any]
    """Step and return of the policy that the run keeps, chosen without any reward; empty where it is of later steps."""


def kept_of(cell: Cell, run: LoadedRun) -> Iterator[Kept]:
    for seed in run.seeds:
        told = run.seed_summary(seed)
        step, value = told.get("selected_step"), told.get("selected_return")
        policy = ("", "") if step is None or value is None else (step, f"{value:.1f}")
        where = cell.method, cell.environment, seed
        yield Kept(where, run.metrics[seed], run.evaluations[seed], run.expert_return, run.verdicts[seed], policy)


def seed_row(kept: Kept) -> list[Any]:
    """Verdict, step, inactive at the end, steps done, best and last return, the expert's, the kept policy's, and the
    first explosion of the actor's gradient, which the dead have too; 0 for none."""
    found, returns = kept.verdict, kept.evaluations.get("return_mean")
    known = np.empty(0) if returns is None else returns[np.isfinite(returns)]
    step = kept.metrics["step"]
    # A frozen seed's failed evaluations are worth nothing.
    numbers = () if returns is None or not known.size else (known.max(), np.median(np.nan_to_num(returns[-3:])))
    return [
        found.kind,
        "" if found.step is None else found.step,
        int(inactive_at_the_end(kept.metrics)),
        int(step[-1]) if len(step) else 0,
        *([f"{x:.1f}" for x in numbers] or ["", ""]),
        "" if kept.expert_return is None else f"{kept.expert_return:.1f}",
        *kept.policy,
        found.first_explosion or 0,
    ]


def about(run: LoadedRun, cell: Cell) -> dict[str, Any]:
    return {
        "environment": cell.environment,
        "id": run.stored["id"],
        "identity": run.stored["identity"],
        "demonstrations": run.stored["demonstrations"],
        "versions": run.stored["versions"],
        "state": run.state,
        "steps_done": run.steps_done,
        "wall_seconds": run.summary.get("wall_seconds"),
    }


class Files(NamedTuple):
    """Where one study's small files lie, and which of its seeds (method, environment, seed) and whole cells (method,
    environment) are kept anew."""

    out: Path
    study: str
    anew: set[tuple[str, str, int] | tuple[str, str]]


def write(files: Files, kind: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Rows that begin with method, environment and seed, behind what is there of others."""
    path = files.out / f"{files.study}-{kind}.csv"
    names = ("method", "environment", "seed", *header)
    before: list[dict[str, Any]] = []
    if path.exists():
        with open(path, newline="") as file:
            before = [
                row
                for row in csv.DictReader(file)
                if not {cell := (row["method"], row["environment"]), (*cell, int(row["seed"]))} & files.anew
            ]
    with open(path, "w", newline="") as file:
        # What was kept before a column existed has nothing in it.
        writer = csv.DictWriter(file, names, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(before)
        writer.writerows(dict(zip(names, row, strict=True)) for row in rows)
    print(f"written: {path}")


def study_parser(about: str) -> argparse.ArgumentParser:
    """Which cells of a study, where they ran, and where what is kept goes."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("--store", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("results/stability"))
    parser.add_argument("--only", nargs="*", default=["*"], help="cells by name; * stands for any text")
    return parser


def chosen_runs(
    parser: argparse.ArgumentParser, options: argparse.Namespace, at: int | None = None
) -> tuple[Study, list[tuple[Cell, LoadedRun]]]:
    """The study and, of the cells asked for that have begun, what is the study's of their runs, or its first ``at``
    steps."""
    study, store = load_study(find_study(options.study)), Store(options.store)
    runs: list[tuple[Cell, LoadedRun]] = []
    names = {cell.name for cell in study.cells if any(fnmatch.fnmatchcase(cell.name, only) for only in options.only)}
    for placed in place(study, {}, reads=names):
        if placed.cell.name in names and placed.run is not None and store.folder(placed.run).exists():
            part = part_of(store, placed)
            runs.append((placed.cell, load_run(part if at is None else part._replace(steps=at))))
    if not runs:
        parser.error(f"no cell of {study.name} has begun under {options.store}")
    options.out.mkdir(parents=True, exist_ok=True)
    return study, runs


def keep(out: Path, study: str, runs: Sequence[tuple[Cell, LoadedRun]], at: int | None) -> None:
    """Write the files of a study's cells; with ``at`` the verdicts after so many steps alone."""
    each = [kept for cell, run in runs for kept in kept_of(cell, run)]
    name = study if at is None else f"{study}-at-{at}"
    described = out / f"{study}.json"
    told = json.loads(described.read_text()) if described.exists() else {}
    others = {  # of other settings than what is there
        (cell.method, cell.environment)
        for cell, run in runs
        if told.get(cell.name, {}).get("id", run.stored["id"]) != run.stored["id"]
    }
    files = Files(out, name, {kept.place for kept in each} | others)
    write(
        files,
        "seeds",
        (
            "verdict",
            "step",
            "inactive",
            "steps",
            "best_return",
            "last_return",
            "expert_return",
            "kept_step",
            "kept_return",
            "first_explosion",
        ),
        ([*kept.place, *seed_row(kept)] for kept in each),
    )
    if at is not None:
        return
    write(
        files,
        "evaluations",
        ("step", "return"),
        (
            [*kept.place, int(step), f"{value:.1f}" if np.isfinite(value) else ""]
            for kept in each
            for step, value in zip(
                kept.evaluations.get("step", ()), kept.evaluations.get("return_mean", ()), strict=True
            )
        ),
    )
    write(
        files,
        "rounds",
        ("step", *RECORDED),
        ([*kept.place, *row] for kept in each for row in window_rows(kept.metrics)),
    )
    told |= {cell.name: about(run, cell) for cell, run in runs}
    described.write_text(json.dumps(told, indent=1, default=str) + "\n")


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--at", type=int, help="judge the seeds after so many steps, and keep these verdicts alone")
    options = parser.parse_args()
    study, runs = chosen_runs(parser, options, options.at)
    keep(options.out, study.name, runs, options.at)


if __name__ == "__main__":
    main()
