"""What a report makes of runs: methods, cells, verdicts, files, and every way in which runs can be incomplete."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_runs import STEPS, rewrite, tell

from credo import run_folder, run_rows
from credo.cli import main
from credo.config import CredoConfig, DiscriminatorConfig, RunConfig, SACConfig
from credo.reports import collect, draw
from credo.reports import report as report_module
from credo.reports.charts import axis_of, still_boxes
from credo.reports.clips import chosen_seeds
from credo.reports.collect import Reader
from credo.reports.figures import FIGURES, RETURN
from credo.reports.methods import Member, name_methods
from credo.reports.page_data import pack
from credo.reports.report import watch_report, write_report
from credo.reports.stills import slug_of, slugs
from credo.reports.summaries import headline, overview, tables
from credo.studies import analysis
from credo.studies.read import MethodRun
from credo.studies.tables import Table
from credo.types import CredoError

OFF = CredoConfig(mode="off")


def names(*settings: dict, demonstrations: tuple = ()) -> list[str]:
    """Method names of runs with these settings (and demonstrations as recorded)."""
    told = demonstrations or ({"episodes": 25, "sha256": "a"},) * len(settings)
    configs = [dataclasses.replace(RunConfig(), **each) for each in settings]
    members = [
        Member(MethodRun("", "", Path(f"run-{i}")), c, {"demonstrations": d})
        for i, (c, d) in enumerate(zip(configs, told, strict=True))
    ]
    return name_methods(members)


def test_methods_are_named_by_what_differs():
    assert names({}) == ["td3"]
    assert names({}, {"steps": 7, "seeds": 3, "first_seed": 9}) == ["td3", "td3"]
    assert names({}, {"credo": OFF}) == ["td3 credo=filter", "td3 credo=off"]
    assert names({}, {"learner": "sac"}) == ["td3", "sac"]
    assert names({"reward": "cr"}, {"credo": CredoConfig(threshold=8)}) == [
        "td3 reward=cr threshold=5",
        "td3 reward=plr threshold=8",
    ]
    none = DiscriminatorConfig(regularisers=())
    assert names({}, {"discriminator": none}) == ["td3 regularisers=gradient-penalty", "td3 regularisers=none"]


def test_settings_that_follow_another_are_not_named_too():
    other = {"credo": OFF, "steps_per_round": 32, "discriminator": DiscriminatorConfig(batch_size=64)}
    assert names({}, other) == ["td3 credo=filter", "td3 credo=off"]


def test_a_setting_fitted_to_each_environment_is_no_part_of_a_method():
    fitted = [
        {"environment": name, "random_steps": steps, "credo": credo}
        for name, steps in (("A-v0", 10), ("B-v0", 20))
        for credo in (CredoConfig(), OFF)
    ]
    told = tuple({"episodes": 25, "sha256": each["environment"]} for each in fitted)
    assert names(*fitted, demonstrations=told) == ["td3 credo=filter", "td3 credo=off"] * 2
    within = names({"random_steps": 10}, {"random_steps": 20})
    assert within == ["td3 random_steps=10", "td3 random_steps=20"]


def test_demonstrations_are_named_by_episodes_else_by_source():
    some = ({"episodes": 1, "sha256": "a"}, {"episodes": 25, "sha256": "b"})
    assert names({}, {}, demonstrations=some) == ["td3 demonstrations=1", "td3 demonstrations=25"]
    same = ({"episodes": 25, "sha256": "a"}, {"episodes": 25, "sha256": "b"})
    found = names({"demonstrations": "x/one.demos"}, {"demonstrations": "x/two.demos"}, demonstrations=same)
    assert found == ["td3 source=one.demos", "td3 source=two.demos"]


def test_another_learners_settings_do_not_matter():
    assert names({}, {"sac": SACConfig(discount=0.5)}) == ["td3", "td3"]


def test_a_packed_curve_unpacks_to_itself(make_run):
    seed = Reader().collect([make_run("run", ("healthy",))]).of("Hopper-v5")[0].seeds[0]
    for curve in seed.curves.values():
        packed = json.loads(json.dumps(pack(curve)))
        assert (np.cumsum(packed["s"]) * packed["u"]).tolist() == curve.step.tolist()
        np.testing.assert_allclose(packed["v"], curve.value, rtol=1e-3)


def test_runs_of_one_method_are_put_together_and_a_doubled_seed_counts_once(make_run, tmp_path):
    make_run("a/one", ("healthy", "dead"))
    folder = make_run("a/two", ())
    config = json.loads((folder / "config.json").read_text())
    config["config"] |= {"seeds": 2, "first_seed": 1}
    run_folder.write_json(folder / "config.json", config)
    # Seed 1 again, but only its beginning.
    rows = [{"seed": 1, "round": 0, "step": 64, "actor_gradient_max": 1.0}]
    run_rows.write_part(folder, run_folder.METRICS, 0, rows)
    collection = Reader().collect([tmp_path / "a"])
    (cell,) = collection.cells.values()
    assert list(cell.seeds) == [0, 1, 2]
    assert [cell.seeds[n].verdict.kind for n in cell.seeds] == ["healthy", "dead", "undecided"]
    assert len(collection.problems) == 1
    assert "seed 1 of td3 on Hopper-v5 is in several runs; shown is the longest, in" in collection.problems[0]
    assert collection.problems[0].endswith("a/one")
    assert headline(collection) == (
        "1 of 3 seeds diverged so far",
        "1 method in 1 environment; 2 runs; 2 not finished; 1 seed undecided",
    )


def test_a_run_named_twice_counts_once(make_run, tmp_path):
    folder = make_run("run", ("healthy",))
    assert len(Reader().collect([folder, tmp_path, folder]).runs) == 1


def test_numbers_by_hand(make_run, tmp_path):
    make_run("a", ("healthy", "dead", "broken"))
    make_run("b", ("weak",), environment="Other-v0", credo=OFF)
    collection = Reader().collect([tmp_path])
    cell = collection.cells["Hopper-v5", "td3 credo=filter"]
    # 2,900 of 3,000 in ten equal steps: half is passed at the sixth, by the median of three at the seventh; 90% at the
    # tenth alone.
    assert cell.seeds[0].reached == (8_960, None, None)
    assert cell.seeds[1].reached == (None, None, None)
    # Means of the evaluations in each quarter of 12,800 steps: 2, 3, 2 and 3 of them.
    np.testing.assert_allclose(cell.seeds[0].phases["return"], (435, 1160, 1885, 2610))
    # Evaluations from step 9,600 on failed.
    np.testing.assert_allclose(cell.seeds[2].phases["return"][:3], (300, 800, 1300))
    assert cell.seeds[2].phases["return"][3] is None
    assert cell.seeds[0].curves["return"].quarters == (580, 1450, 2030, 2900)
    assert (cell.diverged, cell.counts["non-finite"]) == (2, 1)
    axis = axis_of(RETURN, [cell])
    assert axis.linear == (0, 3300)
    assert axis.log[0] == 0
    rows = {(row[0], row[1]): row for row in overview(collection).rows}
    assert rows["Hopper-v5", "td3 credo=filter"][2:4] == ("2 of 3", "1 non-finite, 1 dead, 1 healthy")
    assert rows["Other-v0", "td3 credo=filter"][2] == "not run"
    assert headline(collection)[1] == "2 methods in 2 environments; 2 runs; 2 not finished; 2 combinations never run"
    by_name = {table.name: table for table in tables(collection, statistics=False)}
    samples = by_name["samples"].rows[0]
    assert samples[2:4] == ("1 of 3", "never")
    assert {role: seed.row.seed for role, seed in chosen_seeds(cell).items()} == {"median": 1, "worst": 2}
    # Of one verdict the one that succeeds least is the worst, whatever it returns.
    alike = {
        number: seed._replace(
            verdict=seed.verdict._replace(kind="weak"), row=dataclasses.replace(seed.row, final_success=success)
        )
        for (number, seed), success in zip(cell.seeds.items(), (0.2, 0.8, 0.4), strict=True)
    }
    chosen = chosen_seeds(dataclasses.replace(cell, seeds=alike))
    assert {role: seed.row.seed for role, seed in chosen.items()} == {"median": 2, "worst": 0}


def test_without_a_reward_the_report_stands_on_the_distance(make_run, tmp_path):
    folder = make_run("run", ("healthy", "dead"), expert=None)
    tell(folder, return_mean=np.full(20, np.nan))
    report = write_report([folder], tmp_path / "out", figures=False)
    assert report.collection.outcome("Hopper-v5").key == "distance"
    keys = {figure.key for figure in report.collection.figures("Hopper-v5")}
    assert "return" not in keys
    assert "distance" in keys
    text = report.page.read_text()
    assert "Distance to the expert in the phases of training" in text
    assert "median last return" not in text


@pytest.mark.parametrize(("told", "outcome"), [(np.nan, "distance"), (0.5, "success")])
def test_an_environment_that_pays_nothing_is_judged_by_what_it_tells(told, outcome, make_run, tmp_path):
    """Its returns of 0 say nothing where no expert's return is known."""
    folder = make_run("runs/a", ("healthy",), expert=None)
    tell(folder, return_mean=np.zeros(10), success_rate=np.full(10, told))
    collection = write_report([folder], tmp_path / "out", figures=False).collection
    assert "return" in {figure.key for figure in collection.figures("Hopper-v5")}
    assert collection.outcome("Hopper-v5").key == outcome


