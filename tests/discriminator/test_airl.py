"""AIRL's logit against NumPy, and what it recovers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import CredoConfig, DiscriminatorConfig, RunConfig, SACConfig
from credo.discriminator.inputs import make_layout
from credo.discriminator.losses import Samples
from credo.discriminator.model import make_discriminator
from credo.discriminator.regularisers import REGULARISERS
from credo.training.state import initial_state, make_parts
from credo.types import CredoError, EnvironmentSpec
from reference.multilayer import forward, to_numpy

OBSERVATION, ACTION, DISCOUNT = 2, 1, 0.9


def density(policy, observation, action):
    """A Gaussian of deviation 1/2 round policy * the observation's first entry."""
    away = (action[..., 0] - policy * observation[..., 0]) / 0.5
    return -0.5 * away**2 - np.log(0.5) - 0.5 * np.log(2 * np.pi)


def make(kind, **changes):
    config = DiscriminatorConfig(kind=kind, hidden=(12,), activation="tanh", regularisers=(), **changes)
    return config, make_discriminator(config, CredoConfig(mode="off"), "cr", OBSERVATION, ACTION, DISCOUNT, density)


def steps(count=6, seed=0):
    generator = np.random.default_rng(seed)
    observation, next_observation = generator.standard_normal((2, count, OBSERVATION)).astype(np.float32)
    action = generator.uniform(-1, 1, (count, ACTION)).astype(np.float32)
    return observation, action, next_observation, np.arange(count) % 3 == 0


@pytest.mark.parametrize("kind", ["airl-state", "airl-state-action"])
def test_the_logit_is_f_less_the_log_density(kind):
    _, discriminator = make(kind)
    state = discriminator.init(jax.random.key(0))
    observation, action, next_observation, terminated = steps()
    policy = jnp.float32(0.3)
    inputs = discriminator.layout.join(*map(jnp.asarray, (observation, action, next_observation, terminated)))
    found = discriminator.logit(state.network, inputs, policy)

    def value(network, x):
        return forward(to_numpy(network), x.astype(np.float64), "tanh")[0][:, 0]

    seen = observation if kind == "airl-state" else np.concatenate([observation, action], axis=1)
    after = np.where(terminated, 0.0, value(state.network.shaping, next_observation))
    f = value(state.network.reward, seen) + DISCOUNT * after - value(state.network.shaping, observation)
    np.testing.assert_allclose(found, f - density(0.3, observation, action), rtol=1e-4, atol=1e-5)
    # The density is no part of the slope that a penalty sees: g of s alone has none in the action.
    slope = jax.grad(lambda x: jnp.sum(discriminator.logit(state.network, x, policy)))(inputs)
    of_action = np.abs(slope[:, OBSERVATION : OBSERVATION + ACTION])
    assert (of_action.max() == 0.0) == (kind == "airl-state")
    np.testing.assert_array_equal(slope[:, -1], 0.0)


@pytest.mark.parametrize("kind", ["airl-state", "gail"])
def test_instance_noise_leaves_alone_what_no_network_sees(kind):
    """Of AIRL's inputs the last says whether the episode goes on, a factor of the discount; GAIL's are all seen."""
    seen = []

    def watched(network, *sides_and_key):
        seen.extend(np.asarray(side.inputs) for side in sides_and_key[:2])
        return jnp.zeros(())

    config = DiscriminatorConfig(kind=kind, instance_noise=0.25)
    side = Samples(jnp.ones((50, 6)))
    REGULARISERS["instance-noise"].loss(watched, None, config)(None, side, side, jax.random.key(0))
    for inputs in seen:
        assert ((inputs[:, -1] == 1.0).all()) == (kind != "gail")
        assert (inputs[:, :-1] != 1.0).all()


def test_a_learner_without_a_density_is_told_of_cr():
    with pytest.raises(CredoError) as error:
        make_discriminator(DiscriminatorConfig(kind="airl-state"), CredoConfig(), "cr", 2, 1)
    assert "--reward cr" in str(error.value)
    assert "\n" not in str(error.value)


def test_f_is_the_log_density_of_the_expert():
    """With all states alike and nothing after them the optimum is f(a) = log of the expert's density, whatever the
    policy that its samples came from (Fu et al. 2018, Appendix A): here a Gaussian round 0.5, and a policy round 0."""
    config, _ = make("airl-state-action", batch_size=512, updates_per_round=1500, learning_rate=1e-2)
    layout = make_layout(config, OBSERVATION, ACTION)
    discriminator = make_discriminator(config, CredoConfig(mode="off"), "cr", OBSERVATION, ACTION, DISCOUNT, density)
    generator = np.random.default_rng(0)

    def samples(mean, deviation, *shape):
        action = mean + deviation * generator.standard_normal((*shape, 1))
        still = jnp.ones((*shape, OBSERVATION))
        return layout.join(still, jnp.asarray(action, jnp.float32), still, jnp.ones(shape, bool))

    expert = samples(0.5, 0.3, 20_000)
    policy = samples(0.0, 0.5, 1500, 512)
    start = discriminator.init(jax.random.key(0))
    state, _ = jax.jit(discriminator.update)(start, expert, policy, jax.random.key(1), jnp.float32(0.0))
    actions = np.array([0.1, 0.3, 0.5, 0.7, 0.9], np.float32)[:, None]
    still = jnp.ones((5, OBSERVATION))
    inputs = layout.join(still, jnp.asarray(actions), still, jnp.ones(5, bool))
    f = np.asarray(discriminator.logit(state.network, inputs, jnp.float32(0.0))) + density(
        0.0, np.ones((5, OBSERVATION)), actions
    )
    expected = -0.5 * ((actions[:, 0] - 0.5) / 0.3) ** 2 - np.log(0.3) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(f, expected, atol=0.2)
    assert np.ptp(expected) > 0.8


def test_reward_and_shaping_begin_as_two_networks():
    _, discriminator = make("airl-state")
    network = discriminator.init(jax.random.key(0)).network
    assert not np.array_equal(network.reward[0].weight, network.shaping[0].weight)


def test_a_runs_shaping_has_its_learners_discount():
    """With h = 1 everywhere the logits of a step that goes on and of one that terminates differ by the discount."""
    spec = EnvironmentSpec("probe", 1, 1, -np.ones(1, np.float32), np.ones(1, np.float32), 5)
    discriminator = DiscriminatorConfig(kind="airl-state", hidden=(8,), regularisers=())
    sac = SACConfig(hidden=(8,), discount=0.9)
    config = RunConfig(environment="probe", learner="sac", sac=sac, discriminator=discriminator, reward="cr")
    parts = make_parts(config, spec)
    state = initial_state(parts, 0)
    nothing = jax.tree.map(jnp.zeros_like, state.discriminator.network.shaping)
    shaping = (*nothing[:-1], nothing[-1]._replace(bias=jnp.ones(1)))
    network = state.discriminator.network._replace(shaping=shaping)
    inputs = jnp.array([[0.3, 0.1, 0.4, 1.0], [0.3, 0.1, 0.4, 0.0]])
    goes_on, ended = parts.discriminator.logit(network, inputs, state.learner)
    assert float(goes_on - ended) == pytest.approx(0.9, rel=1e-4)
