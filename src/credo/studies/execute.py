"""Running the cells of a study: one at a time for each job, each in a process of its own, shared by leases."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from credo.config import RunConfig
from credo.run_lock import locked
from credo.studies import lease
from credo.studies.store import DONE, FAILED, RUNNING, STOPPED, Placed, Store
from credo.training.stopping import handling
from credo.types import CredoError

POLL = 1.0
"""Seconds between looks at the processes and the other cells."""

Train = Callable[[RunConfig, Path, str], Any]
"""Trains a run in its folder, resuming what is there, for the cell of that name; CredoError where that cannot be."""


class Ended(NamedTuple):
    """What became of a cell's start."""

    state: str
    """done, failed, stopped (interrupted; it can go on), or running (by another process)."""
    about: str = ""


def run_cell(store: Store, placed: Placed, train: Train) -> Ended:
    """Run or go on with one cell in this process, unless it is done or another process works on it. A failure is
    recorded beside the run in one line; only interruptions are raised. Where another process takes the cell over while
    this one trains, this process ends at once: the run is the other's now."""
    if placed.run is None:
        return Ended(FAILED, placed.problem or "its demonstrations are not known")
    try:
        mine = lease.acquire(store.leases(placed.run), store.stale_after)
    except CredoError as error:
        return _failed(store, placed.run, str(error))
    if mine is None:
        return Ended(RUNNING)
    with lease.held(mine, lambda: os._exit(1)):
        if store.progress(placed).state == DONE:
            return Ended(DONE)
        folder = store.folder(placed.run)
        if _locked_elsewhere(folder):
            line = f"{folder} is in use by a process outside this study; the same command goes on once it has ended"
            return _failed(store, placed.run, line)
        store.forget_failure(placed.run)
        try:
            train(store.wanted(placed), folder, placed.cell.name)
        except Exception as error:
            return _failed(store, placed.run, cause_of(error), refused=isinstance(error, CredoError))
        return Ended(DONE if _complete(store, placed) else STOPPED)


def run_study(
    store: Store,
    placed: Sequence[Placed],
    start: Callable[[Placed], subprocess.Popen[Any]],
    jobs: int = 1,
    tell: Callable[[Placed, Ended], None] = lambda placed, ended: None,
    meanwhile: Callable[[Sequence[Placed]], None] = lambda running: None,
) -> dict[str, Ended]:
    """Run all cells that are not done, ``jobs`` at a time, and return how each run ended, by its identity.

    ``start`` starts a process that calls ``run_cell``. Cells that other processes work on are waited for, and taken
    over where those stop renewing their lease. Each cell is started once: one that fails is told of and the others go
    on. ``meanwhile`` is called every second or so with the cells that train here. Ctrl-C and SIGTERM end the
    processes at a checkpoint and raise KeyboardInterrupt.
    """
    todo = by_run(placed)
    ended: dict[str, Ended] = {}
    waited: set[str] = set()
    active: dict[str, tuple[subprocess.Popen[Any], Placed]] = {}

    def end(run: str, how: Ended) -> None:
        ended[run] = how
        tell(todo[run][0], how)

    with handling(signal.SIGTERM, _interrupt):
        try:
            while len(ended) < len(todo):
                for run, (process, cell) in list(active.items()):
                    if process.poll() is not None:
                        del active[run]
                        how = _how_it_ended(store, cell, process)
                        if how.state not in (DONE, RUNNING):
                            end(run, how)
                for run, cells in todo.items():
                    if len(active) >= jobs:
                        break
                    if run in ended or run in active:
                        continue
                    # Cells that share a run may want more steps or other seeds of it, one after the other.
                    unmet = next((cell for cell in cells if not _complete(store, cell)), None)
                    if unmet is None:
                        end(run, Ended(DONE))
                    elif (now := store.progress(unmet)).state != RUNNING:
                        # Else one that dies before it takes its lease would be told with the failure before it.
                        store.forget_failure(run)
                        active[run] = start(unmet), unmet
                    elif run not in waited:
                        waited.add(run)
                        tell(unmet, Ended(RUNNING, f"elsewhere ({now.about}); it is waited for"))
                meanwhile([cell for _, cell in active.values()])
                if len(ended) < len(todo):
                    time.sleep(POLL)
        finally:
            for process, _ in active.values():
                process.terminate()
            for process, cell in active.values():
                process.wait()
                if cell.run is not None:  # it may have ended before it could release it
                    lease.release_of(store.leases(cell.run), process.pid)
    return ended


def cause_of(error: Exception) -> str:
    """In one line, why a cell does not start or go on."""
    return str(error) if isinstance(error, CredoError) else " ".join(f"{type(error).__name__}: {error}".split())


def by_run(placed: Sequence[Placed]) -> dict[str, list[Placed]]:
    """The cells that can be run, by the identity of their run."""
    cells: dict[str, list[Placed]] = {}
    for p in placed:
        if p.run is not None:
            cells.setdefault(p.run, []).append(p)
    return cells


def stop_without(parent: int) -> None:
    """Ask this process to end at its next checkpoint once ``parent``, which started it, is gone. It may be by now."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        _end_this_process()

    threading.Thread(target=watch, daemon=True).start()


def _end_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _how_it_ended(store: Store, placed: Placed, process: subprocess.Popen[Any]) -> Ended:
    assert placed.run is not None
    now, code = store.progress(placed), process.returncode
    holder = lease.current(store.leases(placed.run))
    # Its own lease outlives a process that was killed; started again at once it might be killed for ever.
    died = holder is not None and (holder.process, holder.host) == (process.pid, platform.node()) and code != 0
    if now.state in (DONE, FAILED) or (now.state == RUNNING and not died):
        return Ended(now.state, now.about)
    if code < 0:
        what = f"signal {-code} ({signal.Signals(-code).name})"
    elif code:
        what = f"exit status {code}"
    else:
        return Ended(STOPPED)
    failed = _failed(store, placed.run, f"its process ended with {what}; the same command goes on from its checkpoint")
    lease.release_of(store.leases(placed.run), process.pid)
    return failed


def _complete(store: Store, placed: Placed) -> bool:
    return store.progress(placed).state == DONE


def _failed(store: Store, run: str, line: str, refused: bool = False) -> Ended:
    store.write_failure(run, line, refused)
    return Ended(FAILED, line)


def _locked_elsewhere(folder: Path) -> bool:
    if not folder.exists():
        return False
    try:
        with locked(folder):
            return False
    except CredoError:
        return True
