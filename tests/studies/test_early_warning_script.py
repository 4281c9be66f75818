"""The table of docs/stability/first-steps.md on early warning, and how often a seed's number dies."""

import itertools

import numpy as np
import pytest
import script_modules

FIRST, SECOND, THIRD, LAST = "action_saturation", "q_action_slope", "q_mean", "outlier_share"


@pytest.fixture
def warning(monkeypatch):
    for modules in script_modules.loaded(monkeypatch, "early_warning"):
        yield modules["early_warning"]


def exact_p(values, dies):
    """Of values and fates [cells, seeds]: the share of all exchanges of whole seeds whose rank is as far from 1/2."""
    orders = np.array(list(itertools.permutations(range(values.shape[1]))))
    above = []
    for row, fails in zip(values[:, orders], dies, strict=True):
        ones, others = row[:, fails][:, :, None], row[:, ~fails][:, None]
        above.append(((ones > others) + (ones == others) / 2).reshape(len(orders), -1))
    # The first order is the one seen.
    apart = abs(np.concatenate(above, axis=1).mean(axis=1) - 0.5)
    return np.mean(apart >= apart[0] - 1e-9)


def test_the_diagnostics_that_tell_most_of_who_dies_later(warning) -> None:
    """Two cells of seeds 0 to 5, of which 0, 1, 2 die in the one and 0, 3 in the other, and a seed 6 that is dead."""
    dead_from = [200, 300, 1_000, np.inf, np.inf, np.inf, 64, 500, np.inf, np.inf, 400, np.inf, np.inf]
    cell, seed = [0] * 7 + [1] * 6, [*range(7), *range(6)]
    alive = np.arange(13) != 6
    dies = np.isfinite(dead_from)
    values = np.full((len(warning.DIAGNOSTICS), 13), np.nan)
    named = dict(zip(warning.DIAGNOSTICS, values, strict=True))
    named[FIRST][alive] = np.where(dies, 10, 1)[alive]
    # Seed 4 of either cell has the value of those that die; seed 2 of the first that of those that do not.
    named[SECOND][alive] = named[FIRST][alive]
    named[SECOND][[4, 11]] = 10
    named[THIRD][alive] = np.where(dies, 1, 10)[alive]
    named[THIRD][2] = 10
    # Known of two seeds alone: of the 30 ways to give the two readings, two leave them with these two.
    named[LAST][[0, 3]] = 2, 1
    read = warning.Alive(np.array(cell), np.array(seed), alive, np.array(dead_from), values)
    rows = warning.rows_at(128, read)
    p = {name: exact_p(named[name][alive].reshape(2, 6), dies[alive].reshape(2, 6)) for name in (FIRST, THIRD, SECOND)}
    p = {FIRST: p[FIRST], THIRD: p[THIRD], LAST: 2 / 30, SECOND: p[SECOND]}
    assert list(p.values()) == sorted(p.values()), "in another order than how far the ranks are from 1/2"
    # Ranks by hand, of 9 and 8 pairs: all; three halves. What one of two readings tells of the other is wrong.
    wanted = [
        ["128", 12, "5 (0.42)", "share of saturated actions", "1.00", 5, "1.00", "1.00", "272"],
        ["", "", "", "Q", "0.09", 4, "1.00", "0.80", "222"],
        ["", "", "", "share of outliers", "1.00", 1, "0.00", "0.00", "-"],
    ]
    assert [row[:5] + row[6:] for row in rows] == wanted
    told = [tuple(map(float, row[5].split(" / "))) for row in rows]
    assert [alone for alone, _ in told] == pytest.approx(list(p.values())[:3], rel=0.15)
    # Holm's, of four.
    corrected = [count * one for count, one in zip((4, 3, 2), p.values(), strict=False)]
    assert [both for _, both in told] == pytest.approx(corrected, rel=0.15)


def test_a_seed_is_not_warned_of_by_its_own_number_in_another_cell(warning) -> None:
    """Seed 0 alone dies, in either cell: without it nothing is known of death."""
    dead_from = np.tile([512.0, *[np.inf] * 3], 2)
    values = np.full((len(warning.DIAGNOSTICS), 8), np.nan)
    values[3] = np.tile([10.0, 1, 1, 1], 2)
    cell, seed = np.repeat([0, 1], 4), np.tile(np.arange(4), 2)
    (row,) = warning.rows_at(64, warning.Alive(cell, seed, np.ones(8, bool), dead_from, values))
    assert row[:5] == ["64", 8, "2 (0.25)", "critic's slope in the action", "1.00"]
    assert row[6:] == [0, "-", "0.00", "-"]


