"""The run: rounds of all seeds, evaluations, checkpoints, and what is written to the run folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from credo import run_folder
from credo.config import RunConfig
from credo.demonstrations import Demonstrations
from credo.diagnostics.frozen import cause_in_short
from credo.diagnostics.selection import badness
from credo.environments import EnvironmentBatch, EnvironmentFaultError, EnvironmentSource, Workers, specification
from credo.files import write_atomically
from credo.policies import Policy
from credo.policies.view import describe_view
from credo.training.checkpoint import Checkpoints, named
from credo.training.checks import check_memory
from credo.training.clone import StateCloner, clone_seeds, make_state_cloner
from credo.training.evaluate import HeldOut, apart_note, divided, evaluate, expert_probability, failed_row
from credo.training.execution import Execution, make_execution
from credo.training.faults import Fault, environment_fault, keep_evidence
from credo.training.record import Record
from credo.training.rounds import kind_of
from credo.training.seed import Frozen, Seed, make_seed
from credo.training.state import (
    Constants,
    Parts,
    TrainState,
    initial_state,
    make_parts,
    policy_of,
)
from credo.training.stopping import Stop, StoppedError
from credo.training.watching import Progress, Watcher
from credo.types import CredoError, EnvironmentSpec


def train(
    config: RunConfig,
    source: EnvironmentSource,
    demonstrations: Demonstrations | None,
    folder: Path,
    watcher: Watcher | None = None,
    spec: EnvironmentSpec | None = None,
    logged: Demonstrations | None = None,
) -> str:
    """Train all seeds of a run in its folder (made by ``run_folder.create``), going on from its newest checkpoint.

    ``demonstrations`` is None with the environment's own reward; ``spec`` is the environment's where it is known,
    ``logged`` what each replay begins with.
    Returns "done", or "interrupted" (Ctrl-C) or "terminated" (SIGTERM: the caller should end at once), which stop after
    the round under way and keep a checkpoint of it.
    A seed whose numbers turn non-finite, or whose environment fails, is frozen and the others go on.
    """
    watcher = watcher or Watcher()
    spec = specification(source) if spec is None else spec
    check_memory(config, spec, logged=0 if logged is None else len(logged))
    parts = make_parts(config, spec)
    constants, held_out = divided(parts, demonstrations)
    workers = Workers(config.environment_workers, config.environment_timeout) if config.environment_workers else None
    seeds: list[Seed] = []
    try:
        for number in config.seed_numbers:
            seeds.append(make_seed(config, source, number, initial_state(parts, number), workers, logged))
        for note in (seeds[0].environments.seeding_note(), None if config.clones else apart_note(held_out)):
            if note:
                watcher.line(f"note: {note}")
        stop = Stop()
        with stop.listening():
            run = _Run(parts, constants, held_out, folder, seeds, watcher, stop)
            if config.needs_clone:
                assert demonstrations is not None
                run.cloner = make_state_cloner(parts, constants, demonstrations)
            state = run.clone() if config.clones else run.run()
        return "terminated" if state == "interrupted" and stop.hurried else state
    finally:
        for seed in seeds:
            for opened in (seed.environments, seed.evaluator):
                with contextlib.suppress(Exception):  # one that has failed may fail again, and the others wait
                    opened.close()
        if workers is not None:
            workers.close()


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
        stop: Stop,
    ):
        self.parts, self.constants, self.held_out = parts, constants, held_out
        self.folder, self.seeds, self.watcher, self.stop = folder, seeds, watcher, stop
        self.config = parts.config
        self.checkpoints = Checkpoints(folder)
        self.record = Record(folder, parts.config)
        self.seconds_before = 0.0
        self.probability = expert_probability(parts)
        self.cloner: StateCloner | None = None
        self.announced: set[int] = set()
        """Seeds that were said to be frozen."""

    def run(self) -> str:
        with self.stop.at_once():
            position = self._load()
            if (self.folder / run_folder.DONE).exists() and all(s.next_round >= self.config.rounds for s in self.seeds):
                again = "; to try frozen seeds again give another --out" if any(s.frozen for s in self.seeds) else ""
                self.watcher.line(f"it is done already: more --steps or --seeds would go on with it{again}")
                return "done"
            self._refuse_where_none_begins()
            self.record.go_on(position.get("parts", self.record.parts), self.seeds)
        if not self._warm_start():
            self._summarise("interrupted", Progress(self.config, self.seeds))
            return "interrupted"
        active = [seed.next_round for seed in self.seeds if seed.frozen is None]
        first = min(active, default=self.config.rounds)
        execution = make_execution(self.parts, self.constants, self.seeds, self.stop.is_set)
        progress = Progress(self.config, self.seeds, first, first_round=first)
        (self.folder / run_folder.DONE).unlink(missing_ok=True)
        self._summarise("running", progress)
        try:
            with self.stop.at_once():
                self._evaluate_all(execution)
            for seed in self.seeds:
                self._fail_until(seed, first)
            self._tell_frozen(execution.state)
            self._rounds(execution, progress)
            return self._finish(execution, progress)
        finally:
            execution.close()

    def _refuse_where_none_begins(self) -> None:
        """CredoError where the environments of all seeds failed at their first reset."""
        causes = [f.cause for s in self.seeds if (f := s.frozen) is not None and f.step == 0 and not f.numerical]
        if len(causes) == len(self.seeds):
            raise CredoError(f"environment: no seed can begin; {causes[0]}")

    def clone(self) -> str:
        """The baseline of behavioural cloning: all seeds one after the other, each evaluated once, without an
        environment step of its own. ``step`` counts minibatches. A seed that was stopped is done again from the
        beginning; those that are done stay as they are."""
        assert self.cloner is not None
        parts, done = self.record.clones()
        left = [seed for seed in self.seeds if seed.number not in done]
        if not left and (self.folder / run_folder.DONE).exists():
            return "done"
        self._refuse_where_none_begins()
        self.record.go_on(dict.fromkeys(self.record.parts, parts), [])
        self.seeds = left
        progress = Progress(self.config, self.seeds)
        (self.folder / run_folder.DONE).unlink(missing_ok=True)
        self._summarise("running", progress)
        for seed, state, found in clone_seeds(self.cloner, self.seeds, self.config.bc.epochs, self.stop, self.watcher):
            for epoch in found.epochs:
                about = {"seed": seed.number, "round": epoch.number, "step": epoch.updates}
                seed.add_metrics(about | {"held_out_loss": epoch.held_out_loss} | epoch.metrics)
            place: dict[str, float] = {"seed": seed.number, "round": found.best.number, "step": found.best.updates}
            if not self._judge(seed, state, place):
                seed.metrics.clear()
                break
            self._tell_frozen(lambda frozen: frozen.state)
            self.record.save(seed, self._policy(seed, state, found.best.updates), "last")
        complete = all(seed.evaluations for seed in self.seeds)
        self.record.flush(self.seeds)
        self._summarise("done" if complete else "interrupted", progress)
        if complete:
            write_atomically(self.folder / run_folder.DONE, b"")
        return "done" if complete else "interrupted"

    def _warm_start(self) -> bool:
        """Cloned actors for the seeds that begin; others have theirs. False where a stop came: it is done again."""
        if self.cloner is None:
            return True
        begin = [s for s in self.seeds if s.number not in self.checkpoints.seeds and s.frozen is None]
        cloned = list(clone_seeds(self.cloner, begin, self.config.bc.epochs, self.stop, self.watcher))
        return len(cloned) == len(begin)

    def _load(self) -> dict[str, Any]:
        loaded = self.checkpoints.load(self.seeds, self.config.rounds)
        self.announced = {seed.number for seed in self.seeds if seed.frozen is not None and seed.next_round}
        if loaded is None:
            return {}
        position, notes = loaded
        for note in notes:
            self.watcher.line(note)
        self.seconds_before = position["seconds"]
        return position

    def _rounds(self, execution: Execution, progress: Progress) -> None:
        kinds: set[tuple[bool, bool]] = set()
        while progress.round < self.config.rounds:
            if self.stop.is_set() or all(seed.frozen for seed in self.seeds):
                return
            rounds = self._span(progress.round, kinds)
            compiles = kind_of(self.parts, rounds.start) not in kinds
            kinds.add(kind_of(self.parts, rounds.start))
            with self.stop.at_once() if compiles else contextlib.nullcontext():
                self._advance(execution, rounds, progress)
            if compiles:
                progress.compiled()
            if progress.round < rounds.stop:
                return  # stopped
            if self._crosses(rounds[-1], self.config.checkpoint_interval) and progress.round < self.config.rounds:
                self._checkpoint(execution, progress)
            elif self._crosses(rounds[-1], self.config.evaluation_interval):
                self.record.flush(self.seeds)
                self._summarise("running", progress)
            self.watcher.progress(progress)

    def _span(self, first: int, kinds: set[tuple[bool, bool]]) -> range:
        """Rounds from ``first`` on in which seeds may run ahead of one another: up to the next that brings an
        evaluation or a checkpoint, before the next that compiles; one that compiles itself stands alone."""
        intervals = self.config.evaluation_interval, self.config.checkpoint_interval
        end = first + 1
        while (
            end < self.config.rounds
            and not any(self._crosses(end - 1, interval) for interval in intervals)
            and {kind_of(self.parts, end - 1), kind_of(self.parts, end)} <= kinds
        ):
            end += 1
        return range(first, end)

    def _advance(self, execution: Execution, rounds: range, progress: Progress) -> None:
        """Run these rounds and evaluate the last; where the run is stopped meanwhile, fewer of them."""
        present = [seed for seed in self.seeds if seed.next_round in rounds]

        def on_round(round_number: int) -> None:
            for seed in self.seeds:
                # A frozen seed's rounds count too: it has one failed evaluation for each that the others have.
                if seed.frozen is not None and seed.next_round == round_number:
                    seed.next_round = round_number + 1
                while seed.environments.notes:
                    self.watcher.line(f"note: {seed.environments.notes.pop(0)}")
            progress.round = round_number + 1
            if progress.round < rounds.stop:
                self._tell_frozen(execution.state)
                self.watcher.progress(progress)

        execution.advance(self.seeds, rounds, on_round)
        if self._crosses(rounds[-1], self.config.evaluation_interval):
            for seed in present:
                if seed.next_round == rounds.stop:
                    seed.unevaluated = rounds[-1]
        self._evaluate_all(execution)
        self._tell_frozen(execution.state)

    def _finish(self, execution: Execution, progress: Progress) -> str:
        if all(seed.frozen for seed in self.seeds):
            for seed in self.seeds:
                self._fail_until(seed, self.config.rounds)
            progress.round = self.config.rounds
        self._checkpoint(execution, progress)
        complete = all(s.next_round >= self.config.rounds and s.unevaluated is None for s in self.seeds)
        if complete and not self._crosses(self.config.rounds - 1, self.config.evaluation_interval):
            complete = self._evaluate_final(execution)
        for seed in self.seeds:
            policy = self._policy(seed, execution.state(seed), self.record.steps_done(seed))
            self.record.save(seed, policy, "last")
        self._summarise("done" if complete else "interrupted", progress)
        if complete:
            write_atomically(self.folder / run_folder.DONE, b"")
        return "done" if complete else "interrupted"

    def _evaluate_final(self, execution: Execution) -> bool:
        """Evaluate the end of a run between two of its evaluations. A longer run has no such row, and may keep another
        policy, so no checkpoint knows of it. False where the run was stopped meanwhile."""
        for seed in self.seeds:
            seed.unevaluated = self.config.rounds - 1
        self._evaluate_all(execution)
        self._tell_frozen(execution.state)
        if any(seed.unevaluated is not None for seed in self.seeds):
            return False
        for seed in self.seeds:
            self.record.write_final(seed)
        return True

    def _fail_until(self, seed: Seed, rounds: int) -> None:
        """Record as failed what evaluations a frozen seed would have had until ``rounds`` rounds."""
        while seed.frozen is not None and seed.next_round < rounds:
            if self._crosses(seed.next_round, self.config.evaluation_interval):
                seed.evaluations.append(self._place(seed, seed.next_round) | failed_row(seed.frozen.numerical))
            seed.next_round += 1

    def _tell_frozen(self, state: Callable[[Seed], Any]) -> None:
        for seed in self.seeds:
            if seed.frozen is None or seed.number in self.announced:
                continue
            self.announced.add(seed.number)
            cause = cause_in_short(seed.frozen.cause)
            left = "the others go on" if any(s.frozen is None for s in self.seeds) else "no seed is left"
            self.watcher.line(f"seed {seed.number} is frozen at step {seed.frozen.step:,}: {cause}; {left}")
            arrays = {f"state/{name}": array for name, array in named(state(seed)).items()}
            try:
                keep_evidence(self.folder, seed, arrays)
            except CredoError as error:
                self.watcher.line(f"what seed {seed.number} was frozen with is not kept: {error}")

    def _crosses(self, round_number: int, interval: int) -> bool:
        """Whether a multiple of ``interval`` steps lies in this round."""
        size = self.config.steps_per_round
        return (round_number + 1) * size // interval > round_number * size // interval

    def _evaluate_all(self, execution: Execution) -> None:
        """Evaluate the seeds that have a round to be evaluated; what a stop prevents is left for later."""
        due = [seed for seed in self.seeds if seed.unevaluated is not None]
        execution.each(lambda seed: self._evaluate(execution, seed), due)

    def _place(self, seed: Seed, round_number: int) -> dict[str, float]:
        return {"seed": seed.number, "round": round_number, "step": (round_number + 1) * self.config.steps_per_round}

    def _evaluate(self, execution: Execution, seed: Seed) -> None:
        assert seed.unevaluated is not None
        if self._judge(seed, execution.state(seed), self._place(seed, seed.unevaluated)):
            seed.unevaluated = None

    def _judge(self, seed: Seed, state: TrainState, row: dict[str, float]) -> bool:
        """Evaluate the seed in ``state``, record it in ``row`` and keep its policy if it is the best. False where a
        stop came meanwhile, and nothing is recorded."""
        if seed.frozen is None:
            policy = self._policy(seed, state, int(row["step"]))
            try:
                row |= evaluate(
                    self.parts, self.constants, seed, state, policy, self.held_out, self.probability, self.stop
                )
            except StoppedError:
                return False
            except Fault as fault:
                seed.frozen = Frozen(int(row["step"]), f"{fault.cause}, in an evaluation")
        if seed.frozen is not None:
            row |= failed_row(seed.frozen.numerical)
        else:
            seed.last = row
            if seed.best is None or badness(row) < badness(seed.best):
                seed.best, seed.best_policy = row, policy
                self.record.save(seed, policy, "best")
        seed.evaluations.append(row)
        return True

    def _policy(self, seed: Seed, state: Any, step: int) -> Policy:
        about = {"learner": self.config.learner, "seed": str(seed.number), "steps": str(step)}
        about |= describe_view(self.config.observation_keys, self.config.frame_stack)
        return policy_of(self.parts, self.constants, state, about)

    def _checkpoint(self, execution: Execution, progress: Progress) -> None:
        # Before anything is written: a process of environments may have died since its last step.
        states = [(seed.number, self._environments_of(seed)) for seed in self.seeds]
        environments = {number: state for number, state in states if state is not None}
        self._tell_frozen(execution.state)
        self.record.flush(self.seeds)
        position = {"parts": self.record.parts, "seconds": self.seconds_before + progress.seconds}
        self.checkpoints.save(progress.round, self.seeds, execution.state, environments, position)
        self._summarise("running", progress)

    def _environments_of(self, seed: Seed) -> dict[str, Any] | None:
        """The state of a seed's environments; None for a frozen seed, as it is from here on where they cannot tell."""
        if seed.frozen is not None:
            return None
        assert isinstance(seed.environments, EnvironmentBatch)
        try:
            return seed.environments.state()
        except EnvironmentFaultError as error:
            cause = f"{environment_fault(error, self.parts.spec.name).cause}, before a checkpoint"
            seed.frozen = Frozen(self.record.steps_done(seed), cause)
            return None

    def _summarise(self, state: str, progress: Progress) -> None:
        self.record.summarise(state, progress.round, self.seconds_before + progress.seconds, self.seeds)
