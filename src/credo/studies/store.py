"""Where the runs of studies lie, and how far they are: files alone tell. Imports no JAX.

ROOT/store/ID/               one run folder per identity: studies share it
ROOT/store/leases/ID/        who works on it
ROOT/store/failures/ID.json  why its last start failed
ROOT/studies/NAME/cells.json the cells when the study was last run
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from credo import run_folder
from credo.config import RunConfig, run_id, to_dict
from credo.files import read_json
from credo.preparation import prepare
from credo.run_folder import write_json
from credo.studies import lease
from credo.studies.comparisons import Comparison
from credo.studies.read import MethodRun
from credo.studies.study import Cell, Study
from credo.types import CredoError

DONE, RUNNING, FAILED, STOPPED, WAITING = "done", "running", "failed", "stopped", "waiting"
STATES = (DONE, RUNNING, FAILED, STOPPED, WAITING)
_FORMAT = 1
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

    def write_failure(self, run: str, line: str, refused: bool = False) -> None:
        self.failure(run).parent.mkdir(parents=True, exist_ok=True)
        write_json(self.failure(run), {"error": line, "refused": refused})

    def forget_failure(self, run: str) -> None:
        self.failure(run).unlink(missing_ok=True)

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
        holder = lease.current(self.leases(run))
        if complete:
            state, about = DONE, ""
        elif holder is not None and holder.holds(self.stale_after):
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


def read_record(folder: Path) -> dict[str, Any]:
    """What was written when the study was last run; empty where it never was."""
    if not (folder / "cells.json").exists():
        return {}
    path = folder / "cells.json"
    record = read_json(path)
    if record.get("format") != _FORMAT:
        raise CredoError(f"{path}: format {record.get('format')!r}; this version reads {_FORMAT}")
    cells, data = record.get("cells"), record.get("demonstrations", {})
    if not (isinstance(cells, dict) and all(map(_is_told, cells.values()))):
        raise CredoError(f"{path}: field cells: of every cell its run and its settings expected; the file is damaged")
    if not (isinstance(data, dict) and all(isinstance(sha, str) for sha in data.values())):
        raise CredoError(f"{path}: field demonstrations: a SHA-256 of each expected; the file is damaged")
    declared = record.get("declared", {})
    if not (isinstance(declared, dict) and all(isinstance(steps, int) for steps in declared.values())):
        raise CredoError(f"{path}: field declared: of each comparison a number of steps expected; the file is damaged")
    return record


def _is_told(cell: Any) -> bool:
    if not (isinstance(cell, dict) and isinstance(cell.get("config"), dict)):
        return False
    return "run" in cell and isinstance(cell["run"], str | None)


def known_data(store: Store, study: Study) -> dict[str, str]:
    """SHA-256 of what cells are trained on, as the studies of this store last read it: a study that shares runs with
    others is told of them before it has run itself. Its own record goes before theirs, later ones before earlier."""
    own = store.study(study.name)
    others = [path.parent for path in own.parent.glob("*/cells.json") if path.parent != own]
    known: dict[str, str] = {}
    for folder in sorted(others, key=lambda folder: (folder / "cells.json").stat().st_mtime):
        with contextlib.suppress(CredoError):
            known |= read_record(folder).get("demonstrations", {})
    return known | read_record(own).get("demonstrations", {})


def newly_declared(store: Store, study: Study, placed: Sequence[Placed]) -> dict[Comparison, int]:
    """The declared comparisons that are not in the study's record, and how many environment steps their cells have
    done by now, in whatever study."""
    recorded = read_record(store.study(study.name)).get("declared", {})
    return {
        each: sum(store.progress(p).steps for p in placed if each.concerns(p.cell.method, p.cell.environment))
        for each in study.comparisons
        if str(each) not in recorded
    }


def declared(store: Store, study: Study) -> dict[Comparison, int | None]:
    """To each declared comparison the steps that its cells had done when it was recorded; None where it was not."""
    recorded = read_record(store.study(study.name)).get("declared", {})
    return {each: recorded.get(str(each)) for each in study.comparisons}


def write_record(
    folder: Path,
    placed: Sequence[Placed],
    demonstrations: dict[str, str],
    comparisons: Mapping[Comparison, int] = MappingProxyType({}),
) -> None:
    """Remember the cells: an edit of the study is told by them. What was read for other cells meanwhile stays, and so
    do comparisons that were declared before: one that is taken out and put in again is as old as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    cells = {p.cell.name: {"run": p.run, "config": to_dict(p.cell.config)} for p in placed}
    before = read_record(folder)
    data = before.get("demonstrations", {}) | demonstrations
    told = {str(each): steps for each, steps in comparisons.items()} | before.get("declared", {})
    record = {"format": _FORMAT, "demonstrations": data, "cells": cells}
    write_json(folder / "cells.json", record | ({"declared": told} if told else {}))


def edits(record: dict[str, Any], cells: Iterable[Cell]) -> list[str]:
    """One line for each cell that is new, gone or has other settings since the record was written; a setting that is
    younger than the record had its default value then."""
    if not record:
        return []
    before = record["cells"]
    now = {cell.name: cell for cell in cells}
    lines = [f"cell {name} is new" for name in now if name not in before]
    lines += [f"cell {name} is gone (its run is kept)" for name in before if name not in now]
    for name, cell in now.items():
        if name in before:
            now_set = to_dict(cell.config)
            changed = run_folder.differences(now_set, _completed(before[name]["config"], to_dict(RunConfig())))
            if changed:
                lines.append(f"cell {name} changes: {'; '.join(changed)}")
    return lines


def _completed(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The settings, with the defaults of those that they lack."""
    pairs = {name: (value, defaults.get(name)) for name, value in settings.items()}
    inside = {n: _completed(v, d) for n, (v, d) in pairs.items() if isinstance(v, dict) and isinstance(d, dict)}
    return defaults | settings | inside


def _failure(path: Path) -> str:
    try:
        return str(read_json(path).get("error", "unknown"))
    except CredoError as error:
        return str(error)
