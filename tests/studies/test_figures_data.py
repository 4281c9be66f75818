"""The numbers that the figures of docs/stability.md draw, from made-up files."""

import itertools
import json
import math

import pytest
import script_modules
from scipy import stats

from credo.reports.style import VERDICTS

DEAD, HEALTHY = VERDICTS["light"]["dead"], VERDICTS["light"]["healthy"]
BLUE, ORANGE = "#0072B2", "#D55E00"
SEED = ("method", "environment", "seed", "verdict", "inactive", "steps", "best_return", "last_return", "expert_return")


@pytest.fixture
def figures(monkeypatch):
    for modules in script_modules.loaded(monkeypatch, "stability_figures"):
        yield modules["stability_figures"]


def drawn(chart):
    """The specification with every name of data replaced by the data; that it is valid is seen where it is drawn."""
    told = chart.to_dict(validate=False)
    datasets = told.pop("datasets")

    def filled(part):
        if isinstance(part, dict):
            return {k: datasets[v["name"]] if k == "data" else filled(v) for k, v in part.items()}
        return [filled(each) for each in part] if isinstance(part, list) else part

    return filled(told)


def seeds(folder, study, rows):
    script_modules.write(folder / f"{study}-seeds.csv", [dict(zip(SEED, row, strict=True)) for row in rows])


def inactive(method, count, of, environment="Hopper-v5", steps=2_560):
    """So many seeds, of which the first are inactive and none is dead but the last."""
    verdicts = ["weak"] * (of - 1) + ["dead"]
    return [(method, environment, n, verdicts[n], int(n < count), steps, 1, 1, 9) for n in range(of)]


def interval(dead, of):
    """The exact one, by what its ends mean: there as few or as many would be seen in one of 40 cases."""
    low, high = stats.binomtest(dead, of).proportion_ci(method="exact")
    return {"share": dead / of, "low": pytest.approx(low), "high": pytest.approx(high), "told": f"{dead} of {of}"}


def test_shares_of_seeds_are_drawn_with_their_exact_intervals(figures) -> None:
    """One kind of a row below the other; a level of 0 is drawn, too."""
    found = [
        {"row": row, "kind": kind, "inactive": n < count}
        for row, kind, count, of in (("z", "one", 1, 4), ("z", "two", 4, 4), ("a", "one", 0, 3))
        for n in range(of)
    ]
    kinds = {"one": "red", "two": "blue"}
    told = drawn(figures.shares(found, kinds, figures.heading("title", "first\nsecond"), "the share", level=0.0))
    assert told["title"]["subtitle"] == ["first", "second"]
    rules, intervals, dots, texts = told["layer"]
    assert rules["data"] == [{"low": 0.0}]
    assert (rules["mark"]["type"], rules["mark"]["color"]) == ("rule", ORANGE)
    assert intervals["data"] == dots["data"] == texts["data"]
    assert dots["data"] == [
        {"row": "z", "kind": "one"} | interval(1, 4),
        {"row": "z", "kind": "two"} | interval(4, 4),
        {"row": "a", "kind": "one"} | interval(0, 3),
    ]
    assert (intervals["encoding"]["x"]["field"], intervals["encoding"]["x2"]["field"]) == ("low", "high")
    assert intervals["encoding"]["x"]["title"] == "the share"
    assert (dots["encoding"]["x"]["field"], texts["encoding"]["text"]["field"]) == ("share", "told")
    assert dots["encoding"]["y"]["sort"] == ["z", "a"]
    assert dots["encoding"]["color"]["scale"] == {"domain": ["one", "two"], "range": ["red", "blue"]}
    assert dots["encoding"]["yOffset"]["sort"] == ["one", "two"]
    assert drawn(figures.shares(found, kinds, figures.heading("title", "")))["layer"][0]["data"] == []
    assert figures.shares([], kinds, figures.heading("title", "")) is None


