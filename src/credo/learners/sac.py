"""Soft actor-critic with automatic temperature (Haarnoja et al. 2018, "Algorithms and Applications")."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from credo import networks
from credo.config import SACConfig
from credo.gradients import gradient_metrics, stepped
from credo.learners import targets
from credo.learners.cloning import Cloning, negative_log_likelihood
from credo.learners.interface import Learner
from credo.learners.optimisers import Optimisers, optimisers
from credo.networks import Network
from credo.types import Array, Metrics, Transition

LOG_STD_RANGE = (-20.0, 2.0)
LARGEST_ACTION = 1.0 - 1e-6
"""Largest action whose density is asked for, in absolute value: tanh of 7.25."""


class SACState(NamedTuple):
    actor: Network
    critics: tuple[Network, ...]
    target_critics: tuple[Network, ...]
    log_temperature: Array
    actor_optimiser: Any
    critic_optimiser: Any
    temperature_optimiser: Any


def gaussian(actor: Network, observation: Array) -> tuple[Array, Array]:
    """Mean and log standard deviation, each [..., A], of the Gaussian before the squashing."""
    mean, log_std = jnp.split(networks.apply(actor, observation), 2, axis=-1)
    return mean, jnp.clip(log_std, *LOG_STD_RANGE)


def squashed_log_prob(mean: Array, log_std: Array, normal: Array) -> tuple[Array, Array]:
    """The action tanh(mean + std normal), [..., A], and its log density, [...] (Eq. 26 of the paper)."""
    raw = mean + jnp.exp(log_std) * normal
    return jnp.tanh(raw), _log_density(raw, log_std, normal)


def _log_density(raw: Array, log_std: Array, normal: Array) -> Array:
    """Log density, [...], of tanh(raw), where raw is ``normal`` standard deviations from the mean.

    log(1 - tanh(u)^2) is computed as 2 (log 2 - u - softplus(-2u)), which neither overflows nor loses digits.
    """
    density = -0.5 * jnp.square(normal) - log_std - 0.5 * math.log(2 * math.pi)
    squash = 2.0 * (math.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))
    return jnp.sum(density - squash, axis=-1)


def log_prob_of(mean: Array, log_std: Array, action: Array) -> Array:
    """Log density, [...], of actions [..., A] in [-1, 1] under the squashed Gaussian; finite on the bounds too, where
    the action is taken for the nearest one inside that is told apart in float32 (``LARGEST_ACTION``)."""
    raw = jnp.arctanh(jnp.clip(action, -LARGEST_ACTION, LARGEST_ACTION))
    return _log_density(raw, log_std, (raw - mean) * jnp.exp(-log_std))


def soft_target(
    target_critics: tuple[Network, ...],
    batch: Transition,
    next_action: Array,
    next_log_prob: Array,
    temperature: Array,
    discount: float,
) -> Array:
    """Soft Bellman target (Eqs. 2-3 of the paper), [B]; bootstrapping stops on termination alone."""
    value = targets.smallest_value(target_critics, batch.next_observation, next_action)
    return targets.bellman_target(batch, value - temperature * next_log_prob, discount)


def mean_network(actor: Network, action_size: int) -> Network:
    """The part of the actor whose output is the Gaussian's mean, [..., A]."""
    last = actor[-1]
    return (*actor[:-1], networks.Layer(last.weight[:, :action_size], last.bias[:action_size]))


def actor_loss(
    actor: Network,
    critics: tuple[Network, ...],
    batch: Transition,
    normal: Array,
    temperature: Array,
    settings: SACConfig,
) -> tuple[Array, Array]:
    """The actor's loss (Eq. 9 of the paper) plus the cloning loss, and the mean log density of its actions (both
    scalars). ``normal`` [B, A] is standard normal."""
    action, log_prob = squashed_log_prob(*gaussian(actor, batch.observation), normal)
    value = targets.smallest_value(critics, batch.observation, action)
    mean = mean_network(actor, action.shape[-1])
    clone = targets.cloning_loss(mean, value, batch.demonstrated, settings.cloning_weight)
    return jnp.mean(temperature * log_prob - value) + clone, jnp.mean(log_prob)


def critic_update(
    config: SACConfig, adam: Optimisers, state: SACState, batch: Transition, normal: Array, temperature: Array
) -> tuple[SACState, Metrics]:
    """One step of the critics; ``normal`` [B, A] draws the actions in the next observations."""
    next_action, next_log_prob = squashed_log_prob(*gaussian(state.actor, batch.next_observation), normal)
    target = soft_target(state.target_critics, batch, next_action, next_log_prob, temperature, config.discount)
    critics, optimiser_state, metrics = targets.critic_step(
        adam.critic, state.critics, state.critic_optimiser, batch, target
    )
    return state._replace(critics=critics, critic_optimiser=optimiser_state), metrics


