"""What DDPG and TD3 share beside their updates: their state, and an actor that explores with Gaussian noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from credo import networks
from credo.config import DeterministicConfig
from credo.learners import targets
from credo.learners.cloning import Cloning, squared_error
from credo.learners.interface import Learner
from credo.learners.optimisers import Optimisers
from credo.networks import Network
from credo.types import Array, Metrics, Transition


class OneActorState(NamedTuple):
    actor: Network
    critics: tuple[Network, ...]
    """One or more; the actor follows the first."""
    target_actor: Network
    target_critics: tuple[Network, ...]
    actor_optimiser: Any
    critic_optimiser: Any


def initial(
    config: DeterministicConfig, adam: Optimisers, key: Array, observation_size: int, action_size: int, critics: int
) -> OneActorState:
    """Networks of random weights, ``critics`` of them critics, and targets that are copies of them."""
    actor_key, *critic_keys = jax.random.split(key, 1 + critics)
    actor = targets.make_actor(config, actor_key, observation_size, action_size)
    made = tuple(targets.make_critic(config, key, observation_size, action_size) for key in critic_keys)
    return OneActorState(
        actor=actor,
        critics=made,
        target_actor=networks.copy(actor),
        target_critics=networks.copy(made),
        actor_optimiser=adam.actor.init(actor),
        critic_optimiser=adam.critic.init(made),
    )


def step_actor(
    config: DeterministicConfig, adam: Optimisers, state: OneActorState, batch: Transition
) -> tuple[OneActorState, Metrics]:
    """One step of the actor along the first critic, then of all targets."""
    actor, optimiser, metrics = targets.actor_step(
        config, adam.actor, state.actor, state.actor_optimiser, state.critics[0], batch, state.critic_optimiser
    )
    state = state._replace(
        actor=actor,
        actor_optimiser=optimiser,
        target_actor=networks.move_towards(state.target_actor, actor, config.target_rate),
        target_critics=networks.move_towards(state.target_critics, state.critics, config.target_rate),
    )
    return state, metrics


def one_actor_learner(
    config: DeterministicConfig,
    init: Callable[[Array], OneActorState],
    update: Callable[[OneActorState, Transition, Array], tuple[OneActorState, Metrics]],
) -> Learner:
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
