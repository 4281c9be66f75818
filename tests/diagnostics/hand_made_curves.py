"""Curves of one seed whose verdict is known."""

from __future__ import annotations

import numpy as np

EXPERT = 3000.0
ROUND, INTERVAL, START = 64, 5_000, 1_000
RISING = [20, 300, 900, 1800, 2500, 2900, 2950, 2980]
DEAD = [20, 30, 12, -2, 39, 4, 7, -1]


def curves(returns, dead=(), seed=0, distance=None) -> tuple[dict, dict]:
    """A seed with an evaluation every 5,000 steps; ``dead`` lists (from, until) steps without gradient."""
    generator = np.random.default_rng(seed)
    evaluated = np.arange(1, len(returns) + 1) * INTERVAL
    step = np.arange(ROUND, len(returns) * INTERVAL + 1, ROUND)
    gradient = np.exp(generator.normal(-1, 0.7, len(step)))
    saturation = generator.uniform(0.05, 0.4, len(step))
    for begin, until in dead:
        gone = (step >= begin) & (step < until)
        gradient[gone], saturation[gone] = 0.0, 1.0
    gradient[step <= START] = saturation[step <= START] = np.nan
    metrics = {
        "step": step,
        "actor_gradient_max": gradient.astype(np.float32),
        "action_saturation": saturation.astype(np.float32),
        "critic_loss": np.where(step <= START, np.nan, 1.0).astype(np.float32),
        "filtered_share": np.full(len(step), np.nan, np.float32),
    }
    evaluations = {"step": evaluated, "return_mean": np.array(returns, np.float32)}
    if distance is not None:
        evaluations["occupancy_distance"] = np.array(distance, np.float32)
    return metrics, evaluations


def with_column(made, **columns) -> tuple[dict, dict]:
    metrics, evaluations = made
    return metrics, evaluations | {name: np.array(values, np.float32) for name, values in columns.items()}
