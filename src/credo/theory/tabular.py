"""Finite Markov decision processes whose occupancies are exact: one linear solve in the number of states.

Shapes: S states, M discretised actions of dimension A. The matrices of Eqs. 1-2 of the paper live in S*M
dimensions and are never built here, by the identity

    (I - g P Pi)^-1 = I + g P (I - g Pi P)^-1 Pi,

whose inner inverse is S by S.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from credo.types import Array, CredoError

ROW_SUM_TOLERANCE = 1e-9


class MDP(NamedTuple):
    """A finite MDP with discretised actions; build it with :func:`make_mdp`, which checks it."""

    transition: Array
    """[S, M, S] float64, or a SciPy CSR matrix [S*M, S] whose row s*M + m is the successor distribution."""
    start: np.ndarray
    """[S] start distribution."""
    discount: float
    """In [0, 1)."""
    actions: np.ndarray
    """[M, A] the action that each grid index stands for."""


class Occupancy(NamedTuple):
    """Discounted occupancies, normalised to sum 1 (Section 3.1); logarithms, so that nothing underflows."""

    log_state: np.ndarray
    """[S] log d(s); -inf where a state is never visited."""
    log_pair: np.ndarray
    """[S, M] log rho(s, a) = log d(s) + log pi(a|s)."""


class SmoothMDP(NamedTuple):
    """Transitions smooth in a continuous action: P(s'|s, a) = softmax over s' of bias[s, s'] + weight[s, s'] . a.

    The deterministic policy gradient needs dP/da, which a table of grid actions does not have.
    """

    bias: np.ndarray
    """[S, S]."""
    weight: np.ndarray
    """[S, S, A]."""
    start: np.ndarray
    """[S]."""
    discount: float


def action_grid(points: int, dimensions: int = 1, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Midpoints of ``points`` equal cells along each of ``dimensions`` axes of [low, high]: [points**dimensions,
    dimensions]."""
    if points < 2 or dimensions < 1 or not high > low:
        raise CredoError(
            f"action grid of {points} points in {dimensions} dimensions on [{low}, {high}]: "
            "needs at least 2 points, 1 dimension and low < high"
        )
    spacing = (high - low) / points
    axis = low + spacing * (np.arange(points) + 0.5)
    axes = np.meshgrid(*([axis] * dimensions), indexing="ij")
    return np.stack([a.ravel() for a in axes], axis=-1)


def check_distribution(name: str, rows: np.ndarray) -> None:
    """Raise CredoError unless each row of ``rows`` [..., K] is finite, non-negative and sums to 1."""
    rows = np.asarray(rows)
    if not np.all(np.isfinite(rows)):
        raise CredoError(f"{name} has entries that are not finite; probabilities are needed")
    if np.any(rows < 0):
        where = tuple(int(i) for i in np.argwhere(rows < 0)[0])
        raise CredoError(f"{name} is negative ({rows[where]:.3g}) at {where}; probabilities are needed")
    sums = np.atleast_1d(rows.sum(axis=-1))
    worst = np.unravel_index(np.argmax(np.abs(sums - 1.0)), sums.shape)
    if abs(sums[worst] - 1.0) > ROW_SUM_TOLERANCE:
        raise CredoError(f"{name} row {tuple(int(i) for i in worst)} sums to {sums[worst]:.12g}, not 1")


def make_mdp(transition: Array, start: np.ndarray, discount: float, actions: np.ndarray) -> MDP:
    """Check and build an :class:`MDP`; raises CredoError naming what is wrong (rows, discount, shapes)."""
    start = np.asarray(start, dtype=np.float64)
    actions = np.asarray(actions, dtype=np.float64)
    if actions.ndim != 2 or start.ndim != 1:
        raise CredoError(f"start must be [S] and actions [M, A], got shapes {start.shape} and {actions.shape}")
    if not np.all(np.isfinite(actions)):
        raise CredoError("actions has an entry that is not finite; numbers are needed")
    states, grid = start.shape[0], actions.shape[0]
    if not 0.0 <= discount < 1.0:
        raise CredoError(f"discount is {discount}; it must lie in [0, 1), or the occupancy does not exist")
    if sparse.issparse(transition):
        transition = sparse.csr_matrix(transition, dtype=np.float64)
        if transition.shape != (states * grid, states):
            raise CredoError(f"sparse transition has shape {transition.shape}, not {(states * grid, states)}")
        sums = np.asarray(transition.sum(axis=1)).reshape(states, grid)
        smallest = transition.data.min() if transition.nnz else 0.0
    else:
        transition = np.asarray(transition, dtype=np.float64)
        if transition.shape != (states, grid, states):
            raise CredoError(f"transition has shape {transition.shape}, not {(states, grid, states)}")
        sums = transition.sum(axis=-1)
        smallest = transition.min()
    if not np.all(np.isfinite(sums)) or smallest < 0:
        raise CredoError(f"transition has an entry that is no probability (smallest {smallest:.3g})")
    s, m = np.unravel_index(np.argmax(np.abs(sums - 1.0)), sums.shape)
    if abs(sums[s, m] - 1.0) > ROW_SUM_TOLERANCE:
        raise CredoError(f"transition row (state {s}, action {m}) sums to {sums[s, m]:.12g}, not 1")
    check_distribution("start", start)
    return MDP(transition, start, float(discount), actions)


def weighted_next(mdp: MDP, weights: np.ndarray) -> np.ndarray:
    """Sum over actions of weights[s, m] P(s'|s, m): [S, M] -> [S, S]. With weights = pi, the kernel Pi P."""
    if sparse.issparse(mdp.transition):
        states, grid = weights.shape
        pointers = np.arange(states + 1) * grid
        expanded = sparse.csr_matrix((weights.ravel(), np.arange(states * grid), pointers), (states, states * grid))
        return np.asarray((expanded @ mdp.transition).toarray())
    return np.matmul(weights[:, None, :], mdp.transition)[:, 0, :]


def expected_next(mdp: MDP, values: np.ndarray) -> np.ndarray:
    """E[values(s') | s, a]: [S] -> [S, M]."""
    return np.asarray(mdp.transition @ values).reshape(len(mdp.start), len(mdp.actions))


def resolvent(mdp: MDP, policy: np.ndarray) -> np.ndarray:
    """(I - g Pi P)^-1, [S, S]: expected discounted visits to column s' from row s. ``policy`` is [S, M]."""
    identity = np.eye(len(mdp.start))
    return np.linalg.solve(identity - mdp.discount * weighted_next(mdp, policy), identity)


def action_values(mdp: MDP, policy: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Q(s, a), the expected discounted sum of rewards from (s, a) on, [S, M]; ``policy`` and ``rewards`` are [S, M]."""
    values = resolvent(mdp, policy) @ np.sum(policy * rewards, axis=1)
    return rewards + mdp.discount * expected_next(mdp, values)


def state_occupancy(mdp: MDP, policy: np.ndarray) -> np.ndarray:
    """d(s) = (1 - g) sum_t g^t Pr(s_t = s), [S], by d = (1 - g) (I - g (Pi P)^T)^-1 start."""
    matrix = np.eye(len(mdp.start)) - mdp.discount * weighted_next(mdp, policy)
    # Round-off can leave an unreachable state at -1e-18.
    return np.maximum((1.0 - mdp.discount) * np.linalg.solve(matrix.T, mdp.start), 0.0)


def occupancy(mdp: MDP, log_policy: np.ndarray) -> Occupancy:
    """Exact occupancies of a policy given as log pi(a|s), [S, M]; CredoError if a row does not sum to 1."""
    policy = np.exp(log_policy)
    check_distribution("policy", policy)
    with np.errstate(divide="ignore"):
        log_state = np.log(state_occupancy(mdp, policy))
    return Occupancy(log_state, log_state[:, None] + log_policy)


def random_smooth_mdp(
    generator: np.random.Generator,
    states: int,
    dimensions: int = 1,
    discount: float = 0.9,
    steepness: float = 2.0,
    persistence: float = 0.0,
) -> SmoothMDP:
    """A random :class:`SmoothMDP` (Gaussian bias, Gaussian weight of scale ``steepness``, Dirichlet start).

    ``persistence`` is added to the logit of staying in a state: larger, slower mixing, values that differ more.
    """
    return SmoothMDP(
        bias=generator.normal(size=(states, states)) + persistence * np.eye(states),
        weight=steepness * generator.normal(size=(states, states, dimensions)),
        start=generator.dirichlet(np.ones(states)),
        discount=discount,
    )


def discretise(smooth: SmoothMDP, actions: np.ndarray) -> MDP:
    """The :class:`MDP` of a :class:`SmoothMDP` on a grid of actions [M, A]."""
    logits = smooth.bias[:, None, :] + np.einsum("stj,mj->smt", smooth.weight, actions)
    return make_mdp(special.softmax(logits, axis=-1), smooth.start, smooth.discount, actions)


def transition_at(smooth: SmoothMDP, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(s'|s, a) and dP/da at one continuous action per state, [S, A] -> ([S, S], [S, S, A])."""
    probability = special.softmax(smooth.bias + np.einsum("stj,sj->st", smooth.weight, actions), axis=-1)
    mean_weight = np.einsum("st,stj->sj", probability, smooth.weight)
    return probability, probability[..., None] * (smooth.weight - mean_weight[:, None, :])
