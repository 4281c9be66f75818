"""Cores that processes claim, each for itself."""

import os
import subprocess
import sys
import tempfile

from credo.studies.cores import claim_cores


def test_cores_are_claimed_by_one_process_at_a_time(tmp_path):
    # A folder of claims of its own: trainings beside the tests have theirs.
    own = os.environ | {"TMPDIR": str(tmp_path)}
    script = (
        "from credo.studies.cores import claim_cores; import time; print(claim_cores(1), flush=True); time.sleep(30)"
    )
    first = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=own)
    one = first.stdout.readline()
    second = subprocess.run(
        [sys.executable, "-c", script.replace("30", "0")], capture_output=True, text=True, check=True, env=own
    ).stdout
    first.kill()
    first.wait()
    first.stdout.close()
    assert len(eval_numbers(one)) == 1
    assert second == "()\n" or not set(eval_numbers(one)) & set(eval_numbers(second))
    assert claim_cores(0) == ()


def test_a_folder_of_cores_that_is_somebody_elses_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"credo-cores-{os.getuid()}").symlink_to(elsewhere)
    assert claim_cores(1) == ()
    assert list(elsewhere.iterdir()) == []
    (tmp_path / f"credo-cores-{os.getuid()}").unlink()
    own = tmp_path / f"credo-cores-{os.getuid()}"
    own.mkdir(mode=0o700)
    for core in os.sched_getaffinity(0):
        (own / str(core)).symlink_to(elsewhere / "core")
    assert claim_cores(1) == ()
    assert list(elsewhere.iterdir()) == []


def eval_numbers(text):
    return [int(part) for part in text.strip("()\n ").split(",") if part.strip()]
