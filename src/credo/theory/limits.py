"""What happens to the gradients as Sigma -> 0: three regimes, with fitted growth exponents.

One task is used throughout: a smooth random MDP on a fine grid, an expert of fixed spread, a policy whose means sit on
grid points. Standard deviations are whole multiples of the grid spacing, so that a disparity of k standard deviations
is a grid point too and nothing is lost to rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from credo.theory.policies import GaussianPolicy, Norm, gaussian_gram, gradient_norm, log_grid_policy, policy_with_means
from credo.theory.tabular import MDP, Occupancy, SmoothMDP, action_grid, discretise, occupancy, random_smooth_mdp
from credo.theory.theorem import (
    OccupancyScore,
    corollary1_log_norms,
    exact_gradient,
    occupancy_score,
    theorem1_log_norms,
)
from credo.types import CredoError


class Task(NamedTuple):
    """An imitation problem in which everything is known."""

    smooth: SmoothMDP
    mdp: MDP
    gram: np.ndarray
    """[S, S]."""
    policy_means: np.ndarray
    """[S, A] the imitator's h(s), on grid points."""
    expert_means: np.ndarray
    """[S, A]."""
    spacing: float
    """Distance of neighbouring grid points along an axis."""


class PowerFit(NamedTuple):
    """Least squares of log y on log x. The error measures departure from a power law: the data carry no noise."""

    exponent: float
    standard_error: float
    points: int


def make_task(
    seed: int,
    states: int = 5,
    grid: int = 20_001,
    dimensions: int = 1,
    discount: float = 0.9,
    gap: float = 0.2,
    persistence: float = 0.0,
) -> Task:
    """A random task; the expert's mean is between 0.5 and 1.5 times ``gap`` away from the policy's along each axis."""
    generator = np.random.default_rng(seed)
    smooth = random_smooth_mdp(generator, states, dimensions, discount, persistence=persistence)
    actions = action_grid(grid, dimensions)
    spacing = 2.0 / grid
    gram = gaussian_gram(generator.normal(size=(states, 2)), bandwidth=0.7)
    means = generator.uniform(-0.4, 0.4, size=(states, dimensions))
    means = (np.floor((means + 1.0) / spacing) + 0.5) * spacing - 1.0
    shift = gap * generator.choice([-1.0, 1.0], size=means.shape) * generator.uniform(0.5, 1.5, size=means.shape)
    shift = np.round(shift / spacing) * spacing
    return Task(smooth, discretise(smooth, actions), gram, means, means + shift, spacing)


def isotropic(task: Task, means: np.ndarray, deviation: float) -> GaussianPolicy:
    """The Gaussian policy with these means [S, A] and covariance deviation^2 I."""
    if not deviation > 0:
        raise CredoError(f"standard deviation is {deviation}; it must be positive (a covariance positive definite)")
    return policy_with_means(means, task.gram, deviation**2 * np.eye(means.shape[1]))


def expert_occupancy(task: Task, deviation: float) -> Occupancy:
    """Exact occupancy of the task's expert, a Gaussian of this standard deviation round its means."""
    return occupancy(task.mdp, log_grid_policy(isotropic(task, task.expert_means, deviation), task.mdp.actions))


def fit_power(x: np.ndarray, log_y: np.ndarray) -> PowerFit:
    """Fit log y = exponent * log x + constant; points with log y infinite are left out; needs three."""
    x, log_y = np.asarray(x, dtype=float), np.asarray(log_y, dtype=float)
    keep = np.isfinite(log_y)
    if keep.sum() < 3:
        raise CredoError(f"a power law was asked of {int(keep.sum())} finite points; at least 3 are needed")
    slope, error = fit_line(np.log(x[keep]), log_y[keep])
    return PowerFit(slope, error, int(keep.sum()))


