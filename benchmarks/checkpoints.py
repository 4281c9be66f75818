"""What checkpoints of a run as large as it gets cost: eleven seeds, a million transitions each.

Usage: python -m benchmarks.checkpoints [--transitions N]. Prints one line of JSON: seconds of wall-clock and of CPU,
and megabytes (10^6 bytes) written, of the checkpoint that follows an interval of 25,000 steps a seed, and of the first
one, which has all steps to write; seconds to load; and the share of the interval's run time that the checkpoint takes,
from rounds timed in the same minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import sizes, workload
from credo import run_folder
from credo.presets import preset
from credo.training.checkpoint import Checkpoints

TRANSITIONS = 1_000_000
ROUNDS = 4


def timed(work: Callable[[], object]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - processor, 2),
    }


def megabytes(folder: Path, since: float) -> float:
    """Of the files written since a time."""
    status = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return round(sum(found.st_size for found in status if found.st_mtime >= since) / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__.splitlines()[0])
    parser.add_argument("--transitions", type=int, default=TRANSITIONS, help="per seed (default 1,000,000)")
    wanted = parser.parse_args().transitions
    config = dataclasses.replace(
        preset("fast"), environment="Hopper-v5", steps=3_000_000, seeds=sizes.SEEDS, random_steps=0, learning_starts=0
    )
    config = dataclasses.replace(config, replay_capacity=wanted)
    ready = workload.prepare(config, stored=0)
    generator = np.random.default_rng(0)
    for seed in ready.seeds:
        workload.fill(seed.replay, wanted, ready.parts.spec, generator)
    workload.run_rounds(ready, range(1))

    found: dict[str, object] = {"seeds": config.seeds, "transitions": wanted, "interval": config.checkpoint_interval}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / run_folder.CHECKPOINTS).mkdir()
        store = Checkpoints(folder)

        def save(round_number: int) -> dict[str, float]:
            since = time.time()
            position = {"parts": dict.fromkeys((run_folder.METRICS, run_folder.EVALUATIONS), 0), "seconds": 0.0}

            def written() -> None:
                environments = {seed.number: seed.environments.state() for seed in ready.seeds}
                store.save(round_number, ready.seeds, ready.execution.state, environments, position)

            took = timed(written)
            return took | {"megabytes": megabytes(folder, since)}

        found["first"] = save(1)
        for seed in ready.seeds:
            workload.fill(seed.replay, config.checkpoint_interval, ready.parts.spec, generator)
        found["rounds"] = timed(lambda: workload.run_rounds(ready, range(1, 1 + ROUNDS)))
        found["incremental"] = save(ROUNDS + 1)
        for seed in ready.seeds:
            seed.state = ready.execution.state(seed)
            seed.next_round = ROUNDS + 1
        os.sync()
        found["load"] = timed(lambda: Checkpoints(folder).load(ready.seeds, config.rounds))
    workload.close(ready)
    for clock in ("seconds", "cpu_seconds"):
        interval = found["rounds"][clock] / ROUNDS * config.checkpoint_interval / config.steps_per_round
        found[f"share_of_{clock}"] = round(found["incremental"][clock] / interval, 5)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
