"""Where the runs of studies lie, and how far they are: files alone tell. Imports no JAX.

ROOT/store/ID/               one run folder per identity: studies share it
ROOT/store/leases/ID/        who works on it
ROOT/store/failures/ID.json  why its last start failed
ROOT/studies/NAME/           what its study is remembered by (``credo.studies.record``)
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from credo import run_folder
from credo.config import RunConfig, run_id
from credo.files import check_folder, make_folder, read_json
from credo.preparation import prepare
from credo.run_folder import write_json
from credo.studies import lease
from credo.studies.read import MethodRun
from credo.studies.study import Cell, Study
from credo.types import CredoError

DONE, RUNNING, FAILED, STOPPED, WAITING = "done", "running", "failed", "stopped", "waiting"
STATES = (DONE, RUNNING, FAILED, STOPPED, WAITING)
_HASHES = ("sha256", "seed_replay_sha256")


class Placed(NamedTuple):
    """A cell and where its run lies."""

    cell: Cell
    run: str | None
    """Identity of its run; None where its demonstrations are not known (yet)."""
    problem: str | None = None
    """Why they cannot be."""


def part_of(store: Store, placed: Placed) -> MethodRun:
    """What of a run is a cell's: other studies may give it more steps and seeds."""
    assert placed.run is not None
    cell = placed.cell
    return MethodRun(
        cell.method, cell.environment, store.folder(placed.run), cell.config.steps, cell.config.seed_numbers
    )


class Progress(NamedTuple):
    """How far a cell is."""

    state: str
    """One of ``STATES``."""
    steps: int
    """Environment steps done of those wanted, over all seeds."""
    steps_wanted: int
    seconds: float
    """Wall-clock of its run so far, whoever asked for it."""
    run_steps: int
    """Environment steps of its run over all seeds, which may be more than this study wants."""
    about: str = ""
    """Who works on it, or why it failed."""


@dataclasses.dataclass(frozen=True)
class Store:
    """A folder of runs that studies share."""

    root: Path
    stale_after: float = lease.STALE_AFTER

    def folder(self, run: str) -> Path:
        return self.root / "store" / run

    def leases(self, run: str) -> Path:
        return self.root / "store" / "leases" / run

    def failure(self, run: str) -> Path:
        return self.root / "store" / "failures" / f"{run}.json"

    def study(self, name: str) -> Path:
        return self.root / "studies" / name

    def check_writable(self, name: str) -> None:
        """CredoError where the study of this name could not be run here: there is no such folder and none can be made,
        or it may not be written to."""
        for folder in (self.root / "store", self.study(name)):
            check_folder(folder, "out")

    def write_failure(self, run: str, line: str, refused: bool = False) -> None:
        make_folder(self.failure(run).parent, "out")
        write_json(self.failure(run), {"error": line, "refused": refused})

    def forget_failure(self, run: str) -> None:
        try:
            self.failure(run).unlink(missing_ok=True)
        except OSError as error:
            raise CredoError(f"{self.failure(run)}: cannot be removed ({error.strerror or error})") from None

    def refused(self, placed: Placed) -> bool:
        """Whether a failed cell was given what cannot work: its last start was refused, and did not break."""
        if placed.run is None:
            return placed.problem is not None
        with contextlib.suppress(CredoError):
            return read_json(self.failure(placed.run)).get("refused") is True
        return False

    def progress(self, placed: Placed) -> Progress:
        """How far a cell is, from its files."""
        config, run = placed.cell.config, placed.run
        wanted = config.rounds * config.steps_per_round * config.seeds
        if run is None:
            return Progress(FAILED if placed.problem else WAITING, 0, wanted, 0.0, 0, placed.problem or "")
        summary: dict[str, Any] = {}
        with contextlib.suppress(CredoError):
            summary = run_folder.read_summary(self.folder(run))
        done, complete = seed_steps(summary, config)
        told = summary.get("seeds") or {}
        run_steps = sum(int(seed.get("steps") or 0) for seed in told.values() if isinstance(seed, dict))
        seconds = float(summary.get("wall_seconds") or 0.0)
        if complete:
            state, about = DONE, ""
        elif (holder := lease.current(self.leases(run))) is not None and holder.holds(self.stale_after):
            state, about = RUNNING, str(holder)
        elif self.failure(run).exists():
            state, about = FAILED, _failure(self.failure(run))
        else:
            state, about = (STOPPED if done else WAITING), ""
        return Progress(state, done, wanted, seconds, run_steps, about)

    def wanted(self, placed: Placed) -> RunConfig:
        """The configuration to run a cell with: its own, but never fewer seeds than its run has already, nor fewer
        steps than it has done: other studies share it. Where seeds that nobody asked for lie between its seeds and the
        run's, it is its own seeds: the others stay as they are."""
        config = placed.cell.config
        if placed.run is None or not (self.folder(placed.run) / run_folder.CONFIG).exists():
            return config
        stored, _ = run_folder.read_config(self.folder(placed.run))
        first = min(stored.first_seed, config.first_seed)
        last = max(stored.seed_numbers[-1], config.seed_numbers[-1])
        apart = last - first + 1 > stored.seeds + config.seeds
        if apart:
            first, last = config.first_seed, config.seed_numbers[-1]
        # The run's own steps: its frozen seeds stand where they were frozen, and its checkpoint does not.
        summary = run_folder.read_summary(self.folder(placed.run))
        seeds = summary.get("seeds") or {}
        told = [{} if apart else summary, *(seeds.get(str(number)) or {} for number in range(first, last + 1))]
        steps = max(config.steps, *(int(one.get("steps") or 0) for one in told))
        return dataclasses.replace(config, first_seed=first, seeds=last - first + 1, steps=steps)


