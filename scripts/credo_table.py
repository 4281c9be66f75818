"""Tables of docs/stability/credo.md: settings of CREDO in one regime, from the files of keep_study.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
from early_tables import against, dead, inactive, rounded
from kept_files import Rows, markdown, read, whole
from scipy import stats

from credo.studies.counts import Stratum, exact_test, holm


class Regime(NamedTuple):
    """What a table takes of a study."""

    study: str
    begins: str = ""
    """What its methods of this regime begin with."""
    first_seed: int = 0
    """The seeds from here on: those before are another study's."""
    fixed: bool = False
    """Whether ``fixed`` tests it, one method against CREDO off alone; else ``explored``."""
    same: tuple[tuple[str, str, str], ...] = ()
    """(study, its method, setting): runs of another study that are cells of this one, and are kept there."""


ENVIRONMENT = ("Hopper-v5", "hopper")
"""The one in which settings of CREDO are compared; by its label where a study has several."""
REGIMES = {
    "credo-early": Regime("stability-credo-early", "td3 "),
    "credo-paper": Regime(
        "stability-credo",
        "td3 paper ",
        same=(("stability-bed", "td3 plain", "off"), ("stability-bed", "td3 credo", "resample-5")),
    ),
    "credo": Regime("stability-credo", "td3 over-trained "),
    "credo-alive": Regime("stability-credo-alive"),
    "credo-33": Regime("stability-credo-33", first_seed=11, fixed=True),
}
"""By the name of the table."""
HEADER = (
    "CREDO",
    "steps",
    "dead",
    "inactive at the end",
    "return at the end: median (least to most)",
    "mean return of the second half: median",
    "filtered",
    "outliers",
    "P(expert) of the expert's, the policy's",
)
EXPLORED = "p of inactive, of returns (Holm)"
FIXED = "p of dead, of the last evaluation; of returns at the end"
Cells = dict[str, Rows]
"""By name of the method: the rows of its seeds, or of their evaluations."""


def by_method(rows: Rows) -> Cells:
    cells: Cells = {}
    for row in rows:
        cells.setdefault(row["method"], []).append(row)
    return cells


def named(method: str) -> str:
    """A setting of CREDO, which the studies call reading-threshold, as the page writes it."""
    if method == "off":
        return method
    reading, threshold = method.split("-")
    return f"`{'filter' if reading == 'resample' else reading}`, c = {threshold}"


def late(rounds: Rows, name: str) -> float:
    """Mean over seeds of a diagnostic over the second half of the run, windows weighed by their length; of seeds that
    were frozen before, there is none."""
    half = max(row["step"] for row in rounds) / 2
    values = []
    for seed in sorted({row["seed"] for row in rounds}):
        mine = [row for row in rounds if row["seed"] == seed]
        pairs = itertools.pairwise(mine)
        lengths = [(row["step"] - before["step"], row[name]) for before, row in pairs if row["step"] > half]
        if lengths:
            values.append(sum(length * value for length, value in lengths) / sum(length for length, _ in lengths))
    return mean(values)


def worth(value: Any) -> float:
    """A return; the evaluations of a frozen seed are worth nothing."""
    return 0.0 if value == "" else value


def second_half(evaluations: Rows) -> list[float]:
    """Of each seed, the mean return of its evaluations after half of the steps."""
    half = max(row["step"] for row in evaluations) / 2
    late: dict[float, list[float]] = {}
    for row in evaluations:
        if row["step"] > half:
            late.setdefault(row["seed"], []).append(worth(row["return"]))
    return [mean(values) for values in late.values()]


def last_evaluations(evaluations: Rows) -> list[float]:
    """Of each seed, the return of its last evaluation."""
    return list({row["seed"]: worth(row["return"]) for row in evaluations}.values())


def of_returns(rows: Rows, other: Rows) -> float:
    """Mann and Whitney's test of the returns at the end (medians of three evaluations), by permutation: they may be
    tied."""
    samples = [[row["last_return"] for row in each] for each in (rows, other)]
    method = stats.PermutationMethod(n_resamples=20_000, rng=np.random.default_rng(0))
    return float(stats.mannwhitneyu(*samples, method=method).pvalue)


