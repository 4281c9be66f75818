"""``credo demos generate`` and ``credo demos inspect``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from credo.cli.parse import parse, say
from credo.types import CredoError, printable


@dataclass(frozen=True)
class GenerateOptions:
    expert: str
    """A shipped expert's name, a policy file, or a run folder (its kept policy)."""
    out: Path
    """The file to write; an existing one is refused unless --overwrite."""
    environment: Annotated[str | None, tyro.conf.arg(name="env")] = None
    """Gymnasium id or module:Id; default: the expert's own."""
    episodes: int | None = None
    """Whole episodes to roll out (default 25, unless --transitions is given)."""
    transitions: int | None = None
    """Transitions to roll out; the last episode is cut to that."""
    noise: float = 0.01
    """Standard deviation of Gaussian noise on the action in [-1, 1]; the noisy action is stored."""
    seed: int = 0
    """Seed of resets and noise."""
    processes: int | None = None
    """Worker processes; default: up to two for a large request."""
    overwrite: bool = False
    """Replace an existing file."""


@dataclass(frozen=True)
class InspectOptions:
    demonstrations: Annotated[str, tyro.conf.Positional]
    """A demonstrations file, or a shipped expert: NAME, NAME:EPISODES, with @subsample=N."""


def generate(words: Sequence[str]) -> None:
    """Roll an expert out into a file."""
    options = parse(GenerateOptions, words, "demos generate", "Roll an expert out into a demonstrations file.")
    from credo.cli.runs import find_policy, source_of
    from credo.demonstrations import generate_demonstrations, save_demonstrations

    if options.out.exists() and not options.overwrite:
        raise CredoError(f"out: {options.out} exists; give another name or --overwrite")
    if not options.out.parent.is_dir():
        raise CredoError(f"out: {options.out.parent} is not a folder")
    policy = find_policy(options.expert)
    episodes = options.episodes
    if episodes is None and options.transitions is None:
        episodes = 25
    console = Console()
    columns = (TextColumn("rolling out"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=options.transitions or episodes)
        data = generate_demonstrations(
            source_of(policy, options.environment),
            policy,
            episodes=episodes,
            transitions=options.transitions,
            noise=options.noise,
            seed=options.seed,
            processes=options.processes,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    save_demonstrations(options.out, data, overwrite=options.overwrite)
    _show(console, data)
    say(console, f"written to {options.out}")


def inspect(words: Sequence[str]) -> None:
    """Say what a demonstrations file holds."""
    about = "Say what demonstrations hold: episodes, transitions, returns, ranges, problems found."
    options = parse(InspectOptions, words, "demos inspect", about)
    from credo.demonstrations import load_demonstrations

    _show(Console(), load_demonstrations(options.demonstrations))


def _show(console: Console, data) -> None:
    from credo.demonstrations.inspect import inspect, lines

    found = inspect(data)
    table = Table(show_header=False, title=Text(printable(found.environment)), title_justify="left")
    table.add_column(justify="right", style="bold")
    table.add_column()
    for name, text in lines(found):
        table.add_row(name, Text(printable(text)))
    console.print(table)
