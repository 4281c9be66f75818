"""The cells of a study as its commands show them, and which of them a command is of."""

from __future__ import annotations

import contextlib
import fnmatch
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from credo.cli.study_progress import duration
from credo.diagnostics.divergence import KINDS
from credo.environment_name import canonical, needs_trust
from credo.studies import store as stores
from credo.studies.estimate import seconds_left
from credo.studies.store import Placed, Progress, Store
from credo.studies.study import Study
from credo.types import CredoError, printable

CELL_WIDTH = 30
"""Columns that a cell's name gets before it is folded: it is there to be copied."""
FILE_WIDTH = 160
"""Columns of what is printed to a file or a pipe, which has no width of its own."""
STYLES = {stores.DONE: "green", stores.RUNNING: "cyan", stores.FAILED: "red", stores.STOPPED: "yellow"}


def check_environments(study: Study, trusted: Sequence[str]) -> None:
    """A study may be somebody else's: what it names is imported where the command line names it, too."""
    named = {canonical(cell.config.environment) for cell in study.cells} - {canonical(name) for name in trusted}
    doubts = {environment: doubt for environment in sorted(named) if (doubt := needs_trust(environment)) is not None}
    for environment, doubt in doubts.items():
        every = " ".join(shlex.quote(each) for each in (*sorted(trusted), *doubts))
        raise CredoError(f"env: {study.path} names {environment!r}, which {doubt}; if you trust it, give --env {every}")


def asked_for(study: Study, only: Sequence[str], words: Sequence[str]) -> frozenset[str]:
    """The names of the cells that are asked for; CredoError for a pattern that is none of them, and where the words of
    the command ask for none."""
    if "--only" in words and not only:
        raise CredoError("only: no cell is named; give names (* stands for any text), or leave it out for all cells")
    names = [cell.name for cell in study.cells]
    found: set[str] = set()
    for pattern in only:
        # The whole name of a cell is that cell, and brackets are a list's in what an environment is given.
        plain = pattern.replace("[", "[[]")
        chosen = [pattern] if pattern in names else [name for name in names if fnmatch.fnmatchcase(name, plain)]
        if not chosen:
            raise CredoError(f"only: {pattern!r} is no cell of this study; the cells are {', '.join(names)}")
        found.update(chosen)
    return frozenset(found if only else names)


def same_runs(placed: Sequence[Placed]) -> list[tuple[Placed, Placed]]:
    """Cells whose seeds and steps are those of one before, and that one."""
    firsts: dict[tuple[Any, ...], Placed] = {}
    known = [p for p in placed if p.run is not None]
    pairs = [(p, firsts.setdefault((p.run, p.cell.config.steps, p.cell.config.seed_numbers), p)) for p in known]
    return [(p, first) for p, first in pairs if p is not first]


def headline(study: Study, placed: Sequence[Placed], progress: Sequence[Progress], more: str = "") -> str:
    """How far a study is, and how long it will take; ``more`` follows the number of cells."""
    states = Counter(now.state for now in progress)
    parts = ", ".join(f"{states[state]} {state}" for state in stores.STATES if states[state])
    text = f"{study.name}: {len(placed)} cells{more} ({parts})"
    seconds, guessed = seconds_left(placed, progress)
    if not seconds:
        return text
    source = "a documented speed on two cores (none is measured yet)" if guessed else "the speed of what has run"
    out = sum(p.problem is not None for p in placed)
    without = f" without the {out} cell{'s' * (out > 1)} that cannot start" if out else ""
    time = f"about {duration(seconds)} left on one machine{without}, starting and compiling included"
    return f"{text}; {time}, by {source}"


def empty_grid(study: Study, placed: Sequence[Placed]) -> Table:
    """A table of cells with the column of their names, empty."""
    table = Table(title=Text(study.name), title_justify="left", caption_justify="left")
    longest = max([len("cell"), *(len(p.cell.name) for p in placed)])
    table.add_column("cell", overflow="fold", width=min(CELL_WIDTH, longest))
    return table


def state_of(now: Progress) -> Text:
    """A cell's state, with who works on it or why it failed."""
    state = Text(now.state, style=STYLES.get(now.state, ""))
    if now.about:
        state.append(f"\n{printable(now.about)}", style="dim")
    return state


def grid(study: Study, store: Store, placed: Sequence[Placed], progress: Sequence[Progress]) -> Table:
    """How far each cell is."""
    table = empty_grid(study, placed)
    for name in ("state", "progress", "verdicts", "left"):
        table.add_column(name, overflow="fold", no_wrap=name in ("progress", "left"))
    for p, now in zip(placed, progress, strict=True):
        share = now.steps / now.steps_wanted
        left, guessed = seconds_left([p], [now])
        about = Text("-") if not now.steps else Text(verdicts(store, p))
        table.add_row(
            Text(p.cell.name),
            state_of(now),
            f"{share:.0%}",
            about,
            f"{'~' if guessed else ''}{duration(left)}" if left else "-",
        )
    return table


def verdicts(store: Store, placed: Placed) -> str:
    """How many seeds of a cell have each verdict so far."""
    from credo.studies.read import read_curves

    kinds: Counter[str] = Counter()
    with contextlib.suppress(CredoError):
        kinds.update(curve.verdict.kind for curve in read_curves(stores.part_of(store, placed)))
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]) or "-"
