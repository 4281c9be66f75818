"""Recorded runs against the exact deterministic policy gradient.

Reads the Parquet parts of a run's metrics. What the theory says about them:

- the direct part of grad_a Q is r'(l) grad_a l: its size is the reward's slope times ``discriminator_action_slope``.
  For ``plr`` the mean of r' over policy samples is exactly ``expert_probability_policy`` (r' = D), for ``cr`` it is 1;
  for the other rewards r' is taken at the logit of the mean D. The product of the two means assumes that reward slope
  and discriminator slope are uncorrelated over a batch;
- the future part has no bound in these columns. The ratio ``q_action_slope`` / direct part shows what the critic adds;
  1/(1 - discount) stands beside it as the size that coherent accumulation over a horizon would have;
- the actor's gradient is grad_a Q through the actor's Jacobian, whose tanh has a slope of at most 0.02 where an action
  component counts as at a bound: what those give is small and dies out further on, what the others give does not;
- Theorem 1's route would tie large gradients to P(expert) near one; the columns ``at_peak`` show what was there.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from credo.files import read_json
from credo.run_rows import read_parts
from credo.theory.discriminators import REWARDS, reward_slope
from credo.theory.limits import fit_line
from credo.types import CredoError

SATURATED = 0.9
"""Share of action components at a bound past which a round counts as saturated."""
OUTLIER_PROBABILITY = 1.0 - float(np.exp(-5.0))
"""The paper's alpha at c = 5."""
PREDICTORS = (
    "q_action_slope",
    "predicted_direct_slope",
    "discriminator_action_slope",
    "expert_logit_q95",
    "expert_probability_expert",
    "action_saturation",
)


def read_metrics(run: Path) -> dict[str, np.ndarray]:
    """All metrics of a run folder as float64 columns, ordered by seed and step; CredoError where there are none."""
    if not run.is_dir():
        wrong = "is not a folder" if run.exists() else "does not exist"
        raise CredoError(f"runs: {run} {wrong}; the folder of a run is needed")
    columns = read_parts(run, "metrics")
    if not columns:
        raise CredoError(f"runs: {run} has no metrics/*.parquet; the folder of a run is needed")
    return {name: values.astype(np.float64) for name, values in columns.items()}


def recorded_settings(run: Path) -> tuple[str | None, float | None, float | None]:
    """(reward name, discount, reward factor) from the run's config.json, None for what it does not say."""
    if not (run / "config.json").exists():
        return None, None, None
    tree = read_json(run / "config.json")

    def find(node: Any, key: str, kind: Any) -> Any:
        if isinstance(node, dict):
            # JSON writes whole numbers without a point, and Python takes true for one.
            if isinstance(node.get(key), kind) and not isinstance(node[key], bool):
                return node[key]
            for child in node.values():
                found = find(child, key, kind)
                if found is not None:
                    return found
        return None

    learner = find(tree, "learner", str)
    used = find(tree, str(learner), dict) or tree
    return find(tree, "reward", str), find(used, "discount", int | float), find(tree, "reward_factor", int | float)


