"""Tables of docs/stability that nothing was fixed for beforehand, with made-up seeds whose answers are known."""

import numpy as np
import pytest
import script_modules
from scipy import stats

PLACE = ("method", "environment", "seed")
SEED = (*PLACE, "verdict", "step", "inactive", "steps", "best_return", "last_return", "expert_return")
ROUND = (*PLACE, "step", "actor_gradient_max", "action_saturation", "q_mean", "expert_probability_expert")
ENVIRONMENTS = ("hopper", "walker2d", "halfcheetah")


@pytest.fixture
def module(monkeypatch):
    for modules in script_modules.loaded(monkeypatch, "post_hoc_tables"):
        yield modules["post_hoc_tables"]


def write(folder, name, columns, rows):
    script_modules.write(folder / f"{name}.csv", [dict(zip(columns, row, strict=True)) for row in rows])


def cells_of(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def seed_row(method, environment, seed, dead=False, inactive=0, best=50, step=128):
    return (
        method,
        environment,
        seed,
        "dead" if dead else "failed",
        step if dead else "",
        inactive,
        24_960,
        best,
        0,
        100,
    )


def test_pairs_are_of_the_new_seeds_alone(module, tmp_path):
    """Three of five differ, all one way; the old seed, which differs too, is not asked."""
    fates = {
        11: ((1, 0), (0, 0)),
        12: ((1, 0), (1, 0)),
        13: ((1, 0), (0, 1)),
        14: ((1, 1), (1, 0)),
        15: ((0, 0), (0, 0)),
    }
    for study in {pair[0] for pair in module.PAIRS}:
        rows = []
        for environment, method, side in {
            (pair[1], pair[2 + side], side) for pair in module.PAIRS if pair[0] == study for side in (0, 1)
        }:
            rows += [
                seed_row(method, environment, seed, dead=bool(fate[1][side]), inactive=fate[0][side])
                for seed, fate in fates.items()
            ]
            rows.append(seed_row(method, environment, 10, dead=side == 0, inactive=1 - side))
        write(tmp_path, f"{study}-seeds", SEED, rows)
    lines = cells_of(module.paired(tmp_path))
    assert len(lines) == 11
    for line in lines:
        assert line[1:] == ["3, 0, 1", "0.25", "2, 1, 0", "1"]


def test_the_dead_with_and_without_are_counted_over_all_pairs(module, tmp_path):
    rows = []
    for learner in ("td3", "ddpg", "sd3"):
        for environment in ENVIRONMENTS:
            for seed in range(4):
                alone = seed == 0 and learner != "sd3"
                rows.append(seed_row(f"{learner} plain", environment, seed, dead=alone or seed == 1))
                rows.append(
                    seed_row(f"{learner} credo", environment, seed, dead=seed == 1 or (seed, learner) == (2, "td3"))
                )
    write(tmp_path, "stability-bed-seeds", SEED, rows)
    [line] = cells_of(module.with_and_without(tmp_path))
    assert line[:4] == ["of 36 pairs of seeds", "6", "3", "9"]
    difference, _, interval = line[4].partition(" ")
    assert difference == "-8%"
    low, high = (float(end.rstrip("%")) for end in interval.strip("()").split(" to "))
    assert low < -8 < high
    # Seeds of an environment, not runs, are drawn: of twelve, with differences of -2, 1 and 0, twice 0.
    drawn = np.random.default_rng(1).choice([-2, 0, 1, 0], (20_000, 3, 4)).sum(axis=(1, 2)) / 36
    assert [low, high] == pytest.approx(np.percentile(100 * drawn, [2.5, 97.5]), abs=3)


def test_association_reads_the_last_window_and_the_largest_of_any(module, tmp_path):
    seeds = [seed_row("td3 plain", "hopper", 0, dead=True, best=5), seed_row("td3 plain", "hopper", 1, best=5)]
    seeds += [seed_row("td3 credo", "hopper", 0, dead=True, best=5), seed_row("td3 credo", "hopper", 1, best=50)]
    rounds = []
    for method, seed, sure, gradients in (
        ("td3 plain", 0, 0.5, (12.0, 0.0)),
        ("td3 plain", 1, 0.99, (1.0, 3.0)),
        ("td3 credo", 0, 0.995, ("", 1e-12)),
        ("td3 credo", 1, 0.9, (10.0, 0.5)),
    ):
        rounds.append((method, "hopper", seed, 64, gradients[0], 1.0, 1.0, 0.999))
        rounds.append((method, "hopper", seed, 128, gradients[1], 1.0, 1.0, sure))
    write(tmp_path, "stability-bed-seeds", SEED, seeds)
    write(tmp_path, "stability-bed-rounds", ROUND, rounds)
    assert cells_of(module.association(tmp_path)) == [
        ["without CREDO, dead", "1", "0", "0.500", "0", "1", "1"],
        ["without CREDO, not dead", "1", "1", "0.990", "3", "0", "1"],
        ["with CREDO, dead", "1", "1", "0.995", "1e-12", "0", "1"],
        ["with CREDO, not dead", "1", "0", "0.900", "0.5", "1", "0"],
    ]


def test_death_by_the_end_is_foretold_from_cells_with_both_fates(module, tmp_path):
    """Inactive at the window that ends by the step; Q ranks those that are not dead by then."""
    hopper, seeds, rounds = "Hopper-v5", [], []
    told = {
        ("plain", 0): (600, True, 3.0),  # dead later, with the larger Q
        ("plain", 1): (None, False, 1.0),
        ("plain", 2): (64, True, 9.0),  # dead by then: no reading of Q
        ("logit-clamp", 0): (64, True, 1.0),  # the plain one again
        ("logit-clamp", 1): (None, True, 1.0),
        ("cloning", 0): (None, True, 5.0),  # a cell with one fate
    }
    for (method, seed), (step, inactive, value) in told.items():
        seeds.append(seed_row(method, hopper, seed, dead=step is not None, step=step))
        for at in (256, 512, 768):
            gradient = 1e-10 if inactive and at >= 512 else 1.0
            rounds.append((method, hopper, seed, at, gradient, 0.0, value if at == 512 else 0.0, 0.5))
    write(tmp_path, "stability-remedies-seeds", SEED, seeds)
    write(tmp_path, "stability-remedies-rounds", ROUND, rounds)
    first = cells_of(module.foretold(tmp_path))[0]
    assert first[:7] == ["512", "2 of 3", "2 (1.00)", "1.00", "2", "1", "1.00"]


def test_controls_pair_the_fifth_evaluations_seed_by_seed(module, tmp_path):
    seeds, parts, evaluations, theirs, kept = [], [], [], [], []
    steps = (5, 10, 15, 20, 25, 30)
    for environment in ENVIRONMENTS:
        for seed in (2, 0, 1):
            for method in ("td3", "bc"):
                seeds.append(seed_row(method, environment, seed))
            for part in ("still-discriminator", "no-cloning"):
                parts.append(seed_row(part, environment, seed))
                gain = 10 if part == "no-cloning" else 20 + seed
                theirs += [(part, environment, seed, at, 90 + seed - gain if at == 25 else 0) for at in steps[:5]]
            evaluations += [("td3", environment, seed, at, 90 + seed if at == 25 else 0) for at in steps]
            kept += [("bc", environment, seed, 40 + 2 * seed), ("td3", environment, seed, 99)]
    write(tmp_path, "stability-robust-seeds", SEED, seeds)
    write(tmp_path, "stability-robust-parts-seeds", SEED, parts)
    write(tmp_path, "stability-robust-evaluations", (*PLACE, "step", "return"), evaluations)
    write(tmp_path, "stability-robust-parts-evaluations", (*PLACE, "step", "return"), theirs)
    write(tmp_path, "stability-robust-kept", (*PLACE, "mean"), kept)
    clone, still, without, whole = cells_of(module.controls(tmp_path))
    p = f"{stats.wilcoxon([1, 2, 3], method='exact').pvalue:.2g}"
    assert clone[1:] == [f"0.42 (p = {p})"] * 3
    assert still[1:] == [f"0.70 (p = {p})"] * 3
    assert without[1:] == [f"0.81 (p = {p})"] * 3
    assert whole[1:] == ["0.91"] * 3


@pytest.mark.parametrize(("name", "schedule"), [("credo", "over-trained"), ("credo-paper", "paper")])
def test_credos_settings_are_taken_together_seed_by_seed(module, tmp_path, name, schedule):
    """The end is the median of the last three; a setting that has not gone to the end is left out, and so is the other
    schedule."""
    seeds, evaluations = [], []
    ends = {"off": (10, 20, 30), "resample-5": (14, 22, 20), "both-5": (16, 26, 24), "clip-5": (0, 0, 0)}
    for method, each in ends.items():
        for seed, end in enumerate(each):
            seeds.append(seed_row(f"td3 {schedule} {method}", "hopper", seed, dead=method == "clip-5"))
            for step, value in enumerate((99, 0, end, end + 50, end - 50, end)):
                evaluations.append((f"td3 {schedule} {method}", "hopper", seed, step, value))
    begun = seed_row(f"td3 {schedule} retained-5", "hopper", 0)
    seeds.append((*begun[:6], 64, *begun[7:]))
    for other in {"over-trained", "paper"} - {schedule}:
        for seed in range(3):
            seeds.append(seed_row(f"td3 {other} resample-5", "hopper", seed, dead=True))
            evaluations.append((f"td3 {other} resample-5", "hopper", seed, 9, 1_000))
    write(tmp_path, "stability-credo-seeds", SEED, seeds)
    write(tmp_path, "stability-credo-evaluations", (*PLACE, "step", "return"), evaluations)
    first, every, off = cells_of(module.together(tmp_path, name))
    assert first[1:] == ["2", "0 of 6", "2 of 3", "+0 (-8 to +5)", f"{stats.wilcoxon([5, 4, -8]).pvalue:.2g}"]
    assert every[1:4] == ["3", "3 of 9", "0 of 3"]
    assert off[2] == "0 of 3"
