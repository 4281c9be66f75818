"""Measurements of Theorem 1, Corollary 1, Remark 1 and Proposition 1: each function returns rows of one CSV file."""

from __future__ import annotations

from typing import Any

import numpy as np

from credo.theory import limits
from credo.theory.discriminators import logit_shift
from credo.theory.events import exact_probability
from credo.theory.policies import (
    Norm,
    gradient_norm,
    log_grid_policy,
    policy_score,
    policy_with_means,
)
from credo.theory.tabular import action_grid, occupancy
from credo.theory.theorem import (
    corollary1_log_norms,
    corollary1_weight,
    exact_gradient,
    gradient_bound,
    log_ratio,
    occupancy_score,
    theorem1_log_norms,
    theorem1_weight,
    weighted_gradient,
)

Rows = list[dict[str, Any]]
DISPARITIES = (0.02, 0.05, 0.1, 0.2)
MULTIPLES = (1, 2, 3)
LEVELS = (1.0, 10.0, 100.0)
LIKELY = -20
"""log10 of the expert probability below which a grid pair counts as one that no data set holds."""
IMPERFECT = (0.5, -0.3)
"""(e1, e2) at which Corollary 1 is measured besides (0, 0)."""


def limit_curves(task: limits.Task, expert_deviation: float, sigmas: np.ndarray, norm: Norm = "rkhs") -> Rows:
    """Every norm against sigma: fixed and proportional disparity, averages, exact gradients, exceedances.

    ``log_value`` is a natural logarithm. ``regime`` is fixed (``parameter`` = disparity), proportional (disparity in
    standard deviations), averaged (over expert pairs) or exceedance (``parameter`` = level, value a probability).
    """
    expert = limits.expert_occupancy(task, expert_deviation)
    shift = float(logit_shift(*IMPERFECT))
    rows: Rows = []

    def add(sigma: float, quantity: str, regime: str, parameter: float, log_value: float) -> None:
        rows.append(
            {
                "expert_deviation": expert_deviation,
                "norm": norm,
                "sigma": float(sigma),
                "quantity": quantity,
                "regime": regime,
                "parameter": float(parameter),
                "log_value": float(log_value),
            }
        )

    for sigma in sigmas:
        point = limits.measure(task, float(sigma), expert, norm)
        imperfect = corollary1_log_norms(point.score, expert, task.gram, shift, norm)
        curves = {"theorem 1": point.theorem1, "corollary 1": point.corollary1, "corollary 1, imperfect": imperfect}
        for name, values in curves.items():
            for gap in DISPARITIES:
                add(sigma, name, "fixed", gap, limits.at_disparity(task, values, gap))
            for multiple in MULTIPLES:
                add(sigma, name, "proportional", multiple, limits.at_disparity(task, values, multiple * sigma))
            add(sigma, name, "averaged", 1, limits.log_expert_mean(values, expert))
            add(sigma, name + ", root mean square", "averaged", 2, limits.log_expert_mean(values, expert, 2.0))
            likely = np.where(expert.log_pair > LIKELY * np.log(10.0), values, -np.inf)
            add(sigma, name + ", likely pairs", "averaged", 1, limits.log_expert_mean(likely, expert))
            for level in LEVELS:
                with np.errstate(divide="ignore"):
                    add(sigma, name, "exceedance", level, np.log(limits.exceedance(values, expert, level)))
        for gap in DISPARITIES:
            add(sigma, "bound", "fixed", gap, np.log(gap / sigma**2))
        for multiple in MULTIPLES:
            add(sigma, "bound", "proportional", multiple, np.log(multiple / sigma))
        policy = limits.isotropic(task, task.policy_means, float(sigma))
        bound = np.linalg.norm(policy_score(policy, task.mdp.actions, "printed"), axis=-1)
        with np.errstate(divide="ignore"):
            add(sigma, "bound", "averaged", 1, limits.log_expert_mean(np.log(bound), expert))
            for level, value in zip(
                LEVELS, exact_probability("bound", task.mdp, policy, expert, np.array(LEVELS)), strict=True
            ):
                add(sigma, "bound", "exceedance", level, np.log(value))
            add(sigma, "exact gradient", "averaged", 1, np.log(point.exact))
            narrowing = narrowing_gradient(task, float(sigma), norm=norm)
            add(sigma, "exact gradient, expert as narrow", "proportional", 2, np.log(narrowing))
    return rows


