"""What is kept of a study, and what it is drawn from: the scripts behind docs/stability.md and its pages."""

import csv
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import script_modules

from credo import api
from credo.environments import rollout_episodes
from credo.studies.store import Store, place
from credo.studies.study import load_study

REPOSITORY = Path(__file__).parents[2]
STUDY = """
[study]
name = "tiny"
description = "one learner, two cells, on the environment's reward"
seeds = 2

[base]
environment = "Pendulum-v1"
learner = "ddpg"
reward = "environment"
steps = 256
steps_per_round = 64
updates_per_round = 16
random_steps = 256
learning_starts = 0
evaluation_interval = 128
evaluation_episodes = 1
ddpg.hidden = [8]
ddpg.batch_size = 16

[axes.method]
plain = {}
penalty = { ddpg.preactivation_penalty = 1.0 }
"""


@pytest.fixture
def scripts(monkeypatch):
    names = ("autopsy", "keep_study", "stability_figures", "stability_tables", "early_tables", "early_warning")
    names = (*names, "robust_table", "credo_table", "pilots_table")
    yield from script_modules.loaded(monkeypatch, *names)


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY)
    return path


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def called(monkeypatch, module, *arguments):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    module.main()


def test_an_autopsy_ends_each_round_where_the_run_does(scripts, study, tmp_path, monkeypatch):
    """DDPG's updates draw nothing, so that the run's own diagnostics must come out after 16 and 32 of them."""
    called(monkeypatch, scripts["autopsy"], "plain", "--study", study, "--rounds", 2, "--seeds", 2, "--out", tmp_path)
    found = rows(tmp_path / "autopsy-plain.csv")
    assert len(found) == 2 * 32
    config = load_study(study).cells[0].config
    metrics = api.imitate(config, out=tmp_path / "run").metrics()
    for seed in (0, 1):
        mine = [row for row in found if int(row["seed"]) == seed]
        run = metrics["actor_preactivation"][metrics["seed"] == seed]
        assert float(mine[15]["preactivation"]) == pytest.approx(run[0], rel=2e-3)
        assert float(mine[31]["preactivation"]) == pytest.approx(run[1], rel=2e-3)
        largest = metrics["actor_gradient_max"][metrics["seed"] == seed][0]
        assert max(float(row["gradient"]) for row in mine[:16]) == pytest.approx(largest, rel=2e-3)
        assert all(0 <= float(row["agreement"]) <= 1 and float(row["step"]) < 1.5 for row in mine)
        # Adam's first step moves every weight that has a gradient by its whole learning rate.
        assert float(mine[0]["step"]) > 0.5


def test_an_autopsy_refuses_what_it_cannot_repeat(scripts, study, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="at most 4"):
        called(monkeypatch, scripts["autopsy"], "plain", "--study", study, "--rounds", 5, "--out", tmp_path)
    study.write_text(
        STUDY.replace('learner = "ddpg"', 'learner = "sac"').replace("ddpg.", "sac.").split("penalty =")[0]
    )
    with pytest.raises(SystemExit, match="sac has no single deterministic actor"):
        called(monkeypatch, scripts["autopsy"], "plain", "--study", study, "--out", tmp_path)


