"""``credo study`` as a user meets it: a tiny study from beginning to end, run twice, edited, reported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from credo import files
from credo.cli import study as study_commands
from credo.demonstrations import from_episodes, save_demonstrations
from credo.environments import rollout_episodes
from credo.environments.probes import PointMass, point_mass_expert
from credo.studies.execute import run_study
from credo.studies.shipped import FOLDER
from credo.studies.study import load_study

STUDY = """\
[study]
name = "tiny"
description = "one method that works, one that cannot"
seeds = 2

[base]
environment = "my_probe:Point-v0"
steps = 256
random_steps = 64
learning_starts = 64
updates_per_round = 4
evaluation_interval = 64
evaluation_episodes = 1
discriminator.updates_per_round = 1
discriminator.hidden = [8]
td3.hidden = [8]

[axes.method]
works = { demonstrations = "DEMOS" }
cannot = { demonstrations = "missing.safetensors" }

[[compare]]
against = "works"
"""
COMPARED = "cannot against works by diverged in my_probe:Point-v0"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    episodes = rollout_episodes(PointMass, point_mass_expert, 4, seed=0)
    save_demonstrations(folder / "demos.safetensors", from_episodes(episodes, environment="PointMass", source="test"))
    (folder / "my_probe.py").write_text(
        "import gymnasium\nfrom credo.environments.probes import PointMass\n"
        "gymnasium.register(id='Point-v0', entry_point=PointMass, max_episode_steps=50)\n"
    )
    (folder / "tiny.toml").write_text(STUDY.replace("DEMOS", str(folder / "demos.safetensors")))
    return folder


@pytest.fixture
def study(place, monkeypatch, called):
    """Runs a command in the folder of the study; its status and what it printed."""
    monkeypatch.chdir(place)
    return lambda words: called("study", *words.split())


def test_a_study_from_beginning_to_end(study, place, monkeypatch):
    status, text = study("status tiny.toml")
    assert status == 0
    assert "2 waiting" in text
    status, text = study("report tiny.toml")
    assert status == 2
    assert "nothing of tiny has run" in text

    status, text = study("run tiny.toml --env my_probe:Point-v0 --steps 0")
    assert status == 2
    assert "steps" in text
    status, text = study("run tiny.toml --env my_probe:Point-v0 --steps 5")
    assert status == 2
    assert text.startswith("credo: cell works: steps: ")
    status, text = study("run tiny.toml --env my_probe:Point-v0 --only cannot")
    assert status == 2
    assert text.splitlines()[-1] == "credo: cell cannot: missing.safetensors: no such file"
    assert not (place / "runs").exists()

    def beside_another(store, *rest):
        """Another process records another edit of the study."""
        path = store.study("tiny") / "cells.json"
        recorded = path.read_text()
        theirs = json.loads(recorded)
        theirs["cells"]["works"] = {"run": None, "config": theirs["cells"]["works"]["config"] | {"steps": 512}}
        path.write_text(json.dumps(theirs))
        run_study(store, *rest)
        path.write_text(recorded)

    with monkeypatch.context() as patched:
        patched.setattr(study_commands, "run_study", beside_another)
        status, text = study("run tiny.toml --env my_probe:Point-v0 --only works --steps 128")
    assert status == 0, text
    assert "a documented speed" in text
    assert f"not fixed yet, since what a cell of theirs is trained on has not been read: {COMPARED}" in text
    assert f"reading {place / 'demos.safetensors'}" in text
    assert "reading missing" not in text
    (summary,) = (place / "runs" / "store").glob("*/summary.json")
    assert [told["steps"] for told in json.loads(summary.read_text())["seeds"].values()] == [128, 128]
    command = json.loads((summary.parent / "config.json").read_text())["command"]
    assert command == "credo study run tiny.toml --out runs --steps 128 --env my_probe:Point-v0 --only works"
    status, text = study("status tiny.toml")
    assert " 50%" in text
    assert "edited" not in text

    status, text = study("run tiny.toml --env my_probe:Point-v0")
    assert status == 1, text
    assert "edited" not in text
    assert "the speed of what has run" in text
    assert f"has not been read: {COMPARED}" in text
    assert "works: done" in text
    assert "cannot: " in text
    assert "missing.safetensors" in text
    (summary,) = (place / "runs" / "store").glob("*/summary.json")
    assert [told["steps"] for told in json.loads(summary.read_text())["seeds"].values()] == [256, 256]
    command = json.loads((summary.parent / "config.json").read_text())["command"]
    assert command == "credo study run tiny.toml --out runs --env my_probe:Point-v0 --only works"
    before = summary.stat().st_mtime_ns

    status, text = study("run tiny.toml --only works --env my_probe:Point-v0")
    assert status == 0, text
    assert "left on one machine" not in text
    assert summary.stat().st_mtime_ns == before

    status, text = study("status tiny.toml")
    assert "done" in text
    assert "100%" in text

    status, text = study("report tiny.toml --latex")
    assert status == 0, text
    assert text.startswith("computing the tables of 1 cell\n")
    assert "\nreading 1 run\n" in text
    assert f"Without seeds to compare (p counts as 1): {COMPARED}" in " ".join(text.split())
    tables = place / "runs" / "studies" / "tiny" / "report"
    assert (tables / "tables" / "verdicts.csv").read_text().splitlines()[1].startswith("works,my_probe:Point-v0,2,")
    assert r"\toprule" in (tables / "tables" / "verdicts.tex").read_text()
    assert "Verdicts and divergence rates" in (tables / "tables.md").read_text()
    assert "1 of 2 cells are not done" in text
    page = (tables / "report.html").read_text()
    assert "Verdicts and divergence rates" in page
    assert '<th scope="row">works</th>' in page

    # Shorter, it is done as it stands: the same run serves.
    (place / "tiny.toml").write_text((place / "tiny.toml").read_text().replace("steps = 256", "steps = 128"))
    status, text = study("status tiny.toml")
    assert "cell works changes: steps: 128, not 256" in text
    status, text = study("run tiny.toml --only works --env my_probe:Point-v0")
    assert status == 0
    assert summary.stat().st_mtime_ns == before


def test_ray_is_not_imported_before_it_is_told_how_to_start(study, tmp_path, monkeypatch):
    """As it is imported it reads whether others need a token."""
    (tmp_path / "ray.py").write_text("raise RuntimeError('too early')\n")
    monkeypatch.syspath_prepend(tmp_path)
    status, text = study("run tiny.toml --on ray --only nothing")
    assert status == 2
    assert "the cells are works, cannot" in text


def test_a_shipped_study_is_shown_to_make_ones_own_of(study, place):
    status, text = study("show threshold-small")
    assert status == 0
    assert text == (FOLDER / "threshold-small.toml").read_text(encoding="utf-8")
    (place / "mine.toml").write_text(text, encoding="utf-8")
    own, shipped = (load_study(path).cells for path in (place / "mine.toml", FOLDER / "threshold-small.toml"))
    assert [cell.name for cell in own] == [cell.name for cell in shipped]
    (place / "wrong.toml").write_text("no study\n")
    status, text = study("show wrong.toml")
    assert status == 2
    assert "wrong.toml" in text


def test_wrong_input_is_one_line(study, place):
    (place / "wrong.toml").write_text("[base]\nstepz = 5\n")
    status, text = study("run wrong.toml")
    assert status == 2
    assert text.splitlines() == ["credo: wrong.toml:2: stepz: no such setting; did you mean 'steps'?"]
    status, text = study("run figure-99")
    assert status == 2
    assert "neither a file nor a shipped study" in text
    status, text = study("run zzz")
    assert status == 2
    assert "credo study list lists them all" in text
    assert "imitate" not in text
    (place / "one.toml").write_text('[axes.method]\na = { reward = "environment" }\n')
    status, text = study("run one.toml --only b")
    assert status == 2
    assert "the cells are a" in text
    assert not (place / "runs" / "store" / "b").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--stale-after 4", ["stale_after: 4", "at least 5"]),
        ("--cores 0.5", ["cores: '0.5'", "a whole number"]),
        ("--on ray --jobs 2", ["jobs: 2", "--cores"]),
    ],
)
def test_what_a_study_cannot_be_run_with_is_refused(study, monkeypatch, words, expected):
    monkeypatch.setattr(study_commands, "asked_for", lambda *arguments: pytest.fail("it begins"))
    status, text = study(f"run tiny.toml {words}")
    assert status == 2
    assert len(text.splitlines()) == 1
    assert all(part in text for part in expected), text


@pytest.mark.parametrize(
    ("command", "out", "expected"),
    [
        ("check", "mine.toml", "mine.toml is not a folder; give a folder"),
        ("run", "mine.toml/x", "mine.toml is not a folder; give a folder"),
        ("status", "mine.toml", "mine.toml is not a folder; give a folder"),
        ("report", "dead", "dead is a link to nothing; give a folder"),
        ("check", "dead", "dead is a link to nothing; give a folder"),
        ("run", "closed", "closed may not be written to; give another folder"),
        ("check", "closed/x", "closed may not be written to; give another folder"),
        ("status", "closed/x", None),
    ],
)
def test_a_folder_that_cannot_be_run_in_is_refused_before_anything_is_read(
    called, tmp_path, monkeypatch, command, out, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('[base]\ndemonstrations = "absent.npz"\n')
    (tmp_path / "dead").symlink_to("nowhere")
    (tmp_path / "closed").mkdir()
    # Whoever is root may write everywhere.
    monkeypatch.setattr(files.os, "access", lambda path, mode: Path(path).name != "closed")
    status, text = called("study", command, "mine.toml", "--out", out)
    if expected is None:
        assert status == 0
    else:
        assert (status, text.splitlines()) == (2, [f"credo: out: {expected}"])


@pytest.mark.parametrize(("refused", "expected"), [((True, True), 2), ((True, False), 1)])
def test_the_status_tells_whether_nothing_of_what_was_asked_can_work(
    study, place, tmp_path, monkeypatch, refused, expected
):
    def run_study(store, chosen, *rest):
        for placed, wrong in zip(chosen, refused, strict=True):
            store.write_failure(placed.run, "environment: why", wrong)

    monkeypatch.setattr(study_commands, "run_study", run_study)
    (place / "two.toml").write_text(
        '[base]\nreward = "environment"\n[axes]\nlearner = ["td3", "sac"]\nenvironment = ["A-v0"]\n'
        '[[compare]]\nagainst = "td3"\n'
    )
    status, text = study(f"run two.toml --out {tmp_path}")
    assert status == expected, text
    assert "fixed beforehand: sac against td3 by diverged in A-v0" in text
    status, text = study(f"run two.toml --out {tmp_path}")
    assert "fixed" not in text


def test_the_shipped_studies_are_listed(study):
    status, text = study("list")
    assert status == 0
    assert "threshold-small" in text
    assert "CREDO's threshold" in text


def test_a_study_of_a_plugin_runs_where_the_plugin_is_named(study, place):
    (place / "my_gentle.py").write_text(
        "from credo import register_reward\n\n\n"
        "@register_reward('gentle', bounds=(float('-inf'), float('inf')), inverse=lambda reward: 2 * reward)\n"
        "def gentle(logit):\n    return 0.5 * logit\n"
    )
    text = STUDY.replace('name = "tiny"', 'name = "gentle"').replace("DEMOS", str(place / "demos.safetensors"))
    text = text.replace("steps = 256", 'steps = 128\nreward = "gentle"').replace("seeds = 2", "seeds = 1")
    text = text.replace('cannot = { demonstrations = "missing.safetensors" }\n', "").split("[[compare]]")[0]
    (place / "gentle.toml").write_text(text)
    status, told = study("run gentle.toml --env my_probe:Point-v0")
    assert status == 2
    assert "'gentle' is not one of plr" in told
    assert "--plugin" in told
    words = ["study", "run", "gentle.toml", "--env", "my_probe:Point-v0", "--plugin", "my_gentle"]
    # In a process of its own: what is registered stays registered.
    ran = subprocess.run([sys.executable, "-m", "credo", *words], capture_output=True, text=True, cwd=place)
    assert ran.returncode == 0, ran.stderr
    assert "works: done" in ran.stdout
    configs = [json.loads(path.read_text()) for path in (place / "runs" / "store").glob("*/config.json")]
    (stored,) = [config for config in configs if config["config"]["reward"] == "gentle"]
    assert stored["identity"]["plugins"] == {"reward.gentle": "my_gentle:gentle"}
    assert "--plugin my_gentle" in stored["command"]
    both = "from credo.cli import main\nfor command in ('status', 'report'):\n"
    both += "    main(['study', command, 'gentle.toml', '--plugin', 'my_gentle'])"
    told = subprocess.run([sys.executable, "-c", both], capture_output=True, text=True, cwd=place)
    assert told.returncode == 0, told.stderr
    assert "works" in told.stdout
    assert "the page is" in told.stdout


def test_a_study_of_long_names_fits_80_columns(study, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, text = study("status stability-remedies")
    assert status == 0
    rows = [line for line in text.splitlines() if "waiting" in line and line.startswith("│")]
    assert len(rows) == 34
    assert all(len(row) <= 80 and row.endswith(" min │") for row in rows)
