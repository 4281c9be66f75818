import numpy as np
import pytest
from theory_problems import random_problem

from credo.theory import credo_property, discriminators, findings_credo, limits, policies, tabular, theorem
from credo.theory.discriminators import log_ratio_bound, optimal_logit, reward
from credo.types import CredoError


@pytest.fixture(scope="module")
def pair():
    task = limits.make_task(0, grid=801)
    policy = limits.isotropic(task, task.policy_means, 0.1)
    log_policy = policies.log_grid_policy(policy, task.mdp.actions)
    return limits.expert_occupancy(task, 0.3), tabular.occupancy(task.mdp, log_policy), task


@pytest.mark.parametrize("name", ["plr", "cr"])
@pytest.mark.parametrize("c", [0.5, 2.0, 5.0])
def test_ratio_bound_holds_at_equation_9_and_is_tight(pair, name, c):
    expert, policy, task = pair
    distances = np.abs(task.mdp.actions[None, :, 0] - task.policy_means)
    found = credo_property.check_property(expert, policy, distances, 0.2, c, name)
    assert found.smallest_log_ratio > found.log_bound
    assert found.smallest_log_ratio < found.log_bound + 0.1
    assert found.log_bound == pytest.approx(log_ratio_bound(c, name), rel=1e-12)
    np.testing.assert_array_equal(found.kept, reward(name).value(optimal_logit(expert, policy)) < c)
    assert 0 < found.retained_mass < 1
    assert found.disparity_retained < found.disparity_all


def test_the_bound_fails_for_the_discriminator_trained_on_what_is_left(pair):
    expert, policy, task = pair
    distances = np.abs(task.mdp.actions[None, :, 0] - task.policy_means)
    found = credo_property.check_property(expert, policy, distances, 0.2, 2.0)
    optimum, threshold = optimal_logit(expert, policy), reward("plr").logit_of(2.0)
    weights = np.where(optimum < threshold, np.exp(expert.log_pair), 0.0)
    again = weights[optimum - np.log(weights.sum()) >= threshold].sum() / weights.sum()
    assert found.past_threshold_after == pytest.approx(again, rel=1e-12)
    assert again > 0.01


def _loss(logit, expert, policy):
    """What the discriminator maximises, on masses [N]."""
    return np.sum(-expert * np.logaddexp(0, -logit) - policy * np.logaddexp(0, logit))


@pytest.mark.parametrize("reading", ["retained", "batch"])
def test_filtered_optimum_maximises_the_filtered_objective(reading):
    problem = random_problem(0)
    log_policy = policies.log_grid_policy(problem.policy, problem.mdp.actions)
    policy = tabular.occupancy(problem.mdp, log_policy)
    scoring = optimal_logit(problem.expert, policy)
    threshold = float(np.quantile(scoring, 0.6))
    found = credo_property.filtered_optimum(problem.expert, policy, scoring, threshold, reading)
    kept = scoring < threshold
    np.testing.assert_array_equal(found.kept, kept)
    masses = np.where(kept, np.exp(problem.expert.log_pair), 0.0)
    if reading == "retained":
        masses /= masses.sum()
    assert np.all(found.logit[~kept] == -np.inf)
    finite = np.maximum(found.logit, -40.0)
    best = _loss(finite, masses, np.exp(policy.log_pair))
    generator = np.random.default_rng(0)
    for _ in range(5):
        moved = finite + 0.1 * generator.normal(size=finite.shape)
        assert _loss(moved, masses, np.exp(policy.log_pair)) < best


