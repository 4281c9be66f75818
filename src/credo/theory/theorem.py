"""Theorem 1 and Corollary 1, and the exact gradient they estimate.

With u = rho_h/rho_E at the sampled pair both estimators are a scalar weight times the gradient of log rho_h:

    Theorem 1:    1/2 u log(2u/(1 + u)) * grad log rho_h(s_t, a_t)
    Corollary 1:  [u log(u/(k + u)) + u (k - 1)/(k + u)] * grad log rho_h(s_t, a_t),   k = (1 + e1)/(1 - e2)

and grad log rho_h(t, b) with respect to h(s) is [grad log d_h(t)](s) + 1{s = t} score(t, b). The first part needs
S*S*A numbers, the second S*M*A: no matrix of S*M by S*M is ever built.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from credo.theory.discriminators import logit_shift, softplus
from credo.theory.policies import (
    Form,
    GaussianPolicy,
    Norm,
    log_grid_policy,
    norm_matrix,
    policy_score,
)
from credo.theory.tabular import (
    MDP,
    Occupancy,
    resolvent,
    weighted_next,
)
from credo.types import CredoError

LARGE = 1e6
"""A logarithm of u past which both weights are at their limits to the last digit; at infinity itself they would be
computed as infinity less infinity, or as nothing times infinity."""


class OccupancyScore(NamedTuple):
    """The policy's exact occupancy and the gradient of its logarithm with respect to the values h(s)."""

    occupancy: Occupancy
    state: np.ndarray
    """[S, S, A]: d log d_h(t) / d h(s), target state t first."""
    action: np.ndarray
    """[S, M, A]: d log pi(b|t) / d h(t)."""


def occupancy_score(mdp: MDP, policy: GaussianPolicy, form: Form = "grid") -> OccupancyScore:
    """Gradient of log rho_h at every pair (Eq. 18 divided by rho_h), by one S by S solve.

    ``form='grid'`` is the exact derivative on the grid, ``'printed'`` the paper's H_h; see ``policy_score``.
    """
    log_policy = log_grid_policy(policy, mdp.actions)
    probability = np.exp(log_policy)
    score = policy_score(policy, mdp.actions, form)
    visits = resolvent(mdp, probability)
    state = np.maximum((1.0 - mdp.discount) * (mdp.start @ visits), 0.0)
    derivative = np.stack(
        [
            mdp.discount * state[:, None] * (weighted_next(mdp, probability * score[..., j]) @ visits)
            for j in range(score.shape[-1])
        ],
        axis=-1,
    )
    inverse = np.divide(1.0, state, out=np.zeros_like(state), where=state > 0)
    with np.errstate(divide="ignore"):
        log_state = np.log(state)
    log_gradient = np.swapaxes(derivative, 0, 1) * inverse[:, None, None]
    return OccupancyScore(Occupancy(log_state, log_state[:, None] + log_policy), log_gradient, score)


def pair_gradient(score: OccupancyScore, state: int, action: int) -> np.ndarray:
    """d log rho_h(state, action) / d h, [S, A]."""
    gradient = score.state[state].copy()
    gradient[state] += score.action[state, action]
    return gradient


def weighted_gradient(score: OccupancyScore, weights: np.ndarray) -> np.ndarray:
    """Sum over pairs of weights[t, b] * d log rho_h(t, b)/d h, [S, M] -> [S, A]."""
    return np.einsum("t,tsj->sj", weights.sum(axis=1), score.state) + np.einsum("sm,smj->sj", weights, score.action)


def log_pair_norms(score: OccupancyScore, gram: np.ndarray, norm: Norm = "rkhs") -> np.ndarray:
    """log of the norm of d log rho_h(t, b)/d h at every pair, [S, M], without forming the gradients."""
    matrix = norm_matrix(gram, norm)
    applied = np.einsum("su,tuj->tsj", matrix, score.state)
    base = np.einsum("tsj,tsj->t", score.state, applied)
    own = np.einsum("ttj->tj", applied)
    cross = np.einsum("tmj,tj->tm", score.action, own)
    square = base[:, None] + 2.0 * cross + np.diag(matrix)[:, None] * np.sum(score.action**2, axis=-1)
    with np.errstate(divide="ignore"):
        return 0.5 * np.log(np.maximum(square, 0.0))