def narrowing_gradient(task: limits.Task, sigma: float, multiple: int = 2, norm: Norm = "rkhs") -> float:
    """Norm of the exact gradient for an expert of spread sigma whose means are multiple*sigma away."""
    policy = limits.isotropic(task, task.policy_means, sigma)
    expert_policy = limits.isotropic(task, task.policy_means + multiple * sigma, sigma)
    expert = occupancy(task.mdp, log_grid_policy(expert_policy, task.mdp.actions))
    return gradient_norm(exact_gradient(occupancy_score(task.mdp, policy), expert), task.gram, norm)


def fitted_exponents(rows: Rows, window: float) -> Rows:
    """Growth exponents of every curve over sigma <= window, with standard errors; exceedances included.

    At fixed disparity the estimators follow exp(slope/sigma^2) sigma^exponent: both are fitted there, and
    ``predicted_slope`` is -disparity^2/2. ``local_exponent`` is that of the two smallest sigma alone.
    """
    keys = sorted({(r["expert_deviation"], r["norm"], r["quantity"], r["regime"], r["parameter"]) for r in rows})
    fits: Rows = []
    for key in keys:
        chosen = [
            r
            for r in rows
            if (r["expert_deviation"], r["norm"], r["quantity"], r["regime"], r["parameter"]) == key
            and r["sigma"] <= window
            and np.isfinite(r["log_value"])
        ]
        if len(chosen) < 3:
            continue
        sigma = np.array([r["sigma"] for r in chosen])
        value = np.array([r["log_value"] for r in chosen])
        row = dict(zip(("expert_deviation", "norm", "quantity", "regime", "parameter"), key, strict=True))
        row |= {"points": len(chosen), "smallest_sigma": float(sigma.min()), "largest_sigma": float(sigma.max())}
        row |= dict.fromkeys(("exponent", "standard_error", "local_exponent"))
        row |= dict.fromkeys(("slope_in_inverse_variance", "slope_standard_error", "predicted_slope"))
        if key[3] == "fixed" and key[2] != "bound":
            if len(chosen) < 4:
                continue
            slopes, errors = limits.fit_plane(np.stack([sigma**-2.0, np.log(sigma)], axis=1), value)
            row |= {"slope_in_inverse_variance": slopes[0], "slope_standard_error": errors[0]}
            row |= {"predicted_slope": -0.5 * key[4] ** 2, "exponent": slopes[1], "standard_error": errors[1]}
        else:
            fit = limits.fit_power(sigma, value)
            last = np.argsort(sigma)[:2]
            row |= {"exponent": fit.exponent, "standard_error": fit.standard_error}
            row |= {"local_exponent": float(np.diff(value[last])[0] / np.diff(np.log(sigma[last]))[0])}
        fits.append(row)
    return fits


def phase_diagram(task: limits.Task, expert_deviation: float, sigmas: np.ndarray, disparities: np.ndarray) -> Rows:
    """log10 norm of Theorem 1's estimator, and of the bound's quantity, over (sigma, disparity)."""
    expert = limits.expert_occupancy(task, expert_deviation)
    rows: Rows = []
    for sigma in sigmas:
        point = limits.measure(task, float(sigma), expert)
        for gap in disparities:
            rows.append(
                {
                    "sigma": float(sigma),
                    "disparity": float(gap),
                    "log10_estimator": limits.at_disparity(task, point.theorem1, float(gap)) / np.log(10),
                    "log10_bound": float(np.log10(gap / sigma**2)),
                }
            )
    return rows


