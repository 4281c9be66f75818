"""How many seeds share one machine, behind one switch.

``threads``: one compiled round for one seed, seeds taken in turn by as many threads as there are cores; while one seed
computes, another steps its environments, a frozen seed costs nothing, and a seed's numbers cannot depend on its group.
No seed waits for the others' round to end, so that no core is idle where seeds do not divide among them.
Measured on two cores, 11 seeds, 256-256, batch 128: 1.1 to 1.5 times the updates/s of a vmapped round, by machine.
``vmap``: one compiled round for all seeds, for a GPU. Policies act on the CPU, beside the environments: a few rows gain
nothing on a GPU, and every step would wait for it, the longer the more processes share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from credo.diagnostics.frozen import NON_FINITE
from credo.environments import EnvironmentBatch
from credo.machine import usable_cores
from credo.precision import in_full_precision
from credo.random import Purpose
from credo.training.acting import actor_beside, host_actor, learner_act
from credo.training.faults import Fault, check_experience, evidence_of
from credo.training.seed import Frozen, Recorder, Seed, draw_experience, random_actions
from credo.training.state import Constants, Parts, TrainState
from credo.training.step import Experience, make_round
from credo.types import Array, Metrics


class Execution(Protocol):
    """How the seeds of a run go on."""

    def advance(self, seeds: Sequence[Seed], rounds: range, on_round: Callable[[int], None]) -> None:
        """Run those rounds of every seed that has not done them, unless it is frozen. ``on_round(round number)`` is
        called in the caller's thread once no seed has that round before it any more."""

    def state(self, seed: Seed) -> TrainState:
        """A seed's state now."""

    def each(self, function: Callable[[Seed], None], seeds: Sequence[Seed]) -> None:
        """Run host work for every one of the seeds."""

    def close(self) -> None:
        """Free the threads."""


def _cpu() -> jax.Device:
    """Where policies act beside a GPU; JAX's own device where its CPU is switched off (JAX_PLATFORMS)."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


def chosen(execution: str) -> str:
    """``auto`` resolved: threads on a CPU, vmap elsewhere."""
    if execution != "auto":
        return execution
    return "threads" if jax.default_backend() == "cpu" else "vmap"


def make_execution(
    parts: Parts, constants: Constants, seeds: Sequence[Seed], stopped: Callable[[], bool] = lambda: False
) -> Execution:
    """``stopped``: once it holds, seeds whose turn has not come stay where they are, and no new round begins."""
    if chosen(parts.config.execution) == "vmap":
        return _Vmapped(parts, constants, seeds, stopped)
    return _Threads(parts, constants, seeds, stopped)


def kind_of(parts: Parts, round_number: int) -> tuple[bool, bool]:
    """How a round acts and whether it learns: the first of each kind compiles."""
    return _is_all_random(parts, round_number), _learns(parts, round_number)


def _learns(parts: Parts, round_number: int) -> bool:
    config = parts.config
    if config.on_policy:
        return True
    return (round_number + 1) * config.steps_per_round >= config.learning_starts and config.updates_per_round > 0


def _is_random(parts: Parts, round_number: int, index: int) -> bool:
    """Whether the step at ``index`` of a round is still in the random phase."""
    config = parts.config
    if config.on_policy:
        return False
    return round_number * config.steps_per_round + index * config.environments_per_seed < config.random_steps


def _is_all_random(parts: Parts, round_number: int) -> bool:
    return _is_random(parts, round_number, _step_indices(parts)[-1])


def _step_indices(parts: Parts) -> range:
    return range(parts.config.steps_per_round // parts.config.environments_per_seed)


def _is_due(seed: Seed, round_number: int) -> bool:
    return seed.frozen is None and seed.next_round == round_number


def _freeze(parts: Parts, seed: Seed, round_number: int, fault: Fault, index: int | None = None) -> None:
    """Mark the seed at its first bad step: the step in a collection, else the end of the round."""
    config = parts.config
    done = round_number * config.steps_per_round
    step = done + (config.steps_per_round if index is None else index * config.environments_per_seed)
    # Another thread stores what belongs to a frozen seed as soon as it is one.
    seed.evidence = fault.evidence
    seed.frozen = Frozen(step, fault.cause)


def _record(
    parts: Parts,
    seed: Seed,
    round_number: int,
    names: Sequence[str],
    values: np.ndarray,
    experience: Experience | None = None,
) -> None:
    """One row of metrics; a round that went non-finite freezes the seed and says which quantities did."""
    assert isinstance(seed.environments, EnvironmentBatch)
    finished = seed.environments.drain_finished()
    row = {
        "seed": seed.number,
        "round": round_number,
        "step": (round_number + 1) * parts.config.steps_per_round,
        "episode_return": float(np.mean([e.total_reward for e in finished])) if finished else np.nan,
        "episode_length": float(np.mean([e.length for e in finished])) if finished else np.nan,
    }
    metrics = dict(zip(names, values.tolist(), strict=True))
    finite = metrics.pop("finite", 1.0)
    seed.newest = row | metrics
    seed.add_metrics(seed.newest)
    if finite == 0.0:
        bad = [name for name, value in metrics.items() if not np.isfinite(value)]
        cause = f"{NON_FINITE} {', '.join(bad) or 'parameters'}"
        _freeze(parts, seed, round_number, Fault(cause, evidence_of(experience)))
    seed.next_round = round_number + 1


def _uniform_actions(parts: Parts, seed: Seed, round_number: int) -> np.ndarray:
    """[steps, lanes, A] float32; empty where no step of the round is in the random phase."""
    if not _is_random(parts, round_number, 0):
        return np.empty(0, np.float32)
    return random_actions(parts.config, seed, round_number)


def _takes(parts: Parts, seed: Seed, recorder: Recorder, round_number: int, index: int, action: np.ndarray) -> bool:
    """Step the seed's environments; False where that froze it."""
    try:
        recorder.take(seed, index, action)
    except Fault as fault:
        _freeze(parts, seed, round_number, fault, index)
        return False
    return True


