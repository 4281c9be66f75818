"""Measurements of CREDO's property E.2, of Proposition 2 and of real discriminators: rows of one CSV file each."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from credo.theory import estimation, limits
from credo.theory.credo_property import check_property, rounds_of_filtering
from credo.theory.discriminators import log_ratio_bound, optimal_logit, outliers, reward, solve_errors
from credo.theory.policies import log_grid_policy
from credo.theory.tabular import occupancy
from credo.theory.theorem import occupancy_score, theorem1_log_norms

Rows = list[dict[str, Any]]
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


def outlier_intervals(c: np.ndarray) -> Rows:
    """Definition 2's alpha and beta, and both density-ratio bounds of E.2, against c."""
    found = outliers(c)
    return [
        {
            "c": float(value),
            "alpha": float(found.alpha[i]),
            "beta": float(found.beta[i]),
            "width_alpha": float(found.width_alpha[i]),
            "width_beta": float(found.width_beta[i]),
            "difference": float(found.difference[i]),
            "logit_plr": reward("plr").logit_of(float(value)),
            "logit_cr": float(value),
            "log_ratio_bound_plr": log_ratio_bound(float(value), "plr"),
            "log_ratio_bound_cr": log_ratio_bound(float(value), "cr"),
        }
        for i, value in enumerate(c)
    ]


def outlier_mass(task: limits.Task, expert_deviation: float, sigmas: np.ndarray, c: np.ndarray) -> Rows:
    """Proposition 2 weighed: the expert probability of [alpha, 1], of [beta, 1] and between, at Eq. 9's optimum."""
    expert = limits.expert_occupancy(task, expert_deviation)
    weights = np.exp(expert.log_pair)
    rows: Rows = []
    for sigma in sigmas:
        policy = limits.isotropic(task, task.policy_means, float(sigma))
        logit = optimal_logit(expert, occupancy(task.mdp, log_grid_policy(policy, task.mdp.actions)))
        for value in c:
            past_plr = float(weights[logit >= reward("plr").logit_of(float(value))].sum())
            past_cr = float(weights[logit >= float(value)].sum())
            rows.append(
                {
                    "sigma": float(sigma),
                    "c": float(value),
                    "past_alpha": past_plr,
                    "past_beta": past_cr,
                    "between": past_plr - past_cr,
                }
            )
    return rows


def property_rows(task: limits.Task, expert_deviation: float, sigma: float, c: np.ndarray, distance: float) -> Rows:
    """E.2 at each threshold for both rewards, and what filtering does to Theorem 1's estimator over expert pairs."""
    expert = limits.expert_occupancy(task, expert_deviation)
    policy = limits.isotropic(task, task.policy_means, sigma)
    score = occupancy_score(task.mdp, policy)
    norms = theorem1_log_norms(score, expert, task.gram)
    distances = np.linalg.norm(task.mdp.actions[None] - task.policy_means[:, None], axis=-1)
    weights = np.exp(expert.log_pair)
    whole = float(np.sum(weights * np.exp(norms)))
    rows: Rows = []
    for name in ("plr", "cr"):
        for value in c:
            found = check_property(expert, score.occupancy, distances, distance, float(value), name)._asdict()
            kept = found.pop("kept")
            rows.append(
                {
                    "reward": name,
                    "sigma": sigma,
                    "expert_deviation": expert_deviation,
                    "distance": distance,
                    **found,
                    "share_of_mean_norm_kept": float(np.sum((weights * np.exp(norms))[kept]) / whole),
                    "log10_largest_norm_all": float(norms[weights > 0].max() / np.log(10)),
                    "log10_largest_norm_kept": float(norms[kept & (weights > 0)].max() / np.log(10))
                    if kept.any()
                    else None,
                }
            )
    return rows


def filtering_rounds(task: limits.Task, expert_deviation: float, sigma: float, c: float, rounds: int) -> Rows:
    """Filter, train to the optimum, filter again, with the policy held fixed; per reading of "update with D_clip"."""
    expert = limits.expert_occupancy(task, expert_deviation)
    policy = occupancy(task.mdp, log_grid_policy(limits.isotropic(task, task.policy_means, sigma), task.mdp.actions))
    weights = np.exp(expert.log_pair)
    threshold = reward("plr").logit_of(c)
    outlying = optimal_logit(expert, policy) >= threshold
    rows: Rows = []
    for reading in ("retained", "batch", "rescored"):
        for index, found in enumerate(rounds_of_filtering(expert, policy, threshold, reading, rounds)):
            value = reward("plr").value(found.logit)
            rows.append(
                {
                    "reading": reading,
                    "round": index,
                    "c": c,
                    "sigma": sigma,
                    "expert_deviation": expert_deviation,
                    "retained_mass": found.retained_mass,
                    "mean_reward_on_outliers": _mean(value, weights * outlying),
                    "mean_reward_on_the_rest": _mean(value, weights * ~outlying),
                    "past_threshold": float(weights[found.logit >= threshold].sum()),
                }
            )
    return rows


