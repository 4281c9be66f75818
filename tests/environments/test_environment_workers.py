"""Environments in worker processes: the same numbers, state through the pipe, hangs, deaths, and no orphans."""

import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import credo
from credo.environments import (
    EnvironmentBatch,
    EnvironmentFaultError,
    EpisodeRunner,
    HungEnvironmentError,
    LostEnvironmentError,
    Workers,
)
from credo.environments.lane import EpisodeStart
from credo.environments.probes import AutoresetProbe, Fragile, PointMass, point_mass_expert
from credo.environments.workers import RemoteLanes
from credo.types import CredoError


@pytest.fixture(scope="module")
def worker():
    """One process for all tests that leave it alive."""
    workers = Workers(1)
    yield workers
    workers.close()


def actions(steps, batch):
    shape = (steps, len(batch.observation), batch.spec.action_size)
    return np.random.default_rng(1).uniform(-0.5, 0.5, shape).astype(np.float32)


def assert_same_course(one, other, course):
    assert one.observation.tobytes() == other.observation.tobytes()
    for action in course:
        for left, right in zip(one.step(action), other.step(action), strict=True):
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes()
        assert one.observation.tobytes() == other.observation.tobytes()
    assert one.finished == other.finished


@pytest.mark.parametrize("source", ["Hopper-v5", PointMass])
def test_numbers_and_state_are_those_of_this_process(source, worker):
    here = EnvironmentBatch(source, 3, count=2)
    there = EnvironmentBatch(source, 3, count=2, workers=worker)
    assert str(there.spec) == str(here.spec)
    course = actions(90, here)
    assert_same_course(here, there, course[:60])
    assert here.finished
    again = EnvironmentBatch(source, 3, count=2, workers=worker)
    assert again.restore(here.state()) == []
    assert EnvironmentBatch(source, 3, count=2).restore(there.state()) == []
    assert_same_course(here, again, course[60:])
    there.close()
    again.close()


def test_evaluations_are_those_of_this_process(worker):
    here, there = EpisodeRunner(PointMass, 3), EpisodeRunner(PointMass, 3, worker, 0)
    for left, right in zip(here.run(point_mass_expert, 5, 0), there.run(point_mass_expert, 5, 0), strict=True):
        for one, other in zip(left, right, strict=True):
            np.testing.assert_array_equal(one, other)
    there.close()


@pytest.mark.parametrize("how", ["raise", "observation", "shape"])
def test_faults_cross_the_pipe_whole(how, worker):
    source = functools.partial(Fragile, how=how)
    here, there = EnvironmentBatch(source, 2), EnvironmentBatch(source, 2, workers=worker)
    errors = []
    for batch in (here, there):
        for _ in range(2):
            batch.step(np.zeros((1, 1)))
        with pytest.raises(EnvironmentFaultError) as caught:
            batch.step(np.zeros((1, 1)))
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])
    assert (type(errors[0]), errors[0].place, errors[0].what) == (type(errors[1]), errors[1].place, errors[1].what)
    assert worker.process_ids, "the process lives on"


@pytest.mark.parametrize(
    ("source", "words"), [("Hoper-v5", "did you mean"), (lambda: PointMass(), "cannot be sent to a worker process")]
)
def test_refusals_are_one_line(source, words, worker):
    with pytest.raises(CredoError, match=words) as caught:
        EnvironmentBatch(source, 0, workers=worker)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [("hang", HungEnvironmentError, "did not answer within 1 s"), ("die", LostEnvironmentError, "died (status -9)")],
)
def test_a_hang_or_death_takes_its_own_seed_alone(how, error, words):
    """The other seeds of the process go on bit for bit: one restored by its state, one in mid-episode, one runner."""
    workers = Workers(1, timeout=1.0)
    try:
        bad = EnvironmentBatch(functools.partial(Fragile, how=how), 9, workers=workers)
        here, there = (EnvironmentBatch("Hopper-v5", 4, count=2, workers=w) for w in (None, workers))
        point_here, point_there = (EnvironmentBatch(PointMass, 5, workers=w) for w in (None, workers))
        course, point_course = actions(30, here), actions(30, point_here)
        assert_same_course(here, there, course[:6])
        assert there.restore(here.state()) == []
        assert_same_course(here, there, course[6:12])
        assert_same_course(point_here, point_there, point_course[:12])
        first = workers.process_ids
        for _ in range(2):
            bad.step(np.zeros((1, 1)))
        with pytest.raises(error) as caught:
            bad.step(np.zeros((1, 1)))
        assert words in str(caught.value)
        assert caught.value.place == (bad.spec.name, 0, 9, 0, 3)
        assert workers.process_ids == []
        assert_same_course(here, there, course[12:])
        assert_same_course(point_here, point_there, point_course[12:])
        assert here.state().keys() == there.state().keys()
        assert workers.process_ids != first
    finally:
        workers.close()


