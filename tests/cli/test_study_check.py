"""``credo study check`` as a user meets it: what is wrong with any cell is told before the study runs."""

import shutil

import jax.numpy as jnp
import pytest

from credo import run_folder
from credo.plugins import register_regulariser, register_reward
from credo.preparation import prepare
from credo.studies.check import check_cells
from credo.studies.store import Placed, Store
from credo.studies.study import load_study
from credo.training import checks

BASE = """\
[study]
seeds = 2

[base]
environment = "check_probe:Point-v0"
demonstrations = "demos.safetensors"
steps = 256
learning_starts = 64
updates_per_round = 4
discriminator.updates_per_round = 1
discriminator.hidden = [8]
td3.hidden = [8]

[axes.method]
"""
TRUSTED = "check_probe:Point-v0"


@pytest.fixture(scope="module")
def place(tmp_path_factory, demonstrations):
    folder = tmp_path_factory.mktemp("check")
    (folder / "check_probe.py").write_text(
        "import gymnasium\nfrom credo.environments.probes import PointMass\n\n\n"
        "class Stuck(PointMass):\n    def step(self, action):\n        raise RuntimeError('the motor is off')\n\n\n"
        "gymnasium.register(id='Point-v0', entry_point=PointMass, max_episode_steps=50)\n"
        "gymnasium.register(id='Stuck-v0', entry_point=Stuck, max_episode_steps=50)\n"
    )
    shutil.copy(demonstrations, folder / "demos.safetensors")
    return folder


@pytest.fixture
def check(place, monkeypatch, called):
    """Checks a study of these methods; the status and what was printed."""
    monkeypatch.chdir(place)

    def check(methods, words=f"--env {TRUSTED}"):
        (place / "mine.toml").write_text(BASE + methods)
        return called("study", "check", "mine.toml", *words.split())

    return check


def row(text, cell):
    """What stands in the row of a cell, by column."""
    lines = [line for line in text.splitlines() if line[:1] in "┃│"]
    header, *rows = [[field.strip() for field in line[1:-1].replace("┃", "│").split("│")] for line in lines]
    return next(dict(zip(header, fields, strict=True)) for fields in rows if fields[0] == cell)


def line_of(text, beginning):
    (line,) = [line for line in text.splitlines() if line.startswith(beginning)]
    return line


def test_every_problem_is_told_once_with_its_cells_and_nothing_is_written(check, place):
    before = set(place.iterdir())
    status, text = check(
        """\
good = {}
again = {}
more-seeds = { seeds = 3 }
unknown = { environment = "Pendulun-v1" }
unknown-too = { environment = "Pendulun-v1", steps = 512 }
missing = { demonstrations = "missing.safetensors" }
other = { environment = "Pendulum-v1" }
argument = { environment = "Pendulum-v1,g=[1]" }
no-argument = { environment = "Pendulum-v1,gravity=2" }
stuck = { environment = "check_probe:Stuck-v0" }
no-log = { seed_replay = "log.safetensors" }
short-log = { seed_replay = "demos.safetensors@subsample=100", environments_per_seed = 64 }
""",
        f"--env {TRUSTED} check_probe:Stuck-v0",
    )
    assert status == 2
    assert text.count("did you mean") == 1
    assert row(text, "good") == row(text, "again") | {"cell": "good"}
    told = {
        "cell": "more-seeds",
        "environment": TRUSTED,
        "demonstrations": "demos.safetensors (6 episodes, 300 steps)",
        "seeds": "3",
        "steps": "256",
        "state": "waiting",
        "check": "ok",
    }
    assert row(text, "more-seeds") == told
    for cell, number in {"unknown": 1, "unknown-too": 1, "missing": 2, "no-log": 7}.items():
        assert row(text, cell)["check"] == f"problem {number}"
        assert row(text, cell)["demonstrations"] == f"{'missing' if cell == 'missing' else 'demos'}.safetensors"
    assert "(cells unknown, unknown-too)" in line_of(text, "problem 1: environment: 'Pendulun-v1' is not a registered")
    assert line_of(text, "problem 2: missing.safetensors: no such file (cell missing)")
    line = line_of(text, "problem 3: demonstrations (hand-written expert): observation has 4 dimensions")
    assert "but Pendulum-v1 has 3" in line
    assert "g=[1] is not a number" in line_of(text, "problem 4: environment: ")
    assert "has no argument 'gravity'" in line_of(text, "problem 5: environment: 'Pendulum-v1,gravity=2'")
    stuck = line_of(text, "problem 6: environment: environment 0 (check_probe:Stuck-v0)")
    assert "step 1 of episode 0: raised RuntimeError: the motor is off (cell stuck)" in stuck
    assert line_of(text, "problem 7: seed_replay: log.safetensors: no such file (cell no-log)")
    assert "6 transitions; at least one for each of 64 environments" in line_of(text, "problem 8: seed_replay (")
    assert line_of(text, "again is the same run as good")
    headline = line_of(text, "mine: 12 cells, 10 distinct runs, 0% of the steps done (12 waiting)")
    assert " left on one machine without the 9 cells that cannot start, starting and compiling included" in headline
    assert line_of(text, "9 of 12 cells would not start: cells unknown, unknown-too, missing, other and 5 more")
    assert set(place.iterdir()) == before | {place / "mine.toml"}


