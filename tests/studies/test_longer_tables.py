"""Tables of docs/stability/longer.md: what becomes of seeds over 25,000 steps and more, and what their critics say."""

import itertools
import json

import numpy as np
import pytest
import script_modules
from scipy import stats

PLACE = ("method", "environment", "seed")
SEED = (*PLACE, "verdict", "step", "inactive", "steps", "best_return", "last_return", "expert_return")


@pytest.fixture
def scripts(monkeypatch):
    yield from script_modules.loaded(monkeypatch, "bed_table", "critics_table")


def write(folder, name, columns, rows):
    script_modules.write(folder / f"{name}.csv", [dict(zip(columns, row, strict=True)) for row in rows])


def cells_of(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_remedies_are_counted_over_the_seeds_that_went_to_the_end(scripts, tmp_path) -> None:
    """In the order of all changes, whatever that of the files; inactive at the end are others than the dead."""
    low, weak, hopper = ("failed", ""), ("weak", ""), "Hopper-v5"
    told = {
        "mixup": [(*low, 1, 10, 40), (*low, 1, 20, 30), (*weak, 0, 60, 90), (*weak, 0, 30, 50)],
        "later-learning": [("dead", 64, 1, 1, 2), (*low, 0, 2, 3), (*low, 0, 3, 8), (*weak, 0, 4, 5)],
        "plain": [("dead", 128, 1, 0, 5), ("dead", 64, 0, 1, 6), ("dead", 128, 1, 2, 7), ("dead", 1_280, 1, 9, 50)],
    }
    every, rounds = [], []
    for index, (method, seeds) in enumerate(told.items()):
        for seed, (verdict, step, inactive, last, best) in enumerate(seeds):
            every.append((method, hopper, seed, verdict, step, inactive, 24_960, best, last, 100))
            rounds += [(method, hopper, seed, 64, 0.9), (method, hopper, seed, 128, (index + seed) / 10)]
        every.append((method, hopper, 9, "dead", 64, 1, 64, 0, 99, 100))
    write(tmp_path, "stability-remedies-seeds", SEED, every)
    write(tmp_path, "stability-remedies-rounds", (*PLACE, "step", "action_saturation"), rounds)
    plain, later, mixup = cells_of(scripts["bed_table"].remedies(tmp_path))
    none, one = (stats.fisher_exact([[dead, 4 - dead], [4, 0]]).pvalue for dead in (0, 1))
    assert plain == [
        *("nothing", "4 of 4", "64, 128 (2), 1,280", "0 of 4", "3 of 4", "0.35 (0.50)"),
        *("0.01 (0.00 to 0.09)", "0.07 (0.50)", ""),
    ]
    assert later == [
        *("learning from step 10,000 on", "1 of 4", "64", "2 of 4", "1 of 4", "0.25 (0.40)"),
        *("0.03 (0.01 to 0.04)", "0.04 (0.08)", f"{one:.2g} / {one:.2g}"),
    ]
    assert mixup == [
        *("mixup", "0 of 4", "-", "2 of 4", "2 of 4", "0.15 (0.30)"),
        *("0.25 (0.10 to 0.60)", "0.45 (0.90)", f"{none:.2g} / {2 * none:.2g}"),
    ]


def test_inactive_early_are_those_of_the_window_that_ends_there(scripts, tmp_path) -> None:
    """Learner by learner, without CREDO first. A seed that failed is counted as far as it went."""
    cells = {("ddpg credo", "hopper"): 0, ("td3 plain", "walker2d"): 1, ("td3 plain", "hopper"): 2}
    seeds, rounds = [], []
    for cell, still in cells.items():
        ends = (("dead", 2_560, 1, 5), ("failed", 128, 0, 9), ("non-finite", 9_024, 1, 30), ("failed", 64, 0, 2))
        for seed, (verdict, step, inactive, last) in enumerate(ends):
            steps = 9_024 if verdict == "non-finite" else 24_960
            seeds.append((*cell, seed, verdict, step, inactive, steps, 2 * last, last, 50))
            # As the four are at 2,048, none is before or behind.
            for at, gradient in ((1_920, 1.0), (2_048, 1e-10 if seed < still else 1.0), (2_304, 1.0)):
                rounds.append((*cell, seed, at, 0.5, gradient))
        seeds.append((*cell, 4, "dead", 64, 1, 2_304, 1, 1, 50))
        rounds.append((*cell, 4, 2_048, 1.0, 0.0))
    write(tmp_path, "stability-bed-seeds", SEED, seeds)
    write(tmp_path, "stability-bed-rounds", (*PLACE, "step", "action_saturation", "actor_gradient_max"), rounds)
    rows = cells_of(scripts["bed_table"].table(tmp_path))
    names = ("TD3, Hopper-v5", "TD3, Walker2d-v5", "DDPG, Hopper-v5, CREDO")
    for row, name, early in zip(rows, names, ("2 of 4,1 of 2", "1 of 4,1 of 1", "0 of 4,0 of 0"), strict=True):
        told = [name, "24,960", "1 of 4", "2,560", "2 of 4", *early.split(",")]
        assert row == [*told, "0.14 (0.04 to 0.60)", "0.28 (1.20)"]


@pytest.mark.parametrize("study", ["stability-bed-longer", "stability-bed-dead"])
def test_who_has_come_back_since_the_first_judgement(scripts, tmp_path, study) -> None:
    """Seed 0 was dead and is at exactly 0.1 of the expert since. Seed 1 is still dead: its evaluation at 25,000 is none
    since. Seed 2 had failed and died since; seed 4 has not gone to the end; seed 5 failed on its way."""
    fates = {
        0: ("dead", "weak", 50, 10, (5, 10, 7)),
        1: ("dead", "dead", 40, 2, (99, 1, 2)),
        2: ("failed", "dead", 30, 0, (5, 50, "")),
        3: ("weak", "weak", 90, 80, (99, 90, 80)),
        4: ("weak", "dead", 99, 99, (5, 99, 99)),
        5: ("weak", "non-finite", 60, 20, (5, 30, 20)),
    }
    then, ends, evaluations = [], [], []
    for cell in (("ddpg", "walker2d"), ("td3", "hopper")):
        for seed, (before, after, best, last, returns) in fates.items():
            if cell[0] == "ddpg" and seed != 1:
                continue
            steps = {4: 50_000, 5: 60_032}.get(seed, 99_968)
            then.append((*cell, seed, before, "", 0, 24_960, 1, 1, 100))
            ends.append((*cell, seed, after, "", 0, steps, best, last, 100))
            evaluations += [(*cell, seed, *each) for each in zip((25_000, 25_024, 60_032), returns, strict=True)]
    write(tmp_path, f"{study}-at-25000-seeds", SEED, then)
    write(tmp_path, f"{study}-seeds", SEED, ends)
    write(tmp_path, f"{study}-evaluations", (*PLACE, "step", "return"), evaluations)
    dead = ["2 of 5", "1 of 2", "1 of 2"]
    returns = "0.10 (0.00 to 0.80)"
    if study == "stability-bed-longer":
        first, second = cells_of(scripts["bed_table"].longer(tmp_path))
        assert first == ["TD3, Hopper-v5", "99,968", *dead, "1 of 3", "2 of 5", returns, "0.50 (0.90)"]
        assert second == [
            *("DDPG, Walker2d-v5", "99,968", "1 of 1", "1 of 1", "0 of 1", "0 of 0", "0 of 1"),
            *("0.02 (0.02 to 0.02)", "0.40 (0.40)"),
        ]
    else:
        first, second, every = cells_of(scripts["bed_table"].dead_alone(tmp_path))
        assert first == ["TD3, Hopper-v5", "5", *dead, returns, "0.30 (0.90)"]
        assert second[:5] == ["DDPG, Walker2d-v5", "1", "1 of 1", "1 of 1", "0 of 1"]
        assert every == ["all", "6", "3 of 6", "2 of 3", "1 of 3", "0.06 (0.00 to 0.80)", "0.20 (0.90)"]


def test_the_dead_that_went_to_the_end_are_told_one_by_one(scripts, tmp_path) -> None:
    """Without a first explosion of its own a seed has that of its run anew, in either study, with CREDO none."""
    cells = {("sd3 credo", "hopper"): ("dead", "", 384), ("td3 plain", "hopper"): ("dead", 0, 384)}
    cells |= {("td3 plain", "walker2d"): ("dead", "", 384), ("ddpg plain", "hopper"): ("dead", "", 384)}
    seeds = [(*cell, 1, verdict, 300, steps, explosion) for cell, (verdict, explosion, steps) in cells.items()]
    seeds += [("ddpg plain", "hopper", 2, "failed", 128, 384, 64), ("ddpg plain", "hopper", 3, "dead", 64, 128, 64)]
    windows = (
        (128, 3.0, 0.5),
        (256, 10.0, 0.75),
        (320, 9.96, 0.25),
        (384, 4.0, 0.1),
        (448, 8.0, 0.0),
        (512, 0.25, 1.0),
    )
    rounds = [(*row[:3], *window) for row in seeds for window in windows]
    write(tmp_path, "stability-bed-seeds", (*PLACE, "verdict", "step", "steps", "first_explosion"), seeds)
    names = (*PLACE, "step", "actor_gradient_max", "expert_probability_expert")
    write(tmp_path, "stability-bed-rounds", names, rounds)
    again = (*PLACE, "first_explosion")
    anew = {"longer": [("td3", "walker2d", 1, 640), ("sd3", "hopper", 1, 7)]}
    anew["dead"] = [("td3", "hopper", 1, 128), ("ddpg", "hopper", 1, 0)]
    for study, found in anew.items():
        write(tmp_path, f"stability-bed-{study}-at-25000-seeds", again, found)
    rows = cells_of(scripts["bed_table"].deaths(tmp_path))
    # It died in the window that ends at 320.
    told = ["1", "300", "10", "8 (448)", "0.00", "0.2"]
    assert [scripts["bed_table"].gradient(value, ".1f") for value in (9.96, 10.0)] == ["10.0", "10"]
    assert rows == [
        ["TD3, Hopper-v5", *told, "none"],
        ["TD3, Walker2d-v5", *told, "640"],
        ["DDPG, Hopper-v5", *told, "none"],
        ["SD3, Hopper-v5, CREDO", *told, "not kept"],
    ]


ROUND = (*PLACE, "step", "reward_mean", "q_mean", "actor_gradient_max", "filtered_share")


def identity(learner, **settings):
    told = {"learner": learner, "steps_per_round": 32, "updates_per_round": 8, "learning_starts": 0}
    return {"identity": told | {learner: {"discount": 0.0, "target_rate": 0.5, "actor_delay": 2} | settings}}


def due(rewards, rounds, moves, discount, rate):
    """The reference, move by move."""
    target, found = 0.0, []
    for reward, count in zip(rewards, rounds, strict=True):
        before = target
        for _ in range(count * moves):
            target += rate * (reward + discount * target - target)
        found.append(reward + discount * (before + target) / 2)
    return found


def test_the_reference_is_that_of_a_cells_own_settings(scripts, tmp_path) -> None:
    """TD3's targets move with its actor, every second of 8 updates; DDPG's with each. Learning begins at step 64, in
    the second round, whether a window has ended before or not. Cells of which a seed ends without rewards, and learners
    without targets, are left out."""
    windows = ((32, "", 9.0, 9.0), (96, 0.5, 3.0, 1.0), (128, "", 9.0, 9.0), (224, -1.0, 2.0, 2.0))
    methods = ("td3 plain", "ddpg plain", "sac plain", "ppo plain")
    rounds = [(method, "hopper", seed, *window, 0) for method in methods for seed in (0, 1) for window in windows]
    # Nothing stands before learning began of one seed of TD3, and SAC's last reward was not kept.
    del rounds[0]
    rounds[-9] = ("sac plain", "hopper", 1, 224, "", 2.0, 2.0, 0)
    write(tmp_path, "stability-bed-rounds", ROUND, rounds)
    told = {f"{name}/plain/hopper": identity(name, discount=0.75, target_rate=0.125) for name in ("td3", "sac", "ppo")}
    told["ddpg/plain/hopper"] = identity("ddpg", discount=0.75, target_rate=0.125)
    del told["ddpg/plain/hopper"]["identity"]["ddpg"]["actor_delay"]
    for cell in told.values():
        cell["identity"]["learning_starts"] = 64
    (tmp_path / "stability-bed.json").write_text(json.dumps(told))
    found = scripts["critics_table"].curves(tmp_path, "stability-bed")
    assert list(found) == [("td3 plain", "hopper"), ("ddpg plain", "hopper")]
    for (method, _), seeds in found.items():
        first, second = due((0.5, -1.0), (2, 3), 4 if method == "td3 plain" else 8, 0.75, 0.125)
        assert list(seeds) == [0, 1]
        for windows in seeds.values():
            assert windows == [
                (96, 2, 0.5, 3, pytest.approx(first), 1),
                (224, 3, -1, 2, pytest.approx(second), 2),
            ]


def test_mean_q_is_told_of_those_that_are_not_dead(scripts, tmp_path) -> None:
    """At a discount of 0 the reference is the reward. Cells that are none of the bed's, or of robust's learners, have
    no row; one whose seeds are all dead has an empty one."""
    table, ends = scripts["critics_table"], {0: (1.0, 30.0, 4.0), 1: (2.0, 20.0, 9.96), 2: (10.0, 50.0, 30.0)}
    files = {"bed": ("td3 plain", "td3 other", "ddpg plain"), "robust": ("td3", "td3-without-credo")}
    for name, methods in files.items():
        study = f"stability-{name}"
        seeds, rounds = [], []
        for method in methods:
            for seed, (reward, q, gradient) in {**ends, 3: (1.0, 999.0, 999.0)}.items():
                verdict = "dead" if seed == 3 or method == "ddpg plain" else "failed"
                seeds.append((method, "hopper", seed, verdict))
                # Three windows are the end, of one, two and four rounds.
                windows = ((32, -1.0, 900.0), (64, q - 1, gradient), (128, q - 1, gradient / 2), (256, q + 0.75, 0.25))
                for step, *window in windows:
                    rounds.append((method, "hopper", seed, step, reward, *window, 0))
        write(tmp_path, f"{study}-seeds", (*PLACE, "verdict"), seeds)
        write(tmp_path, f"{study}-rounds", ROUND, rounds)
        told = {f"{method.replace(' ', '/')}/hopper": identity(method[:4].strip(" -")) for method in methods}
        (tmp_path / f"{study}.json").write_text(json.dumps(told))
    bed, dead, robust = cells_of(table.table(tmp_path))
    measured = ["3 of 4", "2.00", "2", "30 (50)", "10.0 (5.0 to 30.0)", "10.0 (30)"]
    assert bed == ["TD3, Hopper-v5", *measured]
    assert dead == ["DDPG, Hopper-v5", "0 of 4", *[""] * 5]
    assert robust == ["`robust`: TD3, Hopper-v5", *measured]
    shares = table.shares(tmp_path, "stability-bed", ("td3 plain", "hopper"))
    assert shares[0] == {"seed": 0, "step": 0.064, "share": 29.0, "kind": "not dead"}
    assert [row["kind"] for row in shares] == ["not dead"] * 9 + ["dead"] * 3
    path = tmp_path / "stability-bed-rounds.csv"
    path.write_text(path.read_text().replace(",-1.0,", ",0.0,"))
    assert table.shares(tmp_path, "stability-bed", ("td3 plain", "hopper")) == shares


def signed_rank_p(differences):
    """Wilcoxon's, of all signs that the ranks may have."""
    ranks = stats.rankdata(np.abs(differences))
    sums = np.array(list(itertools.product((-1, 1), repeat=len(ranks)))) @ ranks
    return np.mean(abs(sums) >= abs(np.sign(differences) @ ranks))


def test_what_drives_critics_is_tested_in_pairs_of_seeds(scripts, tmp_path) -> None:
    """Three tests of either change, each with other differences; the third is corrected for nothing."""
    study, count = "stability-explosion", 7
    base = {"gradient": np.arange(count) + 20.0, "q": 40 - 3.0 * np.arange(count), "reward": np.ones(count)}
    apart = {
        "short-horizon": {"gradient": [1, 2, -3, 4, 5, 6, 7], "q": [1, 2, 3, -4, -5, 6, 7], "reward": 1},
        "slow-critic": {"gradient": [1, -2, 3, -4, 5, 6, 7], "q": [1, 2, 3, 4, 5, 6, 7], "reward": 0.5},
        "plain": {"gradient": [0] * count, "q": [0] * count, "reward": 1},
    }
    ends = {
        method: {name: base[name] * told[name] if name == "reward" else base[name] + told[name] for name in base}
        for method, told in apart.items()
    }
    # The third test is of Q in units of the reward: half of it makes every ratio larger.
    ends["short-horizon"]["reward"] = np.where(np.arange(count) < 3, 0.5, 2.0)
    rows = [
        (method, "Walker2d-v5", seed, 32, end["reward"][seed], end["q"][seed], end["gradient"][seed], 0)
        for method, end in ends.items()
        for seed in (range(count) if method != "plain" else reversed(range(count)))
    ]
    write(tmp_path, f"{study}-rounds", ROUND, rows)
    write(tmp_path, f"{study}-seeds", (*PLACE, "verdict"), [(*row[:3], "weak") for row in rows])
    told = dict.fromkeys(ends, identity("ddpg"))
    (tmp_path / f"{study}.json").write_text(json.dumps(told))
    plain, slow, short = cells_of(scripts["critics_table"].explosion(tmp_path))
    assert (plain[0], plain[-1]) == ("nothing", "")
    assert [row[0] for row in (slow, short)] == ["critics' learning rate 1e-4", "discount 0.95"]
    p = {
        method: [signed_rank_p(apart[method][name]) for name in ("gradient", "q")]
        + [signed_rank_p(ends[method]["q"] / ends[method]["reward"] - base["q"])]
        for method in ("slow-critic", "short-horizon")
    }
    (gradient, q, ratio), (other_gradient, other_q, other_ratio) = p.values()
    assert len({gradient, q, ratio, other_gradient, other_q, other_ratio}) > 4
    assert other_gradient < gradient / 2
    assert q < other_q
    assert slow[-1] == f"{gradient:.2g} / {gradient:.2g}, {q:.2g} / {2 * q:.2g}; {ratio:.2g}"
    other = f"{other_gradient:.2g} / {2 * other_gradient:.2g}, {other_q:.2g} / {other_q:.2g}"
    assert short[-1] == f"{other}; {other_ratio:.2g}"


def test_credo_is_told_beside_none_learner_by_learner(scripts, tmp_path) -> None:
    """Medians of each side; what is filtered is CREDO's. TD3 on HalfCheetah has but one side."""
    sides = {
        ("td3 plain", "halfcheetah"): None,
        ("ddpg credo", "walker2d"): ("weak,weak,weak,weak,dead", (1, 9, 2, 30, 5), 0.5),
        ("ddpg plain", "walker2d"): ("dead,dead,dead,dead,exploded", (12, 8, 9, 1, 90), 0.25),
        ("td3 credo", "hopper"): ("exploded,dead,weak,weak,weak", (9, 9, 7, 7, 60), 0.125),
        ("td3 plain", "hopper"): ("exploded,exploded,dead,weak,weak", (1, 3, 5, 6, 8), 0.75),
    }
    seeds, rounds = [], []
    for cell, side in sides.items():
        verdicts, gradients, filtered = side or ("dead,dead,dead,dead,dead", (1, 2, 3, 4, 5), 0.5)
        for seed, (verdict, gradient) in enumerate(zip(verdicts.split(","), gradients, strict=True)):
            q = 10.0 * (seed + 1) * (2 if "credo" in cell[0] else 1)
            seeds.append((*cell, seed, verdict, 10.0 * gradient, 100.0))
            rounds += [(*cell, seed, 32 * n, 1.0, q, gradient, filtered) for n in (1, 2, 3, 4)]
    write(tmp_path, "stability-bed-seeds", (*PLACE, "verdict", "best_return", "expert_return"), seeds)
    write(tmp_path, "stability-bed-rounds", ROUND, rounds)
    told = {f"{method.replace(' ', '/')}/{environment}": identity(method.split()[0]) for method, environment in sides}
    (tmp_path / "stability-bed.json").write_text(json.dumps(told))
    td3, ddpg = cells_of(scripts["critics_table"].credo(tmp_path))
    gradients = {cell: side[1] for cell, side in sides.items() if side}
    tested = [
        signed_rank_p(
            np.subtract(gradients[f"{learner} credo", environment], gradients[f"{learner} plain", environment])
        )
        for learner, environment in (("td3", "hopper"), ("ddpg", "walker2d"))
    ]
    dead = [stats.fisher_exact([[1, 4], [count, 5 - count]]).pvalue for count in (1, 4)]
    assert tested[0] < tested[1]
    assert dead[1] < dead[0]
    # Q over a reference of 1, of those not dead: of TD3 10, 20, 40, 50 and 20, 60, 80, 100; of DDPG 50 and 20 to 80.
    assert td3 == [
        *("TD3, Hopper-v5", "1 and 1 of 5", "2 and 1 of 5", "0.50 and 0.90", "5.0 and 9.0", "30 and 70", "12%"),
        f"{dead[0]:.2g} / {dead[0]:.2g}, {tested[0]:.2g} / {2 * tested[0]:.2g}",
    ]
    assert ddpg == [
        *("DDPG, Walker2d-v5", "4 and 1 of 5", "1 and 0 of 5", "0.90 and 0.50", "9.0 and 5.0", "50 and 50", "50%"),
        f"{dead[1]:.2g} / {2 * dead[1]:.2g}, {tested[1]:.2g} / {max(tested[1], 2 * tested[0]):.2g}",
    ]
