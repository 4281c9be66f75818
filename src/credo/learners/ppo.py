"""Proximal policy optimisation with a clipped surrogate (Schulman et al. 2017) and generalised advantage estimation
(Schulman et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from credo import moments, networks
from credo.config import PPOConfig
from credo.gradients import gradient_metrics, stepped
from credo.learners.cloning import Cloning, squared_error
from credo.learners.interface import Learner
from credo.learners.optimisers import Optimisers, optimisers
from credo.moments import Moments
from credo.networks import Network
from credo.types import Array, Metrics, Rollout

FIRST_OUTPUTS = 0.01
"""Scale of the actor's last layer at the start, so that the first policy is near 0 in every observation
(Andrychowicz et al. 2021, "What Matters for On-Policy Deep Actor-Critic Methods?", Section 3.2)."""
LARGEST_REWARD = 10.0
"""A normalised reward is clipped to +- this: the deviation may be next to 0."""


class RunningReturn(NamedTuple):
    """Discounted return of each environment so far, and the moments of all that were seen."""

    carried: Array
    """[lanes]: what the episode under way has brought, discounted; 0 where one ended."""
    count: Array
    mean: Array
    squares: Array
    """Sum of squared deviations from the mean."""

    @property
    def moments(self) -> Moments:
        return Moments(self.count, self.mean, self.squares)


class PPOState(NamedTuple):
    actor: Network
    log_std: Array
    """[A]: of the actions, the same in every observation."""
    critic: Network
    actor_optimiser: Any
    critic_optimiser: Any
    running_return: RunningReturn


class Minibatch(NamedTuple):
    """Rows [B, ...] of a rollout with what was computed from it before the first update."""

    observation: Array
    raw_action: Array
    log_prob: Array
    value: Array
    advantage: Array
    target: Array


def gaussian_log_prob(mean: Array, log_std: Array, action: Array) -> Array:
    """Log density, [...], of actions [..., A] under a diagonal Gaussian with mean [..., A] and log deviation [A]."""
    log_std = jnp.broadcast_to(log_std, action.shape)
    normal = (action - mean) * jnp.exp(-log_std)
    return jnp.sum(-0.5 * jnp.square(normal) - log_std - 0.5 * math.log(2 * math.pi), axis=-1)


def gaussian_entropy(log_std: Array) -> Array:
    """Entropy of a diagonal Gaussian (nats, scalar)."""
    return jnp.sum(log_std + 0.5 * math.log(2 * math.pi * math.e))


def advantages(
    rollout: Rollout, value: Array, next_value: Array, discount: float, gae_lambda: float
) -> tuple[Array, Array]:
    """Generalised advantages and the value targets, each [steps, lanes] (Eqs. 11 and 16 of Schulman et al. 2016).

    ``value`` and ``next_value`` are the critic's in ``observation`` and ``next_observation``, the true successor. A
    terminal state is worth nothing; one that was cut off is worth its value. No advantage passes from one episode to
    the one before it, however that ended.
    """
    continues = 1.0 - rollout.terminated.astype(jnp.float32)
    error = rollout.reward + discount * continues * next_value - value
    passes_on = discount * gae_lambda * (1.0 - rollout.ended.astype(jnp.float32))

    def back(later: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        error, passes_on = inputs
        advantage = error + passes_on * later
        return advantage, advantage

    _, advantage = jax.lax.scan(back, jnp.zeros_like(value[0]), (error, passes_on), reverse=True)
    return advantage, advantage + value


def surrogate(log_ratio: Array, advantage: Array, clip: float) -> Array:
    """The clipped surrogate objective, scalar, to be maximised (Eq. 7 of Schulman et al. 2017)."""
    ratio = jnp.exp(log_ratio)
    return jnp.mean(jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage))


def value_loss(value: Array, old_value: Array, target: Array, clip: float | None) -> Array:
    """Half the mean squared error of values [B], scalar; with ``clip``, the larger of it and the error of the value
    kept within +- clip of the old one (the loss of OpenAI's baselines)."""
    error = jnp.square(value - target)
    if clip is not None:
        kept_near = old_value + jnp.clip(value - old_value, -clip, clip)
        error = jnp.maximum(error, jnp.square(kept_near - target))
    return 0.5 * jnp.mean(error)


def normalised_rewards(
    running: RunningReturn, reward: Array, ended: Array, discount: float
) -> tuple[RunningReturn, Array]:
    """Rewards [steps, lanes] divided by the standard deviation of the discounted return so far, this rollout included.

    Differs from VecNormalize of OpenAI's baselines: the moments take a rollout in at once, so that all its rewards
    are divided by the same number.
    """

    def onwards(carried: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, ended = inputs
        total = discount * carried + reward
        return jnp.where(ended, 0.0, total), total

    carried, totals = jax.lax.scan(onwards, running.carried, (reward, ended))
    seen = moments.add(running.moments, totals)
    deviation = jnp.sqrt(seen.squares / seen.count + 1e-8)
    return RunningReturn(carried, *seen), jnp.clip(reward / deviation, -LARGEST_REWARD, LARGEST_REWARD)


def explained_variance(target: Array, value: Array) -> Array:
    """1 - Var(target - value) / Var(target), scalar: 1 where values are exact but for a constant, 0 where a constant
    would have done as well or where all targets are the same."""
    variance = jnp.var(target)
    return jnp.where(variance > 0.0, 1.0 - jnp.var(target - value) / jnp.maximum(variance, 1e-30), 0.0)


def policy_mean(config: PPOConfig, actor: Network, observation: Array) -> Array:
    """The Gaussian's mean, [..., A] in [-1, 1]."""
    return jnp.tanh(networks.apply(actor, observation, config.activation))


def state_value(config: PPOConfig, critic: Network, observation: Array) -> Array:
    """The critic's value of an observation, [...]."""
    return networks.apply(critic, observation, config.activation)[..., 0]


def actor_loss(config: PPOConfig, policy: tuple[Network, Array], batch: Minibatch) -> tuple[Array, Array]:
    """Minus the surrogate and the entropy bonus (scalar), and the log ratios [B] of new to old density. ``policy`` is
    the actor and its log deviation."""
    actor, log_std = policy
    mean = policy_mean(config, actor, batch.observation)
    log_ratio = gaussian_log_prob(mean, log_std, batch.raw_action) - batch.log_prob
    advantage = batch.advantage
    if config.normalise_advantages:
        advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
    objective = surrogate(log_ratio, advantage, config.clip)
    return -objective - config.entropy_coefficient * gaussian_entropy(log_std), log_ratio


def critic_loss(config: PPOConfig, critic: Network, batch: Minibatch) -> Array:
    """The value loss of a minibatch (scalar)."""
    value = state_value(config, critic, batch.observation)
    return value_loss(value, batch.value, batch.target, config.value_clip)


def minibatch_step(config: PPOConfig, adam: Optimisers, state: PPOState, batch: Minibatch) -> tuple[PPOState, Metrics]:
    """One step of the actor with its deviation, and one of the critic."""
    policy, clip = (state.actor, state.log_std), config.gradient_clip or 0.0
    (_, log_ratio), actor_gradient = jax.value_and_grad(actor_loss, argnums=1, has_aux=True)(config, policy, batch)
    (actor, log_std), actor_optimiser = stepped(adam.actor, policy, actor_gradient, state.actor_optimiser, clip)
    loss, critic_gradient = jax.value_and_grad(critic_loss, argnums=1)(config, state.critic, batch)
    critic, critic_optimiser = stepped(adam.critic, state.critic, critic_gradient, state.critic_optimiser, clip)
    ratio = jnp.exp(log_ratio)
    metrics = {
        "critic_loss": loss,
        # Schulman's estimator, which is never negative and has little variance.
        "approx_kl": jnp.mean(ratio - 1.0 - log_ratio),
        "clip_fraction": jnp.mean((jnp.abs(ratio - 1.0) > config.clip).astype(jnp.float32)),
        **gradient_metrics("actor", actor_gradient),
        **gradient_metrics("critic", critic_gradient),
    }
    updated = state._replace(
        actor=actor,
        log_std=log_std,
        critic=critic,
        actor_optimiser=actor_optimiser,
        critic_optimiser=critic_optimiser,
    )
    return updated, metrics


def prepared(config: PPOConfig, state: PPOState, rollout: Rollout) -> Minibatch:
    """The rollout with advantages and targets, rows [steps * lanes, ...]."""
    old_value = state_value(config, state.critic, rollout.observation)
    next_value = state_value(config, state.critic, rollout.next_observation)
    advantage, target = advantages(rollout, old_value, next_value, config.discount, config.gae_lambda)
    mean = policy_mean(config, state.actor, rollout.observation)
    whole = Minibatch(
        observation=rollout.observation,
        raw_action=rollout.raw_action,
        log_prob=gaussian_log_prob(mean, state.log_std, rollout.raw_action),
        value=old_value,
        advantage=advantage,
        target=target,
    )
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), whole)