def test_what_is_kept_of_a_study_is_what_its_runs_hold(scripts, study, tmp_path, monkeypatch):
    for placed in place(load_study(study), {}):
        api.imitate(placed.cell.config, out=Store(tmp_path / "runs").folder(placed.run))
    called(monkeypatch, scripts["keep_study"], study, "--store", tmp_path / "runs", "--out", tmp_path / "kept")
    seeds = rows(tmp_path / "kept" / "tiny-seeds.csv")
    assert [(row["method"], row["seed"], row["steps"]) for row in seeds] == [
        (method, str(seed), "256") for method in ("plain", "penalty") for seed in (0, 1)
    ]
    assert {row["first_explosion"] for row in seeds} == {"0"}
    evaluations = rows(tmp_path / "kept" / "tiny-evaluations.csv")
    assert {row["step"] for row in evaluations} == {"128", "256"}
    rounds = rows(tmp_path / "kept" / "tiny-rounds.csv")
    assert [row["step"] for row in rounds[:4]] == ["64", "128", "192", "256"]
    assert float(rounds[0]["actor_gradient_max"]) > 0
    # The verdicts after half of the steps stand apart from the others.
    wanted = ("--store", tmp_path / "runs", "--out", tmp_path / "half", "--at", 128)
    called(monkeypatch, scripts["keep_study"], study, *wanted)
    assert [path.name for path in (tmp_path / "half").iterdir()] == ["tiny-at-128-seeds.csv"]
    assert {row["steps"] for row in rows(tmp_path / "half" / "tiny-at-128-seeds.csv")} == {"128"}
    # A run to which a later study gave more seeds and steps still gives this one what it asked for.
    study.write_text(
        STUDY.replace("seeds = 2", "seeds = 1").replace("steps = 256\nsteps_per", "steps = 128\nsteps_per")
    )
    called(monkeypatch, scripts["keep_study"], study, "--store", tmp_path / "runs", "--out", tmp_path / "less")
    for name in ("evaluations", "rounds"):
        kept = rows(tmp_path / "kept" / f"tiny-{name}.csv")
        mine = [row for row in kept if row["seed"] == "0" and int(row["step"]) <= 128]
        assert rows(tmp_path / "less" / f"tiny-{name}.csv") == mine
    assert [row["steps"] for row in rows(tmp_path / "less" / "tiny-seeds.csv")] == ["128", "128"]
    # Cells that were kept from another store stay; those that are in this one are replaced.
    study.write_text(STUDY)
    elsewhere = tmp_path / "elsewhere"
    placed = place(load_study(study), {})[1]
    api.imitate(placed.cell.config, out=Store(elsewhere).folder(placed.run))
    called(monkeypatch, scripts["keep_study"], study, "--store", elsewhere, "--out", tmp_path / "less")
    found = rows(tmp_path / "less" / "tiny-seeds.csv")
    assert [(row["method"], row["seed"]) for row in found] == [("plain", "0"), ("penalty", "0"), ("penalty", "1")]
    assert set(json.loads((tmp_path / "less" / "tiny.json").read_text())) == {"plain", "penalty"}


def test_windows_hold_every_round_once(scripts):
    for rounds in (0, 1, 5, 40, 391):
        held = np.concatenate([np.arange(rounds)[window] for window in scripts["keep_study"].windows(rounds)] or [[]])
        np.testing.assert_array_equal(held, np.arange(rounds))
    assert len(list(scripts["keep_study"].windows(391))) < 25


def test_the_figures_are_drawn_from_the_kept_files(scripts, tmp_path, monkeypatch):
    arguments = ("--results", REPOSITORY / "results" / "stability", "--out", tmp_path)
    called(monkeypatch, scripts["stability_figures"], *arguments)
    for name in scripts["stability_figures"].FIGURES:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_tables_are_those_of_the_kept_files(scripts, tmp_path, monkeypatch):
    module = scripts["stability_tables"]
    pages = [page.read_text() for page in module.pages(REPOSITORY / "docs")]
    for name in module.TABLES:
        assert sum(page.count(f"<!-- table: {name} -->") for page in pages) == 1
    copies = [tmp_path / f"{number}.md" for number in range(len(pages))]
    for copy, page in zip(copies, pages, strict=True):
        copy.write_text(page)
    results = REPOSITORY / "results" / "stability"
    called(monkeypatch, module, "--results", results, "--pages", *copies)
    assert [copy.read_text() for copy in copies] == pages
    copy = copies[0]
    copy.write_text("before\n<!-- table: robust -->\nwrong\n<!-- end of table -->\nbehind\n")
    called(monkeypatch, module, "--results", results, "--pages", copy)
    assert copy.read_text().startswith("before\n<!-- table: robust -->\n|  | steps | diverged |")
    assert copy.read_text().endswith("\n<!-- end of table -->\nbehind\n")
    assert "wrong" not in copy.read_text()


def test_the_tests_of_credo_are_those_that_were_fixed(scripts):
    module = scripts["credo_table"]

    def evaluations(*returns):
        steps = (100, 200, 300, 400)
        return [
            {"seed": seed, "step": step, "return": value}
            for seed, values in enumerate(returns)
            for step, value in zip(steps, values, strict=True)
        ]

    better, worse = evaluations((0, 0, 4, 40), (0, 0, 6, 50)), evaluations((0, 0, 2, 10), (9, 9, "", ""))
    assert module.second_half(better) == [22, 28]
    assert module.second_half(worse) == [6, 0]
    assert module.last_evaluations(worse) == [10, 0]
    # Of the 6 ways to rank two and two, the two furthest.
    assert module.of_last_evaluations(better, worse) == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="no ties"):
        module.of_last_evaluations(better, better)
    dead, alive = [{"verdict": "dead"}] * 4, [{"verdict": "weak"}] * 4
    assert module.of_dead(dead, alive) == pytest.approx(2 / 70)


