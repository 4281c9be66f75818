import time
import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from theory_problems import random_problem, random_sparse_mdp

from credo.theory import policies, tabular, theorem
from credo.types import CredoError
from reference.paper_matrices import expanded_policy_matrix, marginalisation_matrix


def test_occupancy_is_the_discounted_sum_of_state_distributions():
    problem = random_problem(0, discount=0.8)
    policy = np.exp(policies.log_grid_policy(problem.policy, problem.mdp.actions))
    kernel = np.einsum("sm,smt->st", policy, problem.mdp.transition)
    distribution, total = problem.mdp.start, np.zeros(4)
    for t in range(400):
        total += 0.2 * 0.8**t * distribution
        distribution = distribution @ kernel
    found = tabular.occupancy(problem.mdp, np.log(policy))
    np.testing.assert_allclose(np.exp(found.log_state), total, rtol=1e-12)
    np.testing.assert_allclose(np.exp(found.log_pair), total[:, None] * policy, rtol=1e-12)


def test_a_chain_by_hand():
    # State 0 moves to state 1 for good: d = (1 - g, g).
    transition = np.zeros((2, 3, 2))
    transition[:, :, 1] = 1.0
    mdp = tabular.make_mdp(transition, np.array([1.0, 0.0]), 0.25, tabular.action_grid(3))
    found = tabular.state_occupancy(mdp, np.full((2, 3), 1 / 3))
    np.testing.assert_allclose(found, [0.75, 0.25], rtol=1e-14)


def test_action_values_are_those_of_value_iteration():
    problem = random_problem(2, discount=0.8)
    policy = np.exp(policies.log_grid_policy(problem.policy, problem.mdp.actions))
    rewards = np.random.default_rng(3).normal(size=policy.shape)
    values = np.zeros_like(policy)
    for _ in range(200):
        values = rewards + 0.8 * np.einsum("smt,tn,tn->sm", problem.mdp.transition, policy, values)
    np.testing.assert_allclose(tabular.action_values(problem.mdp, policy, rewards), values, rtol=1e-12)


def test_paper_matrices_of_equations_1_and_2():
    problem = random_problem(1)
    policy = np.exp(policies.log_grid_policy(problem.policy, problem.mdp.actions))
    rho = np.exp(tabular.occupancy(problem.mdp, np.log(policy)).log_pair)
    state = tabular.state_occupancy(problem.mdp, policy)
    marginal = marginalisation_matrix(4, 7)
    expanded = expanded_policy_matrix(policy)
    assert marginal.shape == expanded.shape == (4, 28)
    np.testing.assert_allclose(marginal @ rho.ravel(), state, rtol=1e-12)
    np.testing.assert_allclose(expanded.T @ state, rho.ravel(), rtol=1e-12)
    kernel = expanded @ problem.mdp.transition.reshape(28, 4)
    np.testing.assert_allclose(kernel, tabular.weighted_next(problem.mdp, policy), rtol=1e-12)


def test_sparse_and_dense_transitions_agree():
    generator = np.random.default_rng(0)
    thin = random_sparse_mdp(generator, 6, 9, successors=3)
    thick = tabular.make_mdp(thin.transition.toarray().reshape(6, 9, 6), thin.start, thin.discount, thin.actions)
    weights, values = generator.normal(size=(6, 9)), generator.normal(size=6)
    np.testing.assert_allclose(tabular.weighted_next(thin, weights), tabular.weighted_next(thick, weights), atol=1e-13)
    np.testing.assert_allclose(tabular.expected_next(thin, values), tabular.expected_next(thick, values), atol=1e-13)


def test_smooth_transition_derivative_against_central_differences():
    smooth = tabular.random_smooth_mdp(np.random.default_rng(2), 4, dimensions=2)
    actions = np.random.default_rng(3).uniform(-1, 1, size=(4, 2))
    probability, derivative = tabular.transition_at(smooth, actions)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-13)
    step = 1e-6
    for axis in range(2):
        moved = step * np.eye(2)[axis]
        high, low = (tabular.transition_at(smooth, actions + sign * moved)[0] for sign in (1, -1))
        np.testing.assert_allclose(derivative[..., axis], (high - low) / (2 * step), atol=1e-8)
    table = tabular.discretise(smooth, actions)
    np.testing.assert_allclose(table.transition[np.arange(4), np.arange(4)], probability, rtol=1e-13)


