"""What ``credo study run`` tells while cells train: how far they are, and what their runs note."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from credo.studies.estimate import seconds_left
from credo.studies.store import Placed, Store

FIRST, LONGEST = 15.0, 300.0
"""Seconds until the first line on progress, and between two at most: each waits twice as long as the one before."""
_NOTE = "note: "
_MOST = 1 << 16
"""Bytes of a log that are looked through at a time."""


def log_of(store: Store, placed: Placed) -> Path:
    """Where the process of a cell writes what it would show."""
    return store.root / "store" / "logs" / f"{placed.run}.log"


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, in a word or two."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


class Telling:
    """Called with the cells that train, every second or so; ``line`` shows a line."""

    def __init__(self, store: Store, line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.line, self.clock = store, line, clock
        self.read: dict[Path, int] = {}
        self.noted: set[str] = set()
        self.wait, self.told = FIRST, clock()

    def __call__(self, running: Sequence[Placed]) -> None:
        for placed in running:
            self._notes(placed)
        if not running or self.clock() - self.told < self.wait:
            return
        self.told, self.wait = self.clock(), min(2 * self.wait, LONGEST)
        for placed in running:
            now = self.store.progress(placed)
            left, guessed = seconds_left([placed], [now])
            about = f", {'about ' if guessed else ''}{duration(left)} left" if left else ""
            self.line(f"{placed.cell.name}: {now.steps:,} of {now.steps_wanted:,} steps{about}")

    def _notes(self, placed: Placed) -> None:
        """What the run has noted since the last look, once for all cells that note the same."""
        path = log_of(self.store, placed)
        try:
            size = path.stat().st_size
            begin = self.read.setdefault(path, size)
            if size <= begin:
                return
            with path.open("rb") as file:
                file.seek(begin)
                text = file.read(_MOST)
        except OSError:
            return
        whole = text.rpartition(b"\n")[0]
        self.read[path] = begin + (len(whole) + 1 if whole else len(text) if len(text) == _MOST else 0)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith(_NOTE) and line not in self.noted:
                self.noted.add(line)
                self.line(f"{placed.cell.name}: {line}")
