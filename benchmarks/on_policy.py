"""PPO-GAIL on HalfCheetah-v5, beside bare Gymnasium stepping: environment steps a second, and where the time goes.

Usage: python -m benchmarks.on_policy [--seconds 20] [--json]. The parts are timed one after the other for one seed, in
processor time, which a busy machine changes least; whole rounds are of all seeds in threads, by the clock.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np

from benchmarks import report, sizes, workload
from credo.config import RunConfig
from credo.presets import preset
from credo.random import Purpose
from credo.training.acting import host_actor
from credo.training.seed import Recorder, draw_experience
from credo.training.state import initial_state
from credo.training.step import make_round

REPEATS = 7
WORKERS = 2
"""Worker processes of the second measurement."""


def configuration(seeds: int = sizes.SEEDS, workers: int = 0) -> RunConfig:
    """The preset ``paper-ppo`` on the benchmark's environment, stepped in so many worker processes (0: in threads)."""
    base = preset("paper-ppo")
    return dataclasses.replace(
        base, environment=sizes.ENVIRONMENT, seeds=seeds, execution="threads", environment_workers=workers
    )


def bare_stepping(steps: int, action_size: int) -> Callable[[], None]:
    """Work: so many steps of the environment alone, with actions drawn before."""
    environment = gymnasium.make(sizes.ENVIRONMENT, disable_env_checker=True)
    environment.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, action_size)).astype(np.float32)

    def step_all() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = environment.step(action)
            if terminated or truncated:
                environment.reset()

    return step_all


def microseconds(work: Callable[[], Any], steps: int) -> float:
    """Processor time of the whole process for each environment step: median over repeats, after one not counted."""
    taken = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        jax.block_until_ready(work())
        taken.append(time.process_time() - start)
    return 1e6 * float(np.median(taken[1:])) / steps


def parts() -> dict[str, float]:
    """Microseconds of processor time for each environment step of one seed."""
    config = configuration(seeds=1)
    ready = workload.prepare(config, stored=0)
    made, constants, seed = ready.parts, ready.constants, ready.seeds[0]
    state = initial_state(made, seed.number)
    recorder = Recorder(config, seed)
    steps, lanes = config.steps_per_round, config.environments_per_seed
    actions = np.random.default_rng(0).uniform(-1, 1, (steps // lanes, lanes, made.spec.action_size))
    actions = actions.astype(np.float32)

    def act_all() -> None:
        act = host_actor(made, constants, state, seed, 0)
        for index in range(steps // lanes):
            act(index)

    def step_all() -> None:
        for index in range(steps // lanes):
            recorder.take(seed, index, actions[index])
        seed.environments.drain_finished()

    bare = bare_stepping(steps, made.spec.action_size)
    found = {"bare stepping": microseconds(bare, steps)}
    found["stepping and recording"] = microseconds(step_all, steps)
    found["acting"] = microseconds(act_all, steps)
    found["drawing"] = microseconds(lambda: draw_experience(config, seed, recorder.fresh, 0), steps)
    experience, key = draw_experience(config, seed, recorder.fresh, 0), seed.key(Purpose.LEARNER, 0)
    one_round, update = jax.jit(make_round(made)), jax.jit(made.learner.update)
    whole = microseconds(lambda: one_round(state, constants, experience, key, key), steps)
    rollout = jax.tree.map(jax.numpy.asarray, experience.batches)
    found["PPO's updates"] = microseconds(lambda: update(state.learner, rollout, key), steps)
    found["discriminator, reward and measures"] = whole - found["PPO's updates"]
    workload.close(ready)
    return found


def rounds(seconds: float, workers: int = 0) -> dict[str, float]:
    """Whole rounds of all seeds and bare stepping in one thread, in turn, so that both meet the same neighbours.
    Processor time is this process's own, without that of workers."""
    config = configuration(workers=workers)
    ready = workload.prepare(config, stored=0)
    workload.run_rounds(ready, range(1))
    steps = config.steps_per_round * config.seeds
    bare = bare_stepping(steps // 4, ready.parts.spec.action_size)
    wall, processor, alone, number = 0.0, 0.0, 0.0, 1
    while wall < seconds:
        start, used = time.perf_counter(), time.process_time()
        workload.run_rounds(ready, range(number, number + 1))
        wall += time.perf_counter() - start
        processor += time.process_time() - used
        start = time.perf_counter()
        bare()
        alone += time.perf_counter() - start
        number += 1
    workload.close(ready)
    done = (number - 1) * steps
    return {
        "steps_per_second": done / wall,
        "bare_steps_per_second": done / 4 / alone,
        "microseconds_per_step": 1e6 * processor / done,
        "seeds": config.seeds,
    }


def measure(seconds: float) -> dict[str, Any]:
    return {
        "parts": parts(),
        "rounds": rounds(seconds),
        "rounds_in_workers": rounds(seconds, WORKERS),
        "workers": WORKERS,
        "cores": len(os.sched_getaffinity(0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_policy", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds of whole rounds (default 20)")
    parser.add_argument("--json", action="store_true", help="print the raw figures as one line")
    chosen = parser.parse_args()
    found = measure(chosen.seconds)
    print(json.dumps(found) if chosen.json else "\n".join(report.on_policy_section(found)))


if __name__ == "__main__":
    main()
