"""The deterministic policy gradient under an adversarial reward, exactly: the route of DDPG, TD3 and SD3.

These learners do not use a score function; they differentiate Q(s, a) at a = h(s). With reward r(l(s, a)):

    grad J = sum_s d_h(s) k(s, .) grad_a Q(s, h(s)),
    grad_a Q = r'(l) grad_a l  +  g sum_s' grad_a P(s'|s, a) V(s')
               (direct)            (future)

J = sum_s d_h(s) r(s, h(s)) is (1 - g) times the expected return. No covariance enters; the discriminator's logit and
its slope in the action do. A deterministic policy has no density, so Eq. 9 needs a smooth data distribution: the
replay, here a Gaussian behaviour policy round some mean (exploration noise).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage, special

from credo.theory.discriminators import reward, reward_slope
from credo.theory.limits import Task, isotropic
from credo.theory.policies import log_density, log_grid_policy
from credo.theory.tabular import SmoothMDP, occupancy, transition_at
from credo.types import CredoError

LOGIT_RANGE = 20.0
"""Largest magnitude of logit that a filtered discriminator's optimum is given: where no expert sample is left, the
optimum is minus infinity, which no trained network reaches."""


class LogitAt(NamedTuple):
    """A discriminator along one action per state."""

    logit: np.ndarray
    """[S]."""
    slope: np.ndarray
    """[S, A]: d logit / d action."""


class DeterministicGradient(NamedTuple):
    """All [S, A], with respect to the values h(s), already weighted by the occupancy d_h(s)."""

    direct: np.ndarray
    future: np.ndarray
    total: np.ndarray
    objective: float
    """J, the discounted average reward."""


class LogitTable(NamedTuple):
    """A discriminator known on a grid of 1-dimensional actions."""

    actions: np.ndarray
    """[M]."""
    logit: np.ndarray
    """[S, M]."""


def deterministic_gradient(
    smooth: SmoothMDP, actions: np.ndarray, at: LogitAt, name: str, ceiling: float | None = None
) -> DeterministicGradient:
    """The exact deterministic policy gradient at h(s) = ``actions`` [S, A] for reward ``name`` of the logits ``at``.

    ``ceiling`` caps the reward at its value at that logit (CREDO's clip): past it the reward has no slope.
    """
    logit, slope = at.logit, at.slope
    states = len(smooth.start)
    if actions.shape[0] != states or logit.shape != (states,) or slope.shape != actions.shape:
        raise CredoError(
            f"actions {actions.shape}, logit {logit.shape}, slope {slope.shape} do not fit {states} states"
        )
    capped = logit if ceiling is None else np.minimum(logit, ceiling)
    gain = reward_slope(name, logit)
    if ceiling is not None:
        gain = np.where(logit >= ceiling, 0.0, gain)
    rewards = reward(name).value(capped)
    probability, derivative = transition_at(smooth, actions)
    matrix = np.eye(states) - smooth.discount * probability
    values = np.linalg.solve(matrix, rewards)
    visits = (1.0 - smooth.discount) * np.linalg.solve(matrix.T, smooth.start)
    direct = visits[:, None] * gain[:, None] * slope
    # Rows of dP/da sum to zero, so a constant value gives none: subtracting one keeps large values accurate.
    future = visits[:, None] * smooth.discount * np.einsum("stj,t->sj", derivative, values - values.mean())
    return DeterministicGradient(direct, future, direct + future, float(visits @ rewards))


def optimal_discriminator(
    task: Task, expert_deviation: float, behaviour_means: np.ndarray, behaviour_deviation: float
) -> Callable[[np.ndarray], LogitAt]:
    """Eq. 9 for the task's Gaussian expert and a Gaussian replay, as a function of continuous actions [S, A].

    Slope: Sigma_behaviour^-1 (a - behaviour mean) - Sigma_E^-1 (a - expert mean). At the behaviour's own mean the first
    part is zero and the slope is (expert mean - a)/expert variance: exploration noise does not enter there.
    """
    sides = (
        (1.0, isotropic(task, task.expert_means, expert_deviation)),
        (-1.0, isotropic(task, behaviour_means, behaviour_deviation)),
    )
    offset = np.zeros(len(behaviour_means))
    for sign, policy in sides:
        log_policy = log_grid_policy(policy, task.mdp.actions)
        normaliser = special.logsumexp(log_density(policy, task.mdp.actions), axis=1)
        offset += sign * (occupancy(task.mdp, log_policy).log_state - normaliser)

    def discriminator(actions: np.ndarray) -> LogitAt:
        logit, slope = offset.copy(), np.zeros_like(actions)
        for sign, policy in sides:
            variance = policy.covariance[0, 0]
            difference = actions - policy.means
            constant = actions.shape[1] * np.log(2.0 * np.pi * variance)
            logit -= sign * 0.5 * (np.sum(difference**2, axis=1) / variance + constant)
            slope -= sign * difference / variance
        return LogitAt(logit, slope)

    return discriminator


def optimal_table(
    task: Task, expert_deviation: float, behaviour_means: np.ndarray, behaviour_deviation: float
) -> tuple[LogitTable, np.ndarray, np.ndarray]:
    """Eq. 9's logit on the whole grid (1-dimensional actions), with log rho_E and log rho_behaviour, all [S, M]."""
    pairs = [
        occupancy(task.mdp, log_grid_policy(isotropic(task, means, deviation), task.mdp.actions)).log_pair
        for means, deviation in ((task.expert_means, expert_deviation), (behaviour_means, behaviour_deviation))
    ]
    return LogitTable(task.mdp.actions[:, 0], pairs[0] - pairs[1]), pairs[0], pairs[1]


def table_at(table: LogitTable, actions: np.ndarray) -> LogitAt:
    """Logit and slope at actions [S, 1], by linear interpolation of the table and of its central differences."""
    slopes = np.gradient(table.logit, table.actions, axis=1)
    logit = np.array([np.interp(a[0], table.actions, row) for a, row in zip(actions, table.logit, strict=True)])
    slope = np.array([[np.interp(a[0], table.actions, row)] for a, row in zip(actions, slopes, strict=True)])
    return LogitAt(logit, slope)


def scaled(at: LogitAt, steepness: float = 1.0, shift: float = 0.0) -> LogitAt:
    """An imperfect discriminator: logit -> steepness * logit + shift; the shift is log((1 + e1)/(1 - e2)) of Eq. 13."""
    return LogitAt(steepness * at.logit + shift, steepness * at.slope)


def resolved_table(task: Task, log_expert: np.ndarray, log_behaviour: np.ndarray, resolution: float) -> LogitTable:
    """The optimum of a discriminator that cannot tell actions apart below ``resolution`` (action units).

    Both densities are smoothed by a Gaussian of that width in the action; the logit is held within LOGIT_RANGE.
    """
    width = resolution / task.spacing

    def blurred(log_pair: np.ndarray) -> np.ndarray:
        density = np.exp(log_pair)
        # Cut so far out that the tail stays smooth down to LOGIT_RANGE: a shorter kernel would end in a step.
        smooth = (
            ndimage.gaussian_filter1d(density, width, axis=1, mode="constant", truncate=12.0) if width > 0 else density
        )
        with np.errstate(divide="ignore"):
            return np.log(smooth)

    with np.errstate(invalid="ignore"):
        logit = blurred(log_expert) - blurred(log_behaviour)
    logit = np.clip(np.nan_to_num(logit, nan=0.0, posinf=LOGIT_RANGE, neginf=-LOGIT_RANGE), -LOGIT_RANGE, LOGIT_RANGE)
    return LogitTable(task.mdp.actions[:, 0], logit)
