"""Study files: what they expand to, and what a wrong one is told."""

import os

import numpy as np
import pytest

from credo.cli import main
from credo.cli.study_cells import asked_for
from credo.config import run_id, to_dict
from credo.demonstrations import from_episodes, save_demonstrations
from credo.environments import rollout_episodes
from credo.presets import DEFAULT, preset
from credo.studies.estimate import seconds_left
from credo.studies.record import edits, known_data, write_record
from credo.studies.shipped import FOLDER, find_study, shipped_names
from credo.studies.store import Placed, Store, place
from credo.studies.study import load_study
from credo.studies.toml_lines import find_line
from credo.types import CredoError

GOOD = """\
[study]
name = "small"
description = "two rewards, three methods"
seeds = 3

[base]
preset = "paper"
steps = 6_400
td3.discount = 0.98

[base.discriminator]
hidden = [8]

[axes]
reward = ["plr", "cr"]

[axes.method]
plain = { credo = "off" }
credo = { credo = "filter", threshold = 5.0 }
penalty = { credo = "off", regularisers = ["gradient-penalty"], "td3.hidden" = [8, 8] }

[axes.environment]
hopper = { environment = "Hopper-v5", demonstrations = "hopper-expert:2" }

[[exclude]]
reward = "cr"
method = ["credo", "penalty"]
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="study.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def refused(write):
    """The message of the error that a file causes, without its folder; always one line."""

    def refused(text):
        path = write(text)
        with pytest.raises(CredoError) as caught:
            load_study(path)
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(f"{path}:")
        return message.removeprefix(str(path.parent) + "/")

    return refused


def test_cells_are_the_product_without_the_exclusions(write):
    study = load_study(write(GOOD))
    assert (study.name, study.description) == ("small", "two rewards, three methods")
    assert [cell.name for cell in study.cells] == [
        "reward=plr/plain/hopper",
        "reward=plr/credo/hopper",
        "reward=plr/penalty/hopper",
        "reward=cr/plain/hopper",
    ]
    assert [cell.method for cell in study.cells][:2] == ["reward=plr plain", "reward=plr credo"]
    assert {cell.environment for cell in study.cells} == {"hopper"}


def test_a_cell_has_the_settings_of_preset_base_and_axes_in_this_order(write):
    plain, credo, penalty, other = (cell.config for cell in load_study(write(GOOD)).cells)
    assert (plain.td3.hidden, plain.td3.actor_learning_rate, plain.td3.discount) == ((400, 300), 1e-3, 0.98)
    assert (plain.seeds, plain.steps, plain.discriminator.hidden) == (3, 6_400, (8,))
    assert (plain.credo.mode, credo.credo.mode, credo.credo.threshold) == ("off", "filter", 5.0)
    assert penalty.discriminator.regularisers == ("gradient-penalty",)
    assert penalty.td3.hidden == (8, 8)
    assert (plain.reward, other.reward) == ("plr", "cr")
    assert plain.demonstrations == "hopper-expert:2"


def test_methods_that_would_have_one_name_are_refused(refused):
    """They would be compared as one."""
    text = '[axes.one]\n"a b" = { credo = "off" }\na = { credo = "filter" }\n'
    text += '[axes.two]\nc = { steps = 1000 }\n"b c" = { steps = 2000 }\n'
    message = refused(text)
    assert message.startswith("study.toml:1: axes: cells 'a b/c' and 'a/b c' are both method 'a b c' in ")


def test_a_cell_is_asked_for_by_its_whole_name_or_by_a_part(write):
    """Brackets are those of a list; the name of a cell is no pattern, even if it looks like one."""
    text = '[base]\nreward = "environment"\n[axes]\nenvironment = ["Ant-v5,healthy_z_range=[0.3,1.0]", "Ant-v5"]\n'
    study = load_study(write(text + '[axes.method]\n"a*" = { learner = "sac" }\nab = {}\n'))
    limited, plain = "Ant-v5,healthy_z_range=[0.3,1.0]", "Ant-v5"
    for only, expected in {
        (f"{limited}/ab",): {f"{limited}/ab"},
        (f"{limited}/*",): {f"{limited}/a*", f"{limited}/ab"},
        (f"{plain}/a*",): {f"{plain}/a*"},
        (f"{plain}/*", f"{limited}/a*"): {f"{plain}/a*", f"{plain}/ab", f"{limited}/a*"},
        (): {cell.name for cell in study.cells},
    }.items():
        assert asked_for(study, only, ()) == expected
    with pytest.raises(CredoError, match="only: 'Ant-v5,healthy_z_range=0/ab' is no cell of this study"):
        asked_for(study, ("Ant-v5,healthy_z_range=0/ab",), ())


def test_a_preset_on_an_axis_replaces_that_of_the_base(write):
    study = load_study(write('[base]\npreset = "paper"\nsteps = 640\n[axes.m]\na = {}\nb = { preset = "fast" }\n'))
    a, b = (cell.config for cell in study.cells)
    assert (a.learning_starts, b.learning_starts) == (0, 1_000)
    assert a.steps == b.steps == 640


def test_a_file_without_axes_is_one_cell_with_the_defaults(write):
    (cell,) = load_study(write("[study]\n")).cells
    assert cell.config == preset(DEFAULT)
    assert (cell.name, cell.method, cell.environment) == ("run", "run", "Hopper-v5")


def test_settings_by_dotted_name_make_axes_too(write):
    text = '[axes]\ncredo.threshold = [1, 5.0]\n"discriminator.hidden" = [[8], [8, 8]]\nseeds_per = 1\n'
    study = load_study(write(text.replace("seeds_per = 1\n", "")))
    assert [cell.name for cell in study.cells] == [
        "threshold=1/hidden=8",
        "threshold=1/hidden=8+8",
        "threshold=5/hidden=8",
        "threshold=5/hidden=8+8",
    ]
    assert study.cells[0].config.credo.threshold == 1.0


def test_a_single_method_bears_its_name(write):
    (cell,) = load_study(write("[axes.method]\nSD3 = {}\n")).cells
    assert cell.method == "SD3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[studdy]\nname = "x"', ["study.toml:1", "studdy", "did you mean 'study'"]),
        ('[study]\n\nnam = "x"', ["study.toml:3", "nam", "did you mean 'name'"]),
        ("[base]\nstep = 5", ["study.toml:2", "step", "did you mean 'steps'"]),
        ("[base]\ntd3.discout = 0.5", ["study.toml:2", "td3.discout", "did you mean 'td3.discount'"]),
        ("[base.td3]\nhidden = [8]\ndiscout = 0.5", ["study.toml:3", "did you mean 'td3.discount'"]),
        ("[base]\n[base.tdd3]\nhidden = [8]", ["study.toml:2", "tdd3", "did you mean 'td3'"]),
        ("[base]\ndiscount = 0.5", ["study.toml:2", "discount", "td3.discount"]),
        ('[base]\npreset = "papr"', ["study.toml:2", "papr", "paper"]),
        ('[axes]\nlearnr = ["td3"]', ["study.toml:2", "learnr", "did you mean 'learner'"]),
        ('[axes]\n\nlearner = ["td3", "td4"]', ["study.toml:3", "learner", "td4", "td3"]),
        ("[axes]\ncredo.threshold = [0.0]", ["study.toml:2", "threshold", "above 0"]),
        ("[axes]\nsteps = 5", ["study.toml:2", "steps", "list"]),
        ("[axes]\nsteps = []", ["study.toml:2", "no values"]),
        ("[axes]\nsteps = [64, 64]", ["study.toml:2", "twice"]),
        ("[axes]\ntd3.hidden = [[8], [16, 16], [8]]", ["study.toml:2", "'hidden=8' stands there twice"]),
        ("[axes]\ntd3.hidden = [[8], [16, 16], 8]", ["study.toml:2", "study.toml:2: td3.hidden: 8 is not a list"]),
        ("[base]\ntd3 = 3", ["study.toml:2", "td3: a table of settings expected, td3 = { NAME = VALUE }"]),
        ("[axes]\ntd3 = [3]", ["study.toml:2", "axes.td3: a table of settings; values of one expected, td3.NAME = ["]),
        ("[[exclude]]\nx = 3", ["study.toml:2", "exclude.x: no such axis; the study has no axes"]),
        ("[axes]\nseeds = [1, 2]", ["study.toml:2", "[study] seeds"]),
        ("[axes.m]\na = { stepz = 64 }", ["study.toml:2", "stepz", "did you mean 'steps'"]),
        ("[axes.m]\n\na = {}\nb = { td3.hidden = [] }", ["study.toml:4", "td3.hidden"]),
        ("[axes.m]\na = 5", ["study.toml:2", "axes.m.a", "not a table"]),
        ("[axes]\nsteps = [64]\n[axes.m]\na = { steps = 64 }", ["study.toml:4", "steps", "axis 'steps'", "axis 'm'"]),
        ("[base]\nsteps = true", ["study.toml:2", "steps"]),
        ('[base]\nregularisers = "gradient-penalty"', ["study.toml:2", "regularisers", "not a list"]),
        ("[base]\n\nthreshold = 0.0", ["study.toml:3", "threshold", "above 0"]),
        ("[axes.m.a]\nsteps = 64\nthreshold = 0.0", ["study.toml:3", "threshold", "above 0"]),
        ("[study]\nseeds = 0", ["study.toml:2", "seeds", "at least 1"]),
        ("[study]\nseeds = 2\n[base]\nseeds = 3", ["study.toml:2", "give it once"]),
        ("[axes]\nsteps = [64]\n[[exclude]]\nstep = 64", ["study.toml:4", "step", "did you mean 'steps'"]),
        ("[axes]\nsteps = [64]\n[[exclude]]\nsteps = 65", ["study.toml:4", "65", "steps=64"]),
        ("[axes]\nsteps = [64]\n[[exclude]]\nsteps = 64", ["study.toml", "no cell is left"]),
        (
            '[axes]\nsteps = [64, 128]\nreward = ["cr", "plr"]\n[[exclude]]\nsteps = 64\n\n[[exclude]]\nstep = 128\n',
            ["study.toml:8", "step"],
        ),
        ("", ["study.toml", "nothing in it", "[axes]"]),
        ("# nothing\n", ["nothing in it"]),
        ("[study\n", ["study.toml", "not TOML", "line 1"]),
        ("exclude = 5", ["study.toml:1", "[[exclude]]"]),
        ('[study]\nname = "../../elsewhere"', ["study.toml:2", "../../elsewhere", "no slashes"]),
        ('[study]\nname = "/etc"', ["study.toml:2", "/etc", "no slashes"]),
        ('[study]\nname = ".."', ["study.toml:2", "no dot at the beginning"]),
        ('[study]\nname = "a\\u001b[2Jb"', ["study.toml:2", "folder's name"]),
        (
            "[axes]\nsteps = ["
            + ", ".join(map(str, range(64, 264)))
            + "]\nrandom_steps = ["
            + ", ".join(map(str, range(200)))
            + "]",
            ["40,000 cells"],
        ),
    ],
)
def test_a_wrong_file_names_line_and_nearest_name(refused, text, expected):
    message = refused(text)
    assert all(part in message for part in expected), message


def test_a_mark_at_the_beginning_of_a_file_is_passed_over(write, capsys):
    path = write("\ufeff[study]\n")
    assert len(load_study(path).cells) == 1
    main(["study", "show", str(path)])
    assert capsys.readouterr().out == "[study]\n"


def test_no_file_and_no_text_are_told(tmp_path):
    with pytest.raises(CredoError, match="not readable"):
        load_study(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CredoError, match="UTF-8"):
        load_study(tmp_path / "binary.toml")


def test_lines_of_nested_and_quoted_keys():
    text = '# [a]\n[a]\n"b" = 1\n[a.c]\nd = { e = 1, "f.g" = 2 }\n[[x]]\ny = 1\n[[x]]\ny = 2\n'
    assert find_line(text, ["a"]) == 2
    assert find_line(text, ["a", "b"]) == 3
    assert find_line(text, ["a", "c", "d", "e"]) == 5
    assert find_line(text, ["a", "c", "missing"]) == 4
    assert find_line(text, ["x", "y"], occurrence=1) == 9
    assert find_line(text, ["nothing"]) == 1


def test_an_edit_names_the_cells_that_change(write):
    before = load_study(write(GOOD))
    record = {
        "cells": {cell.name: {"run": run_id(cell.config), "config": to_dict(cell.config)} for cell in before.cells}
    }
    assert edits(record, before.cells) == []
    text = GOOD.replace("0.98", "0.9").replace('method = ["credo", "penalty"]', 'method = ["penalty", "plain"]')
    lines = edits(record, load_study(write(text)).cells)
    assert "cell reward=cr/credo/hopper is new" in lines
    assert "cell reward=cr/plain/hopper is gone (its run is kept)" in lines
    assert "cell reward=plr/plain/hopper changes: td3.discount: 0.9, not 0.98" in lines
    assert len(lines) == 5
    assert edits({}, before.cells) == []


def test_a_setting_that_came_after_the_record_is_no_edit(write):
    cells = load_study(write(GOOD)).cells
    record = {"cells": {cell.name: {"run": "x", "config": to_dict(cell.config)} for cell in cells}}
    for told in record["cells"].values():
        del told["config"]["execution"], told["config"]["sac"]["layer_norm"]
    assert edits(record, cells) == []
    text = GOOD.replace("0.98", "0.9")
    assert all("td3.discount" in line for line in edits(record, load_study(write(text)).cells))


@pytest.mark.parametrize("name", list(shipped_names()))
def test_shipped_studies_expand(name, tmp_path):
    study = load_study(find_study(name))
    assert study.name == name
    assert study.description
    seeds = {"small": 5, "33": 33}.get(name.rpartition("-")[2], 11)
    assert {cell.config.seeds for cell in study.cells} == {seeds}
    if seeds == 5:
        cells = [Placed(cell, run_id(cell.config)) for cell in study.cells]
        seconds, _ = seconds_left(cells, [Store(tmp_path).progress(p) for p in cells])
        assert seconds < 3600


def test_every_study_of_the_issue_is_shipped():
    figures = {f"figure-{number}{size}" for number in range(2, 12) for size in ("", "-small")}
    others = {
        f"{name}{size}" for name in ("stabilisers", "threshold", "demonstrations", "rewards") for size in ("", "-small")
    }
    early = ("early", "early-33", "early-again-33", "early-learners", "early-others", "early-remedies")
    credo = (
        "credo",
        "credo-alive",
        "credo-33",
        "credo-early",
        "credo-early-33",
        "credo-slope-33",
        "credo-direction-33",
    )
    parts = (
        *early,
        *credo,
        "bed",
        "bed-longer",
        "penalty-longer",
        "penalty-with",
        "penalty-without",
        "two-parts",
        "remedies",
        "robust",
        "robust-credo",
        "robust-parts",
        "explosion",
    )
    stability = {f"stability-{part}" for part in parts}
    assert set(shipped_names()) == figures | others | stability
    assert shipped_names().index("figure-2") < shipped_names().index("figure-10")
    with pytest.raises(CredoError, match="did you mean 'threshold'"):
        find_study("treshold")
    assert find_study("threshold") == FOLDER / "threshold.toml"


def test_what_a_cell_begins_with_and_how_it_looks_are_part_of_its_run(write, tmp_path):
    """Two cells with one identity would be one run, of which only the last is trained."""
    episodes = rollout_episodes("Pendulum-v1", lambda observation: np.zeros((len(observation), 1)), 2, seed=0)
    log = tmp_path / "log.safetensors"
    save_demonstrations(log, from_episodes(episodes, environment="Pendulum-v1", source="test"))
    text = '[base]\nenvironment = "Pendulum-v1"\nreward = "environment"\n[axes.method]\n'
    text += f'plain = {{}}\nlogged = {{ seed_replay = "{log}" }}\nstacked = {{ frame_stack = 2 }}\n'
    text += 'clone = { learner = "bc", reward = "plr", demonstrations = "DEMOS" }\n'
    text += 'stacked-clone = { learner = "bc", reward = "plr", demonstrations = "DEMOS", frame_stack = 2 }\n'
    placed = place(load_study(write(text.replace("DEMOS", str(log)))), {})
    assert all(p.run is not None for p in placed), [p.problem for p in placed]
    assert len({p.run for p in placed}) == 5
    missing = place(load_study(write(text.replace("DEMOS", "nothing.npz"))), {})
    assert [p.run is None for p in missing] == [False, False, False, True, True]
    assert "nothing.npz" in missing[3].problem


def test_demonstrations_are_read_with_the_environment_that_the_cell_names(write, tmp_path):
    """Recorded actions within +-2 are those of an environment whose box says so."""
    generator = np.random.default_rng(0)
    arrays = {"observations": generator.standard_normal((50, 3)), "actions": generator.uniform(-2, 2, (50, 1))}
    arrays |= {"next_observations": arrays["observations"], "terminals": np.arange(50) == 49}
    np.savez(tmp_path / "raw.npz", **arrays)
    text = f'[base]\nenvironment = "Pendulum-v1"\ndemonstrations = "{tmp_path / "raw.npz"}"\nlearner = "bc"\n'
    (placed,) = place(load_study(write(text)), {})
    assert placed.problem is None
    assert placed.run is not None


def test_a_study_that_has_not_run_knows_the_data_that_others_have_read(write, tmp_path):
    """Else it would not be told of the runs that it shares with them."""
    text = '[base]\nenvironment = "Hopper-v5"\n[axes.method]\n{} = {{ demonstrations = "hopper-expert:5" }}\n'
    first, second, third = (load_study(write(text.format(name), f"{name}.toml")) for name in ("one", "two", "three"))
    store = Store(tmp_path / "runs")
    assert known_data(store, second) == {}
    assert place(second, known_data(store, second), reads=())[0].run is None
    write_record(store.study(first.name), (), {"hopper-expert:5": "1" * 64})
    assert known_data(store, second) == {"hopper-expert:5": "1" * 64}
    assert place(second, known_data(store, second), reads=())[0].run is not None
    write_record(store.study(second.name), (), {"hopper-expert:5": "2" * 64})
    for name, when in ((first.name, 100), (second.name, 200)):
        os.utime(store.study(name) / "cells.json", (when, when))
    assert known_data(store, third) == {"hopper-expert:5": "2" * 64}
    os.utime(store.study(first.name) / "cells.json", (300, 300))
    assert known_data(store, third) == {"hopper-expert:5": "1" * 64}
    assert known_data(store, second) == {"hopper-expert:5": "2" * 64}
    (store.study(first.name) / "cells.json").write_text("{}")
    assert known_data(store, third) == {"hopper-expert:5": "2" * 64}


def test_clones_of_different_demonstrations_are_two_runs(write):
    text = '[base]\nlearner = "bc"\n[axes.environment]\n'
    text += 'a = { demonstrations = "hopper-expert:5" }\nb = { demonstrations = "hopper-expert:2" }\n'
    first, second = place(load_study(write(text)), {"hopper-expert:5": "1" * 64, "hopper-expert:2": "2" * 64})
    assert first.run is not None
    assert first.run != second.run


def test_lists_and_comments_do_not_mislead_the_line():
    text = """[base]
steps = 25_000  # small, reward = default
regularisers = [
    ["gradient-penalty"],
    ["mixup"],
]
reward = "nope"
label = "a # b"  # [not.a.table]
[axes]
seed = 1
"""
    assert find_line(text, ["base", "reward"]) == 7
    assert find_line(text, ["base", "label"]) == 8
    assert find_line(text, ["axes", "seed"]) == 10
