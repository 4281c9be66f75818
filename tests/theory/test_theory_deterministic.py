import numpy as np
import pytest

from credo.theory import deterministic, findings_deterministic, limits, policies, tabular
from credo.theory.discriminators import REWARDS, reward
from credo.theory.events import exact_probability
from credo.types import CredoError


def smooth_logit(seed, states, dimensions):
    """A smooth discriminator a -> (logit, slope) for one action per state."""
    generator = np.random.default_rng(seed)
    linear, curve = generator.normal(size=(states, dimensions)), generator.normal(size=states)

    def at(actions):
        inner = np.sum(linear * actions, axis=1)
        return deterministic.LogitAt(2 * np.sin(inner) + curve, 2 * np.cos(inner)[:, None] * linear)

    return at


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", REWARDS)
def test_gradient_is_the_derivative_of_the_objective(name, dimensions):
    smooth = tabular.random_smooth_mdp(np.random.default_rng(0), 4, dimensions, discount=0.9, persistence=1.0)
    actions = np.random.default_rng(1).uniform(-0.8, 0.8, size=(4, dimensions))
    logit = smooth_logit(2, 4, dimensions)

    def objective(x):
        probability, _ = tabular.transition_at(smooth, x)
        visits = np.linalg.solve((np.eye(4) - 0.9 * probability).T, smooth.start)
        return 0.1 * visits @ reward(name).value(logit(x).logit)

    found = deterministic.deterministic_gradient(smooth, actions, logit(actions), name)
    assert found.objective == pytest.approx(objective(actions), rel=1e-12)
    step = 1e-5
    numeric = np.zeros_like(actions)
    for index in np.ndindex(*actions.shape):
        moved = np.zeros_like(actions)
        moved[index] = step
        numeric[index] = (objective(actions + moved) - objective(actions - moved)) / (2 * step)
    assert np.linalg.norm(found.total - numeric) <= 1e-7 * np.linalg.norm(numeric)
    np.testing.assert_allclose(found.direct + found.future, found.total, rtol=1e-14)
    assert np.linalg.norm(found.future) > 1e-3 * np.linalg.norm(found.total)


def test_the_clip_removes_the_slope_past_the_ceiling_and_caps_the_value():
    smooth = tabular.random_smooth_mdp(np.random.default_rng(0), 3)
    actions = np.zeros((3, 1))
    at = deterministic.LogitAt(np.array([6.0, 7.0, -1.0]), np.ones((3, 1)))
    clipped = deterministic.deterministic_gradient(smooth, actions, at, "cr", ceiling=5.0)
    np.testing.assert_array_equal(clipped.direct[:2], 0.0)
    assert clipped.direct[2, 0] > 0
    capped = at._replace(logit=np.array([5.0, 5.0, -1.0]))
    plain = deterministic.deterministic_gradient(smooth, actions, capped, "cr")
    np.testing.assert_allclose(clipped.future, plain.future, rtol=1e-12)
    assert clipped.objective == pytest.approx(plain.objective)
    # A logit at the ceiling is past it.
    at_ceiling = deterministic.deterministic_gradient(smooth, actions, capped, "cr", ceiling=5.0)
    np.testing.assert_array_equal(at_ceiling.direct[:2], 0.0)


def test_optimal_discriminator_against_the_table_and_differences():
    task = limits.make_task(0, states=3, grid=4001, gap=0.3)
    discriminator = deterministic.optimal_discriminator(task, 0.2, task.policy_means, 0.3)
    table, _, _ = deterministic.optimal_table(task, 0.2, task.policy_means, 0.3)
    actions = task.mdp.actions[limits.grid_index(task, task.policy_means + 0.1)]
    exact, interpolated = discriminator(actions), deterministic.table_at(table, actions)
    np.testing.assert_allclose(exact.logit, interpolated.logit, rtol=1e-9)
    np.testing.assert_allclose(exact.slope, interpolated.slope, rtol=1e-6)
    at_mean = discriminator(task.policy_means)
    np.testing.assert_allclose(at_mean.slope, (task.expert_means - task.policy_means) / 0.2**2, rtol=1e-10)


def test_the_score_function_gradient_tends_to_the_deterministic_one():
    task = limits.make_task(0, states=3, grid=4001, discount=0.9, gap=0.3)
    sigmas = limits.deviations(task, 4, largest=0.05)
    rows = findings_deterministic.score_function_limit(task, sigmas)
    gap = limits.fit_power(sigmas, np.log([r["gap"] for r in rows]))
    single = limits.fit_power(sigmas, np.log([r["single"] for r in rows]))
    assert gap.exponent == pytest.approx(2.0, abs=0.05)
    assert single.exponent == pytest.approx(-1.0, abs=0.1)
    assert rows[-1]["gap"] < 1e-3 * rows[-1]["deterministic"]


