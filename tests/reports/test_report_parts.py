"""Reports on parts of runs, as studies that share runs make them, and on clones."""

import contextlib
import os
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_runs import INTERVAL, STEPS, cut, tell

from credo import run_folder, run_rows
from credo.cli import main
from credo.reports.charts import box_rows
from credo.reports.collect import Reader
from credo.reports.report import command_line, watch_report, write_report
from credo.reports.summaries import headline, overview, tables
from credo.run_lock import locked
from credo.studies import scores
from credo.studies.read import MethodRun


def test_parts_of_one_run_are_shown_as_a_study_calls_and_cuts_them(make_run, tmp_path):
    folder = make_run("run", ("healthy", "dead", "weak"))
    parts = [
        MethodRun("short", "at home", folder, 6_400, (0, 1)),
        MethodRun("long", "at home", folder, 12_800, (0, 2)),
    ]
    made = write_report(parts, tmp_path / "out", figures=False, command="credo study report tiny")
    cells = made.collection.cells
    assert list(cells) == [("at home", "short"), ("at home", "long")]
    assert [list(cell.seeds) for cell in cells.values()] == [[0, 1], [0, 2]]
    short, long = (cell.seeds[0] for cell in cells.values())
    assert (short.steps_done, short.row.final_return, long.steps_done, long.row.final_return) == (
        6_400,
        1_450.0,
        12_800,
        2_900.0,
    )
    assert made.collection.problems == ()
    assert [(run.steps_done, run.steps_wanted, run.seeds) for run in made.collection.runs] == [
        (6_400, 6_400, 2),
        (12_800, 12_800, 2),
    ]
    assert "<code>credo study report tiny</code>" in made.page.read_text()
    labelled = [part._replace(environment=name) for part, name in zip(parts, ("home", "away"), strict=True)]
    (verdicts,) = (t for t in tables(Reader().collect(labelled)) if t.name == "verdicts")
    assert [row[:3] for row in verdicts.rows] == [("short", "home", 2), ("long", "away", 2)]


def test_a_clone_does_not_stretch_the_phases_of_the_others(make_run):
    learner, clone = make_run("run", ("healthy",)), make_run("clone", (), learner="bc", seeds=1, steps=1_000_000)
    evaluation = {"seed": 0, "round": 0, "step": 500, "return_mean": 600.0, "failed": 0.0}
    run_rows.write_part(clone, run_folder.EVALUATIONS, 0, [evaluation])
    collection = Reader().collect([learner, clone])
    assert collection.spans == {"Hopper-v5": STEPS}
    assert None not in collection.cells["Hopper-v5", "td3"].seeds[0].phases["return"]


def test_a_clone_which_takes_no_steps_stands_level_beside_the_others(make_run):
    learner, clone = make_run("run", ("healthy",)), make_run("clone", (), learner="bc", seeds=1, steps=1_000_000)
    minibatches = 100 * STEPS
    evaluation = {"seed": 0, "round": 0, "step": minibatches, "return_mean": 600.0, "failed": 0.0}
    run_rows.write_part(clone, run_folder.EVALUATIONS, 0, [evaluation])
    collection = Reader().collect([learner, clone])
    assert collection.extent("Hopper-v5") == STEPS
    cell = collection.cells["Hopper-v5", "bc"]
    drawn = cell.seeds[0].curves["return"]
    assert drawn.step.tolist() == [0, STEPS]
    assert drawn.value.tolist() == [600.0, 600.0]
    assert set(drawn.quarters) == set(cell.seeds[0].phases["return"]) == {600.0}
    rows = {row[1]: row for row in overview(collection).rows}
    assert (rows["bc"][8], rows["td3"][8]) == (f"{minibatches:,} minibatches", f"{STEPS:,} of {STEPS:,}")
    (differing,) = (table for table in tables(collection, statistics=False) if table.name == "settings")
    steps = {row[1]: row[differing.columns.index("steps")] for row in differing.rows}
    assert steps == {"bc": None, "td3": STEPS}
    alone = Reader().collect([clone])
    assert alone.extent("Hopper-v5") == 1
    assert alone.cells["Hopper-v5", "bc"].seeds[0].curves["return"].step.tolist() == [0, 1]


def test_phases_go_by_success_where_it_alone_is_told(make_run):
    folder = make_run("run", ("healthy", "dead"), expert=None)
    success = np.concatenate([np.linspace(0.1, 1, 10), np.zeros(10)])
    nothing = np.full(20, np.nan)
    tell(folder, return_mean=nothing, occupancy_distance=nothing, success_rate=success)
    collection = Reader().collect([folder])
    outcome = collection.outcome("Hopper-v5")
    assert outcome is not None
    assert outcome.key == "success"
    rows = box_rows(collection.of("Hopper-v5"), outcome)
    # The means of 2, 3, 2 and 3 evaluations.
    np.testing.assert_allclose([row["value"] for row in rows], [0.15, 0.4, 0.65, 0.9, 0, 0, 0, 0])