def test_rescored_filter_slides_to_the_smaller_of_optimum_and_threshold():
    for expert_mass, policy_mass in ((0.9, 0.01), (0.3, 0.2), (0.01, 0.5)):
        # Gradient ascent on one pair's logit, the filter re-scored at every step.
        path, logit = [], -1.0
        for _ in range(40_000):
            pull = expert_mass / (1 + np.exp(logit)) if logit < 2.0 else 0.0
            logit += 0.02 * (pull - policy_mass / (1 + np.exp(-logit)))
            path.append(logit)
        expected = min(np.log(expert_mass / policy_mass), 2.0)
        assert np.mean(path[-500:]) == pytest.approx(expected, abs=0.02)
    problem = random_problem(1)
    policy = tabular.occupancy(problem.mdp, policies.log_grid_policy(problem.policy, problem.mdp.actions))
    optimum = optimal_logit(problem.expert, policy)
    found = credo_property.filtered_optimum(problem.expert, policy, optimum, 0.3, "rescored")
    np.testing.assert_array_equal(found.logit, np.minimum(optimum, 0.3))


@pytest.mark.parametrize("reading", ["retained", "batch"])
def test_a_filter_fixed_for_the_round_oscillates(pair, reading):
    _, _, task = pair
    rows = [r for r in findings_credo.filtering_rounds(task, 0.3, 0.1, 2.0, 4) if r["reading"] == reading]
    outliers = [r["mean_reward_on_outliers"] for r in rows]
    assert outliers[0] == outliers[2] == 0.0
    assert outliers[1] > 5.0
    assert outliers[3] > 5.0
    rescored = [
        r["mean_reward_on_outliers"]
        for r in findings_credo.filtering_rounds(task, 0.3, 0.1, 2.0, 2)
        if r["reading"] == "rescored"
    ]
    np.testing.assert_allclose(rescored, 2.0, rtol=1e-9)


def test_the_filter_keeps_the_samples_that_carry_the_estimator(pair):
    _, _, task = pair
    row = next(r for r in findings_credo.property_rows(task, 0.3, 0.1, np.array([5.0]), 0.2) if r["reward"] == "plr")
    assert row["retained_mass"] < 0.8
    assert row["share_of_mean_norm_kept"] > 0.95
    assert row["log10_largest_norm_kept"] == row["log10_largest_norm_all"]
    expert, policy = limits.expert_occupancy(task, 0.3), limits.isotropic(task, task.policy_means, 0.1)
    score = theorem.occupancy_score(task.mdp, policy)
    norms = np.exp(expert.log_pair + theorem.theorem1_log_norms(score, expert, task.gram))
    kept = optimal_logit(expert, score.occupancy) < np.log(np.expm1(5.0))
    assert row["share_of_mean_norm_kept"] == pytest.approx(norms[kept].sum() / norms.sum(), rel=1e-12)
    assert row["share_of_mean_norm_kept"] < 0.9999


def test_a_bound_that_does_not_hold_is_seen(pair, monkeypatch):
    expert, policy, task = pair
    distances = np.abs(task.mdp.actions[None, :, 0] - task.policy_means)
    # A reward that falls with the logit keeps the samples that the filter is to remove.
    rising = reward("plr")
    monkeypatch.setitem(discriminators.REWARDS, "plr", rising._replace(value=lambda x: rising.value(-x)))
    found = credo_property.check_property(expert, policy, distances, 0.2, 2.0)
    assert found.smallest_log_ratio < found.log_bound


def test_only_rewards_that_the_paper_bounds_are_checked(pair):
    expert, policy, _ = pair
    with pytest.raises(CredoError, match=r"reward 'r4' has no bound in E\.2; one of plr, cr is needed"):
        credo_property.check_property(expert, policy, expert.log_pair, 0.2, 0.5, "r4")


def test_nothing_retained():
    problem = random_problem(2)
    policy = tabular.occupancy(problem.mdp, policies.log_grid_policy(problem.policy, problem.mdp.actions))
    scoring = optimal_logit(problem.expert, policy)
    found = credo_property.filtered_optimum(problem.expert, policy, scoring, -50.0, "retained")
    assert found.retained_mass == 0.0
    assert np.all(found.logit == -np.inf)
    check = credo_property.check_property(problem.expert, policy, np.ones_like(scoring), 0.5, 1e-9)
    assert check.retained_mass == 0.0
    assert check.smallest_log_ratio == np.inf


