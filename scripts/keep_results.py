"""Keep what a run showed as small files: evaluations, verdicts, the exact command and versions.

python scripts/keep_results.py RUN results/NAME
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from credo.reports.load import LoadedRun, load_run

EVALUATED = ("step", "return_mean", "return_std", "return_min", "length_mean", "occupancy_distance")
RECORDED = (
    "actor_gradient_max",
    "action_saturation",
    "expert_probability_expert",
    "filtered_share",
    "discriminator_action_slope",
    "q_action_slope",
    "q_mean",
)
"""Metrics kept beside each evaluation: gradients as the maximum since the one before, the rest as the mean."""


def over_rounds(metrics: dict[str, np.ndarray], name: str, rows: slice | np.ndarray) -> Any:
    """A metric over some rounds: gradients as their largest, the rest as the mean; "" where nothing is known."""
    found = metrics[name][rows] if name in metrics else np.empty(0)
    found = found[np.isfinite(found)]
    if not found.size:
        return ""
    return np.max(found) if "_gradient_" in name else np.mean(found)


def write_evaluations(run: LoadedRun, path: Path) -> None:
    """One CSV row per seed and evaluation, with the metrics of the rounds that led to it."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("seed", *EVALUATED, *RECORDED))
        for seed in run.seeds:
            columns, metrics, before = run.evaluations[seed], run.metrics[seed], 0
            for index, step in enumerate(columns.get("step", ())):
                rows = (metrics["step"] > before) & (metrics["step"] <= step)
                values = [seed, *(columns[name][index] for name in EVALUATED)]
                values += [over_rounds(metrics, name, rows) for name in RECORDED]
                writer.writerow([f"{v:.5g}" if isinstance(v, np.floating) else v for v in values])
                before = step


def command_of(run: LoadedRun) -> str:
    """The command, without where program and folder lay: that is of no use to anyone who repeats it."""
    program, *rest = run.stored["command"].split(" ")
    return " ".join(["credo" if program.startswith("/") else program, *(re.sub(r"^/\S*/", "runs/", w) for w in rest)])


def describe(run: LoadedRun) -> dict:
    """What run.json keeps."""
    return {
        "command": command_of(run),
        "id": run.stored["id"],
        "versions": run.stored["versions"],
        "demonstrations": run.stored["demonstrations"],
        "identity": run.stored["identity"],
        "state": run.state,
        "steps_done": run.steps_done,
        "wall_seconds": run.summary.get("wall_seconds"),
        "seeds": {str(seed): run.seed_summary(seed) | {"verdict": run.verdicts[seed]._asdict()} for seed in run.seeds},
        "diverged": sum(verdict.diverged for verdict in run.verdicts.values()),
    }


def keep(run_folder: Path, out: Path) -> LoadedRun:
    """Write evaluations.csv and run.json of a run into ``out``."""
    run = load_run(run_folder)
    out.mkdir(parents=True, exist_ok=True)
    write_evaluations(run, out / "evaluations.csv")
    (out / "run.json").write_text(json.dumps(describe(run), indent=2, default=str) + "\n")
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    run = keep(options.run, options.out)
    for seed, verdict in run.verdicts.items():
        print(f"seed {seed}: {verdict.kind}: {verdict.reason}")


if __name__ == "__main__":
    main()
