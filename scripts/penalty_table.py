"""Tables of docs/stability/longer.md, from keep_study.py's files: the penalty, given time, with one part more or less,
and two parts without it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
from bed_table import REMEDIED
from bed_table import STUDY as BED
from credo_table import of_dead, worth
from critics_table import curves, ratios
from early_tables import cells_of, rounded
from kept_files import ENVIRONMENTS, NEAR_THE_EXPERT, Rows, markdown, read, whole

from credo.studies.counts import holm

LONGER, WITH, REMEDIES = "stability-penalty-longer", "stability-penalty-with", "stability-remedies"
WITHOUT, TWO = "stability-penalty-without", "stability-two-parts"
LAST = 3
"""Evaluations that are the end of a seed."""
_MEASURED = (
    "steps",
    "dead",
    "end, mean share of the expert's return: mean of seeds (least to most)",
    "best evaluation, share: median (least to most)",
    "at 0.9 in any",
    "kept policy at 0.9 in the evaluation that chose it",
    "Q / reference, of those not dead: median (most)",
)
HEADER = ("changed", *_MEASURED, "p of dead, of the end, alone / Holm")
ADDED = {
    "penalty": "nothing",
    "critic-norm": "layer norm in the critics",
    "cloning": "the cloning loss",
    "sooner": "1,000 random steps, nothing learned before",
    "discriminator": "`robust`'s discriminator",
    "normalised-observations": "normalised observations",
    "smaller-networks": "256-256 units, batches of 64, target rate 0.01",
    "all-but-cloning": "all but the cloning loss",
}

LEFT_OUT = {
    "everything": "nothing",
    "critic-norm": "layer norm in the critics",
    "sooner": "1,000 random steps: 10,000, learning from the first",
    "discriminator": "`robust`'s discriminator: the paper's",
    "gradient-penalty": "the gradient penalty of `robust`'s discriminator",
    "normalised-observations": "normalised observations",
    "smaller-networks": "256-256 units, batches of 64, target rate 0.01: 400-300, 128, 0.005",
    "preactivation-penalty": "the pre-activation penalty",
}

TWO_PARTS = {
    "plain": "nothing",
    "two-parts": "an earlier policy and `robust`'s discriminator",
    "and-normalised": "the same, and normalised observations",
}


def ends(seeds: Rows, evaluations: Rows) -> list[float]:
    """Of every seed the mean of its last evaluations, as a share of the expert's return."""
    found = []
    for seed in seeds:
        place = (seed["method"], seed["environment"], seed["seed"])
        mine = [row for row in evaluations if (row["method"], row["environment"], row["seed"]) == place]
        last = sorted(mine, key=lambda row: row["step"])[-LAST:]
        found.append(mean(worth(row["return"]) for row in last) / seed["expert_return"])
    return found


