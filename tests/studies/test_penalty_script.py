"""The table of docs/stability/longer.md on the penalty alone, given time."""

import itertools
import json

import numpy as np
import pytest
import script_modules

SEED = ("method", "environment", "seed", "verdict", "step", "inactive", "steps", "best_return", "kept_return")


@pytest.fixture
def table(monkeypatch):
    for modules in script_modules.loaded(monkeypatch, "penalty_table"):
        yield modules["penalty_table"]


def test_exchanges_are_counted_by_hand(table):
    # Of the 20 ways to choose 3 of 6 two differ as much: the one seen and its mirror image.
    assert table.exchanged([1, 2, 3], [4, 5, 6]) == 2 / 20
    assert table.exchanged([0.0] * 4, [0.0] * 4) == 1
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=4), generator.normal(1, 1, size=5)
    together = np.concatenate([first, second])
    seen, as_far = abs(first.mean() - second.mean()), 0
    every = list(itertools.combinations(range(9), 4))
    for chosen in every:
        rest = [index for index in range(9) if index not in chosen]
        as_far += abs(together[list(chosen)].mean() - together[rest].mean()) >= seen - 1e-12
    assert table.exchanged(first, second) == as_far / len(every)


def kept(folder, study, curves):
    """Files as keep_study.py writes them: an expert at 100, a seed a curve; those that end at 1 are dead. Cells are
    methods on Hopper, or (method, environment)."""
    seeds, evaluations, rounds = [], [], []
    curves = {cell if isinstance(cell, tuple) else (cell, "hopper"): mine for cell, mine in curves.items()}
    for (method, environment), mine in curves.items():
        for number, returns in enumerate(mine):
            place = {"method": method, "environment": environment, "seed": number}
            told = (("dead", 128, 1) if returns[-1] == 1 else ("weak", "", 0)) + (500, max(returns), returns[-1])
            seeds.append(place | dict(zip(SEED[3:], told, strict=True)) | {"expert_return": 100})
            evaluations += [place | {"step": 100 * (n + 1), "return": value} for n, value in enumerate(returns)]
            # A reward of 1 at a discount of 0: the reference is 1, and the mean Q twice as much.
            told = {"reward_mean": 1.0, "q_mean": 2.0, "actor_gradient_max": 1.0}
            rounds += [place | {"step": step} | told for step in (100, 200, 300, 400, 500)]
    for kind, rows in (("seeds", seeds), ("evaluations", evaluations), ("rounds", rounds)):
        script_modules.write(folder / f"{study}-{kind}.csv", rows)
    settings = {"learner": "td3", "steps_per_round": 100, "updates_per_round": 2, "learning_starts": 0}
    settings |= {"td3": {"discount": 0.0, "target_rate": 0.5, "actor_delay": 2}}
    (folder / f"{study}.json").write_text(
        json.dumps(
            {f"{method.replace(' ', '/')}/{environment}": {"identity": settings} for method, environment in curves}
        )
    )


def cells(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


PENALTY = [(5, 9, 80, 90, 100), (5, 9, 90, 90, 90), (5, 9, 70, 60, 50)]


def test_the_end_is_the_mean_of_three_evaluations_and_what_is_tested_is_corrected(table, tmp_path):
    """Nothing changed: two of three dead at 1; the penalty: all alive and near the expert."""
    plain = [(9, 95, 1, 1, 1), (0, 1, 1, 1, 1), (10, 20, 30, 30, 60)]
    kept(tmp_path, "stability-penalty-longer", {"plain": plain, "preactivation-penalty": PENALTY})
    nothing, penalty = cells(table.table(tmp_path))
    assert nothing == [
        "nothing",
        "500",
        "2 of 3",
        "0.14 (0.01 to 0.40)",
        "0.60 (0.01 to 0.95)",
        "1 of 3",
        "0 of 3",
        "2.0 (2.0)",
        "",
    ]
    assert penalty[:4] == ["**pre-activation penalty, 0.01**", "500", "0 of 3", "0.80 (0.60 to 0.90)"]
    assert penalty[4:8] == ["0.90 (0.70 to 1.00)", "2 of 3", "2 of 3", "2.0 (2.0)"]
    # Two of three against none, of one table of six: p = 0.4; the ends: the one seen and its mirror image of 20.
    assert penalty[8] == "0.4 / 0.4, 0.1 / 0.2"


def test_each_part_is_tested_against_the_penalty_and_corrected_for_those_that_ran(table, tmp_path):
    better, dead = [(0, 0, 99, 99, 99)] * 3, [(0, 0, 1, 1, 1)] * 3
    kept(tmp_path, "stability-penalty-with", {"cloning": better, "critic-norm": dead})
    kept(tmp_path, "stability-remedies", {"plain": dead, "preactivation-penalty": PENALTY})
    alone, norm, cloning = cells(table.with_a_part(tmp_path))
    assert alone == ["nothing", "500", "0 of 3", "0.80 (0.60 to 0.90)", *alone[4:8], ""]
    assert norm[:4] == ["layer norm in the critics", "500", "3 of 3", "0.01 (0.01 to 0.01)"]
    # No critic is told of where all are dead.
    assert norm[7] == ""
    assert cloning[:4] == ["the cloning loss", "500", "0 of 3", "0.99 (0.99 to 0.99)"]
    # Both differ from the penalty in every seed: 2 of the 20 exchanges, doubled for two parts.
    assert norm[8] == cloning[8] == "0.1 / 0.2"


def test_each_part_left_out_is_tested_against_everything(table, tmp_path):
    """As they are left out, so they stand: the order of the files does not matter."""
    dead = [(0, 0, 1, 1, 1)] * 3
    kept(tmp_path, "stability-penalty-without", {"sooner": dead, "everything": PENALTY, "critic-norm": PENALTY})
    everything, norm, sooner = cells(table.without_a_part(tmp_path))
    assert everything == ["nothing", "500", "0 of 3", "0.80 (0.60 to 0.90)", *everything[4:8], ""]
    assert norm[0] == "layer norm in the critics"
    assert (norm[8], sooner[8]) == ("1 / 1", "0.1 / 0.2")


def test_two_parts_are_tested_in_each_environment_and_corrected_for_all(table, tmp_path):
    """On Walker2d the two sides are the same; what has not run has no row."""
    dead, environments = [(0, 0, 1, 1, 1)] * 3, ("hopper", "walker2d", "halfcheetah")
    kept(tmp_path, "stability-bed", {("td3 plain", name): dead for name in environments})
    better = {("two-parts", "hopper"): PENALTY, ("two-parts", "walker2d"): dead, ("and-normalised", "hopper"): dead}
    kept(tmp_path, "stability-two-parts", {("plain", "hopper"): PENALTY} | better)
    rows = cells(table.two_parts(tmp_path))
    assert [row[0].split(", ")[-1] for row in rows] == ["Hopper-v5"] * 3 + ["Walker2d-v5"] * 2 + ["HalfCheetah-v5"]
    # Nothing changed is the bed's, also where the study has a run of its own.
    assert rows[0][2:4] == ["3 of 3", "0.01 (0.01 to 0.01)"]
    assert rows[0][8] == ""
    assert (rows[1][3], rows[1][8]) == ("0.80 (0.60 to 0.90)", "0.1 / 0.3")
    assert rows[2][8] == rows[4][8] == "1 / 1"
