"""Tables of docs/stability/longer.md: mean Q in the paper's regime, from the files of keep_study.py."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from bed_table import METHODS, gradient, named
from credo_table import late, of_dead
from early_tables import CHANGES, cells_of, rounded
from kept_files import ENVIRONMENTS, LEARNERS, Rows, in_order, markdown, read
from robust_table import of_pairs

from credo.diagnostics.critics import Following, reference_q
from credo.studies.counts import holm

BED, ROBUST, EXPLOSION = "stability-bed", "stability-robust", "stability-explosion"
LAST = 3
"""Windows of rounds that are the end of a seed."""
HEADER = (
    "",
    "not dead",
    "reward of a step",
    "reference Q",
    "mean Q: median (most)",
    "Q / reference: median (least to most)",
    "largest gradient of the actor: median (most)",
)
PAIRS = (
    "CREDO off, and its filter with c = 5",
    "dead",
    "exploded",
    "best evaluation, share of the expert's return: medians",
    "largest gradient of the actor at the end: medians",
    "Q / reference, of those not dead: medians",
    "filtered, second half",
    "p of dead, of the gradient, alone / Holm",
)
TESTED = "p of the gradient, of Q, alone / Holm; of Q / reference"
Cell = tuple[str, str]
"""Method and environment."""


class Window(NamedTuple):
    """Some rounds of a seed."""

    step: float
    rounds: float
    reward: float
    q: float
    reference: float
    """What a critic would say that errs in nothing and whose targets lag as these do, if no episode ended."""
    gradient: float
    """The largest of the actor."""


class End(NamedTuple):
    """The last windows of a seed, weighed by their rounds."""

    reward: float
    q: float
    reference: float
    gradient: float


def windows_of(rows: Rows, targets: Following, steps: int, learning_starts: int = 0) -> list[Window]:
    """A seed's windows in which something is learned; ``steps``: of a round. Of a window in which learning begins the
    rounds before it are none of its own: the means are of the others."""
    before = itertools.chain([0.0], (row["step"] for row in rows))
    begins = (learning_starts - 1) // steps * steps
    lengths = [(row["step"] - max(start, begins)) / steps for row, start in zip(rows, before, strict=False)]
    learned = [(row, n) for row, n in zip(rows, lengths, strict=True) if "" not in (row["q_mean"], row["reward_mean"])]
    references = reference_q(
        np.array([row["reward_mean"] for row, _ in learned]), targets, np.array([n for _, n in learned])
    )
    return [
        Window(row["step"], n, row["reward_mean"], row["q_mean"], float(value), row["actor_gradient_max"])
        for (row, n), value in zip(learned, references, strict=True)
    ]


def curves(results: Path, study: str) -> dict[Cell, dict[float, list[Window]]]:
    """The windows of every seed, of the cells whose rewards were kept."""
    rows: dict[Cell, dict[float, Rows]] = {}
    for row in read(results / f"{study}-rounds.csv"):
        rows.setdefault((row["method"], row["environment"]), {}).setdefault(row["seed"], []).append(row)
    cells = json.loads((results / f"{study}.json").read_text()) if rows else {}
    found = {}
    for cell, seeds in rows.items():
        # A study of one environment names its cells by method alone.
        method, environment = cell
        told = cells.get(f"{method.replace(' ', '/')}/{environment}", cells.get(method))["identity"]
        learner = told["learner"]
        if learner in LEARNERS and all(mine[-1]["reward_mean"] != "" for mine in seeds.values()):
            moves = told["updates_per_round"] // told[learner].get("actor_delay", 1)
            targets = Following(told[learner]["discount"], told[learner]["target_rate"], moves)
            found[cell] = {
                seed: windows_of(mine, targets, told["steps_per_round"], told["learning_starts"])
                for seed, mine in seeds.items()
            }
    return found


def end_of(windows: list[Window]) -> End:
    last = windows[-LAST:]
    weights = [window.rounds for window in last]
    means = (
        np.average([getattr(window, name) for window in last], weights=weights) for name in ("reward", "q", "reference")
    )
    return End(*map(float, means), max(window.gradient for window in last))


def alive(seeds: Rows, found: dict[float, list[Window]]) -> list[End]:
    """The ends of the seeds that are not dead, whose actors no critic moves."""
    return [end_of(found[row["seed"]]) for row in seeds if row["verdict"] != "dead"]


def ratios(seeds: Rows, found: dict[float, list[Window]]) -> list[float]:
    """Mean Q over its reference at the end, of the seeds that are not dead."""
    return [end.q / end.reference for end in alive(seeds, found)]


def row_of(name: str, seeds: Rows, found: dict[float, list[Window]]) -> list[str]:
    """Of the seeds that are not dead."""
    ends = alive(seeds, found)
    told = [name, f"{len(ends)} of {len(seeds)}"]
    if not ends:
        return [*told, "", "", "", "", ""]
    times = ratios(seeds, found)
    values, gradients = [end.q for end in ends], [end.gradient for end in ends]
    return [
        *told,
        f"{median(end.reward for end in ends):.2f}",
        f"{median(end.reference for end in ends):.0f}",
        f"{median(values):,.0f} ({max(values):,.0f})",
        f"{median(times):.1f} ({min(times):.1f} to {max(times):.1f})",
        f"{_gradient(median(gradients))} ({_gradient(max(gradients))})",
    ]


def _gradient(value: float) -> str:
    return gradient(value, ".1f")


def shares(results: Path, study: str, cell: Cell) -> Rows:
    """Of every seed and window of a cell, mean Q over its reference, where it is above 0."""
    dead = {row["seed"] for row in cells_of(results, study).get(cell, ()) if row["verdict"] == "dead"}
    return [
        {
            "seed": seed,
            "step": window.step / 1000,
            "share": window.q / window.reference,
            "kind": "dead" if seed in dead else "not dead",
        }
        for seed, windows in curves(results, study).get(cell, {}).items()
        for window in windows
        if window.q > 0
    ]


def table(results: Path) -> list[str]:
    """A learner in an environment a row, in the paper's regime and under robust."""
    rows = []
    for study, methods, name in ((BED, METHODS, named), (ROBUST, LEARNERS, _robust)):
        cells, found = cells_of(results, study), curves(results, study)
        keys = in_order([key for key in found if key[0] in methods], methods)
        rows += [row_of(name(*key), cells[key], found[key]) for key in keys]
    return markdown(HEADER, rows)


