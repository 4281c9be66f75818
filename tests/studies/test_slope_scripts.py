"""What the scripts say of the reward's size, of the pull on saturated actors and of 25,000 steps."""

import csv
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import script_modules

from credo.demonstrations import from_episodes, save_demonstrations
from credo.environments import rollout_episodes
from credo.studies.study import load_study

NAMES = ("critics_pull", "slope_table", "bed_table", "early_tables", "kept_files", "keep_study", "keep_results")
STUDY = """
[study]
name = "tiny"
seeds = 3

[base]
environment = "Pendulum-v1"
demonstrations = "DEMOS"
learner = "td3"
steps = 256
random_steps = 256
learning_starts = 0
steps_per_round = 64
updates_per_round = 16
evaluation_episodes = 1
td3.hidden = [8]
td3.batch_size = 16
discriminator.hidden = [8]
discriminator.updates_per_round = 2

[axes.method]
off = { credo = "off" }
louder = { credo = "off", discriminator.reward_factor = 50.0 }
costly = { credo = "off", discriminator.action_cost = 1e4 }
"""


@pytest.fixture
def scripts(monkeypatch):
    yield from script_modules.loaded(monkeypatch, *NAMES)


def test_the_pull_of_known_values(scripts):
    pull = scripts["critics_pull"].pull
    action = jnp.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    state = jnp.array([0.0, 3.0, 6.0])
    # A hill at 0: every component is pulled inwards, with slope 2 in each.
    inwards, contrast = pull(lambda a: state - jnp.sum(a * a, axis=-1), action)
    assert float(inwards) == 1.0
    assert float(contrast) == pytest.approx(2 * np.sqrt(2) / np.std([0.0, 3.0, 6.0]), rel=1e-6)
    # Upwards in the first component, nothing in the second: inwards where the first is -1, one of six.
    inwards, _ = pull(lambda a: state + a[..., 0], action)
    assert float(inwards) == pytest.approx(1 / 6)


def test_the_pull_is_looked_at_in_runs_of_so_many_steps(scripts, tmp_path, monkeypatch, capsys):
    episodes = rollout_episodes("Pendulum-v1", lambda observation: np.zeros((len(observation), 1)), 2, seed=0)
    demonstrations = tmp_path / "demos.safetensors"
    save_demonstrations(demonstrations, from_episodes(episodes, environment="Pendulum-v1", source="test"))
    study = tmp_path / "tiny.toml"
    study.write_text(STUDY.replace("DEMOS", str(demonstrations)))
    module = scripts["critics_pull"]

    def called(*words):
        monkeypatch.setattr(sys, "argv", ["critics_pull", str(study), *words, "--store", str(tmp_path / "runs")])
        monkeypatch.setattr(module, "find_study", lambda name: Path(name))
        module.main()

    called("--only", "*", "--at", "128", "--seeds", "1", "3", "--out", str(tmp_path))
    (written_to,) = tmp_path.glob("*-pull-128.csv")
    with open(written_to, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["seed"]) for row in rows] == [
        ("off", "1"),
        ("off", "2"),
        ("louder", "1"),
        ("louder", "2"),
        ("costly", "1"),
        ("costly", "2"),
    ]
    for row in rows:
        assert all(0 <= float(row[name]) <= 1 for name in scripts["critics_pull"].COLUMNS[:4])
        assert float(row["critic_contrast"]) > 0
        assert float(row["discriminator_contrast"]) > 0
    off, louder = rows[0], rows[2]
    assert off["critic_contrast"] != louder["critic_contrast"]
    assert off["reward_inwards"] == off["discriminator_inwards"], "the reward rises with the logit"
    costly = [row["reward_inwards"] for row in rows if row["method"] == "costly"]
    assert costly == ["1", "1"], "a cost that outweighs everything else"
    assert load_study(study).cells[0].config.seeds == 3
    for words, told in (
        (("--only", "none", "--at", "128"), "it has off, louder, costly"),
        (("--only", "off", "--at", "100"), "a multiple of 64 below 256"),
    ):
        with pytest.raises(SystemExit):
            called(*words)
        assert told in capsys.readouterr().err


