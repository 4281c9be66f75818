"""Whole rounds of the presets ``robust`` by the device that computes them, with all seeds in one process.

    python -m benchmarks.device [--learners td3 sd3] [--seeds 11] [--seconds 8]

Environments step on the CPU either way. ``collecting`` is the same round without its updates (policies act, as in a
round that learns), so that what is left is the device's part. Prints one line of JSON for each; to compare a GPU with
the CPU cores beside it run it twice on one machine, once with JAX_PLATFORMS=cpu.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time

import jax

from benchmarks import workload
from credo.config import RunConfig
from credo.presets import preset

ENVIRONMENT = "HalfCheetah-v5"
STORED = 10_000
FEWEST = 3
"""Rounds that are timed at least."""


def configuration(learner: str, seeds: int, learning: bool, workers: int = 0) -> RunConfig:
    """``robust`` of that learner, acting by its policy from the first step on; learning at once, or never."""
    steps = 10_000_000
    return dataclasses.replace(
        preset(f"robust-{learner}"),
        environment=ENVIRONMENT,
        steps=steps,
        seeds=seeds,
        random_steps=0,
        learning_starts=0 if learning else steps,
        environment_workers=workers,
    )


def milliseconds_a_round(config: RunConfig, seconds: float) -> tuple[float, float]:
    """Of a round of all seeds, and seconds to the end of the first one, which compiles."""
    ready = workload.prepare(config, STORED)
    begun = time.perf_counter()
    workload.run_rounds(ready, range(1))
    first = time.perf_counter() - begun
    workload.run_rounds(ready, range(1, 3))
    begun, number = time.perf_counter(), 3
    while time.perf_counter() - begun < seconds or number < 3 + FEWEST:
        workload.run_rounds(ready, range(number, number + 1))
        number += 1
    elapsed = time.perf_counter() - begun
    workload.close(ready)
    return 1e3 * elapsed / (number - 3), first


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__.splitlines()[0])
    parser.add_argument("--learners", nargs="+", default=["td3", "sd3"], choices=["ddpg", "td3", "sd3", "sac"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[11])
    parser.add_argument("--workers", type=int, default=0, help="processes that step the environments (0: none)")
    parser.add_argument("--seconds", type=float, default=8.0)
    chosen = parser.parse_args()
    device = jax.devices()[0]
    for learner in chosen.learners:
        for seeds in chosen.seeds:
            config = configuration(learner, seeds, learning=True, workers=chosen.workers)
            round_of_all, first = milliseconds_a_round(config, chosen.seconds)
            collecting, _ = milliseconds_a_round(
                configuration(learner, seeds, learning=False, workers=chosen.workers), chosen.seconds / 4
            )
            steps = seeds * config.steps_per_round * config.environments_per_seed
            row = {
                "device": f"{device.platform}: {device.device_kind}",
                "cores": len(os.sched_getaffinity(0)),
                "jax": jax.__version__,
                "learner": learner,
                "seeds": seeds,
                "environment_workers": chosen.workers,
                "milliseconds_a_round": round(round_of_all, 1),
                "milliseconds_collecting": round(collecting, 1),
                "environment_steps_per_second": round(1e3 * steps / round_of_all),
                "first_round_seconds": round(first, 1),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
