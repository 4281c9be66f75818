"""The tables of runs and seeds."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from made_runs import tell
from rich.console import Console

from credo import run_folder
from credo.cli import main
from credo.cli.runs import _evaluated
from credo.config import RunConfig, TD3Config
from credo.evaluating import Evaluation
from credo.files import read_json
from credo.reports.load import load_run
from credo.reports.tables import _unrewarded, list_table, run_row, run_rows, seed_rows, summary_table


def text(table, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def test_rows_of_a_run(make_run):
    folder = make_run("run", ("healthy", "dead", "broken"))
    seeds = {"0": {"selected_return": 2800.0}, "2": {"selected_return": 1500.0}}
    run_folder.write_json(folder / "summary.json", {"state": "running", "steps": 12_800, "seeds": seeds})
    row = run_row(load_run(folder))
    assert (row.environment, row.learner, row.credo) == ("Hopper-v5", "td3", "filter c=5")
    assert (row.steps_done, row.steps_wanted, row.state) == (12_800, 12_800, "running")
    assert row.kept_returns == (2800, None, 1500)
    assert row.last_returns == pytest.approx((2900, 20, 1400))
    assert row.verdicts == ("healthy", "dead", "non-finite")


def test_rows_of_seeds_join_the_summary_and_the_curves(make_run):
    folder = make_run("run", ("healthy", "dead"))
    seeds = {"0": {"selected_step": 6_400, "selected_return": 1500.0, "final_return": 2900.0}}
    run_folder.write_json(folder / "summary.json", {"state": "running", "steps": 12_800, "seeds": seeds})
    first, second = seed_rows(load_run(folder))
    assert (first.selected_step, first.selected_return, first.expert_share) == (6_400, 1500, 0.5)
    assert (first.expert_probability, first.filtered_share) == (pytest.approx(0.75), pytest.approx(0.3))
    assert (second.verdict, second.step, second.selected_return, second.final_return) == ("dead", 2_048, None, 20)
    assert second.expert_probability == pytest.approx(0.98)
    shown = text(summary_table(folder))
    for word in ("kept at", "50%", "dead at 2,048", "seed 1: actor inactive from step 2,048", "0.980"):
        assert word in shown


def test_runs_that_look_alike_are_told_apart(make_run):
    plain = make_run("runs/plain", ("dead",), td3=TD3Config(preactivation_penalty=0.0))
    make_run("runs/again", ("healthy",), td3=TD3Config(preactivation_penalty=0.0), seeds=2)
    make_run("runs/held", ("healthy",), td3=TD3Config(preactivation_penalty=0.01))
    make_run("runs/other", ("healthy",), learner="sac")
    told = {row.folder.name: row.apart for row in run_rows(plain.parent)}
    assert told["held"] == "preactivation_penalty=0.01"
    assert told["plain"] == told["again"] == "preactivation_penalty=0"
    assert told["other"] == ""
    assert "preactivation_penalty=0.01" in text(list_table(plain.parent))


def test_no_word_is_cut_on_a_terminal_of_80_columns(make_run):
    folder = make_run("run", ("healthy", "dead", "broken"))
    seeds = {str(n): {"selected_step": 6_400, "selected_return": 1500.0, "final_return": -2900.0} for n in range(3)}
    run_folder.write_json(folder / "summary.json", {"state": "running", "steps": 12_800, "seeds": seeds})
    shown = text(summary_table(folder), width=80)
    for word in ("P(expert)", "filtered", "non-finite", "2,048", "6,400", "-2,900"):
        assert word in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_critic_that_overestimates_is_told_of(make_run):
    """Targets that move all the way are at reward / (1 - discount) after the first few rounds: the reference is 0.2."""
    td3 = {"td3": dataclasses.replace(RunConfig().td3, discount=0.5, target_rate=1.0)}
    folder = make_run("run", ("healthy", "weak", "weak"), qs=(0.3, 2.1, 9.0), **td3)
    assert [row.q_over_reference for row in seed_rows(load_run(folder))] == pytest.approx([1.5, 10.5, 45])
    shown = " ".join(text(summary_table(folder)).split())
    assert "critics overestimate: mean Q is 10 (seed 1), 45 (seed 2) times its reference" in shown
    assert "overestimate" not in text(summary_table(make_run("steady", ("healthy",), qs=(1.9,), **td3)))
    clone = make_run("clone", ("healthy",), qs=(9.0,), learner="bc")
    assert seed_rows(load_run(clone))[0].q_over_reference is None


def test_a_run_on_the_environments_reward_has_no_columns_of_a_discriminator(make_run):
    shown = text(summary_table(make_run("run", ("healthy",), reward="environment", learner="sac")))
    assert "P(expert)" not in shown
    assert "expert" not in shown
    assert "2,900" in shown


def test_the_list_shows_every_run_and_says_what_cannot_be_read(make_run, tmp_path):
    odd = make_run("group/[bold]odd", ("healthy", "dead"))
    seeds = {"0": {"selected_return": 2900.0}, "1": {"selected_return": 20.0}}
    run_folder.write_json(odd / "summary.json", {"state": "running", "seeds": seeds})
    make_run("clone", ("healthy",), learner="bc", steps=100_000)
    make_run("many", ("healthy", "weak", "dead", "broken", "weak"))
    make_run("expert", ("healthy",), reward="environment")
    future = make_run("future", ("healthy",))
    run_folder.write_json(future / "config.json", read_json(future / "config.json") | {"format": 99})
    shown = text(list_table(tmp_path))
    for word in (
        *(
            "group/[bold]odd",
            "kept 2,900 20",
            "minibatches",
            "20 .. 800 .. 2,900",
            "1 non-finite",
            "of 12.8k",
        ),
        *("format 99", "td3, credo filter c=5", "least .. median .. most"),
    ):
        assert word in shown
    assert "- -" not in shown, "where no seed has a kept policy one dash says so"
    assert len(run_rows(tmp_path)) == 5
    assert "no runs here" in text(list_table(future / "metrics"))
    narrow = text(list_table(tmp_path), 80).splitlines()
    assert max(map(len, narrow)) <= 80
    assert len(narrow[1].split("┳")[0]) > 16, "steps leave room for the names"


def test_runs_are_listed_for_programs_too(make_run, tmp_path, capsys):
    folder = make_run("run", ("healthy", "dead"))
    run_folder.write_json(folder / "summary.json", {"state": "running", "seeds": {"0": {"selected_return": 2800.0}}})
    (make_run("spoiled", ("healthy",)) / "config.json").write_text("{")
    main(["list", str(tmp_path), "--json"])
    printed = capsys.readouterr()
    assert printed.err == "reading 2 runs\n"
    told = {entry["folder"]: entry for entry in json.loads(printed.out)}
    assert told[str(folder)]["kept_returns"] == [2800.0, None]
    assert told[str(folder)]["verdicts"] == ["healthy", "dead"]
    assert "not readable as JSON" in told[str(tmp_path / "spoiled")]["problem"]


def test_of_negative_returns_there_is_no_share(make_run):
    """Twice the cost would read as 200% of the expert."""
    folder = make_run("one", ("weak",), expert=-150.0)
    run_folder.write_json(folder / "summary.json", {"state": "done", "seeds": {"0": {"selected_return": -300.0}}})
    (row,) = seed_rows(load_run(folder))
    assert (row.selected_return, row.expert_share) == (-300, None)


def test_success_is_shown_where_it_is_told_and_returns_where_there_are_any(make_run):
    folder = make_run("run", ("healthy", "dead"))
    run_folder.write_json(folder / "summary.json", {"seeds": {"0": {"selected_step": 6_400, "selected_return": 0.0}}})
    run = load_run(folder)
    assert seed_rows(run)[0].final_success is None
    assert "success" not in text(list_table(folder)).split("┃ settings")[1]
    for number, columns in run.evaluations.items():
        columns["success_rate"] = np.where(columns["step"] < 6_400, 0.1, 0.4 + 0.2 * (columns["step"] > 6_400) + number)
        columns["return_mean"] = np.zeros(len(columns["step"]))
    first, second = seed_rows(run)
    assert (first.selected_success, first.final_success) == pytest.approx((0.4, 0.6))
    assert (second.selected_success, second.final_success) == (None, pytest.approx(1.6))
    row = run_row(run)
    assert row.kept_successes == (first.selected_success, None)
    assert row.last_successes == pytest.approx((0.6, 1.6))
    assert _unrewarded(run)
    run.evaluations[0]["return_mean"][-1] = 1.0
    assert not _unrewarded(run)


def test_where_nothing_is_rewarded_and_no_success_told_the_distance_is(make_run):
    folder = make_run("run", ("healthy", "weak"))
    seeds = {"0": {"selected_step": 6_400, "selected_return": 0.0, "selected_distance": 0.234}}
    run_folder.write_json(folder / "summary.json", {"seeds": seeds})
    assert "distance" not in text(summary_table(folder)) + text(list_table(folder))
    tell(folder, return_mean=np.zeros(20))
    first, second = seed_rows(load_run(folder))
    assert (first.selected_distance, second.selected_distance) == (0.234, None)
    assert (first.final_distance, second.final_distance) == pytest.approx((1 / 30, 1 - 800 / 3_000))
    shown = text(summary_table(folder))
    assert re.search(r"0\.23 . +0\.03 ", shown)
    assert "its distance: in the evaluation that chose it" in shown
    assert "credo evaluate" not in shown
    assert "return" not in shown
    assert "of \u2502" not in shown.replace("\u2503", "\u2502")
    listed = text(list_table(folder))
    assert re.search(r"distance: kept 0\.23 -.*\n.*last 0\.03 0\.73", listed)
    assert "kept 0 " not in listed
    tell(folder, success_rate=np.full(20, 0.5))
    for returns in (np.zeros(20), np.linspace(-9e4, 9e4, 20)):
        tell(folder, return_mean=returns)
        narrow = text(summary_table(folder), width=80)
        assert "undecided" in narrow or "weak" in narrow or "failed" in narrow
        assert "\u2026" not in narrow
        assert "success" in narrow
        wide = text(summary_table(folder, 160))
        assert all(word in wide for word in ("P(expert)", "filtered", "verdict"))
        assert ("distance" in wide) == (not returns.any())
    tell(folder, return_mean=np.zeros(20))
    assert "distance" not in text(list_table(folder))


def test_an_evaluation_without_a_reward_tells_the_distances_that_chose_the_policies():
    lengths = np.array([100, 50])
    nothing, something = Evaluation(np.zeros(2), lengths, None), Evaluation(np.array([0.0, 2.0]), lengths, None)
    told = text(_evaluated({"seed 0": nothing, "seed 3": nothing}, 2, None, {"seed 3": 0.1234}))
    assert "return" not in told.splitlines()[2]
    assert re.search(r"seed 0 . +75\.0 . +- .*\n.*seed 3 . +75\.0 . +0\.123 ", told)
    assert "distance: to held-out demonstrations" in told
    for played, distances in ((something, {"seed 0": 0.5}), (nothing, {})):
        told = text(_evaluated({"seed 0": played}, 2, None, distances))
        assert "return" in told.splitlines()[2]
        assert "distance" not in told