def test_of_diagnostics_as_sure_as_one_another_the_further_from_a_half_comes_first(warning) -> None:
    """With two seeds p is 1 whatever they have; the threshold that one of them gives warns of everything or nothing."""
    values = np.full((len(warning.DIAGNOSTICS), 2), np.nan)
    values[1], values[4], values[6] = (3, 3), (1, 2), (2, 1)
    fates = np.array([512.0, np.inf])
    rows = warning.rows_at(64, warning.Alive(np.zeros(2, int), np.arange(2), np.ones(2, bool), fates, values))
    assert [(row[3], row[4]) for row in rows] == [
        ("Q", "0.00"),
        ("discriminator's slope in the action", "1.00"),
        ("output before tanh", "0.50"),
    ]
    assert [row[5] for row in rows] == ["1 / 1"] * 3
    # The one that lives is warned of.
    assert [row[6:] for row in rows] == [[1, "0.00", "0.00", "-"]] * 3


def test_a_seed_is_alive_until_the_step_it_is_dead_from_and_once_it_has_learned(warning) -> None:
    row = dict.fromkeys(warning.DIAGNOSTICS, 1.0)
    late = row | {"actor_preactivation": "", "q_mean": ""}
    curves, fates = {}, {}

    def seed(method, number, dead_from, *, learns_from=64):
        place = (method, "Hopper-v5", float(number))
        fates[place] = dead_from
        curves[place] = [
            (row if step >= learns_from else late) | {"step": step, FIRST: step / 1000, LAST: ""}
            for step in (64.0, 128.0, 192.0)
        ]

    for number, dead_from in enumerate((128, 192, np.inf)):
        seed("one", number, dead_from, learns_from=128)
    seed("one", 3, 192, learns_from=192)
    # Of this cell's seeds the one that dies has not learned anything, and of that one's it is dead.
    seed("two", 0, 192, learns_from=192)
    seed("two", 1, np.inf)
    seed("three", 0, 64)
    seed("three", 1, np.inf)
    read = warning.alive_at(128, fates, curves)
    assert read.cell.tolist() == [0] * 4
    assert read.seed.tolist() == [0, 1, 2, 3]
    assert read.alive.tolist() == [False, True, True, False]
    assert read.dead_from.tolist() == [128, 192, np.inf, 192]
    names = list(warning.DIAGNOSTICS)
    np.testing.assert_array_equal(read.values[names.index(FIRST)], [np.nan, 0.128, 0.128, np.nan])
    np.testing.assert_array_equal(read.values[names.index("q_mean")], [np.nan, 1, 1, np.nan])
    assert np.isnan(read.values[names.index(LAST)]).all()
    # Two cells are two.
    seed("three", 2, 192)
    assert warning.alive_at(128, fates, curves).cell.tolist() == [0] * 4 + [1] * 3


def kept(folder, study, *rows):
    """Of seeds what became of them: method, environment, number, verdict, step, steps."""
    names = ("method", "environment", "seed", "verdict", "step", "steps")
    script_modules.write(folder / f"{study}-seeds.csv", [dict(zip(names, row, strict=True)) for row in rows])


