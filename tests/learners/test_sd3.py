"""The softmax operator and its noise, by hand and by property; the choice between two actors."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from credo import networks
from credo.config import SD3Config
from credo.learners.sd3 import (
    AUTHORS_BETA,
    OTHER_BETA,
    beta_of,
    importance_log_weight,
    make_noise,
    sd3,
    sobol_cells,
    softmax_target_value,
    softmax_value,
)
from credo.learners.targets import Choice, chosen_before_tanh, chosen_value
from credo.networks import Layer

VALUES = arrays(
    np.float32, st.integers(1, 9), elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
)


def test_softmax_value_by_hand():
    # Weights 1 : 3 at beta = log 3 on values 0 and 1: 3 / 4.
    assert float(softmax_value(jnp.array([0.0, 1.0]), float(np.log(3)))) == pytest.approx(0.75, rel=1e-6)
    # A log weight of log 3 on the first evens them out.
    weighted = softmax_value(jnp.array([0.0, 1.0]), float(np.log(3)), jnp.log(jnp.array([3.0, 1.0])))
    assert float(weighted) == pytest.approx(0.5, rel=1e-6)
    rows = softmax_value(jnp.array([[0.0, 1.0], [2.0, 2.0]]), float(np.log(3)))
    np.testing.assert_allclose(rows, [0.75, 2.0], rtol=1e-6)


@given(values=VALUES, beta=st.floats(1e-6, 1e6))
@settings(deadline=None, max_examples=150)
def test_softmax_value_lies_between_mean_and_maximum(values, beta):
    found = float(softmax_value(jnp.asarray(values), beta))
    slack = 1e-5 * float(np.abs(values).max()) + 1e-30
    assert values.mean(dtype=np.float64) - slack <= found <= values.max() + slack


@given(values=arrays(np.float32, 5, elements=st.floats(-128, 128, width=32, allow_subnormal=False)))
@settings(deadline=None, max_examples=50)
def test_softmax_value_goes_from_mean_to_maximum(values):
    small, large = (float(softmax_value(jnp.asarray(values), beta)) for beta in (1e-9, 1e9))
    assert small == pytest.approx(values.mean(), abs=1e-3)
    assert large == pytest.approx(values.max(), abs=1e-3)
    rising = [float(softmax_value(jnp.asarray(values), beta)) for beta in (1e-3, 1e-2, 0.1, 1.0, 10.0)]
    assert all(one <= other + 1e-3 for one, other in itertools.pairwise(rising))


@pytest.mark.parametrize("size", [1e8, 1e30, -1e30])
def test_huge_values_neither_overflow_nor_vanish(size):
    gradient = jax.grad(lambda v: softmax_value(v, 500.0))(jnp.array([size, size, 2 * size]))
    assert float(softmax_value(jnp.array([size, 0.0]), 500.0)) == pytest.approx(max(size, 0.0), rel=1e-6)
    assert np.isfinite(gradient).all()


def test_importance_weight_is_one_over_the_density():
    normal = np.array([[0.0, 0.0], [1.0, -2.0]])
    density = np.prod(np.exp(-0.5 * normal**2) / np.sqrt(2 * np.pi), axis=1)
    found = np.exp(np.asarray(importance_log_weight(jnp.asarray(normal, jnp.float32))))
    assert found[1] / found[0] == pytest.approx(density[0] / density[1], rel=1e-5)


@pytest.mark.parametrize("kind", ["independent", "antithetic", "sobol"])
@pytest.mark.parametrize("samples", [2, 8, 50])
def test_every_sample_is_normal_and_every_row_has_its_own(kind, samples):
    normal = np.asarray(make_noise(kind, samples, 3)(jax.random.key(0), 4000))
    assert normal.shape == (4000, samples, 3)
    assert normal.dtype == np.float32
    for sample in (0, samples - 1):
        np.testing.assert_allclose(normal[:, sample].mean(axis=0), 0, atol=0.08)
        np.testing.assert_allclose(normal[:, sample].std(axis=0), 1, atol=0.06)
        np.testing.assert_allclose(np.mean(np.abs(normal[:, sample]) < 0.6745, axis=0), 0.5, atol=0.04)
    assert np.abs(np.corrcoef(normal[:, 0].T) - np.eye(3)).max() < 0.1, "dimensions are independent"
    assert len(np.unique(normal[:, 0, 0])) > 3900


def test_antithetic_samples_come_in_mirrored_pairs():
    normal = np.asarray(make_noise("antithetic", 6, 2)(jax.random.key(0), 3))
    np.testing.assert_array_equal(normal[:, 3:], -normal[:, :3])


def test_sobol_samples_fill_each_stratum_once():
    count, cells = sobol_cells(8, 3)
    assert count == 8
    assert sobol_cells(50, 3)[0] == 64
    uniform = np.asarray(jax.scipy.stats.norm.cdf(make_noise("sobol", 8, 3)(jax.random.key(1), 20)))
    for found in (cells, *np.floor(8 * uniform)):
        for dimension in range(3):
            assert sorted(found[:, dimension]) == list(range(8))
    # A sum over evenly spread samples varies far less than one over independent samples.
    spread = {
        kind: np.asarray(make_noise(kind, 8, 1)(jax.random.key(0), 2000)).mean(axis=1).std()
        for kind in ("sobol", "independent")
    }
    assert spread["sobol"] < 0.5 * spread["independent"]


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_values_of_many_actions_are_the_values_of_each(hidden, layer_norm):
    critic = networks.initialise(jax.random.key(0), (5, *hidden, 1), layer_norm=layer_norm)
    observation = jax.random.normal(jax.random.key(1), (4, 3))
    actions = jax.random.normal(jax.random.key(2), (4, 6, 2))
    each = [networks.q_value(critic, observation, actions[:, k]) for k in range(6)]
    np.testing.assert_allclose(networks.q_values(critic, observation, actions), np.stack(each, 1), rtol=1e-4, atol=1e-6)


def test_the_target_takes_the_smaller_critic_of_each_action():
    # Actions are the clipped noise: +-0.5. Q1 = a, Q2 = -a, the smaller is -0.5 in both; critics apart would average 0.
    actor = (Layer(jnp.zeros((1, 1)), jnp.zeros(1)),)
    critics = tuple((Layer(jnp.array([[0.0], [sign]]), jnp.zeros(1)),) for sign in (1.0, -1.0))
    config = SD3Config(target_noise=10.0, target_noise_clip=0.5, beta=1.0)
    normal = jnp.array([[[1.0], [-1.0]]])
    found = softmax_target_value(actor, critics, jnp.zeros((1, 1)), normal, config)
    np.testing.assert_allclose(found, [-0.5], rtol=1e-6)


def test_the_actor_whose_own_critic_values_its_action_most_plays():
    actors = tuple((Layer(jnp.zeros((1, 1)), jnp.array([bias])),) for bias in (0.3, -0.4))
    # The first critic says 0 everywhere, the second the observation: the second actor plays where it is above 0.
    critics = tuple((Layer(jnp.array([[weight], [0.0]]), jnp.zeros(1)),) for weight in (0.0, 1.0))
    found = chosen_before_tanh(Choice(actors, critics), jnp.array([[-1.0], [0.0], [1.0]]))
    np.testing.assert_allclose(found[:, 0], [0.3, 0.3, -0.4], rtol=1e-6)


def test_an_action_is_valued_by_the_critic_of_the_pair_that_plays():
    actors = tuple((Layer(jnp.zeros((1, 1)), jnp.array([bias])),) for bias in (0.3, -0.4))
    # The first critic says 0 everywhere, the second the observation, and a hundredth of the action.
    critics = tuple((Layer(jnp.array([[weight], [weight / 100]]), jnp.zeros(1)),) for weight in (0.0, 1.0))
    observation, action = jnp.array([[-1.0], [1.0]]), jnp.array([[0.5], [0.5]])
    found = chosen_value(Choice(actors, critics), observation, action)
    np.testing.assert_allclose(found, [0.0, 1.005], rtol=1e-6)


def test_the_authors_temperature_goes_by_the_environments_name():
    for name, beta in AUTHORS_BETA.items():
        assert beta_of(f"{name}-v5") == beta
    assert beta_of("HalfCheetah-v2") == 0.005
    assert beta_of("namespace/Hopper-v4") == 0.05
    assert beta_of("gymnasium.envs.mujoco:Ant-v5") == AUTHORS_BETA["Ant"]
    assert beta_of("Pendulum-v1") == OTHER_BETA
    assert beta_of("probe") == OTHER_BETA


def test_both_pairs_explore_with_the_chosen_action():
    learner = sd3(SD3Config(hidden=(8,), noise_samples=2, exploration_noise=0.0), 3, 2)
    state = learner.init(jax.random.key(0))
    observation = jax.random.normal(jax.random.key(1), (50, 3))
    action = learner.act(state, observation, jax.random.key(2))
    np.testing.assert_array_equal(action, learner.mode(state, observation))
    of_each = [np.tanh(networks.apply(actor, observation)) for actor in state.actors]
    first = np.isclose(action, of_each[0], atol=1e-6).all(axis=1)
    assert 0 < first.sum() < 50, "each actor plays somewhere"
    np.testing.assert_allclose(action[~first], of_each[1][~first], atol=1e-6)
