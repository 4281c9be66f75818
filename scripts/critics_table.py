"""The tables of docs/stability.md on what critics promise in the paper's regime, from the files of keep_study.py."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median

from bed_table import METHODS, named
from early_tables import CHANGES, cells_of, rounded
from kept_files import ENVIRONMENTS, LEARNERS, Rows, in_order, markdown, read
from robust_table import of_pairs

from credo.studies.counts import holm

BED, ROBUST, EXPLOSION = "stability-bed", "stability-robust", "stability-explosion"
LAST = 3
"""Windows of rounds that are the end of a seed."""
HEADER = (
    "",
    "not dead",
    "reward of a step",
    "what it is worth, / (1 - discount)",
    "mean Q at the end: median (most)",
    "largest gradient of the actor at the end: median (most)",
)
TESTED = "p of the gradient, of Q, alone / Holm"


def ends(results: Path, study: str) -> dict[tuple[str, str], dict[float, tuple[float, float, float]]]:
    """Of each cell whose rewards were kept, and seed, over its last windows: means of reward and Q, and its
    actor's largest gradient."""
    windows: dict[tuple[str, str], dict[float, Rows]] = {}
    for row in read(results / f"{study}-rounds.csv"):
        windows.setdefault((row["method"], row["environment"]), {}).setdefault(row["seed"], []).append(row)
    last = {cell: {seed: rows[-LAST:] for seed, rows in seeds.items()} for cell, seeds in windows.items()}
    return {
        cell: {seed: _end(rows) for seed, rows in seeds.items()}
        for cell, seeds in last.items()
        if all(row["reward_mean"] != "" for rows in seeds.values() for row in rows)
    }


def _end(rows: Rows) -> tuple[float, float, float]:
    return (
        mean(row["reward_mean"] for row in rows),
        mean(row["q_mean"] for row in rows),
        max(row["actor_gradient_max"] for row in rows),
    )


def promised(results: Path, study: str, cell: tuple[str, str]) -> Rows:
    """Of every seed and window of a cell, mean Q over what the mean reward is worth; without windows in which nothing
    is learned yet, or where Q is not above 0."""
    dead = {row["seed"] for row in cells_of(results, study).get(cell, ()) if row["verdict"] == "dead"}
    return [
        {
            "seed": row["seed"],
            "step": row["step"] / 1000,
            "share": row["q_mean"] * (1 - _discount(results, study, cell)) / row["reward_mean"],
            "kind": "dead" if row["seed"] in dead else "not dead",
        }
        for row in read(results / f"{study}-rounds.csv")
        if (row["method"], row["environment"]) == cell and row["reward_mean"] != "" and row["q_mean"] > 0
    ]


def row_of(name: str, seeds: Rows, found: dict[float, tuple[float, float, float]], discount: float) -> list[str]:
    """Of the seeds that are not dead, whose actors no critic moves."""
    alive = [found[row["seed"]] for row in seeds if row["verdict"] != "dead"]
    told = [name, f"{len(alive)} of {len(seeds)}"]
    if not alive:
        return [*told, "", "", "", ""]
    rewards, values, gradients = zip(*alive, strict=True)
    return [
        *told,
        f"{median(rewards):.2f}",
        f"{median(rewards) / (1 - discount):.1f}",
        f"{median(values):.0f} ({max(values):.0f})",
        f"{median(gradients):.2g} ({max(gradients):.2g})",
    ]


def table(results: Path) -> list[str]:
    """A learner in an environment a row, in the paper's regime and under robust."""
    rows = []
    for study, methods, name in ((BED, METHODS, named), (ROBUST, LEARNERS, _robust)):
        cells, found = cells_of(results, study), ends(results, study)
        keys = in_order([key for key in found if key[0] in methods], methods)
        rows += [row_of(name(*key), cells[key], found[key], _discount(results, study, key)) for key in keys]
    return markdown(HEADER, rows)


def _robust(method: str, environment: str) -> str:
    return f"`robust`: {LEARNERS[method]}, {ENVIRONMENTS[environment]}"


def explosion(results: Path) -> list[str]:
    """One change a row, on the seeds of DDPG on Walker2d-v5; tests of all seeds against nothing changed."""
    cells, found = cells_of(results, EXPLOSION), ends(results, EXPLOSION)
    (plain,) = (key for key in cells if key[0] == "plain")
    others = [key for key in sorted(cells, key=lambda key: list(CHANGES).index(key[0])) if key != plain]
    alone = {
        column: [
            of_pairs([found[key][seed][column] - found[plain][seed][column] for seed in found[plain]]) for key in others
        ]
        for column in (2, 1)
    }
    p_values = {
        key: ", ".join(f"{rounded(alone[column][index])} / {rounded(holm(alone[column])[index])}" for column in (2, 1))
        for index, key in enumerate(others)
    }
    rows = [
        [*row_of(CHANGES[key[0]], cells[key], found[key], _discount(results, EXPLOSION, key)), p_values.get(key, "")]
        for key in (plain, *others)
    ]
    return markdown((*HEADER, TESTED), rows)


def _discount(results: Path, study: str, key: tuple[str, str]) -> float:
    """That of the learner, by what is recorded of the cell; a study of one environment names its cells by method."""
    cells = json.loads((results / f"{study}.json").read_text())
    method, environment = key
    identity = cells.get(f"{method.replace(' ', '/')}/{environment}", cells.get(method))["identity"]
    return float(identity[identity["learner"]]["discount"])
