import numpy as np
import pytest
from theory_problems import random_problem

from credo.theory import events, limits, policies, tabular
from credo.types import CredoError

C = np.array([0.5, 2.0, 6.0])


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("event", ["xi", "xi1", "bound"])
def test_exact_sums_equal_loops_and_lie_in_monte_carlo_intervals(event, dimensions):
    problem = random_problem(2, 3, 6, dimensions, deviation=0.5)
    mdp, policy = problem.mdp, problem.policy
    expert, noisy = np.exp(problem.expert.log_pair), np.exp(policies.log_grid_policy(policy, mdp.actions))
    inverse, norm = np.linalg.inv(policy.covariance), np.linalg.norm(policy.covariance, 2)
    expected = np.zeros(len(C))
    for s in range(3):
        for m, action in enumerate(mdp.actions):
            difference = action - policy.means[s]
            if event == "bound":
                expected += expert[s, m] * (np.linalg.norm(inverse @ difference) >= C)
            elif event == "xi":
                expected += expert[s, m] * (np.linalg.norm(difference) >= C * norm)
            else:
                for other, probability in zip(mdp.actions, noisy[s], strict=True):
                    expected += expert[s, m] * probability * (np.linalg.norm(action - other) >= C * norm)
    found = events.exact_probability(event, mdp, policy, problem.expert, C)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    generator = np.random.default_rng(0)
    for value, probability in zip(C, found, strict=True):
        estimate = events.monte_carlo_probability(
            event, mdp, policy, problem.expert, value, 4000, generator, confidence=0.9999
        )
        assert estimate.low <= probability <= estimate.high
        assert estimate.high - estimate.low < 0.07


@pytest.mark.parametrize("event", ["xi", "xi1", "bound"])
@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_chi_squared_closed_form_on_a_fine_grid(event, gap):
    # One state, so that the expert is one Gaussian, narrow enough for the grid's range.
    actions = tabular.action_grid(1501)
    mdp = tabular.make_mdp(np.ones((1, 1501, 1)), np.ones(1), 0.5, actions)
    policy = policies.make_policy(np.zeros((1, 1)), np.eye(1), 0.15**2 * np.eye(1))
    expert_policy = policies.make_policy(np.full((1, 1), gap), np.eye(1), 0.1**2 * np.eye(1))
    expert = tabular.occupancy(mdp, policies.log_grid_policy(expert_policy, actions))
    c = np.array([1.0, 4.0, 12.0])
    exact = events.exact_probability(event, mdp, policy, expert, c)
    closed = events.gaussian_probability(event, np.array([gap]), 0.1, 0.15, c)
    np.testing.assert_allclose(exact, closed, atol=6e-3)


def test_chi_squared_closed_form_in_two_dimensions_by_sampling():
    generator = np.random.default_rng(1)
    gap = np.array([0.2, -0.1])
    drawn = gap + 0.3 * generator.normal(size=(200_000, 2)) + 0.4 * generator.normal(size=(200_000, 2))
    share = np.mean(np.linalg.norm(drawn, axis=1) >= 3.0 * 0.16)
    closed = events.gaussian_probability("xi1", gap, 0.3, 0.4, np.array([3.0]))[0]
    assert share == pytest.approx(closed, abs=0.005)


def test_equation_12_and_its_emptiness():
    problem = random_problem(3, 3, 6, 2)
    policy = problem.policy
    args = (problem.mdp, policy, problem.expert, np.geomspace(0.1, 100, 12))
    bound, xi = (events.exact_probability(event, *args) for event in ("bound", "xi"))
    assert np.all(bound >= xi - 1e-15)
    assert np.any(bound > xi + 1e-3)
    assert np.all(np.diff(xi) <= 1e-15)
    # No disparity on a bounded grid meets every C.
    assert events.exact_probability("xi", problem.mdp, policy, problem.expert, np.array([1e9]))[0] == 0.0


def test_the_perfect_imitator_meets_xi_with_probability_tending_to_one():
    task = limits.make_task(0, grid=4001, gap=0.0)
    found = []
    for deviation in (0.3, 0.1, 0.03):
        policy = limits.isotropic(task, task.policy_means, deviation)
        expert = tabular.occupancy(task.mdp, policies.log_grid_policy(policy, task.mdp.actions))
        found.append(events.exact_probability("xi", task.mdp, policy, expert, np.array([1.0]))[0])
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.95


def test_a_disparity_equal_to_the_threshold_counts():
    # Actions +-0.25 and +-0.75, Sigma = 0.25, C = 1: the threshold is 0.25 exactly.
    actions = tabular.action_grid(4)
    mdp = tabular.make_mdp(np.ones((1, 4, 1)), np.ones(1), 0.5, actions)
    policy = policies.make_policy(np.zeros((1, 1)), np.eye(1), 0.25 * np.eye(1))
    expert = tabular.occupancy(mdp, np.log(np.full((1, 4), 0.25)))
    assert events.exact_probability("xi", mdp, policy, expert, np.array([1.0]))[0] == 1.0
    assert events.exact_probability("xi", mdp, policy, expert, np.array([1.01]))[0] == 0.5
    drawn = events.monte_carlo_probability("xi", mdp, policy, expert, 1.0, 100, np.random.default_rng(0))
    # A hundred hits of a hundred: Clopper-Pearson's 95% interval begins at 0.025^(1/100).
    assert drawn == (1.0, pytest.approx(0.025**0.01, rel=1e-9), 1.0, 100)


def test_the_exact_sum_is_the_same_in_any_blocks(monkeypatch):
    problem = random_problem(4, 3, 6, 2)
    args = ("xi1", problem.mdp, problem.policy, problem.expert, C)
    whole = events.exact_probability(*args)
    monkeypatch.setattr(events, "PAIR_BLOCK", 36 * 5)
    np.testing.assert_allclose(events.exact_probability(*args), whole, rtol=1e-12)
    assert whole[0] > 0.1


def test_sampled_noise_is_that_of_the_states_own_policy():
    actions = tabular.action_grid(101)
    mdp = tabular.make_mdp(np.full((2, 101, 2), 0.5), np.array([0.5, 0.5]), 0.5, actions)
    means = np.array([[0.6], [-0.6]])
    policy = policies.policy_with_means(means, np.eye(2), 0.01 * np.eye(1))
    expert = tabular.occupancy(mdp, policies.log_grid_policy(policy, actions))
    exact = events.exact_probability("xi1", mdp, policy, expert, np.array([15.0]))[0]
    estimate = events.monte_carlo_probability(
        "xi1", mdp, policy, expert, 15.0, 4000, np.random.default_rng(0), confidence=0.9999
    )
    # Summing over states before pairing actions would mix the two states' noise: the events must be paired by state.
    assert exact == pytest.approx(0.28, abs=0.05)
    assert estimate.low <= exact <= estimate.high


def test_bad_events_and_thresholds():
    problem = random_problem(0)
    with pytest.raises(CredoError, match="event is 'chi'"):
        events.exact_probability("chi", problem.mdp, problem.policy, problem.expert, C)
    with pytest.raises(CredoError, match="threshold C"):
        events.exact_probability("xi", problem.mdp, problem.policy, problem.expert, np.array([0.0]))
