"""Measurements of the deterministic policy gradient under the eight rewards: each function returns rows of one CSV."""

from __future__ import annotations

from typing import Any

import numpy as np

from credo.theory import deterministic as dpg
from credo.theory import limits
from credo.theory.credo_property import filtered_optimum
from credo.theory.discriminators import REWARDS, reward, reward_slope
from credo.theory.events import exact_probability
from credo.theory.policies import gradient_norm, log_grid_policy
from credo.theory.tabular import Occupancy, action_values
from credo.theory.theorem import occupancy_score, weighted_gradient

Rows = list[dict[str, Any]]
PARTS = ("direct", "future", "total")
"""Of the deterministic gradient."""
REPLAY_DEVIATION = 0.3
"""Spread of the replay's actions where nothing else is said, of an action range of 2."""


def on_path(task: limits.Task, share: float) -> np.ndarray:
    """Actions [S, A] at this share of the way from the policy's means (0) to the expert's (1)."""
    return task.policy_means + share * (task.expert_means - task.policy_means)


def norms(task: limits.Task, found: dpg.DeterministicGradient) -> dict[str, float]:
    """RKHS norms of the direct part, the future part and their sum."""
    return {name: gradient_norm(getattr(found, name), task.gram, "rkhs") for name in PARTS}


def rewards_against_logit(logits: np.ndarray) -> Rows:
    """All eight rewards and their slopes."""
    return [
        {
            "reward": name,
            "logit": float(x),
            "value": float(reward(name).value(np.asarray(x))),
            "slope": float(reward_slope(name, np.asarray(x))),
        }
        for name in REWARDS
        for x in logits
    ]


def steepness_sweep(task: limits.Task, steepness: np.ndarray) -> Rows:
    """Gradients as one smooth logit is multiplied by ``steepness``, where it is negative (-1) and positive (+1).

    Logit at h(s): +-1 in every state, slope the optimal discriminator's scaled to a largest norm of 1.
    """
    actions = task.policy_means
    at = dpg.optimal_discriminator(task, REPLAY_DEVIATION, actions, REPLAY_DEVIATION)(actions)
    slope = at.slope / np.max(np.linalg.norm(at.slope, axis=1))
    spread = np.linspace(0.75, 1.25, len(actions))
    rows: Rows = []
    for sign in (-1.0, 1.0):
        for factor in steepness:
            scaled = dpg.scaled(dpg.LogitAt(sign * spread, slope), float(factor))
            for name in REWARDS:
                found = norms(task, dpg.deterministic_gradient(task.smooth, actions, scaled, name))
                rows.append({"sign": sign, "steepness": float(factor), "reward": name, **found})
    return rows


def growth_fits(
    rows: Rows, by: tuple[str, ...], x: str, values: tuple[str, ...], window: tuple[float, float], exponential: int
) -> Rows:
    """Fit log(value) = rate * x^exponential + exponent * log x + constant within ``window``, per combination of ``by``.

    A power law has rate 0; exponential growth in x^exponential (1, or -2 for 1/x^2) has rate != 0. Standard errors
    measure departure from this form: the data carry no noise.
    """
    fits: Rows = []
    for key in sorted({tuple(r[b] for b in by) for r in rows}):
        chosen = [r for r in rows if tuple(r[b] for b in by) == key and window[0] <= r[x] <= window[1]]
        for value in values:
            with np.errstate(divide="ignore"):
                y = np.log(np.array([r[value] for r in chosen]))
            keep = np.isfinite(y)
            if keep.sum() < 4:
                continue
            at = np.array([r[x] for r in chosen])[keep]
            slopes, errors = limits.fit_plane(np.stack([at ** float(exponential), np.log(at)], axis=1), y[keep])
            power = limits.fit_power(at, y[keep])
            fits.append(
                dict(zip(by, key, strict=True))
                | {"of": value, "in": x, "rate": float(slopes[0]), "rate_error": float(errors[0])}
                | {"exponent": float(slopes[1]), "exponent_error": float(errors[1])}
                | {"power_law_alone": power.exponent, "power_law_error": power.standard_error, "points": power.points}
            )
    return fits


