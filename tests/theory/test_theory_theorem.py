import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from theory_problems import occupancy_jacobian, random_problem

from credo.theory import limits, policies, tabular, theorem
from credo.theory.discriminators import logit_shift
from credo.theory.tabular import Occupancy
from credo.types import CredoError

seeds = st.integers(0, 2**31 - 1)


def parts(problem, form="printed"):
    score = theorem.occupancy_score(problem.mdp, problem.policy, form)
    jacobian = occupancy_jacobian(score)
    return score, jacobian, np.exp(score.occupancy.log_pair), np.exp(problem.expert.log_pair)


@settings(max_examples=10, deadline=None, database=None)
@given(seeds, st.integers(1, 2))
def test_theorem_1_as_printed(seed, dimensions):
    problem = random_problem(seed, 3, 5, dimensions)
    score, jacobian, rho, expert = parts(problem)
    assume(rho.min() > 0)  # the printed form takes its logarithm, ours stays in logarithms
    for s, m in ((0, 0), (2, 3), (1, 4)):
        printed = jacobian[s, m] / (2 * expert[s, m]) * np.log(2 * rho[s, m] / (rho[s, m] + expert[s, m]))
        found = theorem.theorem1_estimator(score, problem.expert, s, m)
        np.testing.assert_allclose(found, printed, rtol=1e-9, atol=1e-12)


@settings(max_examples=10, deadline=None, database=None)
@given(seeds, st.sampled_from([(0.0, 0.0), (0.7, -0.4), (-0.5, 0.9), (-3.0, 2.5)]))
def test_corollary_1_as_printed_on_both_branches(seed, errors):
    e1, e2 = errors
    problem = random_problem(seed, 3, 5)
    score, jacobian, rho, expert = parts(problem)
    assume(rho.min() > 0)
    for s, m in ((0, 0), (2, 3)):
        z = (1 + e1) * expert[s, m] + (1 - e2) * rho[s, m]
        printed = jacobian[s, m] / expert[s, m] * np.log((1 - e2) * rho[s, m] / z) + (e1 + e2) * jacobian[s, m] / z
        found = theorem.corollary1_estimator(score, problem.expert, s, m, e1, e2)
        np.testing.assert_allclose(found, printed, rtol=1e-8, atol=1e-11)


def test_corollary_1_depends_on_the_errors_through_one_number():
    problem = random_problem(4, 3, 5)
    score, _, _, _ = parts(problem)
    # (1 + e1)/(1 - e2) = 2 in all three, the last on the second branch.
    found = [
        theorem.corollary1_estimator(score, problem.expert, 1, 2, *pair)
        for pair in ((1.0, 0.0), (0.0, 0.5), (-3.0, 2.0))
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-12)


def test_corollary_is_the_derivative_of_its_own_objective_with_constant_errors():
    # Differentiating log D + (rho_h/rho_E) log(1 - D) in rho_h at one pair, e1 and e2 held constant.
    e1, e2, rho_expert = 0.4, -0.6, 0.013

    def objective(rho):
        d = (1 + e1) * rho_expert / ((1 + e1) * rho_expert + (1 - e2) * rho)
        return np.log(d) + rho / rho_expert * np.log(1 - d)

    for rho in (1e-4, 0.01, 0.4):
        step = 1e-6 * rho
        slope = (objective(rho + step) - objective(rho - step)) / (2 * step)
        weight = theorem.corollary1_weight(np.log(rho / rho_expert), logit_shift(e1, e2))
        # weight multiplies grad log rho = grad rho / rho.
        assert float(weight) / rho == pytest.approx(slope, rel=1e-5)


@settings(max_examples=10, deadline=None, database=None)
@given(seeds, st.integers(1, 2))
def test_relation_of_corollary_and_theorem_and_their_means(seed, dimensions):
    problem = random_problem(seed, 3, 5, dimensions)
    score, jacobian, rho, expert = parts(problem, "grid")
    first = theorem.theorem1_estimator(score, problem.expert, 2, 1)
    second = theorem.corollary1_estimator(score, problem.expert, 2, 1)
    np.testing.assert_allclose(second, 2 * first - np.log(2) * jacobian[2, 1] / expert[2, 1], rtol=1e-8, atol=1e-10)
    exact = theorem.exact_gradient(score, problem.expert)
    states, grid = rho.shape
    mean_first = sum(
        expert[s, m] * theorem.theorem1_estimator(score, problem.expert, s, m)
        for s in range(states)
        for m in range(grid)
    )
    mean_second = sum(
        expert[s, m] * theorem.corollary1_estimator(score, problem.expert, s, m)
        for s in range(states)
        for m in range(grid)
    )
    np.testing.assert_allclose(mean_first, exact, atol=1e-12)
    np.testing.assert_allclose(mean_second, 2 * exact, atol=1e-12)