def of_last_evaluations(evaluations: Rows, other: Rows) -> float:
    """Mann and Whitney's exact test."""
    samples = [last_evaluations(each) for each in (evaluations, other)]
    values = [value for sample in samples for value in sample]
    if len(set(values)) < len(values):
        raise ValueError("two seeds with the same return: the exact test knows no ties")
    return float(stats.mannwhitneyu(*samples, method="exact").pvalue)


def of_dead(rows: Rows, other: Rows) -> float:
    """Fisher's exact test."""
    mine, theirs = (sum(row["verdict"] == "dead" for row in each) for each in (rows, other))
    return exact_test([Stratum(mine, len(rows), theirs, len(other))])


def explored(cells: Cells, others: Sequence[str]) -> dict[str, str]:
    """The tests of several methods against CREDO off."""
    p_inactive = holm([against(cells[name], cells["off"]) for name in others])
    p_returns = holm([of_returns(cells[name], cells["off"]) for name in others])
    pairs = zip(others, p_inactive, p_returns, strict=True)
    return {name: f"{rounded(inactivity)}, {rounded(returns)}" for name, inactivity, returns in pairs}


def fixed(cells: Cells, tests: Cells, others: Sequence[str]) -> dict[str, str]:
    """The two tests that were fixed beforehand, and behind them that of the study before."""
    return {
        name: f"{rounded(of_dead(cells[name], cells['off']))}, "
        f"{rounded(of_last_evaluations(tests[name], tests['off']))}; {rounded(of_returns(cells[name], cells['off']))}"
        for name in others
    }


def rows_of(results: Path, regime: Regime, kind: str) -> Rows:
    """The rows of a regime's cells, those of another study's files first; ``method`` is the setting of CREDO alone."""
    rows = [
        row | {"method": setting}
        for study, method, setting in regime.same
        for row in read(results / f"{study}-{kind}.csv")
        if row["method"] == method
    ]
    rows += [
        row | {"method": row["method"].removeprefix(regime.begins)}
        for row in read(results / f"{regime.study}-{kind}.csv")
        if row["method"].startswith(regime.begins)
    ]
    return [row for row in rows if row["seed"] >= regime.first_seed and row["environment"] in ENVIRONMENT]


def table(results: Path, name: str) -> list[str]:
    """A setting of CREDO a row, against CREDO off on the same seeds."""
    regime = REGIMES[name]
    # A cell that has not gone to the end is not compared with those that have.
    cells = by_method(whole(rows_of(results, regime, "seeds")))
    others = [setting for setting in cells if setting != "off"]

    def finished(kind: str) -> Cells:
        numbers = {setting: {row["seed"] for row in mine} for setting, mine in cells.items()}
        rows = by_method(rows_of(results, regime, kind))
        return {name: [row for row in rows[name] if row["seed"] in numbers[name]] for name in cells}

    rounds, evaluations = finished("rounds"), finished("evaluations")
    told = fixed(cells, evaluations, others) if regime.fixed else explored(cells, others)
    rows = []
    for setting, mine in cells.items():
        returns, curves = [row["last_return"] for row in mine], rounds[setting]
        shares = [late(curves, column) for column in ("filtered_share", "outlier_share")]
        expert, policy = (late(curves, f"expert_probability_{side}") for side in ("expert", "policy"))
        rows.append(
            [
                named(setting),
                f"{max(row['steps'] for row in mine):,.0f}",
                dead(mine),
                f"{inactive(mine)} of {len(mine)}",
                f"{median(returns):.0f} ({min(returns):.0f} to {max(returns):.0f})",
                f"{median(second_half(evaluations[setting])):.0f}",
                *(f"{share:.1%}" for share in shares),
                f"{expert:.3f}, {policy:.3f}",
                told.get(setting, ""),
            ]
        )
    return markdown((*HEADER, FIXED if regime.fixed else EXPLORED), rows)
