"""Whether the cells of a study would start: what a cell meets when its turn comes is met now, and nothing is trained.
Imports no JAX before a cell is tried."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from credo import run_folder
from credo.environments import EnvironmentBatch, EnvironmentFaultError, EnvironmentSource, source_name
from credo.preparation import Prepared, check_data, read_demonstrations, read_log, source_of
from credo.studies.execute import cause_of
from credo.studies.store import DONE, RUNNING, Placed, Store, trained_on
from credo.studies.study import Cell
from credo.types import EnvironmentSpec


class Read(NamedTuple):
    """How much there is of demonstrations."""

    episodes: int
    steps: int
    """Transitions held: fewer than were made where some were left out."""


class Checked(NamedTuple):
    """What became of trying a cell."""

    placed: Placed
    """``problem`` says why it would not start. Where what it is trained on could not be read, its run is the one that
    it was given."""
    demonstrations: Read | None = None
    """None where there are none, or they could not be read."""
    notes: tuple[str, ...] = ()
    """What works but probably not as meant, as a run notes it."""


def check_cells(
    store: Store, placed: Sequence[Placed], line: Callable[[str], None] = lambda line: None
) -> tuple[Checked, ...]:
    """Try every cell, in the order given, with its run as far as that is known. Each environment is built, reset and
    stepped once, and what cells are trained on is read once for those that share it and the environment; nothing is
    written in the store. ``line`` tells what is being done."""
    specs: dict[EnvironmentSource, EnvironmentSpec | str] = {}
    found: dict[str, Checked] = {}
    for together in _sharing(placed):
        first = together[0].cell.config
        source = source_of(first)
        if source not in specs:
            line(f"trying {source_name(source)}")
            specs[source] = _tried(source)
        spec = specs[source]
        if isinstance(spec, str):
            found |= {p.cell.name: Checked(p._replace(problem=spec)) for p in together}
        else:
            found |= {checked.placed.cell.name: checked for checked in _together(store, together, source, spec, line)}
    return tuple(found[p.cell.name] for p in placed)


def _sharing(placed: Iterable[Placed]) -> list[list[Placed]]:
    """The cells by environment and by what they are trained on, so that no more of that is held at a time."""
    groups: dict[tuple[object, ...], list[Placed]] = {}
    for p in placed:
        key = (source_of(p.cell.config), *sorted(trained_on(p.cell.config).items()))
        groups.setdefault(key, []).append(p)
    return list(groups.values())


def _tried(source: EnvironmentSource) -> EnvironmentSpec | str:
    """What is to be known of an environment that can be built, reset and stepped; else why it cannot."""
    try:
        environments = EnvironmentBatch(source, 0)
        try:
            environments.step(np.zeros((1, environments.spec.action_size), np.float32))
        finally:
            with contextlib.suppress(Exception):  # no run ends because of that
                environments.close()
        return environments.spec
    except EnvironmentFaultError as error:
        return f"environment: {error}"
    except Exception as error:  # a stranger's code may fail in any way
        return cause_of(error)


def _together(
    store: Store,
    placed: Sequence[Placed],
    source: EnvironmentSource,
    spec: EnvironmentSpec,
    line: Callable[[str], None],
) -> list[Checked]:
    """Cells that share an environment and what they are trained on."""
    first = placed[0].cell.config
    if wanted := trained_on(first):
        line(f"reading {', '.join(wanted.values())}")
    try:
        data, logged = read_demonstrations(first, spec), read_log(first, spec)
    except Exception as error:  # as a cell's own process takes whatever comes
        return [Checked(p._replace(problem=cause_of(error))) for p in placed]
    if len(placed) > 1:
        line(f"trying {len(placed)} cells")
    return [_started(store, p.cell, Prepared(p.cell.config, source, spec, data, logged)) for p in placed]


def _started(store: Store, cell: Cell, prepared: Prepared) -> Checked:
    """What a cell meets up to its first round."""
    from credo.training.checks import check_round, check_start, doubts

    data, spec, logged = prepared.demonstrations, prepared.spec, prepared.logged
    read = None if data is None else Read(data.episodes, len(data))
    placed = Placed(cell, prepared.identity)
    try:
        check_data(prepared)
        if store.progress(placed).state in (DONE, RUNNING):
            return Checked(placed, read)
        config = store.wanted(placed)
        run_folder.recognise(store.folder(prepared.identity), config, prepared.described)
        check_start(config, spec, logged)
        check_round(config, spec)
        return Checked(placed, read, tuple(doubts(config, spec, data)))
    except Exception as error:
        return Checked(placed._replace(problem=cause_of(error)), read)
