"""One round of one seed, as a pure function: update the discriminator, relabel, update the learner, measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from credo import networks
from credo.discriminator import outliers
from credo.discriminator.model import Discriminator
from credo.learners.targets import chosen_before_tanh
from credo.training.relabel import relabelled, transition_inputs
from credo.training.state import Constants, Parts, TrainState
from credo.types import Array, Metrics, Rollout, Transition

SATURATED = 0.99
"""An action component beyond this, in absolute value, counts as saturated."""
DIAGNOSTIC_SAMPLES = 512
"""Expert samples scored for a round's diagnostics."""


class Experience(NamedTuple):
    """What a round of one seed learns from, drawn by the host."""

    batches: Transition | Rollout
    """The learner's transitions, with the environment's reward: [updates, batch, ...] of the replay, or the rollout of
    this round, [steps, lanes, ...]."""
    policy_observation: Array
    """[discriminator updates, batch, O]: the policy's side of the discriminator (0 updates without one)."""
    policy_action: Array
    """[discriminator updates, batch, A]."""
    policy_next_observation: Array | None = None
    """[discriminator updates, batch, O]; None where the discriminator looks at no next state."""
    policy_terminated: Array | None = None
    """[discriminator updates, batch] bool; None like the one before."""
    policy_absorbing: Array | None = None
    """[discriminator updates, batch] bool: which are stays in the absorbing state; None without such."""


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
        discriminator_state, batches, metrics = learned_from(parts, state, constants, experience, discriminator_key)
        learner_state, learner_metrics = learner.update(state.learner, batches, learner_key)
        updated = TrainState(learner_state, discriminator_state)

        metrics |= learner_metrics
        last = measured(batches)
        metrics |= policy_diagnostics(parts, learner_state, last)
        metrics |= {
            "reward_mean": jnp.mean(batches.reward),
            "reward_min": jnp.min(batches.reward),
            "reward_max": jnp.max(batches.reward),
        }
        if discriminator is not None:
            key = jax.random.fold_in(discriminator_key, 2)
            network = discriminator_state.network
            metrics |= discriminator_diagnostics(parts, discriminator, network, constants, last, key, state.learner)
        gradients = [value for name, value in metrics.items() if "_gradient_" in name]
        floats = [leaf for leaf in jax.tree.leaves(updated) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        finite = networks.all_finite((floats, gradients))
        state = jax.tree.map(lambda new, old: jnp.where(finite, new, old), updated, state)
        return state, metrics | {"finite": finite.astype(jnp.float32)}

    return one_round


def learned_from(
    parts: Parts, state: TrainState, constants: Constants, experience: Experience, key: Array
) -> tuple[Any, Transition | Rollout, Metrics]:
    """The discriminator's state after a round's updates, and what the learner then learns from: the batches,
    normalised, with that discriminator's rewards. ``key`` is the discriminator's."""
    batches = experience.batches._replace(
        observation=constants.normalise(experience.batches.observation),
        next_observation=constants.normalise(experience.batches.next_observation),
    )
    discriminator = parts.discriminator
    if discriminator is None:
        return state.discriminator, batches, {}
    policy_inputs = discriminator.layout.join(
        constants.normalise(experience.policy_observation),
        experience.policy_action,
        constants.normalise(experience.policy_next_observation),
        experience.policy_terminated,
        experience.policy_absorbing,
    )
    updated, metrics = discriminator.update(
        state.discriminator, constants.expert_inputs, policy_inputs, key, state.learner
    )
    updated, reward, reward_metrics = relabelled(parts, updated, batches, state.learner)
    batches = batches._replace(reward=reward)
    if constants.demonstrated is not None and isinstance(batches, Transition):
        drawing = jax.random.fold_in(key, 3)
        rows = jax.random.randint(drawing, reward.shape, 0, constants.demonstrated.action.shape[0])
        batches = batches._replace(demonstrated=jax.tree.map(lambda x: x[rows], constants.demonstrated))
    return updated, batches, metrics | reward_metrics


def measured(batches: Transition | Rollout) -> Transition:
    """What a round's diagnostics look at, [batch, ...]: its last batch, or its whole rollout."""
    if isinstance(batches, Rollout):
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batches.transition)
    return jax.tree.map(lambda x: x[-1], batches)


def policy_diagnostics(parts: Parts, learner_state, batch: Transition) -> Metrics:
    """Saturation of the policy's actions and the critic's slope in the action, on one batch of observations."""
    learner = parts.learner
    if learner.choice is None:
        before_tanh = networks.apply(learner.actor(learner_state), batch.observation, learner.activation)
    else:
        before_tanh = chosen_before_tanh(learner.choice(learner_state), batch.observation)
    action = jnp.tanh(before_tanh)
    metrics = {
        "action_saturation": jnp.mean((jnp.abs(action) >= SATURATED).astype(jnp.float32)),
        "actor_preactivation": jnp.mean(jnp.abs(before_tanh)),
    }
    q_value = learner.q_value
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
    learner_state: Any,
) -> Metrics:
    """P(expert) and logits on expert and on replayed policy samples after the round's updates, the share of expert
    samples past the outlier threshold (also where CREDO is off), and the logit's slope in the action (0 where the
    discriminator looks at none). ``learner_state`` is what the updates were made with."""
    total = constants.expert_inputs.shape[0]
    chosen = jax.random.randint(key, (DIAGNOSTIC_SAMPLES,), 0, total)
    expert = discriminator.logit(network, constants.expert_inputs[chosen], learner_state)

    def policy_logit(action: Array) -> Array:
        inputs = transition_inputs(discriminator.layout, batch._replace(action=action))
        return discriminator.logit(network, inputs, learner_state)

    policy = policy_logit(batch.action)

    slope = jax.grad(lambda action: jnp.sum(policy_logit(action)))(batch.action)
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
