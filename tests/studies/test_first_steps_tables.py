"""Tables of early_tables.py: one change at a time, and learners with a remedy and without."""

import itertools

import numpy as np
import pytest
import script_modules
from scipy import stats

NAMES = ("method", "environment", "seed", "verdict", "step", "inactive", "expert_return")


@pytest.fixture
def tables(monkeypatch):
    for modules in script_modules.loaded(monkeypatch, "early_tables"):
        yield modules["early_tables"]


def kept(folder, study, cells):
    """Of (method, environment, expert's return) the fates of the seeds from 11 on: the step that each is dead from or
    None, whether it is inactive at the end, and the share of its actions at +-1 there. Seed 10, which is dead, inactive
    and saturated, stands before them, and every seed has an earlier window at 0.5."""
    seeds, rounds = [], []
    for (method, environment, expert), fates in cells.items():
        for index, (dead_from, inactive, saturated) in enumerate([(999, 1, 1.0), *fates]):
            place = (method, environment, 10 + index)
            verdict = ("failed", 640) if dead_from is None else ("dead", dead_from)
            seeds.append(dict(zip(NAMES, (*place, *verdict, inactive, expert), strict=True)))
            for step, share in ((1_024, 0.5), (2_560, saturated)):
                rounds.append(dict(zip((*NAMES[:3], "step", "action_saturation"), (*place, step, share), strict=True)))
    script_modules.write(folder / f"{study}-seeds.csv", seeds)
    script_modules.write(folder / f"{study}-rounds.csv", rounds)


