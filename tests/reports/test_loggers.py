"""Logging follows what a run writes: every row once, also when the run was killed and went on."""

from __future__ import annotations

import struct
import types

import pytest
from made_runs import STEPS
from tensorboardX.proto.event_pb2 import Event

import credo
from credo import run_folder, run_rows
from credo.cli import main
from credo.reports import loggers
from credo.reports.loggers import Follower, logging_to
from credo.types import CredoError


class Recorder:
    def __init__(self, folder):
        self.rows = []
        self.closed = False

    def write(self, seed, step, values):
        self.rows.append((seed, step, values))

    def close(self):
        self.closed = True


def events(folder):
    """(tag, step, value) of every scalar in TensorBoard's event files: length, its sum, record, its sum."""
    found = []
    for path in sorted(folder.rglob("events.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + size])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            at += 16 + size
    return found


def test_tensorboard_gets_every_finite_number_of_every_seed(make_run):
    folder = make_run("run", ("healthy", "dead"))
    with logging_to("tensorboard", folder) as log:
        log()
    for seed in (0, 1):
        scalars = events(folder / "logs" / "tensorboard" / f"seed-{seed}")
        returns = [(step, value) for tag, step, value in scalars if tag == "evaluations/return_mean"]
        assert len(returns) == 10
        assert returns[-1] == (STEPS, 2900 if seed == 0 else 20)
        # Nothing is told of the rounds before learning begins at step 1,000.
        gradients = [step for tag, step, _ in scalars if tag == "metrics/actor_gradient_max"]
        assert gradients == list(range(1024, STEPS + 1, 64))


def test_nothing_is_logged_of_a_run_that_was_refused(make_run):
    """Its folder may be another run's."""
    folder = make_run("run", ("healthy",))

    def refused(polls):
        with logging_to("tensorboard", folder) as log:
            for _ in range(polls):
                log()
            raise CredoError("another run")

    with pytest.raises(CredoError, match="another run"):
        refused(0)
    assert not (folder / "logs").exists()
    with pytest.raises(CredoError, match="another run"):
        refused(1)
    assert events(folder / "logs" / "tensorboard" / "seed-0")


def test_new_parts_are_given_once_and_repeated_rounds_not_again(make_run):
    folder = make_run("run", ())
    opened = []

    def open_sink(path):
        opened.append(Recorder(path))
        return opened[-1]

    def part(index, steps):
        rows = [{"seed": 0, "round": step, "step": step, "q_mean": float(step)} for step in steps]
        run_rows.write_part(folder, run_folder.METRICS, index, rows)

    follower = Follower(folder, "wandb", open_sink)
    follower.poll()
    assert opened == []
    part(0, (1, 2))
    follower.poll()
    follower.poll()
    part(1, (3,))
    follower.close()
    assert opened[0].rows == [(0, step, {"metrics/q_mean": float(step)}) for step in (1, 2, 3)]
    assert opened[0].closed
    # Killed after step 3, gone on from step 2: the next process does step 3 again.
    part(1, (3, 4))
    again = Follower(folder, "wandb", open_sink)
    again.close()
    assert opened[1].rows == [(0, 4, {"metrics/q_mean": 4.0})]


def test_a_run_from_python_is_logged_and_goes_on(tmp_path):
    given = {"environment": "Pendulum-v1", "seeds": 1, "sac": {"hidden": (8,)}, "evaluation_episodes": 1}
    folder = tmp_path / "run"
    credo.train_expert(steps=128, evaluation_interval=64, out=folder, log="tensorboard", **given)
    credo.resume(folder, steps=192, log="tensorboard")
    scalars = events(folder / "logs" / "tensorboard" / "seed-0")
    assert [step for tag, step, _ in scalars if tag == "evaluations/return_mean"] == [64, 128, 192]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_trackers_get_seeds_as_prefixes_and_environment_steps(make_run, monkeypatch, name):
    folder = make_run("run", ("healthy",))
    logged, told, defined = [], {}, []
    run = types.SimpleNamespace(
        log=lambda values, step=None: logged.append((values.pop("step", step), values)),
        define_metric=lambda *words, **options: defined.append((*words, options)),
        finish=lambda: told.update(finished=True),
    )
    module = types.SimpleNamespace(init=lambda **options: told.update(options) or run)
    monkeypatch.setattr(loggers, "load", lambda name: module)
    with logging_to(name, folder) as log:
        log()
    assert (told["project"], told["name"], told["finished"]) == ("credo", "run", True)
    assert told["config"]["environment"] == "Hopper-v5"
    assert defined == ([("step", {}), ("*", {"step_metric": "step"})] if name == "wandb" else [])
    step, values = logged[-1]
    assert (step, values["seed-0/evaluations/return_mean"]) == (STEPS, 2900)
    assert len(logged) == STEPS // 64 + 10
    assert all(name.startswith("seed-0/") for _, values in logged for name in values)


def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(loggers._MODULES, "wandb", "no_such_module")
    with pytest.raises(CredoError, match=r"pip install wandb$"), logging_to("wandb", tmp_path):
        pass
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        main(["imitate", "--log", "wandb", "--out", str(out), "--steps", "64"])
    assert stop.value.code == 2
    assert "pip install wandb" in capsys.readouterr().err
    assert not out.exists()


def test_nothing_is_logged_unless_asked_for(make_run):
    folder = make_run("run", ("healthy",))
    with logging_to(None, folder) as log:
        log()
    assert not (folder / "logs").exists()


def test_a_seed_that_is_behind_or_joins_later_and_a_last_evaluation_are_given(make_run):
    folder = make_run("run", ())
    opened = []

    def follow():
        return Follower(folder, "tensorboard", lambda run: opened.append(Recorder(run)) or opened[-1])

    def row(seed, step):
        return {"seed": seed, "round": step // 64, "step": step, "return_mean": float(step)}

    run_rows.write_part(folder, run_folder.EVALUATIONS, 0, [row(0, 5_000), row(1, 4_000)])
    follow().close()
    run_rows.write_part(folder, run_folder.EVALUATIONS, 1, [row(1, 5_000), row(2, 1_000)])
    run_rows.write_final(folder, run_folder.EVALUATIONS, 0, [row(0, 6_000)])
    follow().close()
    assert [(seed, step) for seed, step, _ in opened[0].rows] == [(0, 5_000), (1, 4_000)]
    assert [(seed, step) for seed, step, _ in opened[1].rows] == [(1, 5_000), (2, 1_000), (0, 6_000)]
    follow().close()
    assert opened[2].rows == []
