"""Runs of a script's own, and what they see: inputs with and without a part that is common to all of them."""

import csv
import dataclasses
import sys

import gymnasium
import numpy as np
import pytest
import script_modules
from scipy.stats import fisher_exact

import credo
from credo.demonstrations import from_episodes, save_demonstrations
from credo.environments import make_environment, rollout_episodes
from credo.studies.study import Cell

TINY = {
    "learner": "td3",
    "steps": 128,
    "evaluation_interval": 64,
    "random_steps": 64,
    "learning_starts": 64,
    "updates_per_round": 2,
    "evaluation_episodes": 1,
    "held_out": 0.0,
    "normalise_observations": False,
}


@pytest.fixture
def scripts(monkeypatch):
    yield from script_modules.loaded(monkeypatch, "input_offset", "offset_table", "separate_runs")


@pytest.fixture
def tiny(tmp_path):
    """A cell of a setting, on Pendulum."""
    episodes = rollout_episodes("Pendulum-v1", lambda observation: np.ones((len(observation), 1)), 2, seed=0)
    path = tmp_path / "demos.safetensors"
    save_demonstrations(path, from_episodes(episodes, environment="Pendulum-v1", source="test"))
    config = dataclasses.replace(
        credo.preset("paper-td3"), environment="Pendulum-v1", demonstrations=str(path), seeds=1, **TINY
    )
    config = dataclasses.replace(config, td3=dataclasses.replace(config.td3, hidden=(8,), batch_size=8))
    return lambda setting: Cell(f"{setting}/pendulum", setting, "pendulum", config)


def test_the_common_part_of_known_observations(scripts):
    common_part = scripts["input_offset"].common_part
    assert common_part(np.array([[3.0, 1.0], [3.0, -1.0]])) == pytest.approx(0.9)
    assert common_part(np.array([[1.0, 0.0], [-1.0, 0.0]])) == 0.0
    assert common_part(np.array([[0.0, 2.0], [0.0, 2.0]])) == 1.0


def test_what_is_taken_away_and_divided_by(scripts):
    module = scripts["input_offset"]
    known = module.Known(None, (np.array([1.0, 2.0]), np.array([2.0, 4.0])), np.array([[2.0, 10.0], [4.0, 30.0]]))
    seen = np.array([[5.0, 22.0]])
    wanted = {
        "raw": (5.0, 22.0),
        "divided": (2.5, 5.5),
        "centred": (4.0, 20.0),
        "normalised": (2.0, 5.0),
        "shifted": (1.0, 0.5),
        "own": (2.0, 0.2),
    }
    assert wanted.keys() == module.SETTINGS.keys()
    for setting, values in wanted.items():
        np.testing.assert_allclose(module.change(setting, known)(seen), [values], rtol=1e-6, err_msg=setting)


def test_the_cells_are_those_of_the_bed_on_new_seeds(scripts):
    module = scripts["input_offset"]
    found = module.cells()
    assert len(found) == len({cell.name for cell in found}) == 18
    for cell in found:
        config = cell.config
        assert (config.steps, config.seed_numbers[0], len(config.seed_numbers)) == (2_560, 11, 11)
        assert (config.random_steps, config.discriminator.updates_per_round) == (1_000, 32)
        assert not config.normalise_observations
        assert config.td3.preactivation_penalty == 0


def test_environment_and_demonstrations_are_changed_alike_as_the_option_does(scripts, tiny, tmp_path):
    module = scripts["input_offset"]
    cell = tiny("normalised")
    given = module.given(cell)
    known = module.known_of("Pendulum-v1", cell.config.demonstrations, 0.0)
    mean, std = known.demonstrations.statistics()
    assert known.random.shape == (1_024, 3)
    assert len(np.unique(known.random[:, 0])) > 1_000
    np.testing.assert_allclose(
        given["demonstrations"].observation, (known.demonstrations.observation - mean) / std, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        given["demonstrations"].next_observation,
        (known.demonstrations.next_observation - mean) / std,
        rtol=1e-5,
        atol=1e-6,
    )
    with make_environment(given["environment"]) as made, gymnasium.make("Pendulum-v1") as plain:
        changed, raw = made.reset(seed=3)[0], plain.reset(seed=3)[0]
        assert changed.dtype == np.float32
        np.testing.assert_allclose(changed, (raw - mean) / std, rtol=1e-5, atol=1e-6)
    own = credo.imitate(cell.config, out=tmp_path / "own", **given).metrics()
    config = dataclasses.replace(cell.config, normalise_observations=True)
    option = credo.imitate(config, out=tmp_path / "option").metrics()
    for name in ("reward_mean", "actor_preactivation", "critic_gradient_max"):
        np.testing.assert_allclose(own[name], option[name], rtol=1e-3)
        assert np.isfinite(own[name][-1])


