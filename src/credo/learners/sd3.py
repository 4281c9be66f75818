"""Softmax deep double deterministic policy gradients (Pan, Cai and Huang 2020), as in the authors' code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from credo import networks
from credo.config import SD3Config
from credo.environment_name import plain_id
from credo.learners import targets
from credo.learners.cloning import Cloning, squared_error
from credo.learners.interface import Learner
from credo.learners.optimisers import optimisers
from credo.networks import Network
from credo.types import Array, Metrics, Transition

AUTHORS_BETA = {
    "Ant": 0.001,
    "BipedalWalker": 0.05,
    "HalfCheetah": 0.005,
    "Hopper": 0.05,
    "Humanoid": 0.05,
    "LunarLanderContinuous": 0.5,
    "Swimmer": 500.0,
    "Walker2d": 0.1,
}
"""Inverse temperature by environment, whatever its version, in the authors' code."""
OTHER_BETA = 0.05
"""Inverse temperature of an environment the authors did not train in."""
LOWEST_UNIFORM = 1e-6
"""Uniform numbers are kept this far from 0 and 1, where the normal quantile is infinite."""

Noise = Callable[[Array, int], Array]
"""(key, rows) -> standard normal samples [rows, K, A]."""


class SD3State(NamedTuple):
    """Pairs of an actor and its critic, each with targets and optimisers of its own."""

    actors: tuple[Network, ...]
    critics: tuple[Network, ...]
    target_actors: tuple[Network, ...]
    target_critics: tuple[Network, ...]
    actor_optimisers: tuple[Any, ...]
    critic_optimisers: tuple[Any, ...]


class Pair(NamedTuple):
    """One actor and its critic: what SD3State holds of them, in its order."""

    actor: Network
    critic: Network
    target_actor: Network
    target_critic: Network
    actor_optimiser: Any
    critic_optimiser: Any


def pair_of(state: SD3State, index: int) -> Pair:
    return Pair(*(values[index] for values in state))


def with_pair(state: SD3State, index: int, pair: Pair) -> SD3State:
    """The state with ``pair`` in the place of that at ``index``."""
    placed = zip(state, pair, strict=True)
    return SD3State(*((*values[:index], value, *values[index + 1 :]) for values, value in placed))


def beta_of(environment: str) -> float:
    """The authors' inverse temperature for a Gymnasium id such as "Hopper-v5" or "module:Hopper-v5"."""
    return AUTHORS_BETA.get(plain_id(environment).rpartition("-v")[0], OTHER_BETA)


def softmax_value(values: Array, beta: float, log_weight: Array | None = None) -> Array:
    """Softmax operator (Eq. 3 of the paper, sampled as in its Section 4): [..., K] values of sampled actions to
    [...], sum of w_k Q_k with w proportional to exp(beta Q_k + log_weight_k).

    It lies between the mean (beta = 0) and the largest value (beta to infinity). Only differences to the largest value
    enter, so values of any size neither overflow nor lose the answer.
    """
    largest = jnp.max(values, axis=-1, keepdims=True)
    below = values - largest
    logits = beta * below if log_weight is None else beta * below + log_weight
    return largest[..., 0] + jnp.sum(jax.nn.softmax(logits, axis=-1) * below, axis=-1)


def importance_log_weight(normal: Array) -> Array:
    """Minus the log density of standard normal noise [..., K, A], up to a constant: [..., K].

    As in the authors' code (its option ``imps``, off there): the density is that of the noise before it is clipped.
    """
    return 0.5 * jnp.sum(jnp.square(normal), axis=-1)


