"""What a run tells of itself while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from credo.config import RunConfig
from credo.training.seed import Seed


@dataclass
class Progress:
    """What a watcher may look at after every round."""

    config: RunConfig
    seeds: Sequence[Seed]
    round: int = 0
    """Rounds done."""
    started: float = field(default_factory=time.monotonic)
    first_round: int = 0
    """The round that this process began with."""
    pace_since: tuple[float, int] | None = None
    """When, and at which round, a kind of round was last compiled; those since are what the speed is told by."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def compiled(self) -> None:
        """The last rounds took a compilation besides."""
        self.pace_since = time.monotonic(), self.round

    @property
    def _pace(self) -> tuple[float, int]:
        """Seconds, and rounds done in them: since the last compilation, else since this process began."""
        if self.pace_since is not None and self.round > self.pace_since[1]:
            return time.monotonic() - self.pace_since[0], self.round - self.pace_since[1]
        return self.seconds, self.round - self.first_round

    @property
    def steps_per_second(self) -> float:
        """Environment steps per second over all seeds."""
        seconds, rounds = self._pace
        return rounds * self.config.steps_per_round * len(self.seeds) / max(seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        seconds, rounds = self._pace
        return seconds / rounds * (self.config.rounds - self.round) if rounds else np.nan


class Pass(NamedTuple):
    """Where the cloning of a seed is."""

    seed: int
    epoch: int
    """Epochs done."""
    epochs: int
    """At most so many; it may end before."""
    held_out_loss: float


@dataclass
class Watcher:
    """How a run tells of itself: ``line`` gets one-line messages, ``progress`` is called after every round, ``cloning``
    after every epoch of behavioural cloning, and with None once a seed's is over."""

    line: Callable[[str], None] = lambda line: None
    progress: Callable[[Progress], None] = lambda progress: None
    cloning: Callable[[Pass | None], None] = lambda cloning: None


def followed(watcher: Watcher, after: Callable[[], None]) -> Watcher:
    """``watcher``, with something done after each of its rounds."""

    def progress(now: Progress) -> None:
        watcher.progress(now)
        after()

    return replace(watcher, progress=progress)