def _robust(method: str, environment: str) -> str:
    return f"`robust`: {LEARNERS[method]}, {ENVIRONMENTS[environment]}"


def explosion(results: Path) -> list[str]:
    """One change a row, on the seeds of DDPG on Walker2d-v5; the tests are of all seeds against nothing changed."""
    cells, found = cells_of(results, EXPLOSION), curves(results, EXPLOSION)
    (plain,) = (key for key in found if key[0] == "plain")
    others = [key for key in sorted(found, key=lambda key: list(CHANGES).index(key[0])) if key != plain]
    ends = {key: {seed: end_of(windows) for seed, windows in found[key].items()} for key in found}
    alone = {
        column: [
            of_pairs([getattr(end, column) - getattr(ends[plain][seed], column) for seed, end in ends[key].items()])
            for key in others
        ]
        for column in ("gradient", "q")
    }
    # The third test was not fixed beforehand.
    shares = {key: {seed: end.q / end.reference for seed, end in ends[key].items()} for key in found}
    told = {
        key: ", ".join(f"{rounded(each[index])} / {rounded(holm(each)[index])}" for each in alone.values())
        + f"; {rounded(of_pairs([share - shares[plain][seed] for seed, share in shares[key].items()]))}"
        for index, key in enumerate(others)
    }
    rows = [[*row_of(CHANGES[key[0]], cells[key], found[key]), told.get(key, "")] for key in (plain, *others)]
    return markdown((*HEADER, TESTED), rows)


def credo(results: Path) -> list[str]:
    """The bed without CREDO and with it: a learner in an environment a row, and the two tests that were fixed."""
    cells, found = cells_of(results, BED), curves(results, BED)
    rounds = read(results / f"{BED}-rounds.csv")
    pairs = {}
    for learner, environment in itertools.product(LEARNERS, ENVIRONMENTS):
        pair = (f"{learner} plain", environment), (f"{learner} credo", environment)
        if all(key in cells for key in pair):
            pairs[f"{LEARNERS[learner]}, {ENVIRONMENTS[environment]}"] = pair
    ends = {
        key: {seed: end_of(windows) for seed, windows in found[key].items()} for each in pairs.values() for key in each
    }
    alone = {
        "dead": [of_dead(cells[with_it], cells[without]) for without, with_it in pairs.values()],
        "gradient": [
            of_pairs([end.gradient - ends[without][seed].gradient for seed, end in ends[with_it].items()])
            for without, with_it in pairs.values()
        ],
    }
    rows = []
    for index, (name, pair) in enumerate(pairs.items()):
        sides = [cells[key] for key in pair]
        times = [ratios(cells[key], found[key]) for key in pair]
        filtered = [row for row in rounds if (row["method"], row["environment"]) == pair[1]]
        rows.append(
            [
                name,
                *(
                    " and ".join(f"{sum(row['verdict'] == kind for row in side)}" for side in sides)
                    + f" of {len(sides[0])}"
                    for kind in ("dead", "exploded")
                ),
                " and ".join(
                    f"{median(row['best_return'] / row['expert_return'] for row in side):.2f}" for side in sides
                ),
                " and ".join(_gradient(median(end.gradient for end in ends[key].values())) for key in pair),
                " and ".join(f"{median(side):.0f}" if side else "-" for side in times),
                f"{late(filtered, 'filtered_share'):.0%}",
                ", ".join(f"{rounded(each[index])} / {rounded(holm(each)[index])}" for each in alone.values()),
            ]
        )
    return markdown(PAIRS, rows)
