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
from typing import Any, NamedTuple

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


class Execution(NamedTuple):
    """advance: (seeds, rounds, told) runs those rounds of every seed that has not done them, unless it is frozen;
    ``told(round number)`` is called in the caller's thread once no seed has that round before it any more.
    state: a seed's state now. each: runs host work for every seed. close: frees the threads."""

    advance: Callable[[Sequence[Seed], range, Callable[[int], None]], None]
    state: Callable[[Seed], TrainState]
    each: Callable[[Callable[[Seed], None], Sequence[Seed]], None]
    close: Callable[[], None]


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
        return _vmap(parts, constants, seeds, stopped)
    return _threads(parts, constants, seeds, stopped)


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


def _stacked(
    round_function: Callable[..., tuple[TrainState, Metrics]],
) -> tuple[Callable[..., Any], list[str]]:
    """The round with its metrics as one vector, which crosses to the host in one transfer; the names fill in at
    tracing."""
    names: list[str] = []

    def vector_round(*arguments: Any) -> tuple[TrainState, Array]:
        state, metrics = round_function(*arguments)
        names[:] = sorted(metrics)
        return state, jnp.stack([metrics[name].astype(jnp.float32) for name in names])

    return vector_round, names


def _threads(parts: Parts, constants: Constants, seeds: Sequence[Seed], stopped: Callable[[], bool]) -> Execution:
    vector_round, names = _stacked(in_full_precision(make_round(parts)))
    compiled_round = jax.jit(vector_round, donate_argnums=0)
    act = jax.jit(learner_act(parts))
    workers = min(len(seeds), usable_cores())
    pool = ThreadPoolExecutor(max_workers=workers)
    traced: list[bool] = []

    def advance_one(seed: Seed, round_number: int) -> None:
        assert seed.state is not None
        recorder = Recorder(parts.config, seed)
        key = seed.key(Purpose.ACT, round_number)
        uniform = random_actions(parts.config, seed, round_number)
        on_host = host_actor(parts, constants, seed.state, seed, round_number) if parts.config.on_policy else None
        for index in _step_indices(parts):
            if on_host is not None:
                action = on_host(index)
            elif _is_random(parts, round_number, index):
                action = uniform[index]
            else:
                action = np.asarray(
                    act(seed.state.learner, constants, seed.environments.observation, key, np.int32(index))
                )
            try:
                recorder.take(seed, index, action)
            except Fault as fault:
                _freeze(parts, seed, round_number, fault, index)
                return
        if parts.config.keeps_replay:
            seed.replay.add(recorder.steps, recorder.ended)
        if not _learns(parts, round_number):
            _record(parts, seed, round_number, [], np.empty(0))
            return
        experience = draw_experience(parts.config, seed, recorder.fresh, round_number)
        try:
            check_experience(experience)
        except Fault as fault:
            _freeze(parts, seed, round_number, fault)
            return
        keys = (seed.key(Purpose.DISCRIMINATOR, round_number), seed.key(Purpose.LEARNER, round_number))
        seed.state, vector = compiled_round(seed.state, constants, experience, *keys)
        _record(parts, seed, round_number, names, np.asarray(vector), experience)

    def advance(seeds: Sequence[Seed], rounds: range, told: Callable[[int], None]) -> None:
        running: dict[Future[None], Seed] = {}
        done = rounds.start
        while True:
            busy = {seed.number for seed in running.values()}
            # A seed that is being frozen still counts its own rounds: told() counts a frozen one's.
            going = [seed for seed in seeds if seed.frozen is None or seed.number in busy]
            reached = min((seed.next_round for seed in going), default=rounds.stop)
            while done < min(reached, rounds.stop):
                told(done)
                done += 1
            idle = [s for s in seeds if s.frozen is None and s.next_round in rounds and s.number not in busy]
            idle = [] if stopped() else sorted(idle, key=lambda seed: seed.next_round)
            room = workers - len(running)
            if idle and not traced and _learns(parts, idle[0].next_round):
                # The first seed compiles alone: two threads at once would compile the same program twice.
                room = 0 if running else 1
                traced.extend([True] * room)
            for seed in idle[:room]:
                running[pool.submit(advance_one, seed, seed.next_round)] = seed
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                future.result()

    def each(function: Callable[[Seed], None], seeds: Sequence[Seed]) -> None:
        list(pool.map(function, seeds))

    def state(seed: Seed) -> TrainState:
        assert seed.state is not None
        return seed.state

    return Execution(advance, state, each, pool.shutdown)