def test_a_run_that_has_ended_is_not_run_again(scripts, tiny, tmp_path, monkeypatch, capsys):
    module = scripts["input_offset"]
    monkeypatch.setattr(module, "cells", lambda: [tiny("raw"), tiny("own")])

    def called(*words):
        places = ("--store", str(tmp_path / "runs"), "--out", str(tmp_path / "out"))
        monkeypatch.setattr(sys, "argv", ["input_offset", *places, *words])
        module.main()

    with pytest.raises(SystemExit):
        called("--keep")
    assert "no run has ended under" in capsys.readouterr().err
    called("--only", "own/*")
    monkeypatch.setattr(credo, "imitate", lambda *_, **__: pytest.fail("trained again"))
    called("--only", "own/*")
    called("--keep")
    with open(tmp_path / "out" / "stability-input-offset-seeds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["environment"], row["steps"]) for row in rows] == [("own", "pendulum", "128")]
    with open(tmp_path / "out" / "stability-input-offset-inputs.csv", newline="") as file:
        shares = {row["method"]: float(row["common_part"]) for row in csv.DictReader(file)}
    assert shares["own"] == 0.0
    assert 0 < shares["raw"] < 1


def test_normalised_observations_are_tested_against_three_with_holms_correction(scripts, tmp_path):
    module = scripts["offset_table"]
    counts = {"raw": 1, "divided": 5, "centred": 2, "normalised": 6, "shifted": 0, "own": 6}
    seeds, shares = [], []
    for method, count in counts.items():
        for environment in ("hopper", "walker2d", "halfcheetah"):
            here = count if environment == "hopper" else 0
            for seed in range(11, 22):
                told = {"verdict": "dead" if seed == 11 else "weak", "inactive": int(seed - 11 < here)}
                place = {"method": method, "environment": environment, "seed": seed}
                seeds.append(place | told | {"expert_return": 100.0})
            # On Hopper in the order of the counts, two of which are tied; elsewhere nothing follows anything.
            share = {"raw": 0.2, "divided": 0.4, "centred": 0.3, "normalised": 0.5, "shifted": 0.1, "own": 0.6}
            shares.append({"method": method, "environment": environment, "common_part": share[method]})
    script_modules.write(tmp_path / "stability-input-offset-seeds.csv", seeds)
    script_modules.write(tmp_path / "stability-input-offset-inputs.csv", shares)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in module.table(tmp_path)[2:]]
    told = {line[0]: line[1:] for line in lines}
    # Of one stratum alone there is anything to tell, so the stratified test is Fisher's there.
    against = {
        other: fisher_exact([[6, 5], [counts[other], 11 - counts[other]]]).pvalue for other in ("shifted", "raw")
    }
    assert told["(x − m′) / s"] == ["0.10", "0 of 11"] * 3 + [
        "0 of 33",
        "3 of 33",
        f"{against['shifted']:.2g} / {3 * against['shifted']:.2g}",
    ]
    assert told["x, as they are"][-1] == f"{against['raw']:.2g} / {2 * against['raw']:.2g}"
    assert told["(x − m′) / s′"][-1] == "1 / 1"
    assert told["(x − m) / s, normalised observations"][-3:] == ["6 of 33", "3 of 33", ""]
    assert told["x / s"][1] == "5 of 11"
    # By hand: ranks 2 4 3 5 1 6 and 2 4 3 5.5 1 5.5, 17 / sqrt(17.5 * 17).
    assert told["rank correlation of the two"][:6] == ["", "0.99", "", "-", "", "-"]