def test_a_run_whose_name_is_not_utf8_is_reported_with_the_others(make_run, tmp_path, capsys):
    make_run("plain", ("dead",))
    other = make_run("other", ("healthy", "healthy"), learner="sac")
    other.rename(other.parent / os.fsdecode(b"caf\xe9"))
    main(["list", str(other.parent)])
    printed = capsys.readouterr().out
    assert "plain" in printed
    assert "caf\\udce9" in printed
    main(["report", str(other.parent), "--out", str(tmp_path / "out"), "--no-figures"])
    assert "1 of 3 seeds diverged" in " ".join(capsys.readouterr().out.split())
    # The page names the command, and with it the folder.
    main(["report", str(other.parent / os.fsdecode(b"caf\xe9")), "--out", str(tmp_path / "one"), "--no-figures"])
    assert "None of 2 seeds diverged" in " ".join(capsys.readouterr().out.split())


def test_the_headline_tells_the_failed(make_run):
    """None diverged, and yet none learned: ten low evaluations in a row with an actor that has a gradient."""
    folder = make_run("run", ("healthy",))
    path = run_rows.part_paths(folder, run_folder.EVALUATIONS)[0]
    low = {"seed": 0, "occupancy_distance": 0.9, "success_rate": float("nan"), "failed": 0.0}
    rows = [low | {"round": n * 20, "step": n * 1_280, "return_mean": 20.0} for n in range(1, 11)]
    path.unlink()
    run_rows.write_part(folder, run_folder.EVALUATIONS, 0, rows)
    assert headline(Reader().collect([folder]))[0] == "None of 1 seed diverged so far (1 failed)"


def test_the_median_last_return_counts_frozen_seeds_as_the_lowest(make_run, tmp_path):
    make_run("a", ("broken", "broken", "weak", "healthy", "healthy"))
    (row,) = overview(Reader().collect([tmp_path])).rows
    assert row[4] == 800


def test_a_run_that_is_done_with_fewer_seeds_than_it_has_begun_is_not_told_as_done(make_run):
    """As it is after credo resume --seeds 1 of two."""
    folder = make_run("run", ("healthy", "healthy"), seeds=1)
    (folder / "DONE").touch()
    assert headline(Reader().collect([folder]))[0] == "None of 2 seeds diverged"
    cut(folder, 1, STEPS // 2)
    collection = Reader().collect([folder])
    assert headline(collection)[0] == "None of 2 seeds diverged so far (1 weak)"
    assert overview(collection).rows[0][9] == "done but for 1 seed"


def test_the_median_of_samples_is_that_of_the_statistics(make_run):
    """Of two seeds the later: half of them never got there earlier."""
    folder = make_run("run", ("healthy", "healthy"))
    tell(folder, return_mean=np.concatenate([np.linspace(290, 2_900, 10), np.full(10, 2_900.0)]))
    collection = Reader().collect([folder])
    (samples,) = (table for table in tables(collection, statistics=False) if table.name == "samples")
    reached = [seed.reached[0] for seed in collection.cells["Hopper-v5", "td3"].seeds.values()]
    assert reached == [7 * INTERVAL, 3 * INTERVAL]
    assert samples.rows[0][2:4] == ("2 of 2", 7 * INTERVAL)
    assert scores.median([np.array(reached)]).value == 7 * INTERVAL


def test_a_run_whose_process_is_killed_is_seen_to_stop_though_no_file_changes(make_run, monkeypatch):
    folder, reader = make_run("run", ("healthy",)), Reader()
    with locked(folder):
        assert reader.collect([folder]).runs[0].state == "running"
        monkeypatch.setattr(os, "kill", mock.Mock(side_effect=ProcessLookupError))
        assert reader.collect([folder]).runs[0].state == "stopped"


def test_the_command_on_a_page_makes_all_of_it(make_run, tmp_path):
    """Its videos of a module's environment, too; and while it is watched, its figures."""
    folder, out, pages = make_run("run", ("healthy",)), tmp_path / "out", []
    told = command_line([folder], out, True, True, False, ["mine:Task-v0", "mine:Other-v0"])
    assert told == f"credo report {folder} --out {out} --videos --env mine:Task-v0 mine:Other-v0"

    def interrupted(seconds):
        pages.append((out / "report.html").read_text())
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("credo.reports.report.writing_figures", lambda *given: contextlib.nullcontext({}))
        patched.setattr("credo.reports.report._clips", lambda *given: ([], []))
        watch_report([folder], out, 5, True, True, wait=interrupted, trusted=["mine:Task-v0"])
    (page,) = pages
    assert f"<code>credo report {folder} --out {out} --videos --env mine:Task-v0</code>" in page
    assert "--no-figures" not in page


@pytest.mark.parametrize("where", ["of the expert", "of the rows"])
def test_numbers_beyond_single_precision_are_taken_as_unknown(where, make_run, tmp_path):
    """Sums and axes of them would overflow."""
    folder = make_run("run", ("healthy", "dead"), expert=1.7e308 if where == "of the expert" else 3000.0)
    if where == "of the rows":
        columns = run_rows.read_parts(folder, run_folder.EVALUATIONS) | {"return_mean": np.full(20, 1.7e308)}
        pq.write_table(pa.table(columns), folder / run_folder.EVALUATIONS / "part-000000.parquet")
    collection = write_report([folder], tmp_path / "out", figures=False, statistics=False).collection
    outcome = collection.outcome("Hopper-v5")
    assert outcome is not None
    assert outcome.key == "distance"
