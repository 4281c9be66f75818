"""Execution of seeds as one vmapped round, beside which policies act on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from credo.precision import in_full_precision
from credo.random import Purpose
from credo.training.acting import actor_beside, host_actor
from credo.training.rounds import (
    VectorRound,
    drawn_experience,
    is_all_random,
    is_due,
    is_random,
    learns,
    record,
    step_indices,
    takes,
    uniform_actions,
)
from credo.training.seed import Recorder, Seed
from credo.training.state import Constants, Parts, TrainState
from credo.training.step import Experience, make_round
from credo.types import Metrics


class Vmapped:
    """One compiled round for all seeds, whose states are stacked."""

    def __init__(self, parts: Parts, constants: Constants, seeds: Sequence[Seed], stopped: Callable[[], bool]):
        self._parts, self._constants, self._stopped = parts, constants, stopped
        self._round = VectorRound(held_where_inactive(in_full_precision(make_round(parts))))
        self._compiled_round = jax.jit(
            jax.vmap(self._round.vector_round, in_axes=(0, None, 0, 0, 0, 0)), donate_argnums=0
        )
        cpu = _cpu()
        self._position = {seed.number: index for index, seed in enumerate(seeds)}
        stacked = _stack([seed.state for seed in seeds])
        self._home = jax.tree.leaves(stacked)[0].sharding
        # Committed to its device, since the keys are: otherwise the second round would compile again.
        self._states = jax.device_put(stacked, self._home)
        for seed in seeds:
            seed.state = None
        on_policy = parts.config.on_policy
        self._beside = None if on_policy else actor_beside(parts, constants, self._states.learner, cpu)
        self._key_of_round = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(0, None)))
        self._keys = {
            purpose: jax.device_put(_stack([seed.keys[purpose] for seed in seeds]), cpu) for purpose in seeds[0].keys
        }

    def advance(self, seeds: Sequence[Seed], rounds: range, on_round: Callable[[int], None]) -> None:
        for round_number in rounds:
            if self._stopped():
                return
            self._advance_all(seeds, round_number)
            on_round(round_number)

    def _advance_all(self, seeds: Sequence[Seed], round_number: int) -> None:
        parts = self._parts
        recorders = self._collected(seeds, round_number)
        due = [(seed, recorders[seed.number]) for seed in seeds if is_due(seed, round_number)]
        if parts.config.keeps_replay:
            for seed, recorder in due:
                seed.replay.add(recorder.steps, recorder.ended)
        if not learns(parts, round_number):
            for seed, _ in due:
                record(parts, seed, round_number, [], np.empty(0))
            return
        found = {seed.number: drawn_experience(parts, seed, recorder, round_number) for seed, recorder in due}
        drawn = {number: experience for number, experience in found.items() if experience is not None}
        if not drawn:
            return
        vectors = self._learned(seeds, drawn, round_number)
        for seed, vector in zip(seeds, vectors, strict=True):
            if seed.number in drawn:
                record(parts, seed, round_number, self._round.names, vector, drawn[seed.number])

    def _collected(self, seeds: Sequence[Seed], round_number: int) -> dict[int, Recorder]:
        """The steps of a round by seed; those of a seed that is frozen, or that one of them froze, are not whole."""
        recorders = {seed.number: Recorder(self._parts.config, seed) for seed in seeds}
        act = self._actor(seeds, round_number)
        for index in step_indices(self._parts):
            for seed, action in zip(seeds, act(index), strict=True):
                if is_due(seed, round_number):
                    takes(self._parts, seed, recorders[seed.number], round_number, index, action)
        return recorders

    def _actor(self, seeds: Sequence[Seed], round_number: int) -> Callable[[int], np.ndarray]:
        """A function of the step's index in the round that gives the seeds' next actions, [seeds, lanes, A]."""
        parts, beside = self._parts, self._beside
        if beside is None:
            of_seed = [host_actor(parts, self._constants, self.state(seed), seed, round_number) for seed in seeds]
            return lambda index: np.stack([act_of_seed(index) for act_of_seed in of_seed])
        keys = self._key_of_round(self._keys[Purpose.ACT], round_number)
        uniform = [uniform_actions(parts, seed, round_number) for seed in seeds]
        fetched = [] if is_all_random(parts, round_number) else beside.fetch(self._states.learner)

        def act(index: int) -> np.ndarray:
            if is_random(parts, round_number, index):
                return np.stack([actions[index] for actions in uniform])
            observations = np.stack([seed.environments.observation for seed in seeds])
            return beside.act(fetched, observations, keys, index)

        return act

    def _learned(self, seeds: Sequence[Seed], drawn: dict[int, Experience], round_number: int) -> np.ndarray:
        """Run the compiled round; its metrics, [seeds, metrics], of which those of a seed that is not in ``drawn`` mean
        nothing. Such a seed computes on another's experience, and its state is held."""
        filler = next(iter(drawn.values()))
        batches = jax.tree.map(lambda *x: np.stack(x), *[drawn.get(seed.number, filler) for seed in seeds])
        purposes = (Purpose.DISCRIMINATOR, Purpose.LEARNER)
        keys = jax.device_put([self._key_of_round(self._keys[p], round_number) for p in purposes], self._home)
        active = np.array([seed.number in drawn for seed in seeds])
        self._states, vectors = self._compiled_round(self._states, self._constants, batches, *keys, active)
        return np.asarray(vectors)

    def state(self, seed: Seed) -> TrainState:
        return jax.tree.map(lambda x: x[self._position[seed.number]], self._states)

    def each(self, function: Callable[[Seed], None], seeds: Sequence[Seed]) -> None:
        for seed in seeds:
            function(seed)

    def close(self) -> None:
        """There is nothing to free."""


def held_where_inactive(round_function: Callable[..., tuple[TrainState, Metrics]]) -> Callable[..., Any]:
    """A frozen seed in a vmapped round computes with the others and keeps its state."""

    def held(state: TrainState, *arguments: Any) -> tuple[TrainState, Metrics]:
        *rest, active = arguments
        updated, metrics = round_function(state, *rest)
        return jax.tree.map(lambda new, old: jnp.where(active, new, old), updated, state), metrics

    return held


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


def _cpu() -> jax.Device:
    """Where policies act beside a GPU; JAX's own device where its CPU is switched off (JAX_PLATFORMS)."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]