def test_changes_stand_below_nothing_changed_from_the_fewest_inactive_on(figures, tmp_path) -> None:
    """What has been run again, in either study, has another colour; a seed that has not gone to the end is left out."""
    unfinished = inactive("credo", 1, 1, steps=64)
    seeds(tmp_path, "stability-early", [*inactive("credo", 3, 4), *unfinished, *inactive("plain", 3, 4)])
    seeds(tmp_path, "stability-early-remedies", [*inactive("cloning", 4, 4), *inactive("mixup", 2, 4)])
    seeds(tmp_path, "stability-early-others", inactive("preactivation-penalty", 0, 5))
    seeds(tmp_path, "stability-early-33", inactive("preactivation-penalty", 5, 5))
    seeds(tmp_path, "stability-early-again-33", inactive("cloning", 5, 5))
    rules, _, dots, _ = drawn(figures.early(tmp_path))["layer"]
    assert rules["data"] == [{"low": 0.75}]
    again = "run again on 22 new seeds"
    assert dots["data"] == [
        {"row": "nothing", "kind": ""} | interval(3, 4),
        {"row": "pre-activation penalty, 0.01", "kind": again} | interval(0, 5),
        {"row": "mixup", "kind": ""} | interval(2, 4),
        {"row": "CREDO, c = 5", "kind": ""} | interval(3, 4),
        {"row": "cloning loss beside the critic (cloning_weight 1)", "kind": again} | interval(4, 4),
    ]
    assert dots["encoding"]["color"]["scale"] == {"domain": [again, ""], "range": [BLUE, DEAD]}


def test_learners_are_drawn_without_and_with_the_penalty(figures, tmp_path) -> None:
    rows = [
        *inactive("ddpg plain", 3, 4, "walker2d"),
        *inactive("ddpg preactivation-penalty", 1, 4, "walker2d"),
        *inactive("td3 plain", 0, 4, "hopper", steps=64),
    ]
    seeds(tmp_path, "stability-early-learners", rows)
    rules, _, dots, _ = drawn(figures.early_learners(tmp_path))["layer"]
    assert rules["data"] == []
    assert dots["data"] == [
        {"row": "DDPG, Walker2d-v5", "kind": "nothing changed"} | interval(3, 4),
        {"row": "DDPG, Walker2d-v5", "kind": "pre-activation penalty"} | interval(1, 4),
    ]
    colours = {"domain": ["nothing changed", "pre-activation penalty"], "range": [DEAD, HEALTHY]}
    assert dots["encoding"]["color"]["scale"] == colours


def test_the_direction_of_the_pull_is_drawn_by_who_is_stuck(figures, tmp_path) -> None:
    """Stuck: at least 0.99 of the actions in the last window, of seeds from 11 on."""
    study, methods = figures.slope_table.DIRECTION, list(figures.slope_table.DIRECTIONS)
    rows, windows = [], []
    for index, method in enumerate(methods):
        for seed in (10, *range(11, 19)):
            rows.append((method, "Hopper-v5", seed, "weak", 0, 2_560, 1, 1, 9))
            for step, share in ((64, 1.0), (2_560, 0.99 if seed - 11 < index else 0.98)):
                place = {"method": method, "environment": "Hopper-v5", "seed": seed}
                windows.append(place | {"step": step, "action_saturation": share})
    seeds(tmp_path, study, rows)
    script_modules.write(tmp_path / f"{study}-rounds.csv", windows)
    _, _, dots, _ = drawn(figures.direction(tmp_path))["layer"]
    names = ("CREDO off", "off, cost 0.1", "off, cost 0.3", "off, cost 1")
    names = (*names, "filter, c = 5", "filter, cost -0.1", "filter, cost -0.3", "filter, cost -1")
    assert dots["data"] == [
        {"row": name, "kind": "CREDO off" if index < 4 else "filter"} | interval(index, 8)
        for index, name in enumerate(names)
    ]
    assert dots["encoding"]["color"]["scale"] == {"domain": ["CREDO off", "filter"], "range": [DEAD, HEALTHY]}
    assert figures.direction(tmp_path / "nothing") is None


