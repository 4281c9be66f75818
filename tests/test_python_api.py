"""What Python callers may give: text where paths are meant, presets by name, and one line for what is neither."""

import dataclasses
import logging
import signal
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import credo
from credo import api, experts, plugins, run_folder, run_rows
from credo.cli import train
from credo.config import RunConfig
from credo.config.names import REGISTERED
from credo.demonstrations import merge, write_file
from credo.diagnostics.selection import badness, selected
from credo.environments.probes import PointMass
from credo.files import read_json
from credo.reports.report import watch_report, write_report
from credo.training.watching import Progress, Watcher
from credo.types import CredoError


def test_a_folder_may_be_given_as_text(tmp_path):
    run_folder.create(tmp_path / "run", RunConfig(), {"sha256": "x"}, "test")
    run = credo.Run(str(tmp_path / "run"))
    assert run == credo.Run(tmp_path / "run")


def test_a_run_that_has_just_begun_has_columns_and_no_rows(tmp_path):
    run_folder.create(tmp_path, RunConfig(), {"sha256": "x"}, "test")
    run = credo.Run(tmp_path)
    assert run.summary == {}
    for columns in (run.metrics(), run.evaluations()):
        assert list(columns) == ["seed", "round", "step"]
        assert columns["step"][columns["seed"] == 0].tolist() == []
    run_rows.write_part(tmp_path, run_folder.METRICS, 0, [{"seed": 0, "round": 0, "step": 64, "loss": 1.0}])
    written = run.metrics()
    assert [written[name].dtype for name in columns] == [columns[name].dtype for name in columns]
    assert list(written) == ["seed", "round", "step", "loss"]


@pytest.mark.parametrize(
    "reading",
    [
        credo.Run.metrics,
        credo.Run.evaluations,
        credo.Run.policy,
        lambda run: run.policy(0),
        lambda run: run.summary,
        lambda run: run.best_seed,
        lambda run: run.config,
    ],
)
def test_what_is_no_run_does_not_read_like_one_that_has_just_begun(reading, tmp_path):
    """It is refused at once, and where it is one no more, when it is read."""
    refused = r"is not a run folder \(it has no config.json\)"
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CredoError, match=f"run: .*{folder.name} {refused}"):
            credo.Run(folder)
    run_folder.create(tmp_path / "run", RunConfig(), {"sha256": "x"}, "test")
    run = credo.Run(tmp_path / "run")
    (tmp_path / "run" / run_folder.CONFIG).unlink()
    with pytest.raises(CredoError, match=f"run {refused}"):
        reading(run)


@pytest.mark.parametrize("older", [True, False])
def test_the_best_seed_is_found_in_summaries_of_any_version(older, tmp_path):
    """Seed 4 succeeds most; of those that succeed as often seed 2 is nearest."""
    run_folder.create(tmp_path, RunConfig(), {"sha256": "x"}, "test")

    def told(success, distance, returned=1.0):
        row = {"step": 64, "return_mean": returned, "occupancy_distance": distance, "success_rate": success}
        return {"selected_badness": badness(row)} if older else selected(row)

    def best(seeds):
        run_folder.write_json(tmp_path / run_folder.SUMMARY, {"seeds": {str(n): one for n, one in seeds.items()}})
        return credo.Run(tmp_path).best_seed

    assert best({1: told(0.2, 0.1), 4: told(0.9, 7.0), 2: told(0.2, 0.3)}) == 4
    assert best({1: told(0.5, 0.4), 4: told(0.0, 0.1), 2: told(0.5, 0.3)}) == 2
    assert best({1: told(np.nan, np.nan, 5.0), 2: told(np.nan, np.nan, 7.0)}) == 2
    # A run that an older version began, and this one has added a seed to.
    nearer = selected({"step": 1, "return_mean": 3, "occupancy_distance": 0.1})
    assert best({1: {"selected_badness": 0.2}, 2: nearer}) == 2
    frozen = selected(None) | {"frozen": {"step": 64, "cause": "non-finite a, b, c, d, a_loss"}}
    said = r"no evaluated policy \(seed 1 was frozen at step 64: non-finite a_loss, a, b and 2 more\)"
    with pytest.raises(CredoError, match=said):
        best({1: frozen})


