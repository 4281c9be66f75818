"""The examples run as they stand, on small budgets where they take one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from credo import experts
from credo.demonstrations import load_demonstrations

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_policy_is_used_without_jax():
    weights = experts.FOLDER / experts.load_card("hopper-expert").weights
    command = [sys.executable, EXAMPLES / "use_policy.py", weights, "Hopper-v5"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    value = float(result.stdout.split("return ")[1].split(";")[0])
    assert value > 3000, result.stdout


def test_point_mass_is_imitated(tmp_path, capsys):
    load("imitate_point_mass").main(tmp_path / "run", steps=3_200)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[:-1]]
    returns = {" ".join(words[:-1]): float(words[-1]) for words in rows}
    middle = (returns["random"] + returns["expert"]) / 2
    for seed in (0, 1):
        assert returns[f"imitator {seed}"] > middle, returns


def test_a_robot_is_imitated_from_keys_and_frames(tmp_path):
    """As a program, since its environment is in a worker process that imports it."""
    result = subprocess.run(
        [sys.executable, EXAMPLES / "robot_arm.py", tmp_path / "run", "1536"],
        capture_output=True,
        text=True,
        check=True,
    )
    returns = {words[0]: float(words[1]) for words in map(str.split, result.stdout.splitlines()[:2])}
    # The arm at rest earns 14, at random 8.
    assert returns["expert"] > 35
    assert returns["imitator"] > 24, result.stdout
    assert "takes 6 numbers" in result.stdout


def test_credo_acts_beside_a_run_without_it(tmp_path):
    module = load("credo_acts")
    module.SEEDS = 1
    module.main(tmp_path, 1280)
    from credo.api import Run

    with_credo, without = (Run(tmp_path / mode).metrics() for mode in ("filter", "off"))
    assert np.nanmax(with_credo["filtered_share"]) > 0.1
    assert np.nanmax(without["filtered_share"]) == 0.0
    assert with_credo["seed"].tolist() == without["seed"].tolist()


def test_own_recordings_become_demonstrations(tmp_path, capsys):
    load("own_demonstrations").main(tmp_path)
    assert "Pendulum-v1" in capsys.readouterr().out
    data = load_demonstrations(tmp_path / "pendulum.safetensors")
    assert data.lengths.tolist() == [200] * 5
    assert data.returns[0] == pytest.approx(data.reward[:200].sum(), rel=1e-5)
    assert data.returns.mean() > -500  # random torques: about -1,200
    assert {path.name for path in tmp_path.iterdir()} == {"recorded.npz", "pendulum.safetensors", "pendulum.png"}


@pytest.mark.usefixtures("forgotten_plugins")
def test_a_reward_and_a_regulariser_of_ones_own(tmp_path, capsys):
    load("own_reward").main(tmp_path / "run", 1088)
    assert "gentle: rewards up to" in capsys.readouterr().out
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert set(kept["identity"]["plugins"]) == {"reward.gentle", "regulariser.centred"}


@pytest.mark.usefixtures("forgotten_plugins")
def test_a_learner_of_ones_own(tmp_path, capsys):
    load("own_learner").main(tmp_path / "run", 1088)
    assert "restless-td3: critic loss" in capsys.readouterr().out
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["identity"]
    assert set(kept["plugins"]) == {"learner.restless-td3"}
    assert kept["restless-td3"]["restlessness"] == 0.2


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_says_how_to_run_it(path):
    assert f"python examples/{path.name}" in path.read_text()