def _mean(values: np.ndarray, weights: np.ndarray) -> float | None:
    total = weights.sum()
    return float(np.sum(values * weights) / total) if total > 0 else None


CASES = {
    # name: (expert deviation, policy's offset in the mean action, policy deviation)
    "wide expert, close": (0.3, 0.1, 0.3),
    "wide expert, apart": (0.3, 0.5, 0.1),
    "narrow expert, close": (0.01, 0.02, 0.1),
    "narrow expert, apart": (0.01, 0.5, 0.1),
}


def estimate_errors(seed: int, steps: tuple[int, ...], count: int, cases: tuple[str, ...] = tuple(CASES)) -> Rows:
    """Train the paper's discriminator on a point mass of known densities; solve Eq. 13 for (e1, e2) at held-out pairs.

    ``steps`` are the training steps at which it is measured, ``count`` the pairs per data set. One row per case, step
    and side (expert or policy samples): quantiles of the shift, of e1 and e2 under the three ways of resolving them, of
    the logit and of the logit's slope in the action beside the exact ones.
    """
    task = estimation.point_mass_task()
    gain = np.array([[-1.0, -1.2]])
    rows: Rows = []
    for case in cases:
        expert_deviation, offset, deviation = CASES[case]
        generator = np.random.default_rng([seed, list(CASES).index(case)])
        expert = estimation.LinearPolicy(gain, np.zeros(1), expert_deviation)
        policy = estimation.LinearPolicy(0.8 * gain, np.array([offset]), deviation)
        data = {}
        for side, source in (("expert", expert), ("policy", policy)):
            data[side] = np.concatenate(estimation.sample_pairs(task, source, count, generator), axis=1)
        networks = estimation.train_discriminator(
            data["expert"], data["policy"], max(steps), generator, checkpoints=steps
        )
        for side, source in (("expert", expert), ("policy", policy)):
            states, actions = estimation.sample_pairs(task, source, 2000, generator)
            optimal = estimation.log_occupancy_density(task, expert, states, actions)
            optimal -= estimation.log_occupancy_density(task, policy, states, actions)
            exact_slope = np.abs(_policy_slope(expert, states, actions) - _policy_slope(policy, states, actions))
            inputs = np.concatenate([states, actions], axis=1)
            for step, network in networks.items():
                rows.append(
                    {"case": case, "expert_deviation": expert_deviation, "offset": offset, "step": step, "side": side}
                    | _summary(network, inputs, optimal, exact_slope)
                )
    return rows


def _policy_slope(policy: estimation.LinearPolicy, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """d log pi(a|s) / da, [N, A]."""
    return -(actions - states @ policy.gain.T - policy.offset) / policy.deviation**2


def _summary(
    network: estimation.Network, inputs: np.ndarray, optimal: np.ndarray, exact_slope: np.ndarray
) -> dict[str, float]:
    logit = estimation.network_logit(network, inputs)
    slope = np.abs(estimation.network_slope(network, inputs)[:, 2:])
    row: dict[str, float] = {"expert_probability": float(np.mean(special.expit(logit)))}
    columns = {"logit": logit, "optimal_logit": optimal, "slope": slope, "exact_slope": exact_slope}
    shift = np.quantile(logit - optimal, QUANTILES)
    for name, values in columns.items():
        row |= {f"{name}_{label(q)}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}
    # e1 and e2 rise with the shift, so their quantiles are those of the shift, solved.
    for name, values in solve_errors(shift, np.zeros_like(shift))._asdict().items():
        row |= {f"{name}_{label(q)}": float(v) for q, v in zip(QUANTILES, values, strict=True)}
    row["share_within_half"] = float(np.mean(np.abs(solve_errors(logit, optimal).symmetric) <= 0.5))
    return row


def label(quantile: float) -> str:
    """Column suffix of a quantile: q00, q05, ..., q100."""
    return f"q{round(100 * quantile):02d}"
