"""A process that runs one cell with a pretended training: python study_worker.py ROOT STALE_AFTER CELL SECONDS.

The training takes SECONDS in ten steps, goes on where it was, and writes its beginnings and ends to ROOT/log.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path

from credo import run_folder
from credo.config import RunConfig
from credo.run_lock import locked
from credo.studies.execute import run_cell
from credo.studies.store import Placed, Store
from credo.studies.study import Cell
from credo.types import CredoError

CONFIG = RunConfig(steps=640, reward="environment", learner="sac", demonstrations="")


def placed(name):
    """A cell; "NAME@STEPS" is one of the same run with so many steps."""
    run, _, steps = name.partition("@")
    config = dataclasses.replace(CONFIG, steps=int(steps)) if steps else CONFIG
    return Placed(Cell(name, name, "none", config), f"run-{run}")


def write(folder, config, tenths):
    seeds = {str(n): {"steps": tenths * config.rounds // 10 * 64, "frozen": None} for n in config.seed_numbers}
    run_folder.write_json(folder / run_folder.SUMMARY, {"state": "running", "wall_seconds": 2.0, "seeds": seeds})


def pretend(seconds):
    def train(config, folder, cell):
        log = folder.parent.parent / "log"
        run_folder.create(folder, config, {}, "test")
        with locked(folder):
            done = run_folder.read_summary(folder).get("seeds", {}).get("0", {}).get("steps", 0) * 10 // config.steps
            with open(log, "a") as file:
                file.write(f"begin {folder.name} {done} {os.getpid()}\n")
            if folder.name == "run-bad":
                raise CredoError("environment: this one cannot work")
            if folder.name == "run-odd":
                raise ValueError("two\nlines")
            for tenth in range(done, 10):
                if folder.name == "run-killed" and tenth == 5 and done == 0:
                    os.kill(os.getpid(), 9)
                time.sleep(seconds / 10)
                write(folder, config, tenth + 1)
            with open(log, "a") as file:
                file.write(f"end {folder.name} 10 {os.getpid()}\n")

    return train


SLOWLY = 20.0


def slowly(config, folder, cell):
    """A pretended training of ``SLOWLY`` seconds, which other processes can import."""
    pretend(SLOWLY)(config, folder, cell)


if __name__ == "__main__":
    root, stale_after, name, seconds = sys.argv[1:]
    run_cell(Store(Path(root), float(stale_after)), placed(name), pretend(float(seconds)))
