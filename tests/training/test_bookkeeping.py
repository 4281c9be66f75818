"""What the loop keeps of its seeds, without training any: best policies, seconds, clones, and where evaluations lie."""

import dataclasses
import types

import numpy as np
import pytest

from credo import run_folder
from credo.training import loop
from credo.training.clone import clone_seeds
from credo.training.loop import _Run
from credo.training.seed import Frozen, Seed
from credo.training.state import make_parts
from credo.training.stopping import Stop
from credo.training.watching import Watcher
from training.linear_discriminator import SPEC, settings


def made(folder, seeds, **changes):
    parts = make_parts(dataclasses.replace(settings(), **changes), SPEC)
    return _Run(parts, None, None, folder, seeds, Watcher(), Stop())


def seed(number=0):
    nothing = types.SimpleNamespace()
    return Seed(number=number, environments=nothing, evaluator=nothing, replay=nothing, keys={}, state=f"of {number}")


def test_the_row_and_the_policy_of_the_best_evaluation_are_kept_together(tmp_path, monkeypatch):
    """The policy that a checkpoint puts back is that of the row, also where a later evaluation was the best."""
    one = seed()
    run = made(tmp_path, [one], steps_per_round=10)
    distances = {10: 3.0, 20: 1.0, 30: 2.0, 40: 1.0}
    saved = []

    def evaluated(parts, constants, seed, state, policy, *rest):
        distance = distances[int(policy.removeprefix("after "))]
        return {"occupancy_distance": distance, "return_mean": 0.0, "success_rate": np.nan}

    monkeypatch.setattr(loop, "evaluate", evaluated)
    monkeypatch.setattr(run, "_policy", lambda seed, state, step: f"after {step}")
    monkeypatch.setattr(run.record, "save", lambda seed, policy, which: saved.append((policy, which)))
    kept = []
    for round_number in range(4):
        assert run._judge(one, one.state, run._place(one, round_number))
        kept.append((one.best["step"], one.best_policy, one.last["step"]))
    assert kept == [(10, "after 10", 10), (20, "after 20", 20), (20, "after 20", 30), (20, "after 20", 40)]
    assert saved == [("after 10", "best"), ("after 20", "best")]
    assert [row["step"] for row in one.evaluations] == [10, 20, 30, 40]


def test_a_checkpoint_knows_the_seconds_of_all_processes_before(tmp_path, monkeypatch):
    """Three processes of 7 seconds each: what the third goes on from are the seconds of both before it."""
    stored = []
    monkeypatch.setattr(loop.Checkpoints, "load", lambda *rest: (stored[-1], []) if stored else None)
    monkeypatch.setattr(loop.Checkpoints, "save", lambda store, rounds, seeds, state, held, told: stored.append(told))
    for _ in range(3):
        run = made(tmp_path, [])
        run._load()
        run._checkpoint(types.SimpleNamespace(state=None), types.SimpleNamespace(round=0, seconds=7.0))
    assert [position["seconds"] for position in stored] == [7.0, 14.0, 21.0]


def test_a_warm_start_clones_every_seed_that_begins_and_no_other(tmp_path):
    seeds = [seed(number) for number in range(4)]
    unable = seeds[3].frozen = Frozen(0, "at the first reset: environment 0 (probe) raised OSError: no licence")
    run = made(tmp_path, seeds)
    run.checkpoints = types.SimpleNamespace(seeds={1})

    def cloner(state, number, on_epoch):
        return f"clone {state}", types.SimpleNamespace(best=types.SimpleNamespace(held_out_loss=0.5), epochs=[])

    run.cloner = cloner
    assert run._warm_start()
    assert [one.state for one in seeds] == ["clone of 0", "of 1", "clone of 2", "of 3"]
    seeds[0].frozen = unable
    broken = types.SimpleNamespace(best=types.SimpleNamespace(held_out_loss=np.nan), epochs=[])
    list(clone_seeds(lambda *_: ("bad", broken), [seeds[0], seeds[2]], 1, Stop(), Watcher()))
    assert [one.frozen for one in seeds] == [unable, None, Frozen(0, "non-finite clone, in 0 epochs"), unable]


def test_what_a_summary_says_of_seeds_stays_and_of_no_seeds_goes(tmp_path):
    told = {"10": {"steps": 5}, "2": {"steps": 7, "selected_step": 7}, "abc": {}, "-1": {}, "1.5": {}, "9" * 5000: {}}
    run_folder.write_json(tmp_path / run_folder.SUMMARY, {"state": "done", "seeds": told})
    run = made(tmp_path, [seed()])
    assert run.record.clones() == (0, set())
    run._summarise("interrupted", types.SimpleNamespace(round=0, seconds=1.0))
    summary = run_folder.read_summary(tmp_path)
    assert summary["state"] == "interrupted"
    assert list(summary["seeds"]) == ["0", "2", "10"]
    assert summary["seeds"]["2"] == told["2"]


@pytest.mark.parametrize(
    ("interval", "expected"), [(10, [10, 20, 30, 40, 50]), (25, [30, 50]), (30, [30]), (4, [10, 20, 30, 40, 50])]
)
def test_an_evaluation_follows_the_round_that_reaches_a_multiple_of_the_interval(interval, expected, tmp_path):
    one = seed()
    run = made(tmp_path, [one], steps_per_round=10)
    found = [run._place(one, number) for number in range(5) if run._crosses(number, interval)]
    assert [row["step"] for row in found] == expected
    assert [row["round"] for row in found] == [step // 10 - 1 for step in expected]
