"""Keep what a study showed as small files, complete enough to draw its figures from.

    python scripts/keep_study.py STUDY [--store runs] [--out results/stability]

Writes, of every cell that has begun,
    OUT/STUDY-seeds.csv        one row a seed: verdict, when it broke, whether its actor was inactive at the end
    OUT/STUDY-evaluations.csv  one row a seed and evaluation: its return
    OUT/STUDY-rounds.csv       diagnostics in windows of rounds that grow with time (1, 1, 1, 1, 2, 2, 4, 4, 8, ...):
                               gradients are the largest of a window, the rest its mean
    OUT/STUDY.json             identity, versions, demonstrations and wall-clock of every cell
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from credo.diagnostics.divergence import Criteria, activity_of
from credo.reports.load import LoadedRun, load_run
from credo.studies.shipped import find_study
from credo.studies.store import Store, place
from credo.studies.study import Cell, load_study

RECORDED = (
    "actor_gradient_max",
    "actor_preactivation",
    "action_saturation",
    "q_action_slope",
    "q_mean",
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
        row: list[Any] = [int(metrics["step"][rows][-1])]
        for name in RECORDED:
            values = metrics[name][rows] if name in metrics else np.empty(0)
            values = values[np.isfinite(values)]
            reduce = np.max if "_gradient_" in name else np.mean
            row.append(f"{reduce(values):.4g}" if values.size else "")
        yield row


def inactive_at_the_end(metrics: dict[str, np.ndarray]) -> bool:
    last = activity_of(metrics, Criteria()).inactive[-LAST_ROUNDS:]
    return len(last) == LAST_ROUNDS and int(last.sum()) >= MOST_OF_THEM


def seed_row(run: LoadedRun, seed: int) -> list[Any]:
    """Verdict, step, inactive at the end, steps done, best and last return, the expert's."""
    verdict, returns = run.verdicts[seed], run.evaluations[seed].get("return_mean", np.empty(0))
    known = returns[np.isfinite(returns)]
    step = run.metrics[seed]["step"]
    numbers = (known.max(), np.median(known[-3:])) if known.size else ()
    return [
        verdict.kind,
        "" if verdict.step is None else verdict.step,
        int(inactive_at_the_end(run.metrics[seed])),
        int(step[-1]) if len(step) else 0,
        *([f"{x:.1f}" for x in numbers] or ["", ""]),
        "" if run.expert_return is None else f"{run.expert_return:.1f}",
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


def write(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    print(f"written: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("--store", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("results/stability"))
    options = parser.parse_args()
    study, store = load_study(find_study(options.study)), Store(options.store)
    runs: list[tuple[Cell, LoadedRun]] = []
    for placed in place(study, {}):
        if placed.run is not None and store.folder(placed.run).exists():
            runs.append((placed.cell, load_run(store.folder(placed.run))))
    if not runs:
        parser.error(f"no cell of {study.name} has begun under {options.store}")
    options.out.mkdir(parents=True, exist_ok=True)
    each = [((cell.method, cell.environment, seed), run, seed) for cell, run in runs for seed in run.seeds]
    key = ("method", "environment", "seed")
    write(
        options.out / f"{study.name}-seeds.csv",
        (*key, "verdict", "step", "inactive", "steps", "best_return", "last_return", "expert_return"),
        ([*place, *seed_row(run, seed)] for place, run, seed in each),
    )
    write(
        options.out / f"{study.name}-evaluations.csv",
        (*key, "step", "return"),
        (
            [*place, int(step), f"{value:.1f}"]
            for place, run, seed in each
            for step, value in zip(
                run.evaluations[seed].get("step", ()), run.evaluations[seed].get("return_mean", ()), strict=True
            )
        ),
    )
    write(
        options.out / f"{study.name}-rounds.csv",
        (*key, "step", *RECORDED),
        ([*place, *row] for place, run, seed in each for row in window_rows(run.metrics[seed])),
    )
    told = {cell.name: about(run, cell) for cell, run in runs}
    (options.out / f"{study.name}.json").write_text(json.dumps(told, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
