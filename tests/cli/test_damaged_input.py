"""Damaged and absurd files, and names that no library takes: one line, and what is sound is still told."""

import json
import os
import sys

import gymnasium
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from cli.refusals import failure
from credo import plugins, run_folder, run_rows
from credo.cli import main
from credo.config import RunConfig, TD3Config
from credo.environments import make_environment, specification, viewed
from credo.studies import lease
from credo.studies.study import load_study
from credo.types import CredoError

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[base]\npreset = ["paper"]\n', ["preset", "paper", "robust"]),
        (f"[axes]\ncredo.threshold = {DEEP}\n", ["not TOML"]),
        (f"[base]\ncredo.threshold = {'9' * 6_000}\n", ["not TOML"]),
        (f"[base]\ncredo.threshold = {'9' * 400}\n", ["credo.threshold", "400 digits"]),
        ("[axes]\ncredo.threshold = [0.12345678, 0.12345678]\n", ["threshold=0.12345678", "twice"]),
    ],
    ids=["preset", "deep", "digits", "float", "twice"],
)
def test_a_study_file_beyond_reason_is_one_line(text, expected, tmp_path, capsys):
    (tmp_path / "study.toml").write_text(text)
    line = failure(["study", "status", str(tmp_path / "study.toml")], capsys)
    for part in (*expected, "study.toml"):
        assert part in line


def test_numbers_that_look_alike_are_two_cells(tmp_path):
    (tmp_path / "study.toml").write_text("[axes]\ncredo.threshold = [0.12345678, 0.12345679, 5.0]\n")
    names = [cell.name for cell in load_study(tmp_path / "study.toml").cells]
    assert names == ["threshold=0.12345678", "threshold=0.12345679", "threshold=5"]


def changed(folder, **settings):
    """A run's config.json with other settings, or with settings that are themselves changed."""
    stored = json.loads((folder / "config.json").read_text())
    for name, value in settings.items():
        part, _, inner = name.partition("__")
        if inner:
            stored["config"][part][inner] = value
        else:
            stored["config"][part] = value
    (folder / "config.json").write_text(json.dumps(stored))


@pytest.fixture
def runs(tmp_path):
    """Two runs that have begun."""
    for name in ("sound", "odd"):
        run_folder.create(tmp_path / name, RunConfig(seeds=1), {"return_mean": 100.0}, "credo imitate")
        row = {"seed": 0, "round": 0, "step": 64, "q_mean": 1.0, "reward_mean": 1.0}
        run_rows.write_part(tmp_path / name, run_folder.METRICS, 0, [row])
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"steps_per_round": 0}, "steps_per_round: 0"),
        ({"td3__actor_delay": 0}, "td3.actor_delay: 0"),
        ({"td3__discount": 1.0}, "td3.discount: 1"),
        ({"td3__discount": 10**399}, "400 digits"),
    ],
    ids=["rounds", "delay", "discount", "digits"],
)
def test_a_run_with_impossible_settings_does_not_hide_the_others(runs, settings, expected, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    changed(runs / "odd", **settings)
    main(["list", str(runs)])
    printed = capsys.readouterr().out
    assert "sound" in printed
    assert expected in printed
    assert expected in failure(["evaluate", str(runs / "odd")], capsys)


def test_a_run_whose_settings_cannot_be_read_is_listed(runs, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    (runs / "odd" / "config.json").write_text(DEEP)
    main(["list", str(runs)])
    printed = capsys.readouterr().out
    assert "odd" in printed
    assert "not readable" in printed


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"seed": [None, 0], "step": [64, 128]}, "'seed' has rows without a value"),
        ({"seed": [0, 0], "step": [64, None]}, "'step' has rows without a value"),
        ({"seed": [0, 0], "loss": [1.0, 2.0]}, "no column 'step'"),
    ],
)
def test_rows_without_seed_or_step_are_left_out(runs, columns, expected, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    parquet.write_table(table, runs / "odd" / "metrics" / "part-000001.parquet")
    with pytest.raises(CredoError, match=expected):
        run_rows.read_parts(runs / "odd", run_folder.METRICS)
    main(["list", str(runs)])
    assert "part-000001.parquet" in capsys.readouterr().out


def test_rows_that_may_not_be_read_are_told(runs, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: "metrics" not in str(path))
    problems = []
    assert len(run_rows.read_parts(runs / "sound", run_folder.METRICS, problems=problems)["step"]) == 1
    assert problems == [f"{runs / 'sound' / 'metrics'}: may not be read"]
    with pytest.raises(CredoError, match="may not be read"):
        run_rows.read_parts(runs / "sound", run_folder.METRICS)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"format": 1, "cells": {"a": 3}}, "field cells"),
        ({"format": 1, "cells": {"a": {"run": 7, "config": {}}}}, "field cells"),
        ({"format": 1, "cells": {}, "demonstrations": {"a": 3}}, "field demonstrations"),
        ({"format": 1, "cells": {}, "demonstrations": []}, "field demonstrations"),
        ({"format": 1, "cells": {}, "declared": {"a": 0}, "declared_runs": {"a": 0}}, "field declared_runs"),
    ],
)
def test_a_damaged_record_of_a_study_is_one_line(record, expected, tmp_path, capsys):
    folder = tmp_path / "studies" / "threshold-small"
    folder.mkdir(parents=True)
    (folder / "cells.json").write_text(json.dumps(record))
    line = failure(["study", "status", "threshold-small", "--out", str(tmp_path)], capsys)
    assert expected in line
    assert "cells.json" in line


