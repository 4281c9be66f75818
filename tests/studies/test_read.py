"""Curves from run folders: cut to what a study wants, and whole where the folder is not."""

import dataclasses

import numpy as np
import pytest
from made_up_curves import curve

from credo import run_folder, run_rows
from credo.config import RunConfig
from credo.studies.analysis import analyse
from credo.studies.digest import digest, late_mean
from credo.studies.read import MethodRun, read_curves, read_digests

CONFIG = dataclasses.replace(RunConfig(), steps=1_000, seeds=2, steps_per_round=100)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "run"
    run_folder.create(path, CONFIG, {"return_mean": 100.0}, "test")
    steps = range(100, 1_001, 100)
    metrics = [
        {"seed": seed, "round": step // 100, "step": step, "actor_gradient_max": 0.5, "reward_mean": 1.0}
        for seed in (0, 1)
        for step in steps
        if seed == 0 or step <= 600
    ]
    evaluations = [{"seed": s, "round": t, "step": t, "return_mean": t / 10} for s in (0, 1) for t in (500, 1_000)]
    run_rows.write_part(path, run_folder.METRICS, 0, metrics)
    run_rows.write_part(path, run_folder.EVALUATIONS, 0, evaluations[:3])
    return path


def test_every_seed_has_its_own_rows(folder):
    one, other = read_curves(("a", "Hopper", folder))
    assert (one.method, one.environment, one.seed, one.expert_return) == ("a", "Hopper", 0, 100.0)
    assert one.metrics["step"].tolist() == list(range(100, 1_001, 100))
    assert one.evaluations["return_mean"].tolist() == [50, 100]
    assert (one.finished, other.finished) == (True, False)
    assert other.last_step == 600


def test_curves_are_cut_to_the_steps_and_seeds_that_a_study_wants(folder):
    (one,) = read_curves(MethodRun("a", "Hopper", folder, steps=550, seeds=(1,)))
    assert one.seed == 1
    assert one.last_step == 500
    assert one.finished
    (missing,) = read_curves(MethodRun("a", "Hopper", folder, seeds=(7,)))
    assert missing.last_step == 0
    assert missing.verdict.kind == "undecided"


def test_what_is_damaged_is_left_out_and_no_more(folder, tmp_path):
    (folder / "metrics" / "part-000001.parquet").write_bytes(b"PAR1 and nothing")
    one, _ = read_digests([("a", "Hopper", folder), ("b", "Hopper", tmp_path / "nothing")])
    assert one.measured
    assert len(one.evaluations["step"]) == 2


def test_a_broken_loss_is_judged(folder):
    run_rows.write_part(folder, run_folder.METRICS, 1, [{"seed": 1, "round": 7, "step": 700, "reward_mean": np.inf}])
    run_rows.write_part(folder, run_folder.METRICS, 2, [{"seed": 1, "round": 8, "step": 800, "reward_mean": np.inf}])
    assert read_curves(("a", "Hopper", folder))[1].verdict[:2] == ("non-finite", 700)


def test_tables_come_straight_from_folders(folder):
    tables = {table.name: table for table in analyse([("a", "Hopper", folder)])}
    assert tables["verdicts"].rows[0][:3] == ("a", "Hopper", 2)


def test_late_means_are_of_the_last_rounds_in_which_a_number_is_known():
    """A metric may be missing in the very last ones."""
    assert late_mean({"x": np.r_[np.arange(60.0), np.full(40, np.nan)]}, "x") == 34.5


def test_an_infinite_gradient_is_the_largest():
    one = curve()
    one.metrics["actor_gradient_max"][7] = np.inf
    assert digest(one).largest_gradient == np.inf
