"""The command line as a user meets it: help without JAX, one line and status 2 for wrong input, a whole small run."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cli.refusals import failure
from credo import api, run_folder, run_rows
from credo.cli import COMMANDS, main
from credo.cli.demos import GenerateOptions
from credo.demonstrations import generate_demonstrations, load_demonstrations, save_demonstrations
from credo.demonstrations.generate import ACTION_NOISE
from credo.environments.probes import PointMass
from credo.experts import expert_names
from credo.files import read_json
from credo.presets import PRESETS

ENVIRONMENT = "credo.environments.probes:PointMass"


def small(demonstrations, out, *extra):
    widths = [f"--{part}.hidden=8" for part in ("td3", "discriminator")]
    words = f"imitate --env my_task:MyPoint-v0 --demos {demonstrations} --out {out} --learning-starts 64".split()
    rest = [
        "--random-steps",
        "64",
        "--evaluation-interval",
        "128",
        "--evaluation-episodes",
        "2",
        "--updates-per-round",
        "4",
    ]
    return [*words, *rest, "--discriminator.updates-per-round", "2", *widths, *extra]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert f"credo {name}" in capsys.readouterr().out


def test_help_and_usage_errors_do_not_import_jax():
    script = (
        "import sys\nfrom credo.cli import main\n"
        "for words in (['--help'], ['demos', '--help'], ['experts'], ['imitate', '--help'], ['presets'],\n"
        "              ['imitate', '--reward', 'foo']):\n"
        "    try:\n        main(words)\n    except SystemExit:\n        pass\n"
        "assert 'jax' not in sys.modules, 'JAX was imported'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_demonstrations_of_another_size_are_refused(demonstrations, tmp_path, capsys):
    words = f"imitate --env Pendulum-v1 --demos {demonstrations} --out {tmp_path / 'run'}".split()
    line = failure(words, capsys)
    assert "observation" in line
    assert not (tmp_path / "run").exists()


def test_a_whole_run_from_the_command_line(demonstrations, local_environment, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(local_environment)
    out = tmp_path / "run"
    words = small(demonstrations, out, "--seeds", "2", "--steps", "256")
    main(words)
    printed = capsys.readouterr().out
    assert str(out) in printed.replace("\n", "")
    for name in ("config.json", "summary.json", "DONE", "curves.png", "curves.html"):
        assert (out / name).is_file(), name
    metrics = run_rows.read_parts(out, run_folder.METRICS)
    assert len(metrics["seed"]) == 2 * 4
    assert np.isfinite(metrics["actor_gradient_max"]).all()
    for seed in (0, 1):
        assert run_folder.policy_path(out, seed, "best").is_file()
        assert run_folder.policy_path(out, seed, "last").is_file()

    before = (out / "config.json").read_bytes()
    line = failure([*words, "--threshold", "3"], capsys)
    assert "another run" in line
    assert "threshold" in line
    assert (out / "config.json").read_bytes() == before

    main(small(demonstrations, out, "--seeds", "2", "--steps", "384"))
    assert len(run_rows.read_parts(out, run_folder.METRICS)["seed"]) == 2 * 6

    # By the folder alone, but for what would import code.
    assert "give --env my_task:MyPoint-v0" in failure(["resume", str(out), "--steps", "512"], capsys)
    assert "is of my_task:MyPoint-v0" in failure(["resume", str(out), "--env", "Hopper-v5"], capsys)
    main(["resume", str(out), "--steps", "512", "--env", "my_task:MyPoint-v0"])
    stored = read_json(out / "config.json")
    assert "resume" not in stored["command"]
    assert stored["resumed"]
    assert len(run_rows.read_parts(out, run_folder.METRICS)["seed"]) == 2 * 8

    capsys.readouterr()
    main(["list", str(tmp_path)])
    assert "my_task:MyPoint-v0" in capsys.readouterr().out.replace("\n", "")
    # A module named by a file is not imported unless the user names it too.
    assert "give --env" in failure(["evaluate", str(out), "--episodes", "2"], capsys)
    stored = read_json(out / "config.json")
    for expert_return in (1200.0, -1200.0):  # a share of a negative return would call a worse policy better
        stored["demonstrations"]["return_mean"] = expert_return
        run_folder.write_json(out / "config.json", stored)
        main(["evaluate", str(out), "--episodes", "2", "--env", "my_task:MyPoint-v0", "--policy", "last"])
        printed = capsys.readouterr().out
        assert "seed 1" in printed
        assert f"the expert's mean return is {expert_return:,.1f}" in printed
        assert "evaluating seed 1\n" in printed
        (row,) = [line.split("│") for line in printed.splitlines() if "seed 1 │" in line]
        # The task tells whether it was solved, in a column of its own.
        shares = [cell.strip() for cell in row if "%" in cell]
        assert shares[0] == "0%"
        assert len(shares) == 1 + (expert_return > 0)
        assert ("of expert" in printed) == (expert_return > 0)

    # Seeds of an earlier command are played too, and one without a policy does not keep the others from it.
    words = ["evaluate", str(out), "--episodes", "1", "--env", "my_task:MyPoint-v0", "--policy", "last"]
    stored["config"]["first_seed"] = stored["config"]["first_seed"] + 1
    run_folder.write_json(out / "config.json", stored)
    main(words)
    assert "seed 0" in capsys.readouterr().out
    (out / "policies" / "seed-1" / "last.safetensors").unlink()
    main(words)
    printed = capsys.readouterr().out
    assert "note: seed 1 has no last policy" in printed
    assert "seed 0" in printed
    assert "has no last policy of seed 1" in failure([*words, "--seed", "1"], capsys)


def test_a_folder_with_something_else_is_left_alone(demonstrations, local_environment, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(local_environment)
    (tmp_path / "notes.txt").write_text("mine")
    line = failure(small(demonstrations, tmp_path, "--steps", "64"), capsys)
    assert "not a run" in line
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_replay_that_cannot_fit_is_refused_before_training(
    demonstrations, local_environment, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(local_environment)
    monkeypatch.setattr("credo.training.checks.available_memory", lambda: 500_000)
    line = failure(small(demonstrations, tmp_path / "run", "--steps", "6400", "--seeds", "3"), capsys)
    assert "replay_capacity" in line
    assert "3 seeds x" in line
    assert not (tmp_path / "run").exists()


def test_an_interrupt_keeps_everything_and_the_same_command_goes_on(demonstrations, local_environment, tmp_path):
    out = tmp_path / "run"
    words = [
        sys.executable,
        "-m",
        "credo",
        *small(demonstrations, out, "--steps", "64000000", "--replay-capacity", "1000"),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(run_folder.__file__).parents[1])])}
    process = subprocess.Popen(
        words, cwd=local_environment, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 120
    while not list((out / run_folder.EVALUATIONS).glob("*.parquet")):
        assert process.poll() is None, "training ended"
        assert time.monotonic() < deadline, "training did not begin"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "goes on from here" in printed
    assert "Traceback" not in printed
    assert run_folder.read_summary(out)["state"] == "interrupted"
    assert list((out / run_folder.CHECKPOINTS).glob("round-*"))
    assert not (out / run_folder.DONE).exists()


def test_demonstrations_are_generated_with_the_librarys_own_noise():
    assert GenerateOptions("hopper-expert", Path("out.npz")).noise == ACTION_NOISE


def test_demonstrations_are_converted_merged_split_and_thinned(demonstrations, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    given = load_demonstrations(demonstrations)
    for words in (
        ["convert", demonstrations, tmp_path / "a.npz"],
        ["convert", tmp_path / "a.npz", "minari:bb-v0"],
        ["merge", "minari:bb-v0", "minari:bb-v0", "--out", tmp_path / "c.safetensors"],
        ["split", tmp_path / "c.safetensors", tmp_path / "d.npz", tmp_path / "e.npz", "--fraction", "0.5"],
        ["subsample", tmp_path / "c.safetensors", tmp_path / "f.npz", "--every", "10"],
        ["subsample", tmp_path / "c.safetensors", tmp_path / "g.npz", "--episodes", "1"],
        ["inspect", tmp_path / "f.npz", "--picture", tmp_path / "f.svg"],
    ):
        main(["demos", *map(str, words)])
    assert "do not say their action box" in capsys.readouterr().out
    parts = {name: load_demonstrations(tmp_path / f"{name}.npz") for name in "adefg"}
    np.testing.assert_array_equal(parts["a"].observation, given.observation)
    np.testing.assert_array_equal(parts["a"].action, given.action)
    assert parts["d"].episodes + parts["e"].episodes == 2 * given.episodes
    assert parts["f"].lengths.tolist() == given.lengths.tolist() * 2
    assert len(parts["f"]) < len(given) / 2
    assert parts["g"].episodes == 1
    assert (tmp_path / "f.svg").is_file()
    before = (tmp_path / "a.npz").read_bytes()
    assert "exists" in failure(["demos", "convert", str(demonstrations), str(tmp_path / "a.npz")], capsys)
    assert (tmp_path / "a.npz").read_bytes() == before


def test_a_named_environment_gives_its_action_box_to_files_that_do_not_say_one(tmp_path, capsys):
    """Their actions are in [-1, 1] already, and are not scaled again."""
    d = generate_demonstrations("Pendulum-v1", lambda observation: observation[:, :1], episodes=2)
    save_demonstrations(tmp_path / "known.safetensors", d)
    boxless = dataclasses.replace(d, action_bounds=None)
    save_demonstrations(tmp_path / "boxless.safetensors", boxless)
    files = [str(tmp_path / f"{name}.safetensors") for name in ("boxless", "known")]
    told = failure(["demos", "merge", *files, "--out", str(tmp_path / "both.safetensors")], capsys)
    assert f"part 0 ({boxless.source}) does not say its action box" in told
    named = ["--env", "Pendulum-v1"]
    main(["demos", "merge", *files, "--out", str(tmp_path / "both.safetensors"), *named])
    main(["demos", "convert", files[0], str(tmp_path / "converted.npz"), *named])
    main(["demos", "inspect", files[0], *named])
    printed = capsys.readouterr().out
    assert "do not say their action box" not in printed
    assert boxless.sha256[:40] in printed  # of the file as it is
    assert "-2 to 2" in printed
    both = load_demonstrations(tmp_path / "both.safetensors")
    for found in (both.select_episodes([0, 1]), load_demonstrations(tmp_path / "converted.npz")):
        np.testing.assert_array_equal(found.action_bounds, [[-2], [2]])
        np.testing.assert_allclose(found.action, d.action, atol=1e-6)


def test_the_list_of_experts_has_whole_names_in_eighty_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    main(["experts"])
    lines = capsys.readouterr().out.splitlines()
    assert set(expert_names()) == {line.split()[0] for line in lines[1:-1] if not line.startswith(" ")}
    assert all(len(line) <= 80 and "…" not in line for line in lines)


def test_experts_from_elsewhere_are_rolled_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_expert.py").write_text("def act(observation):\n    return 0.5 + 0 * observation[:, :1]\n")
    fixture = Path(__file__).parents[1] / "demonstrations" / "fixtures" / "sac.zip"
    for expert, name in (("own_expert:act", "a"), (str(fixture), "b")):
        main(f"demos generate --expert {expert} --env Pendulum-v1 --episodes 1 --noise 0 --out {name}.npz".split())
    (tmp_path / "torques.py").write_text("def act(observation):\n    return 1.9 + 0 * observation[:, :1]\n")
    words = "demos generate --expert torques:act --env Pendulum-v1 --episodes 1 --out c.npz"
    assert "the policy's action is 1.9 in dimension 0; [-1, 1] is expected" in failure(words.split(), capsys)
    assert not Path("c.npz").exists()
    assert np.all(load_demonstrations(tmp_path / "a.npz").action == 0.5)
    assert load_demonstrations(tmp_path / "b.npz").lengths.tolist() == [200]


def test_presets_stand_side_by_side_with_whole_names(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    main(["presets"])
    printed = capsys.readouterr().out
    for name in PRESETS:
        assert f" {name} " in printed
    assert "discriminator.updates_per_round" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_one_preset_is_printed_whole(capsys):
    main(["presets", "fast"])
    printed = capsys.readouterr().out
    for setting in ("environment ", "discriminator.gradient_penalty ", "learner.actor_delay "):
        assert setting in printed


def test_an_expert_may_start_from_any_preset(monkeypatch):
    """The preset's learner and settings, on the environment's reward."""
    from credo.cli import train
    from credo.presets import EXPERT, preset

    begun = []
    monkeypatch.setattr(train, "_train", lambda options, default: begun.append((options.config, default)))
    main(["expert"])
    main(["expert", "--preset", "robust", "--learner", "td3", "--td3.batch-size", "7"])
    main(["expert", "--preset=paper-ddpg"])
    (plain, _), (robust, default), (paper, _) = begun
    assert plain == EXPERT
    settings = dataclasses.replace(preset("robust").td3, batch_size=7)
    assert robust == dataclasses.replace(default, td3=settings)
    assert (robust.reward, robust.demonstrations, robust.td3.layer_norm) == ("environment", "", "critic")
    assert (paper.learner, paper.reward, paper.ddpg) == ("ddpg", "environment", preset("paper-ddpg").ddpg)


def test_settings_of_a_learner_that_is_not_used_are_named():
    from credo.config import other_learners_settings
    from credo.presets import preset

    paper = preset("paper")
    assert other_learners_settings(paper, paper) is None
    given = dataclasses.replace(paper, learner="sac", td3=dataclasses.replace(paper.td3, hidden=(7,), actor_delay=1))
    assert other_learners_settings(given, paper) == "td3.hidden, td3.actor_delay: not used with learner sac"
    assert other_learners_settings(dataclasses.replace(given, learner="td3"), paper) is None
    cloned = dataclasses.replace(paper, warm_start="bc", bc=dataclasses.replace(paper.bc, epochs=3))
    assert other_learners_settings(cloned, paper) is None


def test_a_policy_that_does_not_fit_and_a_simulator_that_fails_are_one_line(tmp_path, monkeypatch, capsys):
    line = failure(["evaluate", "hopper-expert", "--env", "Pendulum-v1"], capsys)
    assert "observation has 11 dimensions, but Pendulum-v1 has 3" in line
    (tmp_path / "failing.py").write_text(
        "import gymnasium\n"
        "from credo.environments.probes import PointMass\n"
        "class Failing(PointMass):\n"
        "    def step(self, action):\n"
        "        raise RuntimeError('motor off')\n"
        "gymnasium.register(id='Failing-v0', entry_point=Failing, max_episode_steps=5)\n"
    )
    (tmp_path / "wrong.py").write_text("def act(:\n")
    monkeypatch.chdir(tmp_path)
    run = api.imitate(
        environment=PointMass,
        reward="environment",
        steps=64,
        random_steps=64,
        learning_starts=64,
        seeds=1,
        evaluation_episodes=1,
        td3={"hidden": (8,)},
        out=tmp_path / "run",
    )
    assert "motor off" in failure(["evaluate", str(run.folder), "--env", "failing:Failing-v0"], capsys)
    words = ["demos", "generate", "--expert", "wrong:act", "--env", "Pendulum-v1", "--out", "a.npz"]
    assert "cannot be imported" in failure(words, capsys)
    assert "cannot be imported" in failure(["imitate", "--plugin", "wrong"], capsys)


def test_nothing_is_divided_into_one_file(demonstrations, tmp_path, capsys):
    (tmp_path / "a.npz").write_text("kept")
    words = ["demos", "split", str(demonstrations), str(tmp_path / "a.npz"), str(tmp_path / "." / "a.npz")]
    assert "given twice" in failure([*words, "--overwrite"], capsys)
    assert (tmp_path / "a.npz").read_text() == "kept"


def test_the_last_preset_given_counts():
    from credo.cli.train import _preset_name

    assert _preset_name(["--preset", "fast", "--seeds", "1", "--preset=paper"]) == "paper"


def test_dict_environments_are_named_with_the_entries_that_are_shown(tmp_path, monkeypatch, capsys):
    (tmp_path / "dict_task.py").write_text(
        "import gymnasium, numpy as np\n"
        "Box = gymnasium.spaces.Box\n"
        "class Task(gymnasium.Env):\n"
        "    picture = Box(0, 255, (4, 4), np.uint8)\n"
        "    observation_space = gymnasium.spaces.Dict(a=Box(-9, 9, (2,)), b=Box(-9, 9, (1,)), c=picture)\n"
        "    action_space = Box(-2, 2, (1,))\n"
        "    def seen(self):\n"
        "        return {'a': np.float32([1, 2]), 'b': np.float32([3]), 'c': np.zeros((4, 4), np.uint8)}\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        return self.seen(), {}\n"
        "    def step(self, action):\n"
        "        return self.seen(), 0.0, False, False, {}\n"
        "def act(observation):\n"
        "    return 0.25 * np.ones((len(observation), 1))\n"
        "gymnasium.register(id='Dict-v0', entry_point=Task, max_episode_steps=5)\n"
    )
    monkeypatch.chdir(tmp_path)
    there = ["--env", "dict_task:Dict-v0", "--observation-keys", "b", "a"]
    words = ["demos", "generate", "--expert", "dict_task:act", *there, "--noise", "0", "--episodes", "2"]
    main([*words, "--out", "d.safetensors"])
    data = load_demonstrations("d.safetensors")
    assert data.observation[0].tolist() == [3, 1, 2]
    np.testing.assert_allclose(data.action, 0.25)
    main(["demos", "convert", "d.safetensors", "d.npz", *there])
    assert load_demonstrations("d.npz").lengths.tolist() == [5, 5]