def exchanged(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the difference of means: the share of all exchanges of seeds that differ as much."""
    values, count = np.array([*first, *second]), len(first)
    half = len(values) // 2
    sums, others = _sums(values[:half]), _sums(values[half:])
    together = [
        np.add.outer(chosen, others[count - number]).ravel()
        for number, chosen in enumerate(sums)
        if 0 <= count - number < len(others)
    ]
    # The other side's mean follows from this one's.
    apart = abs(np.concatenate(together) / count - values.mean())
    return float((apart >= abs(np.mean(first) - values.mean()) - 1e-12).mean())


def _sums(values: np.ndarray) -> list[np.ndarray]:
    """By how many values are chosen, from none to all, the sum of every such choice."""
    sums = [np.zeros(1), *[np.empty(0)] * len(values)]
    for value in values:
        sums = [sums[0], *(np.append(more, fewer + value) for fewer, more in itertools.pairwise(sums))]
    return sums


class Measured(NamedTuple):
    """What a method's seeds came to, and what is tested of it."""

    seeds: Rows
    ends: list[float]
    told: list[str]
    """Cells of ``_MEASURED``."""


def measured(results: Path, study: str) -> dict[str, Measured]:
    """Every method of a study in one environment."""
    return {method: told for (method, _), told in measured_in(results, study).items()}


def measured_in(results: Path, study: str) -> dict[tuple[str, str], Measured]:
    """Every method of a study in every environment."""
    evaluations, references = read(results / f"{study}-evaluations.csv"), curves(results, study)
    told = {}
    for cell, every in cells_of(results, study).items():
        rows = whole(every)
        at_end, times = ends(rows, evaluations), ratios(rows, references[cell])
        bests = [row["best_return"] / row["expert_return"] for row in rows]
        kept = [worth(row["kept_return"]) / row["expert_return"] for row in rows]
        told[cell] = Measured(
            rows,
            at_end,
            [
                f"{max(row['steps'] for row in rows):,.0f}",
                f"{sum(row['verdict'] == 'dead' for row in rows)} of {len(rows)}",
                f"{mean(at_end):.2f} ({min(at_end):.2f} to {max(at_end):.2f})",
                f"{median(bests):.2f} ({min(bests):.2f} to {max(bests):.2f})",
                f"{sum(best >= NEAR_THE_EXPERT for best in bests)} of {len(rows)}",
                f"{sum(share >= NEAR_THE_EXPERT for share in kept)} of {len(rows)}",
                f"{median(times):.1f} ({max(times):.1f})" if times else "",
            ],
        )
    return told


def table(results: Path) -> list[str]:
    """Nothing changed, and the penalty on the same seeds."""
    found = measured(results, LONGER)
    plain, penalty = found["plain"], found["preactivation-penalty"]
    alone = [of_dead(penalty.seeds, plain.seeds), exchanged(penalty.ends, plain.ends)]
    tested = ", ".join(
        f"{one} / {both}" for one, both in zip(map(rounded, alone), map(rounded, holm(alone)), strict=True)
    )
    lines = [[REMEDIED["plain"], *plain.told, ""], [REMEDIED["preactivation-penalty"], *penalty.told, tested]]
    return markdown(HEADER, lines)


def with_a_part(results: Path) -> list[str]:
    """The penalty, and one part more a row; Holm's correction is for the parts that have run.

    The penalty's run has gone on since, and a run that goes on loses the evaluation at its first end: that row is as
    stability-remedies kept it.
    """
    found = measured(results, WITH) | {"penalty": measured(results, REMEDIES)["preactivation-penalty"]}
    return _against("penalty", found, ADDED, "added to the penalty")


def without_a_part(results: Path) -> list[str]:
    """The penalty with all of robust but the cloning loss, and one part less a row."""
    return _against("everything", measured(results, WITHOUT), LEFT_OUT, "left out")


def two_parts(results: Path) -> list[str]:
    """The paper's regime with two parts of robust and no penalty, in each environment; Holm's correction is for all
    cells that have run. What nothing changed comes to is stability-bed's."""
    plain, changed = measured_in(results, BED), measured_in(results, TWO)
    found = {cell: of for cell, of in changed.items() if cell[0] != "plain"}
    bases = {environment: plain["td3 plain", environment] for environment in ENVIRONMENTS}
    tested = _tested({cell: (of, bases[cell[1]]) for cell, of in found.items()})
    found |= {("plain", environment): base for environment, base in bases.items()}
    lines = [
        [f"{change}, {name}", *found[method, environment].told, tested.get((method, environment), "")]
        for environment, name in ENVIRONMENTS.items()
        for method, change in TWO_PARTS.items()
        if (method, environment) in found
    ]
    return markdown(("changed", *_MEASURED, "p of the end, alone / Holm"), lines)


def _against(base: str, found: dict[str, Measured], names: dict[str, str], header: str) -> list[str]:
    """Every method's ends against those of ``base``, in the order of ``names``."""
    tested = _tested({method: (of, found[base]) for method, of in found.items() if method != base})
    lines = [
        [names[method], *found[method].told, tested.get(method, "")] for method in sorted(found, key=list(names).index)
    ]
    return markdown((header, *_MEASURED, "p of the end, alone / Holm"), lines)


def _tested(pairs: dict[Any, tuple[Measured, Measured]]) -> dict[Any, str]:
    """p of the difference of the two sides' ends, alone and with Holm's correction for all pairs."""
    alone = [exchanged(first.ends, second.ends) for first, second in pairs.values()]
    told = zip(map(rounded, alone), map(rounded, holm(alone)), strict=True)
    return dict(zip(pairs, (f"{one} / {both}" for one, both in told), strict=True))