def made_up(folder, study, stuck, seeds, columns):
    """A study's files: of each method so many seeds from 11 on are stuck at the end. Seed 10 must be left out."""
    ends, windows, pulls = [], [], []
    for method, count in stuck.items():
        for seed in range(10, seeds + 11):
            place = {"method": method, "environment": "Hopper-v5", "seed": seed}
            ends.append(place | {"verdict": "weak", "inactive": 0, "expert_return": 100.0, "steps": 2_560})
            for step in (768, 2_560):
                saturated = 0.99 if step == 2_560 and seed - 11 < count else 0.98
                measured = {"action_saturation": saturated, "q_action_slope": 2, "actor_preactivation": 3}
                windows.append(place | {"step": step} | measured)
            pulls.append(place | dict.fromkeys(columns, 0.25 if seed > 10 else 0.9))
    for kind, rows in (("seeds", ends), ("rounds", windows), ("pull-768", pulls)):
        script_modules.write(folder / f"{study}-{kind}.csv", rows)


def test_a_seed_is_stuck_by_its_actions_alone(scripts, tmp_path):
    module = scripts["slope_table"]
    stuck = {"off": 4, "louder": 4, "filter": 1, "quieter": 0}
    made_up(tmp_path, module.STUDY, stuck, 4, scripts["critics_pull"].COLUMNS)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in module.table(tmp_path)[2:]]
    assert [line[1] for line in lines] == ["4 of 4", "4 of 4", "1 of 4", "0 of 4"]
    assert [line[5] for line in lines] == ["", "1", "", "1"]
    assert lines[0][7] == "0.25"


def test_the_direction_of_the_pull_has_two_tests_with_holms_correction(scripts, tmp_path):
    module = scripts["slope_table"]
    stuck = dict.fromkeys(module.DIRECTIONS, 5) | {"off": 10, "inwards-0.3": 1, "filter": 2, "outwards-0.3": 9}
    made_up(tmp_path, module.DIRECTION, stuck, 10, scripts["critics_pull"].COLUMNS)
    lines = {
        cells[0].strip(): [cell.strip() for cell in cells[1:]]
        for cells in (line.strip("|").split("|") for line in module.direction(tmp_path)[2:])
    }
    assert lines["CREDO off"] == ["10 of 10", "0 of 10", "0 of 10", "", "3.0", "0.25", "0.25", "2.00"]
    # Fisher by hand, 10 and 1 of 10: the two tables as far out, 2 C(10, 1) / C(20, 11) = 1.2e-4; 2 and
    # 9, 2 (C(10, 2) C(10, 9) + C(10, 1) C(10, 10)) / C(20, 11) = 0.0055. The smaller of two tests counts twice.
    assert lines["off, cost 0.3"][3] == "0.00012 / 0.00024"
    assert lines["`filter`, cost -0.3"][3] == "0.0055 / 0.0055"
    assert "/" not in lines["off, cost 1"][3]


def test_who_came_back_within_25_000_steps(scripts, tmp_path):
    module = scripts["bed_table"]
    place = {"method": "td3 plain", "environment": "hopper"}
    ends = (("dead", 128, 1, 3.0), ("weak", "", 0, 30.0), ("failed", 2_560, 0, 5.0), ("healthy", "", 0, 80.0))
    seeds = [
        place
        | {"seed": seed, "verdict": kind, "step": step, "inactive": inactive, "steps": 24_960}
        | {"last_return": last, "best_return": last + 10, "expert_return": 100.0}
        for seed, (kind, step, inactive, last) in enumerate(ends)
    ]
    early = ((1.0, 1e-5), (0.99, 0.01), (0.99, 0.02), (0.5, 1e-10))
    windows = [
        place | {"seed": seed, "step": 2_048, "action_saturation": share, "actor_gradient_max": gradient}
        for seed, (share, gradient) in enumerate(early)
    ]
    script_modules.write(tmp_path / "stability-bed-seeds.csv", seeds)
    script_modules.write(tmp_path / "stability-bed-rounds.csv", windows)
    (line,) = module.table(tmp_path)[2:]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "TD3, Hopper-v5",
        "24,960",
        "1 of 4",
        "128",
        "1 of 4",
        "3 of 4",
        "1 of 3",
        "0.17 (0.03 to 0.80)",
        "0.28 (0.90)",
    ]
