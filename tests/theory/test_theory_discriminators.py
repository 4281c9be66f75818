import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_problems import random_problem

from credo.theory import discriminators, policies, tabular
from credo.types import CredoError

FORMULAS = {
    "plr": lambda d: -np.log(1 - d),
    "cr": lambda d: np.log(d) - np.log(1 - d),
    "r3": np.log,
    "r4": lambda d: d,
    "r5": np.exp,
    "r6": lambda d: -1 / d,
    "r7": lambda d: d**2,
    "r8": np.sqrt,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_rewards_equal_table_1_and_their_slopes_are_derivatives(name):
    logit = np.linspace(-8, 8, 33)
    d = 1 / (1 + np.exp(-logit))
    reward = discriminators.reward(name)
    np.testing.assert_allclose(reward.value(logit), FORMULAS[name](d), rtol=1e-9)
    step = 1e-5
    slope = (reward.value(logit + step) - reward.value(logit - step)) / (2 * step)
    np.testing.assert_allclose(discriminators.reward_slope(name, logit), slope, rtol=1e-4)


@pytest.mark.parametrize("name", FORMULAS)
def test_rewards_stay_finite_at_extreme_logits(name):
    extreme = np.array([-1e5, -800.0, 800.0, 1e5])
    assert np.isfinite(discriminators.reward(name).value(extreme)).all()
    assert np.isfinite(discriminators.reward_slope(name, extreme)).all()


@pytest.mark.parametrize(
    ("name", "c"),
    [("plr", 5.0), ("cr", -1.5), ("r3", -0.7), ("r4", 0.2), ("r5", 2.0), ("r6", -3.0), ("r7", 0.3), ("r8", 0.6)],
)
def test_threshold_logit_is_where_the_reward_equals_c(name, c):
    logit = discriminators.reward(name).logit_of(c)
    assert float(discriminators.reward(name).value(np.asarray(logit))) == pytest.approx(c, rel=1e-12)


def test_thresholds_that_are_never_or_always_reached():
    assert discriminators.reward("r4").logit_of(5.0) == np.inf
    assert discriminators.reward("r3").logit_of(5.0) == np.inf
    assert discriminators.reward("r6").logit_of(5.0) == np.inf
    assert discriminators.reward("plr").logit_of(-1.0) == -np.inf
    for name in ("r4", "r5", "r7", "r8"):
        assert discriminators.reward(name).logit_of(-0.5) == -np.inf, name
        assert discriminators.reward(name).logit_of(3.0) == np.inf, name


def test_outliers_of_definition_2_at_c_5():
    found = discriminators.outliers(np.array([5.0]))
    assert found.alpha[0] == pytest.approx(0.993262, abs=5e-7)
    assert found.beta[0] == pytest.approx(0.993307, abs=5e-7)
    assert found.difference[0] == pytest.approx(found.beta[0] - found.alpha[0], rel=1e-9)
    assert found.difference[0] == pytest.approx((1 - found.alpha[0]) ** 2 / (2 - found.alpha[0]), rel=1e-9)
    with pytest.raises(CredoError, match="threshold c"):
        discriminators.outliers(np.array([1.0, 0.0]))


def test_ratio_bounds_are_the_papers():
    assert np.exp(discriminators.log_ratio_bound(5.0, "plr")) == pytest.approx(np.exp(-5) / (1 - np.exp(-5)), rel=1e-12)
    assert np.exp(discriminators.log_ratio_bound(5.0, "cr")) == pytest.approx(np.exp(-5), rel=1e-12)


def test_optimal_logit_maximises_the_discriminators_objective():
    problem = random_problem(0)
    policy = tabular.occupancy(problem.mdp, policies.log_grid_policy(problem.policy, problem.mdp.actions))
    logit = discriminators.optimal_logit(problem.expert, policy)

    def objective(x):
        return np.sum(
            -np.exp(problem.expert.log_pair) * np.logaddexp(0, -x) - np.exp(policy.log_pair) * np.logaddexp(0, x)
        )

    best = objective(logit)
    # Eq. 5's constant: the optimum's value is 2 D_JS - 2 log 2.
    assert best == pytest.approx(2 * discriminators.js_divergence(problem.expert, policy) - 2 * np.log(2), rel=1e-12)
    generator = np.random.default_rng(0)
    for _ in range(5):
        assert objective(logit + 0.1 * generator.normal(size=logit.shape)) < best


def test_js_divergence_at_its_ends():
    problem = random_problem(1)
    assert discriminators.js_divergence(problem.expert, problem.expert) == pytest.approx(0.0, abs=1e-15)
    with np.errstate(divide="ignore"):
        left, right = (
            tabular.Occupancy(np.zeros(1), np.log(np.array([row]))) for row in ([0.5, 0.5, 0, 0], [0, 0, 0.3, 0.7])
        )
    assert discriminators.js_divergence(left, right) == pytest.approx(np.log(2), rel=1e-14)


@settings(max_examples=50, deadline=None, database=None)
@given(st.floats(-0.95, 5), st.floats(-5, 0.95), st.floats(-20, 20))
def test_solved_errors_reproduce_equation_13(e1, e2, optimal):
    logit = optimal + discriminators.logit_shift(e1, e2)
    found = discriminators.solve_errors(logit, optimal)
    for pair in ((found.e1_if_e2_zero, 0.0), (0.0, found.e2_if_e1_zero), (found.symmetric, found.symmetric)):
        assert float(discriminators.logit_shift(*pair)) == pytest.approx(float(logit - optimal), abs=1e-7)


def test_equation_13_on_its_second_branch():
    rho_expert, rho_policy, e1, e2 = 0.2, 0.03, -2.5, 1.8
    d = (1 + e1) * rho_expert / ((1 + e1) * rho_expert + (1 - e2) * rho_policy)
    logit = np.log(rho_expert / rho_policy) + discriminators.logit_shift(e1, e2)
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(d, rel=1e-12)


def test_unknown_reward_is_named():
    with pytest.raises(CredoError, match="'gail' is unknown"):
        discriminators.reward("gail")