def test_what_a_summary_tells_of_a_kept_policy():
    row = {"step": 64, "return_mean": 5.0, "occupancy_distance": np.nan, "success_rate": 0.4, "length_mean": 3.0}
    kept = {"selected_step": 64, "selected_return": 5.0, "selected_distance": None, "selected_success": 0.4}
    assert selected(row) == kept
    assert selected(None) == dict.fromkeys(kept)


def test_a_preset_may_be_given_by_name(monkeypatch):
    begun = []

    def prepare(config, *given):
        begun.append(config)
        return SimpleNamespace(config=config)

    monkeypatch.setattr(api, "prepare", prepare)
    monkeypatch.setattr(api, "_trained", lambda *given, **rest: (None, "done"))
    credo.imitate("fast", seeds=3)
    credo.imitate(credo.preset("fast"), seeds=3)
    credo.imitate()
    assert begun[0] == begun[1] != begun[2]
    with pytest.raises(CredoError, match=r"preset: 'quick' is not one of .*fast"):
        credo.imitate("quick")
    with pytest.raises(CredoError, match="config: dict found; a preset's name"):
        credo.imitate({"seeds": 3})


def test_an_expert_learns_from_the_environments_reward_alone(monkeypatch):
    begun = []
    monkeypatch.setattr(api, "imitate", lambda config, **given: begun.append((config, given)))
    credo.train_expert("Pendulum-v1", config="robust", seeds=3)
    credo.train_expert("Pendulum-v1", demonstrations="")
    own = credo.preset("robust")
    assert begun[0][0] == dataclasses.replace(own, reward="environment", demonstrations="")
    assert begun[0][1] == {"environment": "Pendulum-v1", "out": None, "watcher": None, "seeds": 3}
    assert (begun[1][0].learner, begun[1][0].reward) == ("sac", "environment")
    for settings in ({"config": own}, {"config": "robust", "reward": "plr"}):
        with pytest.raises(CredoError, match=r"^reward: 'plr' needs demonstrations; use credo.imitate$"):
            credo.train_expert("Pendulum-v1", **settings)
    with pytest.raises(CredoError, match=r"^demonstrations: 'mine.npz' is not used: an expert learns from"):
        credo.train_expert("Pendulum-v1", demonstrations="mine.npz")
    assert len(begun) == 2


def test_settings_of_another_learner_are_told_in_python_too(monkeypatch):
    lines = []
    monkeypatch.setattr(api, "prepare", lambda config, *given: SimpleNamespace(config=config))
    monkeypatch.setattr(api, "_trained", lambda *given, **rest: (None, "done"))
    watcher = Watcher(line=lines.append)
    credo.imitate("robust", learner="sac", watcher=watcher)
    credo.imitate("robust", td3={"batch_size": 32}, watcher=watcher)
    assert lines == []
    credo.imitate("robust", learner="sac", td3={"batch_size": 32}, watcher=watcher)
    assert lines == ["note: td3.batch_size: not used with learner sac"]


def test_arrays_are_no_demonstrations_yet():
    with pytest.raises(CredoError, match=r"demonstrations: ndarray found; .*from_transitions and from_episodes"):
        credo.imitate(demonstrations=np.zeros((5, 3)))


SMALL = {
    "learner": "td3",
    "reward": "environment",
    "demonstrations": "",
    "environment": PointMass,
    "random_steps": 64,
    "learning_starts": 64,
    "evaluation_interval": 128,
    "evaluation_episodes": 1,
    "td3": {"hidden": (4,), "batch_size": 8},
}


