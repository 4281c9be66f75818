"""The worker that trains with Credo: whole rounds, and the compiled update alone on fixed experience."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from benchmarks import sizes, workload
from benchmarks.counting import product_flops
from benchmarks.serving import serve
from credo import run_folder
from credo.random import Purpose
from credo.training.seed import draw_experience
from credo.training.state import initial_state
from credo.training.step import make_round

SPAN = 8
"""Rounds in a row before seeds wait for one another; in a run they do at every evaluation (78 rounds by default)."""


class Training:
    """Whole rounds of one schedule in one execution, warmed up."""

    def __init__(self, schedule: str, execution: str):
        self.workload = workload.prepare(workload.configuration(schedule, execution))
        self.next_round = 0
        self._advance(workload.WARM_UP_ROUNDS)

    def _advance(self, rounds: int) -> None:
        workload.run_rounds(self.workload, range(self.next_round, self.next_round + rounds))
        self.next_round += rounds

    def measure(self, seconds: float) -> dict[str, float]:
        start = time.perf_counter()
        rounds = 0
        while time.perf_counter() - start < seconds:
            self._advance(SPAN)
            rounds += SPAN
        elapsed = time.perf_counter() - start
        seeds = len(self.workload.seeds)
        return {
            "updates_per_second": rounds * seeds * sizes.UPDATES_PER_ROUND / elapsed,
            "steps_per_second": rounds * seeds * sizes.STEPS_PER_ROUND / elapsed,
            "milliseconds_per_round": 1e3 * elapsed / rounds,
        }


class Update:
    """A compiled function of one seed, on fixed experience: the whole round of a schedule, or, of a learner's name,
    its updates alone."""

    def __init__(self, name: str, learner_alone: bool):
        seeds = sizes.SEEDS
        config = workload.learner_configuration(name) if learner_alone else workload.configuration(name, "threads")
        ready = workload.prepare(config)
        parts = ready.parts
        self.updates = config.updates_per_round

        if learner_alone:

            def function(state: Any, experience: Any, key: Any) -> Any:
                return parts.learner.update(state, experience.batches, key)
        else:
            one_round = make_round(parts)

            def function(state: Any, experience: Any, key: Any) -> Any:
                return one_round(state, ready.constants, experience, key, key)

        self.function = jax.jit(function, donate_argnums=0)
        self.states = [initial_state(parts, seed.number) for seed in ready.seeds]
        if learner_alone:
            self.states = [state.learner for state in self.states]
        fresh = workload.synthetic_transitions(np.random.default_rng(0), sizes.STEPS_PER_ROUND, parts.spec)
        self.experience = [draw_experience(parts.config, seed, fresh, 0) for seed in ready.seeds]
        self.keys = [seed.key(Purpose.LEARNER, 0) for seed in ready.seeds]
        self.pool = ThreadPoolExecutor(min(seeds, os.cpu_count() or 1))
        self.flops = product_flops(function, self.states[0], self.experience[0], self.keys[0])
        workload.close(ready)
        self._one(0)

    def _one(self, index: int) -> None:
        self.states[index], metrics = self.function(self.states[index], self.experience[index], self.keys[index])
        jax.block_until_ready(metrics)

    def _repeat(self, work: Callable[[], Sequence[Any] | None], seconds: float) -> float:
        """Seconds that ``work`` takes."""
        start = time.perf_counter()
        repeats = 0
        while time.perf_counter() - start < seconds:
            work()
            repeats += 1
        return (time.perf_counter() - start) / repeats

    def measure(self, seconds: float) -> dict[str, float]:
        """All seeds in threads, as Credo takes them in turn, then one seed with the machine to itself."""
        everyone = self._repeat(lambda: list(self.pool.map(self._one, range(len(self.states)))), 0.75 * seconds)
        alone = self._repeat(lambda: self._one(0), 0.25 * seconds)
        return {
            "milliseconds_all_seeds": 1e3 * everyone,
            "milliseconds_one_seed_alone": 1e3 * alone,
            "gflop_per_seed": self.flops / 1e9,
            "updates_per_second": self.updates * len(self.states) / everyone,
            "gflops": self.flops * len(self.states) / everyone / 1e9,
        }


@functools.cache
def training(schedule: str, execution: str) -> Training:
    return Training(schedule, execution)


@functools.cache
def update(name: str, learner_alone: bool) -> Update:
    return Update(name, learner_alone)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    kind = request["measure"]
    if kind == "versions":
        return {name: value for name, value in run_folder.versions().items() if name != "machine"}
    if kind == "learner":
        subject: Training | Update = update(request["learner"], learner_alone=True)
    elif kind == "rounds":
        subject = training(request["schedule"], request["execution"])
    else:
        subject = update(request["schedule"], learner_alone=False)
    if request["seconds"]:
        return subject.measure(request["seconds"])
    return {"mflop_per_update": subject.flops / subject.updates / 1e6} if isinstance(subject, Update) else {}


def main() -> None:
    serve(answer)


if __name__ == "__main__":
    main()
