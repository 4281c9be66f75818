"""Tables of docs/stability/*.md that nothing was fixed for beforehand, from the files of keep_study.py: what the same
seeds say in pairs, what P(expert) and explosions go with, what foretells death by 25,000 steps, and what ``robust`` has
beyond cloning alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from credo_table import REGIMES, rows_of
from early_tables import cells_of, rounded
from kept_files import ENVIRONMENTS, LEARNERS, LOW, Rows, markdown, read, whole
from robust_table import curves_of, of_pairs
from scipy import stats

from credo.diagnostics.activity import activity_of
from credo.studies.ranks import rank_p_value

PAIRS = (
    ("stability-early-33", "Hopper-v5", "plain", "preactivation-penalty", "the penalty, 0.01: TD3, Hopper"),
    ("stability-early-again-33", "Hopper-v5", "plain", "small-penalty", "the penalty, 0.001: TD3, Hopper"),
    ("stability-early-again-33", "Hopper-v5", "plain", "cloning", "cloning loss: TD3, Hopper"),
    ("stability-early-again-33", "Hopper-v5", "plain", "action-cost", "action cost: TD3, Hopper"),
    ("stability-early-again-33", "Hopper-v5", "plain", "reward-r3", "reward r3: TD3, Hopper"),
    ("stability-early-again-33", "Hopper-v5", "plain", "reward-r6", "reward r6: TD3, Hopper"),
    ("stability-early-again-33", "Hopper-v5", "plain", "reward-fairl", "FAIRL's reward: TD3, Hopper"),
    ("stability-credo-early-33", "hopper", "td3 off", "td3 resample-5", "CREDO, over-trained: TD3, Hopper"),
    ("stability-credo-early-33", "hopper", "ddpg off", "ddpg resample-5", "CREDO, over-trained: DDPG, Hopper"),
    ("stability-credo-early-33", "halfcheetah", "td3 off", "td3 resample-5", "CREDO, over-trained: TD3, HalfCheetah"),
    (
        "stability-credo-early-33",
        "halfcheetah",
        "ddpg off",
        "ddpg resample-5",
        "CREDO, over-trained: DDPG, HalfCheetah",
    ),
)
NEW = 11
"""From this seed on they are new."""
PAIRED = (
    "to step 2,560, 22 new seeds",
    "inactive without it only, with it only, both",
    "p",
    "dead without it only, with it only, both",
    "p",
)
BED, SURE, DRAWINGS = "stability-bed", 0.99, 10_000
SIDES = {"plain": "without CREDO", "credo": "with CREDO"}
ASSOCIATED = (
    "at 25,000 steps",
    "seeds",
    f"P(expert) of the expert's at {SURE} or more in the last window",
    "P(expert): median",
    "largest gradient in the last window: median",
    "at 10 or more in any window",
    "below 0.1 of the expert at every evaluation",
)
REMEDIES, SAME = "stability-remedies", ("logit-clamp",)
"""Cells whose seeds are those of the plain one, number by number."""
READ = (512, 2_048, 8_192, 12_288)
FORETOLD = (
    "at step",
    "inactive",
    "of these dead at 25,000",
    "of all the dead",
    "not yet dead: seeds",
    "of these dead at 25,000",
    "rank of Q",
    "p",
)
TOGETHER = {
    "those that draw retained samples: `filter`, `retained`, `both`": ("resample", "retained", "both"),
    "all that have run": ("resample", "retained", "both", "batch", "clip"),
}
SCHEDULES = {"credo-paper": "one update a round", "credo": "over-trained"}
JOINED = (
    "settings",
    "dead",
    "seeds with a higher return",
    "return at the end, less that without CREDO: mean (least to most)",
    "p",
)
ROBUST, PARTS = "stability-robust", "stability-robust-parts"
CONTROLS = {
    "cloning alone": "cloning alone: the clone that its held-out loss chose",
    "still-discriminator": "`robust`, with a discriminator that never learns",
    "no-cloning": "`robust` without the cloning loss",
    "whole": "`robust`",
}
CONTROLLED = ("share of the expert's return at 25,000 steps, medians", *ENVIRONMENTS.values())


def paired(results: Path) -> list[str]:
    """Changes on new seeds, each seed beside itself: the exact test of the pairs that differ (McNemar's). Fisher's,
    which was fixed, takes the two sides for independent, though they share first weights and random actions."""
    lines = []
    for study, environment, plain, changed, name in PAIRS:
        cells = cells_of(results, study, NEW)
        sides = [{row["seed"]: row for row in cells[method, environment]} for method in (plain, changed)]
        told = []
        for kind in (_inactive, _dead):
            fates = [(kind(sides[0][seed]), kind(sides[1][seed])) for seed in sides[0]]
            told += [_counted(fates), rounded(_mcnemar(fates))]
        lines.append([name, *told])
    return markdown(PAIRED, lines)


def with_and_without(results: Path) -> list[str]:
    """The dead of the bed with CREDO and without, over all nine pairs of learner and environment, with an interval:
    percentiles of drawings of whole seeds within environments, since learners share a seed's first weights."""
    cells = cells_of(results, BED)
    fates: dict[tuple[str, float], list[tuple[bool, bool]]] = defaultdict(list)
    for learner in LEARNERS:
        for environment in ENVIRONMENTS:
            plain, credo = (
                {row["seed"]: row for row in cells.get((f"{learner} {side}", environment), [])} for side in SIDES
            )
            for seed in plain:
                fates[environment, seed].append((_dead(plain[seed]), _dead(credo[seed])))
    every = [pair for pairs in fates.values() for pair in pairs]
    generator, drawn = np.random.default_rng(0), np.zeros(DRAWINGS)
    for environment in ENVIRONMENTS:
        differences = np.array(
            [sum(credo - plain for plain, credo in pairs) for place, pairs in fates.items() if place[0] == environment]
        )
        drawn += differences[generator.integers(len(differences), size=(DRAWINGS, len(differences)))].sum(axis=1)
    low, high = np.percentile(drawn / len(every), [2.5, 97.5])
    difference = sum(credo - plain for plain, credo in every) / len(every)
    header = ("dead at 25,000 steps", "without CREDO only", "with it only", "both", "difference (95% interval)")
    counts = _counted(every).split(", ")
    return markdown(
        header, [[f"of {len(every)} pairs of seeds", *counts, f"{difference:+.0%} ({low:+.0%} to {high:+.0%})"]]
    )


def association(results: Path) -> list[str]:
    """What the paper ties together, by fate: an explosion, a sure discriminator, returns near 0."""
    last: dict[tuple[str, str, float], dict[str, Any]] = {}
    largest: dict[tuple[str, str, float], float] = defaultdict(float)
    for row in read(results / f"{BED}-rounds.csv"):
        place = (row["method"], row["environment"], row["seed"])
        last[place] = row
        if row["actor_gradient_max"] != "":
            largest[place] = max(largest[place], row["actor_gradient_max"])
    every, lines = read(results / f"{BED}-seeds.csv"), []
    for side, told in SIDES.items():
        for fate in (True, False):
            seeds = [row for row in every if row["method"].endswith(f" {side}") and _dead(row) == fate]
            places = [(row["method"], row["environment"], row["seed"]) for row in seeds]
            sure = [last[place]["expert_probability_expert"] for place in places]
            gradient = [last[place]["actor_gradient_max"] for place in places]
            low = sum(row["best_return"] < LOW * row["expert_return"] for row in seeds)
            lines.append(
                [
                    f"{told}, {'dead' if fate else 'not dead'}",
                    len(seeds),
                    sum(value >= SURE for value in sure),
                    f"{median(sure):.3f}",
                    f"{median(gradient):.1g}",
                    sum(largest[place] >= 10 for place in places),
                    low,
                ]
            )
    return markdown(ASSOCIATED, lines)


def foretold(results: Path) -> list[str]:
    """Who of the remedies' runs is dead at 25,000 steps, read before: by an inactive actor, and, of those that are not
    yet dead, by mean Q (``rank`` and p as in early_warning). Cells with seeds of both fates."""
    fates = {
        (row["method"], row["seed"]): row["step"] if _dead(row) else np.inf
        for row in whole(read(results / f"{REMEDIES}-seeds.csv"))
        if row["method"] not in SAME
    }
    kinds: dict[str, set[bool]] = defaultdict(set)
    for (method, _), step in fates.items():
        kinds[method].add(bool(np.isfinite(step)))
    mixed = sorted(method for method, seen in kinds.items() if len(seen) == 2)
    places = [place for place in fates if place[0] in mixed]
    windows: dict[tuple[str, float], Rows] = defaultdict(list)
    for row in read(results / f"{REMEDIES}-rounds.csv"):
        windows[row["method"], row["seed"]].append(row)
    dies = np.array([np.isfinite(fates[place]) for place in places])
    cell, seed = np.array([(mixed.index(method), number) for method, number in places], int).T
    lines = []
    for step in READ:
        read_there = [_window_at(step, windows[place]) for place in places]
        warned = np.array([bool(activity_of(_columns(row)).inactive.any()) for row in read_there])
        alive = np.array([fates[place] > step for place in places])
        value = np.where(alive, [row["q_mean"] if row["q_mean"] != "" else np.nan for row in read_there], np.nan)
        rank, p = rank_p_value(cell, seed, dies, value, np.random.default_rng(step))
        right = int((warned & dies).sum())
        lines.append(
            [
                f"{step:,}",
                f"{warned.sum()} of {len(places)}",
                f"{right} ({right / warned.sum():.2f})",
                f"{right / dies.sum():.2f}",
                int(alive.sum()),
                int((alive & dies).sum()),
                f"{rank:.2f}",
                rounded(p),
            ]
        )
    return markdown(FORETOLD, lines)


def together(results: Path, name: str) -> list[str]:
    """CREDO's settings in one schedule of the discriminator at 25,000 steps, each seed's mean over them less the same
    seed without CREDO: returns at the end, and the dead. p: Wilcoxon's exact test of the seeds' differences."""
    regime = REGIMES[name]
    curves: dict[tuple[str, float], list[float]] = defaultdict(list)
    for row in rows_of(results, regime, "evaluations"):
        curves[row["method"], row["seed"]].append(row["return"])
    ends = {place: median(returns[-3:]) for place, returns in curves.items()}
    dead = {(row["method"], row["seed"]): _dead(row) for row in whole(rows_of(results, regime, "seeds"))}
    methods = sorted({method for method, _ in dead} - {"off"})
    seeds = sorted(seed for method, seed in dead if method == "off")
    lines = []
    for told, kinds in TOGETHER.items():
        mine = [method for method in methods if method.split("-")[0] in kinds]
        differences = [mean(ends[method, seed] for method in mine) - ends["off", seed] for seed in seeds]
        lines.append(
            [
                told,
                len(mine),
                f"{sum(dead[method, seed] for method in mine for seed in seeds)} of {len(mine) * len(seeds)}",
                f"{sum(difference > 0 for difference in differences)} of {len(seeds)}",
                f"{mean(differences):+.0f} ({min(differences):+.0f} to {max(differences):+.0f})",
                rounded(of_pairs(differences)),
            ]
        )
    without = sum(dead["off", seed] for seed in seeds)
    lines.append(["CREDO off", "", f"{without} of {len(seeds)}", "", "", ""])
    return markdown((f"TD3, Hopper, {SCHEDULES[name]}, 25,000 steps", *JOINED), lines)


def controls(results: Path) -> list[str]:
    """Seed by seed on five episodes: the last evaluation by 25,000 steps, five episodes each; of the clone its 20 new
    episodes. p: Wilcoxon's exact test of the seeds' differences from `robust`."""
    cells, evaluations = cells_of(results, ROBUST), read(results / f"{ROBUST}-evaluations.csv")
    others, theirs = cells_of(results, PARTS), read(results / f"{PARTS}-evaluations.csv")
    played = [row for row in read(results / f"{ROBUST}-kept.csv") if row["method"] == "bc"]
    shares: dict[str, dict[str, list[float]]] = {name: {} for name in CONTROLS}
    for environment in ENVIRONMENTS:
        whole_curves = curves_of(evaluations, cells, "td3", environment)
        shares["whole"][environment] = [one[4][1] for one in whole_curves]
        for part in ("still-discriminator", "no-cloning"):
            shares[part][environment] = [one[4][1] for one in curves_of(theirs, others, part, environment)]
        expert = cells["bc", environment][0]["expert_return"]
        clones = sorted((row for row in played if row["environment"] == environment), key=lambda row: row["seed"])
        shares["cloning alone"][environment] = [row["mean"] / expert for row in clones]

    def told(name: str, environment: str) -> str:
        mine, base = shares[name][environment], shares["whole"][environment]
        if name == "whole":
            return f"{median(mine):.2f}"
        p = of_pairs([one - other for one, other in zip(mine, base, strict=True)])
        return f"{median(mine):.2f} (p = {rounded(p)})"

    rows = [[label, *(told(name, environment) for environment in ENVIRONMENTS)] for name, label in CONTROLS.items()]
    return markdown(CONTROLLED, rows)


def _dead(row: dict[str, Any]) -> bool:
    return bool(row["verdict"] == "dead")


def _inactive(row: dict[str, Any]) -> bool:
    return bool(row["inactive"])


def _counted(fates: list[tuple[bool, bool]]) -> str:
    return f"{fates.count((True, False))}, {fates.count((False, True))}, {fates.count((True, True))}"


def _mcnemar(fates: list[tuple[bool, bool]]) -> float:
    first, second = fates.count((True, False)), fates.count((False, True))
    return float(stats.binomtest(first, first + second).pvalue) if first + second else 1.0


def _window_at(step: int, rows: Rows) -> dict[str, Any]:
    return [row for row in rows if row["step"] <= step][-1]


def _columns(row: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] if row[name] != "" else np.nan]) for name in _READ}


_READ = ("step", "actor_gradient_max", "action_saturation")
TABLES: dict[str, Callable[[Path], list[str]]] = {
    "paired": paired,
    "with-and-without": with_and_without,
    "association": association,
    "foretold": foretold,
    "credo-paper-together": partial(together, name="credo-paper"),
    "credo-together": partial(together, name="credo"),
    "robust-controls": controls,
}