def test_first_updates_are_drawn_cell_by_cell(figures, tmp_path) -> None:
    """Six cells, in an order of their own; a column a cell, five beside one another."""
    names = list(figures.AUTOPSIES)[:4] + list(figures.AUTOPSIES)[5:7]
    for index, name in enumerate(names):
        rows = [
            {"seed": seed, "update": update, "preactivation": index + update / 4, "agreement": seed / 4}
            for seed, update in itertools.product((0, 1), (1, 2))
        ]
        script_modules.write(tmp_path / f"autopsy-{name}.csv", rows)
    told = drawn(figures.first_updates(tmp_path))
    assert told["columns"] == 5
    assert [column["vconcat"][0]["title"]["text"] for column in told["concat"]] == [
        figures.AUTOPSIES[name] for name in names
    ]
    for index, column in enumerate(told["concat"]):
        above, below = column["vconcat"]
        lines, rule = above["layer"]
        assert rule["data"] == [{"value": pytest.approx(math.log(199) / 2)}], "whose tanh is 0.99"
        assert lines["data"] == [
            {"seed": seed, "update": update, "preactivation": index + update / 4}
            for seed, update in itertools.product((0, 1), (1, 2))
        ]
        y, first = lines["encoding"]["y"], index in (0, 5)
        # The most is 5.5.
        assert (y["field"], y["scale"]["domain"]) == ("preactivation", [0, 6])
        assert y["title"] == ("|output before tanh|" if first else None)
        (lines,) = below["layer"]
        assert [row["agreement"] for row in below["data"]] == [0, 0, 0.25, 0.25]
        assert lines["encoding"]["y"]["field"] == "agreement"
        assert lines["encoding"]["y"]["title"] == ("critic's agreement" if first else None)
    assert figures.first_updates(tmp_path / "nothing") is None


def test_curves_of_robust_are_shares_of_each_environments_expert(figures, tmp_path) -> None:
    """In the order of learners and environments; what is no learner, and evaluations that failed, are left out."""
    experts = {("td3", "walker2d"): 50, ("td3", "hopper"): 100, ("ppo", "hopper"): 10, ("ddpg", "halfcheetah"): 200}
    experts["ddpg", "hopper"] = 100
    seeds(tmp_path, "stability-robust", [(*cell, 0, "weak", 0, 1, 7, 8, expert) for cell, expert in experts.items()])
    evaluations = [
        dict(zip((*SEED[:3], "step", "return"), (*cell, seed, step, value), strict=True))
        for cell in experts
        for seed, step, value in ((0, 5_000, 0.0), (0, 71_000, 20.0), (1, 5_000, 40.0), (1, 71_000, ""))
    ]
    script_modules.write(tmp_path / "stability-robust-evaluations.csv", evaluations)
    told = drawn(figures.robust(tmp_path))
    assert told["columns"] == 3
    cells = [("td3", "hopper"), ("td3", "walker2d"), ("ddpg", "hopper"), ("ddpg", "halfcheetah")]
    names = ["TD3, Hopper-v5", "TD3, Walker2d-v5", "DDPG, Hopper-v5", "DDPG, HalfCheetah-v5"]
    assert [panel["title"]["text"] for panel in told["concat"]] == names
    for index, (panel, cell) in enumerate(zip(told["concat"], cells, strict=True)):
        lines, middle, rule = panel["layer"]
        assert rule["data"] == [{"value": 0.9}]
        shares = (0.0, 20 / experts[cell], 40 / experts[cell])
        assert lines["data"] == [
            {"seed": seed, "step": step, "share": share}
            for seed, step, share in zip((0, 0, 1), (5, 71, 5), shares, strict=True)
        ]
        assert middle["data"] == lines["data"]
        y = middle["encoding"]["y"]
        assert (y["aggregate"], y["field"]) == ("median", "share")
        assert y["title"] == ("share of the expert's return" if index in (0, 3) else None)
        assert lines["encoding"]["x"]["scale"]["domain"] == [0, 80]
    assert figures.robust(tmp_path / "nothing") is None