def test_a_lease_that_is_no_lease_is_a_damaged_one(tmp_path):
    held = lease.acquire(tmp_path)
    (tmp_path / "1a.json").write_text("{}")
    (tmp_path / "٣.json").write_text("{}")
    assert lease.current(tmp_path).number == held.number
    held.path.write_text(DEEP)
    assert str(lease.current(tmp_path)) == "the holder of a damaged lease"
    assert not held.renew()
    held.path.write_text("[]")
    assert not held.renew()


class Bare(gymnasium.Env):
    """Forgets what it is to have, and cannot be closed."""

    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def close(self):
        raise RuntimeError("not I")


class Whole(Bare):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)


def test_an_environment_without_a_space_or_an_end():
    with pytest.raises(CredoError, match="observations None"):
        make_environment(Bare)
    with pytest.raises(CredoError, match="no Dict observations"):
        make_environment(viewed(Bare, ["a"]))
    assert specification(Whole).observation_size == 2


@pytest.mark.parametrize(
    "words",
    [
        "imitate --env ending_module:Any-v0",
        "imitate --plugin ending_module",
        "demos generate --expert ending_module:f --env Pendulum-v1 --out a.npz",
    ],
)
def test_a_module_that_ends_the_process_is_refused(words, tmp_path, monkeypatch, capsys):
    (tmp_path / "ending_module.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    assert "import" in failure(words.split(), capsys)


def test_a_name_of_other_bytes_is_refused(demonstrations, tmp_path, capsys):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/d\xff.safetensors")
    assert "UTF-8" in failure(["demos", "convert", str(demonstrations), name], capsys)


def test_text_that_cannot_be_written_is_one_short_line(monkeypatch, capsys):
    def told(words):
        ("x" * 5_000 + "\u2192").encode("ascii")

    monkeypatch.setattr("credo.cli.runs.list_runs", told)
    line = failure(["list", "."], capsys)
    assert "cannot be written as ascii" in line
    assert len(line) < 200


@pytest.mark.parametrize("name", ["steps", "discount", "rounds", "plugins"])
def test_a_learner_named_like_a_setting_hides_no_other_run(runs, name, capsys):
    """Its run is a stranger's: here such a name is refused."""
    path = runs / "odd" / "config.json"
    stored = json.loads(path.read_text())
    stored["config"]["learner"] = name
    stored["identity"]["plugins"] = {f"learner.{name}": "theirs:make"}
    path.write_text(json.dumps(stored))
    main(["list", str(runs)])
    assert "sound" in capsys.readouterr().out
    with pytest.raises(CredoError, match="name of a setting"):
        plugins.register_learner(name, settings=TD3Config())(lambda *sizes: None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("theory --states 100000", ["states", "100000", "at most 20 "]),
        ("theory --grid 100000000000", ["grid", "at most 10,000,001"]),
        ("theory --out . --quick", ["out", "mine.txt", "did not write"]),
        ("study run threshold-small --stale-after 1e300", ["stale_after", "at most 31,536,000"]),
        ("study run threshold-small --only", ["only", "no cell is named"]),
        ("study run threshold-small --gpus 1", ["gpus", "--on ray"]),
        ("study run threshold-small --address auto", ["address", "--on ray"]),
        ("study run threshold-small --address=", ["address", "--on ray"]),
        ("study list nothere", ["folder", "nothere"]),
        ("study report threshold-small --out nothere", ["credo study run threshold-small --out nothere"]),
        ("demos subsample hopper-expert:1 a.npz --every 100000000000000000000", ["subsample", "100000000000000000000"]),
        ("evaluate hopper-expert --seed 3", ["seed: 3", "hopper-expert is one policy"]),
        ("evaluate hopper-expert --policy last", ["policy: last", "hopper-expert is one policy"]),
        ("video hopper-expert --seed 3", ["seed: 3", "hopper-expert is one policy"]),
        (
            "demos generate --expert hopper-expert --out a.npz --observation-keys a",
            ["Hopper-v5", "--observation-keys"],
        ),
        ("expert --env Pendulum-v1 --demos hopper-expert", ["demos", "hopper-expert", "environment's reward"]),
        ("demos split hopper-expert:2 a.npz nothere/b.npz", ["nothere", "not a folder"]),
        ("demos split hopper-expert:2 a.npz b.csv", ["b.csv", "which format"]),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(words, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("")
    line = failure(words.split(), capsys)
    for part in expected:
        assert part in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_named_like_what_is_shipped_hides_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("hopper-expert", "threshold-small"):
        (tmp_path / name).mkdir()
    main(["evaluate", "hopper-expert", "--episodes", "1"])
    assert "hopper-expert" in capsys.readouterr().out
    main(["study", "status", "threshold-small"])
    assert "waiting" in capsys.readouterr().out


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    def greedy(words):
        raise MemoryError

    monkeypatch.setattr("credo.cli.runs.list_runs", greedy)
    assert "not enough memory" in failure(["list", "."], capsys)
