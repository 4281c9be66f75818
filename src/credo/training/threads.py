"""Execution of seeds by threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import jax
import numpy as np

from credo.machine import usable_cores
from credo.precision import in_full_precision
from credo.random import Purpose
from credo.training.acting import host_actor, learner_act
from credo.training.rounds import (
    VectorRound,
    drawn_experience,
    is_random,
    learns,
    record,
    step_indices,
    takes,
    uniform_actions,
)
from credo.training.seed import Recorder, Seed
from credo.training.state import Constants, Parts, TrainState
from credo.training.step import make_round


class Threads:
    """One compiled round for one seed, and as many threads as there are cores."""

    def __init__(self, parts: Parts, constants: Constants, seeds: Sequence[Seed], stopped: Callable[[], bool]):
        self._parts, self._constants, self._stopped = parts, constants, stopped
        self._round = VectorRound(in_full_precision(make_round(parts)))
        self._compiled_round = jax.jit(self._round.vector_round, donate_argnums=0)
        self._act = jax.jit(learner_act(parts))
        self._workers = min(len(seeds), usable_cores())
        self._pool = ThreadPoolExecutor(max_workers=self._workers)
        self._has_compiled = False
        """Whether a round that learns has begun, so that the next ones need not compile."""

    def advance(self, seeds: Sequence[Seed], rounds: range, on_round: Callable[[int], None]) -> None:
        running: dict[Future[None], Seed] = {}
        done = rounds.start
        while True:
            busy = {seed.number for seed in running.values()}
            # A seed that is being frozen still counts its own rounds: on_round() counts a frozen one's.
            going = [seed for seed in seeds if seed.frozen is None or seed.number in busy]
            reached = min((seed.next_round for seed in going), default=rounds.stop)
            while done < min(reached, rounds.stop):
                on_round(done)
                done += 1
            for seed in self._next_in_turn(seeds, rounds, busy):
                running[self._pool.submit(self._advance_one, seed, seed.next_round)] = seed
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                future.result()

    def _next_in_turn(self, seeds: Sequence[Seed], rounds: range, busy: set[int]) -> list[Seed]:
        """The seeds to begin a round now, as many as threads are free: those that are furthest behind."""
        if self._stopped():
            return []
        idle = [s for s in seeds if s.frozen is None and s.next_round in rounds and s.number not in busy]
        idle.sort(key=lambda seed: seed.next_round)
        room = self._workers - len(busy)
        if idle and not self._has_compiled and learns(self._parts, idle[0].next_round):
            # The first seed compiles alone: two threads at once would compile the same program twice.
            room = 0 if busy else 1
            self._has_compiled = not busy
        return idle[:room]

    def _advance_one(self, seed: Seed, round_number: int) -> None:
        parts = self._parts
        recorder = self._collected(seed, round_number)
        if recorder is None:
            return
        if parts.config.keeps_replay:
            seed.replay.add(recorder.steps, recorder.ended)
        if not learns(parts, round_number):
            record(parts, seed, round_number, [], np.empty(0))
            return
        experience = drawn_experience(parts, seed, recorder, round_number)
        if experience is None:
            return
        keys = (seed.key(Purpose.DISCRIMINATOR, round_number), seed.key(Purpose.LEARNER, round_number))
        seed.state, vector = self._compiled_round(seed.state, self._constants, experience, *keys)
        record(parts, seed, round_number, self._round.names, np.asarray(vector), experience)

    def _collected(self, seed: Seed, round_number: int) -> Recorder | None:
        """The steps of a round; None where one of them froze the seed."""
        recorder = Recorder(self._parts.config, seed)
        act = self._actor(seed, round_number)
        for index in step_indices(self._parts):
            if not takes(self._parts, seed, recorder, round_number, index, act(index)):
                return None
        return recorder

    def _actor(self, seed: Seed, round_number: int) -> Callable[[int], np.ndarray]:
        """A function of the step's index in the round that gives the seed's next actions, [lanes, A]."""
        parts, constants = self._parts, self._constants
        state = self.state(seed)
        if parts.config.on_policy:
            return host_actor(parts, constants, state, seed, round_number)
        key = seed.key(Purpose.ACT, round_number)
        uniform = uniform_actions(parts, seed, round_number)

        def act(index: int) -> np.ndarray:
            if is_random(parts, round_number, index):
                return uniform[index]
            return np.asarray(self._act(state.learner, constants, seed.environments.observation, key, np.int32(index)))

        return act

    def state(self, seed: Seed) -> TrainState:
        assert seed.state is not None
        return seed.state

    def each(self, function: Callable[[Seed], None], seeds: Sequence[Seed]) -> None:
        list(self._pool.map(function, seeds))

    def close(self) -> None:
        self._pool.shutdown()
