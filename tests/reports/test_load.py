"""Reading run folders, whole and half-written, and thinning curves."""

from __future__ import annotations

import os
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credo import run_folder, run_rows
from credo.files import read_json
from credo.reports.collect import Reader
from credo.reports.load import envelope, find_runs, load_run, thin
from credo.run_lock import locked
from credo.studies.read import MethodRun
from credo.types import CredoError


def test_a_whole_run_is_read_by_seed_with_its_verdicts(make_run):
    folder = make_run("run", ("healthy", "dead", "weak", "broken"))
    (folder / "DONE").touch()
    run_folder.write_json(
        folder / "summary.json", {"state": "running", "steps": 12_800, "seeds": {"1": {"frozen": None}}}
    )
    run = load_run(folder)
    assert run.seeds == (0, 1, 2, 3)
    assert (run.state, run.steps_done, run.expert_return, run.problems) == ("done", 12_800, 3000.0, ())
    assert [v.kind for v in run.verdicts.values()] == ["healthy", "dead", "weak", "non-finite"]
    assert (run.verdicts[1].step, run.verdicts[3].step) == (2_048, 9_600)
    assert len(run.metrics[0]["step"]) == 200
    assert len(run.metrics[3]["step"]) == 150
    assert run.seed_summary(1) == {"frozen": None}
    assert run.seed_summary(0) == {}


def test_the_part_of_a_run_that_belongs_to_a_study(make_run):
    folder = make_run("run", ("healthy", "dead", "weak", "healthy"))
    seed = {"steps": 12_800, "selected_return": 2_900.0, "final_return": 2_900.0}
    told = {"0": seed | {"selected_step": 12_800}, "1": seed | {"selected_step": 2_560}, "2": seed}
    run_folder.write_json(folder / "summary.json", {"state": "running", "steps": 12_800, "seeds": told})
    part = load_run(MethodRun("a", "b", folder, 6_400, (0, 1)))
    assert (part.seeds, part.state, part.steps_done, part.config.steps) == ((0, 1), "done", 6_400, 6_400)
    assert part.metrics[0]["step"][-1] == part.evaluations[1]["step"][-1] == 6_400
    assert (part.verdicts[0].kind, part.verdicts[1].step) == ("weak", 2_048)
    # A policy kept later is none of the part's, and the last return is that of its own last evaluation.
    assert part.seed_summary(0) == {}
    assert part.seed_summary(1) == {"selected_step": 2_560, "selected_return": 2_900.0}
    # All of the seeds, but more steps than there are yet: the run was done, the part is not.
    (folder / "DONE").touch()
    longer = load_run(MethodRun("a", "b", folder, 25_600))
    assert (longer.seeds, longer.state, longer.config.steps) == ((0, 1, 2, 3), "interrupted", 25_600)
    assert longer.seed_summary(0)["selected_step"] == 12_800
    # A seed that the run does not have yet is one that is wanted all the same.
    wanted = load_run(MethodRun("a", "b", folder, 12_800, (2, 3, 4)))
    assert (wanted.seeds, wanted.state, wanted.verdicts[4].kind) == ((2, 3, 4), "interrupted", "undecided")
    assert wanted.summary["state"] == "interrupted"


def test_a_run_whose_process_is_gone_is_no_longer_running(make_run, monkeypatch):
    folder = make_run("run", ("healthy",))
    run_folder.write_json(folder / "summary.json", {"state": "running", "steps": 12_800})
    with locked(folder):
        assert load_run(folder).state == "running"
        monkeypatch.setattr(os, "kill", mock.Mock(side_effect=ProcessLookupError))
        assert load_run(folder).state == "stopped"
    (folder / "DONE").touch()
    assert load_run(folder).state == "done"


def test_a_frozen_seed_is_finished_in_a_part_of_its_run(make_run):
    folder = make_run("run", ("broken", "healthy"))
    part = load_run(MethodRun("a", "b", folder, 12_000, (0, 1)))
    assert part.metrics[0]["step"][-1] == 9_600
    assert (part.state, part.verdicts[0].kind) == ("done", "non-finite")


@pytest.mark.parametrize(
    "seed", [{"steps": "many"}, {"steps": 99_999, "selected_step": "late"}, {"steps": [1]}, "none", None]
)
def test_a_damaged_summary_does_not_stop_a_study(make_run, seed):
    folder = make_run("run", ("healthy",))
    run_folder.write_json(folder / "summary.json", {"state": "running", "steps": "many", "seeds": {"0": seed}})
    part = MethodRun("a", "b", folder, 6_400, (0,))
    assert load_run(part).verdicts[0].kind == "weak"
    (cell,) = Reader().collect([part]).cells.values()
    assert cell.runs[0].steps_done == 6_400
    assert Reader().collect([folder]).runs[0].steps_done == 12_800


def test_a_finished_clone_is_not_undecided(make_run):
    folder = make_run("run", (), learner="bc", seeds=1)
    evaluation = {"seed": 0, "round": 0, "step": 500, "return_mean": 600.0, "failed": 0.0}
    run_rows.write_part(folder, run_folder.EVALUATIONS, 0, [evaluation])
    # Its steps are minibatches, whatever the study wants.
    for run in (folder, MethodRun("a", "b", folder, 100)):
        loaded = load_run(run)
        assert loaded.verdicts[0].kind == "weak"
        assert loaded.curve(0).finished
    (seed,) = Reader().collect([folder]).cells["Hopper-v5", "bc"].seeds.values()
    assert {verdict.kind for verdict in seed.digest.moved} <= {"weak", "healthy", "failed"}


def test_a_run_that_has_only_begun_is_empty_but_there(make_run):
    run = load_run(make_run("run", ()))
    assert (run.state, run.steps_done) == ("running", 0)