def cells_of(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def fates(inactive, count, *dead_from, saturated=0.25):
    """So many seeds, the first of them inactive, of which the last are dead from these steps."""
    alive = [None] * (count - len(dead_from))
    return [(step, int(index < inactive), saturated) for index, step in enumerate([*alive, *dead_from])]


def fisher(mine, seeds, theirs, others):
    return stats.fisher_exact([[mine, seeds - mine], [theirs, others - theirs]]).pvalue


def test_each_change_is_held_against_nothing_changed_on_the_same_seeds(tables, tmp_path) -> None:
    """A run on the environment's reward has no expert, and so nobody dead. Medians: of 0, 0.1, 0.2 and 1."""
    hopper = "Hopper-v5"
    plain = [(128, 1, 0.0), (1_280, 1, 0.1), (64, 1, 0.2), (128, 1, 1.0)]
    cells = {
        ("credo", hopper, 100): fates(0, 5, 2_000),
        ("environment-reward", hopper, ""): fates(1, 4, 64),
        ("plain", hopper, 100): plain,
        ("cloning", hopper, 100): fates(2, 4, 192, 192, 192),
    }
    kept(tmp_path, "tiny", cells)
    header, _, *rows = cells_of(tables.changes(tmp_path, "tiny", first_seed=11))
    assert header == list(tables.CHANGE_HEADER)
    p = [fisher(0, 5, 4, 4), fisher(1, 4, 4, 4), fisher(2, 4, 4, 4)]
    assert p == sorted(p)
    corrected = [3 * p[0], 2 * p[1], p[2]]
    told = [f"{one:.2g} / {all_of_them:.2g}" for one, all_of_them in zip(p, corrected, strict=True)]
    assert rows == [
        ["CREDO, c = 5", "1 of 5", "0 of 5", "0.25 (0.25)", "2,000", told[0]],
        [tables.CHANGES["environment-reward"], "-", "1 of 4", "0.25 (0.25)", "-", told[1]],
        ["nothing", "4 of 4", "4 of 4", "0.15 (1.00)", "64, 128 (2), 1,280", ""],
        [tables.CHANGES["cloning"], "3 of 4", "2 of 4", "0.25 (0.25)", "192 (3)", told[2]],
    ]
    # Without a row of its own, nothing changed is that of the first study.
    del cells["plain", hopper, 100]
    kept(tmp_path, "others", cells)
    kept(tmp_path, "stability-early", {("plain", hopper, 100): plain, ("credo", hopper, 100): fates(5, 5)})
    first, *_ = cells_of(tables.changes(tmp_path, "others")[2:])
    alone = fisher(1, 6, 5, 5)
    assert first[-1] == f"{alone:.2g} / {3 * alone:.2g}"


def test_learners_are_told_one_by_one_and_tested_together(tables, tmp_path) -> None:
    """A learner that has but one side is left out. Together: the counts of all environments, whose totals are given."""
    counts = {"td3 hopper": (6, 1), "ddpg hopper": (5, 2), "td3 walker2d": (2, 3)}
    cells = {}
    for name, (without, held) in counts.items():
        learner, environment = name.split(" ")
        dead = (64, 64, 320) if learner == "ddpg" else (128,)
        cells[f"{learner} off", environment, 100] = fates(without, 6, *dead, saturated=0.75)
        cells[f"{learner} on", environment, 100] = fates(held, 6, 2_560, 2_560, saturated=0.125)
        cells[f"{learner} other", environment, 100] = fates(6, 6)
    cells["sd3 off", "hopper", 100] = fates(6, 6)
    cells["sac on", "hopper", 100] = fates(6, 6)
    kept(tmp_path, "tiny", cells)
    names = (("off", "CREDO off"), ("on", "the filter"))
    header, _, *rows = cells_of(tables.learners(tmp_path, "tiny", *names, first_seed=11, corrected=True))
    assert header == [
        *("", "CREDO off: dead", "inactive at the end", "dead from step", "saturated at the end"),
        *("the filter: dead", "inactive at the end", "saturated at the end", "p, alone / Holm"),
    ]
    alone = [fisher(held, 6, without, 6) for without, held in counts.values()]
    assert alone == sorted(alone)
    told = [f"{p:.2g} / {min(1, n * p):.2g}" for p, n in zip(alone, (3, 2, 1), strict=True)]
    shares = ("0.75 (0.75)", "2 of 6")
    assert rows[:3] == [
        ["TD3, Hopper-v5", "1 of 6", "6 of 6", "128", *shares, "1 of 6", "0.12 (0.12)", told[0]],
        ["DDPG, Hopper-v5", "3 of 6", "5 of 6", "64 (2), 320", *shares, "2 of 6", "0.12 (0.12)", told[1]],
        ["TD3, Walker2d-v5", "1 of 6", "2 of 6", "128", *shares, "3 of 6", "0.12 (0.12)", told[2]],
    ]
    # Cochran, Mantel and Haenszel, exactly: the likelihoods of all sums of three hypergeometric counts.
    likely = np.zeros(19)
    for sides in itertools.product(range(7), repeat=3):
        each = [stats.hypergeom.pmf(n, 12, sum(pair), 6) for n, pair in zip(sides, counts.values(), strict=True)]
        likely[sum(sides)] += np.prod(each)
    together = likely[likely <= likely[1 + 2 + 3] * (1 + 1e-7)].sum()
    # A seed's differences on Hopper are summed over the two learners: with TD3, of seeds 1 to 5 it is 1; with DDPG, of
    # seeds 2 to 4; on Walker2d, -1 of seed 2.
    differences = np.array([0, 1, 2, 2, 2, 1, -1])
    signs = np.array(list(itertools.product((-1, 1), repeat=7)))
    whole = np.mean(abs(signs @ differences) >= differences.sum())
    all_of_them = f"{together:.2g}; whole seeds {whole:.2g}"
    assert rows[3] == ["all", "5 of 18", "13 of 18", "", "", "6 of 18", "6 of 18", "", all_of_them]
    assert len(rows) == 4
    # What was not fixed beforehand is not corrected, and other seeds count where they are asked for.
    header, _, first, *_ = cells_of(tables.learners(tmp_path, "tiny", *names))
    assert header[-1] == "p"
    assert first[1:3] == ["2 of 7", "7 of 7"]
    assert first[4] == "0.75 (1.00)"
    assert first[-1] == f"{fisher(2, 7, 7, 7):.2g}"