def test_critics_are_drawn_regime_by_regime_in_each_environment(figures, monkeypatch, tmp_path) -> None:
    asked = []

    def shares(results, study, cell):
        asked.append((study, *cell))
        return [{"seed": 0, "step": len(asked), "share": 2.0, "kind": "dead"}] if cell[1] not in lacking else []

    lacking = ()
    monkeypatch.setattr(figures.critics_table, "shares", shares)
    told = drawn(figures.critics(tmp_path))
    assert asked == [
        (study, method, environment)
        for environment in ("hopper", "walker2d", "halfcheetah")
        for study, method in (
            ("stability-bed", "ddpg plain"),
            ("stability-bed", "td3 plain"),
            ("stability-robust", "ddpg"),
            ("stability-robust", "td3"),
        )
    ]
    assert told["columns"] == 4
    for index, panel in enumerate(told["concat"]):
        lines, rule = panel["layer"]
        assert [row["step"] for row in lines["data"]] == [index + 1]
        assert rule["data"] == [{"value": 1}]
        encoding = lines["encoding"]
        assert (encoding["y"]["field"], encoding["y"]["scale"]["type"]) == ("share", "log")
        assert encoding["y"]["title"] == ("mean Q / reference" if index % 4 == 0 else None)
        assert encoding["color"]["scale"] == {"domain": ["not dead", "dead"], "range": [BLUE, "#999999"]}
        learner, environment = ("DDPG", "TD3")[index % 2], ("Hopper", "Walker2d", "HalfCheetah")[index // 4]
        regime = "the paper's regime" if index % 4 < 2 else "robust"
        assert panel["title"]["text"] == f"{learner}, {regime}, {environment}-v5"
    lacking = ("hopper",)
    assert figures.critics(tmp_path) is None


def test_longer_runs_are_drawn_by_what_had_become_of_a_seed_when_it_was_judged(figures, tmp_path) -> None:
    """Seed 0 was dead at 25,000 steps and came back; seed 1 died later; seed 2 was never at 0.1 of the expert; seed 3
    was so exactly. Under robust the same numbers are other seeds."""

    def files(study, bests, verdicts):
        rows = [
            ("td3", "hopper", seed, verdict, 0, 100, best, best / 2, 50)
            for seed, (best, verdict) in enumerate(zip(bests, verdicts, strict=True))
        ]
        others = [("ddpg", "hopper", 0, "weak", 0, 100, 1, 1, 9), ("td3", "walker2d", 0, "weak", 0, 100, 1, 1, 9)]
        seeds(tmp_path, study, [*others, *rows])
        names = (*SEED[:3], "step", "return")
        found = [
            dict(zip(names, (*row[:3], step, value), strict=True))
            for row in (*others, *rows)
            for step, value in ((2_500, row[6]), (99_000, "" if row[2] == 1 else 1.0))
        ]
        script_modules.write(tmp_path / f"{study}-evaluations.csv", found)

    files("stability-bed-longer", (40, 30, 4.9, 5), ("weak", "dead", "weak", "weak"))
    files("stability-robust", (45, 4), ("healthy", "weak"))
    judged = [("td3", "hopper", 0, "dead"), ("td3", "hopper", 1, "weak"), ("ddpg", "hopper", 2, "dead")]
    judged += [("td3", "walker2d", 3, "dead")]
    seeds(tmp_path, "stability-bed-longer-at-25000", [(*row, 0, 1, 1, 1, 50) for row in judged])
    told = drawn(figures.longer(tmp_path))
    regime, robust = told["hconcat"]
    assert [panel["title"]["text"] for panel in (regime, robust)] == [
        "TD3, Hopper-v5, the paper's regime",
        "TD3, Hopper-v5, robust",
    ]
    gone, low, fine = "dead at 25,000", "not dead, below 0.1 throughout", "not dead"
    assert regime["data"] == [
        {"seed": 0, "step": 2.5, "share": 0.8, "kind": gone},
        {"seed": 0, "step": 99, "share": 0.02, "kind": gone},
        {"seed": 1, "step": 2.5, "share": 0.6, "kind": fine},
        {"seed": 2, "step": 2.5, "share": 4.9 / 50, "kind": low},
        {"seed": 2, "step": 99, "share": 0.02, "kind": low},
        {"seed": 3, "step": 2.5, "share": 0.1, "kind": fine},
        {"seed": 3, "step": 99, "share": 0.02, "kind": fine},
    ]
    assert [(row["seed"], row["share"], row["kind"]) for row in robust["data"]] == [
        (0, 0.9, fine),
        (0, 0.02, fine),
        (1, 0.08, low),
    ]
    for panel in (regime, robust):
        colours = {"domain": [fine, low, gone], "range": [BLUE, "#222222", ORANGE]}
        assert panel["encoding"]["color"]["scale"] == colours
    assert figures.longer(tmp_path / "nothing") is None


def test_remedies_stand_below_nothing_changed_from_the_fewest_dead_on(figures, tmp_path) -> None:
    """Of as many dead, what ends higher comes first; a seed's end is the mean of its last three evaluations."""
    study = figures.penalty_table.REMEDIES
    curves = {
        "later-learning": [("dead", (3, 0, 0, 0)), ("weak", (4, 10, 20, 60))],
        "mixup": [("dead", (3, 0, 0, 0)), ("dead", (2, 0, 0, 0))],
        "plain": [("dead", (3, 0, 0, 0)), ("dead", (2, 0, 0, 0))],
        "cloning": [("dead", (3, 0, 0, 0)), ("failed", (90, 80, 80, 80))],
        "preactivation-penalty": [("weak", (0, 0, 0, 0)), ("weak", (50, 9, 9, 9))],
    }
    rows, evaluations, rounds = [], [], []
    for method, each in curves.items():
        for seed, (verdict, returns) in enumerate(each):
            place = {"method": method, "environment": "Hopper-v5", "seed": seed}
            ends = (verdict, 0, 500, max(returns), sorted(returns[-3:])[1], 100)
            rows.append(place | dict(zip(SEED[3:], ends, strict=True)) | {"kept_return": 1})
            evaluations += [place | {"step": 100 * n, "return": value} for n, value in enumerate(returns, 1)]
            rounds.append(place | {"step": 400, "reward_mean": 1, "q_mean": 2, "actor_gradient_max": 1})
    for kind, found in (("seeds", rows), ("evaluations", evaluations), ("rounds", rounds)):
        script_modules.write(tmp_path / f"{study}-{kind}.csv", found)
    settings = {"learner": "td3", "steps_per_round": 100, "updates_per_round": 2, "learning_starts": 0}
    settings |= {"td3": {"discount": 0.0, "target_rate": 0.5, "actor_delay": 2}}
    (tmp_path / f"{study}.json").write_text(json.dumps({method: {"identity": settings} for method in curves}))
    dots, texts = drawn(figures.remedies(tmp_path))["layer"]
    counts = {
        "nothing": 2,
        "pre-activation penalty, 0.01": 0,
        "cloning loss beside the critic (cloning_weight 1)": 1,
        "learning from step 10,000 on": 1,
        "mixup": 2,
    }
    assert texts["data"] == [{"row": name, "count": f"{count} of 2 dead"} for name, count in counts.items()]
    assert dots["encoding"]["y"]["sort"] == list(counts)
    assert [row["row"] for row in dots["data"]] == [name for name in counts for _ in range(4)]
    assert dots["data"][8:16] == [
        {"row": row, "share": share, "kind": kind, "of": of}
        for row, kind, of, share in (
            (list(counts)[2], "dead", "at best", 0.03),
            (list(counts)[2], "dead", "at the end", 0),
            (list(counts)[2], "not dead", "at best", 0.9),
            (list(counts)[2], "not dead", "at the end", pytest.approx(0.8)),
            (list(counts)[3], "dead", "at best", 0.03),
            (list(counts)[3], "dead", "at the end", 0),
            (list(counts)[3], "not dead", "at best", 0.6),
            (list(counts)[3], "not dead", "at the end", pytest.approx(0.3)),
        )
    ]
    assert dots["encoding"]["color"]["scale"] == {"domain": ["not dead", "dead"], "range": [BLUE, ORANGE]}
    assert dots["encoding"]["shape"]["scale"]["domain"] == ["at the end", "at best"]
    assert figures.remedies(tmp_path / "nothing") is None