def narrow_expert_sweep(task: limits.Task, expert_deviations: np.ndarray, shares: np.ndarray) -> Rows:
    """The largest gradients at ``shares`` (0 to 1) of the way from policy to expert, under the optimal discriminator,
    by expert spread.

    The replay is Gaussian round the policy's means with REPLAY_DEVIATION.
    """
    rows: Rows = []
    for deviation in expert_deviations:
        discriminator = dpg.optimal_discriminator(task, float(deviation), task.policy_means, REPLAY_DEVIATION)
        points = [on_path(task, float(share)) for share in shares]
        logits = [discriminator(actions) for actions in points]
        for name in REWARDS:
            found = [
                norms(task, dpg.deterministic_gradient(task.smooth, actions, at, name))
                for actions, at in zip(points, logits, strict=True)
            ]
            largest = {part: max(f[part] for f in found) for part in PARTS}
            where = {part: float(shares[np.argmax([f[part] for f in found])]) for part in PARTS}
            rows.append(
                {
                    "expert_deviation": float(deviation),
                    "reward": name,
                    "total_at_policy": found[0]["total"],
                    **largest,
                    **{f"share_of_largest_{part}": share for part, share in where.items()},
                    "smallest_logit_at_policy": float(np.min(logits[0].logit)),
                }
            )
    return rows


def narrow_expert_fits(rows: Rows, window: tuple[float, float]) -> Rows:
    """Growth of the largest gradients with the expert's spread, fitted where their place is of one kind.

    Kept are spreads whose largest value lies short of the expert, since one at the end of the scan would grow further
    outside it, and, as at the smallest spread kept, at the policy itself or on the way.
    """
    fits: Rows = []
    for name in REWARDS:
        for part in PARTS:
            place = f"share_of_largest_{part}"
            inside = [r for r in rows if r["reward"] == name and r[place] < 1.0]
            if inside:
                at_policy = min(inside, key=lambda r: r["expert_deviation"])[place] == 0.0
                kept = [r for r in inside if (r[place] == 0.0) == at_policy]
                fits += growth_fits(kept, ("reward",), "expert_deviation", (part,), window, -2)
    return fits


def shift_sweep(task: limits.Task, shifts: np.ndarray) -> Rows:
    """Gradients at the policy as an imperfect discriminator (Eq. 13) adds ``shift`` = log((1+e1)/(1-e2)) to it."""
    at = dpg.optimal_discriminator(task, 0.2, task.policy_means, REPLAY_DEVIATION)(task.policy_means)
    rows: Rows = []
    for shift in shifts:
        imperfect = dpg.scaled(at, shift=float(shift))
        for name in REWARDS:
            found = norms(task, dpg.deterministic_gradient(task.smooth, task.policy_means, imperfect, name))
            rows.append({"shift": float(shift), "reward": name, "mean_logit": float(imperfect.logit.mean()), **found})
    return rows


def noise_sweep(task: limits.Task, expert_deviation: float, sigmas: np.ndarray, samples: int, seed: int) -> Rows:
    """Remark 2: exploration noise of deviation sigma; the discriminator is Eq. 9's for data collected with it.

    ``total`` at a = h(s) exactly; ``noisy_slope`` is the root mean square of the logit's slope at a = h(s) + noise (by
    ``samples`` draws), where critics are trained; ``theorem1_mean_norm`` is of Theorem 1's estimator over the expert.
    """
    generator = np.random.default_rng(seed)
    expert = limits.expert_occupancy(task, expert_deviation)
    c = np.array([1.0, 10.0])
    rows: Rows = []
    for sigma in sigmas:
        sigma = float(sigma)
        actions = task.policy_means
        at = dpg.optimal_discriminator(task, expert_deviation, actions, sigma)(actions)
        noise = sigma * generator.normal(size=(samples, *actions.shape))
        noisy = noise / sigma**2 - (noise + actions - task.expert_means) / expert_deviation**2
        policy = limits.isotropic(task, actions, sigma)
        xi, xi1 = (exact_probability(e, task.mdp, policy, expert, c) for e in ("xi", "xi1"))
        point = limits.measure(task, sigma, expert)
        shared = {
            "sigma": sigma,
            "slope_at_mean": float(np.max(np.linalg.norm(at.slope, axis=1))),
            "noisy_slope": float(np.sqrt(np.mean(np.sum(noisy**2, axis=-1)))),
            "largest_logit_at_mean": float(at.logit.max()),
            "probability_xi_c1": float(xi[0]),
            "probability_xi1_c1": float(xi1[0]),
            "probability_xi_c10": float(xi[1]),
            "probability_xi1_c10": float(xi1[1]),
            "theorem1_mean_norm": float(np.exp(limits.log_expert_mean(point.theorem1, expert))),
            "exact_js_gradient": point.exact,
        }
        for name in REWARDS:
            found = norms(task, dpg.deterministic_gradient(task.smooth, actions, at, name))
            rows.append({**shared, "reward": name, **found})
    return rows


