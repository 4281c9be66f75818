"""Tables of docs/stability/robust.md: robust's parts, CREDO in the place of the penalty, remedies to 25,000 steps."""

import csv
import json
import shutil

import numpy as np
import pytest
import script_modules

SEEDS = ("method", "environment", "seed", "verdict", "step", "inactive", "steps", "best_return", "last_return")
SHARES = ("filtered_share", "expert_probability_expert", "expert_probability_policy", "action_saturation")


@pytest.fixture
def scripts(monkeypatch):
    names = (
        "robust_table",
        "parts_table",
        "replacement_table",
        "bed_table",
        "early_tables",
        "critics_table",
        "dead_seeds",
    )
    yield from script_modules.loaded(monkeypatch, *names)


def write(path, names, found):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(found)


def kept(folder, study, cells):
    """Files of a study: of each cell and seed the returns of its evaluations, of an expert at 100."""
    seeds, evaluations, rounds = [], [], []
    for (method, environment), curves in cells.items():
        for seed, returns in enumerate(curves):
            place = {"method": method, "environment": environment, "seed": seed}
            dead = returns[-1] < 1
            told = ("dead", 128, 1) if dead else ("weak", "", 0)
            row = dict(zip(SEEDS[3:6], told, strict=True)) | {"steps": 100 * len(returns)}
            seeds.append(place | row | {"best_return": max(returns), "last_return": returns[-1], "expert_return": 100})
            for index, value in enumerate(returns):
                step = 100 * (index + 1)
                evaluations.append(place | {"step": step, "return": value})
                shares = dict.fromkeys(SHARES, index / 10)
                rounds.append(place | {"step": step} | shares)
    write(folder / f"{study}-seeds.csv", (*SEEDS, "expert_return"), seeds)
    write(folder / f"{study}-evaluations.csv", ("method", "environment", "seed", "step", "return"), evaluations)
    write(folder / f"{study}-rounds.csv", ("method", "environment", "seed", "step", *SHARES), rounds)


