"""Who trains a run: the lock of its folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from credo.types import CredoError

LOCK = "lock"


def open_lock(folder: Path) -> TextIO:
    """The file to lock a folder by, made where it is not there yet; CredoError where that cannot be done."""
    try:
        # Not through a link: what it points to would be emptied.
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise CredoError(f"out: {folder} cannot be written to ({error.strerror})") from None
    return open(descriptor, "r+")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run's lock; CredoError if another process holds it. The system drops it when its holder dies."""
    with open_lock(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise CredoError(f"out: {folder} is being trained by another process ({file.read().strip()})") from None
        except OSError as error:
            raise CredoError(f"out: {folder} cannot be locked ({error.strerror}); choose one on a local disk") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def holder_is_gone(folder: Path) -> bool:
    """Whether the process that last held the run's lock ran on this machine and is no more; False where that cannot be
    known. Takes no lock: a process that begins meanwhile would be refused for it."""
    try:
        with open(os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            told = file.read(1000).split(" ", 3)
        if len(told) != 4 or told[3] != platform.node() or not told[1].isdecimal():
            return False
        os.kill(int(told[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return False
