"""Ctrl-C and SIGTERM: stop at the next point from which the run can go on exactly."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


class StoppedError(Exception):
    """Raised inside work that is given up, because it is done again when the run goes on."""


_interrupted = threading.Event()


@contextlib.contextmanager
def handling(number: int, handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Give a signal to ``handler`` for a while. In a thread other than the main one signals are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def interrupts_remembered() -> Iterator[None]:
    """Remember Ctrl-C while a run is made ready: where a library takes the KeyboardInterrupt and goes on (XLA's
    callbacks do), ``Stop.listening`` raises it again."""

    def handle(number: int, frame: Any) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    try:
        with handling(signal.SIGINT, handle):
            yield
    finally:
        _interrupted.clear()


class Stop:
    """Whether the run was asked to stop. In a thread other than the main one signals are left alone."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.hurried = False
        """Whether it was SIGTERM: what can be made up for later is to be left."""
        self._before: dict[int, Any] = {}

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """StoppedError where the run was asked to stop."""
        if self._event.is_set():
            raise StoppedError

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as the wish to stop; a second Ctrl-C interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        if _interrupted.is_set():
            raise KeyboardInterrupt
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self._before:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before = {}

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let SIGTERM end the process at once: while a program compiles Python's handlers wait, for longer than a
        scheduler does, and there is nothing to lose."""
        if not self._before:
            yield
            return
        signal.signal(signal.SIGTERM, self._before[signal.SIGTERM])
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: Any) -> None:
        self.hurried |= number == signal.SIGTERM
        self._event.set()
        signal.signal(signal.SIGINT, self._before[signal.SIGINT])
