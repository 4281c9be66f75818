"""Who trains a run: one process at a time, and whether it is still there."""

import os
import platform
import subprocess
import sys

import pytest

from credo.run_lock import LOCK, holder_is_gone, locked
from credo.types import CredoError

HOLDER = """
import sys
from pathlib import Path
from credo.run_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_that_another_process_holds_is_refused_and_dies_with_it(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CredoError, match=f"another process .*{holder.pid}"), locked(tmp_path):
            pass
        assert not holder_is_gone(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    assert holder_is_gone(tmp_path)
    with locked(tmp_path):  # the file of the dead process is there still
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()
    with locked(tmp_path):
        pass


def test_a_lock_that_is_a_link_empties_nothing(tmp_path):
    folder, mine = tmp_path, tmp_path / "mine"
    mine.write_text("precious")
    (folder / LOCK).symlink_to(mine)
    with pytest.raises(CredoError, match="cannot be written to"), locked(folder):
        pass
    assert mine.read_text() == "precious"


@pytest.mark.parametrize(
    "told", ["", "process 1 on elsewhere", "process x on HERE", "process -1 on HERE", "\x00\xff", "9" * 5000]
)
def test_a_holder_of_whom_nothing_is_known_is_not_said_to_be_gone(tmp_path, told):
    assert not holder_is_gone(tmp_path)
    (tmp_path / LOCK).write_bytes(told.replace("HERE", platform.node()).encode("latin-1"))
    assert not holder_is_gone(tmp_path)


def test_what_is_no_lock_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / LOCK)
    assert not holder_is_gone(tmp_path)