def estimator_distribution(task: limits.Task, expert_deviation: float, sigmas: np.ndarray, levels: np.ndarray) -> Rows:
    """Pr over expert pairs that the norm of Theorem 1's estimator exceeds 10^level, exactly."""
    expert = limits.expert_occupancy(task, expert_deviation)
    rows: Rows = []
    for sigma in sigmas:
        norms = limits.measure(task, float(sigma), expert).theorem1 / np.log(10)
        weights = np.exp(expert.log_pair)
        rows += [
            {"sigma": float(sigma), "log10_norm": float(x), "probability": float(weights[norms >= x].sum())}
            for x in levels
        ]
    return rows


def printed_jacobian_error(seed: int, ratios: np.ndarray, edges: np.ndarray, spacing: float = 0.01) -> Rows:
    """Relative error of the printed H_h against the grid's Jacobian, over sigma/spacing and distance to the edge.

    One state, actions in [-1, 1]; error in the Frobenius norm over the action grid. ``edges`` are distances of the mean
    from the edge in standard deviations (inf: in the middle). The mean is not on a grid point.
    """
    actions = action_grid(round(2 / spacing))
    offset = np.random.default_rng(seed).uniform(0.2, 0.4) * spacing
    rows: Rows = []
    for ratio in ratios:
        sigma = float(ratio) * spacing
        for edge in edges:
            mean = offset if np.isinf(edge) else 1.0 - float(edge) * sigma
            if mean < 0:
                continue
            policy = policy_with_means(np.array([[mean]]), np.eye(1), sigma**2 * np.eye(1))
            probability = np.exp(log_grid_policy(policy, actions))[..., None]
            exact = probability * policy_score(policy, actions, "grid")
            printed = probability * policy_score(policy, actions, "printed")
            scale = np.linalg.norm(exact)
            # Below about a tenth of a spacing one grid point holds all mass and the exact Jacobian vanishes.
            error = float(np.linalg.norm(printed - exact) / scale) if scale > 0 else float("inf")
            rows.append({"sigma_in_spacings": float(ratio), "edge_in_sigmas": float(edge), "relative_error": error})
    return rows


def theorem_against_corollary(task: limits.Task, expert_deviation: float, sigmas: np.ndarray) -> Rows:
    """Corollary 1 at e1 = e2 = 0 against 2 * Theorem 1 - log 2 * grad rho_h / rho_E, and both means over the expert."""
    expert = limits.expert_occupancy(task, expert_deviation)
    rows: Rows = []
    for sigma in sigmas:
        score = occupancy_score(task.mdp, limits.isotropic(task, task.policy_means, float(sigma)))
        log_u = log_ratio(expert, score.occupancy)
        weights = np.exp(expert.log_pair)
        seen = weights > 0
        first = np.where(seen, theorem1_weight(np.minimum(log_u, 600.0)), 0.0)
        second = corollary1_weight(log_u)
        gap = np.abs(second - (2 * first - np.log(2) * np.exp(np.minimum(log_u, 600.0))))
        relative = gap / np.maximum(1.0, np.exp(np.minimum(log_u, 600.0)))
        exact = exact_gradient(score, expert)
        mean_first = weighted_gradient(score, weights * first)
        mean_second = weighted_gradient(score, weights * second)
        rows.append(
            {
                "sigma": float(sigma),
                "largest_relative_gap": float(relative[seen].max()),
                "exact_gradient_norm": gradient_norm(exact, task.gram),
                "mean_theorem1_minus_exact": gradient_norm(mean_first - exact, task.gram),
                "mean_corollary1_minus_twice_exact": gradient_norm(mean_second - 2 * exact, task.gram),
                "mean_norm_theorem1": float(
                    np.exp(limits.log_expert_mean(theorem1_log_norms(score, expert, task.gram), expert))
                ),
                "mean_norm_corollary1": float(
                    np.exp(limits.log_expert_mean(corollary1_log_norms(score, expert, task.gram), expert))
                ),
            }
        )
    return rows


