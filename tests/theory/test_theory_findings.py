"""Rows of the tables, each against the definition of its column."""

import numpy as np
import pytest
from scipy import stats

from credo.theory import findings_events, findings_limits, limits, policies, tabular, theorem
from credo.theory.discriminators import optimal_logit

EXPERT = 0.3


@pytest.fixture(scope="module")
def task():
    return limits.make_task(0, states=3, grid=401)


@pytest.fixture(scope="module")
def one_sigma(task):
    """(sigma, its measurements, its rows by quantity, regime and parameter)."""
    sigma = 20 * task.spacing
    rows = findings_limits.limit_curves(task, EXPERT, np.array([sigma]))
    point = limits.measure(task, sigma, limits.expert_occupancy(task, EXPERT))
    return sigma, point, {(r["quantity"], r["regime"], r["parameter"]): r["log_value"] for r in rows}


def test_curves_are_taken_at_the_disparity_they_are_named_by(task, one_sigma):
    sigma, point, rows = one_sigma
    for name, norms in (("theorem 1", point.theorem1), ("corollary 1", point.corollary1)):
        for multiple in (1, 2, 3):
            found = rows[name, "proportional", float(multiple)]
            assert found == limits.at_disparity(task, norms, multiple * sigma)
        assert rows[name, "fixed", 0.2] == limits.at_disparity(task, norms, 0.2)
        assert rows[name, "exceedance", 1.0] == pytest.approx(np.log(limits.exceedance(norms, point.expert, 1.0)))
    assert rows["bound", "fixed", 0.2] == pytest.approx(np.log(0.2 / sigma**2))
    assert rows["bound", "proportional", 3.0] == pytest.approx(np.log(3 / sigma))


def test_the_imperfect_corollary_is_shifted_by_its_errors(task, one_sigma):
    sigma, point, rows = one_sigma
    # e1 = 0.5 and e2 = -0.3: k = 1.5/1.3.
    norms = theorem.corollary1_log_norms(point.score, point.expert, task.gram, np.log(1.5 / 1.3))
    found = rows["corollary 1, imperfect", "proportional", 1.0]
    assert found == pytest.approx(limits.at_disparity(task, norms, sigma), rel=1e-9)
    assert abs(found - rows["corollary 1", "proportional", 1.0]) > 1e-3


def test_unlikely_pairs_are_those_below_1e_20(task):
    narrow, sigma = 0.03, 10 * task.spacing
    rows = findings_limits.limit_curves(task, narrow, np.array([sigma]))
    found = {r["quantity"]: r["log_value"] for r in rows if r["regime"] == "averaged"}
    expert = limits.expert_occupancy(task, narrow)
    norms = limits.measure(task, sigma, expert).theorem1
    likely = expert.log_pair > np.log(1e-20)
    mean = np.sum(np.exp(expert.log_pair + norms)[likely])
    assert found["theorem 1, likely pairs"] == pytest.approx(np.log(mean), rel=1e-9)
    assert found["theorem 1"] > found["theorem 1, likely pairs"] + 0.1


def law(sigma, quantity, regime, parameter, log_value):
    return {
        "expert_deviation": EXPERT, "norm": "rkhs", "sigma": float(sigma), "quantity": quantity, "regime": regime,
        "parameter": parameter, "log_value": float(log_value),
    }  # fmt: skip


def test_exponents_are_fitted_within_the_window_alone():
    rows = []
    for sigma in np.geomspace(0.001, 1.0, 10):
        # Powers change at 0.1: -3 below, +7 above.
        power = -3 * np.log(sigma) if sigma <= 0.1 else 7 * np.log(sigma)
        rows.append(law(sigma, "theorem 1", "averaged", 1.0, power))
        fixed = -0.02 / sigma**2 - 5 * np.log(sigma) if sigma <= 0.1 else 0.0
        rows.append(law(sigma, "theorem 1", "fixed", 0.2, fixed))
        rows.append(law(sigma, "bound", "fixed", 0.2, -2 * np.log(sigma)))
        rows.append(law(sigma, "theorem 1", "fixed", 0.1, -np.inf))
    found = {(f["quantity"], f["regime"]): f for f in findings_limits.fitted_exponents(rows, 0.11)}
    assert len(found) == 3
    mean, fixed = found["theorem 1", "averaged"], found["theorem 1", "fixed"]
    assert mean["exponent"] == pytest.approx(-3.0)
    assert (mean["points"], mean["smallest_sigma"]) == (7, pytest.approx(0.001))
    assert mean["largest_sigma"] == pytest.approx(0.1)
    assert mean["predicted_slope"] is None
    assert fixed["predicted_slope"] == pytest.approx(-0.02)
    assert fixed["slope_in_inverse_variance"] == pytest.approx(-0.02)
    assert fixed["exponent"] == pytest.approx(-5.0, rel=1e-6)
    assert found["bound", "fixed"]["exponent"] == pytest.approx(-2.0)
    assert found["bound", "fixed"]["slope_in_inverse_variance"] is None


