"""A share of this machine's cores for a process, so that cells side by side do not fight over all of them."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from pathlib import Path

_held: list[int] = []
"""Open files whose locks stand for the cores of this process; the system drops them when it ends."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def claim_cores(count: int) -> tuple[int, ...]:
    """Bind this process to ``count`` cores that no other process has claimed, and return them.

    Must come before JAX is loaded, which takes as many threads as it finds cores. With fewer free than asked for, the
    process takes those there are; with none, or where the system knows no affinity, it stays as it is: ().
    """
    if count < 1 or not hasattr(os, "sched_setaffinity"):
        return ()
    folder = Path(tempfile.gettempdir()) / f"credo-cores-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        told = folder.lstat()
    except OSError:
        return ()
    if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.getuid():  # somebody else has taken the name
        return ()
    claimed: list[int] = []
    for core in sorted(os.sched_getaffinity(0)):
        if len(claimed) == count:
            break
        try:
            file = os.open(folder / str(core), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except OSError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            continue
        _held.append(file)
        claimed.append(core)
    if claimed:
        os.sched_setaffinity(0, claimed)
        os.environ.update(dict.fromkeys(_THREADS, str(len(claimed))))
    return tuple(claimed)
