"""The policy's reward from the discriminator's logits, anew in every round."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from credo.config.discriminator import DiscriminatorConfig
from credo.discriminator import outliers
from credo.discriminator.inputs import Layout
from credo.discriminator.model import DiscriminatorState
from credo.discriminator.rewards import reward_named
from credo.moments import add, deviation
from credo.training.state import Parts
from credo.types import Array, Metrics, Rollout, Transition


def transition_inputs(layout: Layout, batch: Transition | Rollout) -> Array:
    """Steps as the discriminator sees them, [..., D]; observations as networks see them."""
    return layout.join(batch.observation, batch.action, batch.next_observation, batch.terminated)


def reward_of_logit(parts: Parts, logit: Array) -> Array:
    """[...]: CREDO's cap in modes clip and both, then the symmetric clip of the settings."""
    config = parts.config
    reward = jnp.minimum(reward_named(config.reward)(logit), outliers.reward_cap(config.credo, config.reward))
    bound = config.discriminator.reward_clip
    return reward if bound is None else jnp.clip(reward, -bound, bound)


def minus_action_cost(settings: DiscriminatorConfig, reward: Array, action: Array) -> Array:
    """[...]: a reward without what the action [..., action_size] costs."""
    if not settings.action_cost:
        return reward
    return reward - settings.action_cost * jnp.mean(jnp.square(action), axis=-1)


def relabelled(
    parts: Parts, state: DiscriminatorState, batches: Transition | Rollout, learner_state: Any
) -> tuple[DiscriminatorState, Array, Metrics]:
    """The reward of every step, [...], from the current logits; the state with the rewards' running statistics, which
    are renewed before they are used; and what is measured of both.

    With absorbing states the last step of a terminated episode also brings what follows it: for ever the reward of the
    absorbing state, discount / (1 - discount) times it (Kostrikov et al. 2019, Section 4.2). Differs from DAC, which
    stores the stays and lets the critic learn their value by bootstrapping: this is the value that such a critic
    settles on, without an action in a state that has none.
    """
    discriminator = parts.discriminator
    assert discriminator is not None
    settings = parts.config.discriminator

    def logit(inputs: Array) -> Array:
        return discriminator.logit(state.network, inputs, learner_state)

    raw = reward_of_logit(parts, logit(transition_inputs(discriminator.layout, batches)))
    metrics: Metrics = {}
    if settings.reward_normalisation:
        state = state._replace(rewards=add(state.rewards, raw))
        metrics["reward_scale"] = deviation(state.rewards)
    reward = raw / divisor(parts, state)
    if discriminator.layout.absorbing:
        absorbing = reward_of_logit(parts, logit(discriminator.layout.absorbed())) / divisor(parts, state)
        discount = parts.config.discount
        reward = reward + batches.terminated.astype(jnp.float32) * (absorbing * (discount / (1.0 - discount)))
        metrics["absorbing_reward"] = absorbing
    return state, minus_action_cost(settings, reward, batches.action), metrics


def divisor(parts: Parts, state: DiscriminatorState) -> Array | float:
    """What rewards of logits are divided by: their running deviation, where it is kept, over the reward's factor."""
    settings = parts.config.discriminator
    unit = 1.0 / settings.reward_factor
    return unit * deviation(state.rewards) if settings.reward_normalisation else unit