def test_grid_points_are_midpoints_and_cells_fill_the_box():
    actions = tabular.action_grid(4, 2)
    assert actions.shape == (16, 2)
    assert sorted(set(np.round(actions[:, 0], 12))) == [-0.75, -0.25, 0.25, 0.75]


@pytest.mark.parametrize("wrong", [(1,), (4, 0), (4, 1, 1.0, 1.0), (4, 1, 1.0, -1.0)])
def test_grids_that_are_none_are_refused(wrong):
    with pytest.raises(CredoError, match="needs at least 2 points"):
        tabular.action_grid(*wrong)


def test_kernel_by_hand():
    # Distance 5 and bandwidth 2: exp(-25/8).
    found = policies.gaussian_gram(np.array([[0.0, 0.0], [3.0, 4.0]]), 2.0)
    np.testing.assert_allclose(found, [[1, np.exp(-3.125)], [np.exp(-3.125), 1]], rtol=1e-14)


def test_means_that_no_coefficients_give_are_refused():
    with pytest.raises(CredoError, match="gram is singular"):
        policies.policy_with_means(np.array([[0.0], [1.0]]), np.ones((2, 2)), np.eye(1))


def test_means_that_the_coefficients_miss_are_refused():
    # Two states 1e-6 apart: the Gram matrix can still be solved, and far from well.
    gram = policies.gaussian_gram(np.array([[0.0], [1e-6], [1.0]]), 0.7)
    means = np.array([[0.3], [-0.3], [0.1]])
    with pytest.raises(CredoError, match=r"gram is near-singular: .* off by .* more than 1e-09; use fewer states"):
        policies.policy_with_means(means, gram, np.eye(1))
    near = policies.policy_with_means(means, policies.gaussian_gram(np.array([[0.0], [0.5], [1.0]]), 0.7), np.eye(1))
    np.testing.assert_allclose(near.means, means, atol=1e-12)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan"), float("inf")])
def test_a_kernel_needs_a_positive_bandwidth(bandwidth):
    with pytest.raises(CredoError, match=f"bandwidth is {bandwidth}; it must be positive and finite"):
        policies.gaussian_gram(np.zeros((2, 1)), bandwidth)


def test_numbers_that_are_none_are_named():
    bad = np.array([[0.1], [np.nan]])
    with pytest.raises(CredoError, match="coordinates has an entry that is not finite"):
        policies.gaussian_gram(bad, 1.0)
    with pytest.raises(CredoError, match="coefficients has an entry that is not finite"):
        policies.make_policy(bad, np.eye(2), np.eye(1))
    with pytest.raises(CredoError, match="gram has an entry that is not finite"):
        policies.make_policy(np.zeros((2, 1)), np.full((2, 2), np.inf), np.eye(1))
    with pytest.raises(CredoError, match="means has an entry that is not finite"):
        policies.policy_with_means(bad, np.eye(2), np.eye(1))
    with pytest.raises(CredoError, match="gram has an entry that is not finite"):
        policies.policy_with_means(np.zeros((2, 1)), np.full((2, 2), np.nan), np.eye(1))


def _good():
    return np.full((2, 3, 2), 0.5), np.array([0.5, 0.5]), 0.9, tabular.action_grid(3)


def _bad_row(t, s, g, a):
    t[1, 2, 0] = 0.6
    return t, s, g, a


