"""Deep deterministic policy gradient (Lillicrap et al. 2016)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax

from credo import networks
from credo.config import DDPGConfig
from credo.gradients import over_updates
from credo.learners import targets
from credo.learners.cloning import Cloning, squared_error
from credo.learners.interface import Learner
from credo.networks import Network
from credo.types import Array, Metrics, Transition


class DDPGState(NamedTuple):
    actor: Network
    critics: tuple[Network, ...]
    """One."""
    target_actor: Network
    target_critics: tuple[Network, ...]
    actor_optimiser: Any
    critic_optimiser: Any


def ddpg(config: DDPGConfig, observation_size: int, action_size: int) -> Learner:
    """DDPG for one seed (Algorithm 1 of the paper): each update moves the critic, the actor, then both targets.

    Differs from the paper, as its later re-implementations do: Gaussian exploration noise rather than an
    Ornstein-Uhlenbeck process, no batch normalisation, no weight decay, and the action enters the critic's first layer.
    """
    actor_adam = optax.adam(config.actor_learning_rate)
    critic_adam = optax.adam(config.critic_learning_rate)

    def init(key: Array) -> DDPGState:
        actor_key, critic_key = jax.random.split(key)
        actor = targets.make_actor(config, actor_key, observation_size, action_size)
        critics = (targets.make_critic(config, critic_key, observation_size, action_size),)
        return DDPGState(
            actor=actor,
            critics=critics,
            target_actor=networks.copy(actor),
            target_critics=networks.copy(critics),
            actor_optimiser=actor_adam.init(actor),
            critic_optimiser=critic_adam.init(critics),
        )

    def one_update(state: DDPGState, batch: Transition) -> tuple[DDPGState, Metrics]:
        next_action = targets.policy(state.target_actor, batch.next_observation)
        target = targets.smallest_value_target(state.target_critics, batch, next_action, config.discount)
        critics, critic_optimiser, metrics = targets.critic_step(
            critic_adam, state.critics, state.critic_optimiser, batch, target
        )
        actor, actor_optimiser, actor_metrics = targets.actor_step(
            config, actor_adam, state.actor, state.actor_optimiser, critics[0], batch, critic_optimiser
        )
        state = DDPGState(
            actor=actor,
            critics=critics,
            target_actor=networks.move_towards(state.target_actor, actor, config.target_rate),
            target_critics=networks.move_towards(state.target_critics, critics, config.target_rate),
            actor_optimiser=actor_optimiser,
            critic_optimiser=critic_optimiser,
        )
        return state, metrics | actor_metrics

    def update(state: DDPGState, batches: Transition, key: Array) -> tuple[DDPGState, Metrics]:
        del key  # nothing in an update of DDPG is random
        state, metrics = jax.lax.scan(one_update, state, batches)
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
