"""Twin delayed deep deterministic policy gradient (Fujimoto, van Hoof and Meger 2018)."""

from __future__ import annotations

import jax

from credo.config import TD3Config
from credo.gradients import over_updates
from credo.learners import targets
from credo.learners.interface import Learner
from credo.learners.one_actor import OneActorState, initial, one_actor_learner, step_actor
from credo.learners.optimisers import optimisers
from credo.types import Array, Metrics, Transition


def td3(config: TD3Config, observation_size: int, action_size: int) -> Learner:
    """TD3 for one seed, as the authors' code: actor and all targets move at every ``actor_delay``-th critic update,
    on the same minibatch; one critic step minimises the sum of both critics' losses."""
    adam = optimisers(config)

    def init(key: Array) -> OneActorState:
        return initial(config, adam, key, observation_size, action_size, critics=2)

    def update_critics(
        state: OneActorState, index: int, batch: Transition, key: Array
    ) -> tuple[OneActorState, Metrics]:
        del index  # every update of a group is alike
        normal = jax.random.normal(key, batch.action.shape)
        played = targets.policy(state.target_actor, batch.next_observation)
        next_action = targets.smoothed(played, normal, config.target_noise, config.target_noise_clip)
        target = targets.smallest_value_target(state.target_critics, batch, next_action, config.discount)
        critics, optimiser, metrics = targets.critic_step(
            adam.critic, state.critics, state.critic_optimiser, batch, target
        )
        return state._replace(critics=critics, critic_optimiser=optimiser), metrics

    def update(state: OneActorState, batches: Transition, key: Array) -> tuple[OneActorState, Metrics]:
        updates = batches.reward.shape[0]
        delay = config.actor_delay
        # The delay is nesting, not a conditional: under vmap a conditional pays for both branches.
        keys = jax.random.split(key, updates).reshape(updates // delay, delay)
        grouped = jax.tree.map(lambda x: x.reshape(updates // delay, delay, *x.shape[1:]), batches)

        def group(state: OneActorState, inputs: tuple[Transition, Array]) -> tuple[OneActorState, Metrics]:
            group_batches, group_keys = inputs
            state, metrics = targets.unrolled(update_critics, state, group_batches, group_keys)
            last = jax.tree.map(lambda x: x[delay - 1], group_batches)
            state, actor_metrics = step_actor(config, adam, state, last)
            return state, metrics | actor_metrics

        state, metrics = jax.lax.scan(group, state, (grouped, keys))
        return state, over_updates(metrics)

    return one_actor_learner(config, init, update)