def test_a_run_that_several_studies_share_counts_once(warning, tmp_path, monkeypatch) -> None:
    """What the first study says of it stands; TD3 on Hopper of the learners' study is the same cell as elsewhere."""
    hopper = "Hopper-v5"
    kept(
        tmp_path,
        "stability-early",
        ("plain", hopper, 0, "dead", 128, 2_560),
        ("plain", hopper, 1, "weak", "", 2_560),
        ("plain", hopper, 2, "failed", 640, 2_560),
        ("plain", hopper, 3, "dead", 64, 1_280),
    )
    kept(tmp_path, "stability-early-33", ("plain", hopper, 0, "weak", "", 64), ("plain", hopper, 11, "dead", 256, 64))
    kept(tmp_path, "stability-early-remedies", ("td3 odd", hopper, 0, "dead", 2_000, 64))
    kept(
        tmp_path,
        "stability-early-learners",
        ("td3 plain", "hopper", 1, "dead", 192, 64),
        ("td3 plain", "walker2d", 0, "dead", 320, 64),
        ("ddpg plain", "hopper", 0, "weak", "", 64),
    )
    fates = {
        ("plain", hopper, 0): 128,
        ("plain", hopper, 1): np.inf,
        ("plain", hopper, 2): np.inf,
        ("plain", hopper, 11): 256,
        ("td3 odd", hopper, 0): 2_000,
        ("td3 plain", "walker2d", 0): 320,
        ("ddpg plain", hopper, 0): np.inf,
    }
    assert warning.fates_of(tmp_path) == fates
    # Each study's rounds are told by its place in the list; only those of the first that has a seed are read.
    places = {
        "stability-early": [("plain", hopper, 0), ("plain", hopper, 1), ("plain", hopper, 2)],
        "stability-early-33": [("plain", hopper, 0), ("plain", hopper, 11)],
        "stability-early-remedies": [("td3 odd", hopper, 0), ("td3 odd", hopper, 1)],
        "stability-early-learners": [
            *(("td3 plain", "hopper", 1), ("td3 plain", "walker2d", 0), ("ddpg plain", "hopper", 0)),
        ],
    }
    kept(
        tmp_path,
        "stability-early-remedies",
        ("td3 odd", hopper, 0, "dead", 1_100, 64),
        ("td3 odd", hopper, 1, "weak", "", 64),
    )
    for index, (study, here) in enumerate(places.items()):
        measured = dict.fromkeys(warning.DIAGNOSTICS, index)
        script_modules.write(
            tmp_path / f"{study}-rounds.csv",
            [
                dict(zip(("method", "environment", "seed"), place, strict=True)) | measured | {"step": step}
                for place in here
                for step in (100, 128)
            ],
        )
    seen = {}
    monkeypatch.setattr(warning, "rows_at", lambda step, read: seen.update({step: read}) or [[step]])
    lines = warning.table(tmp_path)
    # At step 64 nothing has been learned; from 256 on nobody dies in the first cell.
    assert [line.strip("| ") for line in lines[2:]] == ["128", "256", "512", "1024"]
    assert seen[128].seed.tolist() == [0, 1, 2, 11, 0, 1]
    assert seen[128].cell.tolist() == [0] * 4 + [1] * 2
    np.testing.assert_array_equal(seen[128].values[0], [np.nan, 0, 0, 1, 2, 2])
    assert seen[1024].seed.tolist() == [0, 1]


def test_a_seeds_number_is_counted_over_td3s_settings_on_hopper_alone(warning, tmp_path) -> None:
    """Seeds from 11 on are not every study's: a setting in which one of them alone dies has none of both fates."""

    def setting(method, *dead, environment="Hopper-v5"):
        for seed in range(12):
            verdict = ("dead", 128) if seed in dead else ("weak", "")
            yield (method, environment, seed, *verdict, 2_560)

    kept(tmp_path, "stability-early", *setting("a", 3, 5), *setting("b", 3), *setting("late", 11))
    kept(
        tmp_path,
        "stability-early-learners",
        *setting("td3 c", 1, 5, environment="hopper"),
        *setting("ddpg a", 7, environment="hopper"),
        *setting("sd3 a", 7, environment="hopper"),
        *setting("td3 a", 7, environment="walker2d"),
    )
    header, _, line = warning.by_seed(tmp_path)
    line = line.strip("| ").split(" | ")
    assert header.strip("| ").split(" | ") == ["seed", *map(str, range(11)), "p"]
    assert line[:-1] == ["dies in so many of 3 settings", *"01020200000"]
    # A sum of squares of at least 9. Where a's two are does not matter: c's two and b's one lie anywhere beside them.
    fewer = [
        sum(np.bincount([3, 5, *pair, one], minlength=11) ** 2) < 9
        for pair in itertools.combinations(range(11), 2)
        for one in range(11)
    ]
    assert float(line[-1]) == pytest.approx(1 - np.mean(fewer), abs=0.02)
