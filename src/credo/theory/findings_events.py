"""Measurements of the disparity events and of Proposition 1: each function returns rows of one CSV file."""

from __future__ import annotations

from typing import Any

import numpy as np

from credo.theory import limits
from credo.theory.discriminators import js_divergence, optimal_logit
from credo.theory.events import exact_probability, gaussian_probability, monte_carlo_probability
from credo.theory.policies import gradient_norm, log_grid_policy, policy_with_means
from credo.theory.tabular import occupancy
from credo.theory.theorem import exact_gradient, occupancy_score, theorem1_log_norms

Rows = list[dict[str, Any]]


def perfect_imitator(task: limits.Task, sigmas: np.ndarray, c: np.ndarray) -> Rows:
    """The expert IS the policy: D_JS = 0 and every estimator is 0, yet Pr(Xi) and the bound's probability rise to 1.

    On the grid the point a = h(s) keeps a probability of spacing/(2.5 sigma); ``probability_gaussian`` is the closed
    form without a grid.
    """
    rows: Rows = []
    for sigma in sigmas:
        policy = limits.isotropic(task, task.policy_means, float(sigma))
        expert = occupancy(task.mdp, log_grid_policy(policy, task.mdp.actions))
        score = occupancy_score(task.mdp, policy, "printed")
        largest = float(np.exp(np.max(theorem1_log_norms(score, expert, task.gram))))
        exact = gradient_norm(exact_gradient(occupancy_score(task.mdp, policy), expert), task.gram)
        for value in c:
            xi, bound = (
                exact_probability(event, task.mdp, policy, expert, np.array([value]))[0] for event in ("xi", "bound")
            )
            rows.append(
                {
                    "sigma": float(sigma),
                    "c": float(value),
                    "js_divergence": js_divergence(expert, score.occupancy),
                    "largest_estimator_norm": largest,
                    "exact_gradient_norm": exact,
                    "probability_xi": float(xi),
                    "probability_bound": float(bound),
                    "probability_gaussian": float(gaussian_probability("xi", np.zeros(1), sigma, sigma, value)[0]),
                }
            )
    return rows


def event_probabilities(
    task: limits.Task, expert_deviation: float, sigmas: np.ndarray, c: np.ndarray, samples: int, seed: int
) -> Rows:
    """Pr(Xi), Pr(Xi_1) and Pr(bound) over (C, sigma): exact sum, Monte Carlo with 95% intervals, and chi-squared."""
    generator = np.random.default_rng(seed)
    expert = limits.expert_occupancy(task, expert_deviation)
    state = np.exp(expert.log_state)
    rows: Rows = []
    for sigma in sigmas:
        policy = limits.isotropic(task, task.policy_means, float(sigma))
        for event in ("xi", "xi1", "bound"):
            exact = exact_probability(event, task.mdp, policy, expert, c)
            for value, probability in zip(c, exact, strict=True):
                estimate = monte_carlo_probability(event, task.mdp, policy, expert, float(value), samples, generator)
                closed = sum(
                    weight * gaussian_probability(event, gap, expert_deviation, float(sigma), np.array([value]))[0]
                    for weight, gap in zip(state, task.expert_means - task.policy_means, strict=True)
                )
                rows.append(
                    {
                        "event": event,
                        "sigma": float(sigma),
                        "c": float(value),
                        "exact": float(probability),
                        "monte_carlo": estimate.probability,
                        "low": estimate.low,
                        "high": estimate.high,
                        "samples": estimate.samples,
                        "gaussian": float(closed),
                    }
                )
    return rows


def full_covariance_events(
    task: limits.Task, expert_deviation: float, shape: np.ndarray, sigmas: np.ndarray, c: np.ndarray
) -> Rows:
    """Pr(Xi) and Pr(bound), exact sums over (C, sigma), for policies of covariance sigma^2 ``shape`` [A, A].

    With an isotropic covariance the two are one event; here Eq. 12 can fail.
    """
    expert = limits.expert_occupancy(task, expert_deviation)
    rows: Rows = []
    for sigma in sigmas:
        policy = policy_with_means(task.policy_means, task.gram, float(sigma) ** 2 * shape)
        xi, bound = (exact_probability(event, task.mdp, policy, expert, c) for event in ("xi", "bound"))
        rows += [
            {"sigma": float(sigma), "c": float(value), "xi": float(xi[i]), "bound": float(bound[i])}
            for i, value in enumerate(c)
        ]
    return rows


def proposition1(task: limits.Task, expert_deviation: float, sigmas: np.ndarray) -> Rows:
    """Eq. 9's logit and Theorem 1's norm where a meets Xi (C = 1, or fixed disparity 0.1) and where a = h(s)."""
    expert = limits.expert_occupancy(task, expert_deviation)
    rows: Rows = []
    for sigma in sigmas:
        point = limits.measure(task, float(sigma), expert)
        logit = optimal_logit(expert, point.score.occupancy)
        # Xi with C = 1 asks for a disparity of sigma^2: the nearest grid point not below it (1-dimensional actions).
        steps = max(1, int(np.ceil(sigma**2 / task.spacing - 1e-9)))
        for label, gap in (("none", 0.0), ("C = 1", steps * task.spacing), ("0.1", 0.1)):
            index = limits.grid_index(task, task.policy_means + gap)
            picked = np.arange(len(task.policy_means)), index
            rows.append(
                {
                    "sigma": float(sigma),
                    "disparity": label,
                    "distance": gap,
                    "in_xi_at_c_1": bool(gap >= sigma**2),
                    "largest_logit": float(logit[picked].max()),
                    "smallest_logit": float(logit[picked].min()),
                    "log10_theorem1": float(np.max(point.theorem1[picked]) / np.log(10)),
                }
            )
    return rows