def test_a_single_sample_of_the_score_function_gradient_carries_the_action_value():
    task = limits.make_task(0, states=3, grid=201, discount=0.9, gap=0.3, persistence=1.0)
    # k(s, s) is 1 in every task; doubled, it shows in the norms.
    task = task._replace(gram=2.0 * task.gram)
    sigma = 0.1
    (row,) = findings_deterministic.score_function_limit(task, np.array([sigma]))
    table, _, _ = deterministic.optimal_table(task, 0.3, task.policy_means, 0.3)
    rewards = reward("plr").value(table.logit)
    # The estimator from its definition: a policy by hand, its states followed in time, Q by value iteration.
    actions = task.mdp.actions[:, 0]
    policy = np.exp(-0.5 * ((actions - task.policy_means) / sigma) ** 2)
    policy /= policy.sum(axis=1, keepdims=True)
    score = (actions - (policy @ actions)[:, None]) / sigma**2
    kernel = np.einsum("sm,smt->st", policy, task.mdp.transition)
    distribution, visits, values = task.mdp.start, np.zeros(3), np.zeros_like(policy)
    for t in range(400):
        visits += 0.1 * 0.9**t * distribution
        distribution = distribution @ kernel
        values = rewards + 0.9 * task.mdp.transition @ np.sum(policy * values, axis=1)
    weights, sample = visits[:, None] * policy, values * score
    # Its mean is the exact gradient, which a reward in place of Q would miss.
    mean = np.sum(weights * sample, axis=1)[:, None]
    assert policies.gradient_norm(mean, task.gram) == pytest.approx(row["score_function"], rel=1e-9)
    assert np.sqrt(np.sum(weights * 2.0 * sample**2)) == pytest.approx(row["single"], rel=1e-9)


@pytest.fixture(scope="module")
def task():
    return limits.make_task(0, grid=801, discount=0.97, gap=0.3, persistence=2.0)


def test_growth_with_steepness_of_each_reward(task):
    rows = findings_deterministic.steepness_sweep(task, np.geomspace(5.0, 40.0, 6))
    fits = findings_deterministic.growth_fits(rows, ("sign", "reward"), "steepness", ("direct",), (1, 100), 1)
    rate = {(f["sign"], f["reward"]): f["rate"] for f in fits}
    # |logit| is between 0.75 and 1.25 times the steepness; slopes: 1, e^l, e^2l, e^(l/2), e^-l, by reward and side.
    expected = {
        "plr": (-0.75, 0), "cr": (0, 0), "r3": (0, -0.75), "r4": (-0.75, -0.75),
        "r5": (-0.75, -0.75), "r6": (1.25, -0.75), "r7": (-1.5, -0.75), "r8": (-0.375, -0.75),
    }  # fmt: skip
    for name, (lost, fooled) in expected.items():
        assert rate[(-1.0, name)] == pytest.approx(lost, abs=0.03), name
        assert rate[(1.0, name)] == pytest.approx(fooled, abs=0.03), name
    linear = {(f["sign"], f["reward"]): f["exponent"] for f in fits}
    assert linear[(1.0, "cr")] == pytest.approx(1.0, abs=1e-6)


def test_growth_as_the_expert_narrows(task):
    rows = findings_deterministic.narrow_expert_sweep(task, np.geomspace(0.1, 0.02, 6), np.linspace(0, 1, 61))
    fits = findings_deterministic.narrow_expert_fits(rows, (0.01, 1))
    found = {f["reward"]: f for f in fits if f["of"] == "direct"}
    assert found["cr"]["power_law_alone"] == pytest.approx(-2.0, abs=0.01)
    assert -1.5 < found["plr"]["power_law_alone"] < -1.0
    widest = float(np.max(np.abs(task.expert_means - task.policy_means)))
    assert found["r6"]["rate"] == pytest.approx(0.5 * widest**2, rel=0.02)
    plr = [r for r in rows if r["reward"] == "plr"]
    assert plr[-1]["total_at_policy"] < 1e-20 < 1.0 < plr[-1]["total"]
    # Largest where the logit crosses zero, a few of the expert's deviations short of it; r6 at the policy.
    assert 0.5 < plr[-1]["share_of_largest_total"] < 1.0
    assert {r["share_of_largest_total"] for r in rows if r["reward"] == "r6"} == {0.0}


