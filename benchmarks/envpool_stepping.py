"""EnvPool's stepping beside Gymnasium's, in steps a second of processor time, which a busy machine changes least.

Usage: python benchmarks/envpool_stepping.py, in an environment of its own with envpool and gymnasium[mujoco].
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import envpool
import gymnasium
import numpy as np

ENVIRONMENTS = ("HalfCheetah-v4", "HalfCheetah-v5")
LANES, TURNS, CALLS = 8, 5, 400
THREADS = (1, 2)


def rate(step: Callable[[int], None], calls: int, lanes: int) -> float:
    """Steps for each second of processor time of this process, all threads together."""
    start = time.process_time()
    for index in range(calls):
        step(index)
    return calls * lanes / (time.process_time() - start)


def compare(name: str) -> str:
    actions = np.random.default_rng(0).uniform(-1, 1, (LANES * CALLS, LANES, 6))
    single = gymnasium.make(name, disable_env_checker=True)
    single.reset(seed=0)
    pools = {
        threads: envpool.make(name, env_type="gymnasium", num_envs=LANES, num_threads=threads, seed=0)
        for threads in THREADS
    }
    for pool in pools.values():
        pool.reset()

    def step_single(index: int) -> None:
        _, _, terminated, truncated, _ = single.step(actions[index, 0].astype(np.float32))
        if terminated or truncated:
            single.reset()

    gymnasium_rates, ratios = [], {threads: [] for threads in THREADS}
    for _ in range(TURNS):
        gymnasium_rates.append(rate(step_single, LANES * CALLS, 1))
        for threads, pool in pools.items():
            found = rate(lambda index, pool=pool: pool.step(actions[index]), CALLS, LANES)
            ratios[threads].append(found / gymnasium_rates[-1])
    told = ", ".join(f"EnvPool on {n} thread(s) {statistics.median(x):.2f} times" for n, x in ratios.items())
    return f"{name}: Gymnasium {statistics.median(gymnasium_rates):,.0f} steps/s of processor time, {told}"


if __name__ == "__main__":
    for name in ENVIRONMENTS:
        print(compare(name), flush=True)
