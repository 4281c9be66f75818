"""What keeps a deterministic actor from saturating: defaults change nothing, and each does what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import networks
from credo.config import DDPGConfig, SACConfig, SD3Config, TD3Config
from credo.gradients import clipped, global_norm
from credo.learners import LEARNERS, targets
from credo.networks import Layer, NormalisedLayer
from credo.presets import preset
from credo.types import Transition

KINDS = {"ddpg": DDPGConfig, "td3": TD3Config, "sd3": SD3Config}


def make(name, **settings):
    extra = {"noise_samples": 2} if name == "sd3" else {}
    learner = LEARNERS[name]({**KINDS, "sac": SACConfig}[name](hidden=(6, 5), **extra, **settings), 3, 2)
    return learner, learner.init(jax.random.key(0))


def actors(state):
    return getattr(state, "actors", None) or (state.actor,)


def batches_of(updates, rows=4):
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.standard_normal((updates, rows, *shape)).astype(np.float32)

    return Transition(normal(3), np.tanh(normal(2)), normal(), normal(3), np.zeros((updates, rows), bool))


def test_a_gradient_is_cut_to_its_limit_in_its_own_direction():
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    cut = clipped(gradient, 1.0)
    np.testing.assert_allclose(cut["a"], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(cut["b"], [[0.8]], rtol=1e-6)
    assert float(global_norm(cut)) == pytest.approx(1.0, rel=1e-6)
    for limit in (5.0, 7.0):
        np.testing.assert_array_equal(clipped(gradient, limit)["b"], gradient["b"])
    assert clipped(gradient, 0.0) is gradient
    still = clipped({"a": jnp.zeros(2)}, 1.0)
    np.testing.assert_array_equal(still["a"], [0.0, 0.0])


@pytest.mark.parametrize(("name", "normalised"), [("dac", False), ("acme-gail", True)])
def test_presets_begin_their_actors_last_layer_as_the_code_that_they_reproduce(name, normalised):
    """A standard deviation of 0.01 / sqrt(inputs): orthogonal(0.01) in DAC, variance scaling 1e-4 in Acme."""
    settings = preset(name).td3
    actor = targets.make_actor(settings, jax.random.key(0), 11, 30)
    weight = np.asarray(actor[-1].weight)
    assert weight.std() * np.sqrt(len(weight)) == pytest.approx(0.01, rel=0.03)
    critic = targets.make_critic(settings, jax.random.key(1), 11, 3)
    for network in (actor, critic):
        assert all(isinstance(layer, NormalisedLayer) == normalised for layer in network[:-1])


@pytest.mark.parametrize("name", KINDS)
def test_the_last_layer_starts_smaller_and_nothing_else_changes(name):
    (_, plain), (_, scaled) = make(name), make(name, last_layer_scale=0.01)
    for one, other in zip(actors(plain), actors(scaled), strict=True):
        np.testing.assert_array_equal(one[0].weight, other[0].weight)
        np.testing.assert_allclose(other[-1].weight, 0.01 * one[-1].weight, rtol=1e-6)
        np.testing.assert_allclose(other[-1].bias, 0.01 * one[-1].bias, rtol=1e-6)
    np.testing.assert_array_equal(plain.critics[0][-1].weight, scaled.critics[0][-1].weight)


@pytest.mark.parametrize("name", [*KINDS, "sac"])
@pytest.mark.parametrize("which", ["actor", "critic", "both"])
def test_layer_norm_is_where_it_was_asked_for(name, which):
    _, state = make(name, layer_norm=which)
    for network, normalised in (
        (actors(state)[0], which in ("actor", "both")),
        (state.critics[0], which in ("critic", "both")),
    ):
        assert [type(layer) for layer in network[:-1]] == [NormalisedLayer if normalised else Layer] * 2
        assert type(network[-1]) is Layer


def test_layer_norm_by_hand():
    # x W + b = (1, 3); mean 2, variance 1: (-1, 1) up to epsilon; times 2 plus 1: (-1, 3); relu, summed: 3.
    layer = NormalisedLayer(jnp.array([[1.0, 3.0]]), jnp.zeros(2), 2 * jnp.ones(2), jnp.ones(2))
    network = (layer, Layer(jnp.ones((2, 1)), jnp.zeros(1)))
    np.testing.assert_allclose(networks.apply(network, jnp.array([[1.0]])), [[3.0]], rtol=1e-4)
    np.testing.assert_allclose(networks.apply(network, jnp.array([[100.0]])), [[3.0]], rtol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_the_actor_waits_and_then_starts_where_a_round_leaves_off(name):
    """4 updates of 2 rounds with a wait of 3 (of 2 for TD3, whose actor moves at every second)."""
    learner, state = make(name, actor_starts=3)
    update = jax.jit(learner.update)
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(actors(state))]
    start = [np.asarray(leaf) for leaf in jax.tree.leaves(state.critics)]
    state, metrics = update(state, batches_of(2), jax.random.key(1))
    for leaf, old in zip(jax.tree.leaves(actors(state)), before, strict=True):
        np.testing.assert_array_equal(leaf, old)
    assert not np.array_equal(jax.tree.leaves(state.critics)[0], start[0]), "the critic does not wait"
    assert float(metrics["actor_gradient_norm"]) > 0, "measured while it waits"
    state, _ = update(state, batches_of(2), jax.random.key(2))
    for actor in actors(state):
        assert not np.array_equal(actor[0].weight, before[1])
    optimiser = getattr(state, "actor_optimisers", None) or (state.actor_optimiser,)
    assert all(int(each[0].count) == 1 for each in optimiser), "the first of its updates"
