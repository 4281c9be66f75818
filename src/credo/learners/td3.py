"""Twin delayed deep deterministic policy gradient (Fujimoto, van Hoof and Meger 2018)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from credo import networks
from credo.config import TD3Config
from credo.gradients import over_updates
from credo.learners import targets
from credo.learners.cloning import Cloning, squared_error
from credo.learners.interface import Learner
from credo.networks import Network
from credo.types import Array, Metrics, Transition


class TD3State(NamedTuple):
    actor: Network
    critics: tuple[Network, ...]
    target_actor: Network
    target_critics: tuple[Network, ...]
    actor_optimiser: Any
    critic_optimiser: Any


def td3(config: TD3Config, observation_size: int, action_size: int) -> Learner:
    """TD3 for one seed, as the authors' code: actor and all targets move at every ``actor_delay``-th critic update,
    on the same minibatch; one critic step minimises the sum of both critics' losses."""
    actor_adam = optax.adam(config.actor_learning_rate)
    critic_adam = optax.adam(config.critic_learning_rate)

    def init(key: Array) -> TD3State:
        actor_key, *critic_keys = jax.random.split(key, 3)
        actor = targets.make_actor(config, actor_key, observation_size, action_size)
        critics = tuple(targets.make_critic(config, k, observation_size, action_size) for k in critic_keys)
        return TD3State(
            actor=actor,
            critics=critics,
            target_actor=networks.copy(actor),
            target_critics=networks.copy(critics),
            actor_optimiser=actor_adam.init(actor),
            critic_optimiser=critic_adam.init(critics),
        )

    def update_critics(state: TD3State, batch: Transition, key: Array) -> tuple[TD3State, Metrics]:
        normal = jax.random.normal(key, batch.action.shape)
        next_action = targets.smoothed_target_action(
            state.target_actor, batch.next_observation, normal, config.target_noise, config.target_noise_clip
        )
        target = targets.smallest_value_target(state.target_critics, batch, next_action, config.discount)
        critics, optimiser, metrics = targets.critic_step(
            critic_adam, state.critics, state.critic_optimiser, batch, target
        )
        return state._replace(critics=critics, critic_optimiser=optimiser), metrics

    def update_actor(state: TD3State, batch: Transition) -> tuple[TD3State, Metrics]:
        actor, optimiser, metrics = targets.actor_step(
            config,
            actor_adam,
            state.actor,
            state.actor_optimiser,
            state.critics[0],
            batch,
            state.critic_optimiser,
        )
        state = state._replace(
            actor=actor,
            actor_optimiser=optimiser,
            target_actor=networks.move_towards(state.target_actor, actor, config.target_rate),
            target_critics=networks.move_towards(state.target_critics, state.critics, config.target_rate),
        )
        return state, metrics

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
        act=lambda state, observation, key: targets.explored(
            targets.policy(state.actor, observation), config.exploration_noise, key
        ),
        mode=lambda state, observation: targets.policy(state.actor, observation),
        update=update,
        actor=lambda state: state.actor,
        q_value=lambda state, observation, action: networks.q_value(state.critics[0], observation, action),
        cloning=Cloning(
            get=lambda state: state.actor,
            put=lambda state, actor: state._replace(actor=actor, target_actor=actor),
            loss=squared_error,
        ),
    )
