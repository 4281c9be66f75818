"""The worker that takes one round of one seed apart: what each part costs in one thread, one after the other.

The parts are timed by repeating each many times on its own; the compiled round may use the machine's other cores.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks import workload
from benchmarks.serving import serve
from credo.random import Purpose
from credo.training.seed import Recorder, draw_experience
from credo.training.state import initial_state
from credo.training.step import make_round

REPEATS = 15


def milliseconds(work: Callable[[], Any]) -> float:
    """Median over repeats, after one that is not counted."""
    taken = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        jax.block_until_ready(work())
        taken.append(1e3 * (time.perf_counter() - start))
    return float(np.median(taken[1:]))


def take_apart(schedule: str) -> dict[str, float]:
    """Milliseconds a round of one seed spends in each part."""
    config = dataclasses.replace(workload.configuration(schedule, "threads"), seeds=1)
    ready = workload.prepare(config)
    parts, constants, seed = ready.parts, ready.constants, ready.seeds[0]
    state = initial_state(parts, seed.number)
    key = seed.key(Purpose.ACT, 0)
    recorder = Recorder(config, seed)
    actions = np.random.default_rng(0).uniform(-1, 1, (config.steps_per_round, 1, parts.spec.action_size))
    actions = actions.astype(np.float32)
    round_function = jax.jit(make_round(parts), donate_argnums=0)

    @jax.jit
    def act(learner_state: Any, observation: Any, index: Any) -> Any:
        return parts.learner.act(learner_state, constants.normalise(observation), jax.random.fold_in(key, index))

    def act_all() -> None:
        for index in range(config.steps_per_round):
            np.asarray(act(state.learner, seed.environments.observation, np.int32(index)))

    def step_all() -> None:
        for index in range(config.steps_per_round):
            recorder.take(seed, index, actions[index])

    def sample() -> Any:
        return draw_experience(config, seed, recorder.steps, 0)

    found = {
        "acting": milliseconds(act_all),
        "environment_steps": milliseconds(step_all),
        "replay_add": milliseconds(lambda: seed.replay.add(recorder.steps, recorder.ended)),
        "replay_sampling": milliseconds(sample),
    }
    experience = sample()
    carried = [initial_state(parts, seed.number)]
    metrics: dict[str, Any] = {}

    def compiled_round() -> Any:
        carried[0], values = round_function(carried[0], constants, experience, key, key)
        metrics.update(values)
        return values

    found["transfer_in"] = milliseconds(lambda: jax.device_put(experience))
    found["compiled_round"] = milliseconds(compiled_round)
    vector = jax.numpy.stack(list(metrics.values()))
    found["metrics_out"] = milliseconds(lambda: np.asarray(vector + 0))
    workload.close(ready)
    return found


def main() -> None:
    serve(lambda request: take_apart(request["schedule"]))


if __name__ == "__main__":
    main()
