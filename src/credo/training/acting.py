"""Acting beside the environments: in NumPy for learners that learn from fresh steps alone, and compiled for the CPU
where the device that learns is another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from credo.random import Purpose, host_generator
from credo.training.seed import Seed
from credo.training.state import Constants, Parts, TrainState, policy_of
from credo.types import Array


def learner_act(parts: Parts) -> Callable[[Any, Constants, Array, Array, Array], Array]:
    """(learner's state, constants, observation [lanes, O], the round's key, the step's index) -> action [lanes, A]."""

    def act(learner_state: Any, constants: Constants, observation: Array, key: Array, index: Array) -> Array:
        return parts.learner.act(learner_state, constants.normalise(observation), jax.random.fold_in(key, index))

    return act


class ActorBeside(NamedTuple):
    """Acting for all seeds on the CPU, with states that lie elsewhere.

    fetch: the learners' stacked states -> what acting reads of them, on the CPU; once a round.
    act: (what was fetched, observations [seeds, lanes, O], keys [seeds] on the CPU, index) -> actions
        [seeds, lanes, A].
    """

    fetch: Callable[[Any], list[Array]]
    act: Callable[[list[Array], np.ndarray, Array, int], np.ndarray]


def actor_beside(parts: Parts, constants: Constants, stacked: Any, cpu: jax.Device) -> ActorBeside:
    """Acting reads a fraction of a learner's state (an actor of TD3, no critic and no optimiser), and what crosses to
    the CPU every round is that fraction: whatever ``act`` reads when it is traced."""
    leaves, structure = jax.tree.flatten(stacked)
    one_act = learner_act(parts)
    lanes = np.zeros((parts.config.environments_per_seed, parts.spec.observation_size), np.float32)
    own = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in leaves]
    shared = jax.device_put(constants._replace(expert_inputs=None, demonstrated=None), cpu)

    def act_of_leaves(leaves: list[Array], observation: Array, key: Array, index: Array) -> Array:
        return one_act(jax.tree.unflatten(structure, leaves), shared, observation, key, index)

    traced = jax.make_jaxpr(act_of_leaves)(own, lanes, jax.random.key(0), np.int32(0)).jaxpr
    used = {id(variable) for equation in traced.eqns for variable in equation.invars} | set(map(id, traced.outvars))
    read = [id(variable) in used for variable in traced.invars[: len(leaves)]]

    def act_of_read(leaves: list[Array], observation: Array, key: Array, index: Array) -> Array:
        rest = iter(leaves)
        return act_of_leaves([next(rest) if is_read else None for is_read in read], observation, key, index)

    compiled = jax.jit(jax.vmap(act_of_read, in_axes=(0, 0, 0, None)))

    def fetch(stacked: Any) -> list[Array]:
        return jax.device_put(list(itertools.compress(jax.tree.leaves(stacked), read)), cpu)

    def act(leaves: list[Array], observations: np.ndarray, keys: Array, index: int) -> np.ndarray:
        return np.asarray(compiled(leaves, observations, keys, np.int32(index)))

    return ActorBeside(fetch, act)


def host_actor(
    parts: Parts, constants: Constants, state: TrainState, seed: Seed, round_number: int
) -> Callable[[int], np.ndarray]:
    """A function of the step's index in the round that gives the seed's next actions, [lanes, A], unclipped.

    In NumPy: the network is small and its input a few rows, so that handing them to compiled code would cost more than
    the product. The noise of a round is a pure function of (seed, round).
    """
    assert parts.learner.deviation is not None
    policy = policy_of(parts, constants, state, {})
    config, action_size = parts.config, parts.spec.action_size
    shape = (config.steps_per_round // config.environments_per_seed, config.environments_per_seed, action_size)
    noise = host_generator(seed.number, Purpose.ACT, round_number).standard_normal(shape, np.float32)
    with np.errstate(over="ignore"):  # an action that is not finite freezes its seed, which says so
        noise *= np.asarray(parts.learner.deviation(state.learner))

    def act(index: int) -> np.ndarray:
        return policy.normalised_action(seed.environments.observation) + noise[index]

    return act