def log_ratio(expert: Occupancy, policy: Occupancy) -> np.ndarray:
    """log u = log rho_h - log rho_E, [S, M]; -log_ratio is the optimal logit. inf where rho_E is zero."""
    sampled = expert.log_pair > -np.inf
    return np.subtract(policy.log_pair, expert.log_pair, out=np.full_like(policy.log_pair, np.inf), where=sampled)


def theorem1_log_factor(log_u: np.ndarray) -> np.ndarray:
    """log(2u/(1 + u)) from log u, elementwise, stable at both ends; in (-inf, log 2)."""
    return np.log(2.0) - softplus(-np.asarray(log_u, dtype=float))


def _log_absolute(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.abs(x))


def theorem1_log_weight(log_u: np.ndarray) -> np.ndarray:
    """log |1/2 u log(2u/(1 + u))|, elementwise: Theorem 1's weight of grad log rho_h.

    Tends to -inf at both u -> 0 (u log u) and u = 1 (nothing to learn), grows like u for u -> inf; both ends included.
    """
    log_u = np.asarray(log_u, dtype=float)
    with np.errstate(invalid="ignore"):  # at u = 0 the sum is infinity less infinity
        return np.where(log_u > -np.inf, np.log(0.5) + log_u + _log_absolute(theorem1_log_factor(log_u)), -np.inf)


def theorem1_weight(log_u: np.ndarray) -> np.ndarray:
    """1/2 u log(2u/(1 + u)), elementwise; 0 at u = 0."""
    log_u = np.maximum(log_u, -LARGE)
    return 0.5 * np.exp(log_u) * theorem1_log_factor(log_u)


def corollary1_weight(log_u: np.ndarray, shift: float | np.ndarray = 0.0) -> np.ndarray:
    """u log(u/(k + u)) + u (k - 1)/(k + u) with log k = ``shift``, elementwise: Corollary 1's weight.

    Depends on (e1, e2) through k alone. Tends to -1 as u -> inf and to 0 as u -> 0, for every k; both ends included.
    """
    log_u = np.clip(np.asarray(log_u, dtype=float), shift - LARGE, shift + LARGE)
    gap = shift - log_u  # the logit, log(k/u)
    second = np.exp(shift - softplus(gap)) - np.exp(-softplus(gap))
    return second - np.exp(log_u + _log_softplus(gap))


def corollary1_log_weight(log_u: np.ndarray, shift: float | np.ndarray = 0.0) -> np.ndarray:
    """log |corollary1_weight|, elementwise; finite for small u too, where the weight itself is below any float."""
    log_u = np.asarray(log_u, dtype=float)
    gap = shift - log_u
    # For u < k the weight is u/k [(k - 1) k/(k + u) - k log(1 + k/u)], whose bracket is of moderate size; finite at
    # u = 0 too, where it would be infinity less infinity.
    positive = np.clip(gap, 0.0, 1e300)
    bracket = (np.exp(shift) - 1) * np.exp(-softplus(-positive)) - np.exp(shift) * softplus(positive)
    return np.where(
        gap > 0, _log_absolute(bracket) - gap, _log_absolute(corollary1_weight(np.maximum(log_u, shift), shift))
    )


def _log_softplus(x: np.ndarray) -> np.ndarray:
    # log(log(1 + e^x)) is x to within e^x far below zero, where softplus itself underflows.
    return np.where(x > -30.0, np.log(softplus(np.maximum(x, -30.0))), x)


def _check_sampled(expert: Occupancy, state: int, action: int) -> None:
    if not expert.log_pair[state, action] > -np.inf:
        raise CredoError(
            f"expert occupancy is zero at the sampled pair (state {state}, action {action}): "
            "the estimator divides by it, and no expert sample can be there"
        )


