"""Whole updates of the learners against NumPy float64, given the very noise that JAX draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import DDPGConfig, SACConfig, SD3Config, TD3Config
from credo.learners.ddpg import ddpg
from credo.learners.sac import sac
from credo.learners.sd3 import make_noise, sd3
from credo.learners.td3 import td3
from credo.types import Demonstrated, Transition
from reference.actor_critic import DDPG, SAC, SD3, TD3
from reference.multilayer import to_numpy

OBSERVATION, ACTION, BATCH = 3, 2, 8
RATES = {"actor_learning_rate": 1e-2, "critic_learning_rate": 2e-2, "target_rate": 0.1, "hidden": (7, 5)}


def batches_of(updates, seed=0, cloning=False):
    generator = np.random.default_rng(seed)

    def normal(*shape):
        return generator.standard_normal((updates, BATCH, *shape)).astype(np.float32)

    terminated = generator.random((updates, BATCH)) < 0.3
    assert 0 < terminated.sum() < terminated.size
    return Transition(
        observation=normal(OBSERVATION),
        action=np.tanh(normal(ACTION)),
        reward=3 * normal(),
        next_observation=normal(OBSERVATION),
        terminated=terminated,
        demonstrated=Demonstrated(normal(OBSERVATION), np.tanh(normal(ACTION))) if cloning else None,
    )


def row(batches, index):
    fields = batches._asdict()
    demonstrated = fields.pop("demonstrated")
    if demonstrated is not None:
        fields |= {f"demonstrated_{name}": x for name, x in demonstrated._asdict().items()}
    return {name: x[index] if x.dtype == bool else x[index].astype(np.float64) for name, x in fields.items()}


def spread(state, scale=3.0):
    """Larger weights than at the start, so that noise clips, actions saturate and critics disagree."""
    grown = {name: jax.tree.map(lambda x: scale * x, getattr(state, name)) for name in ("actor", "critics")}
    targets = {"target_critics": jax.tree.map(jnp.copy, grown["critics"])}
    if hasattr(state, "target_actor"):
        targets["target_actor"] = jax.tree.map(jnp.copy, grown["actor"])
    return state._replace(**grown, **targets)


def spread_pairs(state, scale=3.0):
    """The same for SD3, whose networks come in pairs."""
    actors, critics = (jax.tree.map(lambda x: scale * x, part) for part in (state.actors, state.critics))
    return state._replace(
        actors=actors,
        critics=critics,
        target_actors=jax.tree.map(jnp.copy, actors),
        target_critics=jax.tree.map(jnp.copy, critics),
    )


def assert_networks(found, expected, tolerance=1e-4):
    for one, other in zip(found, expected, strict=True):
        for part, reference in zip(one, other, strict=True):
            np.testing.assert_allclose(part, reference, rtol=tolerance, atol=3e-6)


def norm(gradients):
    return np.sqrt(sum(np.sum(array**2) for layer in gradients for array in layer))


def largest(gradients):
    return max(np.abs(array).max() for layer in gradients for array in layer)


@pytest.mark.parametrize(
    ("delay", "updates", "penalty", "cloning"), [(2, 4, 0.0, 0.0), (2, 2, 0.3, 0.0), (2, 4, 0.3, 0.7)]
)
def test_td3_agrees_with_numpy(delay, updates, penalty, cloning):
    settings = {"preactivation_penalty": penalty, "cloning_weight": cloning}
    config = TD3Config(actor_delay=delay, target_noise=0.4, discount=0.9, **settings, **RATES)
    learner = td3(config, OBSERVATION, ACTION)
    state = spread(learner.init(jax.random.key(0)))
    batches, key = batches_of(updates, cloning=cloning > 0), jax.random.key(1)
    noises = [np.asarray(jax.random.normal(k, (BATCH, ACTION))) for k in jax.random.split(key, updates)]
    assert any(np.abs(config.target_noise * noise).max() > config.target_noise_clip for noise in noises)
    agent = TD3(config, to_numpy(state.actor), [to_numpy(critic) for critic in state.critics])

    updated, metrics = jax.jit(learner.update)(state, batches, key)
    critic_norms = []
    for index, noise in enumerate(noises):
        agent.update(row(batches, index), noise.astype(np.float64))
        critic_norms.append(norm([layer for gradient in agent.critic_gradients for layer in gradient]))
    assert_networks(updated.actor, agent.actor)
    assert_networks(updated.target_actor, agent.target_actor)
    for index in range(2):
        assert_networks(updated.critics[index], agent.critics[index])
        assert_networks(updated.target_critics[index], agent.target_critics[index])
    assert float(metrics["critic_gradient_norm"]) == pytest.approx(max(critic_norms), rel=1e-4)
    if updates == delay:
        assert float(metrics["actor_gradient_norm"]) == pytest.approx(norm(agent.actor_gradient), rel=1e-4)
        assert float(metrics["actor_gradient_max"]) == pytest.approx(largest(agent.actor_gradient), rel=1e-4)


@pytest.mark.parametrize(("target_entropy", "updates", "cloning"), [(None, 1, 0.0), (-0.5, 3, 0.0), (None, 3, 0.7)])
def test_sac_agrees_with_numpy(target_entropy, updates, cloning):
    rates = {**RATES, "temperature_learning_rate": 3e-2}
    rates["cloning_weight"] = cloning
    config = SACConfig(discount=0.9, initial_temperature=0.3, target_entropy=target_entropy, **rates)
    learner = sac(config, OBSERVATION, ACTION)
    state = spread(learner.init(jax.random.key(0)), 2.0)
    batches, key = batches_of(updates, cloning=cloning > 0), jax.random.key(1)
    agent = SAC(
        config,
        to_numpy(state.actor),
        [to_numpy(critic) for critic in state.critics],
        -float(ACTION) if target_entropy is None else target_entropy,
    )

    updated, metrics = jax.jit(learner.update)(state, batches, key)
    for index, update_key in enumerate(jax.random.split(key, updates)):
        next_key, actor_key = jax.random.split(update_key)
        noises = [np.asarray(jax.random.normal(k, (BATCH, ACTION)), np.float64) for k in (next_key, actor_key)]
        agent.update(row(batches, index), *noises)
    assert_networks(updated.actor, agent.actor)
    for index in range(2):
        assert_networks(updated.critics[index], agent.critics[index])
        assert_networks(updated.target_critics[index], agent.target_critics[index])
    assert float(updated.log_temperature) == pytest.approx(agent.log_temperature, rel=1e-5)
    assert float(metrics["actor_gradient_norm"]) > 0
    if updates == 1:
        assert float(metrics["actor_gradient_norm"]) == pytest.approx(norm(agent.actor_gradient), rel=1e-4)


STABILISED = {"actor_gradient_clip": 0.05, "actor_starts": 1, "preactivation_penalty": 0.3, "cloning_weight": 0.7}


@pytest.mark.parametrize("stabilisers", [{"preactivation_penalty": 0.0}, STABILISED], ids=["plain", "stabilised"])
def test_ddpg_agrees_with_numpy(stabilisers):
    config = DDPGConfig(discount=0.9, **stabilisers, **RATES)
    learner = ddpg(config, OBSERVATION, ACTION)
    state = spread(learner.init(jax.random.key(0)))
    batches, key = batches_of(3, cloning=config.cloning_weight > 0), jax.random.key(1)
    agent = DDPG(config, to_numpy(state.actor), to_numpy(state.critics[0]))
    updated, metrics = jax.jit(learner.update)(state, batches, key)
    norms = []
    for index in range(3):
        agent.learn(row(batches, index))
        norms.append(norm(agent.actor_gradient))
    assert agent.actor_count == 3 - config.actor_starts
    if config.actor_gradient_clip:
        assert min(norms) > config.actor_gradient_clip, "the clip acts"
    assert_networks(updated.actor, agent.actor)
    assert_networks(updated.target_actor, agent.target_actor)
    assert_networks(updated.critics[0], agent.critic)
    assert_networks(updated.target_critics[0], agent.target_critic)
    assert float(metrics["actor_gradient_norm"]) == pytest.approx(max(norms), rel=1e-4), "as it was before the clip"


@pytest.mark.parametrize(
    ("noise", "importance_weights", "stabilisers"),
    [("independent", False, {"preactivation_penalty": 0.0}), ("sobol", True, STABILISED)],
    ids=["plain", "weighted-stabilised"],
)
def test_sd3_agrees_with_numpy(noise, importance_weights, stabilisers):
    samples, updates = 6, 2
    config = SD3Config(
        discount=0.9,
        target_noise=0.4,
        beta=1.5,
        noise=noise,
        noise_samples=samples,
        importance_weights=importance_weights,
        batch_size=BATCH // 2,
        **stabilisers,
        **RATES,
    )
    learner = sd3(config, OBSERVATION, ACTION)
    state = spread_pairs(learner.init(jax.random.key(0)))
    batches, key = batches_of(updates, cloning=config.cloning_weight > 0), jax.random.key(1)
    draw = make_noise(noise, samples, ACTION)
    agent = SD3(config, [to_numpy(x) for x in state.actors], [to_numpy(x) for x in state.critics])
    updated, metrics = jax.jit(learner.update)(state, batches, key)
    norms = []
    for index, update_key in enumerate(jax.random.split(key, updates)):
        noises = [np.asarray(draw(k, BATCH // 2), np.float64) for k in jax.random.split(update_key)]
        assert max(np.abs(config.target_noise * normal).max() for normal in noises) > config.target_noise_clip
        whole = row(batches, index)
        halves = [{name: x[part] for name, x in whole.items()} for part in (slice(0, 4), slice(4, 8))]
        agent.learn(halves, noises)
        norms += [norm(pair.actor_gradient) for pair in agent.pairs]
    for index, pair in enumerate(agent.pairs):
        assert pair.actor_count == updates - config.actor_starts
        assert_networks(updated.actors[index], pair.actor)
        assert_networks(updated.target_actors[index], pair.target_actor)
        assert_networks(updated.critics[index], pair.critic)
        assert_networks(updated.target_critics[index], pair.target_critic)
    assert float(metrics["actor_gradient_norm"]) == pytest.approx(max(norms), rel=1e-4)


def test_sacs_cut_gradient_is_recorded_whole():
    limit = 1e-3
    learner = sac(SACConfig(actor_gradient_clip=limit, **RATES), OBSERVATION, ACTION)
    state = spread(learner.init(jax.random.key(0)), 2.0)
    updated, metrics = jax.jit(learner.update)(state, batches_of(1), jax.random.key(1))
    assert float(metrics["actor_gradient_norm"]) > 10 * limit
    # After one step Adam's first moment is a tenth of the gradient it was given.
    given = 10 * np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(updated.actor_optimiser[0].mu)))
    assert given == pytest.approx(limit, rel=1e-4)