def _vmap(parts: Parts, constants: Constants, seeds: Sequence[Seed], stopped: Callable[[], bool]) -> Execution:
    vector_round, names = _stacked(_held_where_inactive(in_full_precision(make_round(parts))))
    compiled_round = jax.jit(jax.vmap(vector_round, in_axes=(0, None, 0, 0, 0, 0)), donate_argnums=0)
    cpu = _cpu()
    position = {seed.number: index for index, seed in enumerate(seeds)}
    on_policy = parts.config.on_policy
    stacked = _stack([seed.state for seed in seeds])
    home = jax.tree.leaves(stacked)[0].sharding
    # Committed to its device, since the keys are: otherwise the second round would compile again.
    stack = {"state": jax.device_put(stacked, home)}
    for seed in seeds:
        seed.state = None
    beside = None if on_policy else actor_beside(parts, constants, stack["state"].learner, cpu)
    key_of_round = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(0, None)))
    keys = {purpose: jax.device_put(_stack([seed.keys[purpose] for seed in seeds]), cpu) for purpose in seeds[0].keys}

    def collect(seeds: Sequence[Seed], round_number: int) -> list[Recorder]:
        recorders = [Recorder(parts.config, seed) for seed in seeds]
        act_keys = key_of_round(keys[Purpose.ACT], round_number)
        fetched = beside.fetch(stack["state"].learner) if beside and not _is_all_random(parts, round_number) else []
        uniform = [random_actions(parts.config, seed, round_number) for seed in seeds]
        on_host = [host_actor(parts, constants, state(seed), seed, round_number) for seed in seeds if on_policy]
        for index in _step_indices(parts):
            if on_policy:
                actions = np.stack([act_of_seed(index) for act_of_seed in on_host])
            elif _is_random(parts, round_number, index):
                actions = np.stack([draws[index] for draws in uniform])
            else:
                assert beside is not None
                observations = np.stack([seed.environments.observation for seed in seeds])
                actions = beside.act(fetched, observations, act_keys, index)
            for seed, recorder, action in zip(seeds, recorders, actions, strict=True):
                if _is_due(seed, round_number):
                    try:
                        recorder.take(seed, index, action)
                    except Fault as fault:
                        _freeze(parts, seed, round_number, fault, index)
        return recorders

    def advance(seeds: Sequence[Seed], rounds: range, told: Callable[[int], None]) -> None:
        for round_number in rounds:
            if stopped():
                return
            advance_all(seeds, round_number)
            told(round_number)

    def advance_all(seeds: Sequence[Seed], round_number: int) -> None:
        recorders = collect(seeds, round_number)
        due = {s.number: r for s, r in zip(seeds, recorders, strict=True) if _is_due(s, round_number)}
        for seed in seeds:
            if seed.number in due and parts.config.keeps_replay:
                seed.replay.add(due[seed.number].steps, due[seed.number].ended)
        vectors: np.ndarray = np.empty((len(seeds), 0))
        drawn: dict[int, Experience] = {}
        for seed in seeds:
            if seed.number in due and _learns(parts, round_number):
                drawn[seed.number] = draw_experience(parts.config, seed, due[seed.number].fresh, round_number)
                try:
                    check_experience(drawn[seed.number])
                except Fault as fault:
                    _freeze(parts, seed, round_number, fault)
                    del due[seed.number], drawn[seed.number]
        if drawn:
            # A seed that stands still computes on another's experience, and its state is held.
            filler = next(iter(drawn.values()))
            batches = jax.tree.map(lambda *x: np.stack(x), *[drawn.get(seed.number, filler) for seed in seeds])
            drawn_keys = (key_of_round(keys[p], round_number) for p in (Purpose.DISCRIMINATOR, Purpose.LEARNER))
            learn_keys = jax.device_put(list(drawn_keys), home)
            active = np.array([seed.number in due for seed in seeds])
            stack["state"], result = compiled_round(stack["state"], constants, batches, *learn_keys, active)
            vectors = np.asarray(result)
        for seed, vector in zip(seeds, vectors, strict=True):
            if seed.number in due:
                _record(parts, seed, round_number, names if vector.size else [], vector, drawn.get(seed.number))

    def state(seed: Seed) -> TrainState:
        return jax.tree.map(lambda x: x[position[seed.number]], stack["state"])

    def each(function: Callable[[Seed], None], seeds: Sequence[Seed]) -> None:
        for seed in seeds:
            function(seed)

    return Execution(advance, state, each, lambda: None)


def _held_where_inactive(round_function: Callable[..., tuple[TrainState, Metrics]]) -> Callable[..., Any]:
    """A frozen seed in a vmapped round computes with the others and keeps its state."""

    def held(state: TrainState, *arguments: Any) -> tuple[TrainState, Metrics]:
        *rest, active = arguments
        updated, metrics = round_function(state, *rest)
        return jax.tree.map(lambda new, old: jnp.where(active, new, old), updated, state), metrics

    return held


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)
