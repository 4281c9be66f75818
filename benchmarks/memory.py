"""Peak memory of a run that is as large as it gets: full replays, learning rounds, a checkpoint.

Usage: python -m benchmarks.memory. Prints one line of JSON: the process's largest resident set so far after each stage,
in gigabytes (10^9 bytes).
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sizes, workload
from credo import run_folder
from credo.presets import preset
from credo.training.checkpoint import Checkpoints

STEPS = 300_000
ROUNDS = 4
EPISODE = 200
"""Steps of an episode: short ones, whose last observations lie apart, cost memory."""


def peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def main() -> None:
    config = dataclasses.replace(
        preset("fast"), environment="Hopper-v5", steps=STEPS, seeds=sizes.SEEDS, random_steps=0, learning_starts=0
    )
    stages = {"imports": peak()}
    ready = workload.prepare(config, stored=0)
    stages["set_up"] = peak()
    for seed in ready.seeds:
        generator = np.random.default_rng(seed.number)
        workload.fill(seed.replay, seed.replay.capacity, ready.parts.spec, generator, EPISODE)
    stages["full_replays"] = peak()
    workload.run_rounds(ready, range(ROUNDS))
    stages["rounds"] = peak()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / run_folder.CHECKPOINTS).mkdir()
        environments = {seed.number: seed.environments.state() for seed in ready.seeds}
        Checkpoints(Path(folder)).save(ROUNDS, ready.seeds, ready.execution.state, environments, {})
    stages["checkpoint"] = peak()
    transitions = sum(len(seed.replay) for seed in ready.seeds)
    workload.close(ready)
    print(json.dumps({"transitions": transitions, "gigabytes": stages}))


if __name__ == "__main__":
    main()