def predicted_direct_slope(columns: dict[str, np.ndarray], reward: str, factor: float = 1.0) -> np.ndarray:
    """r'(l) * |grad_a l| on policy samples, [rows], in the units that the critic learns in: times ``factor``, over the
    running deviation of rewards where a run records one. A clip and CREDO's cap, which cut single rewards, are left
    out. NaN where a column is missing."""
    rows = len(columns["seed"])
    probability = columns.get("expert_probability_policy", np.full(rows, np.nan))
    slope = columns.get("discriminator_action_slope", np.full(rows, np.nan))
    inside = np.clip(probability, 1e-12, 1.0 - 1e-12)
    units = factor / columns.get("reward_scale", np.ones(rows))
    return reward_slope(reward, np.log(inside) - np.log1p(-inside)) * slope * units


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    keep = np.isfinite(x) & np.isfinite(y)
    if keep.sum() < 5 or np.ptp(x[keep]) == 0 or np.ptp(y[keep]) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(stats.spearmanr(x[keep], y[keep]).statistic)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _statistic(function: Any, values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(function(finite)) if len(finite) else None


def _lost_rounds(gradient: np.ndarray) -> np.ndarray:
    """Whether the gradient was infinite or no number, by round; NaN counts once there has been a number, since before
    learning starts there is none."""
    return ~np.isfinite(gradient) & np.maximum.accumulate(~np.isnan(gradient))


def compare_run(run: Path) -> list[dict[str, Any]]:
    """One row per seed: observed slopes, logit growth and saturation beside what the exact theory predicts.

    Columns missing from the run give None. A run whose config.json does not say has the reward ``plr`` and the discount
    0.99. Keys: see ``docs/theory.md``, section "Recorded runs".
    """
    columns = read_metrics(run)
    reward, discount, factor = recorded_settings(run)
    name = "plr" if reward in (None, "plr-literal") else str(reward)
    if name not in REWARDS:
        raise CredoError(f"runs: {run}: no slope is known of reward {name!r}; one of {', '.join(REWARDS)} expected")
    gamma = 0.99 if discount is None else discount
    if not 0 <= gamma < 1:
        raise CredoError(f"runs: {run}: a discount of {gamma} is not possible; it must be at least 0 and below 1")
    factor = 1.0 if factor is None else factor
    columns["predicted_direct_slope"] = predicted_direct_slope(columns, name, factor)
    return [_seed_row(columns, columns["seed"] == seed, name, gamma) for seed in np.unique(columns["seed"])]


def _seed_row(columns: dict[str, np.ndarray], mine: np.ndarray, reward: str, discount: float) -> dict[str, Any]:
    absent = np.full(int(mine.sum()), np.nan)

    def column(name: str) -> np.ndarray:
        return columns[name][mine] if name in columns else absent

    step, gradient = column("step"), column("actor_gradient_norm")
    if np.isnan(gradient).all():
        gradient = column("actor_gradient_max")
    direct, critic_slope = column("predicted_direct_slope"), column("q_action_slope")
    saturation = column("action_saturation")
    row: dict[str, Any] = {
        "seed": int(columns["seed"][mine][0]),
        "reward": reward,
        "rounds": int(mine.sum()),
        "last_step": int(step[-1]),
    }
    median_logit = column("expert_logit_q50")
    seen = np.isfinite(median_logit)
    enough = seen.sum() >= 3 and np.ptp(step[seen]) > 0
    row["expert_logit_growth_per_1000_steps"] = fit_line(step[seen] / 1000, median_logit[seen])[0] if enough else None
    row["expert_logit_q95_max"] = _statistic(np.max, column("expert_logit_q95"))
    row["discriminator_action_slope_median"] = _statistic(np.median, column("discriminator_action_slope"))
    row["discriminator_action_slope_max"] = _statistic(np.max, column("discriminator_action_slope"))
    row["predicted_direct_slope_median"] = _statistic(np.median, direct)
    row["predicted_direct_slope_max"] = _statistic(np.max, direct)
    row["q_action_slope_median"] = _statistic(np.median, critic_slope)
    row["q_action_slope_max"] = _statistic(np.max, critic_slope)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = critic_slope / direct
    row["critic_over_direct_median"] = _statistic(np.median, ratio)
    row["critic_over_direct_max"] = _statistic(np.max, ratio)
    row["horizon"] = 1.0 / (1.0 - discount)
    row["share_of_rounds_beyond_horizon"] = _statistic(
        np.mean, np.where(np.isfinite(ratio), ratio > row["horizon"], np.nan)
    )
    lost = _lost_rounds(gradient)
    row["non_finite_rounds"] = None if np.isnan(gradient).all() else int(lost.sum())
    row["first_non_finite_step"] = int(step[np.argmax(lost)]) if lost.any() else None
    row["actor_gradient_max"] = _statistic(np.max, column("actor_gradient_max"))
    if np.isfinite(gradient).any():
        peak = int(np.nanargmax(np.where(np.isfinite(gradient), gradient, -np.inf)))
        row["peak_gradient"] = float(gradient[peak])
        row["peak_over_median"] = _finite(
            gradient[peak] / np.median(gradient[np.isfinite(gradient)])
            if np.median(gradient[np.isfinite(gradient)]) > 0
            else np.nan
        )
        row["peak_step"] = int(step[peak])
        for name in (
            "expert_probability_expert",
            "expert_logit_q95",
            "action_saturation",
            "discriminator_action_slope",
        ):
            row[f"{name}_at_peak"] = _finite(column(name)[peak])
        at_peak = row["expert_probability_expert_at_peak"]
        row["peak_past_outlier_threshold"] = None if at_peak is None else bool(at_peak >= OUTLIER_PROBABILITY)
    row["final_saturation"] = _statistic(lambda x: x[-1], saturation)
    past = np.flatnonzero(saturation >= SATURATED)
    row["first_saturated_step"] = int(step[past[0]]) if len(past) else None
    inside = np.isfinite(saturation) & np.isfinite(gradient)
    row["gradient_median_saturated"] = _statistic(np.median, gradient[inside & (saturation >= SATURATED)])
    row["gradient_median_unsaturated"] = _statistic(np.median, gradient[inside & (saturation < SATURATED)])
    for name in PREDICTORS:
        row[f"rank_correlation_{name}"] = _rank_correlation(gradient, column(name))
    return row
