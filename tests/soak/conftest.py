"""Long tests of faults; every test prints what it counted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Of the processes that train: programs compiled by one serve the others."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
        "CREDO_SOAK_CACHE": str(tmp_path_factory.mktemp("compiled")),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def train(environment):
    """``train(folder, config, **kills)``: exit status and the last round that the process told of (None: none)."""

    def train(folder, config, **settings):
        words = json.dumps({"folder": str(folder), "config": config, **settings})
        done = subprocess.run(
            [sys.executable, "-m", "soak.worker", words], env=environment, capture_output=True, text=True
        )
        rounds = [int(line) for line in done.stdout.split() if line.isdecimal()]
        assert done.returncode in (0, -9), done.stderr[-2000:]
        return done.returncode, rounds[-1] if rounds else None

    return train


@pytest.fixture
def say(capsys):
    """Print past pytest's capture."""

    def say(line):
        with capsys.disabled():
            print(f"\n  {line}", flush=True)

    return say