def score_function_limit(task: limits.Task, sigmas: np.ndarray, name: str = "plr") -> Rows:
    """At one fixed smooth discriminator: score-function gradient against the deterministic one as sigma -> 0.

    ``gap`` is the norm of their difference, ``single`` the root mean square norm of the single-sample score-function
    estimator Q(s, a) grad log pi(a|s) over policy samples. No baseline is subtracted from Q.
    """
    means = task.policy_means
    at = dpg.optimal_discriminator(task, REPLAY_DEVIATION, means, REPLAY_DEVIATION)(means)
    exact = dpg.deterministic_gradient(task.smooth, means, at, name).total
    table, _, _ = dpg.optimal_table(task, REPLAY_DEVIATION, means, REPLAY_DEVIATION)
    rewards = reward(name).value(table.logit)
    rows: Rows = []
    for sigma in sigmas:
        policy = limits.isotropic(task, means, float(sigma))
        score = occupancy_score(task.mdp, policy)
        weights = np.exp(score.occupancy.log_pair)
        gradient = weighted_gradient(score, weights * (rewards - np.sum(weights * rewards)))
        values = action_values(task.mdp, np.exp(log_grid_policy(policy, task.mdp.actions)), rewards)
        # A sample's gradient is k(s, .) Q(s, a) score(s, a), whose norm has k(s, s) in it.
        squares = np.diag(task.gram)[:, None] * values**2 * np.sum(score.action**2, axis=-1)
        rows.append(
            {
                "sigma": float(sigma),
                "deterministic": gradient_norm(exact, task.gram),
                "score_function": gradient_norm(gradient, task.gram),
                "gap": gradient_norm(gradient - exact, task.gram),
                "single": float(np.sqrt(np.sum(weights * squares))),
            }
        )
    return rows


def credo_effect(
    task: limits.Task,
    expert_deviation: float,
    behaviour_deviation: float,
    thresholds: np.ndarray,
    resolution: float,
    shares: np.ndarray,
) -> Rows:
    """Deterministic gradients with no remedy, CREDO's filter (three readings), its clip, and both, per reward.

    The discriminator is the optimum on what is kept, seen at ``resolution`` (action units). At ``shares`` (0 to 1) of
    the way from policy to expert, ``largest`` is the largest total norm, ``towards`` the share of points short of the
    expert at which the direct part points to the expert, ``rough`` the largest slope of the logit.
    """
    table, log_expert, log_behaviour = dpg.optimal_table(task, expert_deviation, task.policy_means, behaviour_deviation)
    expert = Occupancy(np.log(np.exp(log_expert).sum(axis=1)), log_expert)
    behaviour = Occupancy(np.log(np.exp(log_behaviour).sum(axis=1)), log_behaviour)
    plain = dpg.resolved_table(task, log_expert, log_behaviour, resolution)
    rows: Rows = []
    for threshold in thresholds:
        threshold = float(threshold)
        variants: dict[str, tuple[dpg.LogitTable, float, float | None]] = {
            "none": (plain, 1.0, None),
            "clip": (plain, 1.0, threshold),
        }
        for reading in ("retained", "batch"):
            kept = filtered_optimum(expert, behaviour, table.logit, threshold, reading)
            with np.errstate(divide="ignore"):
                masked = np.where(
                    kept.kept, log_expert - (np.log(kept.retained_mass) if reading == "retained" else 0), -np.inf
                )
            logit = dpg.resolved_table(task, masked, log_behaviour, resolution)
            variants[f"filter, {reading}"] = (logit, kept.retained_mass, None)
            if reading == "retained":
                variants["both"] = (logit, kept.retained_mass, threshold)
        slid = dpg.LogitTable(plain.actions, np.minimum(plain.logit, threshold))
        mass = filtered_optimum(expert, behaviour, table.logit, threshold, "rescored").retained_mass
        variants["filter, rescored"] = (slid, mass, None)
        for variant, (logit_table, mass, ceiling) in variants.items():
            path = [
                (on_path(task, float(share)), dpg.table_at(logit_table, on_path(task, float(share))))
                for share in shares
            ]
            rough = max(float(np.abs(at.slope).max()) for _, at in path)
            for name in REWARDS:
                found = [dpg.deterministic_gradient(task.smooth, a, at, name, ceiling) for a, at in path]
                total = [gradient_norm(f.total, task.gram) for f in found]
                heading = [float(np.sum(f.direct * (task.expert_means - task.policy_means))) for f in found]
                rows.append(
                    {
                        "threshold_logit": threshold,
                        "variant": variant,
                        "reward": name,
                        "retained_mass": mass,
                        "at_policy": total[0],
                        "largest": max(total),
                        "share_of_largest": float(shares[int(np.argmax(total))]),
                        "towards": float(np.mean(np.array(heading)[shares < 1.0] > 0)),
                        "rough": rough,
                        "objective_at_expert": found[int(np.argmin(np.abs(shares - 1.0)))].objective,
                        "objective_at_policy": found[0].objective,
                    }
                )
    return rows