def test_incomplete_runs_are_reported_with_what_there_is(make_run, tmp_path):
    make_run("runs/empty", ())
    make_run("runs/good", ("healthy",), credo=OFF)
    damaged = make_run("runs/damaged", ("healthy",), learner="sac")
    (damaged / "metrics" / "part-000000.parquet").write_bytes(b"PAR1 half")
    newer = make_run("runs/newer", ("healthy",))
    stored = json.loads((newer / "config.json").read_text())
    run_folder.write_json(newer / "config.json", stored | {"format": 99})
    report = write_report([tmp_path / "runs"], tmp_path / "out", figures=False)
    text = report.page.read_text()
    assert len(report.collection.runs) == 3
    assert "What is missing" in text
    assert len(report.collection.problems) == 2
    assert any("format 99" in line for line in report.collection.problems)
    assert any("part-000000.parquet" in line for line in report.collection.problems)


def test_nothing_recorded_yet_is_said(make_run, tmp_path):
    report = write_report([make_run("run", ())], tmp_path / "out")
    assert "Nothing is recorded yet" in report.page.read_text()
    assert report.headline == "1 seed undecided so far"


def test_every_figure_and_table_is_written_in_every_form(make_run, tmp_path):
    folder = make_run("run", ("healthy", "dead"), environment="own.module:Env/v0")
    # Two figures are enough: the others differ in names alone.
    columns = run_rows.read_parts(folder, "metrics", ["seed", "round", "step", "actor_gradient_max"])
    rewrite(folder, "metrics", columns)
    lines = []
    report = write_report([folder], tmp_path / "out", statistics=False, line=lines.append)
    assert lines == ["reading 1 run", "drawing 4 figures"]
    written = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    keys = ("return", "distance", "phases", "actor-gradient")
    assert written == {f"{key}-own.module-Env-v0.{kind}" for key in keys for kind in ("png", "svg", "pdf", "csv")}
    starts = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}
    for kind, start in starts.items():
        assert (tmp_path / "out" / "figures" / f"return-own.module-Env-v0.{kind}").read_bytes().startswith(start)
    with open(tmp_path / "out" / "figures" / "return-own.module-Env-v0.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["seed"] == "0"]
    assert [(int(row["step"]), float(row["value"])) for row in rows][-1] == (STEPS, 2900)
    assert (rows[0]["method"], rows[0]["verdict"], len(rows)) == ("td3", "healthy", 10)
    assert "figures/return-own.module-Env-v0.png" in report.page.read_text()
    assert {path.stem for path in (tmp_path / "out" / "tables").iterdir()} == {"overview", "seeds", "samples"}


def test_a_report_that_is_interrupted_may_be_made_again(make_run, tmp_path, monkeypatch):
    folder = make_run("run", ("healthy",))

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(report_module, "tables", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_report([folder], tmp_path / "out", figures=False)
    assert report_module.is_ours(tmp_path / "out")
    write_report([folder], tmp_path / "out", figures=False, statistics=False)
    assert "It was not finished" not in (tmp_path / "out" / report_module.PAGE).read_text()


def test_file_names_are_plain_and_differ():
    assert slug_of("../../etc/passwd") == "etc-passwd"
    assert slug_of("<>") == "unnamed"
    assert slugs(["a/b", "a-b", "a b"]) == ["a-b", "a-b-", "a-b--"]
    assert len(set(slugs(["a", "a-2", "a!", "a-"]))) == 4


def test_watching_ends_when_the_runs_do_and_reads_only_what_changed(make_run, tmp_path, monkeypatch):
    still_going, done = make_run("runs/a", ("healthy",)), make_run("runs/b", ("weak",), credo=OFF)
    (done / "DONE").touch()
    pages, reads, lines = [], [], []
    load = collect.load_run
    monkeypatch.setattr(collect, "load_run", lambda run, **more: reads.append(run.folder.name) or load(run, **more))

    def wait(seconds):
        pages.append((tmp_path / "out" / "report.html").read_text())
        if len(pages) == 2:
            (still_going / "DONE").touch()

    report = watch_report([tmp_path / "runs"], tmp_path / "out", 5, False, False, lines.append, wait)
    assert all('data-reload="5"' in page for page in pages)
    assert 'data-reload="0"' in report.page.read_text()
    assert sorted(reads) == ["a", "a", "b"]
    going = "None of 2 seeds diverged so far (1 weak); 1 of 2 runs done"
    assert lines == ["reading 2 runs", going, going, "every run is done"]


def test_watching_ends_cleanly_when_interrupted(make_run, tmp_path):
    folder = make_run("run", ("healthy",))

    def interrupted(seconds):
        raise KeyboardInterrupt

    report = watch_report([folder], tmp_path / "out", 5, False, False, wait=interrupted)
    assert 'data-reload="0"' in report.page.read_text()


def test_the_command_writes_a_report_or_says_in_one_line_why_not(make_run, tmp_path, capsys):
    folder = make_run("run", ("dead",))
    main(["report", str(folder), "--out", str(tmp_path / "out"), "--no-figures"])
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("reading 1 run 1 of 1 seed diverged so far; the report is")
    text = (tmp_path / "out" / "report.html").read_text()
    assert f"credo report {folder} --out {tmp_path / 'out'} --no-figures" in text
    (tmp_path / "nothing").mkdir()
    for words, said in (
        ([str(tmp_path / "nothing")], "there is no run in"),
        ([str(tmp_path / "absent")], "is not a folder"),
        ([], "folders"),
        ([str(folder), "--out", str(folder / "config.json")], "config.json is not a folder; give a folder"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["report", *words])
        error = capsys.readouterr().err
        assert stop.value.code == 2
        assert said in error
        assert error.count("\n") == 1


def test_tables_of_the_studies_follow_the_reports_own(make_run, monkeypatch):
    seen = []
    more = [Table("more", "More", ("a",), ((1,),))]
    monkeypatch.setattr(analysis, "analyse_digests", lambda digests: seen.append(digests) or more)
    folder = make_run("run", ("healthy",))
    make_run("empty", (), seeds=2)
    collection = Reader().collect([folder, folder.parent / "empty"])
    assert [table.name for table in tables(collection)] == ["overview", "seeds", "samples", "settings", "more"]
    assert [(d.method, d.environment, d.seed) for d in seen[0]] == [("td3", "Hopper-v5", seed) for seed in (0, 1)]
    assert "more" not in [table.name for table in tables(collection, statistics=False)]
    better = [Table("sample-efficiency", "Better", ("a",), ((1,),))]
    assert [table.name for table in tables(collection, better)][2:] == ["settings", "sample-efficiency"]
    assert len(seen) == 1


def test_tables_are_those_that_studies_make_of_the_same_runs(make_run):
    one, other = make_run("one", ("healthy", "dead", "broken", "weak")), make_run("other", ("weak", "dead"), credo=OFF)
    runs = [MethodRun("mine", "Hopper-v5", one), MethodRun("theirs", "Hopper-v5", other)]
    collection = Reader().collect(runs)
    assert collection.methods == ("mine", "theirs")
    found = tables(collection)
    made = analysis.analyse(runs)
    assert len(made) > 8
    assert tuple(found[-len(made) :]) == made


def test_boxes_of_many_methods_stand_side_by_side(make_run, tmp_path):
    folders = [make_run(f"run-{t}", ("healthy", "weak"), credo=CredoConfig(threshold=t)) for t in range(1, 8)]
    with draw.drawing(tmp_path, {"boxes": still_boxes(Reader().collect(folders), "Hopper-v5", RETURN)}):
        pass
    found = re.findall(
        r'aria-roledescription="box"[^>]* d="M([-0-9.]+),[-0-9.]+h([0-9.]+)v', (tmp_path / "boxes.svg").read_text()
    )
    boxes = sorted((float(left), float(width)) for left, width in found)
    assert len(boxes) == 7 * 4
    assert all(left + width <= following for (left, width), (following, _) in itertools.pairwise(boxes))


def test_every_figure_has_its_own_name_and_column():
    assert len({figure.key for figure in FIGURES}) == len({figure.column for figure in FIGURES}) == len(FIGURES)


def test_out_may_not_be_missing_a_folder_that_cannot_be_made(make_run, tmp_path):
    folder = make_run("run", ("healthy",))
    lines = []
    for out in ("config.json", "config.json/x"):
        with pytest.raises(CredoError, match=r"out: .*config\.json is not a folder; give a folder"):
            write_report([folder], folder / out, figures=False, line=lines.append)
    assert not lines  # no run was read for it


def test_the_example_tells_the_verdicts(make_run, tmp_path):
    folder = make_run("run", ("healthy", "dead"))
    command = [sys.executable, Path(__file__).parents[2] / "examples" / "report_runs.py", folder, tmp_path / "out"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "td3 on Hopper-v5: 1 of 2 seeds diverged"
    assert said[1].startswith("  seed 1: dead (actor inactive from step 2,048")
    assert (tmp_path / "out" / "report.html").exists()


def test_names_with_control_characters_are_escaped_everywhere(make_run, tmp_path, capsys):
    folder = make_run("cloned", (), environment="Ho\tpper-v5", learner="bc")
    assert Reader().collect([folder]).extent("Ho pper-v5") == 1
    (make_run("a\x1b[31mred", ("dead",)) / "config.json").write_text("{")
    main(["report", str(tmp_path), "--out", str(tmp_path / "out"), "--no-figures"])
    said = capsys.readouterr().out
    assert "\x1b[31mred" not in said
    assert "x1b[31mred" in said
