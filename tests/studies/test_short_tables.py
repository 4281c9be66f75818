"""The tables of docs/stability.md itself: sums over environments of what the pages hold cell by cell."""

import csv
import json

import pytest
import script_modules

SEEDS = ("method", "environment", "seed", "verdict", "inactive", "steps", "last_return", "expert_return")
ROUNDS = ("method", "environment", "seed", "step", "reward_mean", "q_mean", "actor_gradient_max")


@pytest.fixture
def tables(monkeypatch):
    for modules in script_modules.loaded(monkeypatch, "short_tables"):
        yield modules["short_tables"]


def write(path, names, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(dict(zip(names, row, strict=True)) for row in rows)


def told(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_learner_is_counted_over_the_environments_that_were_run(tables, tmp_path):
    early = [
        ("td3 plain", name, seed, "dead", int(seed < 2), 2560, 1, 100) for name in tables.SHORT for seed in range(3)
    ]
    early += [("td3 preactivation-penalty", "hopper", seed, "weak", 0, 2560, 1, 100) for seed in range(3)]
    write(tmp_path / "stability-early-learners-seeds.csv", SEEDS, early)
    verdicts = ("dead", "failed", "weak")
    bed = [("td3 plain", "walker2d", seed, verdicts[seed], 0, 25_000, (2, 3, 40)[seed], 100) for seed in range(3)]
    # A seed that has not gone to the end is not counted.
    bed.append(("td3 plain", "walker2d", 3, "dead", 0, 9_000, 2, 100))
    write(tmp_path / "stability-bed-seeds.csv", SEEDS, bed)
    qs = (99, 2, 4, 99)
    rounds = [
        ("td3 plain", "walker2d", seed, step, 0.1, qs[seed], 1.0) for seed in range(4) for step in (64_000, 128_000)
    ]
    write(tmp_path / "stability-bed-rounds.csv", ROUNDS, rounds)
    identity = {"learner": "td3", "steps_per_round": 64, "updates_per_round": 64, "learning_starts": 0}
    identity["td3"] = {"discount": 0.5, "target_rate": 1.0, "actor_delay": 2}
    (tmp_path / "stability-bed.json").write_text(json.dumps({"td3/plain/walker2d": {"identity": identity}}))
    (row,) = told(tables.regime(tmp_path))
    # Due: 0.1 + 0.5 * 0.1 in the first window, 0.2 in the second, 0.175 on average; Q of the living 2 and 4.
    ratio = f"{3 / 0.175:.0f}"
    of = "of 3 (Walker2d)"
    assert row == ["TD3", "6 of 9", "0 of 3", f"1 {of}", f"1 {of}", f"1 {of} (0.40)", f"-, {ratio}, -"]


def test_what_arrives_is_counted_over_environments(tables, tmp_path):
    names = ("hopper", "walker2d")
    seeds = [("td3", name, seed, "healthy", 0, 100_032, 90, 100) for name in names for seed in range(2)]
    seeds += [("bc", "hopper", 0, "healthy", 0, 700, 10, 100)]
    write(tmp_path / "stability-robust-seeds.csv", SEEDS, seeds)
    curves = {("hopper", 0): (95, 50), ("hopper", 1): (10, 91), ("walker2d", 0): (10, 90), ("walker2d", 1): (10, 89)}
    evaluations = [
        ("td3", name, seed, step, value)
        for (name, seed), values in curves.items()
        for step, value in zip((5_000, 10_000), values, strict=True)
    ]
    evaluations += [("bc", "hopper", 0, 700, 10)]
    write(
        tmp_path / "stability-robust-evaluations.csv", ("method", "environment", "seed", "step", "return"), evaluations
    )
    kept = [("td3", name, seed, value) for (name, seed), value in zip(curves, (99, 91, 101, 70), strict=True)]
    kept += [("bc", "hopper", 0, 12)]
    write(tmp_path / "stability-robust-kept.csv", ("method", "environment", "seed", "mean"), kept)
    td3, clone = told(tables.arrives(tmp_path))
    last = "10,000, not yet, -"
    assert td3 == ["TD3", "100,000", "0 of 4", "3 of 4", "0.70 to 1.01", "2 of 4", last]
    assert clone == ["cloning alone", "none", "0 of 1", "0 of 1", "0.12 to 0.12", "0 of 1", ""]


def test_a_run_that_studies_share_is_told_of_in_the_later_one(tables, tmp_path):
    runs = {"a": 600.0, "b": 1_200.0, "c": 60.0}
    cells = {name: {"id": name, "wall_seconds": seconds} for name, seconds in runs.items()}
    (tmp_path / "stability-bed.json").write_text(json.dumps({"x": cells["a"], "y": cells["b"]}))
    (tmp_path / "stability-explosion.json").write_text(json.dumps({"x": cells["b"], "z": cells["c"]}))
    # Those have the settings of the first study's runs, and are none of them.
    (tmp_path / "stability-bed-dead.json").write_text(json.dumps({"x/0": cells["a"], "x/1": cells["a"]}))
    bed, dead, explosion = told(tables.costs(tmp_path))
    assert (bed[0], bed[2:]) == ("`stability-bed`", ["2", "30", ""])
    assert (dead[0], dead[2:]) == ("`stability-bed-dead`", ["2", "20", ""])
    assert (explosion[0], explosion[2:]) == ("`stability-explosion`", ["2", "21", "20"])
