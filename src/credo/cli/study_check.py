"""``credo study check``: whether every cell of a study would start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from credo.cli.parse import find_local_modules, load_plugins, parse, say
from credo.cli.study_cells import FILE_WIDTH, asked_for, check_environments, empty_grid, headline, same_runs, state_of
from credo.config import RunConfig
from credo.studies.check import Checked, check_cells
from credo.studies.record import known_data
from credo.studies.shipped import find_study
from credo.studies.store import Placed, Progress, Store, place
from credo.studies.study import Study, load_study
from credo.types import printable

_NAMED = 4
"""Cells that a line names; of more it tells how many."""


@dataclass(frozen=True)
class CheckOptions:
    file: Annotated[str, tyro.conf.Positional]
    """A study file, or a shipped study's name (credo study list)."""
    out: Path = Path("runs")
    """The folder that the study is to run in, which is only read."""
    only: tuple[str, ...] = ()
    """Cells by name; * stands for any text."""
    env: tuple[str, ...] = ()
    """Environments module:Id of the file whose modules may be imported, which runs their code."""
    plugin: tuple[str, ...] = ()
    """Modules to import that register what the study names; in the current folder, or installed."""


def check(words: Sequence[str]) -> None:
    """Try every cell of a study. Exit status 2 where one would not start."""
    load_plugins(words)
    about = "Try every cell of a study without training: environments, demonstrations, plug-ins, memory."
    options = parse(CheckOptions, words, "study check", about)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    study = load_study(find_study(options.file))
    asked = asked_for(study, options.only, words)
    check_environments(study, options.env)
    store = Store(options.out)
    store.check_writable(study.name)
    known = [p for p in place(study, known_data(store, study), reads=()) if p.cell.name in asked]
    for environment in {p.cell.config.environment for p in known}:
        find_local_modules(environment)
    checked = check_cells(store, known, partial(say, console))
    placed = [each.placed for each in checked]
    # A cell that would not start has not failed yet.
    progress = [store.progress(p._replace(problem=None)) for p in placed]
    problems = list(dict.fromkeys(p.problem for p in placed if p.problem))
    table, shared = _table(study, checked, progress, problems)
    console.print(table)
    if shared:
        say(console, f"of all cells: {shared}")
    for number, problem in enumerate(problems, 1):
        names = _named([p for p in placed if p.problem == problem], placed)
        say(console, f"problem {number}: {problem} ({names})", "red")
    for note in dict.fromkeys(note for each in checked for note in each.notes):
        say(console, f"note: {note} ({_named([each.placed for each in checked if note in each.notes], placed)})")
    for p, first in same_runs(placed):
        say(console, f"{p.cell.name} is the same run as {first.cell.name}", "yellow")
    runs = len({p.run or p.cell.name for p in placed})
    done = sum(now.steps for now in progress) / sum(now.steps_wanted for now in progress)
    say(console, headline(study, placed, progress, f", {runs} distinct runs, {done:.0%} of the steps done"))
    bad = [p for p in placed if p.problem]
    if bad:
        say(console, f"{len(bad)} of {len(placed)} cells would not start: {_named(bad, placed)}", "red")
        sys.exit(2)
    say(console, "every cell would start", "green")


def _named(cells: Sequence[Placed], of: Sequence[Placed]) -> str:
    names = [p.cell.name for p in cells]
    if len(names) == len(of) > 1:
        return f"all {len(names)} cells"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"cell{'s' * (len(names) > 1)} {', '.join(names[:_NAMED])}{more}"


def _table(
    study: Study, checked: Sequence[Checked], progress: Sequence[Progress], problems: Sequence[str | None]
) -> tuple[Table, str]:
    """A row for each cell, and what all of them share, for a line below the table, where there is more room."""
    rows = [_settings(each) for each in checked]
    shared = {name for name in rows[0] if len({row[name] for row in rows}) == 1 < len(rows)}
    table = empty_grid(study, [each.placed for each in checked])
    for name in (*(name for name in rows[0] if name not in shared), "state", "check"):
        table.add_column(name, overflow="fold", no_wrap=name in ("seeds", "steps", "check"))
    for each, row, now in zip(checked, rows, progress, strict=True):
        state = state_of(now)
        if 0 < now.steps < now.steps_wanted:
            state.append(f" {now.steps / now.steps_wanted:.0%}")
        problem = each.placed.problem
        outcome = Text(f"problem {problems.index(problem) + 1}", "red") if problem else Text("ok", "green")
        told = [Text(printable(value)) for name, value in row.items() if name not in shared]
        table.add_row(Text(each.placed.cell.name), *told, state, outcome)
    return table, "; ".join(f"{name} {rows[0][name]}" for name in rows[0] if name in shared)


def _settings(checked: Checked) -> dict[str, str]:
    config, read = checked.placed.cell.config, checked.demonstrations
    shown = config.demonstrations if config.imitates else "none"
    if read is not None:
        shown += f" ({read.episodes:,} episode{'s' * (read.episodes > 1)}, {read.steps:,} steps)"
    return {
        "environment": config.environment,
        "demonstrations": shown,
        "method": _method(config),
        "seeds": str(config.seeds),
        "steps": f"{config.steps:,}",
    }


def _method(config: RunConfig) -> str:
    """The learner, its reward, and CREDO where it is on."""
    if config.clones:
        return config.learner
    credo = [f"credo {config.credo.mode}"] if config.adversarial and config.credo.mode != "off" else []
    return ", ".join([config.learner, config.reward, *credo])