def test_a_local_exponent_is_that_of_the_two_smallest():
    rows = [law(s, "theorem 1", "averaged", 1.0, np.log(s) ** 2) for s in (np.e**-1, np.e**-3, np.e**-2)]
    (found,) = findings_limits.fitted_exponents(rows, 1.0)
    # From log sigma = -3 to -2 the value falls from 9 to 4.
    assert found["local_exponent"] == pytest.approx(-5.0)
    assert found["exponent"] == pytest.approx(-4.0)


def test_the_phase_diagram_holds_both_norms(task, one_sigma):
    sigma, point, _ = one_sigma
    found = findings_limits.phase_diagram(task, EXPERT, np.array([sigma]), np.array([0.1, 3.0]))
    assert found[0]["log10_bound"] == pytest.approx(np.log10(0.1 / sigma**2))
    expected = limits.at_disparity(task, point.theorem1, 0.1) / np.log(10)
    assert found[0]["log10_estimator"] == pytest.approx(expected)
    assert np.isnan(found[1]["log10_estimator"])


def test_the_distribution_is_that_of_a_larger_norm(task, one_sigma):
    sigma, point, _ = one_sigma
    rows = findings_limits.estimator_distribution(task, EXPERT, np.array([sigma]), np.array([-300.0, 0.0, 0.5, 9.0]))
    found = [r["probability"] for r in rows]
    assert found[0] == pytest.approx(1.0, abs=0.01)
    assert found[1] == pytest.approx(limits.exceedance(point.theorem1, point.expert, 1.0))
    assert found[2] == pytest.approx(limits.exceedance(point.theorem1, point.expert, 10**0.5))
    assert found[0] > found[1] > found[2] > found[3] == 0.0


def test_theorem_and_corollary_differ_by_a_term_of_no_mean(task):
    (row,) = findings_limits.theorem_against_corollary(task, EXPERT, np.array([0.1]))
    assert row["largest_relative_gap"] < 1e-14
    assert row["mean_theorem1_minus_exact"] < 1e-10 * row["exact_gradient_norm"]
    assert row["mean_corollary1_minus_twice_exact"] < 1e-10 * row["exact_gradient_norm"]
    assert row["mean_norm_corollary1"] > 2 * row["exact_gradient_norm"] > 0


def test_exponents_predicted_by_scaling_and_found():
    rows = findings_limits.exponents_by_task(range(1, 2), {1: 801, 2: 41})
    found = {(r["dimensions"], r["quantity"]): r for r in rows}
    assert len(found) == len(rows) == 16
    # u ~ sigma^-A: docs/theory.md, sections 6 and 7, for A = 1 and A = 2.
    expected = {
        "theorem 1 at one standard deviation": (-2, -3), "theorem 1, mean norm over expert": (-1, -1),
        "theorem 1, root mean square over expert": (-1.5, -2), "corollary 1 at one standard deviation": (-1, -1),
        "corollary 1, mean norm over expert": (0, 1), "corollary 1, root mean square over expert": (-0.5, 0),
        "exact gradient, expert of fixed spread": (1, 2), "exact gradient, expert as narrow": (-1, -1),
    }  # fmt: skip
    for name, values in expected.items():
        for dimensions, value in zip((1, 2), values, strict=True):
            row = found[dimensions, name]
            assert (row["predicted"], row["seed"]) == (value, 1)
        assert found[1, name]["exponent"] == pytest.approx(values[0], abs=0.5), name


def test_proposition_1_takes_the_nearest_disparity_that_xi_asks_for(task):
    sigmas = np.array([0.2, 0.02])
    rows = findings_events.proposition1(task, EXPERT, sigmas)
    expert = limits.expert_occupancy(task, EXPERT)
    for sigma in sigmas:
        none, smallest, fixed = (r for r in rows if r["sigma"] == sigma)
        assert [r["disparity"] for r in (none, smallest, fixed)] == ["none", "C = 1", "0.1"]
        assert sigma**2 <= smallest["distance"] < sigma**2 + task.spacing
        assert (none["in_xi_at_c_1"], smallest["in_xi_at_c_1"], fixed["in_xi_at_c_1"]) == (False, True, True)
        policy = limits.isotropic(task, task.policy_means, sigma)
        logit = optimal_logit(expert, tabular.occupancy(task.mdp, policies.log_grid_policy(policy, task.mdp.actions)))
        at = logit[np.arange(3), limits.grid_index(task, task.policy_means + 0.1)]
        assert fixed["smallest_logit"] == pytest.approx(at.min(), rel=1e-9)
        assert fixed["largest_logit"] == pytest.approx(at.max(), rel=1e-9)
        assert at.min() < at.max() - 0.1


