"""Who works on what, told by files in a shared folder: leases that end when their holder stops renewing them.

Leases of one thing are files 000001.json, 000002.json, ...; the highest number is the current one, and numbers are
never used again. Whoever may take over (the current lease is released or stale) makes the next number, which the file
system lets only one succeed in. A lease is stale when its file has not been touched for a while, by the clock of the
file system itself: neither process ids, which mean nothing on another machine, nor the clocks of machines are compared.
How long a while that is its holder has written into it: whoever has less patience waits as long.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from credo.files import make_folder, sync_folder, write_atomically
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
    age: float | None
    """Seconds since it was renewed, by the file system's clock; None where that does not tell (it may not be written
    to), or where nothing depends on it."""
    stale_after: float = STALE_AFTER
    """What its holder renews it by."""

    def holds(self, stale_after: float = STALE_AFTER) -> bool:
        if self.released:
            return False
        return self.age is None or self.age < max(stale_after, self.stale_after)

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}" if self.token else "the holder of a damaged lease"


class Lease:
    """A lease that this process holds; ``held`` renews it."""

    def __init__(self, path: Path, token: str, stale_after: float):
        self.path, self.token, self.stale_after = path, token, stale_after
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
            write_atomically(self.path, _content(self.token, self.stale_after, released=True))


def release_of(folder: Path, process: int) -> None:
    """Release the current lease where it is one of a process of this machine that is known to have ended."""
    holder = current(folder)
    if holder is not None and not holder.released and (holder.process, holder.host) == (process, platform.node()):
        Lease(folder / f"{holder.number:06d}.json", holder.token, holder.stale_after).release()


def current(folder: Path) -> Holder | None:
    """The current lease in a folder of leases; None where there has never been one."""
    for number in sorted(_numbers(folder), reverse=True):
        found = _read(folder, number)
        if found is not None:
            return found
    return None


def acquire(folder: Path, stale_after: float = STALE_AFTER) -> Lease | None:
    """Take the lease, or None where another holds it (or was quicker). CredoError where the folder takes none."""
    make_folder(folder)
    number = max(_numbers(folder), default=0)
    if number:
        holder = _read(folder, number)
        if holder is None or holder.holds(stale_after):
            return None
    token = uuid.uuid4().hex
    target, temporary = folder / f"{number + 1:06d}.json", folder / f".{token}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(_content(token, stale_after, released=False))
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and fails where the name is taken, on network file systems too.
        os.link(temporary, target)
        sync_folder(folder)
    except FileExistsError:
        return None
    except OSError as error:
        raise CredoError(f"{folder}: a lease cannot be made there ({error.strerror or error})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return Lease(target, token, stale_after)


@contextlib.contextmanager
def held(lease: Lease, lost: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Renew a lease in the background while the body runs, and release it after. ``lost`` is called once, from another
    thread, where another process has taken it over (after this one stood still for too long)."""
    done = threading.Event()

    def renewing() -> None:
        while not done.wait(lease.stale_after / RENEWALS):
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
    holder = _told(number, content)
    # To learn the time a file is written: not where nobody asks for it.
    if holder.released or (now := _now(folder)) is None:
        return holder
    return holder._replace(age=now - renewed)


def _told(number: int, content: bytes) -> Holder:
    try:
        told: dict[str, Any] = json.loads(content)
        # Older versions did not write it.
        stale_after = told.get("stale_after", STALE_AFTER)
        if not math.isfinite(stale_after):
            raise ValueError(stale_after)
        return Holder(number, told["host"], told["process"], told["token"], told["released"], None, float(stale_after))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Holder(number, "", 0, "", False, None)


def _now(folder: Path) -> float | None:
    """The file system's own time; None where it cannot be asked."""
    probe = folder / f".{uuid.uuid4().hex}.now"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _content(token: str, stale_after: float, released: bool) -> bytes:
    told = {"host": platform.node(), "process": os.getpid(), "token": token, "released": released}
    return json.dumps(told | {"stale_after": stale_after}).encode()
