"""The arithmetic that the off-policy learners share: targets, losses and single steps of actor and critics.

Functions over networks and batches; a learner (one file each) says which of them happen when.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
import optax.tree_utils

from credo import networks
from credo.config import DeterministicConfig, SACConfig
from credo.gradients import gradient_metrics, over_updates, stepped
from credo.learners.cloning import squared_error
from credo.networks import Network
from credo.types import Array, Demonstrated, Metrics, Transition

State = TypeVar("State")


class Choice(NamedTuple):
    """Several actors, and the critic of each: the policy plays the action whose own critic values it most."""

    actors: tuple[Network, ...]
    critics: tuple[Network, ...]


def policy(actor: Network, observation: Array) -> Array:
    """The deterministic action, [..., A] in [-1, 1]."""
    return jnp.tanh(networks.apply(actor, observation))


def chosen_before_tanh(choice: Choice, observation: Array) -> Array:
    """The output before tanh, [..., A], of the actor whose action its own critic values most; the first of equals."""
    outputs, best = _chosen(choice, observation)
    return jnp.take_along_axis(outputs, best[None, ..., None], axis=0)[0]


def chosen_value(choice: Choice, observation: Array, action: Array) -> Array:
    """The value of ``action``, [...], by the critic of the pair whose action is chosen at ``observation``."""
    _, best = _chosen(choice, observation)
    values = jnp.stack([networks.q_value(critic, observation, action) for critic in choice.critics])
    return jnp.take_along_axis(values, best[None], axis=0)[0]


def _chosen(choice: Choice, observation: Array) -> tuple[Array, Array]:
    """Outputs before tanh, [pairs, ..., A], and which of them is chosen, [...]."""
    outputs = [networks.apply(actor, observation) for actor in choice.actors]
    values = [
        networks.q_value(critic, observation, jnp.tanh(output))
        for critic, output in zip(choice.critics, outputs, strict=True)
    ]
    return jnp.stack(outputs), jnp.argmax(jnp.stack(values), axis=0)


def explored(action: Array, noise: float, key: Array) -> Array:
    """The action with Gaussian exploration noise, clipped to [-1, 1]."""
    return jnp.clip(action + noise * jax.random.normal(key, action.shape), -1.0, 1.0)


def smoothed(action: Array, normal: Array, noise: float, clip: float) -> Array:
    """Target policy smoothing (Eq. 14 of the TD3 paper) of the target policy's ``action``; ``normal`` [..., A] is
    standard normal."""
    return jnp.clip(action + jnp.clip(noise * normal, -clip, clip), -1.0, 1.0)


def bellman_target(batch: Transition, next_value: Array, discount: float) -> Array:
    """Reward plus discounted ``next_value``, [B]; bootstrapping stops on termination alone."""
    continues = 1.0 - batch.terminated.astype(jnp.float32)
    return batch.reward + discount * continues * next_value


def smallest_value(critics: tuple[Network, ...], observation: Array, action: Array) -> Array:
    """The least of the critics' values, [...]."""
    return jnp.min(jnp.stack([networks.q_value(critic, observation, action) for critic in critics]), axis=0)


def smallest_value_target(
    target_critics: tuple[Network, ...], batch: Transition, next_action: Array, discount: float
) -> Array:
    """Clipped double-Q target (Eq. 10 of the TD3 paper), [B]; with one critic the target of DDPG (Eq. 5 there)."""
    return bellman_target(batch, smallest_value(target_critics, batch.next_observation, next_action), discount)


def critic_loss(critics: tuple[Network, ...], batch: Transition, target: Array) -> tuple[Array, Array]:
    """Sum over critics of the mean squared error to ``target`` [B], and the mean value (both scalars)."""
    values = jnp.stack([networks.q_value(critic, batch.observation, batch.action) for critic in critics])
    return jnp.sum(jnp.mean(jnp.square(values - target[None]), axis=1)), jnp.mean(values)


def actor_loss(actor: Network, critic: Network, batch: Transition, settings: DeterministicConfig) -> Array:
    """Deterministic policy gradient: minus the mean value of the policy's actions (scalar).

    Differs from DDPG, TD3 and SD3: plus ``preactivation_penalty`` times the mean squared output before tanh, as in
    MR.Q (Fujimoto et al. 2025); a saturated tanh has no gradient left to come back with. Plus ``cloning_loss``. With
    both weights 0 it is their own loss.
    """
    output = networks.apply(actor, batch.observation)
    values = networks.q_value(critic, batch.observation, jnp.tanh(output))
    loss = settings.preactivation_penalty * jnp.mean(jnp.square(output)) - jnp.mean(values)
    return loss + cloning_loss(actor, values, batch.demonstrated, settings.cloning_weight)