def remark1_fixed_sigma(task: limits.Task, sigma: float, expert_deviations: np.ndarray) -> Rows:
    """At one fixed Sigma, experts of ever smaller spread: largest and mean estimator norm, exact gradient."""
    rows: Rows = []
    # The bound is proved for the gradient on the grid, where d rho_h/dh sums to zero.
    bound = gradient_bound(occupancy_score(task.mdp, limits.isotropic(task, task.policy_means, sigma)), task.gram)
    for deviation in expert_deviations:
        expert = limits.expert_occupancy(task, float(deviation))
        point = limits.measure(task, sigma, expert)
        rows.append(
            {
                "sigma": sigma,
                "expert_deviation": float(deviation),
                "log10_largest_theorem1": float(np.max(point.theorem1) / np.log(10)),
                "log10_largest_corollary1": float(np.max(point.corollary1) / np.log(10)),
                "mean_norm_theorem1": float(np.exp(limits.log_expert_mean(point.theorem1, expert))),
                "log10_root_mean_square_theorem1": float(
                    limits.log_expert_mean(point.theorem1, expert, 2.0) / np.log(10)
                ),
                "exact_gradient_norm": point.exact,
                "gradient_bound": bound,
                "probability_norm_above_1": limits.exceedance(point.theorem1, expert, 1.0),
            }
        )
    return rows


def exponents_by_task(seeds: range, grids: dict[int, int], expert_deviation: float = 0.3) -> Rows:
    """The main exponents on several random tasks and in one and more action dimensions A (``grids``: A to points).

    ``predicted``: what scaling gives for u ~ sigma^-A, see docs/theory.md, without logarithms.
    """
    rows: Rows = []
    for dimensions, grid in grids.items():
        predicted = {
            "theorem 1 at one standard deviation": -(dimensions + 1.0),
            "theorem 1, mean norm over expert": -1.0,
            "theorem 1, root mean square over expert": -(dimensions / 2 + 1.0),
            "corollary 1 at one standard deviation": -1.0,
            "corollary 1, mean norm over expert": dimensions - 1.0,
            "corollary 1, root mean square over expert": dimensions / 2 - 1.0,
            "exact gradient, expert of fixed spread": float(dimensions),
            "exact gradient, expert as narrow": -1.0,
        }
        for seed in seeds:
            task = limits.make_task(seed, states=5 if dimensions == 1 else 3, grid=grid, dimensions=dimensions)
            expert = limits.expert_occupancy(task, expert_deviation)
            sigmas = limits.deviations(task, 7, largest=16 * task.spacing)
            values: dict[str, list[float]] = {name: [] for name in predicted}
            for sigma in sigmas:
                point = limits.measure(task, float(sigma), expert)
                for name, norms in (("theorem 1", point.theorem1), ("corollary 1", point.corollary1)):
                    values[f"{name} at one standard deviation"].append(limits.at_disparity(task, norms, float(sigma)))
                    values[f"{name}, mean norm over expert"].append(limits.log_expert_mean(norms, expert))
                    values[f"{name}, root mean square over expert"].append(limits.log_expert_mean(norms, expert, 2.0))
                values["exact gradient, expert of fixed spread"].append(float(np.log(point.exact)))
                values["exact gradient, expert as narrow"].append(float(np.log(narrowing_gradient(task, float(sigma)))))
            for name, logs in values.items():
                fit = limits.fit_power(sigmas, np.array(logs))
                rows.append(
                    {
                        "dimensions": dimensions,
                        "seed": seed,
                        "quantity": name,
                        "exponent": fit.exponent,
                        "standard_error": fit.standard_error,
                        "predicted": predicted[name],
                        "smallest_sigma": float(sigmas.min()),
                        "largest_sigma": float(sigmas.max()),
                    }
                )
    return rows