def test_closed_forms_are_weighed_by_the_experts_occupancy(task):
    deviation, sigma, c = 0.05, 0.3, 2.0
    (xi, xi1, bound) = findings_events.event_probabilities(task, deviation, np.array([sigma]), np.array([c]), 100, 0)
    assert [r["event"] for r in (xi, xi1, bound)] == ["xi", "xi1", "bound"]
    gap = (task.expert_means - task.policy_means)[:, 0]
    state = np.exp(limits.expert_occupancy(task, deviation).log_state)

    def outside(spread):
        return state @ (stats.norm.sf(c * sigma**2, gap, spread) + stats.norm.cdf(-c * sigma**2, gap, spread))

    assert xi["gaussian"] == pytest.approx(outside(deviation), rel=1e-9)
    assert xi1["gaussian"] == pytest.approx(outside(np.hypot(deviation, sigma)), rel=1e-9)
    assert bound["gaussian"] == pytest.approx(xi["gaussian"], rel=1e-12)
    assert xi["exact"] == pytest.approx(xi["gaussian"], abs=0.02)
    assert np.ptp(state) > 0.1


def test_the_seed_decides_the_monte_carlo_draws(task):
    args = (task, EXPERT, np.array([0.3]), np.array([3.0]), 200)
    once, again, other = (findings_events.event_probabilities(*args, seed) for seed in (0, 0, 1))
    assert once == again
    assert [r["monte_carlo"] for r in once] != [r["monte_carlo"] for r in other]
    assert [r["exact"] for r in once] == [r["exact"] for r in other]


def test_a_perfect_imitators_probabilities_are_those_of_its_own_gaussian():
    task = limits.make_task(0, states=2, grid=801, gap=0.0)
    (row,) = findings_events.perfect_imitator(task, np.array([0.1]), np.array([3.0]))
    # Both events: |z| >= C sigma = 0.3.
    expected = 2 * stats.norm.sf(0.3)
    assert row["probability_gaussian"] == pytest.approx(expected, rel=1e-9)
    assert row["probability_xi"] == pytest.approx(expected, abs=0.01)
    assert row["probability_bound"] == pytest.approx(row["probability_xi"], abs=1e-12)


def test_a_perfect_imitators_gradient_is_measured(monkeypatch):
    task = limits.make_task(0, states=2, grid=401)
    args = (np.array([0.1]), np.array([1.0]))
    (none,) = findings_events.perfect_imitator(task, *args)
    assert none["exact_gradient_norm"] < 1e-12
    # With another expert in its place the same column is that expert's gradient.
    expert = limits.expert_occupancy(task, 0.1)
    monkeypatch.setattr(findings_events, "occupancy", lambda *_: expert)
    (other,) = findings_events.perfect_imitator(task, *args)
    assert other["exact_gradient_norm"] == pytest.approx(limits.measure(task, 0.1, expert).exact, rel=1e-12)
    assert other["exact_gradient_norm"] > 0.01


def test_both_events_under_a_full_covariance_by_loops():
    task = limits.make_task(0, states=2, grid=21, dimensions=2)
    shape, sigma, c = np.array([[1.0, 0.3], [0.3, 0.25]]), 0.4, 2.0
    (row,) = findings_events.full_covariance_events(task, 0.15, shape, np.array([sigma]), np.array([c]))
    expert, covariance = np.exp(limits.expert_occupancy(task, 0.15).log_pair), sigma**2 * shape
    gaps = task.mdp.actions[None] - task.policy_means[:, None]
    lengths = np.linalg.norm(gaps, axis=-1)
    assert row["xi"] == pytest.approx(expert[lengths >= c * np.linalg.norm(covariance, 2)].sum(), rel=1e-9)
    solved = np.linalg.norm(gaps @ np.linalg.inv(covariance), axis=-1)
    assert row["bound"] == pytest.approx(expert[solved >= c].sum(), rel=1e-9)
    assert row["bound"] > row["xi"] + 0.1


def test_remark_1s_columns_are_the_measurements_they_name(task):
    (row,) = findings_limits.remark1_fixed_sigma(task, 0.2, np.array([0.1]))
    expert = limits.expert_occupancy(task, 0.1)
    point = limits.measure(task, 0.2, expert)
    weights = np.exp(expert.log_pair)
    assert row["log10_largest_theorem1"] == pytest.approx(point.theorem1.max() / np.log(10))
    assert row["log10_largest_corollary1"] == pytest.approx(point.corollary1.max() / np.log(10))
    assert row["mean_norm_theorem1"] == pytest.approx(np.sum(weights * np.exp(point.theorem1)))
    square = 0.5 * np.log10(np.sum(weights * np.exp(2 * point.theorem1)))
    assert row["log10_root_mean_square_theorem1"] == pytest.approx(square)
    bound = theorem.gradient_bound(
        theorem.occupancy_score(task.mdp, limits.isotropic(task, task.policy_means, 0.2)), task.gram
    )
    assert row["gradient_bound"] == pytest.approx(bound, rel=1e-12)
    assert row["probability_norm_above_1"] == pytest.approx(weights[point.theorem1 >= 0].sum())
