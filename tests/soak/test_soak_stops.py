"""SIGTERM, as a scheduler sends it before it takes the machine away."""

import signal
import subprocess
import sys
import time

import numpy as np

from credo import run_folder
from credo.training.checkpoint import all_checkpoints
from soak.amount import trials

SECONDS = 10.0


def started(folder, environment, *more):
    words = ["--env", "Hopper-v5", "--seeds", "4", "--steps", "1000000", "--replay-capacity", "20000", "--quiet"]
    words += ["--evaluation-interval", "256", "--checkpoint-interval", "512", "--out", str(folder), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "credo", "imitate", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def steps_of(folder):
    return run_folder.read_summary(folder).get("steps", 0)


def ended(process):
    """Status and seconds from SIGTERM to the end."""
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=120)
    assert "Traceback" not in printed, printed
    return process.returncode, time.monotonic() - start


def test_a_checkpoint_within_ten_seconds_once_training_has_begun(environment, say, tmp_path):
    """Default networks, four seeds; many evaluations, so that the signal often comes in one."""
    environment = environment | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    generator = np.random.default_rng(0)
    took, folder = [], tmp_path / "run"
    for _ in range(trials(10)):
        wanted = max(steps_of(folder) + 512, 1_536)  # learning starts at 1,000: all is compiled
        process = started(folder, environment)
        deadline = time.monotonic() + 600
        while steps_of(folder) < wanted:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(generator.uniform(2, 8))
        status, seconds = ended(process)
        assert status == 130
        assert run_folder.read_summary(folder)["state"] == "interrupted"
        assert all_checkpoints(folder)
        took.append(seconds)
    assert max(took) < SECONDS
    say(f"SIGTERM in training, {len(took)} times: status 130 after at most {max(took):.1f} s, a checkpoint each time")


def test_at_once_while_it_compiles(environment, say, tmp_path):
    took = []
    for trial in range(trials(5)):
        folder = tmp_path / f"run-{trial}"
        process = started(folder, environment, "--learning-starts", "0", "--random-steps", "0")
        while not (folder / run_folder.SUMMARY).exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        time.sleep(1.0)  # the first round begins by compiling, which takes longer than that
        assert not list((folder / run_folder.METRICS).glob("*"))
        status, seconds = ended(process)
        assert status == -signal.SIGTERM
        took.append(seconds)
    assert max(took) < SECONDS
    say(f"SIGTERM in compilation, {len(took)} times: ended by the signal after at most {max(took):.1f} s")