def _negative(t, s, g, a):
    t[0, 1] = [1.2, -0.2]
    return t, s, g, a


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_bad_row, r"transition row \(state 1, action 2\) sums to 1\.1"),
        (_negative, "transition has an entry that is no probability"),
        (lambda t, s, g, a: (t, s, 1.0, a), r"discount is 1\.0"),
        (lambda t, s, g, a: (t, s, -0.1, a), r"discount is -0\.1"),
        (lambda t, s, g, a: (t, s, float("nan"), a), "discount is nan"),
        (lambda t, s, g, a: (t, np.array([0.5, 0.4]), g, a), "start row"),
        (lambda t, s, g, a: (t, np.array([1.25, -0.25]), g, a), r"start is negative \(-0\.25\) at \(1,\)"),
        (lambda t, s, g, a: (t[:, :2], s, g, a), "transition has shape"),
        (lambda t, s, g, a: (np.full_like(t, np.nan), s, g, a), "transition has an entry"),
        (lambda t, s, g, a: (sparse.csr_matrix(t.reshape(6, 2) * 0.9), s, g, a), "sums to 0.9"),
        (lambda *parts: (sparse.csr_matrix(_negative(*parts)[0].reshape(6, 2)), *parts[1:]), r"smallest -0\.2"),
        (lambda t, s, g, a: (t, s, g, np.full_like(a, np.nan)), "actions has an entry that is not finite"),
    ],
)
def test_bad_mdps_are_named_in_one_line(change, message):
    with pytest.raises(CredoError, match=message) as caught:
        tabular.make_mdp(*change(*_good()))
    assert "\n" not in str(caught.value)


def test_a_policy_whose_rows_do_not_sum_to_one_is_refused():
    problem = random_problem(0)
    log_policy = policies.log_grid_policy(problem.policy, problem.mdp.actions)
    with pytest.raises(CredoError, match="policy row"):
        tabular.occupancy(problem.mdp, log_policy + 0.01)


@pytest.mark.parametrize("covariance", [np.zeros((1, 1)), -np.eye(1), np.array([[np.nan]]), np.ones((2, 2))])
def test_covariances_that_are_not_positive_definite_are_refused(covariance):
    size = len(covariance)
    with pytest.raises(CredoError, match="positive definite"):
        policies.make_policy(np.zeros((3, size)), np.eye(3), covariance)


def test_asymmetric_covariance_and_indefinite_kernel_are_refused():
    with pytest.raises(CredoError, match="symmetric"):
        policies.make_policy(np.zeros((3, 2)), np.eye(3), np.array([[1.0, 0.3], [0.1, 1.0]]))
    with pytest.raises(CredoError, match="gram is not a kernel matrix"):
        policies.make_policy(np.zeros((2, 1)), np.array([[1.0, 2.0], [2.0, 1.0]]), np.eye(1))


def test_two_hundred_states_and_a_thousand_actions_fit_in_bounded_memory_and_time():
    # The (S*M) by (S*M) inverse would hold 3.2e11 bytes; S*M floats are 1.6e6.
    mdp = random_sparse_mdp(np.random.default_rng(0), 200, 1000)
    generator = np.random.default_rng(1)
    gram = policies.gaussian_gram(generator.normal(size=(200, 3)), 0.5)
    policy = policies.make_policy(0.1 * generator.normal(size=(200, 1)), gram, np.eye(1) * 0.01)
    expert_policy = policies.make_policy(0.1 * generator.normal(size=(200, 1)), gram, np.eye(1) * 0.04)
    tracemalloc.start()
    started = time.process_time()
    expert = tabular.occupancy(mdp, policies.log_grid_policy(expert_policy, mdp.actions))
    score = theorem.occupancy_score(mdp, policy)
    norms = theorem.theorem1_log_norms(score, expert, gram)
    gradient = theorem.exact_gradient(score, expert)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6
    assert seconds < 10.0
    # Theorem 1's estimator, averaged exactly, is the exact gradient: a check on the whole large computation.
    log_u = theorem.log_ratio(expert, score.occupancy)
    weights = 0.5 * np.exp(score.occupancy.log_pair) * theorem.theorem1_log_factor(log_u)
    np.testing.assert_allclose(theorem.weighted_gradient(score, weights), gradient, atol=1e-10)
    assert np.isfinite(norms).all()
