"""What this machine has for a process, and the end of worker processes. Imports no JAX."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing import connection


def usable_cores() -> int:
    """Cores that this process may use; all there are where the system knows no affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory that are free, or all there are where the system does not say."""
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as file:
        return int(next(line for line in file if line.startswith("MemAvailable")).split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def end_with_parent(end: Callable[[], None]) -> None:
    """In a process that ``multiprocessing`` started: call ``end``, which does not return, once the parent is gone. A
    parent that is killed closes nothing, and a worker that waits or hangs would never learn of it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        connection.wait([parent.sentinel])
        end()

    threading.Thread(target=wait, daemon=True).start()
