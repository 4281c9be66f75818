"""What a study is remembered by, ``ROOT/studies/NAME/cells.json``: its cells when it was last run, what they are
trained on, and the comparisons that it declared. Imports no JAX."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from credo import run_folder
from credo.config import RunConfig, to_dict
from credo.files import make_folder, read_json
from credo.run_folder import write_json
from credo.run_lock import open_lock
from credo.studies.comparisons import Comparison
from credo.studies.store import Placed, Store, trained_on
from credo.studies.study import Cell, Study
from credo.types import CredoError

_FILE, _FORMAT = "cells.json", 1
_RUNS = "declared_runs"


class Fixed(NamedTuple):
    """Since when a comparison is declared."""

    steps: int
    """Environment steps that its cells had done by then, in whatever study."""
    runs: tuple[str, ...]
    """Identities of their runs: under the same names an edit may put others."""


def read_record(folder: Path) -> dict[str, Any]:
    """What was written when the study was last run; empty where it never was."""
    path = folder / _FILE
    if not path.exists():
        return {}
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
    runs = record.get(_RUNS, {})
    if not (isinstance(runs, dict) and all(map(_are_names, runs.values()))):
        raise CredoError(f"{path}: field {_RUNS}: of each comparison its runs expected; the file is damaged")
    return record


def known_data(store: Store, study: Study) -> dict[str, str]:
    """SHA-256 of what cells are trained on, as the studies of this store last read it: a study that shares runs with
    others is told of them before it has run itself. Its own record goes before theirs, later ones before earlier."""
    own = store.study(study.name)
    others = [path.parent for path in own.parent.glob(f"*/{_FILE}") if path.parent != own]
    known: dict[str, str] = {}
    for folder in sorted(others, key=lambda folder: (folder / _FILE).stat().st_mtime):
        with contextlib.suppress(CredoError):
            known |= read_record(folder).get("demonstrations", {})
    return known | read_record(own).get("demonstrations", {})


def newly_declared(store: Store, study: Study, placed: Sequence[Placed]) -> dict[Comparison, Fixed]:
    """What is to be recorded of the declared comparisons: those that are not in the study's record, and those whose
    cells have other runs now. Of one that has a cell whose run is not known nothing can be said yet."""
    record = read_record(store.study(study.name))
    found = {}
    for each in study.comparisons:
        cells = _cells_of(each, placed)
        runs = tuple(sorted({p.run for p in cells if p.run is not None}))
        if all(p.run is not None for p in cells) and not set(runs) <= set(record.get(_RUNS, {}).get(str(each), ())):
            found[each] = Fixed(_steps_before(store, record, each, cells), runs)
    return found


def declared(store: Store, study: Study, placed: Sequence[Placed]) -> dict[Comparison, int | None]:
    """To each declared comparison the steps that its cells had done when it was recorded; None where it was not."""
    record = read_record(store.study(study.name))
    recorded = record.get("declared", {})
    return {
        each: _steps_before(store, record, each, _cells_of(each, placed)) if str(each) in recorded else None
        for each in study.comparisons
    }


def write_record(
    folder: Path,
    placed: Sequence[Placed],
    demonstrations: Mapping[str, str],
    comparisons: Mapping[Comparison, Fixed] = MappingProxyType({}),
) -> None:
    """Remember the cells: an edit of the study is told by them. What others have recorded meanwhile stays: what was
    read, the runs of cells that are not known here, and comparisons that were declared before; one that is taken out
    and put in again is as old as it was."""
    make_folder(folder, "out")
    with _alone(folder):
        before = read_record(folder)
        runs = {p.cell.name: p.run or _run_before(before, p) for p in placed}
        cells = {p.cell.name: {"run": runs[p.cell.name], "config": to_dict(p.cell.config)} for p in placed}
        data = before.get("demonstrations", {}) | demonstrations
        steps, declared_for = before.get("declared", {}), before.get(_RUNS, {})
        for each, fixed in comparisons.items():
            name, recorded = str(each), set(declared_for.get(str(each), ()))
            if not set(fixed.runs) <= recorded:  # else another process was first
                steps[name] = max(steps.get(name, 0), fixed.steps)
                declared_for[name] = sorted(recorded.union(fixed.runs))
        record = {"format": _FORMAT, "demonstrations": data, "cells": cells}
        write_json(folder / _FILE, record | ({"declared": steps, _RUNS: declared_for} if steps else {}))


def edits(record: dict[str, Any], cells: Iterable[Cell]) -> list[str]:
    """One line for each cell that is new, gone or has other settings since the record was written."""
    if not record:
        return []
    before = record["cells"]
    now = {cell.name: cell for cell in cells}
    lines = [f"cell {name} is new" for name in now if name not in before]
    lines += [f"cell {name} is gone (its run is kept)" for name in before if name not in now]
    for name, cell in now.items():
        if name in before and (changed := _changes(before[name], cell)):
            lines.append(f"cell {name} changes: {'; '.join(changed)}")
    return lines


def other_data(record: Mapping[str, Any], placed: Iterable[Placed], known: Mapping[str, str]) -> list[str]:
    """One line for each cell that is trained on other data than when the record was written, under the same name."""
    before = record.get("demonstrations", {})
    names = {p.cell.name: trained_on(p.cell.config).values() for p in placed if p.cell.name in record.get("cells", {})}
    changed = [cell for cell, data in names.items() if any(known.get(n) not in (None, before.get(n)) for n in data)]
    return [f"cell {cell} has other demonstrations under the same name" for cell in changed]


def _run_before(record: Mapping[str, Any], placed: Placed) -> str | None:
    """The recorded run of a cell that has its settings still."""
    told = record.get("cells", {}).get(placed.cell.name)
    return None if told is None or _changes(told, placed.cell) else told["run"]


def _changes(told: Mapping[str, Any], cell: Cell) -> list[str]:
    """In what the settings of a cell are others than recorded; one that is younger than the record had its default."""
    return run_folder.differences(to_dict(cell.config), _completed(told["config"], to_dict(RunConfig())))


def _completed(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The settings, with the defaults of those that they lack."""
    pairs = {name: (value, defaults.get(name)) for name, value in settings.items()}
    inside = {n: _completed(v, d) for n, (v, d) in pairs.items() if isinstance(v, dict) and isinstance(d, dict)}
    return defaults | settings | inside


def _cells_of(comparison: Comparison, placed: Sequence[Placed]) -> list[Placed]:
    return [p for p in placed if comparison.concerns(p.cell.method, p.cell.environment)]


def _steps_before(store: Store, record: Mapping[str, Any], comparison: Comparison, cells: Sequence[Placed]) -> int:
    """The steps that a comparison was declared after: as recorded, while its cells' runs are those that it was declared
    for; where it is not recorded, or they are others, by now (if that is more)."""
    steps, runs = (record.get(field, {}).get(str(comparison)) for field in ("declared", _RUNS))
    # Older versions did not record the runs.
    if steps is not None and (runs is None or {p.run for p in cells} - {None} <= set(runs)):
        return int(steps)
    return max(int(steps or 0), sum(store.progress(p).steps for p in cells))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let others that write the same record wait; where the file system knows no locks, they do not."""
    with open_lock(folder) as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_told(cell: Any) -> bool:
    if not (isinstance(cell, dict) and isinstance(cell.get("config"), dict)):
        return False
    return "run" in cell and isinstance(cell["run"], str | None)


def _are_names(runs: Any) -> bool:
    return isinstance(runs, list) and all(isinstance(run, str) for run in runs)
