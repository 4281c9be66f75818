"""Time and peak memory, over all its processes, of ``credo report`` on as much as a study of the paper's size writes.

Usage: python -m benchmarks.report_scale [--share X] [--scratch FOLDER] [--no-figures]. Writes 5 environments x 6
methods x 11 seeds x 3,000,000 steps of made-up runs (about 15 million rows of metrics, in parts as training writes
them), reports on them in a process of its own, prints one line of JSON, and removes what it wrote.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from credo import run_folder
from credo.config import CredoConfig, RunConfig
from credo.presets import preset

ENVIRONMENTS = ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Humanoid-v5", "Ant-v5")
METHODS: dict[str, dict] = {
    "td3-off": {"learner": "td3", "credo": CredoConfig(mode="off")},
    "td3-filter": {"learner": "td3"},
    "td3-clip": {"learner": "td3", "credo": CredoConfig(mode="clip")},
    "td3-threshold-8": {"learner": "td3", "credo": CredoConfig(threshold=8.0)},
    "sac-off": {"learner": "sac", "credo": CredoConfig(mode="off")},
    "sac-filter": {"learner": "sac"},
}
SEEDS, STEPS = 11, 3_000_000
EXPERT = 3000.0
INTERVAL = 0.25
"""Seconds between two looks at the memory."""
_GRADIENTS = [f"{n}_gradient_{m}" for n in ("actor", "critic", "discriminator") for m in ("max", "norm")]
_SHARES = ["expert_probability_expert", "expert_probability_policy", "outlier_share", "filtered_share"]
_OTHERS = [
    *("episode_return", "episode_length", "actor_preactivation", "critic_loss", "discriminator_action_slope"),
    *("discriminator_loss", "expert_logit_q05", "expert_logit_q50", "expert_logit_q95", "expert_term_weight"),
    *("policy_logit_q05", "policy_logit_q50", "policy_logit_q95", "q_action_slope", "q_mean"),
    *("reward_max", "reward_mean", "reward_min"),
]


def write_run(folder: Path, config: RunConfig, number: int) -> int:
    """A run as training writes it, a part an evaluation interval; every third seed dies. How many rows."""
    run_folder.create(folder, config, {"return_mean": EXPERT, "episodes": 25, "sha256": config.environment}, "made up")
    random = np.random.default_rng(number)
    rounds, seeds = config.rounds, np.array(config.seed_numbers)
    death = np.where(seeds % 3 == 0, random.integers(rounds // 20, rounds, len(seeds)), rounds)
    crossings = np.arange(rounds + 1) * config.steps_per_round // config.evaluation_interval
    edges = np.unique([0, *np.flatnonzero(np.diff(crossings)) + 1, rounds])
    for index, (begin, end) in enumerate(itertools.pairwise(edges)):
        shape = (len(seeds), end - begin)
        each = np.broadcast_to(np.arange(begin, end), shape)
        dead = (each >= death[:, None]).ravel()
        columns: dict[str, np.ndarray] = {
            "seed": np.repeat(seeds, end - begin).astype(np.int32),
            "round": each.ravel().astype(np.int32),
            "step": (each.ravel() + 1).astype(np.int64) * config.steps_per_round,
        }
        for name in _GRADIENTS:
            columns[name] = np.where(dead & ("actor" in name), 0, random.lognormal(0, 1, dead.size)).astype(np.float32)
        for name in _SHARES:
            columns[name] = random.random(dead.size, np.float32)
        for name in _OTHERS:
            columns[name] = random.standard_normal(dead.size, np.float32)
        columns["action_saturation"] = dead.astype(np.float32)
        _write(folder / run_folder.METRICS, index, columns)
        rise = EXPERT * end / rounds * random.uniform(0.8, 1.0, len(seeds))
        returns = np.where(end > death, 20, rise).astype(np.float32)
        evaluations: dict[str, np.ndarray] = {
            "seed": seeds.astype(np.int32),
            "round": np.full(len(seeds), end - 1, np.int32),
            "step": np.full(len(seeds), end * config.steps_per_round, np.int64),
            "return_mean": returns,
            "occupancy_distance": 1 - returns / np.float32(2 * EXPERT),
            "action_error": random.random(len(seeds), np.float32),
            "failed": np.zeros(len(seeds), np.float32),
        }
        _write(folder / run_folder.EVALUATIONS, index, evaluations)
    (folder / run_folder.DONE).touch()
    return rounds * len(seeds)


def _write(folder: Path, index: int, columns: dict[str, np.ndarray]) -> None:
    pq.write_table(pa.table(columns), folder / f"part-{index:06d}.parquet", compression="zstd")


def write_runs(folder: Path, share: float) -> int:
    """All runs, with ``share`` of the steps; how many rows of metrics they have."""
    rows = 0
    for i, environment in enumerate(ENVIRONMENTS):
        for j, (name, settings) in enumerate(METHODS.items()):
            config = dataclasses.replace(
                preset("fast"), environment=environment, seeds=SEEDS, steps=int(share * STEPS), **settings
            )
            rows += write_run(folder / f"{environment}-{name}", config, i * len(METHODS) + j)
    return rows


def memory(process: int) -> int:
    """Resident bytes of a process and all that it has started (Linux); pages that two of them share count twice."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        started = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/children")]
    except (OSError, IndexError):
        # It has just ended.
        return 0
    return pages * resource.getpagesize() + sum(memory(int(each)) for found in started for each in found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_scale", description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of a whole study (default 1)")
    parser.add_argument("--scratch", type=Path, help="folder for the made-up runs (default: the system's)")
    parser.add_argument("--no-figures", action="store_true", help="the page alone, without image files")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="report-scale-", dir=chosen.scratch))
    try:
        rows = write_runs(folder / "runs", chosen.share)
        command = [sys.executable, "-m", "credo", "report", str(folder / "runs"), "--out", str(folder / "report")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        process = subprocess.Popen(command + ["--no-figures"] * chosen.no_figures, stdout=sys.stderr)
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode:
            return process.returncode
        page = folder / "report" / "report.html"
        found = {
            "rows": rows,
            "files": sum(1 for _ in (folder / "runs").rglob("*.parquet")),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1),
            "peak_gigabytes": round(peak / 1e9, 2),
            "page_megabytes": round(page.stat().st_size / 1e6, 1),
            "cores": os.cpu_count(),
            "load": [round(value, 1) for value in os.getloadavg()],
        }
        print(json.dumps(found))
        return 0
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