def test_a_part_of_a_study_may_be_good(check):
    methods = 'good = {}\nsame-reward = { seeds = 3 }\nmissing = { demonstrations = "missing.safetensors" }\n'
    status, text = check(methods, f"--only good --env {TRUSTED}")
    assert status == 0
    assert "missing" not in text
    assert line_of(text, "every cell would start")
    assert row(text, "good")["method"] == "td3, plr, credo filter"
    status, text = check(methods, f"--only good same* --env {TRUSTED}")
    assert status == 0
    assert line_of(text, "of all cells: environment check_probe:Point-v0; demonstrations demos.safetensors (6 episodes")
    assert set(row(text, "good")) == {"cell", "seeds", "state", "check"}
    status, text = check(methods, f"--env {TRUSTED} --only")
    assert status == 2
    assert text.startswith("credo: only: no cell is named")


def test_a_strangers_module_is_not_imported_unless_it_is_named(check):
    status, text = check("good = {}\n", "")
    assert status == 2
    assert "names 'check_probe:Point-v0', which imports a module; if you trust it, give --env" in text
    assert "trying" not in text


@pytest.mark.usefixtures("forgotten_plugins")
def test_plugins_are_tried_where_a_run_calls_them(check):
    register_reward("half", bounds=(float("-inf"), float("inf")), inverse=lambda reward: 2 * reward)(_half)
    register_reward("bounded", bounds=(0.0, 1.0))(_half)
    register_regulariser("double")(_double)
    register_regulariser("sizeless")(_sizeless)
    status, text = check(
        """\
half = { reward = "half", regularisers = ["double"] }
bounded = { reward = "bounded", credo = "off" }
sizeless = { regularisers = ["sizeless"] }
sac = { learner = "sac", regularisers = ["sizeless"], discriminator.absorbing_states = true }
ppo = { learner = "ppo", regularisers = ["double"], discriminator.inputs = "ss" }
"""
    )
    assert status == 2
    assert row(text, "half")["check"] == row(text, "ppo")["check"] == "ok"
    assert "outside its bounds 0 to 1 (cell bounded)" in line_of(text, "problem 1: reward: 'bounded'")
    line = line_of(text, f"problem 2: plugin: regulariser 'sizeless' ({__name__}:_sizeless): AttributeError: ")
    assert line.endswith("(cells sizeless, sac)")
    assert "test_study_check.py:" in line
    assert line_of(text, "note: reward half is negative while the discriminator wins").endswith("(cell half)")


def _half(logit):
    return 0.5 * logit


def _double(loss, logit, config):
    return lambda network, expert, policy, key: 2.0 * loss(network, expert, policy, key)


def _sizeless(loss, logit, config):
    return lambda network, expert, policy, key: loss(network, expert, policy, key) + jnp.sum(expert.sizes)


def test_what_is_done_is_told_and_not_asked_to_fit_again(check, place, tmp_path, monkeypatch):
    methods = "done = {}\nbegun = { td3.hidden = [9] }\ndamaged = { td3.hidden = [10] }\n"
    check(methods)
    store = Store(tmp_path)
    cells = load_study(place / "mine.toml").cells
    for cell, steps in zip(cells, (256, 64, 64), strict=True):
        prepared = prepare(cell.config)
        run_folder.create(store.folder(prepared.identity), cell.config, prepared.described, "test")
        told = {"steps": steps, "seeds": {"0": {"steps": steps}, "1": {"steps": steps}}}
        run_folder.write_json(store.folder(prepared.identity) / "summary.json", told)
    (store.folder(prepared.identity) / "config.json").unlink()
    status, text = check(methods, f"--env {TRUSTED} --out {tmp_path}")
    assert status == 2
    assert (row(text, "done")["state"], row(text, "begun")["state"]) == ("done", "stopped 25%")
    assert line_of(text, "problem 1: out: ").endswith("exists and is not a run; choose another folder (cell damaged)")
    assert line_of(text, "mine: 3 cells, 3 distinct runs, 50% of the steps done (1 done, 2 stopped)")
    monkeypatch.setattr(checks, "available_memory", lambda: 1000)
    checked = check_cells(store, [Placed(cell, None) for cell in cells])
    assert [each.placed.problem and each.placed.problem.split(":")[0] for each in checked][:2] == [None, "hidden"]


def test_short_names_leave_the_heading_whole(check):
    status, text = check("a = {}\n", f"--only a --env {TRUSTED}")
    assert status == 0
    assert line_of(text, "┃ cell ┃")