def theorem1_estimator(score: OccupancyScore, expert: Occupancy, state: int, action: int) -> np.ndarray:
    """Theorem 1's single-sample estimator at an expert pair, [S, A] with respect to h; CredoError if rho_E is 0 there.

    [d rho_h/dh] / (2 rho_E) * log(2 rho_h/(rho_h + rho_E)). Give ``score`` in the ``printed`` form for the estimator
    exactly as printed, in the ``grid`` form for the unbiased one.
    """
    _check_sampled(expert, state, action)
    log_u = log_ratio(expert, score.occupancy)[state, action]
    return float(theorem1_weight(log_u)) * pair_gradient(score, state, action)


def corollary1_estimator(
    score: OccupancyScore, expert: Occupancy, state: int, action: int, e1: float = 0.0, e2: float = 0.0
) -> np.ndarray:
    """Corollary 1's single-sample estimator at an expert pair, [S, A] with respect to h.

    [d rho_h/dh]/rho_E * log((1-e2) rho_h/Z) + (e1+e2) [d rho_h/dh]/Z, Z = (1+e1) rho_E + (1-e2) rho_h.
    At e1 = e2 = 0 it is 2 * Theorem 1's estimator - log 2 * [d rho_h/dh]/rho_E.
    """
    _check_sampled(expert, state, action)
    log_u = log_ratio(expert, score.occupancy)[state, action]
    return float(corollary1_weight(log_u, logit_shift(e1, e2))) * pair_gradient(score, state, action)


def theorem1_log_norms(score: OccupancyScore, expert: Occupancy, gram: np.ndarray, norm: Norm = "rkhs") -> np.ndarray:
    """log norm of Theorem 1's estimator at every pair, [S, M]; +inf where rho_E is zero (never sampled)."""
    return _times(theorem1_log_weight(log_ratio(expert, score.occupancy)), log_pair_norms(score, gram, norm))


def corollary1_log_norms(
    score: OccupancyScore, expert: Occupancy, gram: np.ndarray, shift: float | np.ndarray = 0.0, norm: Norm = "rkhs"
) -> np.ndarray:
    """log norm of Corollary 1's estimator at every pair, [S, M]; ``shift`` = log((1 + e1)/(1 - e2))."""
    return _times(corollary1_log_weight(log_ratio(expert, score.occupancy), shift), log_pair_norms(score, gram, norm))


def _times(log_weight: np.ndarray, log_norm: np.ndarray) -> np.ndarray:
    """log of the product; an infinite weight stays infinite where the norm is zero."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(log_weight), log_weight, log_weight + log_norm)


def exact_gradient(score: OccupancyScore, expert: Occupancy) -> np.ndarray:
    """The gradient of D_JS(rho_h, rho_E) with respect to h, [S, A]: sum of 1/2 log(2u/(1+u)) d rho_h/dh.

    Needs a score in the ``grid`` form, whose d rho_h/dh sums to zero: the constant log 2 is dropped on that ground, or
    it would drown the rest in round-off once u is large. Also the expectation of Theorem 1's estimator over expert
    pairs wherever rho_E > 0 on the support of rho_h.
    """
    visited = score.occupancy.log_pair > -np.inf
    log_u = np.where(visited, log_ratio(expert, score.occupancy), 0.0)
    return weighted_gradient(score, -0.5 * np.exp(score.occupancy.log_pair) * softplus(-log_u))


def gradient_bound(score: OccupancyScore, gram: np.ndarray) -> float:
    """1/2 (E over rho_h of ||grad log rho_h||^2)^(1/2): no expert makes the exact gradient's norm larger.

    From log(1 + x) <= sqrt(x) and Cauchy-Schwarz. Finite at any fixed Sigma, of order 1/sigma as it falls.
    """
    square = np.exp(score.occupancy.log_pair + 2.0 * log_pair_norms(score, gram))
    return float(0.5 * np.sqrt(square.sum()))
