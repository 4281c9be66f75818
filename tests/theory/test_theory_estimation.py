import numpy as np
import pytest

from credo.theory import estimation, findings_credo
from credo.types import CredoError

GAIN = np.array([[-1.0, -1.2]])


def test_density_integrates_to_one_and_matches_samples():
    task = estimation.point_mass_task()._replace(horizon=8)
    policy = estimation.LinearPolicy(GAIN, np.array([0.3]), 0.2)
    generator = np.random.default_rng(0)
    states, actions = estimation.sample_pairs(task, policy, 30_000, generator)
    # E under another density of the ratio is 1: importance sampling from a wider policy.
    wide = policy._replace(deviation=0.4)
    s, a = estimation.sample_pairs(task, wide, 30_000, generator)
    ratio = np.exp(
        estimation.log_occupancy_density(task, policy, s, a) - estimation.log_occupancy_density(task, wide, s, a)
    )
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.05)
    assert np.mean(ratio * a[:, 0]) == pytest.approx(np.mean(actions), abs=0.03)
    assert states.shape == (30_000, 2)


def test_sampled_states_follow_the_dynamics():
    task = estimation.point_mass_task()._replace(horizon=5, discount=0.9)
    policy = estimation.LinearPolicy(GAIN, np.array([0.3]), 0.2)
    generator = np.random.default_rng(1)
    rolled, weights = [], 0.9 ** np.arange(5) / np.sum(0.9 ** np.arange(5))
    state = task.start_deviation * generator.normal(size=(30_000, 2))
    for _ in range(5):
        rolled.append(state)
        action = state @ GAIN.T + 0.3 + 0.2 * generator.normal(size=(30_000, 1))
        noise = task.noise_deviation * generator.normal(size=state.shape)
        state = state @ task.state_matrix.T + action @ task.action_matrix.T + noise
    drawn, _ = estimation.sample_pairs(task, policy, 30_000, generator)
    mean = sum(w * r.mean(axis=0) for w, r in zip(weights, rolled, strict=True))
    second = sum(w * (r**2).mean(axis=0) for w, r in zip(weights, rolled, strict=True))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose((drawn**2).mean(axis=0), second, atol=0.01)


def test_loss_gradient_and_slope_against_central_differences():
    generator = np.random.default_rng(2)
    network = estimation.initial_network((3, 5, 4, 1), generator)
    expert, policy = generator.normal(size=(6, 3)), generator.normal(size=(7, 3))
    _, gradient = estimation.loss_gradient(network, expert, policy)
    step = 1e-6
    for layer in range(3):
        for kind in ("weights", "biases"):
            array = getattr(network, kind)[layer]
            index = tuple(np.array(array.shape) // 2)
            losses = []
            for sign in (1, -1):
                moved = [a.copy() for a in getattr(network, kind)]
                moved[layer][index] += sign * step
                losses.append(estimation.loss_gradient(network._replace(**{kind: tuple(moved)}), expert, policy)[0])
            numeric = (losses[0] - losses[1]) / (2 * step)
            assert getattr(gradient, kind)[layer][index] == pytest.approx(numeric, rel=1e-5, abs=1e-9)
    slope = estimation.network_slope(network, expert)
    for axis in range(3):
        moved = step * np.eye(3)[axis]
        high, low = (estimation.network_logit(network, expert + sign * moved) for sign in (1, -1))
        np.testing.assert_allclose(slope[:, axis], (high - low) / (2 * step), rtol=1e-6, atol=1e-9)


def test_a_trained_discriminator_approaches_the_known_logit_where_it_is_mild():
    rows = findings_credo.estimate_errors(0, (5, 300), 2000, ("wide expert, close", "narrow expert, apart"))
    mild = [r for r in rows if r["case"] == "wide expert, close" and r["side"] == "expert"]
    early, late = mild
    assert early["step"] == 5
    assert late["step"] == 300
    spread = [r["shift_q95"] - r["shift_q05"] for r in (early, late)]
    assert spread[1] < 0.8 * spread[0]
    assert abs(late["shift_q50"]) < 0.3
    assert late["slope_q95"] == pytest.approx(late["exact_slope_q95"], rel=0.5)
    # Where expert and policy are apart and narrow, Eq. 9 is far out of reach: e1 = e2 = 1 to many digits.
    far = next(r for r in rows if r["case"] == "narrow expert, apart" and r["side"] == "policy" and r["step"] == 300)
    assert far["shift_q50"] > 100
    assert far["symmetric_q50"] > 0.999
    assert far["slope_q95"] < 0.1 * far["exact_slope_q95"]
    assert far["share_within_half"] == 0.0
    assert late["share_within_half"] > 0.9


def test_adams_first_step_is_the_learning_rate():
    # Both corrections at once: the first step of each parameter is 3e-4 against its gradient's sign.
    data = np.random.default_rng(0).normal(size=(2, 50, 3))
    start = estimation.initial_network((3, 100, 100, 1), np.random.default_rng(1))
    after = estimation.train_discriminator(*data, 1, np.random.default_rng(1), (1,))[1]
    for kind in ("weights", "biases"):
        for old, new in zip(getattr(start, kind), getattr(after, kind), strict=True):
            assert np.max(np.abs(new - old)) == pytest.approx(3e-4, rel=1e-3)


def test_further_steps_go_by_moving_averages_of_slope_and_square():
    # One row a side: every batch is the same, whatever is drawn.
    rows, rate, slopes = (np.array([[0.5, -1.0]]), np.array([[1.0, 2.0]])), 0.1, []
    network = estimation.initial_network((2, 3, 3, 1), np.random.default_rng(0))
    for step in range(1, 7):
        slopes.append(estimation.loss_gradient(network, *rows)[1])
        age = np.arange(step)[::-1]

        def moved(kind, layer, age=age, network=network):
            history = np.array([getattr(slope, kind)[layer] for slope in slopes])
            mean = np.average(history, axis=0, weights=0.9**age)
            return getattr(network, kind)[layer] - rate * mean / np.sqrt(
                np.average(history**2, axis=0, weights=0.999**age)
            )

        network = estimation.Network(*(tuple(moved(kind, i) for i in range(3)) for kind in ("weights", "biases")))
    generator = np.random.default_rng(0)
    found = estimation.train_discriminator(*rows, 6, generator, (6,), learning_rate=rate, hidden=3)[6]
    for kind in ("weights", "biases"):
        for one, other in zip(getattr(found, kind), getattr(network, kind), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_seed_decides_what_is_drawn():
    once, again, other = (findings_credo.estimate_errors(seed, (1,), 20, ("wide expert, close",)) for seed in (0, 0, 1))
    assert once == again
    assert all(a["optimal_logit_q50"] != b["optimal_logit_q50"] for a, b in zip(once, other, strict=True))


def test_inputs_of_different_width_are_refused():
    with pytest.raises(CredoError, match="differ in width"):
        estimation.train_discriminator(np.zeros((4, 2)), np.zeros((4, 3)), 1, np.random.default_rng(0), (1,))