@pytest.mark.parametrize("norm", ["rkhs", "coefficients"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_norms_of_all_pairs_equal_those_of_single_estimators(norm, dimensions):
    problem = random_problem(7, 3, 5, dimensions)
    gram = problem.policy.gram
    score, _, _, _ = parts(problem)
    every = theorem.theorem1_log_norms(score, problem.expert, gram, norm)
    other = theorem.corollary1_log_norms(score, problem.expert, gram, float(logit_shift(0.3, 0.2)), norm)
    for s, m in ((0, 0), (2, 3)):
        one = theorem.theorem1_estimator(score, problem.expert, s, m)
        two = theorem.corollary1_estimator(score, problem.expert, s, m, 0.3, 0.2)
        assert np.exp(every[s, m]) == pytest.approx(policies.gradient_norm(one, gram, norm), rel=1e-9)
        assert np.exp(other[s, m]) == pytest.approx(policies.gradient_norm(two, gram, norm), rel=1e-9)


def test_the_two_norms_are_what_they_are_called():
    problem = random_problem(8, 4, 5, 2)
    gradient = np.random.default_rng(0).normal(size=(4, 2))
    gram = problem.policy.gram
    # <f, f> = sum_ij g_i . g_j k(s_i, s_j); derivative with respect to coefficients of F(K a) is K g.
    rkhs = sum(gram[i, j] * gradient[i] @ gradient[j] for i in range(4) for j in range(4))
    assert policies.gradient_norm(gradient, gram, "rkhs") == pytest.approx(np.sqrt(rkhs), rel=1e-12)
    expected = np.linalg.norm(gram @ gradient)
    assert policies.gradient_norm(gradient, gram, "coefficients") == pytest.approx(expected, rel=1e-12)
    with pytest.raises(CredoError, match="norm is 'max'"):
        policies.gradient_norm(gradient, gram, "max")


def test_the_bound_over_experts_is_half_the_root_mean_square_of_the_score():
    problem = random_problem(6, 3, 5, 2)
    score, _, rho, _ = parts(problem, "grid")
    square = sum(
        rho[s, m] * policies.gradient_norm(theorem.pair_gradient(score, s, m), problem.policy.gram) ** 2
        for s, m in np.ndindex(*rho.shape)
    )
    assert theorem.gradient_bound(score, problem.policy.gram) == pytest.approx(0.5 * np.sqrt(square), rel=1e-12)


def test_the_score_of_a_rarely_visited_state_is_not_lost():
    # State 1 is entered from state 0 with probability 1e-6 (1 + a)/2 and never left: d(1) is proportional to
    # E[1 + a] nearly, so that d log d(1)/dh(0) is E[(1 + a) score]/E[1 + a] however rare it is; state 2 is unreachable.
    actions = tabular.action_grid(9)
    transition = np.zeros((3, 9, 3))
    transition[0, :, 1] = 1e-6 * (1 + actions[:, 0]) / 2
    transition[0, :, 0] = 1 - transition[0, :, 1]
    transition[1:, :, 1] = 1.0
    mdp = tabular.make_mdp(transition, np.array([1.0, 0.0, 0.0]), 0.5, actions)
    policy = policies.policy_with_means(np.array([[0.1], [0.0], [0.0]]), np.eye(3), 0.09 * np.eye(1))
    score = theorem.occupancy_score(mdp, policy)
    probability = np.exp(policies.log_grid_policy(policy, actions))[0]
    enter = probability * (1 + actions[:, 0])
    assert np.exp(score.occupancy.log_state[1]) < 1e-5
    assert score.state[1, 0, 0] == pytest.approx(enter @ score.action[0, :, 0] / enter.sum(), rel=1e-5)
    assert score.occupancy.log_state[2] == -np.inf
    np.testing.assert_array_equal(score.state[2], 0.0)


def test_weights_at_extreme_ratios():
    log_u = np.array([-3000.0, -50.0, 0.0, 50.0, 3000.0])
    corollary = theorem.corollary1_weight(log_u, 0.0)
    np.testing.assert_allclose(corollary[[0, 4]], [0.0, -1.0], atol=1e-12)
    assert corollary[3] == pytest.approx(-1.0)
    first = theorem.theorem1_log_weight(log_u)
    # u -> 0: u |log u| / 2 and u -> inf: u log(2) / 2; exactly 0 at u = 1.
    assert first[0] == pytest.approx(-3000 + np.log((3000 - np.log(2)) / 2), rel=1e-12)
    assert first[4] == pytest.approx(3000 + np.log(np.log(2) / 2), rel=1e-12)
    assert first[2] == -np.inf


def test_an_expert_pair_of_occupancy_zero_is_refused():
    problem = random_problem(9, 3, 5)
    score, _, _, _ = parts(problem)
    holes = problem.expert.log_pair.copy()
    holes[1, 2] = -np.inf
    expert = Occupancy(problem.expert.log_state, holes)
    for estimator in (theorem.theorem1_estimator, theorem.corollary1_estimator):
        with pytest.raises(CredoError, match=r"expert occupancy is zero at the sampled pair \(state 1, action 2\)"):
            estimator(score, expert, 1, 2)
        assert np.isfinite(estimator(score, expert, 1, 3)).all()
    norms = theorem.theorem1_log_norms(score, expert, problem.policy.gram)
    assert norms[1, 2] == np.inf
    assert np.sum(norms == np.inf) == 1


@pytest.mark.parametrize("shift", [0.0, np.log(1.5 / 1.3), np.log(0.2)])
def test_weights_where_one_occupancy_is_zero_are_their_limits(shift):
    ends = np.array([-np.inf, np.inf])
    np.testing.assert_allclose(theorem.corollary1_weight(ends, shift), [0.0, -1.0], atol=1e-12)
    assert theorem.corollary1_log_weight(ends, shift)[0] == -np.inf
    np.testing.assert_array_equal(theorem.theorem1_log_weight(ends), ends)
    assert theorem.theorem1_weight(np.array(-np.inf)) == 0.0
    log_u = np.array([-50.0, -1.0, 0.5, 30.0])
    u = np.exp(log_u)
    np.testing.assert_allclose(theorem.theorem1_weight(log_u), u / 2 * np.log(2 * u / (1 + u)), rtol=1e-10)


def unreachable_problem(policy_states, expert_states):
    """Two states that stay as they start, each occupied as the start distributions [2] say; the policy's score."""
    actions, transition = tabular.action_grid(9), np.zeros((2, 9, 2))
    transition[0, :, 0] = transition[1, :, 1] = 1.0
    policy = policies.policy_with_means(np.array([[0.1], [-0.2]]), np.eye(2), 0.09 * np.eye(1))
    expert = policies.policy_with_means(np.array([[0.2], [0.0]]), np.eye(2), 0.16 * np.eye(1))
    mine, its = (
        tabular.make_mdp(transition, np.array(start), 0.5, actions) for start in (policy_states, expert_states)
    )
    score = theorem.occupancy_score(mine, policy)
    return score, tabular.occupancy(its, policies.log_grid_policy(expert, actions))


def test_a_state_that_the_policy_never_visits_gives_nothing():
    score, expert = unreachable_problem([1.0, 0.0], [0.5, 0.5])
    for norms in (theorem.theorem1_log_norms, theorem.corollary1_log_norms):
        found = norms(score, expert, np.eye(2))
        assert np.all(found[1] == -np.inf)
        assert np.isfinite(limits.log_expert_mean(found, expert))
    np.testing.assert_array_equal(theorem.theorem1_estimator(score, expert, 1, 3), 0.0)
    np.testing.assert_array_equal(theorem.corollary1_estimator(score, expert, 1, 3), 0.0)
    exact = theorem.exact_gradient(score, expert)
    # What is left is state 0 alone: the divergence's gradient there, by definition.
    rho, log_expert = np.exp(score.occupancy.log_pair[0]), expert.log_pair[0]
    expected = 0.5 * np.sum(rho * np.log(2 * rho / (rho + np.exp(log_expert))) * score.action[0, :, 0])
    np.testing.assert_allclose(exact[:, 0], [expected, 0.0], atol=1e-12)
    assert abs(expected) > 0.01


def test_a_state_that_the_expert_never_visits_counts_in_no_mean_over_it():
    score, expert = unreachable_problem([0.5, 0.5], [1.0, 0.0])
    norms = theorem.theorem1_log_norms(score, expert, np.eye(2))
    assert np.all(norms[1] == np.inf)
    found = limits.log_expert_mean(norms, expert)
    assert found == pytest.approx(np.log(np.exp(expert.log_pair[0]) @ np.exp(norms[0])), rel=1e-12)
    assert np.isfinite(theorem.corollary1_log_norms(score, expert, np.eye(2))[1]).all()
    assert np.isfinite(theorem.exact_gradient(score, expert)).all()


def test_a_pair_that_neither_visits_is_infinite_whatever_its_norm():
    score, expert = unreachable_problem([1.0, 0.0], [1.0, 0.0])
    score.action[1] = 0.0
    assert np.all(theorem.theorem1_log_norms(score, expert, np.eye(2))[1] == np.inf)


def test_errors_outside_equation_13_are_refused():
    with pytest.raises(CredoError, match=r"Eq\. 13 needs"):
        logit_shift(-2.0, 0.5)


@pytest.mark.parametrize("shift", [0.0, np.log(1.5 / 1.3), np.log(0.2), np.log(40.0)])
def test_corollary_1s_log_weight_goes_on_where_the_weight_is_no_float(shift):
    log_u = np.concatenate([np.linspace(-300, 300, 4001), shift + np.array([-1e-9, 0.0, 1e-9])])
    weight = theorem.corollary1_weight(log_u, shift)
    sizeable = np.abs(weight) > 1e-300
    np.testing.assert_allclose(
        theorem.corollary1_log_weight(log_u, shift)[sizeable], np.log(np.abs(weight[sizeable])), atol=1e-10
    )
    # For u far below k: u (log(u/k) + (k - 1)/k), by its logarithm; nothing at all at u = 0.
    found = theorem.corollary1_log_weight(np.array([-5e4, -np.inf]), shift)
    assert found[0] == pytest.approx(-5e4 + np.log(5e4 + shift - 1 + np.exp(-shift)), rel=1e-12)
    assert found[1] == -np.inf
