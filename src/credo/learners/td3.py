"""Twin delayed deep deterministic policy gradient (Fujimoto, van Hoof and Meger 2018)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from credo import networks
from credo.config import TD3Config
from credo.gradients import gradient_metrics, over_updates
from credo.learners.interface import Learner
from credo.networks import Network
from credo.types import Array, Metrics, Transition


class TD3State(NamedTuple):
    actor: Network
    critics: tuple[Network, Network]
    target_actor: Network
    target_critics: tuple[Network, Network]
    actor_optimiser: Any
    critic_optimiser: Any


def policy(actor: Network, observation: Array) -> Array:
    """The deterministic action, [..., A] in [-1, 1]."""
    return jnp.tanh(networks.apply(actor, observation))


def smoothed_target_action(
    target_actor: Network, next_observation: Array, normal: Array, noise: float, clip: float
) -> Array:
    """Target policy smoothing (Eq. 14 of the TD3 paper); ``normal`` [..., A] is standard normal."""
    action = policy(target_actor, next_observation)
    return jnp.clip(action + jnp.clip(noise * normal, -clip, clip), -1.0, 1.0)


def td3_target(target_critics: tuple[Network, ...], batch: Transition, next_action: Array, discount: float) -> Array:
    """Clipped double-Q target (Eq. 10 of the TD3 paper), [B]; bootstrapping stops on termination alone."""
    values = [networks.q_value(critic, batch.next_observation, next_action) for critic in target_critics]
    continues = 1.0 - batch.terminated.astype(jnp.float32)
    return batch.reward + discount * continues * jnp.min(jnp.stack(values), axis=0)


def critic_loss(critics: tuple[Network, ...], batch: Transition, target: Array) -> tuple[Array, Array]:
    """Sum over critics of the mean squared error to ``target`` [B], and the mean value (both scalars)."""
    values = jnp.stack([networks.q_value(critic, batch.observation, batch.action) for critic in critics])
    return jnp.sum(jnp.mean(jnp.square(values - target[None]), axis=1)), jnp.mean(values)


def actor_loss(actor: Network, critic: Network, observation: Array, preactivation_penalty: float) -> Array:
    """Deterministic policy gradient: minus the mean value of the policy's actions (scalar).

    Differs from TD3: plus ``preactivation_penalty`` times the mean squared output before tanh, as in MR.Q (Fujimoto et
    al. 2025); a saturated tanh has no gradient left to come back with. 0 is TD3's own loss.
    """
    before_tanh = networks.apply(actor, observation)
    value = jnp.mean(networks.q_value(critic, observation, jnp.tanh(before_tanh)))
    return preactivation_penalty * jnp.mean(jnp.square(before_tanh)) - value


def td3(config: TD3Config, observation_size: int, action_size: int) -> Learner:
    """TD3 for one seed, as the authors' code: actor and all targets move at every ``actor_delay``-th critic update,
    on the same minibatch; one critic step minimises the sum of both critics' losses."""
    actor_sizes = (observation_size, *config.hidden, action_size)
    critic_sizes = (observation_size + action_size, *config.hidden, 1)
    actor_adam = optax.adam(config.actor_learning_rate)
    critic_adam = optax.adam(config.critic_learning_rate)

    def init(key: Array) -> TD3State:
        actor_key, first_key, second_key = jax.random.split(key, 3)
        actor = networks.initialise(actor_key, actor_sizes)
        critics = (
            networks.initialise(first_key, critic_sizes),
            networks.initialise(second_key, critic_sizes),
        )
        return TD3State(
            actor=actor,
            critics=critics,
            target_actor=networks.copy(actor),
            target_critics=networks.copy(critics),
            actor_optimiser=actor_adam.init(actor),
            critic_optimiser=critic_adam.init(critics),
        )

    def act(state: TD3State, observation: Array, key: Array) -> Array:
        action = policy(state.actor, observation)
        noise = config.exploration_noise * jax.random.normal(key, action.shape)
        return jnp.clip(action + noise, -1.0, 1.0)

    def update_critics(state: TD3State, batch: Transition, key: Array) -> tuple[TD3State, Metrics]:
        normal = jax.random.normal(key, batch.action.shape)
        next_action = smoothed_target_action(
            state.target_actor, batch.next_observation, normal, config.target_noise, config.target_noise_clip
        )
        target = td3_target(state.target_critics, batch, next_action, config.discount)
        (loss, q_mean), gradient = jax.value_and_grad(critic_loss, has_aux=True)(state.critics, batch, target)
        changes, optimiser = critic_adam.update(gradient, state.critic_optimiser)
        critics = optax.apply_updates(state.critics, changes)
        metrics = {"critic_loss": loss, "q_mean": q_mean, **gradient_metrics("critic", gradient)}
        return state._replace(critics=critics, critic_optimiser=optimiser), metrics

    def update_actor(state: TD3State, batch: Transition) -> tuple[TD3State, Metrics]:
        gradient = jax.grad(actor_loss)(state.actor, state.critics[0], batch.observation, config.preactivation_penalty)
        changes, optimiser = actor_adam.update(gradient, state.actor_optimiser)
        actor = optax.apply_updates(state.actor, changes)
        state = state._replace(
            actor=actor,
            actor_optimiser=optimiser,
            target_actor=networks.move_towards(state.target_actor, actor, config.target_rate),
            target_critics=networks.move_towards(state.target_critics, state.critics, config.target_rate),
        )
        return state, gradient_metrics("actor", gradient)

    def update(state: TD3State, batches: Transition, key: Array) -> tuple[TD3State, Metrics]:
        updates = batches.reward.shape[0]
        delay = config.actor_delay
        # The delay is nesting, not a conditional: under vmap a conditional pays for both branches.
        keys = jax.random.split(key, updates).reshape(updates // delay, delay)
        grouped = jax.tree.map(lambda x: x.reshape(updates // delay, delay, *x.shape[1:]), batches)

        def group(state: TD3State, inputs: tuple[Transition, Array]) -> tuple[TD3State, Metrics]:
            group_batches, group_keys = inputs
            collected = []
            for index in range(delay):
                batch = jax.tree.map(lambda x: x[index], group_batches)  # noqa: B023
                state, metrics = update_critics(state, batch, group_keys[index])
                collected.append(metrics)
            state, actor_metrics = update_actor(state, batch)
            stacked = jax.tree.map(lambda *values: jnp.stack(values), *collected)
            return state, over_updates(stacked) | actor_metrics

        state, metrics = jax.lax.scan(group, state, (grouped, keys))
        return state, over_updates(metrics)

    return Learner(
        init=init,
        act=act,
        mode=lambda state, observation: policy(state.actor, observation),
        update=update,
        actor=lambda state: state.actor,
        q_value=lambda state, observation, action: networks.q_value(state.critics[0], observation, action),
    )
