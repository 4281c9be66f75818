"""Long tests of faults; every test prints what it counted."""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from soak import worker

TESTS = Path(__file__).parents[1]


class Ended(NamedTuple):
    status: int
    """Exit status; minus the signal that killed it."""
    round: int | None
    """The last that it told of."""
    in_save: bool
    """Whether it was killed inside a save."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Of the processes that train: programs compiled by one serve the others."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
        "CREDO_SOAK_CACHE": str(tmp_path_factory.mktemp("compiled")),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def processes(environment):
    """Makes processes that have imported everything already, which is a third of what a short run takes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([worker.__name__])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        first = context.Process(target=int)  # starts the server, with this environment
        first.start()
        first.join()
    return context


@pytest.fixture(scope="session")
def train(processes):
    """``train(folder, config, **kills)`` in a new process (``soak.worker.main``), and how it ended."""

    def train(folder, config, **kills):
        told, tell = processes.Pipe(duplex=False)
        process = processes.Process(target=worker.main, args=(tell, str(folder), config), kwargs=kills)
        process.start()
        tell.close()
        words = []
        try:
            while True:
                words.append(told.recv())
        except EOFError:
            process.join()
        assert process.exitcode in (0, -9)
        rounds = [word for word in words if word != "save"]
        return Ended(process.exitcode, rounds[-1] if rounds else None, "save" in words)

    return train


@pytest.fixture
def say(capsys):
    """Print past pytest's capture."""

    def say(line):
        with capsys.disabled():
            print(f"\n  {line}", flush=True)

    return say
