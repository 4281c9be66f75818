"""Who works on what, told by files in a shared folder: leases that end when their holder stops renewing them.

Leases of one thing are files 000001.json, 000002.json, ...; the highest number is the current one, and numbers are
never used again. Whoever may take over (the current lease is released or stale) makes the next number, which the file
system lets only one succeed in. A lease is stale when its file has not been touched for a while, by the clock of the
file system itself: neither process ids, which mean nothing on another machine, nor the clocks of machines are compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from credo.files import sync_folder, write_atomically
from credo.types import CredoError

STALE_AFTER = 60.0
"""Seconds without a renewal after which a lease may be taken over."""
RENEWALS = 6
"""Renewals in the time after which a lease would be stale."""


class Holder(NamedTuple):
    """What a lease says of itself."""

    number: int
    host: str
    process: int
    token: str
    """Empty where its file is damaged."""
    released: bool
    age: float
    """Seconds since it was renewed, by the file system's clock."""

    def holds(self, stale_after: float = STALE_AFTER) -> bool:
        return not self.released and self.age < stale_after

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}" if self.token else "the holder of a damaged lease"


class Lease:
    """A lease that this process holds; ``held`` renews it."""

    def __init__(self, path: Path, token: str):
        self.path, self.token = path, token
        self.number = int(path.stem)

    def renew(self) -> bool:
        """Touch the lease; False where it has been taken over, and what it covers must not be written any more.

        A file system that does not answer says nothing of that: the next renewal sees it.
        """
        try:
            mine = json.loads(self.path.read_text()).get("token") == self.token
            with contextlib.suppress(OSError):
                os.utime(self.path)
            newest = max(_listed(self.path.parent), default=0)
        except (FileNotFoundError, ValueError, AttributeError, RecursionError):
            return False
        except OSError:
            return True
        return mine and newest == self.number

    def release(self) -> None:
        with contextlib.suppress(CredoError):
            write_atomically(self.path, _content(self.token, released=True))


def release_of(folder: Path, process: int) -> None:
    """Release the current lease where it is one of a process of this machine that is known to have ended."""
    holder = current(folder)
    if holder is not None and not holder.released and (holder.process, holder.host) == (process, platform.node()):
        Lease(folder / f"{holder.number:06d}.json", holder.token).release()


def current(folder: Path) -> Holder | None:
    """The current lease in a folder of leases; None where there has never been one."""
    for number in sorted(_numbers(folder), reverse=True):
        found = _read(folder, number)
        if found is not None:
            return found
    return None


def acquire(folder: Path, stale_after: float = STALE_AFTER) -> Lease | None:
    """Take the lease, or None where another holds it (or was quicker)."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max(_numbers(folder), default=0)
    if number:
        holder = _read(folder, number)
        if holder is None or holder.holds(stale_after):
            return None
    token = uuid.uuid4().hex
    target, temporary = folder / f"{number + 1:06d}.json", folder / f".{token}.tmp"
    with open(temporary, "wb") as file:
        file.write(_content(token, released=False))
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link appears whole or not at all, and fails where the name is taken, on network file systems too.
        os.link(temporary, target)
        sync_folder(folder)
    except FileExistsError:
        return None
    finally:
        temporary.unlink()
    return Lease(target, token)


@contextlib.contextmanager
def held(lease: Lease, stale_after: float, lost: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Renew a lease in the background while the body runs, and release it after. ``lost`` is called once, from another
    thread, where another process has taken it over (after this one stood still for too long)."""
    done = threading.Event()

    def renewing() -> None:
        while not done.wait(stale_after / RENEWALS):
            if not lease.renew():
                lost()
                return

    thread = threading.Thread(target=renewing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        lease.release()


def _numbers(folder: Path) -> list[int]:
    try:
        return _listed(folder)
    except OSError:
        return []


def _listed(folder: Path) -> list[int]:
    stems = [name.removesuffix(".json") for name in os.listdir(folder) if name.endswith(".json")]
    return [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]


def _read(folder: Path, number: int) -> Holder | None:
    """None where there is no such file; one that is damaged holds until it is stale, as any other."""
    try:
        with open(folder / f"{number:06d}.json", "rb") as file:
            content = file.read()
            # Of the open file: over a network only opening makes sure that the time is the newest.
            renewed = os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
    age = _now(folder) - renewed
    try:
        told: dict[str, Any] = json.loads(content)
        return Holder(number, told["host"], told["process"], told["token"], told["released"], age)
    except (ValueError, KeyError, TypeError, RecursionError):
        return Holder(number, "", 0, "", False, age)


def _now(folder: Path) -> float:
    """The file system's own time."""
    probe = folder / f".{uuid.uuid4().hex}.now"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _content(token: str, released: bool) -> bytes:
    told = {"host": platform.node(), "process": os.getpid(), "token": token, "released": released}
    return json.dumps(told).encode()
