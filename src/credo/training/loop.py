"""The run: rounds of all seeds, evaluations, checkpoints, and what is written to the run folder."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from credo import run_folder
from credo.config import RunConfig
from credo.demonstrations import Demonstrations
from credo.discriminator.credo import threshold_warning
from credo.discriminator.rewards import sign_warning
from credo.environments import EnvironmentSource, Workers, environment_spec, make_environment, source_name
from credo.environments.view import describe_view
from credo.experience import bytes_needed
from credo.policies import Policy, save_policy
from credo.training import checkpoint
from credo.training.evaluate import HeldOut, badness, evaluate, expert_probability, failed_row
from credo.training.execution import FAULTS, Execution, make_execution
from credo.training.seed import Frozen, Seed, make_seed, replay_slots
from credo.training.state import Constants, Parts, initial_state, make_constants, make_parts, policy_of
from credo.types import CredoError, EnvironmentSpec

SPLIT_SEED = 0
"""Which episodes are held out is the same for every seed of every run."""

MEASURED_EPISODES = 10
"""Held-out episodes that evaluations compare with, at most: more cost time and change little."""


@dataclass
class Progress:
    """What a watcher may look at after every round."""

    config: RunConfig
    seeds: Sequence[Seed]
    round: int = 0
    """Rounds done."""
    started: float = field(default_factory=time.monotonic)
    first_round: int = 0
    """The round that this process began with."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def steps_per_second(self) -> float:
        """Environment steps per second over all seeds, since this process began."""
        done = (self.round - self.first_round) * self.config.steps_per_round * len(self.seeds)
        return done / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        done = self.round - self.first_round
        return self.seconds / done * (self.config.rounds - self.round) if done else np.nan


@dataclass
class Watcher:
    """How a run tells of itself: ``line`` gets one-line messages, ``progress`` is called after every round."""

    line: Callable[[str], None] = lambda line: None
    progress: Callable[[Progress], None] = lambda progress: None


def check_memory(config: RunConfig, spec: EnvironmentSpec, available: int | None = None, logged: int = 0) -> None:
    """Refuse, before training starts, a replay that cannot fit (CredoError with the arithmetic)."""
    if available is None:
        available = _available_memory()
    slots = replay_slots(config, logged)
    each = bytes_needed(slots, spec.observation_size, spec.action_size)
    needed = each * config.seeds
    if needed > 0.9 * available:
        raise CredoError(
            f"replay_capacity: {config.seeds} seeds x {slots:,} transitions x {each / slots:.0f} bytes = "
            f"{needed / 2**30:.1f} GiB does not fit in the {available / 2**30:.1f} GiB that are free; "
            "lower --replay-capacity, --seeds or --steps"
        )


def announce(config: RunConfig, spec: EnvironmentSpec, watcher: Watcher) -> None:
    """One line each on settings that work but probably not as meant."""
    if not config.adversarial:
        return
    for line in (
        threshold_warning(config.credo, config.reward),
        sign_warning(config.reward, spec.name),
    ):
        if line:
            watcher.line(f"note: {line}")