def _experience(parts: Parts, seed: Seed, recorder: Recorder, round_number: int) -> Experience | None:
    """What the seed learns from in the round; None where that froze it."""
    experience = draw_experience(parts.config, seed, recorder.fresh, round_number)
    try:
        check_experience(experience)
    except Fault as fault:
        _freeze(parts, seed, round_number, fault)
        return None
    return experience


class _VectorRound:
    """A round with its metrics as one vector, which crosses to the host in one transfer."""

    def __init__(self, round_function: Callable[..., tuple[TrainState, Metrics]]):
        self._round = round_function
        self.names: list[str] = []
        """Of the vector's entries; known once the round has been traced."""

    def vector_round(self, *arguments: Any) -> tuple[TrainState, Array]:
        state, metrics = self._round(*arguments)
        self.names = sorted(metrics)
        return state, jnp.stack([metrics[name].astype(jnp.float32) for name in self.names])


class _Threads:
    """One compiled round for one seed, and as many threads as there are cores."""

    def __init__(self, parts: Parts, constants: Constants, seeds: Sequence[Seed], stopped: Callable[[], bool]):
        self._parts, self._constants, self._stopped = parts, constants, stopped
        self._round = _VectorRound(in_full_precision(make_round(parts)))
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
        if idle and not self._has_compiled and _learns(self._parts, idle[0].next_round):
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
        if not _learns(parts, round_number):
            _record(parts, seed, round_number, [], np.empty(0))
            return
        experience = _experience(parts, seed, recorder, round_number)
        if experience is None:
            return
        keys = (seed.key(Purpose.DISCRIMINATOR, round_number), seed.key(Purpose.LEARNER, round_number))
        seed.state, vector = self._compiled_round(seed.state, self._constants, experience, *keys)
        _record(parts, seed, round_number, self._round.names, np.asarray(vector), experience)

    def _collected(self, seed: Seed, round_number: int) -> Recorder | None:
        """The steps of a round; None where one of them froze the seed."""
        recorder = Recorder(self._parts.config, seed)
        act = self._actor(seed, round_number)
        for index in _step_indices(self._parts):
            if not _takes(self._parts, seed, recorder, round_number, index, act(index)):
                return None
        return recorder

    def _actor(self, seed: Seed, round_number: int) -> Callable[[int], np.ndarray]:
        """A function of the step's index in the round that gives the seed's next actions, [lanes, A]."""
        parts, constants = self._parts, self._constants
        state = self.state(seed)
        if parts.config.on_policy:
            return host_actor(parts, constants, state, seed, round_number)
        key = seed.key(Purpose.ACT, round_number)
        uniform = _uniform_actions(parts, seed, round_number)

        def act(index: int) -> np.ndarray:
            if _is_random(parts, round_number, index):
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