def test_only_seeds_that_are_alive_in_cells_of_both_fates_can_be_warned_of(scripts):
    module = scripts["early_warning"]
    fates = {("a", "e", 0.0): 64, ("a", "e", 1.0): 640, ("a", "e", 2.0): np.inf, ("b", "e", 0.0): 640}
    row = dict.fromkeys(module.DIAGNOSTICS, 0.0)
    curves = {place: [row | {"step": step, "q_mean": step} for step in (64.0, 128, 192)] for place in fates}
    read = module.alive_at(130, fates, curves)
    assert read.cell.tolist() == [0, 0, 0]
    assert read.seed.tolist() == [0, 1, 2]
    assert read.alive.tolist() == [False, True, True]
    assert read.dies[read.alive].tolist() == [True, False]
    values = read.values[list(module.DIAGNOSTICS).index("q_mean")]
    assert values[1:].tolist() == [128.0, 128.0]
    assert np.isnan(read.values[:, 0]).all()


def test_how_often_a_seed_dies_is_counted_over_settings_of_both_fates(scripts, tmp_path):
    module = scripts["early_warning"]
    names = ("method", "environment", "seed", "verdict", "step", "steps")

    def setting(method, dead):
        for seed in range(12):
            verdict = ("dead", 128) if seed in dead else ("weak", "")
            yield dict(zip(names, (method, "Hopper-v5", seed, *verdict, 2_560), strict=True))

    with open(tmp_path / "stability-early-seeds.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for method, dead in (("a", {3, 4}), ("b", {3}), ("c", {3, 10, 11}), ("none", set()), ("all", set(range(12)))):
            writer.writerows(setting(method, dead))
    line = module.by_seed(tmp_path)[2].strip("| ").split(" | ")
    assert line[0] == "dies in so many of 3 settings"
    assert line[1:12] == ["0", "0", "0", "3", "1", "0", "0", "0", "0", "0", "1"]
    # As far from even: all three on one seed. By hand, the one of b is of the two of a, and of those of c.
    assert float(line[12]) == pytest.approx(4 / 121, abs=0.006)


def test_a_seed_whose_numbers_failed_is_counted_though_it_went_less_far(scripts):
    rows = [
        {"steps": 100.0, "verdict": "healthy"},
        {"steps": 60.0, "verdict": "non-finite"},
        {"steps": 60.0, "verdict": "undecided"},
    ]
    assert sys.modules["kept_files"].whole(rows) == rows[:2]


def test_a_row_of_that_table_counts_what_reaches_the_share(scripts):
    seeds = [
        {"method": "td3", "environment": "hopper", "seed": seed, "verdict": verdict, "inactive": inactive}
        | {"steps": 99_968, "expert_return": 100.0}
        for seed, verdict, inactive in ((0, "healthy", 0), (1, "dead", 1), (2, "healthy", 0))
    ]
    kept = [
        {"mean": mean, "episodes": 20.0, "below_half": low} for mean, low in ((95.0, 0.0), (3.0, 20.0), (90.0, 1.0))
    ]
    returns = {0: (20.0, 91.0, 95.0), 1: (1.0, 2.0, 3.0), 2: (90.0, 60.0, 89.0)}
    evaluations = [
        {"seed": seed, "step": 5_000 * (index + 1), "return": value}
        for seed, values in returns.items()
        for index, value in enumerate(values)
    ]
    assert scripts["robust_table"].cell(seeds, evaluations, kept) == [
        "TD3, Hopper-v5",
        "100,000",
        "1 of 3",
        "1 of 3",
        "2 of 3",
        "0.03 to 0.95",
        "21 of 60",
        "1 of 3 (0.03)",
        "10,000, not yet",
        "1 of 3 (2)",
    ]
    # A frozen seed has failed evaluations from there on, and counts as at nothing.
    seeds[0] |= {"verdict": "non-finite", "steps": 10_048}
    evaluations[2] |= {"return": ""}
    row = scripts["robust_table"].cell(seeds, evaluations, [])
    assert (row[1], row[2], row[4:8]) == ("100,000", "2 of 3", ["0 of 0", "-", "0 of 0", "0 of 3 (0.00)"])


def test_kept_policies_are_played_from_starts_of_their_own(scripts, study, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import kept_policies

    placed = place(load_study(study), {})[0]
    run = api.imitate(placed.cell.config, out=Store(tmp_path / "runs").folder(placed.run))
    arguments = (study, "--store", tmp_path / "runs", "--out", tmp_path, "--only", "plain", "--episodes", 3)
    called(monkeypatch, kept_policies, *arguments)
    found = rows(tmp_path / "tiny-kept.csv")
    assert [(row["method"], row["seed"], row["episodes"]) for row in found] == [
        ("plain", "0", "3"),
        ("plain", "1", "3"),
    ]
    episodes = rollout_episodes("Pendulum-v1", run.policy(1).normalised_action, 3, kept_policies.FRESH + 1)
    returns = [float(episode.reward.sum(dtype=np.float64)) for episode in episodes]
    assert float(found[1]["mean"]) == pytest.approx(np.mean(returns), abs=0.06)
    assert float(found[1]["least"]) == pytest.approx(min(returns), abs=0.06)
    sys.modules.pop("kept_policies")


def test_a_seed_counts_once_in_an_environment_whatever_the_number_of_learners(scripts):
    def rows(environment, *inactive):
        return [{"environment": environment, "seed": seed, "inactive": value} for seed, value in enumerate(inactive)]

    found = scripts["early_tables"].whole_seeds
    # Seed 0 differs by 2 with two learners, seed 1 by 1, seed 2 not: sums of +-2 +-1 are 3, 1, -1, -3; 3 was seen.
    td3 = rows("hopper", 1, 1, 0), rows("hopper", 0, 0, 0)
    ddpg = rows("hopper", 1, 0, 1), rows("hopper", 0, 0, 1)
    assert found([td3, ddpg]) == 0.5
    # The same numbers in two environments are other seeds: +-1 +-1 +-1 +-0, of which 3 is one of 8, as is -3.
    assert found([td3, (rows("walker2d", 1, 0, 1), rows("walker2d", 0, 0, 1))]) == 0.25
    # One seed against another: as many on either side.
    assert found([(rows("hopper", 1, 0), rows("hopper", 0, 1))]) == 1
    generator = np.random.default_rng(0)
    plain, changed = (rows("hopper", *generator.integers(0, 2, 9)) for _ in range(2))
    differences = np.array([p["inactive"] - c["inactive"] for p, c in zip(plain, changed, strict=True)])
    signs = np.array(list(itertools.product((-1, 1), repeat=9)))
    assert found([(plain, changed)]) == pytest.approx(
        np.mean(np.abs(signs @ differences) >= abs(differences.sum())), rel=1e-12
    )


def test_learners_that_were_each_to_be_tested_are_corrected_for_one_another(scripts, tmp_path):
    places = {"td3": (9, 1), "ddpg": (5, 5)}
    rows = [
        {"method": f"{learner} {method}", "environment": "hopper", "seed": seed, "inactive": int(seed < count)}
        | {"verdict": "weak", "step": "", "expert_return": 100.0}
        for learner, counts in places.items()
        for method, count in zip(("off", "on"), counts, strict=True)
        for seed in range(10)
    ]
    with open(tmp_path / "tiny-seeds.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with open(tmp_path / "tiny-rounds.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["method", "environment", "seed", "action_saturation"])
        writer.writeheader()
        writer.writerows(
            {name: row[name] for name in ("method", "environment", "seed")} | {"action_saturation": 1} for row in rows
        )
    names = (("off", "CREDO off"), ("on", "filter"))
    for corrected, told in ((False, ["0.0011", "1"]), (True, ["0.0011 / 0.0022", "1 / 1"])):
        lines = scripts["early_tables"].learners(tmp_path, "tiny", *names, corrected=corrected)
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert cells[0][-1] == ("p, alone / Holm" if corrected else "p")
        # Fisher by hand, 9 and 1 of 10: 2 (10 * 10 + 1) / 184,756.
        assert [row[-1] for row in cells[2:4]] == told
        assert cells[4][-1].startswith("0.0")
        assert "; whole seeds " in cells[4][-1]


def test_trials_tell_the_returns_of_every_seed_and_of_many_the_spread(scripts):
    module = scripts["pilots_table"]

    def rows(step, *returns):
        return [{"seed": seed, "step": step, "return_mean": value} for seed, value in enumerate(returns)]

    few, many = rows(5_056, 1_234.4, "", -7.0) + rows(10_048, 1.0, 2.0, 3.0), rows(4_992, 1.0, 2.0, 30.0, 4.0)
    lines = module.trials([("few", few), ("many", many)], (5, 10))
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]] == [
        ["few", "3", "1,234, -7", "1, 2, 3"],
        ["many", "4", "3 (1 to 30)", ""],
    ]
    kept = module.walker2d(REPOSITORY / "results" / "stability")
    assert [line.split("|")[2].strip() for line in kept[2:]] == ["3"] * len(kept[2:]), "robust's first three seeds, too"
