"""What is wrong is told in one line, and nothing is lost."""

import os

import pytest

from cli.refusals import failure
from credo.cli import main
from credo.experts import load_expert
from credo.policies import save_policy


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("imitate --reward foo", ["--reward: 'foo' is not one of plr, ", "(--plugin MODULE imports others)"]),
        ("imitate --learner dqn", ["--learner: 'dqn' is not one of ddpg, td3, ", "(--plugin MODULE imports others)"]),
        (
            "imitate --discriminator.regularisers foo",
            ["regularisers: 'foo' is not one of gradient-", "--plugin MODULE"],
        ),
        ("imitate --execution gpu", ["--execution: 'gpu' is not one of auto, threads, vmap; see credo"]),
        ("imitate --env Foo-v1", ["environment", "Foo-v1"]),
        ("imitate --env CartPole-v1", ["environment", "CartPole-v1", "Discrete"]),
        ("imitate --env no_such_module:Foo-v0", ["environment", "no_such_module"]),
        ("imitate --demos missing.safetensors", ["missing.safetensors"]),
        ("imitate --threshold 0", ["threshold", "0", "above 0"]),
        ("imitate --threshold -2", ["threshold", "-2"]),
        ("imitate --threshold 1.5 --threshold-unit probability", ["threshold", "1.5", "(0, 1)"]),
        ("imitate --steps 3", ["steps", "3", "64"]),
        ("imitate --seeds 0", ["seeds", "0", "1"]),
        ("imitate --seeds many", ["--seeds", "many"]),
        ("imitate --updates-per-round 63", ["updates_per_round", "63", "actor_delay"]),
        ("presets best", ["preset", "best", "fast", "paper"]),
        ("imitate --preset best", ["preset", "best", "fast", "paper"]),
        ("imitate --colour red", ["--colour"]),
        ("expert --reward plr", ["reward", "plr", "imitate"]),
        ("expert --preset paper-td3 --reward plr", ["reward", "plr", "imitate"]),
        ("expert --preset best", ["preset", "best", "fast", "paper"]),
        ("imitat", ["imitat", "imitate"]),
        ("demos", ["demos generate"]),
        ("demos inspect missing", ["missing"]),
        ("demos convert missing.npz a.npz", ["missing.npz", "no such file"]),
        ("demos convert hopper-expert:1 a", ["a", "which format", "minari"]),
        ("demos subsample a.npz b.npz", ["--every"]),
        ("demos generate --expert no_such_module:f --out a.safetensors --env Pendulum-v1", ["no_such_module"]),
        ("demos generate --expert hopper-expert --out a.csv", ["a.csv", ".safetensors", ".npz"]),
        ("imitate --seeds 9 --td3.hidden 200000 200000", ["hidden", "GiB", "--td3.hidden"]),
        ("theory --quick --out /proc/credo", ["out", "/proc/credo", "cannot be made"]),
        ("demos generate --expert no_such_module:f --out a.safetensors", ["--env"]),
        ("experts hoper", ["hoper", "hopper-expert"]),
        ("evaluate missing", ["missing"]),
        ("list missing", ["missing"]),
        ("evaluate . --episodes 0", ["episodes", "0"]),
        ("evaluate hopper-expert --evaluation-seed -1", ["evaluation_seed", "-1", "at least 0"]),
        ("demos split hopper-expert:2 a.npz b.npz --seed -1", ["seed", "-1", "at least 0"]),
        ("demos subsample hopper-expert:2 a.npz --every 3 --seed -1", ["seed", "-1", "at least 0"]),
        ("demos generate --expert hopper-expert --out a.npz --seed -1", ["seed", "-1", "at least 0"]),
        ("demos generate --expert hopper-expert --out a.npz --episodes 0", ["credo: episodes: 0 is not", "at least 1"]),
        ("demos generate --expert hopper-expert --out a.npz --noise nan", ["credo: noise: nan is not", "at least 0"]),
        ("demos generate --expert hopper-expert --out a.npz --processes 0", ["credo: processes: 0 is not"]),
        (
            "demos generate --expert hopper-expert --out a.npz --episodes 1 --transitions 1",
            ["--episodes and --transitions given"],
        ),
        ("demos inspect missing --picture a.jpg", ["picture: a.jpg", ".png or .svg"]),
        ("demos inspect missing --picture nowhere/a.svg", ["picture: nowhere is not a folder"]),
        ("theory --seed -1", ["seed", "-1", "at least 0"]),
        ("report . --interval -1", ["interval", "-1", "above 0"]),
        ("study status threshold-small --stale-after -1", ["stale_after", "-1", "at least 5"]),
        ("imitate --stepss 3", ["--stepss", "did you mean --steps?", "credo imitate --help"]),
        ("imitate --stepss 3 --sedes 4", ["did you mean --steps and --seeds?"]),
        (
            "imitate --evaluation-episode 3 --discriminator.updates-per-roun 3",  # wrapped on 80 columns
            ["did you mean --evaluation-episodes and --discriminator.updates-per-round?"],
        ),
        ("imitate --seed 3", ["did you mean --first-seed?"]),
        ("imitate --total-timesteps 3", ["did you mean --steps?"]),
        ("imitate --gamma 0.9", ["did you mean --td3.discount?"]),
        ("imitate --gamma=0.9 --learner sac", ["did you mean --sac.discount?"]),
        ("imitate --batch-size 7", ["did you mean --td3.batch-size?"]),
        ("imitate --discriminator.lr 7", ["did you mean --discriminator.learning-rate?"]),
        ("evaluate hopper-expert --episods 3", ["--episods", "did you mean --episodes?"]),
        ("imitate --steps 1e5", ["--steps: '1e5' is not possible; a whole number expected;"]),
        ("imitate --threshold high", ["--threshold: 'high' is not possible; a number expected;"]),
        ("evaluate hopper-expert --seed 1e5", ["--seed: '1e5' is not possible; a whole number expected;"]),
        (f"list {'x' * 300}", ["xxx", "File name too long"]),
        (f"evaluate {'x' * 300}", ["xxx", "File name too long"]),
        (f"demos convert hopper-expert:1 {'x' * 300}.npz", ["xxx.npz", "File name too long"]),
    ],
)
def test_wrong_input_is_one_line(words, expected, capsys):
    line = failure(words.split(), capsys)
    for part in expected:
        assert part in line


