"""Small random problems shared by the tests of the theory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from credo.theory import policies, tabular


class Problem(NamedTuple):
    mdp: tabular.MDP
    policy: policies.GaussianPolicy
    expert: tabular.Occupancy


def random_problem(
    seed: int, states: int = 4, grid: int = 7, dimensions: int = 1, discount: float = 0.9, deviation: float = 0.4
) -> Problem:
    """Dirichlet transitions, a random full covariance, a Gaussian expert of another shape."""
    generator = np.random.default_rng(seed)
    actions, volume = tabular.action_grid(grid, dimensions)
    count = len(actions)
    mdp = tabular.make_mdp(
        generator.dirichlet(np.ones(states), size=(states, count)),
        generator.dirichlet(np.ones(states)),
        discount,
        actions,
        volume,
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
