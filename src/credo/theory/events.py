"""The policy-disparity events: Xi (Def. 1), Xi_1 (Eq. 14) and the event of Theorem 1's bound.

    Xi(C):     ||h(s) - a||                  >= C ||Sigma||
    Xi_1(C):   ||h(s) + noise - a||          >= C ||Sigma||,   noise ~ N(0, Sigma)
    bound(C):  ||Sigma^-1 (a - h(s))||       >= C

with (s, a) drawn from the expert's occupancy and ||Sigma|| the spectral norm, an area in action units: C has the
unit 1/action. "For any C" would ask for every C at once, which no finite disparity meets, so the probabilities are
functions of C.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy import stats
from scipy.spatial import distance

from credo.theory.policies import GaussianPolicy, log_grid_policy, policy_score
from credo.theory.tabular import MDP, Occupancy
from credo.types import CredoError

Event = Literal["xi", "xi1", "bound"]
PAIR_BLOCK = 2_000_000
"""Distances held at once by the exact sum for Xi_1."""


class Estimate(NamedTuple):
    """A Monte Carlo probability with its Clopper-Pearson interval."""

    probability: float
    low: float
    high: float
    samples: int


def _check(event: str, c: np.ndarray) -> np.ndarray:
    c = np.atleast_1d(np.asarray(c, dtype=float))
    if event not in ("xi", "xi1", "bound"):
        raise CredoError(f"event is {event!r}; 'xi', 'xi1' or 'bound' is needed")
    if not np.all(c > 0):
        raise CredoError(f"threshold C has a value of {float(np.min(c))}; it must be positive")
    return c


def _tail(values: np.ndarray, weights: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Sum of the weights whose value is at least each threshold."""
    order = np.argsort(values)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    return np.maximum(below[-1] - below[np.searchsorted(values[order], thresholds, side="left")], 0.0)


def exact_probability(event: Event, mdp: MDP, policy: GaussianPolicy, expert: Occupancy, c: np.ndarray) -> np.ndarray:
    """Pr(event; C, Sigma) at each of ``c`` [K], by summing over every state, expert action and noisy action.

    For ``xi1`` the noisy action h(s) + noise is distributed over the grid as the policy itself. Cost S*M for ``xi`` and
    ``bound``, S*M*M for ``xi1``.
    """
    c = _check(event, c)
    weights = np.exp(expert.log_pair)
    norm = np.linalg.norm(policy.covariance, 2)
    if event == "bound":
        values = np.linalg.norm(policy_score(policy, mdp.actions, "printed"), axis=-1)
        return _tail(values.ravel(), weights.ravel(), c)
    if event == "xi":
        values = np.linalg.norm(mdp.actions[None] - policy.means[:, None], axis=-1)
        return _tail(values.ravel(), weights.ravel(), c * norm)
    noisy = np.exp(log_grid_policy(policy, mdp.actions))
    total = np.zeros(len(c))
    rows = max(1, PAIR_BLOCK // len(mdp.actions))
    for first in range(0, len(mdp.actions), rows):
        # Summing over states first leaves one weight per pair of actions.
        joint = weights[:, first : first + rows].T @ noisy
        values = distance.cdist(mdp.actions[first : first + rows], mdp.actions)
        total += _tail(values.ravel(), joint.ravel(), c * norm)
    return total


def monte_carlo_probability(
    event: Event,
    mdp: MDP,
    policy: GaussianPolicy,
    expert: Occupancy,
    c: float,
    samples: int,
    generator: np.random.Generator,
    confidence: float = 0.95,
) -> Estimate:
    """Pr(event; C, Sigma) from ``samples`` expert pairs, and noisy actions drawn from the grid policy for ``xi1``."""
    threshold = float(_check(event, np.asarray(c))[0])
    probability = np.exp(expert.log_pair).ravel()
    drawn = generator.choice(probability.size, size=samples, p=probability / probability.sum())
    states, actions = np.divmod(drawn, len(mdp.actions))
    difference = mdp.actions[actions] - policy.means[states]
    if event == "bound":
        values = np.linalg.norm(np.linalg.solve(policy.covariance, difference.T), axis=0)
    else:
        threshold *= float(np.linalg.norm(policy.covariance, 2))
        if event == "xi1":
            cumulative = np.cumsum(np.exp(log_grid_policy(policy, mdp.actions)), axis=1)
            uniform = generator.uniform(size=samples)
            noisy = np.empty(samples, dtype=int)
            for state in range(len(mdp.start)):
                here = states == state
                noisy[here] = np.searchsorted(cumulative[state], uniform[here])
            difference = mdp.actions[actions] - mdp.actions[np.minimum(noisy, len(mdp.actions) - 1)]
        values = np.linalg.norm(difference, axis=1)
    hits = int(np.sum(values >= threshold))
    interval = stats.binomtest(hits, samples).proportion_ci(confidence, method="exact")
    return Estimate(hits / samples, float(interval.low), float(interval.high), samples)


def gaussian_probability(
    event: Event, gap: np.ndarray, expert_deviation: float, deviation: float, c: np.ndarray
) -> np.ndarray:
    """Pr(event; C, deviation^2 I) at one state for an expert N(h + gap, expert_deviation^2 I) on all of R^A.

    Closed form by scipy's (noncentral) chi-squared: ||a - h||^2 / variance has A degrees of freedom and noncentrality
    ||gap||^2 / variance, where variance gains deviation^2 for ``xi1``. ``gap`` is [A], the result [K] as ``c``.
    """
    c = _check(event, c)
    gap = np.atleast_1d(np.asarray(gap, dtype=float))
    variance = expert_deviation**2 + (deviation**2 if event == "xi1" else 0.0)
    # In one isotropic covariance, Xi and the bound's event are the same event.
    square = (c * deviation**2) ** 2 / variance
    noncentrality = float(gap @ gap) / variance
    if noncentrality == 0.0:
        return stats.chi2.sf(square, gap.size)
    return stats.ncx2.sf(square, gap.size, noncentrality)
