"""Deep deterministic policy gradient (Lillicrap et al. 2016)."""

from __future__ import annotations

import jax

from credo.config import DDPGConfig
from credo.gradients import over_updates
from credo.learners import targets
from credo.learners.interface import Learner
from credo.learners.one_actor import OneActorState, initial, one_actor_learner, step_actor
from credo.learners.optimisers import optimisers
from credo.types import Array, Metrics, Transition


def ddpg(config: DDPGConfig, observation_size: int, action_size: int) -> Learner:
    """DDPG for one seed (Algorithm 1 of the paper): each update moves the critic, the actor, then both targets.

    Differs from the paper, as its later re-implementations do: Gaussian exploration noise rather than an
    Ornstein-Uhlenbeck process, no batch normalisation, no weight decay, and the action enters the critic's first layer.
    """
    adam = optimisers(config)

    def init(key: Array) -> OneActorState:
        return initial(config, adam, key, observation_size, action_size, critics=1)

    def one_update(state: OneActorState, batch: Transition) -> tuple[OneActorState, Metrics]:
        next_action = targets.policy(state.target_actor, batch.next_observation)
        target = targets.smallest_value_target(state.target_critics, batch, next_action, config.discount)
        critics, optimiser, metrics = targets.critic_step(
            adam.critic, state.critics, state.critic_optimiser, batch, target
        )
        state = state._replace(critics=critics, critic_optimiser=optimiser)
        state, actor_metrics = step_actor(config, adam, state, batch)
        return state, metrics | actor_metrics

    def update(state: OneActorState, batches: Transition, key: Array) -> tuple[OneActorState, Metrics]:
        del key  # nothing in an update of DDPG is random
        state, metrics = jax.lax.scan(one_update, state, batches)
        return state, over_updates(metrics)

    return one_actor_learner(config, init, update)
