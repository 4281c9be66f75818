"""The matrices of the paper's Eqs. 1, 2, 18 and 19, built literally: for small problems, to check structured forms."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from credo.theory.policies import Form, GaussianPolicy, log_grid_policy, policy_score
from credo.theory.tabular import MDP, resolvent


def marginalisation_matrix(states: int, grid: int) -> sparse.csr_matrix:
    """T of Eq. 2, sparse [S, S*M]: d = T rho."""
    return sparse.csr_matrix(sparse.kron(sparse.identity(states), np.ones((1, grid))))


def expanded_policy_matrix(policy: np.ndarray) -> sparse.csr_matrix:
    """Pi of Eq. 1, sparse [S, S*M] from pi(a|s) [S, M]: block diagonal, so that rho = Pi^T d."""
    return sparse.csr_matrix(sparse.block_diag([row[None, :] for row in policy]))


def policy_jacobian_matrix(policy: GaussianPolicy, actions: np.ndarray, form: Form = "grid") -> sparse.csr_matrix:
    """H_h of Eq. 19 with respect to the coefficients, sparse [S*A, S*M].

    Column (s, m) is pi(a_m|s) k(s_i, s) score(s, a_m), rows (i, j) = centre and action dimension.
    """
    weighted = np.exp(log_grid_policy(policy, actions))[..., None] * policy_score(policy, actions, form)
    states, grid, dimensions = weighted.shape
    matrix = np.einsum("is,smj->ijsm", policy.gram, weighted)
    return sparse.csr_matrix(matrix.reshape(states * dimensions, states * grid))


def occupancy_jacobian_as_printed(mdp: MDP, policy: GaussianPolicy, form: Form = "printed") -> np.ndarray:
    """Upsilon^T = H_h Delta(T^T d_h) (I - g P Pi_h)^-1 built literally, [S*A, S*M], with respect to the coefficients.

    Holds an (S*M) by (S*M) matrix.
    """
    probability = np.exp(log_grid_policy(policy, mdp.actions))
    states, grid = probability.shape
    transition = mdp.transition if sparse.issparse(mdp.transition) else mdp.transition.reshape(states * grid, states)
    product = transition @ expanded_policy_matrix(probability)
    product = product.toarray() if sparse.issparse(product) else np.asarray(product)
    inverse = np.linalg.inv(np.eye(states * grid) - mdp.discount * product)
    state = (1.0 - mdp.discount) * mdp.start @ resolvent(mdp, probability)
    spread = marginalisation_matrix(states, grid).T @ state
    return np.asarray(policy_jacobian_matrix(policy, mdp.actions, form) @ (spread[:, None] * inverse))