def test_a_part_that_goes_while_it_is_read_is_no_problem(make_run, monkeypatch):
    """A run that resumes removes parts that it will write again."""
    folder, asked, part_paths = make_run("run", ("healthy",)), [], run_rows.part_paths

    def one_more_at_first(of, kind):
        asked.append(kind)
        gone = of / kind / "part-000001.parquet"
        return [*part_paths(of, kind), *([gone] if asked.count(kind) == 1 else [])]

    monkeypatch.setattr(run_rows, "part_paths", one_more_at_first)
    run = load_run(folder)
    assert (run.problems, len(run.metrics[0]["step"]), len(run.evaluations[0]["step"])) == ((), 200, 10)
    assert asked == ["metrics"] * 2 + ["evaluations"] * 2


def test_half_written_runs_are_read_as_far_as_they_go(make_run):
    folder = make_run("run", ("healthy",))
    (folder / "summary.json").write_text("{")
    part = folder / "evaluations" / "part-000000.parquet"
    part.write_bytes(part.read_bytes()[:100])
    (folder / "metrics" / ".part-000001.parquet.7.tmp").write_bytes(b"")
    run = load_run(folder)
    assert len(run.problems) == 2
    assert "summary.json" in run.problems[0]
    assert "part-000000.parquet" in run.problems[1]
    assert len(run.metrics[0]["step"]) == 200
    assert len(run.evaluations[0]["step"]) == 0
    assert run.verdicts[0].kind == "undecided"


def test_rounds_that_were_run_twice_count_once(make_run):
    folder = make_run("run", ("healthy",))
    again = [{"seed": 0, "round": 199, "step": 12_800, "actor_gradient_max": 7.0}]
    run_rows.write_part(folder, run_folder.METRICS, 1, again)
    gradient = load_run(folder).metrics[0]["actor_gradient_max"]
    assert len(gradient) == 200
    assert gradient[-1] == 7


@pytest.mark.parametrize("demonstrations", [None, {}, {"return_mean": None}, {"return_mean": "?"}])
def test_an_unknown_expert_return_is_none(make_run, demonstrations):
    folder = make_run("run", ("healthy",))
    stored = read_json(folder / "config.json")
    run_folder.write_json(folder / "config.json", stored | {"demonstrations": demonstrations})
    assert load_run(folder).expert_return is None


def test_find_runs_looks_everywhere_but_inside_runs(make_run, tmp_path):
    folders = [make_run(name, ("healthy",)) for name in ("b", "a/deep/er", "a/x")]
    (folders[0] / "checkpoints" / "config.json").write_text('{"format": 1, "identity": {}}')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"name": "not ours"}')
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    assert find_runs(tmp_path) == sorted(folders)
    assert find_runs(folders[0]) == [folders[0]]
    (tmp_path / "here").symlink_to(folders[0])
    assert find_runs(tmp_path) == sorted(folders)
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-links")
    elsewhere.mkdir()
    for name in ("one", "two"):
        (elsewhere / name).symlink_to(folders[1])
    (elsewhere / "all").symlink_to(tmp_path)
    assert find_runs(elsewhere) == [elsewhere / "one"]
    with pytest.raises(CredoError, match="is not a folder"):
        find_runs(tmp_path / "nowhere")
    with pytest.raises(CredoError, match="not a run folder"):
        load_run(tmp_path / "other" / "nowhere")


def test_thin_by_hand():
    step, value = np.arange(6), np.array([1.0, 5, 2, np.nan, 9, 3])
    assert [a.tolist() for a in thin(step, value, 2, "max")] == [[1, 4], [5, 9]]
    assert [a.tolist() for a in thin(step, value, 2, "mean")] == [[1, 5], [3, 14 / 3]]
    assert [a.tolist() for a in thin(step, value, 5)] == [[0, 1, 2, 4, 5], [1, 5, 2, 9, 3]]
    assert [a.tolist() for a in thin(step, np.full(6, np.nan), 3, "max")] == [[], []]


@given(st.lists(st.floats(0, 1e30), min_size=1, max_size=300), st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_thinning_by_maxima_keeps_true_points_and_the_peak(values, points):
    step, value = np.arange(len(values)) * 64, np.array(values)
    kept_step, kept_value = thin(step, value, points, "max")
    assert len(kept_step) <= points
    assert np.all(np.diff(kept_step) > 0)
    assert np.array_equal(value[kept_step // 64], kept_value)
    assert kept_value.max() == value.max()


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=300),
    st.integers(1, 20),
)
def test_an_envelope_keeps_extremes_where_they_were(values, buckets):
    value = np.array(values, np.float64)
    step = np.arange(len(value)) * 64
    thin_step, thin_value = envelope(step, value, buckets)
    known = np.isfinite(value)
    assert len(thin_step) <= 2 * buckets + 1
    assert np.all(np.diff(thin_step) > 0)
    assert np.array_equal(thin_value, value[thin_step // 64])
    if known.any():
        assert thin_value.max() == value[known].max()
        assert thin_value.min() == value[known].min()
        assert thin_step[-1] == step[known][-1]


@pytest.mark.parametrize("versions", [{"credo-imitation": "9.0"}, {}])
def test_a_setting_of_a_newer_version_is_told_without_a_list_of_all(versions, make_run):
    folder = make_run("run", ("healthy",))
    stored = read_json(folder / "config.json") | {"versions": versions}
    stored["config"]["quantum"] = True
    run_folder.write_json(folder / "config.json", stored)
    told = " (the run began with 9.0)" if versions else ""
    line = f"config.json.quantum: no such setting; perhaps of a newer Credo{told}: update Credo"
    with pytest.raises(CredoError, match=rf"{re.escape(line)}$"):
        load_run(folder)
