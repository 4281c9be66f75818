"""What is shown while something takes time: of a run a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from credo.cli.parse import say
from credo.types import printable

if TYPE_CHECKING:
    from credo.training.seed import Seed
    from credo.training.watching import Pass, Progress, Watcher

LINES_EVERY = 10.0
"""Seconds between plain lines where there is no terminal."""


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.0%}"


@contextlib.contextmanager
def busy(console: Console) -> Iterator[Callable[[str], None]]:
    """The block gets a function to say what it is at: beside a spinner on a terminal, as a line elsewhere."""
    with console.status("") as status:

        def tell(text: str) -> None:
            if console.is_terminal:
                status.update(Text(printable(text)))
            else:
                say(console, text)

        yield tell


class Board:
    """Keeps, per seed, the gradient peak of all rounds since the last evaluation (its own included)."""

    def __init__(self, console: Console, expert_return: float | None):
        self.console = console
        self.expert_return = expert_return
        self.progress: Progress | None = None
        self.cloning: Pass | None = None
        self.peak: dict[int, float] = {}
        self.evaluated: dict[int, float] = {}
        self.seen: dict[int, float] = {}
        """Steps up to which a seed's rows were looked at."""
        self.told = time.monotonic()
        self.successes = False
        """Whether the environment tells success."""

    def update(self, progress: Progress) -> None:
        """Take in one round."""
        self.progress = progress
        for seed in progress.seeds:
            self.successes |= not math.isnan((seed.last or {}).get("success_rate", math.nan))
            step = (seed.last or {}).get("step", 0.0)
            if self.evaluated.get(seed.number) != step:
                self.evaluated[seed.number] = step
                self.peak.pop(seed.number, None)
            for row in self._new_rows(seed):
                gradient = row.get("actor_gradient_max", math.nan)
                if not math.isnan(gradient):  # it is, until learning begins
                    self.peak[seed.number] = max(self.peak.get(seed.number, 0.0), gradient)

    def _new_rows(self, seed: Seed) -> list[dict[str, float]]:
        """The newest row, and those before it that were not looked at: a fast seed may be several rounds ahead."""
        newest, seen = seed.newest, self.seen.get(seed.number, -1.0)
        self.seen[seed.number] = newest.get("step", seen)
        return [newest, *itertools.takewhile(lambda row: row["step"] > seen, reversed(seed.metrics))]

    def clone(self, cloning: Pass | None) -> None:
        """Take in where the cloning of a seed is, or that it is over."""
        self.cloning = cloning

    def headline(self) -> str:
        if (cloning := self.cloning) is not None:
            at = f"epoch {cloning.epoch:,} of at most {cloning.epochs:,}"
            return f"seed {cloning.seed}: cloning, {at}, held-out loss {cloning.held_out_loss:.4g}"
        progress = self.progress
        if progress is None:
            return "compiling ..."
        config = progress.config
        done = progress.round * config.steps_per_round
        parts = [
            f"{printable(config.environment)} {config.learner}",
            f"{done:,} of {config.steps:,} steps",
            f"{progress.steps_per_second:,.0f} steps/s",
            f"{clock(progress.seconds)} gone, {clock(progress.seconds_left)} left",
        ]
        if self.expert_return is not None:
            parts.append(f"expert's return {self.expert_return:,.0f}")
        return " | ".join(parts)

    def names(self) -> tuple[str, ...]:
        """Of the columns; success where the environment tells it."""
        success = ("success",) if self.successes else ()
        return (
            *("seed", "return", *success, "distance"),
            *("P(expert) on expert", "on policy", "actor gradient", "filtered"),
        )

    def cells(self, seed) -> list[str]:
        """One seed's row, as ``names`` says; the gradient is its peak since the last evaluation."""
        row, last = seed.newest, seed.last or {}
        if seed.frozen is not None:
            return [str(seed.number), f"frozen at {seed.frozen.step:,}", *["-"] * (len(self.names()) - 2)]
        filtered = row.get("filtered_share")
        return [
            str(seed.number),
            number(last.get("return_mean"), 0),
            *([share(last.get("success_rate"))] if self.successes else []),
            number(last.get("occupancy_distance"), 3),
            number(row.get("expert_probability_expert"), 3),
            number(row.get("expert_probability_policy"), 3),
            number(self.peak.get(seed.number), 4),
            share(filtered),
        ]

    def __rich__(self) -> Table:
        table = Table(title=Text(self.headline()), title_justify="left", expand=False)
        for name in self.names():
            table.add_column(name, justify="right")
        for seed in self.progress.seeds if self.progress else ():
            table.add_row(*map(Text, self.cells(seed)))
        return table

    def tell(self) -> None:
        """Plain lines, every few seconds, for logs."""
        now = time.monotonic()
        if (self.progress is None and self.cloning is None) or now - self.told < LINES_EVERY:
            return
        self.told = now
        say(self.console, self.headline())
        for seed in self.progress.seeds if self.progress else ():
            pairs = zip(self.names(), self.cells(seed), strict=True)
            say(self.console, "  " + "  ".join(f"{n} {c}" for n, c in pairs))


@contextlib.contextmanager
def watching(console: Console, expert_return: float | None, quiet: bool) -> Iterator[Watcher]:
    """A watcher that shows a run on ``console``."""
    from credo.training.watching import Watcher

    def line(text: str) -> None:
        say(console, text)

    board = Board(console, expert_return)
    if quiet:
        yield Watcher(line=line)
    elif console.is_terminal:
        with Live(board, console=console, refresh_per_second=2):
            yield Watcher(line=line, progress=board.update, cloning=board.clone)
    else:
        line("compiling ...")

        def progress(now: Progress) -> None:
            board.update(now)
            board.tell()

        def cloning(now: Pass | None) -> None:
            board.clone(now)
            board.tell()

        yield Watcher(line=line, progress=progress, cloning=cloning)