class _Vmapped:
    """One compiled round for all seeds, whose states are stacked."""

    def __init__(self, parts: Parts, constants: Constants, seeds: Sequence[Seed], stopped: Callable[[], bool]):
        self._parts, self._constants, self._stopped = parts, constants, stopped
        self._round = _VectorRound(_held_where_inactive(in_full_precision(make_round(parts))))
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
        due = [(seed, recorders[seed.number]) for seed in seeds if _is_due(seed, round_number)]
        if parts.config.keeps_replay:
            for seed, recorder in due:
                seed.replay.add(recorder.steps, recorder.ended)
        if not _learns(parts, round_number):
            for seed, _ in due:
                _record(parts, seed, round_number, [], np.empty(0))
            return
        found = {seed.number: _experience(parts, seed, recorder, round_number) for seed, recorder in due}
        drawn = {number: experience for number, experience in found.items() if experience is not None}
        if not drawn:
            return
        vectors = self._learned(seeds, drawn, round_number)
        for seed, vector in zip(seeds, vectors, strict=True):
            if seed.number in drawn:
                _record(parts, seed, round_number, self._round.names, vector, drawn[seed.number])

    def _collected(self, seeds: Sequence[Seed], round_number: int) -> dict[int, Recorder]:
        """The steps of a round by seed; those of a seed that is frozen, or that one of them froze, are not whole."""
        recorders = {seed.number: Recorder(self._parts.config, seed) for seed in seeds}
        act = self._actor(seeds, round_number)
        for index in _step_indices(self._parts):
            for seed, action in zip(seeds, act(index), strict=True):
                if _is_due(seed, round_number):
                    _takes(self._parts, seed, recorders[seed.number], round_number, index, action)
        return recorders

    def _actor(self, seeds: Sequence[Seed], round_number: int) -> Callable[[int], np.ndarray]:
        """A function of the step's index in the round that gives the seeds' next actions, [seeds, lanes, A]."""
        parts, beside = self._parts, self._beside
        if beside is None:
            of_seed = [host_actor(parts, self._constants, self.state(seed), seed, round_number) for seed in seeds]
            return lambda index: np.stack([act_of_seed(index) for act_of_seed in of_seed])
        keys = self._key_of_round(self._keys[Purpose.ACT], round_number)
        uniform = [_uniform_actions(parts, seed, round_number) for seed in seeds]
        fetched = [] if _is_all_random(parts, round_number) else beside.fetch(self._states.learner)

        def act(index: int) -> np.ndarray:
            if _is_random(parts, round_number, index):
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


def _held_where_inactive(round_function: Callable[..., tuple[TrainState, Metrics]]) -> Callable[..., Any]:
    """A frozen seed in a vmapped round computes with the others and keeps its state."""

    def held(state: TrainState, *arguments: Any) -> tuple[TrainState, Metrics]:
        *rest, active = arguments
        updated, metrics = round_function(state, *rest)
        return jax.tree.map(lambda new, old: jnp.where(active, new, old), updated, state), metrics

    return held


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)
