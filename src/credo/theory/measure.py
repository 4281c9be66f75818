"""All measurements of one run of ``credo theory``, by name of the table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from credo.theory import findings_credo as credo
from credo.theory import findings_deterministic as deterministic
from credo.theory import findings_events as happening
from credo.theory import findings_limits as limiting
from credo.theory.limits import deviations, make_task

Rows = list[dict[str, Any]]
EXPERT_DEVIATION = 0.3
"""Spread of the expert in the limits: wide, so that samples near the policy exist."""
NARROW_DEVIATION = 0.01
"""The paper's "standard deviation of 0.01"."""
SHAPE = ((1.0, 0.3), (0.3, 0.25))
"""Covariance, up to a factor, of the policy on which Eq. 12 is no identity: deviations 0.38 and 1.05 along its axes."""
PLANE_GRID = 101
PROPERTY_DEVIATION, PROPERTY_DISTANCE = 0.1, 0.2
"""Of the policy, and the disparity counted, where E.2 is tested."""
EFFECT_RESOLUTION = 0.02
"""Differences of actions that the discriminator of ``credo_effect`` can tell apart."""


class Sizes(NamedTuple):
    """How fine and how long."""

    seed: int
    states: int
    fine_grid: int
    grid: int
    sigmas: int
    samples: int
    training_steps: int
    tasks: int
    path_points: int


def measure_all(sizes: Sizes) -> dict[str, Rows]:
    """Every table; see the modules ``findings_*`` for the columns."""
    return {**_limit_tables(sizes), **_credo_tables(sizes), **_deterministic_tables(sizes)}


def _limit_tables(sizes: Sizes) -> dict[str, Rows]:
    fine = make_task(sizes.seed, sizes.states, sizes.fine_grid)
    medium = make_task(sizes.seed, sizes.states, min(20_001, sizes.fine_grid))
    coarse = make_task(sizes.seed, sizes.states, sizes.grid)
    sigmas = deviations(fine, sizes.sigmas)
    some = deviations(medium, 5)
    window = 60 * float(sigmas.min())
    curves = limiting.limit_curves(fine, EXPERT_DEVIATION, sigmas)
    by_coefficients = limiting.limit_curves(fine, EXPERT_DEVIATION, sigmas, "coefficients")
    span = np.geomspace(10 * medium.spacing, 0.5, 36 if sizes.tasks > 1 else 12)
    # Below two grid spacings a sum over the grid is no longer that of the Gaussian.
    resolved = np.array([0.1, 0.03, 0.01, 0.003, 0.001])
    flat = make_task(sizes.seed, sizes.states, PLANE_GRID, dimensions=2)
    grids = {1: min(20_001, sizes.fine_grid), 2: 301 if sizes.tasks > 1 else 81}
    return {
        "limits": curves,
        "exponents": limiting.fitted_exponents(curves, window),
        "exponents_coefficient_norm": limiting.fitted_exponents(by_coefficients, window),
        "exponents_by_task": limiting.exponents_by_task(range(sizes.seed, sizes.seed + sizes.tasks), grids),
        "narrow_expert_limits": limiting.limit_curves(medium, NARROW_DEVIATION, some),
        "phase": limiting.phase_diagram(medium, EXPERT_DEVIATION, deviations(medium, len(span) - 4), span),
        "distribution": limiting.estimator_distribution(
            medium, EXPERT_DEVIATION, resolved[resolved >= 2 * medium.spacing], np.linspace(-6, 6, 121)
        ),
        "perfect_imitator": happening.perfect_imitator(medium, some, np.array([1.0, 10.0])),
        "printed_jacobian": limiting.printed_jacobian_error(
            sizes.seed, np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0]), np.array([0.0, 1.0, 2.0, 4.0, 6.0, np.inf])
        ),
        "relation": limiting.theorem_against_corollary(medium, EXPERT_DEVIATION, some),
        "remark1": limiting.remark1_fixed_sigma(medium, 0.2, np.array([0.5, 0.3, 0.2, 0.1, 0.05])),
        "proposition1": happening.proposition1(medium, EXPERT_DEVIATION, some),
        "events": happening.event_probabilities(
            coarse,
            0.15,
            np.array([0.3, 0.1, 0.03, 0.01]),
            np.array([0.3, 1.0, 3.0, 10.0, 30.0]),
            sizes.samples,
            sizes.seed,
        ),
        "events_full_covariance": happening.full_covariance_events(
            flat, 0.15, np.array(SHAPE), np.array([0.3, 0.1, 0.05]), np.array([0.3, 1.0, 3.0, 10.0, 30.0])
        ),
    }


def _credo_tables(sizes: Sizes) -> dict[str, Rows]:
    task = make_task(sizes.seed, sizes.states, sizes.grid)
    steps = tuple(
        sorted({max(1, sizes.training_steps // 100), max(1, sizes.training_steps // 10), sizes.training_steps})
    )
    c = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
    return {
        "outliers": credo.outlier_intervals(np.linspace(0.25, 10.0, 40)),
        "outlier_mass": credo.outlier_mass(task, EXPERT_DEVIATION, np.array([0.2, 0.1, 0.05, 0.02]), c),
        "property": credo.property_rows(task, EXPERT_DEVIATION, PROPERTY_DEVIATION, c, PROPERTY_DISTANCE),
        "filter_rounds": credo.filtering_rounds(task, EXPERT_DEVIATION, 0.1, 5.0, 4),
        "discriminators": credo.estimate_errors(sizes.seed, steps, 20 * max(200, sizes.training_steps // 10)),
    }


def _deterministic_tables(sizes: Sizes) -> dict[str, Rows]:
    # Slow mixing and a long horizon, so that the future part of the gradient is not lost in the direct one.
    task = make_task(sizes.seed, sizes.states, sizes.grid, discount=0.97, gap=0.3, persistence=2.0)
    shares = np.linspace(0.0, 1.0, sizes.path_points)
    steepness = deterministic.steepness_sweep(task, np.geomspace(1.0, 100.0, 25))
    narrow = deterministic.narrow_expert_sweep(task, np.geomspace(0.2, 0.02, 12), shares)
    limit = deterministic.score_function_limit(task, deviations(task, 8, largest=0.1))
    noise_task = make_task(sizes.seed, sizes.states, sizes.grid)
    return {
        "rewards": deterministic.rewards_against_logit(np.linspace(-12.0, 12.0, 97)),
        "steepness": steepness,
        "steepness_fits": deterministic.growth_fits(
            steepness, ("sign", "reward"), "steepness", deterministic.PARTS, (5.0, 30.0), 1
        ),
        "narrow_expert": narrow,
        "narrow_expert_fits": deterministic.narrow_expert_fits(narrow, (0.02, 0.1)),
        "shift": deterministic.shift_sweep(task, np.linspace(-12.0, 12.0, 25)),
        "noise": deterministic.noise_sweep(
            noise_task, 0.15, np.geomspace(0.3, 0.01, 7), min(5000, sizes.samples), sizes.seed
        ),
        "score_function": limit,
        "credo_effect": deterministic.credo_effect(task, 0.1, 0.1, np.array([2.0, 5.0]), EFFECT_RESOLUTION, shares),
    }
