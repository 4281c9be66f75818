"""Made-up run folders: one seed's curves are rows of plain numbers, so every expected value is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from credo import run_folder, run_rows
from credo.config import RunConfig

STEPS, INTERVAL, START = 12_800, 1_280, 1_000
LEVELS = {"healthy": 2900.0, "weak": 800.0, "dead": 20.0, "broken": 2000.0}


def rows(seed: int, fate: str, adversarial: bool, q: float | None = None) -> tuple[list[dict], list[dict]]:
    """Metrics and evaluations of a seed: healthy, weak, dead (no gradient from step 2,000), broken (NaN at 9,600).
    ``q``: what its critic says, at a reward of 0.1."""
    generator = np.random.default_rng(seed)
    metrics, evaluations = [], []
    for number in range(STEPS // 64):
        step = (number + 1) * 64
        dead, learning = fate == "dead" and step >= 2_000, step > START
        row = {
            "actor_gradient_max": 0.0 if dead else float(generator.uniform(0.2, 2)),
            "action_saturation": 1.0 if dead else 0.25,
            "critic_loss": float("nan") if fate == "broken" and step == 9_600 else 2.0,
            "q_mean": -step / 1_000,
        }
        if q is not None:
            row |= {"q_mean": q, "reward_mean": 0.1}
        if adversarial:
            row |= {
                "expert_probability_expert": 0.98 if dead else 0.75,
                "expert_probability_policy": 0.1,
                "outlier_share": 0.4,
                "filtered_share": 0.3,
            }
        row = row if learning else dict.fromkeys(row, float("nan"))
        metrics.append({"seed": seed, "round": number, "step": step} | row)
        if fate == "broken" and step >= 9_600:
            break
    for step in range(INTERVAL, STEPS + 1, INTERVAL):
        failed = fate == "broken" and step >= 9_600
        progress = 1.0 if fate == "dead" else step / STEPS
        row = {
            "return_mean": LEVELS[fate] * progress,
            "occupancy_distance": 1 - LEVELS[fate] * progress / 3000 if adversarial else float("nan"),
            "demonstration_distance": 0.0625 if adversarial else float("nan"),
            "success_rate": float("nan"),
        }
        row = dict.fromkeys(row, float("nan")) if failed else row
        evaluations.append({"seed": seed, "round": step // 64, "step": step, "failed": float(failed)} | row)
    return metrics, evaluations


def make_run_at(
    folder: Path,
    fates: tuple[str, ...],
    expert: float | None = 3000.0,
    qs: tuple[float | None, ...] = (),
    **settings,
) -> Path:
    """A run folder with one seed for each fate; none: nothing is recorded yet."""
    adversarial = settings.get("reward", "plr") != "environment"
    config = dataclasses.replace(RunConfig(), **{"steps": STEPS, "seeds": max(len(fates), 1)} | settings)
    run_folder.create(folder, config, {"return_mean": expert} if adversarial else {}, "credo imitate")
    metrics, evaluations = [], []
    for seed, fate in enumerate(fates):
        of_seed = rows(seed, fate, adversarial, qs[seed] if qs else None)
        metrics += of_seed[0]
        evaluations += of_seed[1]
    if fates:
        run_rows.write_part(folder, run_folder.METRICS, 0, metrics)
        run_rows.write_part(folder, run_folder.EVALUATIONS, 0, evaluations)
    return folder


def tell(folder: Path, **columns: np.ndarray) -> None:
    """Write a run's evaluations anew, with these columns in place of its own."""
    rewrite(folder, run_folder.EVALUATIONS, run_rows.read_parts(folder, run_folder.EVALUATIONS) | columns)


def rewrite(folder: Path, kind: str, columns: dict[str, np.ndarray]) -> None:
    """Write these rows in place of a run's own."""
    for path in run_rows.part_paths(folder, kind):
        path.unlink()
    run_rows.write_part(folder, kind, 0, as_rows(columns))


def cut(folder: Path, seed: int, step: int) -> None:
    """Take away what a seed has done beyond a step."""
    for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
        columns = run_rows.read_parts(folder, kind)
        kept = (columns["seed"] != seed) | (columns["step"] <= step)
        rewrite(folder, kind, {name: column[kept] for name, column in columns.items()})


def as_rows(columns: dict[str, np.ndarray]) -> list[dict]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
