"""What this machine has for a process, and the end of worker processes. Imports no JAX."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing import connection
from pathlib import Path

_PROCESS, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


MEMORY_SHARE = 0.9
"""Of the memory that is free, what one thing may ask for: nothing is refused for the last tenth alone."""


def usable_cores() -> int:
    """Cores that this process may use; all there are where the system knows no affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory that this process may still take: what is free on the machine (all there is where the system does
    not say), or less where a container or a scheduler sets a limit."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError, StopIteration):
        free = _number_after("MemAvailable:", _PROCESS / "meminfo") * 1024
    return max(0, min([free, *_free_in_groups()]))


def _free_in_groups() -> Iterator[int]:
    """Of each control group around this process that has a limit what is left of it. Files that were read and can be
    dropped count as free."""
    try:
        lines = (_PROCESS / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if controllers == "":
            root, limit, used, droppable = _GROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, droppable = _GROUPS / "memory", "total_inactive_file"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Inside a container the path is often the one outside, which is not there: its root has the limit then.
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            # A group without a limit says "max".
            with contextlib.suppress(OSError, ValueError):
                left = int((folder / limit).read_text()) - int((folder / used).read_text())
                with contextlib.suppress(OSError, ValueError, StopIteration):
                    left += _number_after(droppable, folder / "memory.stat")
                yield left
            if folder == root:
                break


def _number_after(word: str, path: Path) -> int:
    """The number that follows a word at the beginning of a line."""
    with open(path) as file:
        return int(next(words[1] for words in map(str.split, file) if words[:1] == [word]))


def end_with_parent(end: Callable[[], None]) -> None:
    """In a process that ``multiprocessing`` started: call ``end``, which does not return, once the parent is gone. A
    parent that is killed closes nothing, and a worker that waits or hangs would never learn of it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        connection.wait([parent.sentinel])
        end()

    threading.Thread(target=wait, daemon=True).start()