def _available_memory() -> int:
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as file:
        return int(next(line for line in file if line.startswith("MemAvailable")).split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def train(
    config: RunConfig,
    source: EnvironmentSource,
    demonstrations: Demonstrations | None,
    folder: Path,
    watcher: Watcher | None = None,
    logged: Demonstrations | None = None,
) -> str:
    """Train all seeds of a run in its folder (made by ``run_folder.create``), going on from its newest checkpoint.

    ``demonstrations`` is None with the environment's own reward; ``logged`` is what each replay begins with. Returns
    "done" or "interrupted"; Ctrl-C and SIGTERM stop after the round under way, and a checkpoint of it is kept. A seed
    that turns non-finite is frozen and the others go on.
    """
    watcher = watcher or Watcher()
    environment = make_environment(source)
    spec = environment_spec(environment, source_name(source))
    environment.close()
    check_memory(config, spec)
    parts = make_parts(config, spec)
    constants, held_out = _prepare(parts, demonstrations)
    workers = Workers(config.environment_workers, config.environment_timeout) if config.environment_workers else None
    seeds: list[Seed] = []
    try:
        seeds += [make_seed(config, source, n, initial_state(parts, n), workers, logged) for n in config.seed_numbers]
        if note := seeds[0].environments.seeding_note():
            watcher.line(f"note: {note}")
        with _stop_signal() as stopped:
            return _Run(parts, constants, held_out, folder, seeds, watcher).run(stopped)
    finally:
        for seed in seeds:
            seed.environments.close()
            seed.evaluator.close()
        if workers is not None:
            workers.close()


def _prepare(parts: Parts, demonstrations: Demonstrations | None) -> tuple[Constants, HeldOut | None]:
    config, spec = parts.config, parts.spec
    if demonstrations is None:
        empty = np.zeros((0, spec.observation_size)), np.zeros((0, spec.action_size))
        return make_constants(parts, None, *empty), None
    kept, held = demonstrations, demonstrations
    if config.held_out > 0:
        split = demonstrations.split_held_out(config.held_out, SPLIT_SEED)
        kept, held = split.training, split.held_out
    if held.episodes > MEASURED_EPISODES:
        held = held.select_episodes(range(MEASURED_EPISODES))
    mean, std = kept.statistics()
    statistics = (mean, std) if config.normalise_observations else None
    constants = make_constants(parts, statistics, kept.observation, kept.action)
    horizon = spec.max_episode_steps or int(max(demonstrations.lengths))
    # An episode that was cut, not ended, would have gone on: only termination counts as time lost.
    fell = held.terminated[held.episode_start[1:] - 1]
    lengths = np.where(fell, held.lengths, horizon)
    return constants, HeldOut(held.observation, held.action, lengths, mean, std, horizon)


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C interrupts at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """The loop and its bookkeeping."""

    def __init__(
        self,
        parts: Parts,
        constants: Constants,
        held_out: HeldOut | None,
        folder: Path,
        seeds: list[Seed],
        watcher: Watcher,
    ):
        self.parts, self.constants, self.held_out = parts, constants, held_out
        self.folder, self.seeds, self.watcher = folder, seeds, watcher
        self.config = parts.config
        self.part_counts = {run_folder.METRICS: 0, run_folder.EVALUATIONS: 0}
        self.seconds_before = 0.0
        self.probability = expert_probability(parts)

    def run(self, stopped: threading.Event) -> str:
        self._resume()
        first = min([s.next_round for s in self.seeds if s.frozen is None], default=self.config.rounds)
        execution = make_execution(self.parts, self.constants, self.seeds)
        progress = Progress(self.config, self.seeds, first, first_round=first)
        (self.folder / run_folder.DONE).unlink(missing_ok=True)
        self._write_summary("running", progress)
        try:
            for round_number in range(first, self.config.rounds):
                self._round(execution, round_number)
                progress.round = round_number + 1
                # Asked once a round: a signal that comes later in it has to find a checkpoint of the next.
                ending = stopped.is_set() or all(seed.frozen for seed in self.seeds)
                at_end = ending or progress.round == self.config.rounds
                if at_end or self._crosses(round_number, self.config.checkpoint_interval):
                    self._flush()
                    self._checkpoint(execution, progress)
                elif self._crosses(round_number, self.config.evaluation_interval):
                    self._flush()
                    self._write_summary("running", progress)
                self.watcher.progress(progress)
                if ending:
                    break
            complete = progress.round == self.config.rounds or all(seed.frozen for seed in self.seeds)
            state = "done" if complete else "interrupted"
            self._flush()
            self._write_policies(execution)
            self._write_summary(state, progress)
            if complete:
                (self.folder / run_folder.DONE).touch()
            return state
        finally:
            execution.close()

    def _resume(self) -> None:
        loaded = checkpoint.load(self.folder, self.seeds, self.config.rounds)
        position: dict[str, Any] = {}
        if loaded is not None:
            position, notes = loaded
            for note in notes:
                self.watcher.line(note)
            self.part_counts = dict(position["parts"])
            self.seconds_before = position["seconds"]
        for kind, count in self.part_counts.items():
            run_folder.drop_parts_from(self.folder, kind, count)

    def _round(self, execution: Execution, round_number: int) -> None:
        present = [seed for seed in self.seeds if seed.next_round == round_number]
        due = [seed for seed in present if seed.frozen is None]
        execution.advance(self.seeds, round_number)
        for seed in present:
            # A frozen seed's rounds count too: it has one failed evaluation for each that the others have.
            seed.next_round = round_number + 1
            while seed.environments.notes:
                self.watcher.line(f"note: {seed.environments.notes.pop(0)}")
        last = round_number + 1 == self.config.rounds
        if last or self._crosses(round_number, self.config.evaluation_interval):
            execution.each(lambda seed: self._evaluate(execution, seed, round_number), present)
        for seed in due:
            if seed.frozen is not None:
                self.watcher.line(
                    f"seed {seed.number} is frozen at step {seed.frozen.step:,}: {seed.frozen.cause}; the others go on"
                )

    def _crosses(self, round_number: int, interval: int) -> bool:
        """Whether a multiple of ``interval`` steps lies in this round."""
        size = self.config.steps_per_round
        return (round_number + 1) * size // interval > round_number * size // interval

    def _evaluate(self, execution: Execution, seed: Seed, round_number: int) -> None:
        step = (round_number + 1) * self.config.steps_per_round
        row: dict[str, float] = {"seed": seed.number, "round": round_number, "step": step}
        if seed.frozen is not None:
            seed.evaluations.append(row | failed_row())
            return
        state = execution.state(seed)
        policy = self._policy(seed, state, step)
        try:
            row |= evaluate(self.parts, self.constants, seed, state, policy, self.held_out, self.probability)
        except FAULTS as error:
            seed.frozen = Frozen(step, f"in evaluation: {error}")
            seed.evaluations.append(row | failed_row())
            return
        seed.evaluations.append(row)
        seed.last = row
        if seed.best is None or badness(row) < badness(seed.best):
            seed.best = row
            self._save(policy, seed, "best")

    def _policy(self, seed: Seed, state: Any, step: int) -> Policy:
        about = {"learner": self.config.learner, "seed": str(seed.number), "steps": str(step)}
        about |= describe_view(self.config.observation_keys, self.config.frame_stack)
        return policy_of(self.parts, self.constants, state, about)

    def _save(self, policy: Policy, seed: Seed, which: str) -> None:
        path = run_folder.policy_path(self.folder, seed.number, which)
        path.parent.mkdir(exist_ok=True)
        save_policy(path, policy)

    def _write_policies(self, execution: Execution) -> None:
        for seed in self.seeds:
            policy = self._policy(seed, execution.state(seed), self._steps_done(seed))
            self._save(policy, seed, "last")

    def _steps_done(self, seed: Seed) -> int:
        return seed.frozen.step if seed.frozen else seed.next_round * self.config.steps_per_round

    def _flush(self) -> None:
        for kind in self.part_counts:
            rows = [row for seed in self.seeds for row in getattr(seed, kind)]
            if rows:
                run_folder.write_part(self.folder, kind, self.part_counts[kind], rows)
                self.part_counts[kind] += 1
            for seed in self.seeds:
                getattr(seed, kind).clear()

    def _checkpoint(self, execution: Execution, progress: Progress) -> None:
        position = {"parts": self.part_counts, "seconds": self.seconds_before + progress.seconds}
        checkpoint.save(self.folder, progress.round, self.seeds, execution.state, position)
        self._write_summary("running", progress)

    def _write_summary(self, state: str, progress: Progress) -> None:
        def describe(seed: Seed) -> dict[str, Any]:
            best, last = seed.best or {}, seed.last or {}
            return {
                "steps": self._steps_done(seed),
                "frozen": seed.frozen and seed.frozen._asdict(),
                "selected_step": best.get("step"),
                "selected_return": best.get("return_mean"),
                "selected_badness": badness(best) if best else None,
                "final_return": last.get("return_mean"),
            }

        run_folder.write_json(
            self.folder / run_folder.SUMMARY,
            {
                "state": state,
                "steps": progress.round * self.config.steps_per_round,
                "wall_seconds": round(self.seconds_before + progress.seconds, 1),
                "seeds": {str(seed.number): describe(seed) for seed in self.seeds},
            },
        )