def test_a_run_goes_on_by_its_folder_alone(tmp_path):
    credo.imitate("fast", **SMALL, out=tmp_path / "run", steps=128)
    began = read_json(tmp_path / "run" / "config.json")
    with pytest.raises(CredoError, match=r"environment: Hopper-v5 given, but the run in .* is of PointMass"):
        credo.resume(tmp_path / "run", environment="Hopper-v5", steps=256)
    run = credo.resume(tmp_path / "run", environment=PointMass, steps=256, seeds=2)
    # What it began with stays, and what it went on with stands beside it until the whole command goes on with it.
    stored = read_json(tmp_path / "run" / "config.json")
    assert "resumed" not in began
    assert (stored["command"], stored["resumed"]) == (began["command"], began["command"])
    assert (stored["config"]["steps"], stored["config"]["seeds"]) == (256, 2)
    credo.imitate("fast", **SMALL, out=tmp_path / "run", steps=256, seeds=2)
    assert "resumed" not in read_json(tmp_path / "run" / "config.json")
    straight = credo.imitate("fast", **SMALL, out=tmp_path / "straight", steps=256, seeds=2)
    mine, other = run.metrics(), straight.metrics()
    for seed in (0, 1):
        for name in ("step", "critic_loss", "actor_gradient_max"):
            both = (columns[name][columns["seed"] == seed] for columns in (mine, other))
            np.testing.assert_array_equal(*both)


@pytest.mark.parametrize(("sent", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_whoever_stops_a_run_stops_the_script_and_goes_on_from_the_checkpoint(sent, raised, tmp_path):
    """A loop over settings that swallowed the signal would take a half-trained policy for a finished one."""
    settings = SMALL | {"out": tmp_path / "run", "steps": 256}
    watcher = Watcher(progress=lambda progress: signal.raise_signal(sent) if progress.round == 1 else None)
    with pytest.raises(raised) as stopped:
        credo.imitate("fast", **settings, watcher=watcher)
    assert raised is KeyboardInterrupt or stopped.value.code == 143
    assert credo.Run(tmp_path / "run").summary["state"] == "interrupted"
    assert credo.imitate("fast", **settings).summary["state"] == "done"


def test_what_happens_is_logged_where_nobody_watches(tmp_path, caplog, monkeypatch):
    def failing():
        environment = PointMass()
        environment.step = lambda action: 1 / 0
        return environment

    with caplog.at_level(logging.WARNING, logger="credo"):
        run = credo.imitate(
            "fast",
            reward="environment",
            demonstrations="",
            environment=failing,
            out=tmp_path / "run",
            steps=128,
            td3={"hidden": (4,)},
        )
    assert "seed 0 is frozen at step 0: environment" in caplog.text
    # Neither here is the cause left out.
    with pytest.raises(CredoError, match=r"no evaluated policy \(seed 0 was frozen at step 0: env.*division by"):
        run.policy()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 5}, "step: no such setting; did you mean steps?"),
        ({"env": "Hopper-v5"}, "env: no such setting; did you mean environment?"),
        ({"demos": "hopper-expert"}, "demos: no such setting; did you mean demonstrations?"),
        ({"seed": 3}, "seed: no such setting; did you mean first_seed?"),
        ({"total_timesteps": 1000}, "did you mean steps?"),
        ({"gamma": 0.9}, "did you mean td3={'discount': ...}?"),
        ({"gamma": 0.9, "learner": "sac"}, "did you mean sac={'discount': ...}?"),
        ({"gamma": 0.9, "learner": ["sac"]}, "gamma: no such setting"),
        ({"td3": {3: 3}}, "td3.3: no such setting"),
        ({"batch_size": 9}, "did you mean td3={'batch_size': ...}?"),
        ({"td3": {"learning_rate": 0.1}}, "did you mean td3.actor_learning_rate?"),
        ({"discriminator": {"lr": 0.1}}, "did you mean discriminator.learning_rate?"),
        ({"td3": {"batchsize": 5}}, "td3.batchsize: no such setting; did you mean td3.batch_size?"),
        (
            {"environment": "Pendulum-v1"},
            "(they are the default: give your own with --demos, or demonstrations= in Python)",
        ),
        ({"out": 3, "demonstrations": "hopper-expert:1"}, "out: int found; the path of a folder expected"),
    ],
)
def test_misspelt_and_missing_settings_are_told(settings, message):
    with pytest.raises(CredoError) as caught:
        credo.imitate("fast", **settings)
    assert message in str(caught.value)