def seed_steps(summary: dict[str, Any], config: RunConfig) -> tuple[int, bool]:
    """(steps done of those that ``config`` wants, over its seeds; whether that is all). A frozen seed has done all, and
    so has a clone that is done, whose steps are minibatches and stop by themselves."""
    wanted = config.rounds * config.steps_per_round
    told = summary.get("seeds") or {}
    cloned = config.clones and summary.get("state") == "done"
    done = []
    for number in config.seed_numbers:
        seed = told.get(str(number)) or {}
        whole = seed.get("frozen") or (cloned and seed.get("steps"))
        done.append(wanted if whole else min(int(seed.get("steps") or 0), wanted))
    return sum(done), all(steps == wanted for steps in done)


def place(
    study: Study,
    known: dict[str, str],
    line: Callable[[str], None] = lambda line: None,
    reads: Container[str] | None = None,
) -> tuple[Placed, ...]:
    """Where each cell's run lies. ``known`` holds the SHA-256 of what cells are trained on (``trained_on``), and is
    filled with what cells named in ``reads`` (None: all) lack, which is read for them."""
    problems: dict[str, str] = {}
    refused: dict[tuple[str, ...], str] = {}
    for cell in study.cells:
        wanted = trained_on(cell.config)
        lacking = [name for name in wanted.values() if name not in known]
        if lacking and (reads is None or cell.name in reads):
            # What one environment cannot be trained on, or its name alone, says nothing of another's cells.
            asked = (cell.config.environment, *lacking)
            if asked not in refused:
                try:
                    reading = partial(line, f"reading {', '.join(lacking)}")
                    described = prepare(cell.config, reading=reading).described
                    known |= {name: str(described[what]) for what, name in wanted.items()}
                except CredoError as error:
                    refused[asked] = str(error)
            if asked in refused:
                problems[cell.name] = refused[asked]
    placed = []
    for cell in study.cells:
        wanted = trained_on(cell.config)
        if cell.name not in problems and all(name in known for name in wanted.values()):
            placed.append(Placed(cell, run_id(cell.config, *(known.get(wanted.get(w, ""), "") for w in _HASHES))))
        else:
            placed.append(Placed(cell, None, problems.get(cell.name)))
    return tuple(placed)


def trained_on(config: RunConfig) -> dict[str, str]:
    """What to call the demonstrations and the logged transitions of a run, by the name of their hash: data that are
    shown in another way are other data."""
    view = f" (shown as {','.join(config.observation_keys) or 'they are'}, {config.frame_stack} frames)"
    names = {
        "sha256": config.demonstrations if config.imitates else "",
        "seed_replay_sha256": f"logged transitions {config.seed_replay}" if config.seed_replay else "",
    }
    return {what: name + (view if config.view else "") for what, name in names.items() if name}


def _failure(path: Path) -> str:
    try:
        return str(read_json(path).get("error", "unknown"))
    except CredoError as error:
        return str(error)
