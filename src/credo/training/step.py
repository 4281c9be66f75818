"""One round of one seed, as a pure function: update the discriminator, relabel, update the learner, measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from credo import networks
from credo.discriminator import credo as outliers
from credo.discriminator.model import Discriminator, join
from credo.discriminator.rewards import REWARDS
from credo.training.state import Constants, Parts, TrainState
from credo.types import Array, Metrics, Transition

SATURATED = 0.99
"""An action component beyond this, in absolute value, counts as saturated."""
DIAGNOSTIC_SAMPLES = 512
"""Expert samples scored for a round's diagnostics."""


class Experience(NamedTuple):
    """What a round of one seed learns from, drawn by the host."""

    batches: Transition
    """[updates, batch, ...]: the learner's transitions, with the environment's reward."""
    policy_observation: Array
    """[discriminator updates, batch, O]: the policy's side of the discriminator (0 updates without one)."""
    policy_action: Array
    """[discriminator updates, batch, A]."""


Round = Callable[[TrainState, Constants, Experience, Array, Array], tuple[TrainState, Metrics]]


def make_round(parts: Parts) -> Round:
    """``round(state, constants, experience, discriminator_key, learner_key) -> (state, metrics)`` for one seed.

    Where a parameter or gradient turns non-finite, the state of before the round comes back (the last good
    parameters) and ``metrics["finite"]`` is 0; the host then freezes the seed.
    """
    learner, discriminator = parts.learner, parts.discriminator

    def one_round(
        state: TrainState,
        constants: Constants,
        experience: Experience,
        discriminator_key: Array,
        learner_key: Array,
    ) -> tuple[TrainState, Metrics]:
        batches = experience.batches._replace(
            observation=constants.normalise(experience.batches.observation),
            next_observation=constants.normalise(experience.batches.next_observation),
        )
        discriminator_state, metrics = state.discriminator, {}
        if discriminator is not None:
            policy_inputs = join(constants.normalise(experience.policy_observation), experience.policy_action)
            discriminator_state, metrics = discriminator.update(
                state.discriminator, constants.expert_inputs, policy_inputs, discriminator_key
            )
            network = discriminator_state.network
            batches = batches._replace(reward=policy_reward(parts, network, batches.observation, batches.action))
        learner_state, learner_metrics = learner.update(state.learner, batches, learner_key)
        updated = TrainState(learner_state, discriminator_state)

        metrics |= learner_metrics
        last = jax.tree.map(lambda x: x[-1], batches)
        metrics |= policy_diagnostics(parts, learner_state, last)
        metrics |= {
            "reward_mean": jnp.mean(batches.reward),
            "reward_min": jnp.min(batches.reward),
            "reward_max": jnp.max(batches.reward),
        }
        if discriminator is not None:
            key = jax.random.fold_in(discriminator_key, 2)
            metrics |= discriminator_diagnostics(parts, discriminator, network, constants, last, key)
        gradients = [value for name, value in metrics.items() if "_gradient_" in name]
        floats = [leaf for leaf in jax.tree.leaves(updated) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        finite = networks.all_finite((floats, gradients))
        state = jax.tree.map(lambda new, old: jnp.where(finite, new, old), updated, state)
        return state, metrics | {"finite": finite.astype(jnp.float32)}

    return one_round


def policy_reward(parts: Parts, network: networks.Network, observation: Array, action: Array) -> Array:
    """The reward of every sample, [...], from the current logits; clipped at the threshold in modes clip and both."""
    assert parts.discriminator is not None
    logit = parts.discriminator.logit(network, join(observation, action))
    reward = REWARDS[parts.config.reward](logit)
    return jnp.minimum(reward, outliers.reward_cap(parts.config.credo, parts.config.reward))


def policy_diagnostics(parts: Parts, learner_state, batch: Transition) -> Metrics:
    """Saturation of the policy's actions and the critic's slope in the action, on one batch of observations."""
    before_tanh = networks.apply(parts.learner.actor(learner_state), batch.observation)
    action = jnp.tanh(before_tanh)
    metrics = {
        "action_saturation": jnp.mean((jnp.abs(action) >= SATURATED).astype(jnp.float32)),
        "actor_preactivation": jnp.mean(jnp.abs(before_tanh)),
    }
    q_value = parts.learner.q_value
    if q_value is not None:
        slope = jax.grad(lambda a: jnp.sum(q_value(learner_state, batch.observation, a)))(action)
        metrics["q_action_slope"] = jnp.mean(jnp.linalg.norm(slope, axis=-1))
    return metrics


def discriminator_diagnostics(
    parts: Parts,
    discriminator: Discriminator,
    network: networks.Network,
    constants: Constants,
    batch: Transition,
    key: Array,
) -> Metrics:
    """P(expert) and logits on expert and on replayed policy samples after the round's updates, the share of expert
    samples past the outlier threshold (also where CREDO is off), and the logit's slope in the action."""
    total = constants.expert_inputs.shape[0]
    chosen = jax.random.randint(key, (DIAGNOSTIC_SAMPLES,), 0, total)
    expert = discriminator.logit(network, constants.expert_inputs[chosen])
    policy = discriminator.logit(network, join(batch.observation, batch.action))

    def logit_of_action(action: Array) -> Array:
        return jnp.sum(discriminator.logit(network, join(batch.observation, action)))

    slope = jax.grad(logit_of_action)(batch.action)
    rule = parts.config.credo
    threshold = outliers.threshold_logit(rule, parts.config.reward)
    metrics = {
        "expert_probability_expert": jnp.mean(jax.nn.sigmoid(expert)),
        "expert_probability_policy": jnp.mean(jax.nn.sigmoid(policy)),
        "outlier_share": outliers.filtered_share(outliers.retained(expert, threshold)),
        "discriminator_action_slope": jnp.mean(jnp.linalg.norm(slope, axis=-1)),
    }
    for name, logit in (("expert", expert), ("policy", policy)):
        quantiles = jnp.quantile(logit, jnp.array([0.05, 0.5, 0.95]))
        metrics |= {f"{name}_logit_q{q}": quantiles[i] for i, q in enumerate(("05", "50", "95"))}
    return metrics
