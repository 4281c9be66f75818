"""Leases: one holder at a time, whoever dies, however many ask."""

import errno
import json
import os
import pathlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from credo.studies import lease
from credo.studies.lease import acquire, current, held, release_of
from credo.types import CredoError


def aged(lease, seconds):
    """As if the lease had last been renewed a while ago."""
    then = time.time() - seconds
    os.utime(lease.path, (then, then))


def test_a_lease_excludes_until_it_is_released(tmp_path):
    mine = acquire(tmp_path / "a")
    assert mine is not None
    assert acquire(tmp_path / "a") is None
    holder = current(tmp_path / "a")
    assert holder.holds()
    assert holder.process == os.getpid()
    mine.release()
    assert not current(tmp_path / "a").holds()
    assert acquire(tmp_path / "a").number == 2
    assert current(tmp_path / "never") is None


def test_a_stale_lease_is_taken_over_and_its_holder_learns_of_it(tmp_path):
    mine = acquire(tmp_path, stale_after=30)
    aged(mine, 29)
    assert acquire(tmp_path, stale_after=30) is None
    assert mine.renew()
    aged(mine, 31)
    theirs = acquire(tmp_path, stale_after=30)
    assert theirs is not None
    assert not mine.renew()
    assert theirs.renew()
    # The old holder's release must not free what is another's now.
    mine.release()
    assert acquire(tmp_path, stale_after=30) is None


def test_a_file_system_that_does_not_answer_takes_no_lease_away(tmp_path, monkeypatch):
    mine = acquire(tmp_path)
    with monkeypatch.context() as patched:

        def failing(*arguments, **options):
            raise OSError(errno.EIO, "Input/output error")

        patched.setattr(os, "utime", failing)
        assert mine.renew()
        patched.setattr(lease.os, "listdir", failing)
        assert mine.renew()
    aged(mine, 100)
    assert acquire(tmp_path) is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "utime", failing)
        assert not mine.renew()
    assert not mine.renew()
    mine.path.unlink()
    assert not mine.renew()


def test_process_ids_say_nothing(tmp_path):
    mine = acquire(tmp_path)
    told = json.loads(mine.path.read_text())
    mine.path.write_text(json.dumps(told | {"process": 2**22 + 1, "host": "elsewhere"}))
    assert acquire(tmp_path) is None


@pytest.mark.parametrize("before", ["nothing", "released", "stale"])
def test_of_many_who_ask_at_once_one_gets_it(tmp_path, before):
    if before != "nothing":
        first = acquire(tmp_path)
        first.release() if before == "released" else aged(first, 1_000)
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait()
        return acquire(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        got = [lease for lease in pool.map(ask, range(8)) if lease is not None]
    assert len(got) == 1
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_a_held_lease_is_renewed_and_then_released(tmp_path):
    mine = acquire(tmp_path, stale_after=0.6)
    with held(mine):
        time.sleep(1.0)
        assert current(tmp_path).holds(0.6)
    assert current(tmp_path).released


def test_losing_a_lease_is_told_once(tmp_path):
    lost = []
    mine = acquire(tmp_path, stale_after=0.3)
    with held(mine, lambda: lost.append(True)):
        other = tmp_path / "000002.json"
        other.write_text(mine.path.read_text().replace(mine.token, "another"))
        time.sleep(0.5)
    assert lost == [True]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": "a"}', "\xff"])
def test_a_damaged_lease_holds_until_it_is_stale(tmp_path, content):
    """As a power cut may leave it: what it covers is neither free at once nor lost for ever."""
    path = tmp_path / "000001.json"
    path.write_text(content)
    assert acquire(tmp_path) is None
    assert current(tmp_path).holds()
    assert str(current(tmp_path)) == "the holder of a damaged lease"
    os.utime(path, (0, 0))
    assert not current(tmp_path).holds()
    assert acquire(tmp_path).number == 2


def test_the_lease_of_a_process_that_is_known_to_have_ended_is_released(tmp_path):
    mine = acquire(tmp_path)
    release_of(tmp_path, os.getpid() + 1)
    assert current(tmp_path).holds()
    release_of(tmp_path, os.getpid())
    assert not current(tmp_path).holds()
    assert acquire(tmp_path).number == mine.number + 1
    release_of(tmp_path / "never", os.getpid())


def test_another_machines_process_of_the_same_number_keeps_its_lease(tmp_path):
    mine = acquire(tmp_path)
    told = json.loads(mine.path.read_text())
    mine.path.write_text(json.dumps(told | {"host": "elsewhere"}))
    release_of(tmp_path, told["process"])
    assert current(tmp_path).holds()


@pytest.mark.parametrize(("holders", "others"), [(60.0, 3.0), (3.0, 60.0), (None, 3.0)])
def test_of_two_times_the_longer_one_counts(tmp_path, holders, others):
    """Its holder may rightly renew it every ten seconds. One of an older version does not say its time: the usual."""
    mine = acquire(tmp_path, stale_after=holders or 60.0)
    if holders is None:
        told = json.loads(mine.path.read_text())
        del told["stale_after"]
        mine.path.write_text(json.dumps(told))
    aged(mine, 40)
    assert current(tmp_path).holds(others)
    assert acquire(tmp_path, stale_after=others) is None
    aged(mine, 61)
    assert not current(tmp_path).holds(others)
    assert acquire(tmp_path, stale_after=others) is not None


def test_a_lease_whose_age_cannot_be_learned_holds(tmp_path, monkeypatch):
    mine = acquire(tmp_path)
    aged(mine, 1_000)

    def failing(*arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "touch", failing)
        assert current(tmp_path).holds()
    assert not current(tmp_path).holds()


def test_who_looks_at_a_released_lease_writes_nothing(tmp_path):
    acquire(tmp_path).release()
    os.utime(tmp_path, (1, 1))
    assert not current(tmp_path).holds()
    assert tmp_path.stat().st_mtime == 1


def test_a_folder_that_takes_no_lease_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(CredoError, match=r"file.inside cannot be made \(Not a directory\)"):
        acquire(tmp_path / "file" / "inside")

    def failing(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", failing)
    with pytest.raises(CredoError, match=r"a lease cannot be made there \(Operation not permitted\)"):
        acquire(tmp_path / "leases")
    assert list((tmp_path / "leases").iterdir()) == []