def test_mass_between_alpha_and_beta_is_the_difference(pair):
    expert, policy, task = pair
    row = findings_credo.outlier_mass(task, 0.3, np.array([0.1]), np.array([1.0]))[0]
    logit = optimal_logit(expert, policy)
    low, high = reward("plr").logit_of(1.0), 1.0
    between = np.exp(expert.log_pair)[(logit >= low) & (logit < high)].sum()
    assert row["between"] == pytest.approx(between, rel=1e-9)
    assert row["between"] > 0.005


def occupancy_of_one_state(*probabilities):
    return tabular.Occupancy(np.zeros(1), np.log(np.array([probabilities])))


def test_a_sample_at_the_threshold_is_an_outlier():
    expert = occupancy_of_one_state(0.5, 0.25, 0.25)
    scoring = np.array([[1.0, 2.0, 3.0]])
    for reading in ("retained", "batch"):
        found = credo_property.filtered_optimum(expert, expert, scoring, 2.0, reading)
        np.testing.assert_array_equal(found.kept, [[True, False, False]])
        assert found.retained_mass == 0.5


def test_disparity_is_weighed_within_what_is_retained():
    # Logits: log 6, log 0.5, log 0.5; c = log 2 as cr keeps the last two, half of whose mass is at the distance.
    expert, policy = occupancy_of_one_state(0.6, 0.2, 0.2), occupancy_of_one_state(0.1, 0.4, 0.5)
    distances = np.array([[0.3, 0.2, 0.1]])
    found = credo_property.check_property(expert, policy, distances, 0.2, np.log(2.0), "cr")
    assert found.retained_mass == pytest.approx(0.4)
    assert found.disparity_all == pytest.approx(0.8)
    assert found.disparity_retained == pytest.approx(0.5)
    assert found.smallest_log_ratio == pytest.approx(np.log(2.0))
    # log 0.5 - log 0.4 = log 1.25 and log 0.4 - log 0.4 = 0: neither is past log 2.
    assert found.past_threshold_after == 0.0
    nothing = credo_property.check_property(expert, policy, distances, 0.2, -9.0, "cr")
    assert np.isnan(nothing.disparity_retained)


def test_filtering_with_the_whole_batch_leaves_the_rest_as_it_was(pair):
    expert, policy, task = pair
    rows = [r for r in findings_credo.filtering_rounds(task, 0.3, 0.1, 2.0, 2) if r["reading"] == "batch"]
    logit, weights = optimal_logit(expert, policy), np.exp(expert.log_pair)
    past = logit >= reward("plr").logit_of(2.0)
    rest = np.sum((weights * np.logaddexp(0, logit))[~past]) / weights[~past].sum()
    for row in rows:
        assert row["mean_reward_on_the_rest"] == pytest.approx(rest, rel=1e-9)
    assert rows[0]["past_threshold"] == 0.0
    assert rows[1]["past_threshold"] == pytest.approx(weights[past].sum(), rel=1e-9)


def test_a_row_of_outlier_intervals_by_hand():
    # c = log 3: alpha = 2/3 at logit log 2, beta = 3/4 at logit log 3; the ratios are their inverses.
    (row,) = findings_credo.outlier_intervals(np.array([np.log(3.0)]))
    expected = {
        "c": np.log(3), "alpha": 2 / 3, "beta": 3 / 4, "width_alpha": 1 / 3, "width_beta": 1 / 4,
        "difference": 1 / 12, "logit_plr": np.log(2), "logit_cr": np.log(3),
        "log_ratio_bound_plr": -np.log(2), "log_ratio_bound_cr": -np.log(3),
    }  # fmt: skip
    assert row == {key: pytest.approx(value, rel=1e-12) for key, value in expected.items()}


def test_unknown_reading_is_named():
    problem = random_problem(0)
    with pytest.raises(CredoError, match="reading is 'mask'"):
        credo_property.filtered_optimum(problem.expert, problem.expert, problem.expert.log_pair, 1.0, "mask")
