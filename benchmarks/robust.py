"""What the methods of the study stability-robust cost: processor time for an environment step of one seed.

Usage: python -m benchmarks.robust [--turns 5] [--out results/benchmark/robust.json]

On Hopper-v5, in whole rounds in which everything learns, the methods in turn, so that all meet the same neighbours;
medians over turns. Processor time is what a busy machine changes least. Beside them, as the measure to compare machines
by, products of the size of a hidden layer's (64 x 256 by 256 x 256) in the same turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import workload
from credo import run_folder
from credo.studies.shipped import find_study
from credo.studies.study import load_study

METHODS = ("td3", "ddpg", "sd3", "sac", "ppo")
STORED = 10_000
"""Synthetic transitions in the replay at the start."""
ROUNDS = {"ppo": 2}
"""Rounds in a turn; 16 where nothing else is said."""
PRODUCTS = 2_000
"""Matrix products in a turn."""


def ready(method: str) -> workload.Workload:
    """One seed of the study's cell, without its random phase."""
    cells = {cell.name: cell for cell in load_study(find_study("stability-robust")).cells}
    config = cells[f"{method}/hopper"].config
    config = dataclasses.replace(config, seeds=1, random_steps=0, learning_starts=0, execution="threads")
    return workload.prepare(config, stored=STORED if config.keeps_replay else 0)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of the whole process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(turns: int) -> dict[str, float]:
    """Microseconds for an environment step of each method, and for a product."""
    loads = {method: ready(method) for method in METHODS}
    generator = np.random.default_rng(0)
    left, right = generator.standard_normal((64, 256), np.float32), generator.standard_normal((256, 256), np.float32)
    taken: dict[str, list[float]] = {name: [] for name in (*METHODS, "product")}
    begun = dict.fromkeys(METHODS, 0)
    for turn in range(turns + 1):  # the first compiles and is not counted
        for method, load in loads.items():
            first, count = begun[method], ROUNDS.get(method, 16)
            used = seconds(lambda: workload.run_rounds(load, range(first, first + count)))  # noqa: B023
            begun[method] += count
            if turn:
                taken[method].append(1e6 * used / (count * load.parts.config.steps_per_round))
        used = seconds(lambda: [left @ right for _ in range(PRODUCTS)])
        if turn:
            taken["product"].append(1e6 * used / PRODUCTS)
        print(f"turn {turn} of {turns}", flush=True)
    for load in loads.values():
        workload.close(load)
    return {name: round(float(np.median(values)), 2) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robust", description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark/robust.json"))
    options = parser.parse_args()
    found = measure(options.turns)
    told = {
        "command": f"python -m benchmarks.robust --turns {options.turns}",
        "microseconds": found,
        "cores": len(os.sched_getaffinity(0)),
        "versions": run_folder.versions(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    for name, value in found.items():
        print(f"{name:8} {value:10,.1f} us, {value / found['td3']:.2f} of TD3's step")


if __name__ == "__main__":
    main()