def actor_update(
    config: SACConfig, adam: Optimisers, state: SACState, batch: Transition, normal: Array, temperature: Array
) -> tuple[SACState, Array, Metrics]:
    """One step of the actor through the smaller critic, and the mean log density (scalar) of the actions that
    ``normal`` [B, A] drew of it before."""
    (_, log_prob), gradient = jax.value_and_grad(actor_loss, has_aux=True)(
        state.actor, state.critics, batch, normal, temperature, config
    )
    actor, optimiser_state = stepped(
        adam.actor, state.actor, gradient, state.actor_optimiser, config.actor_gradient_clip
    )
    return state._replace(actor=actor, actor_optimiser=optimiser_state), log_prob, gradient_metrics("actor", gradient)


def temperature_update(
    adam: optax.GradientTransformation, state: SACState, log_prob: Array, target_entropy: float
) -> SACState:
    """One step of the log temperature towards an entropy, minus ``log_prob``, of ``target_entropy`` (nats)."""
    gradient = -(log_prob + target_entropy)
    log_temperature, optimiser_state = stepped(adam, state.log_temperature, gradient, state.temperature_optimiser)
    return state._replace(log_temperature=log_temperature, temperature_optimiser=optimiser_state)


def sac(config: SACConfig, observation_size: int, action_size: int) -> Learner:
    """SAC for one seed. Each update: critics, actor (through the smaller critic), temperature, targets.

    Differs from the paper: the temperature's loss is in log alpha, as in the authors' code.
    """
    adam = optimisers(config)
    temperature_adam = optax.adam(config.temperature_learning_rate)
    target_entropy = -float(action_size) if config.target_entropy is None else config.target_entropy

    def init(key: Array) -> SACState:
        actor_key, first_key, second_key = jax.random.split(key, 3)
        actor_sizes = (observation_size, *config.hidden, 2 * action_size)
        actor = networks.initialise(actor_key, actor_sizes, layer_norm=config.layer_norm in ("actor", "both"))
        critics = tuple(
            targets.make_critic(config, critic_key, observation_size, action_size)
            for critic_key in (first_key, second_key)
        )
        log_temperature = jnp.asarray(math.log(config.initial_temperature), jnp.float32)
        return SACState(
            actor=actor,
            critics=critics,
            target_critics=networks.copy(critics),
            log_temperature=log_temperature,
            actor_optimiser=adam.actor.init(actor),
            critic_optimiser=adam.critic.init(critics),
            temperature_optimiser=temperature_adam.init(log_temperature),
        )

    def act(state: SACState, observation: Array, key: Array) -> Array:
        mean, log_std = gaussian(state.actor, observation)
        return jnp.tanh(mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape))

    def mode(state: SACState, observation: Array) -> Array:
        return jnp.tanh(gaussian(state.actor, observation)[0])

    def one_update(state: SACState, inputs: tuple[Transition, Array]) -> tuple[SACState, Metrics]:
        batch, key = inputs
        next_key, actor_key = jax.random.split(key)
        temperature = jnp.exp(state.log_temperature)
        next_normal = jax.random.normal(next_key, batch.action.shape)
        state, critic_metrics = critic_update(config, adam, state, batch, next_normal, temperature)
        normal = jax.random.normal(actor_key, batch.action.shape)
        state, log_prob, actor_metrics = actor_update(config, adam, state, batch, normal, temperature)
        state = temperature_update(temperature_adam, state, log_prob, target_entropy)
        state = state._replace(
            target_critics=networks.move_towards(state.target_critics, state.critics, config.target_rate)
        )
        metrics = {"entropy": -log_prob, "temperature": temperature}
        return state, critic_metrics | metrics | actor_metrics

    return Learner(
        init=init,
        act=act,
        mode=mode,
        update=targets.one_after_another(one_update),
        actor=lambda state: mean_network(state.actor, action_size),
        q_value=lambda state, observation, action: networks.q_value(state.critics[0], observation, action),
        log_prob=lambda state, observation, action: log_prob_of(*gaussian(state.actor, observation), action),
        cloning=Cloning(
            get=lambda state: state.actor,
            put=lambda state, actor: state._replace(actor=actor),
            loss=lambda actor, observation, action: negative_log_likelihood(*gaussian(actor, observation), action),
        ),
    )