def test_exploration_noise_leaves_the_slope_at_the_mean_alone():
    rows = findings_deterministic.noise_sweep(limits.make_task(0, grid=801), 0.15, np.array([0.2, 0.05]), 2000, 0)
    wide, narrow = (r for r in rows if r["reward"] == "cr")
    assert wide["slope_at_mean"] == pytest.approx(narrow["slope_at_mean"], rel=1e-12)
    assert narrow["noisy_slope"] > 1.3 * wide["noisy_slope"]
    assert narrow["theorem1_mean_norm"] > 2 * wide["theorem1_mean_norm"]
    task = limits.make_task(0, grid=801)
    gap = np.mean((task.expert_means - task.policy_means) ** 2)
    for row, sigma in ((wide, 0.2), (narrow, 0.05)):
        # At a = h + n the slope is n (1/sigma^2 - 1/sigma_E^2) + (m_E - h)/sigma_E^2.
        square = (1 / sigma**2 - 1 / 0.15**2) ** 2 * sigma**2 + gap / 0.15**4
        assert row["noisy_slope"] == pytest.approx(np.sqrt(square), rel=0.05)


def test_noise_changes_the_events_as_their_exact_sums_say():
    task, expert_deviation, sigma = limits.make_task(0, states=2, grid=101), 0.15, 0.3
    row = findings_deterministic.noise_sweep(task, expert_deviation, np.array([sigma]), 10, 0)[0]
    policy, expert = limits.isotropic(task, task.policy_means, sigma), limits.expert_occupancy(task, expert_deviation)
    for event in ("xi", "xi1"):
        exact = exact_probability(event, task.mdp, policy, expert, np.array([1.0, 10.0]))
        assert [row[f"probability_{event}_c{c}"] for c in (1, 10)] == pytest.approx(list(exact), rel=1e-12)


def test_what_credos_variants_do_between_policy_and_expert(task):
    rows = findings_deterministic.credo_effect(task, 0.1, 0.1, np.array([5.0]), 0.02, np.linspace(0, 1, 31))
    by = {(r["variant"], r["reward"]): r for r in rows}
    assert by[("none", "plr")]["towards"] == 1.0
    assert by[("filter, retained", "plr")]["towards"] < 0.95
    assert by[("filter, retained", "plr")]["rough"] > 3 * by[("none", "plr")]["rough"]
    assert by[("filter, rescored", "cr")]["largest"] == pytest.approx(by[("clip", "cr")]["largest"], rel=0.05)
    assert by[("clip", "plr")]["largest"] <= by[("none", "plr")]["largest"]
    assert by[("clip", "plr")]["at_policy"] == pytest.approx(by[("none", "plr")]["at_policy"], rel=0.2)
    # The clip on top of the filter: a reward that passes c somewhere is worth less.
    assert by[("both", "cr")]["objective_at_expert"] < by[("filter, retained", "cr")]["objective_at_expert"] - 1e-3
    assert by[("both", "cr")]["rough"] == by[("filter, retained", "cr")]["rough"]
    # Scored anew the optimum keeps what its own logit leaves below the threshold: as Eq. 9's does in the first round.
    assert by[("filter, rescored", "cr")]["retained_mass"] == by[("filter, retained", "cr")]["retained_mass"] < 1.0


def test_growth_is_fitted_where_the_largest_gradient_is_at_a_place_of_one_kind():
    def row(deviation, share, value):
        parts = dict.fromkeys(findings_deterministic.PARTS, value)
        places = {f"share_of_largest_{part}": share for part in findings_deterministic.PARTS}
        return {"reward": "plr", "expert_deviation": deviation, **parts, **places}

    # At the policy, on the way, and at the end of the scan, where it would be larger still beyond.
    rows = [row(0.4, 0.0, 50.0)]
    rows += [row(d, 0.5, d**-3.0) for d in (0.32, 0.16, 0.08, 0.04)]
    rows += [row(0.02, 1.0, 1.0)]
    for fit in findings_deterministic.narrow_expert_fits(rows, (0.0, 1.0)):
        assert (fit["points"], fit["power_law_alone"]) == (4, pytest.approx(-3.0))
    assert findings_deterministic.narrow_expert_fits(rows[-1:], (0.0, 1.0)) == []
    rows = [row(d, 0.0, d**-2.0) for d in (0.32, 0.16, 0.08, 0.04)] + [row(0.4, 0.5, 9.0)]
    assert {f["points"] for f in findings_deterministic.narrow_expert_fits(rows, (0.0, 1.0))} == {4}


def test_the_share_that_points_to_the_expert_is_counted_short_of_it(task):
    args = (task, 0.1, 0.1, np.array([2.0]), 0.02)
    short = findings_deterministic.credo_effect(*args, np.linspace(0, 0.9, 10))
    beyond = findings_deterministic.credo_effect(*args, np.append(np.linspace(0, 0.9, 10), [1.1, 1.3, 1.5]))
    assert [r["towards"] for r in short] == [r["towards"] for r in beyond]
    clipped = [r["towards"] for r in short if r["variant"] == "clip"]
    assert all(0.5 < share < 1.0 for share in clipped)