Guarded = tuple[PPOState, Array]
"""A state, and whether its round's updates are going on (bool scalar)."""


def guarded_step(
    config: PPOConfig, adam: Optimisers, whole: Minibatch
) -> Callable[[Guarded, Array], tuple[Guarded, tuple[Metrics, Array]]]:
    """The body of a scan over minibatches, each given by its rows [B] of ``whole``: metrics, and whether the update
    took place. None does from the first on whose KL divergence is above ``target_kl``."""

    def step(carry: Guarded, chosen: Array) -> tuple[Guarded, tuple[Metrics, Array]]:
        state, going_on = carry
        updated, metrics = minibatch_step(config, adam, state, jax.tree.map(lambda x: x[chosen], whole))
        if config.target_kl is not None:
            # Not "at most", which a KL of NaN would stop at and hide.
            going_on = going_on & jnp.logical_not(metrics["approx_kl"] > config.target_kl)
            updated = jax.tree.map(lambda new, old: jnp.where(going_on, new, old), updated, state)
        return (updated, going_on), (metrics, going_on)

    return step


def ppo(config: PPOConfig, observation_size: int, action_size: int, lanes: int = 1) -> Learner:
    """PPO for one seed that steps ``lanes`` environments. The policy is a Gaussian round tanh of the actor's output,
    with a deviation that is the same in every observation; the environments clip what it draws, and densities are those
    of what was drawn.

    Differs from the paper: actor and critic share no layer and have an optimiser and a gradient norm each, so their
    losses need no weights; advantages are normalised in each minibatch, as in OpenAI's baselines.
    Differs from OpenAI's baselines: the mean passes through tanh; an episode that was cut off is worth its successor's
    value; weights start uniform, not orthogonal; learning rates do not decay.
    """
    adam = optimisers(config)

    def init(key: Array) -> PPOState:
        actor_key, critic_key = jax.random.split(key)
        actor = networks.initialise(actor_key, (observation_size, *config.hidden, action_size))
        actor = (*actor[:-1], networks.Layer(*(FIRST_OUTPUTS * x for x in actor[-1])))
        critic = networks.initialise(critic_key, (observation_size, *config.hidden, 1))
        log_std = jnp.full((action_size,), config.initial_log_std, jnp.float32)
        return PPOState(
            actor=actor,
            log_std=log_std,
            critic=critic,
            actor_optimiser=adam.actor.init((actor, log_std)),
            critic_optimiser=adam.critic.init(critic),
            running_return=RunningReturn(jnp.zeros((lanes,), jnp.float32), *moments.empty()),
        )

    def mode(state: PPOState, observation: Array) -> Array:
        return policy_mean(config, state.actor, observation)

    def act(state: PPOState, observation: Array, key: Array) -> Array:
        action = mode(state, observation)
        deviation = jnp.broadcast_to(jnp.exp(state.log_std), action.shape)
        return action + deviation * jax.random.normal(key, action.shape)

    def log_prob(state: PPOState, observation: Array, action: Array) -> Array:
        return gaussian_log_prob(mode(state, observation), state.log_std, action)

    def update(state: PPOState, rollout: Rollout, key: Array) -> tuple[PPOState, Metrics]:
        if config.normalise_rewards:
            running, reward = normalised_rewards(state.running_return, rollout.reward, rollout.ended, config.discount)
            state, rollout = state._replace(running_return=running), rollout._replace(reward=reward)
        whole = prepared(config, state, rollout)
        rows = whole.value.shape[0]
        keys = jax.random.split(key, config.epochs)
        orders = jax.vmap(lambda key: jax.random.permutation(key, rows))(keys)
        chosen = orders.reshape(-1, config.minibatch_size)
        first = (state, jnp.array(True))
        (state, _), (metrics, applied) = jax.lax.scan(guarded_step(config, adam, whole), first, chosen)
        return state, over_applied(metrics, applied) | {
            "entropy": gaussian_entropy(state.log_std),
            "explained_variance": explained_variance(whole.target, whole.value),
            "value_mean": jnp.mean(whole.value),
        }

    return Learner(
        init=init,
        act=act,
        mode=mode,
        update=update,
        actor=lambda state: state.actor,
        q_value=None,
        experience="rollout",
        activation=config.activation,
        log_prob=log_prob,
        deviation=lambda state: jnp.exp(state.log_std),
        cloning=Cloning(
            get=lambda state: state.actor,
            put=lambda state, actor: state._replace(actor=actor),
            loss=lambda actor, observation, action: squared_error(actor, observation, action, config.activation),
        ),
    )


def over_applied(metrics: Metrics, applied: Array) -> Metrics:
    """As ``gradients.over_updates``, over the updates [updates] that took place, and their share (``update_share``)."""
    count = jnp.sum(applied.astype(jnp.float32))

    def one(name: str, values: Array) -> Array:
        counted = jnp.where(applied, values, 0.0)
        return jnp.max(counted) if "_gradient_" in name else jnp.sum(counted) / jnp.maximum(count, 1.0)

    found = {name: one(name, values) for name, values in metrics.items()}
    return found | {"update_share": count / applied.shape[0]}