def gone(process_id):
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
@pytest.mark.parametrize("ending", ["forgets to close", "killed in a hang"])
def test_no_process_outlives_the_program(ending, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import functools, sys, numpy as np
        from credo.environments import EnvironmentBatch, Workers
        from credo.environments.probes import Fragile

        if __name__ == "__main__":
            workers = Workers(1)
            batch = EnvironmentBatch(functools.partial(Fragile, fail_at=1, how="hang"), 0, workers=workers)
            print(workers.process_ids[0], flush=True)
            if sys.argv[1] == "killed in a hang":
                batch.step(np.zeros((1, 1)))
        """)
    )
    environment = os.environ | {"PYTHONPATH": str(Path(credo.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, script, ending], env=environment, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    worker_id = int(process.stdout.readline())
    if ending == "killed in a hang":
        assert not gone(worker_id)
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until(lambda: gone(worker_id))


def test_ctrl_c_and_sigterm_leave_the_environments_to_the_run(worker):
    batch = EnvironmentBatch(PointMass, 0, workers=worker)
    (process_id,) = worker.process_ids
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process_id, number)
    batch.step(np.zeros((1, 2)))
    assert worker.process_ids == [process_id]
    batch.close()


def test_seeds_are_spread_over_the_workers():
    workers = Workers(2)
    batches = [EnvironmentBatch(PointMass, seed, workers=workers) for seed in (0, 1)]
    assert len(workers.process_ids) == 2
    for batch in batches:
        batch.close()
    workers.close()


def test_an_environment_that_was_restored_by_its_actions_is_brought_back_by_them():
    workers = Workers(1)
    here, there = EnvironmentBatch(PointMass, 5), EnvironmentBatch(PointMass, 5, workers=workers)
    action = np.full((1, 2), 0.5)
    for _ in range(3):
        here.step(action)
    assert there.restore(here.state()) == []
    workers.of_seed(5).kill()
    expected, found = here.step(action), there.step(action)
    assert found.next_observation.tobytes() == expected.next_observation.tobytes()
    workers.close()


def test_a_worker_that_ends_between_two_episodes_costs_none():
    workers = Workers(1)
    lanes = RemoteLanes(PointMass, workers.of_seed(5), 5)
    lanes.reset(0, EpisodeStart(5, 0, 1))
    workers.of_seed(5).kill()
    assert lanes.reset(0, EpisodeStart(5, 1, 2)).shape == (4,)
    workers.close()


def test_an_episode_that_is_over_is_not_repeated():
    """The probe counts the episodes of its life, so that none of its later ones could be repeated."""
    workers = Workers(1)
    worker, runner = workers.of_seed(0), EpisodeRunner(AutoresetProbe, 1, workers, 0)
    requests, ask = [], worker.ask
    worker.ask = lambda lanes, request, *rest: requests.append(request) or ask(lanes, request, *rest)
    first = runner.run(lambda observation: np.zeros((1, 1), np.float32), 2, 0)
    assert requests.count("step") == 6
    worker.kill()
    requests.clear()
    again = runner.run(lambda observation: np.zeros((1, 1), np.float32), 2, 0)
    assert [episode.reward.tolist() for episode in again] == [episode.reward.tolist() for episode in first]
    assert requests == ["build", "open", "open", *("reset", "step", "step", "step") * 2]
    workers.close()


def test_of_two_environments_the_one_that_begins_anew_is_not_repeated():
    workers = Workers(1)
    worker, lanes = workers.of_seed(5), RemoteLanes(PointMass, workers.of_seed(5), 5)
    here = EnvironmentBatch(PointMass, 5)
    lanes.open(2)
    for index in range(2):
        lanes.reset(index, here._start(0, index))
    action = np.full((2, 2), 0.5, np.float32)
    lanes.step([0, 1], action)
    worker.kill()
    requests, ask = [], worker.ask
    worker.ask = lambda lanes, request, *rest: requests.append(request) or ask(lanes, request, *rest)
    lanes.reset(1, here._start(0, 0))
    older, newer = lanes.step([0, 1], action).next_observation
    assert requests == ["build", "open", "reset", "reset", "step", "step"]
    assert newer.tobytes() == here.step(action[:1]).next_observation[0].tobytes()
    assert older.tobytes() == here.step(action[:1]).next_observation[0].tobytes()
    workers.close()


def test_a_worker_that_died_while_idle_is_told_and_no_empty_state_is():
    workers = Workers(1)
    batch = EnvironmentBatch(PointMass, 5, workers=workers)
    os.kill(workers.process_ids[0], signal.SIGKILL)
    with pytest.raises(LostEnvironmentError, match=r"of seed 5, .*its worker process died \(status -9\)"):
        batch.state()
    with pytest.raises(RuntimeError, match="closed"):
        batch.state()
    workers.close()
