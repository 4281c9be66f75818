"""Checkpoints without training: seeds whose state is drawn at random, and faults at any of a save's file operations.

Run as a program it saves under faults in child processes (no JAX has started there, so they may be forked):
``python stored_seeds.py FOLDER STRIDE`` prints one line of JSON.
"""

import errno
import json
import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from credo.environments import EnvironmentBatch
from credo.environments.probes import PointMass
from credo.experience import Replay
from credo.training import checkpoint
from credo.training.checkpoint import Checkpoints
from credo.training.seed import Seed
from credo.training.state import TrainState
from credo.types import CredoError, Transition

LANES, LENGTH, STEPS = 2, 40, 14
"""The ring is shorter than three rounds: it wraps, and files of it fall away."""
POSITION = {"parts": {"metrics": 0, "evaluations": 0}, "seconds": 0.0}


def fresh_seeds(numbers=(0, 1), length=LENGTH):
    return [
        Seed(
            number=number,
            environments=EnvironmentBatch(PointMass, number, LANES),
            evaluator=None,
            replay=Replay(LANES * length, 4, 2, LANES),
            keys={},
            state=TrainState({"weight": np.zeros((3, 2), np.float32)}, ()),
        )
        for number in numbers
    ]


def advance(seeds, steps=STEPS):
    """One round: numbers that depend on seed and round alone."""
    for seed in seeds:
        generator = np.random.default_rng([seed.number, seed.next_round])
        observation = generator.standard_normal((steps + 1, LANES, 4)).astype(np.float32)
        action = generator.uniform(-1, 1, (steps, LANES, 2)).astype(np.float32)
        ended = generator.random((steps, LANES)) < 0.2
        reward = generator.standard_normal((steps, LANES)).astype(np.float32)
        seed.replay.add(Transition(observation[:-1], action, reward, observation[1:], ended), ended)
        for row in action:
            seed.environments.step(row)
        seed.state = TrainState({"weight": generator.standard_normal((3, 2)).astype(np.float32)}, ())
        seed.next_round += 1
        seed.last = {"step": float(seed.next_round), "return_mean": 1.0, "success_rate": np.nan}


def arrays_of(seed):
    """Everything that a checkpoint is to bring back, as bytes."""
    replay = seed.replay
    rows = replay.rows(replay.oldest, replay.written) | {"newest": replay.newest()}
    told = {"state": seed.state.learner["weight"], "observation": seed.environments.observation, **rows}
    last = json.dumps(seed.last)
    return {name: np.asarray(value).tobytes() for name, value in told.items()} | {"at": (seed.next_round, last)}


def expected(rounds, numbers=(0, 1), length=LENGTH):
    """``arrays_of`` seeds that were never saved, after so many rounds."""
    seeds = fresh_seeds(numbers, length)
    for _ in range(rounds):
        advance(seeds)
    return [arrays_of(seed) for seed in seeds]


def save(store, seeds):
    environments = {seed.number: seed.environments.state() for seed in seeds}
    store.save(seeds[0].next_round, seeds, lambda seed: seed.state, environments, POSITION)


def saved_run(folder, rounds, numbers=(0, 1), length=LENGTH):
    """A run folder with a checkpoint after each of so many rounds."""
    (folder / "checkpoints").mkdir(parents=True)
    store, seeds = Checkpoints(folder), fresh_seeds(numbers, length)
    for _ in range(rounds):
        advance(seeds)
        save(store, seeds)
    return store, seeds


def loaded(folder, numbers=(0, 1), rounds=1000, length=LENGTH):
    store, seeds = Checkpoints(folder), fresh_seeds(numbers, length)
    found = store.load(seeds, rounds)
    return store, seeds, found


MAKING = ("open", "os.rename", "os.mkdir", "os.link")
"""File operations that a full disk may refuse."""
OPERATIONS = (*MAKING, "os.remove", "os.rmdir", "shutil.rmtree", "os.chmod")


def fail_at(folder, number, action, operations, counts=lambda: True):
    """Call ``action`` before the file operation of that number in ``folder``, of those made while ``counts()``."""
    count = [0]

    def hook(event, arguments):
        if event in operations and str(folder) in str(arguments[0]) and counts():
            count[0] += 1
            if count[0] == number:
                action()

    sys.addaudithook(hook)
    return count


def forked(work):
    """The exit status of ``work`` in a child process; minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            status = work()
        except CredoError as error:
            status = 2 if "\n" not in str(error) else 4
        except BaseException:
            status = 5
        os._exit(status or 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def one_save(folder, number, action, limit=None):
    """Go on from the newest checkpoint for a round and save it, with a fault at one operation; 9 if it never came."""
    store, seeds, _ = loaded(folder)
    advance(seeds)
    count = fail_at(folder, number, action, MAKING if action is full else OPERATIONS)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    save(store, seeds)
    return 9 if count[0] < number and limit is None else 0


def check(folder, rounds):
    """0 where the folder's newest checkpoint is of one of ``rounds``, bit for bit, and can be gone on from."""
    store, seeds, found = loaded(folder)
    reached = seeds[0].next_round
    if found is None or found[1] or reached not in rounds:
        return 6
    if [arrays_of(seed) for seed in seeds] != expected(reached):
        return 7
    advance(seeds)
    save(store, seeds)
    _, again, _ = loaded(folder)
    return 0 if [arrays_of(seed) for seed in again] == expected(reached + 1) else 8


def main(folder, stride):
    checkpoint.jnp = np  # no JAX backend: its threads would not survive a fork
    tally = {"kill": 0, "full": 0, "limit": 0, "refused": 0}
    saved_run(folder / "begun", 3)
    names = iter(range(1_000_000))

    def trial(kind, number, action, limit, expected_status):
        run = folder / f"{kind}-{next(names)}"
        forked(lambda: os.execvp("cp", ["cp", "-r", str(folder / "begun"), str(run)]))
        status = forked(lambda: one_save(run, number, action, limit))
        if status == 9:
            return False
        assert status in expected_status, (kind, number, limit, status)
        told = forked(lambda: check(run, (3, 4)))
        assert told == 0, (kind, number, limit, told)
        tally[kind] += 1
        tally["refused"] += status == 2
        return True

    for kind, action, status in (("kill", kill, (-9,)), ("full", full, (0, 2))):
        number = 1
        while trial(kind, number, action, None, status):
            number += stride
    for limit in range(0, 4000, 100 * stride):
        trial("limit", 0, kill, limit, (0, 2))
    print(json.dumps(tally))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
