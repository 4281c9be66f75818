"""Small random problems shared by the tests of the theory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from credo.theory import policies, tabular, theorem


class Problem(NamedTuple):
    mdp: tabular.MDP
    policy: policies.GaussianPolicy
    expert: tabular.Occupancy


def random_problem(
    seed: int, states: int = 4, grid: int = 7, dimensions: int = 1, discount: float = 0.9, deviation: float = 0.4
) -> Problem:
    """Dirichlet transitions, a random full covariance, a Gaussian expert of another shape."""
    generator = np.random.default_rng(seed)
    actions = tabular.action_grid(grid, dimensions)
    count = len(actions)
    mdp = tabular.make_mdp(
        generator.dirichlet(np.ones(states), size=(states, count)),
        generator.dirichlet(np.ones(states)),
        discount,
        actions,
    )
    gram = policies.gaussian_gram(generator.normal(size=(states, 2)), 1.0)
    factor = deviation * (np.eye(dimensions) + 0.3 * np.tril(generator.normal(size=(dimensions, dimensions))))
    policy = policies.make_policy(
        0.3 * generator.normal(size=(states, dimensions)), gram, factor @ factor.T + 1e-4 * np.eye(dimensions)
    )
    expert = policies.make_policy(0.3 * generator.normal(size=(states, dimensions)), gram, 0.25 * np.eye(dimensions))
    return Problem(mdp, policy, tabular.occupancy(mdp, policies.log_grid_policy(expert, actions)))


def occupancy_of(problem: Problem, coefficients: np.ndarray) -> tabular.Occupancy:
    """The occupancy of the problem's policy at other coefficients [S, A]."""
    policy = policies.make_policy(coefficients, problem.policy.gram, problem.policy.covariance)
    return tabular.occupancy(problem.mdp, policies.log_grid_policy(policy, problem.mdp.actions))


def occupancy_jacobian(score: theorem.OccupancyScore) -> np.ndarray:
    """d rho_h(t, b) / d h(s), [S, M, S, A]."""
    states, grid, _ = score.action.shape
    log_gradient = np.repeat(score.state[:, None], grid, axis=1)
    log_gradient[np.arange(states), :, np.arange(states)] += score.action
    return np.exp(score.occupancy.log_pair)[..., None, None] * log_gradient


def random_sparse_mdp(
    generator: np.random.Generator, states: int, grid: int, successors: int = 5, discount: float = 0.99
) -> tabular.MDP:
    """A random MDP in which each state-action pair has ``successors`` successors: memory S*M*successors."""
    actions = tabular.action_grid(grid)
    columns = np.stack([generator.choice(states, successors, replace=False) for _ in range(states)])
    logits = generator.normal(size=(states, 1, successors)) + 2.0 * actions[None] * generator.normal(
        size=(states, 1, successors)
    )
    data = special.softmax(logits, axis=-1).ravel()
    indices = np.broadcast_to(columns[:, None, :], (states, grid, successors)).ravel()
    pointers = np.arange(states * grid + 1) * successors
    matrix = sparse.csr_matrix((data, indices, pointers), (states * grid, states))
    return tabular.make_mdp(matrix, generator.dirichlet(np.ones(states)), discount, actions)
