"""The worker that trains with stable-baselines3's TD3 at the same sizes, without a discriminator; it runs in the
environment that setup_peer.sh makes, and imports nothing of Credo."""

from __future__ import annotations

import functools
import os
import platform
import time
import warnings
from importlib import metadata
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise

from benchmarks import sizes
from benchmarks.serving import serve

WARM_UP_SECONDS = 2.0
VERSIONED = ("stable_baselines3", "torch", "numpy", "gymnasium", "mujoco")


class Clock(BaseCallback):
    """Stops the training once the time is over, and counts the whole rounds until then."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds
        self.starts: list[float] = []

    def _on_rollout_start(self) -> None:
        self.starts.append(time.perf_counter())

    def _on_step(self) -> bool:
        return self.starts[-1] - self.starts[0] < self.seconds


class Peer:
    """A model, warmed up, with as many threads as it is fastest with."""

    def __init__(self) -> None:
        environment = gymnasium.make(sizes.ENVIRONMENT)
        self.model = TD3(
            "MlpPolicy",
            environment,
            learning_rate=3e-4,
            buffer_size=300_000,
            learning_starts=sizes.STEPS_PER_ROUND,
            batch_size=sizes.BATCH,
            train_freq=sizes.STEPS_PER_ROUND,
            gradient_steps=sizes.UPDATES_PER_ROUND,
            policy_delay=sizes.ACTOR_DELAY,
            action_noise=NormalActionNoise(np.zeros(sizes.ACTION_SIZE), np.full(sizes.ACTION_SIZE, 0.1)),
            policy_kwargs={"net_arch": list(sizes.HIDDEN)},
            device="cpu",
            seed=0,
        )
        self.measure(WARM_UP_SECONDS)
        cores = range(1, (os.cpu_count() or 1) + 1)
        speed = {threads: self._with_threads(threads) for threads in cores}
        self.threads = max(speed, key=speed.__getitem__)
        torch.set_num_threads(self.threads)

    def _with_threads(self, threads: int) -> float:
        torch.set_num_threads(threads)
        return self.measure(WARM_UP_SECONDS)["updates_per_second"]

    def measure(self, seconds: float) -> dict[str, float]:
        clock = Clock(seconds)
        self.model.learn(10**9, callback=clock, reset_num_timesteps=False)
        elapsed = clock.starts[-1] - clock.starts[0]
        rounds = len(clock.starts) - 1
        return {
            "updates_per_second": rounds * sizes.UPDATES_PER_ROUND / elapsed,
            "steps_per_second": rounds * sizes.STEPS_PER_ROUND / elapsed,
            "threads": torch.get_num_threads(),
        }


@functools.cache
def peer() -> Peer:
    return Peer()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["measure"] == "versions":
        return {"python": platform.python_version()} | {name: metadata.version(name) for name in VERSIONED}
    ready = peer()
    return ready.measure(request["seconds"]) if request["seconds"] else {"threads": ready.threads}


def main() -> None:
    warnings.simplefilter("ignore")
    serve(answer)


if __name__ == "__main__":
    main()