def make_noise(kind: str, samples: int, action_size: int) -> Noise:
    """Ways to draw ``samples`` standard normal vectors for each row; each vector alone is exactly normal.

    independent: as the authors. antithetic: half of them, and their negatives. sobol: the cells of Sobol points under a
    random digital shift for each row (Owen 2003), a uniform place within each cell, through the normal quantile
    function; each dimension has one sample in every cell where ``samples`` is a power of two.
    """
    if kind == "independent":
        return lambda key, rows: jax.random.normal(key, (rows, samples, action_size))
    if kind == "antithetic":

        def antithetic(key: Array, rows: int) -> Array:
            half = jax.random.normal(key, (rows, samples // 2, action_size))
            return jnp.concatenate([half, -half], axis=1)

        return antithetic
    count, cells = sobol_cells(samples, action_size)

    def sobol(key: Array, rows: int) -> Array:
        shift_key, place_key = jax.random.split(key)
        shift = jax.random.randint(shift_key, (rows, 1, action_size), 0, count)
        shifted = jnp.bitwise_xor(jnp.asarray(cells)[None], shift).astype(jnp.float32)
        uniform = (shifted + jax.random.uniform(place_key, shifted.shape)) / count
        return jax.scipy.special.ndtri(jnp.clip(uniform, LOWEST_UNIFORM, 1.0 - LOWEST_UNIFORM))

    return sobol


def sobol_cells(samples: int, dimensions: int) -> tuple[int, np.ndarray]:
    """The number of cells in each dimension, the least power of two that is at least ``samples``, and the cells of the
    first ``samples`` Sobol points, [samples, dimensions] int32."""
    from scipy.stats import qmc

    bits = math.ceil(math.log2(samples))
    points = qmc.Sobol(dimensions, scramble=False).random_base2(bits)[:samples]
    return 1 << bits, np.floor(points * (1 << bits)).astype(np.int32)


def softmax_target_value(
    target_actor: Network,
    target_critics: tuple[Network, ...],
    next_observation: Array,
    normal: Array,
    config: SD3Config,
) -> Array:
    """Value of the next state, [B]: the softmax operator over noisy actions of one target actor, each worth the least
    of all target critics' values. ``normal`` [B, K, A] is standard normal."""
    action = targets.policy(target_actor, next_observation)[:, None]
    actions = targets.smoothed(action, normal, config.target_noise, config.target_noise_clip)
    values = jnp.stack([networks.q_values(critic, next_observation, actions) for critic in target_critics])
    log_weight = importance_log_weight(normal) if config.importance_weights else None
    beta = OTHER_BETA if config.beta is None else config.beta
    return softmax_value(jnp.min(values, axis=0), beta, log_weight)


def sd3(config: SD3Config, observation_size: int, action_size: int) -> Learner:
    """SD3 for one seed. Each update trains the first pair of actor and critic and moves its targets, then the second,
    each on its half of the batch: ``batches`` has 2 x ``batch_size`` transitions in an update."""
    adam = optimisers(config)
    draw = make_noise(config.noise, config.noise_samples, action_size)
    pairs = range(config.minibatches)

    def init(key: Array) -> SD3State:
        keys = jax.random.split(key, 2 * len(pairs))
        actors = tuple(targets.make_actor(config, keys[i], observation_size, action_size) for i in pairs)
        critics = tuple(targets.make_critic(config, keys[len(pairs) + i], observation_size, action_size) for i in pairs)
        return SD3State(
            actors=actors,
            critics=critics,
            target_actors=networks.copy(actors),
            target_critics=networks.copy(critics),
            actor_optimisers=tuple(adam.actor.init(actor) for actor in actors),
            critic_optimisers=tuple(adam.critic.init((critic,)) for critic in critics),
        )

    def choice(state: SD3State) -> targets.Choice:
        return targets.Choice(state.actors, state.critics)

    def mode(state: SD3State, observation: Array) -> Array:
        return jnp.tanh(targets.chosen_before_tanh(choice(state), observation))

    def update_pair(state: SD3State, index: int, batch: Transition, key: Array) -> tuple[SD3State, Metrics]:
        pair = pair_of(state, index)
        normal = draw(key, batch.reward.shape[0])
        next_value = softmax_target_value(
            pair.target_actor, state.target_critics, batch.next_observation, normal, config
        )
        target = targets.bellman_target(batch, next_value, config.discount)
        (critic,), critic_optimiser, metrics = targets.critic_step(
            adam.critic, (pair.critic,), pair.critic_optimiser, batch, target
        )
        actor, actor_optimiser, actor_metrics = targets.actor_step(
            config, adam.actor, pair.actor, pair.actor_optimiser, critic, batch, critic_optimiser
        )
        moved = Pair(
            actor=actor,
            critic=critic,
            target_actor=networks.move_towards(pair.target_actor, actor, config.target_rate),
            target_critic=networks.move_towards(pair.target_critic, critic, config.target_rate),
            actor_optimiser=actor_optimiser,
            critic_optimiser=critic_optimiser,
        )
        return with_pair(state, index, moved), metrics | actor_metrics

    def one_update(state: SD3State, inputs: tuple[Transition, Array]) -> tuple[SD3State, Metrics]:
        batch, key = inputs
        keys = jax.random.split(key, len(pairs))
        halves = jax.tree.map(lambda x: x.reshape(len(pairs), -1, *x.shape[1:]), batch)
        state, metrics = targets.unrolled(update_pair, state, halves, keys)
        # As with the other learners' twins, the loss is the sum over both critics.
        return state, metrics | {"critic_loss": len(pairs) * metrics["critic_loss"]}

    return Learner(
        init=init,
        act=lambda state, observation, key: targets.explored(mode(state, observation), config.exploration_noise, key),
        mode=mode,
        update=targets.one_after_another(one_update),
        actor=lambda state: state.actors[0],
        q_value=lambda state, observation, action: targets.chosen_value(choice(state), observation, action),
        choice=choice,
        cloning=Cloning(
            get=lambda state: state.actors[0],
            # Both actors are the same clone, and part by their critics.
            put=lambda state, actor: state._replace(actors=(actor,) * len(pairs), target_actors=(actor,) * len(pairs)),
            loss=squared_error,
        ),
    )