def test_links_out_of_a_run_are_refused_by_everything_that_reads_it(tmp_path):
    run_folder.create(tmp_path / "run", credo.preset("fast"), {}, "test")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "metrics").rmdir()
    (tmp_path / "run" / "metrics").symlink_to(tmp_path / "elsewhere")
    run = credo.Run(tmp_path / "run")
    for read in (lambda: run.config, run.metrics, run.evaluations, lambda: run.summary):
        with pytest.raises(CredoError, match="is a link out of the run folder"):
            read()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: credo.load_policy(3), "policy: int found; a path expected"),
        (lambda: credo.load_demonstrations(None), "demonstrations: NoneType found; a path expected"),
        (lambda: credo.load_demonstrations(b"x"), "demonstrations: bytes found; a path expected"),
        (lambda: credo.resume([]), "folder: list found; a path expected"),
        (lambda: credo.Run(True), "run: bool found; a path expected"),
        (lambda: credo.preset([]), "preset: [] is not one of"),
        (lambda: credo.imitate(preset="fast"), "preset: no such setting; give a preset's name"),
        (lambda: credo.imitate(log="csv"), "log: 'csv' is not one of tensorboard, wandb, trackio"),
        (lambda: credo.imitate(log=np.zeros(2)), "log: array"),
        (lambda: credo.resume("none", log=3), "log: 3 is not one of tensorboard, wandb, trackio"),
        (lambda: credo.imitate(td3={"hidden": np.zeros((60, 60))}), "settings: td3.hidden: array"),
        (lambda: credo.imitate(steps=np.zeros(2)), "settings: steps: array"),
        (lambda: credo.imitate(credo="of"), "credo.mode: 'of' is not one of"),
        (lambda: experts.load_expert("hopper-expert")[0]("x"), "policy: observation: str found"),
        (lambda: credo.load_policy("a\0b.onnx"), "policy: 'a\\x00b.onnx' holds a null character"),
        (lambda: credo.export(experts.load_expert("hopper-expert")[0], out=3), "out: int found; a path expected"),
        (lambda: write_file(None, None), "path: NoneType found; a path expected"),
        (lambda: write_file("x.npz", None), "write_file: NoneType found; Demonstrations expected"),
        (lambda: merge(3), "merge: int found; a list of Demonstrations expected"),
        (lambda: merge([3]), "merge: part 0: int found; Demonstrations expected"),
        (lambda: write_report("runs/x1", "report"), "folders: str found; a list of folders expected"),
        (lambda: watch_report(Path("runs/x1"), "report"), "folders: PosixPath found; a list of folders expected"),
        (lambda: write_report([Path("runs/x1")], 3), "out: int found; a path expected"),
    ],
)
def test_what_is_of_the_wrong_type_is_named_in_one_line(call, said):
    with pytest.raises(CredoError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_credo_may_be_named_by_its_mode_alone():
    assert api._merged(credo.preset("fast"), None, {"credo": "off"}).credo.mode == "off"


def test_a_run_whose_demonstrations_moved_or_that_has_not_begun_says_so(tmp_path, monkeypatch):
    config = api._merged(credo.preset("fast"), None, {"demonstrations": "gone/mine.npz"})
    run_folder.create(tmp_path / "run", config, {}, "test")
    with pytest.raises(
        CredoError, match=r"demonstrations: gone/mine.npz, which the run learns from, is not there .*--demos"
    ):
        credo.resume(tmp_path / "run")
    # Only what a run reads has to be there, and "@" may stand in a path.
    assert api.going_on(tmp_path / "run", None, None, None, None, arrays=True).demonstrations == "gone/mine.npz"
    (tmp_path / "me@home").mkdir()
    (tmp_path / "me@home" / "mine.npz").touch()
    there = api._merged(config, None, {"demonstrations": str(tmp_path / "me@home" / "mine.npz")})
    own = api._merged(config, None, {"reward": "environment"})
    logged = api._merged(own, None, {"seed_replay": "gone/log.npz"})
    run_folder.create(tmp_path / "logged", logged, {}, "test")
    with pytest.raises(CredoError, match=r"seed_replay: gone/log.npz, which its replay begins with, is not there"):
        credo.resume(tmp_path / "logged")
    begun = []
    monkeypatch.setattr(train, "_train", lambda options, *rest, **more: begun.append(options.config))
    train.resume([str(tmp_path / "logged"), "--seed-replay", "here/log.npz"])
    assert begun == [dataclasses.replace(logged, seed_replay="here/log.npz")]
    moved = api.going_on(tmp_path / "run", None, None, None, "here/mine.npz")
    assert moved == dataclasses.replace(config, demonstrations="here/mine.npz")
    for name, settings in (("there", there), ("own", own)):
        run_folder.create(tmp_path / name, settings, {}, "test")
        assert api.going_on(tmp_path / name, None, None, None, None) == settings
    run_folder.write_json(tmp_path / "own" / "summary.json", {"state": "done", "steps": 1984})
    for steps in (1984, 2560):
        assert api.going_on(tmp_path / "own", steps, None, None, None).steps == steps
    with pytest.raises(
        CredoError, match=r"steps: 1,000 asked for, but the run in .*own has done 1,984 already; give more"
    ):
        api.going_on(tmp_path / "own", 1_000, None, None, None)
    for name, value in (("steps", "2000"), ("steps", 2e3), ("seeds", "2"), ("seeds", True), ("steps", 0)):
        with pytest.raises(CredoError, match=f"^{name}: {value!r} is not possible; it must be a whole number of 1 or"):
            credo.resume(tmp_path / "own", **{name: value})
    (tmp_path / "begun" / "metrics").mkdir(parents=True)
    with pytest.raises(CredoError, match="holds nothing to go on with yet; give the whole command once more"):
        credo.resume(tmp_path / "begun")


def test_the_pace_is_told_without_what_compiling_took():
    config = credo.preset("fast")
    progress = Progress(config, [None, None], round=1)
    progress.started -= 3600
    assert progress.steps_per_second < 1
    progress.compiled()
    assert progress.pace_since is not None
    progress.pace_since = progress.pace_since[0] - 2, progress.pace_since[1]
    progress.round = 3
    assert progress.steps_per_second == pytest.approx(2 * 2 * config.steps_per_round / 2, rel=0.05)
    assert progress.seconds_left == pytest.approx(config.rounds - 3, rel=0.05)


def test_a_run_is_not_resumed_on_other_demonstrations(tmp_path):
    config = credo.preset("fast")
    run_folder.create(tmp_path / "run", config, {"sha256": "a" * 64, "source": "mine.npz"}, "test")
    with (
        pytest.raises(CredoError, match=r"not what .* was trained on \(aaaaaaaaaaaa \(mine.npz\), not bbbbbbbbbbbb"),
        run_folder.opened(tmp_path / "run", config, {"sha256": "b" * 64, "source": "mine.npz"}, "test", resumed=True),
    ):
        pass


def test_plug_ins_of_installed_packages_are_found_where_they_are_needed(tmp_path, monkeypatch, forgotten_plugins):
    (tmp_path / "afar.py").write_text(
        "import credo\n\n"
        "@credo.register_reward('from-afar', bounds=(-99, 99), inverse=float)\n"
        "def reward(logit):\n"
        "    return logit\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    asked = []

    def entry_points(**chosen):
        if chosen != {"group": plugins.GROUP}:
            return others(**chosen)
        asked.append(plugins.GROUP)
        return [SimpleNamespace(value="afar")]

    others = metadata.entry_points
    monkeypatch.setattr(metadata, "entry_points", entry_points)
    config = dataclasses.replace(credo.preset("fast"), reward="from-afar")
    with pytest.raises(CredoError, match="demonstrations: 'none' is neither"):
        api.prepare(dataclasses.replace(config, reward="cr", demonstrations="none"))
    assert asked == [], "nothing is missing"
    with pytest.raises(CredoError, match="demonstrations: 'none' is neither"):
        api.prepare(dataclasses.replace(config, demonstrations="none"))
    assert len(asked) == 1
    run_folder.create(tmp_path / "run", config, {}, "test")
    REGISTERED["reward"].clear()
    monkeypatch.delitem(sys.modules, "afar")
    with pytest.raises(CredoError, match="has no evaluated policy of seed 0 yet"):
        credo.Run(tmp_path / "run").reward(0)
    assert len(asked) == 2
    monkeypatch.delitem(sys.modules, "afar")