def test_presets_that_do_not_differ_are_said_not_to(capsys):
    main(["presets", "robust", "robust-td3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "they do not differ"
    assert not any("┃" in line for line in lines)


def test_names_with_brackets_are_told_as_they_are(demonstrations, tmp_path, monkeypatch, capsys):
    """Square brackets are markup to what prints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a[").mkdir()
    for name in ("demo[v2].npz", "a[/b].npz"):
        main(["demos", "convert", str(demonstrations), name])
        assert f"written to {name} (npz)" in capsys.readouterr().out
        assert (tmp_path / name).is_file()
    main(["demos", "inspect", "demo[v2].npz", "--picture", "demo[v2].svg"])
    assert "written to demo[v2].svg" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["pipe", "link", "dangling link"])
def test_what_is_no_regular_file_is_never_replaced(kind, demonstrations, tmp_path, capsys):
    kept = tmp_path / "kept"
    if kind == "link":
        kept.write_text("mine")

    def there(name):
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(kept)
        return path

    given = str(demonstrations)
    save_policy(tmp_path / "policy.safetensors", load_expert("hopper-expert")[0])
    for words, name in (
        (["demos", "convert", given], "a.npz"),
        (["demos", "convert", given], "a.safetensors"),
        (["demos", "convert", given], "b-v0"),
        (["demos", "split", given, str(tmp_path / "free.npz")], "c.npz"),
        (["demos", "generate", "--expert", "hopper-expert", "--episodes", "1", "--out"], "d.npz"),
        (["demos", "inspect", given, "--picture"], "e.svg"),
        (["export", str(tmp_path / "policy.safetensors"), "--format", "numpy", "--out"], "f.safetensors"),
        (["export", str(tmp_path / "policy.safetensors"), "--format", "onnx", "--out"], "g.onnx"),
    ):
        path = there(name)
        before = os.lstat(path).st_ino, os.lstat(path).st_mode
        to = ["--to", "minari"] if name == "b-v0" else []
        line = failure([*words, str(path), "--overwrite", *to], capsys)
        assert str(path) in line
        assert (os.lstat(path).st_ino, os.lstat(path).st_mode) == before
    assert not (tmp_path / "free.npz").exists()
    assert kept.exists() == (kind == "link")
    assert kind != "link" or kept.read_text() == "mine"


@pytest.mark.parametrize("wrong", ["--steps 3", "--env Foo-v1", "--env Hopper-v5,reset_noise_scale=abc"])
def test_nothing_is_said_to_be_read_where_it_need_not_be(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["imitate", *wrong.split()])
    assert "reading" not in capsys.readouterr().out