def lines_of(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_part_of_robust_is_missed_over_the_evaluations_that_both_have(scripts, tmp_path):
    whole = [(10, 92, 5), (20, 30, 5), (40, 60, 5)]
    without = [(0, 50), (10, 20), (95, 93)]
    cells = {("td3", "hopper"): whole, ("td3-without-credo", "hopper"): without}
    kept(tmp_path, "stability-robust", cells)
    row, every = lines_of(scripts["parts_table"].without(tmp_path))
    # Means 51, 25 and 50 against 25, 15 and 94: differences 26, 10 and -44, whose ranks are 2, 1 and -3. Of the eight
    # ways to give signs to the ranks, all have a smaller sum of 3 or less: p = 1.
    # Their mean is -2.67 and its standard error 21.2, times Student's 4.303 for two degrees of freedom.
    difference = "-0.03 (-0.94 to +0.88)"
    assert row == ["without CREDO, Hopper-v5", "0", "0.50, 0.25", "1 and 1 of 3", "1 and 1 of 3", difference, "1"]
    assert every == ["without CREDO, all 3", "", "", "", "", difference, "1"]
    # Another learner is held against it likewise, and no environment is added to another.
    kept(tmp_path, "stability-robust", cells | {("sac", "hopper"): without})
    (other,) = lines_of(scripts["parts_table"].learners(tmp_path))
    assert other == ["SAC, Hopper-v5", *row[1:]]
    assert scripts["robust_table"].of_pairs([1, 2, 3, 4]) == 2 / 16
    assert scripts["robust_table"].of_pairs([-1, 2, 3, 4]) == 4 / 16


def test_each_part_of_robust_is_held_against_the_whole_in_its_environment(scripts, tmp_path):
    whole = [(50 + seed, 95) for seed in range(6)]
    parts = {"whole": whole, "no-cloning": [(0, 1 + seed) for seed in range(6)], "wide-noise": whole[::-1]}
    cells = {(part, "hopper"): curves for part, curves in parts.items()} | {("whole", "walker2d"): whole}
    # The study's own copy of the whole lacks its last evaluation.
    cut = {("whole", name): [one[:1] for one in whole] for name in ("hopper", "walker2d")}
    cells["no-cloning", "walker2d"] = [(0, 0)] + [(50 + seed, 0.5) for seed in range(1, 6)]
    kept(tmp_path, "stability-robust-parts", cells | cut)
    kept(tmp_path, "stability-robust", {("td3", name): [(*one, 0) for one in whole] for name in ("hopper", "walker2d")})
    place = [(part, name, seed) for part, name in cells for seed in range(6)]
    # With targets that follow at once the reference is 0.1 / (1 - 0.9) = 1.
    rounds = [dict(zip(ROUNDS, (*each, 64_000, 0.1, 3 + each[2], 1.0), strict=True)) for each in place]
    write(tmp_path / "stability-robust-parts-rounds.csv", ROUNDS, rounds)
    settings = {"discount": 0.9, "target_rate": 1.0, "actor_delay": 2}
    identity = {"learner": "td3", "steps_per_round": 64, "updates_per_round": 64, "learning_starts": 0, "td3": settings}
    told = {"/".join(cell): {"identity": identity} for cell in cells}
    (tmp_path / "stability-robust-parts.json").write_text(json.dumps(told))
    rows = lines_of(scripts["parts_table"].table(tmp_path))
    assert [row[0].split(",")[0] for row in rows[:3]] == [
        "`robust`",
        "without the cloning loss",
        "exploration noise of 0.3",
    ]
    reference = 0.1 + 0.9 * (0 + 1) / 2
    ratios = f"{5.5 / reference:.1f} ({8 / reference:.1f})"
    assert rows[0][1:6] == ["0 of 6", "0.74 (0.72 to 0.75)", "6 of 6", "6 of 6", ratios]
    # All six are worse, as 2 of 64 ways to give signs: 0.031, times the two parts; the other part's differences cancel.
    assert rows[1][-1] == "0.031 / 0.062"
    assert rows[2][-1] == "1 / 1"
    # All are dead on Walker2d, whose correction is its own.
    assert rows[4][0] == "without the cloning loss, Walker2d-v5"
    assert (rows[4][1], rows[4][5], rows[4][-1]) == ("6 of 6", "", "0.031 / 0.031")
    # Without a copy of the whole there, what its evaluations tell is robust's, and the rest is left out.
    elsewhere = shutil.copytree(tmp_path, tmp_path / "elsewhere")
    del cells["whole", "walker2d"], cut["whole", "walker2d"]
    kept(elsewhere, "stability-robust-parts", cells | cut)
    rounds = [each for each in rounds if (each["method"], each["environment"]) != ("whole", "walker2d")]
    write(elsewhere / "stability-robust-parts-rounds.csv", ROUNDS, rounds)
    others = lines_of(scripts["parts_table"].table(elsewhere))
    assert others[3] == [rows[3][0], "", *rows[3][2:5], "", "", ""]
    assert others[4] == rows[4]


def test_credo_in_the_place_of_the_penalty_is_tested_against_off_alone(scripts, tmp_path):
    off = [(1 + seed, 10 + seed, 0) for seed in range(5)]
    on = [(5 + 2 * seed, 60 + 3 * seed, 95) for seed in range(5)]
    hopper, walker = ("hopper", "walker2d")
    cells = {("off", hopper): off, ("filter", hopper): on, ("off", walker): on, ("filter", walker): on[::-1]}
    kept(tmp_path, "stability-robust-credo", cells)
    robust = {("td3", name): [(90, 95, 99, 0)] * 5 for name in (hopper, walker)}
    kept(tmp_path, "stability-robust", robust)
    found = lines_of(scripts["replacement_table"].table(tmp_path))
    assert [row[0] for row in found] == ["Hopper-v5"] * 3 + ["Walker2d-v5"] * 3 + ["all 10"]
    assert found[0][2:6] == ["5 of 5", "0.05 (0.04 to 0.06)", "0 of 5", "0 of 5"]
    assert found[1][2:6] == ["0 of 5", "0.57 (0.53 to 0.60)", "5 of 5", "5 of 5"]
    # robust's fourth evaluation is of no step that the others have: over three its mean is 94.7, and its last 99.
    assert found[2][3:6] == ["0.95 (0.95 to 0.95)", "5 of 5", "5 of 5"]
    # Over the second half, after step 150: 0.1 and 0.2 over 100 steps each.
    assert found[1][6:8] == ["15.0%", "0.150, 0.150"]
    assert [row[8] for row in found[:3]] == ["", "0.062 / 0.12", ""]
    assert found[4][8] == "1 / 1"


def test_a_remedy_is_counted_against_nothing_changed(scripts, tmp_path):
    alive, dead = [(1, 20, 10)] * 4, [(2, 1, 0)] * 4
    cells = {("reward-r6", "Hopper-v5"): alive, ("plain", "Hopper-v5"): dead, ("action-cost", "Hopper-v5"): dead}
    kept(tmp_path, "stability-remedies", cells)
    plain, cost, r6 = sorted(lines_of(scripts["bed_table"].remedies(tmp_path)), key=lambda row: row[0] != "nothing")[:3]
    assert plain[:5] == ["nothing", "4 of 4", "128 (4)", "0 of 4", "4 of 4"]
    assert plain[6:] == ["0.00 (0.00 to 0.00)", "0.02 (0.02)", ""]
    by_name = {row[0]: row for row in (cost, r6)}
    assert by_name["reward r6"][1:3] == ["0 of 4", "-"]
    assert by_name["reward r6"][6:] == ["0.10 (0.10 to 0.10)", "0.20 (0.20)", "0.029 / 0.057"]
    assert by_name["action cost in the reward, 0.3"][8] == "1 / 1"


def test_changes_on_new_seeds_are_held_against_the_studys_own_row(scripts, tmp_path):
    cells = {("plain", "Hopper-v5"): [(0,)] * 6, ("cloning", "Hopper-v5"): [(0,)] * 3 + [(9,)] * 3}
    kept(tmp_path, "tiny", cells)
    plain, cloning = lines_of(scripts["early_tables"].changes(tmp_path, "tiny", first_seed=3))
    assert plain[:3] == ["nothing", "3 of 3", "3 of 3"]
    assert cloning[1:3] == ["0 of 3", "0 of 3"]
    assert cloning[5] == "0.1 / 0.1"


IDENTITY = {"learner": "ddpg", "steps_per_round": 64, "updates_per_round": 64, "learning_starts": 0}
ROUNDS = ("method", "environment", "seed", "step", "reward_mean", "q_mean", "actor_gradient_max")


def test_a_window_of_rounds_has_what_is_due_in_it(scripts):
    """Rows before anything is learned move no target."""
    table = scripts["critics_table"]
    rows = [dict(zip(ROUNDS[3:], (64, "", "", ""), strict=True))]
    rows += [dict(zip(ROUNDS[3:], told, strict=True)) for told in ((128, 1.0, 7.0, 2.0), (320, 0.5, 8.0, 3.0))]
    targets = table.Following(discount=0.9, target_rate=0.02, moves=32)
    references = table.reference_q(np.array([1.0, 0.5]), targets, np.array([1, 3]))
    assert table.windows_of(rows, targets, 64) == [(128, 1, 1, 7, references[0], 2), (320, 3, 0.5, 8, references[1], 3)]
    # Learning begins in the round that ends at 256: of the second window two rounds count, the means are of those.
    references = table.reference_q(np.array([0.5]), targets, np.array([2]))
    begun = table.windows_of([rows[0] | {"step": 128}, rows[2]], targets, 64, learning_starts=200)
    assert begun == [(320, 2, 0.5, 8, references[0], 3)]


def test_the_end_of_a_seed_weighs_its_windows_by_their_rounds(scripts):
    window = scripts["critics_table"].Window
    windows = [
        window(0, 9, 9, 9, 9, 99),
        window(1, 1, 1, 10, 3, 5),
        window(2, 3, 2, 20, 6, 7),
        window(3, 2, 3, 30, 9, 6),
    ]
    assert scripts["critics_table"].end_of(windows) == pytest.approx((13 / 6, 130 / 6, 39 / 6, 7))


def test_mean_q_is_held_against_its_reference(scripts, tmp_path):
    """With targets that follow at once, the reference is reward / (1 - discount); a dead seed is not asked."""
    values = {0: (100.0, 2.0, 4.0, 6.0), 1: (100.0, 1.0, 1.0, 1.0), 2: (9.0, 9.0, 9.0, 9.0)}
    table = scripts["critics_table"]

    def files(study, key, cell):
        seeds, rounds = [], []
        for seed, qs in values.items():
            place = dict(zip(ROUNDS[:3], (*key, seed), strict=True))
            seeds.append(place | {"verdict": "dead" if seed == 2 else "weak", "step": "", "expert_return": 1.0})
            for index, q in enumerate(qs):
                told = (6_400 * (index + 1), 0.1 * (seed + 1), q, q / 10)
                rounds.append(place | dict(zip(ROUNDS[3:], told, strict=True)))
        write(tmp_path / f"{study}-seeds.csv", list(seeds[0]), seeds)
        write(tmp_path / f"{study}-rounds.csv", ROUNDS, rounds)
        identity = IDENTITY | {"ddpg": {"discount": 0.9, "target_rate": 1.0}}
        (tmp_path / f"{study}.json").write_text(json.dumps({cell: {"identity": identity}}))

    files("stability-bed", ("ddpg plain", "walker2d"), "ddpg/plain/walker2d")
    files("stability-robust", ("ddpg", "hopper"), "ddpg/hopper")
    bed, robust = lines_of(table.table(tmp_path))
    # Rewards of 0.1 and 0.2: references of 1 and 2; mean Qs of 4 and 1; gradients of 0.6 and 0.1.
    assert bed == ["DDPG, Walker2d-v5", "2 of 3", "0.15", "2", "2 (4)", "2.2 (0.5 to 4.0)", "0.3 (0.6)"]
    assert robust[0] == "`robust`: DDPG, Hopper-v5"
    shares = table.shares(tmp_path, "stability-bed", ("ddpg plain", "walker2d"))
    assert [row["kind"] for row in shares] == ["not dead"] * 8 + ["dead"] * 4
    assert shares[1] == {"seed": 0, "step": 12.8, "share": pytest.approx(2), "kind": "not dead"}
    # Kept without its rewards: not in the table.
    path = tmp_path / "stability-robust-rounds.csv"
    path.write_text(path.read_text().replace(",0.1,", ",,"))
    assert len(lines_of(table.table(tmp_path))) == 1


def test_what_drives_the_critics_is_tested_seed_by_seed(scripts, tmp_path):
    seeds, rounds = [], []
    for method, q, gradient in (("plain", 100, 10), ("short-horizon", 1, 20)):
        for seed in range(6):
            place = dict(zip(ROUNDS[:3], (method, "Walker2d-v5", seed), strict=True))
            seeds.append(place | {"verdict": "weak", "step": "", "expert_return": 1.0})
            rounds.append(place | dict(zip(ROUNDS[3:], (64_000, 0.1, q + seed, gradient + seed / 10), strict=True)))
    write(tmp_path / "stability-explosion-seeds.csv", list(seeds[0]), seeds)
    write(tmp_path / "stability-explosion-rounds.csv", ROUNDS, rounds)
    identity = IDENTITY | {"ddpg": {"discount": 0.5, "target_rate": 1.0}}
    cells = {name: {"identity": identity} for name in ("plain", "short-horizon")}
    (tmp_path / "stability-explosion.json").write_text(json.dumps(cells))
    plain, short = lines_of(scripts["critics_table"].explosion(tmp_path))
    # Due is 0.15 in this one window, whose targets begin at 0 and end at 0.2: 0.1 + 0.5 * 0.1.
    assert plain == ["nothing", "6 of 6", "0.10", "0", "102 (105)", "683.3 (666.7 to 700.0)", "10 (10)", ""]
    # All six differ one way in either: 2 of 64.
    assert short[0] == "discount 0.95"
    assert short[-1] == "0.031 / 0.031, 0.031 / 0.031; 0.031"


def test_credo_in_the_bed_is_tested_pair_by_pair(scripts, tmp_path):
    """Learners with both sides alone; six of six dead against none are 2 in 924, gradients that all fall 2 in 64. The
    reference is 0.55, 1 and 1 in the three windows."""
    seeds, rounds, cells = [], [], {}
    for method, environment, dead, gradient in (
        ("ddpg plain", "hopper", True, 10),
        ("ddpg credo", "hopper", False, 1),
        ("td3 plain", "walker2d", False, 5),
        ("td3 credo", "walker2d", False, 5),
        ("sd3 plain", "hopper", False, 5),
    ):
        learner = method.split(" ")[0]
        for seed in range(6):
            place = dict(zip(ROUNDS[:3], (method, environment, seed), strict=True))
            told = {"verdict": "dead" if dead else "exploded" if seed == 0 else "weak", "step": ""}
            seeds.append(place | told | {"best_return": 20.0, "expert_return": 100.0})
            spread = (-1) ** seed * seed / 10 if method == "td3 credo" else 0
            for step in (3_200, 6_400, 9_600):
                told = (step, 0.1, 3.0, gradient + spread, 0.5)
                rounds.append(place | dict(zip((*ROUNDS[3:], "filtered_share"), told, strict=True)))
        part = {"discount": 0.9, "target_rate": 1.0, "actor_delay": 1}
        cells[f"{method.replace(' ', '/')}/{environment}"] = {
            "identity": IDENTITY | {"learner": learner, learner: part}
        }
    write(tmp_path / "stability-bed-seeds.csv", list(seeds[0]), seeds)
    write(tmp_path / "stability-bed-rounds.csv", (*ROUNDS, "filtered_share"), rounds)
    (tmp_path / "stability-bed.json").write_text(json.dumps(cells))
    td3, ddpg = lines_of(scripts["critics_table"].credo(tmp_path))
    assert [row[0] for row in (td3, ddpg)] == ["TD3, Walker2d-v5", "DDPG, Hopper-v5"]
    assert ddpg[1:] == [
        *("6 and 0 of 6", "0 and 1 of 6", "0.20 and 0.20", "10 and 1.0", "- and 4", "50%"),
        "0.0022 / 0.0043, 0.031 / 0.062",
    ]
    assert td3[1:4] == ["0 and 0 of 6", "1 and 1 of 6", "0.20 and 0.20"]
    assert td3[-1].startswith("1 / 1, ")


DEATH = ("step", "actor_gradient_max", "expert_probability_expert")


def test_the_gradients_of_the_dead_are_told_until_they_died_and_since(scripts, tmp_path):
    """A window in which a seed dies is before its death; what was kept without explosions says so."""
    places = [dict(zip(ROUNDS[:3], ("td3 plain", "hopper", seed), strict=True)) for seed in range(4)]
    told = [("dead", 128, ""), ("dead", 300, 256.0), ("weak", "", 128.0), ("dead", 256, 0)]
    names = ("verdict", "step", "first_explosion")
    seeds = [
        place | dict(zip(names, each, strict=True)) | {"steps": 384} for place, each in zip(places, told, strict=True)
    ]
    write(tmp_path / "stability-bed-seeds.csv", list(seeds[0]), seeds)
    windows = ((64, "", ""), (128, 0.05, 0.5), (256, 12.3, 0.75), (384, 2e-7, 0.999))
    rounds = [place | dict(zip(DEATH, window, strict=True)) for place in places for window in windows]
    write(tmp_path / "stability-bed-rounds.csv", (*ROUNDS[:3], *DEATH), rounds)
    first, second, last = lines_of(scripts["bed_table"].deaths(tmp_path))
    assert first == ["TD3, Hopper-v5", "0", "128", "0.05", "12 (256)", "0.75", "2e-07", "not kept"]
    assert second[2:] == ["300", "12", "-", "-", "2e-07", "256"]
    assert last[1:] == ["3", "256", "12", "2e-07 (384)", "1.00", "2e-07", "none"]
    # A seed that was run anew has what the first file lacks, and alters nothing that is there.
    again = [{"method": "td3", "environment": "hopper", "seed": seed, "first_explosion": 320} for seed in (0, 1)]
    write(tmp_path / "stability-bed-dead-at-25000-seeds.csv", list(again[0]), again)
    first, second, last = lines_of(scripts["bed_table"].deaths(tmp_path))
    assert [row[-1] for row in (first, second, last)] == ["320", "256", "none"]


@pytest.fixture
def judged_twice(tmp_path):
    """Four seeds as they are at 25,000 steps and later: seed 0 comes back, seed 1 stays dead, seed 2 dies later, seed 3
    lives; returns before the first judgement do not count."""
    names = ("method", "environment", "seed", "verdict", "steps", "best_return", "last_return", "expert_return")

    def write_study(study):
        def seeds(file, verdicts, steps):
            ends = (40.0, 1.0, 2.0, 11.0)
            rows = [("td3", "hopper", n, kind, steps, 50, ends[n], 100) for n, kind in enumerate(verdicts)]
            write(tmp_path / f"{file}-seeds.csv", names, [dict(zip(names, row, strict=True)) for row in rows])

        seeds(f"{study}-at-25000", ("dead", "dead", "weak", "weak"), 24_960)
        seeds(study, ("weak", "dead", "dead", "weak"), 99_968)
        told = {0: (5, 10), 1: (50, 9), 2: (50, 2), 3: (5, 11)}
        columns = ("method", "environment", "seed", "step", "return")
        found = [("td3", "hopper", n, step, told[n][step > 25_000]) for n in told for step in (22_464, 27_456)]
        write(tmp_path / f"{study}-evaluations.csv", columns, [dict(zip(columns, x, strict=True)) for x in found])

    return write_study


def test_seeds_of_longer_runs_are_told_by_what_they_were_at_first(scripts, judged_twice, tmp_path):
    judged_twice("stability-bed-longer")
    (row,) = lines_of(scripts["bed_table"].longer(tmp_path))
    assert row[:4] == ["TD3, Hopper-v5", "99,968", "2 of 4", "1 of 2"]
    assert row[4:] == ["1 of 2", "1 of 2", "2 of 4", "0.07 (0.01 to 0.40)", "0.50 (0.50)"]


def test_dead_seeds_that_ran_alone_are_told_by_whether_they_died_again(scripts, judged_twice, tmp_path):
    judged_twice("stability-bed-dead")
    row, everything = lines_of(scripts["bed_table"].dead_alone(tmp_path))
    assert row[:5] == ["TD3, Hopper-v5", "4", "2 of 4", "1 of 2", "1 of 2"]
    assert row[5:] == ["0.07 (0.01 to 0.40)", "0.10 (0.11)"]
    assert everything == ["all", *row[1:]]


def test_the_seeds_to_run_alone_are_the_dead_that_no_longer_run_has(scripts, tmp_path):
    names = ("method", "environment", "seed", "verdict")

    def seeds(study, *rows):
        write(tmp_path / f"{study}-seeds.csv", names, [dict(zip(names, row, strict=True)) for row in rows])

    seeds("stability-bed-longer", ("td3", "hopper", 0, "dead"))
    seeds(
        "stability-bed",
        ("td3 plain", "hopper", 0, "dead"),  # has been gone on with
        ("ddpg plain", "hopper", 8, "dead"),
        ("ddpg plain", "hopper", 2, "dead"),
        ("ddpg plain", "hopper", 3, "weak"),
        ("sd3 plain", "walker2d", 9, "dead"),
        ("sd3 credo", "walker2d", 1, "dead"),
    )
    found = scripts["dead_seeds"].cells(tmp_path)
    assert [cell.name for cell in found] == ["ddpg/hopper/2", "ddpg/hopper/8", "sd3/walker2d/9"]
    assert [cell.config.seed_numbers for cell in found] == [(2,), (8,), (9,)]
    assert {(cell.config.steps, cell.config.credo.mode) for cell in found} == {(100_000, "off")}
    assert found[2].config.sd3.noise_samples == 8