def fit_plane(columns: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of least squares of y [N] on ``columns`` [N, K] and a constant, with their standard errors, both [K]."""
    centred = columns - columns.mean(axis=0)
    # Columns as different as 1/sigma^2 and log sigma need a common scale for a well-conditioned solve.
    scale = np.linalg.norm(centred, axis=0)
    if not np.all(np.ptp(columns, axis=0) > 0):
        raise CredoError(f"a fit was asked of {len(y)} points with one and the same x; different ones are needed")
    scaled = centred / scale
    slopes, *_ = np.linalg.lstsq(scaled, y - y.mean(), rcond=None)
    residual = y - y.mean() - scaled @ slopes
    freedom = len(y) - columns.shape[1] - 1
    if freedom < 1:
        raise CredoError(f"a fit of {columns.shape[1]} slopes was asked of {len(y)} points; more points are needed")
    variance = residual @ residual / freedom * np.diag(np.linalg.inv(scaled.T @ scaled))
    return slopes / scale, np.sqrt(variance) / scale


def fit_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of least squares with its standard error."""
    slopes, errors = fit_plane(np.asarray(x, dtype=float)[:, None], np.asarray(y, dtype=float))
    return float(slopes[0]), float(errors[0])


def deviations(task: Task, count: int, largest: float = 0.3, smallest_in_spacings: int = 4) -> np.ndarray:
    """About ``count`` standard deviations, log-spaced, descending, each a whole multiple of the grid spacing."""
    steps = np.geomspace(largest / task.spacing, smallest_in_spacings, count)
    return np.unique(np.round(steps))[::-1] * task.spacing


class Point(NamedTuple):
    """Everything measured at one standard deviation."""

    score: OccupancyScore
    expert: Occupancy
    theorem1: np.ndarray
    """[S, M] log norm of Theorem 1's estimator as printed."""
    corollary1: np.ndarray
    """[S, M] log norm of Corollary 1's at e1 = e2 = 0."""
    exact: float
    """Norm of the exact gradient of D_JS."""


def measure(task: Task, deviation: float, expert: Occupancy, norm: Norm = "rkhs") -> Point:
    """All norms for the task's policy at one standard deviation."""
    policy = isotropic(task, task.policy_means, deviation)
    printed = occupancy_score(task.mdp, policy, "printed")
    exact = exact_gradient(occupancy_score(task.mdp, policy, "grid"), expert)
    return Point(
        printed,
        expert,
        theorem1_log_norms(printed, expert, task.gram, norm),
        corollary1_log_norms(printed, expert, task.gram, 0.0, norm),
        gradient_norm(exact, task.gram, norm),
    )


def grid_index(task: Task, actions: np.ndarray) -> np.ndarray | None:
    """Grid index of the point nearest to each of ``actions`` [S, A]; None if any lies outside the grid."""
    points = round(2.0 / task.spacing)
    index = np.round((actions + 1.0) / task.spacing - 0.5).astype(int)
    if np.any(index < 0) or np.any(index >= points):
        return None
    return np.ravel_multi_index(tuple(index.T), (points,) * actions.shape[1])


def at_disparity(task: Task, log_norms: np.ndarray, disparity: float) -> float:
    """log of the norm at a = h(s) + disparity along the first axis, averaged over states with equal weight.

    ``disparity`` is rounded to the grid. NaN if it leaves the grid in any state.
    """
    actions = task.policy_means.copy()
    actions[:, 0] += disparity
    index = grid_index(task, actions)
    if index is None:
        return float("nan")
    values = log_norms[np.arange(len(index)), index]
    return float(special.logsumexp(values) - np.log(len(index)))


def log_expert_mean(log_norms: np.ndarray, expert: Occupancy, power: float = 1.0) -> float:
    """log of (E over expert pairs of norm^power)^(1/power); pairs of no probability do not count, whatever their
    norm."""
    sampled = expert.log_pair > -np.inf
    return float(special.logsumexp(expert.log_pair[sampled] + power * log_norms[sampled]) / power)


def exceedance(log_norms: np.ndarray, expert: Occupancy, level: float) -> float:
    """Probability over expert pairs that the norm is at least ``level``."""
    return float(np.exp(expert.log_pair)[log_norms >= np.log(level)].sum())
