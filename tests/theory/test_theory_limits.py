"""The limits Sigma -> 0, against exponents derived by hand in docs/theory.md."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_problems import random_problem

from credo.theory import findings_events, findings_limits, limits, policies, tabular, theorem
from credo.types import CredoError


def exponent(sigmas, values):
    return limits.fit_power(np.array(sigmas), np.array(values)).exponent


def measured(task, sigmas, expert_deviation=0.3):
    expert = limits.expert_occupancy(task, expert_deviation)
    return expert, [limits.measure(task, float(s), expert) for s in sigmas]


@pytest.fixture(scope="module")
def fine():
    task = limits.make_task(3, states=4, grid=20_001)
    sigmas = limits.deviations(task, 6, largest=0.003)
    expert, points = measured(task, sigmas)
    return task, sigmas, expert, points


def test_at_fixed_disparity_the_printed_estimator_vanishes(fine):
    task, sigmas, _, points = fine
    gap = 0.05
    values = np.array([limits.at_disparity(task, p.theorem1, gap) for p in points])
    assert np.all(np.diff(values) < 0)
    slopes, errors = limits.fit_plane(np.stack([sigmas**-2.0, np.log(sigmas)], axis=1), values)
    # log norm = -gap^2/(2 sigma^2) - 5 log sigma: u brings sigma^-1, log u sigma^-2, the score sigma^-2.
    assert slopes[0] == pytest.approx(-0.5 * gap**2, rel=1e-4)
    assert slopes[1] == pytest.approx(-5.0, abs=0.2)
    assert errors[0] < 1e-6


def test_at_proportional_disparity_theorem_1_grows_as_sigma_to_minus_2_and_corollary_1_as_minus_1(fine):
    task, sigmas, _, points = fine
    first = [limits.at_disparity(task, p.theorem1, float(s)) for s, p in zip(sigmas, points, strict=True)]
    second = [limits.at_disparity(task, p.corollary1, float(s)) for s, p in zip(sigmas, points, strict=True)]
    assert exponent(sigmas, first) == pytest.approx(-2.0, abs=0.05)
    assert exponent(sigmas, second) == pytest.approx(-1.0, abs=0.02)


def test_averages_over_the_expert(fine):
    task, sigmas, expert, points = fine
    mean = [limits.log_expert_mean(p.theorem1, expert) for p in points]
    square = [limits.log_expert_mean(p.theorem1, expert, 2.0) for p in points]
    baseline = [limits.log_expert_mean(p.corollary1, expert) for p in points]
    exact = [np.log(p.exact) for p in points]
    assert exponent(sigmas, mean) == pytest.approx(-1.0, abs=0.05)
    assert exponent(sigmas, square) == pytest.approx(-1.5, abs=0.05)
    assert -0.25 < exponent(sigmas, baseline) < 0.0
    assert 0.6 < exponent(sigmas, exact) < 1.0
    narrowing = [np.log(findings_limits.narrowing_gradient(task, float(s))) for s in sigmas]
    assert exponent(sigmas, narrowing) == pytest.approx(-1.0, abs=0.01)


def test_every_curve_is_in_the_norm_that_was_asked_for():
    task = limits.make_task(0, 3, 201)
    sigma = limits.deviations(task, 6)[:1]
    for norm in ("rkhs", "coefficients"):
        found = {
            (row["quantity"], row["regime"], row["parameter"]): row["log_value"]
            for row in findings_limits.limit_curves(task, 0.3, sigma, norm)
        }
        narrowing = findings_limits.narrowing_gradient(task, float(sigma[0]), norm=norm)
        assert found["exact gradient, expert as narrow", "proportional", 2.0] == np.log(narrowing)
        expert = limits.expert_occupancy(task, 0.3)
        exact = limits.measure(task, float(sigma[0]), expert, norm).exact
        assert found["exact gradient", "averaged", 1.0] == np.log(exact)


def test_theorem_1s_probability_is_refuted(fine):
    _, sigmas, expert, points = fine
    large = [limits.exceedance(p.theorem1, expert, 10.0) for p in points]
    assert np.all(np.diff(large) < 0)
    assert large[-1] < 0.01
    assert exponent(sigmas, np.log(large)) > 0.7


def test_in_two_dimensions_the_exponent_is_minus_3():
    task = limits.make_task(1, states=2, grid=161, dimensions=2)
    sigmas = limits.deviations(task, 4, largest=0.12, smallest_in_spacings=3)
    _, points = measured(task, sigmas)
    first = [limits.at_disparity(task, p.theorem1, float(s)) for s, p in zip(sigmas, points, strict=True)]
    assert exponent(sigmas, first) == pytest.approx(-3.0, abs=0.5)


def test_a_policy_equal_to_its_expert_has_no_gradient_at_all():
    task = limits.make_task(0, grid=1001, gap=0.0)
    for row in findings_events.perfect_imitator(task, np.array([0.2, 0.02]), np.array([1.0])):
        assert row["js_divergence"] < 1e-15
        assert row["largest_estimator_norm"] < 1e-10
        assert row["exact_gradient_norm"] < 1e-10
        assert row["probability_bound"] > 0.7


@settings(max_examples=20, deadline=None, database=None)
@given(st.integers(0, 2**31 - 1), st.floats(-4, 4), st.sampled_from([0.05, 0.4]))
def test_correct_statements_hold(seed, shift, deviation):
    """What docs/theory.md puts in place of Remark 1: bounds that hold for every expert."""
    problem = random_problem(seed, 3, 9, deviation=deviation)
    gram = problem.policy.gram
    score = theorem.occupancy_score(problem.mdp, problem.policy)
    exact = policies.gradient_norm(theorem.exact_gradient(score, problem.expert), gram)
    assert exact <= theorem.gradient_bound(score, gram)
    norms = theorem.corollary1_log_norms(score, problem.expert, gram, shift)
    assert np.all(norms <= max(0.0, shift) + theorem.log_pair_norms(score, gram) + 1e-9)


def test_remark_1_largest_single_sample_norm_has_no_bound_over_experts():
    task = limits.make_task(0, grid=2001)
    rows = findings_limits.remark1_fixed_sigma(task, 0.2, np.array([0.3, 0.1, 0.05]))
    largest = [r["log10_largest_theorem1"] for r in rows]
    assert largest[0] < largest[1] < largest[2]
    assert largest[2] > 50
    assert all(r["exact_gradient_norm"] < r["gradient_bound"] for r in rows)


def test_deviations_are_multiples_of_the_spacing():
    task = limits.make_task(0, grid=1001)
    ratios = limits.deviations(task, 6) / task.spacing
    np.testing.assert_allclose(ratios, np.round(ratios), atol=1e-9)
    index = limits.grid_index(task, task.policy_means)
    np.testing.assert_allclose(task.mdp.actions[index], task.policy_means, atol=1e-12)
    gaps = np.abs(task.expert_means - task.policy_means)
    assert np.all((gaps > 0.5 * 0.2 - task.spacing) & (gaps < 1.5 * 0.2 + task.spacing))


def test_fits_recover_known_slopes_and_refuse_too_few_points():
    x = np.geomspace(0.01, 1, 9)
    fit = limits.fit_power(x, np.log(3.0 * x**-1.25))
    assert fit.exponent == pytest.approx(-1.25, abs=1e-12)
    noisy = -1.25 * np.log(x) + 0.1 * np.random.default_rng(0).normal(size=9)
    found, error = limits.fit_line(np.log(x), noisy)
    assert 0 < abs(found + 1.25) < 4 * error
    with pytest.raises(CredoError, match="at least 3"):
        limits.fit_power(x[:2], np.log(x[:2]))


def test_the_standard_error_of_a_slope_by_hand():
    # Residuals of (0, 1, 1, 2) on (0, 1, 2, 3) about 0.1 + 0.6 x: squares sum to 0.2; Sxx = 5, two degrees are left.
    slope, error = limits.fit_line(np.arange(4.0), np.array([0.0, 1.0, 1.0, 2.0]))
    assert slope == pytest.approx(0.6, rel=1e-12)
    assert error == pytest.approx(np.sqrt(0.2 / 2 / 5), rel=1e-12)
    with pytest.raises(CredoError, match="4 points with one and the same x"):
        limits.fit_line(np.full(4, 0.1), np.arange(4.0))
    with pytest.raises(CredoError, match="more points are needed"):
        limits.fit_line(np.arange(2.0), np.arange(2.0))


def test_what_lies_off_the_grid_has_no_norm():
    task = limits.make_task(0, grid=101)
    for gap in (-3.0, 3.0):
        assert limits.grid_index(task, task.policy_means + gap) is None
        assert np.isnan(limits.at_disparity(task, np.zeros((5, 101)), gap))
    low, high = np.full((5, 1), -0.999), np.full((5, 1), 0.999)
    assert limits.grid_index(task, low).tolist() == [0] * 5
    assert limits.grid_index(task, high).tolist() == [100] * 5


def test_norms_at_a_disparity_are_averaged_over_states_and_exceed_a_level_by_their_mass():
    task = limits.make_task(0, states=2, grid=101)
    norms = np.log(np.array([[1.0], [5.0]])) + np.zeros((2, 101))
    assert limits.at_disparity(task, norms, 0.1) == pytest.approx(np.log(3.0))
    expert = tabular.Occupancy(np.log([0.5, 0.5]), np.log(np.array([[0.1, 0.4], [0.3, 0.2]])))
    norms = np.log(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert limits.exceedance(norms, expert, 2.5) == pytest.approx(0.5)
    assert limits.exceedance(norms, expert, 1.0) == pytest.approx(1.0)
    assert limits.log_expert_mean(norms, expert) == pytest.approx(np.log(2.6))
    assert limits.log_expert_mean(norms, expert, 2.0) == pytest.approx(0.5 * np.log(7.6))


def test_event_rows_agree_across_the_three_ways():
    task = limits.make_task(0, grid=801)
    rows = findings_events.event_probabilities(task, 0.15, np.array([0.2, 0.1]), np.array([1.0, 10.0]), 2000, 0)
    assert len(rows) == 12
    for row in rows:
        assert abs(row["exact"] - row["monte_carlo"]) < 0.05
        assert abs(row["exact"] - row["gaussian"]) < 0.02


def test_zero_deviation_is_refused():
    task = limits.make_task(0, grid=101)
    with pytest.raises(CredoError, match="standard deviation is 0"):
        limits.isotropic(task, task.policy_means, 0.0)


def test_occupancy_of_the_task_expert_sums_to_one():
    task = limits.make_task(5, grid=301, dimensions=1)
    assert np.exp(limits.expert_occupancy(task, 0.2).log_pair).sum() == pytest.approx(1.0, rel=1e-12)
    assert isinstance(task.mdp, tabular.MDP)