def cloning_loss(actor: Network, values: Array, demonstrated: Demonstrated | None, weight: float) -> Array:
    """The cloning loss (scalar): ``weight`` times the squared error of the actor's tanh output to demonstrated actions,
    in units of the mean |Q| (of ``values`` [B]); 0 without demonstrated pairs.

    GAIL with cloning in the actor's loss is Jena et al. 2020 (arXiv 2001.07798); the units are those of TD3+BC
    (Fujimoto and Gu 2021), without which the weight would mean less as the critic's values grow.

    Differs from Jena et al.: the weight is constant. Differs from TD3+BC: the pairs are not the critic's batch.
    """
    if demonstrated is None:
        return jnp.zeros(())
    size = jax.lax.stop_gradient(jnp.mean(jnp.abs(values)))
    return weight * size * squared_error(actor, demonstrated.observation, demonstrated.action)


def make_actor(settings: DeterministicConfig, key: Array, observation_size: int, outputs: int) -> Network:
    """A new actor: layer normalisation and the initial scale of its last layer as the settings say."""
    sizes = (observation_size, *settings.hidden, outputs)
    actor = networks.initialise(key, sizes, layer_norm=settings.layer_norm in ("actor", "both"))
    if settings.last_layer_scale == 1.0:
        return actor
    return (*actor[:-1], jax.tree.map(lambda x: settings.last_layer_scale * x, actor[-1]))


def make_critic(
    settings: DeterministicConfig | SACConfig, key: Array, observation_size: int, action_size: int
) -> Network:
    """A new critic, normalised by layer if the settings say so."""
    sizes = (observation_size + action_size, *settings.hidden, 1)
    return networks.initialise(key, sizes, layer_norm=settings.layer_norm in ("critic", "both"))


def critic_step(
    adam: optax.GradientTransformation,
    critics: tuple[Network, ...],
    optimiser_state: Any,
    batch: Transition,
    target: Array,
) -> tuple[tuple[Network, ...], Any, Metrics]:
    """One step down the critics' loss: (critics, optimiser state, metrics)."""
    (loss, q_mean), gradient = jax.value_and_grad(critic_loss, has_aux=True)(critics, batch, target)
    critics, optimiser_state = stepped(adam, critics, gradient, optimiser_state)
    return critics, optimiser_state, {"critic_loss": loss, "q_mean": q_mean, **gradient_metrics("critic", gradient)}


def actor_step(
    settings: DeterministicConfig,
    adam: optax.GradientTransformation,
    actor: Network,
    optimiser_state: Any,
    critic: Network,
    batch: Transition,
    critic_optimiser_state: Any,
) -> tuple[Network, Any, Metrics]:
    """One step of a deterministic actor up its critic's value: (actor, optimiser state, metrics).

    Until the critic has done more than ``actor_starts`` steps, which its Adam counts, actor and optimiser stay as they
    are; the gradient is measured all the while, and always before it is clipped.
    """
    gradient = jax.grad(actor_loss)(actor, critic, batch, settings)
    metrics = gradient_metrics("actor", gradient)
    moved = stepped(adam, actor, gradient, optimiser_state, settings.actor_gradient_clip)
    if settings.actor_starts > 0:
        started = optax.tree_utils.tree_get(critic_optimiser_state, "count") > settings.actor_starts
        moved = jax.tree.map(lambda new, old: jnp.where(started, new, old), moved, (actor, optimiser_state))
    return *moved, metrics


def unrolled(
    one_update: Callable[[State, int, Transition, Array], tuple[State, Metrics]],
    state: State,
    batches: Transition,
    keys: Array,
) -> tuple[State, Metrics]:
    """A few updates written out one after the other: ``one_update(state, index, batch, key)`` for each of ``batches``
    [updates, batch, ...] and ``keys`` [updates]; the state after them, and their metrics over the updates."""
    collected = []
    for index in range(keys.shape[0]):
        batch = jax.tree.map(operator.itemgetter(index), batches)
        state, metrics = one_update(state, index, batch, keys[index])
        collected.append(metrics)
    return state, over_updates(jax.tree.map(lambda *values: jnp.stack(values), *collected))


def one_after_another(
    one_update: Callable[[State, tuple[Transition, Array]], tuple[State, Metrics]],
) -> Callable[[State, Transition, Array], tuple[State, Metrics]]:
    """A learner's ``update`` of all batches, from what it does with one of them and a key."""

    def update(state: State, batches: Transition, key: Array) -> tuple[State, Metrics]:
        keys = jax.random.split(key, batches.reward.shape[0])
        state, metrics = jax.lax.scan(one_update, state, (batches, keys))
        return state, over_updates(metrics)

    return update
