"""Who comes back: the seeds that stability-bed has found dead at 25,000 steps, and they alone, to 100,000 steps.

    python scripts/dead_seeds.py [--only LEARNER/ENVIRONMENT/SEED ...] [--store runs] [--out OUT] [--keep]

Of the paper's regime without CREDO, less the cells that stability-bed-longer holds with all their seeds. Each is a run
of its own from its first step on, with the settings of stability-bed-longer: a seed's numbers do not depend on the
seeds beside it. Finished runs (in STORE/dead-seeds) are not run again, stopped ones go on.

Asked beforehand: how many of them are dead at 25,000 steps when they are run anew; how many of these are at 100,000;
has any been at 0.1 of the expert's return in an evaluation since 25,000.

Writes OUT/stability-bed-dead-{seeds,evaluations,rounds}.csv and .json as keep_study.py does, of the runs that have
ended, and their verdicts at 25,000 as -at-25000-seeds.csv. --keep writes these and trains nothing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bed_table import ALONE, JUDGED, LONGER, STUDY
from keep_study import keep
from kept_files import read
from separate_runs import ended, folder, script_parser

from credo.reports.load import load_run
from credo.studies.read import MethodRun
from credo.studies.shipped import find_study
from credo.studies.study import Cell, load_study

NAME = "dead-seeds"


def cells(results: Path) -> list[Cell]:
    """One for each seed, named LEARNER/ENVIRONMENT/SEED."""
    whole = {(row["method"], row["environment"]) for row in read(results / f"{LONGER}-seeds.csv")}
    dead: dict[tuple[str, str], list[int]] = {}
    for row in read(results / f"{STUDY}-seeds.csv"):
        learner, clipping = row["method"].split(" ")
        if clipping == "plain" and row["verdict"] == "dead" and (learner, row["environment"]) not in whole:
            dead.setdefault((learner, row["environment"]), []).append(int(row["seed"]))
    return [
        cell._replace(name=f"{cell.name}/{seed}", config=dataclasses.replace(cell.config, first_seed=seed, seeds=1))
        for cell in load_study(find_study(LONGER)).cells
        for seed in sorted(dead.get((cell.method, cell.environment), ()))
    ]


def part(cell: Cell, store: Path, steps: int) -> MethodRun:
    """The first steps of a seed's run."""
    return MethodRun(cell.method, cell.environment, folder(cell, store, NAME), steps, cell.config.seed_numbers)


def main() -> None:
    parser = script_parser(__doc__, "LEARNER/ENVIRONMENT/SEED")
    options = parser.parse_args()
    done = ended(cells(options.out), options, NAME)
    if not done:
        parser.error(f"no run has ended under {options.store}")
    keep(options.out, ALONE, [(cell, load_run(part(cell, options.store, cell.config.steps))) for cell in done], None)
    keep(options.out, ALONE, [(cell, load_run(part(cell, options.store, JUDGED))) for cell in done], JUDGED)


if __name__ == "__main__":
    main()