def test_where_no_expert_is_left_the_logit_is_minus_20():
    task = limits.make_task(0, states=2, grid=401)
    _, expert, behaviour = deterministic.optimal_table(task, 0.1, task.policy_means, 0.3)
    half = np.where(task.mdp.actions[:, 0] < 0, expert, -np.inf)
    table = deterministic.resolved_table(task, half, behaviour, 0.0)
    assert np.all(table.logit[:, 201:] == -20.0)
    both = deterministic.resolved_table(task, expert, np.full_like(expert, -np.inf), 0.0)
    assert np.all(both.logit == 20.0)


def test_an_imperfect_discriminator_is_scaled_then_shifted():
    at = deterministic.LogitAt(np.array([1.0, -2.0]), np.array([[0.5], [4.0]]))
    found = deterministic.scaled(at, 3.0, 0.25)
    np.testing.assert_array_equal(found.logit, [3.25, -5.75])
    np.testing.assert_array_equal(found.slope, [[1.5], [12.0]])


def test_the_shift_is_added_to_the_optimal_logit(task):
    rows = findings_deterministic.shift_sweep(task, np.array([-2.0, 0.0, 3.0]))
    means = [r["mean_logit"] for r in rows if r["reward"] == "cr"]
    np.testing.assert_allclose(np.diff(means), [2.0, 3.0], rtol=1e-12)
    assert len(rows) == 3 * len(REWARDS)
    # plr's slope is D: a discriminator that is more easily fooled pulls harder.
    pull = [r["direct"] for r in rows if r["reward"] == "plr"]
    assert pull[0] < pull[1] < pull[2]


def test_the_optimal_logit_in_two_dimensions_is_that_of_the_grid():
    task = limits.make_task(0, states=2, grid=81, dimensions=2)
    found = deterministic.optimal_discriminator(task, 0.2, task.policy_means, 0.3)(task.policy_means)
    expert, replay = (
        tabular.occupancy(task.mdp, policies.log_grid_policy(limits.isotropic(task, m, s), task.mdp.actions)).log_pair
        for m, s in ((task.expert_means, 0.2), (task.policy_means, 0.3))
    )
    index = limits.grid_index(task, task.policy_means)
    np.testing.assert_allclose(found.logit, (expert - replay)[np.arange(2), index], rtol=1e-9)


def test_too_few_points_are_not_fitted():
    rows = [{"reward": "cr", "x": float(x), "y": x**2.0} for x in range(1, 6)]
    args = (("reward",), "x", ("y",))
    assert findings_deterministic.growth_fits(rows, *args, (1, 3), 1) == []
    (fit,) = findings_deterministic.growth_fits(rows, *args, (1, 4), 1)
    assert fit["exponent"] == pytest.approx(2.0)
    assert fit["rate"] == pytest.approx(0.0, abs=1e-9)
    # Outside the window nothing counts, at either end.
    rows[0]["y"] = rows[-1]["y"] = 1e9
    rows += [{"reward": "cr", "x": 2.5, "y": 6.25}]
    (fit,) = findings_deterministic.growth_fits(rows, *args, (2, 4), 1)
    assert fit["exponent"] == pytest.approx(2.0)


def test_a_blurred_discriminator_is_the_optimum_of_blurred_densities():
    # A Gaussian of deviation s seen at resolution w is one of deviation sqrt(s^2 + w^2).
    task = limits.make_task(0, states=1, grid=2001, gap=0.2)
    _, expert, behaviour = deterministic.optimal_table(task, 0.06, task.policy_means, 0.08)
    blurred = deterministic.resolved_table(task, expert, behaviour, 0.05)
    index = limits.grid_index(task, task.policy_means + 0.02)
    actions = task.mdp.actions[index]
    wide, narrow = np.hypot(0.06, 0.05), np.hypot(0.08, 0.05)
    expected = deterministic.optimal_discriminator(task, wide, task.policy_means, narrow)(actions)
    found = deterministic.table_at(blurred, actions)
    np.testing.assert_allclose(found.logit, expected.logit, atol=2e-3)
    np.testing.assert_allclose(found.slope, expected.slope, rtol=2e-3)


def test_shapes_that_do_not_fit_are_named():
    smooth = tabular.random_smooth_mdp(np.random.default_rng(0), 3)
    at = deterministic.LogitAt(np.zeros(2), np.zeros((2, 1)))
    with pytest.raises(CredoError, match="do not fit 3 states"):
        deterministic.deterministic_gradient(smooth, np.zeros((2, 1)), at, "plr")


def test_norm_used_is_rkhs(task):
    gradient = np.ones((5, 1))
    found = deterministic.DeterministicGradient(gradient, gradient, 2 * gradient, 0.0)
    assert findings_deterministic.norms(task, found)["direct"] == policies.gradient_norm(gradient, task.gram, "rkhs")
