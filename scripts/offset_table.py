"""Table of docs/stability/longer.md: inputs with and without a part that is common to all, from the files of
input_offset.py."""

from __future__ import annotations

from pathlib import Path

from early_tables import Cells, cells_of, dead, inactive, rounded
from kept_files import ENVIRONMENTS, markdown, read
from scipy.stats import spearmanr

from credo.studies.counts import Stratum, exact_test, holm

STUDY, JUDGED = "stability-input-offset", "normalised"
NAMES = {
    "raw": "x, as they are",
    "divided": "x / s",
    "centred": "x − m",
    "normalised": "(x − m) / s, normalised observations",
    "shifted": "(x − m′) / s",
    "own": "(x − m′) / s′",
}
FIXED = ("shifted", "own", "raw")
"""What normalised observations are tested against."""


def table(results: Path) -> list[str]:
    """A setting a row."""
    cells = cells_of(results, STUDY)
    shares = {(row["method"], row["environment"]): row["common_part"] for row in read(results / f"{STUDY}-inputs.csv")}
    alone = {
        method: exact_test(
            [
                Stratum(inactive(mine), len(mine), inactive(other), len(other))
                for environment in ENVIRONMENTS
                for mine, other in [(cells[JUDGED, environment], cells[method, environment])]
            ]
        )
        for method in FIXED
    }
    corrected = dict(zip(alone, holm(list(alone.values())), strict=True))
    told = []
    for method, name in NAMES.items():
        seeds = [row for environment in ENVIRONMENTS for row in cells[method, environment]]
        p = f"{rounded(alone[method])} / {rounded(corrected[method])}" if method in alone else ""
        line = [name]
        for environment in ENVIRONMENTS:
            here = cells[method, environment]
            line += [f"{shares[method, environment]:.2f}", f"{inactive(here)} of {len(here)}"]
        told.append([*line, f"{inactive(seeds)} of {len(seeds)}", dead(seeds), p])
    told.append(["rank correlation of the two", *_correlations(shares, cells), "", ""])
    columns = [column for name in ENVIRONMENTS.values() for column in (f"{name}: common part", "inactive")]
    return markdown(["what networks see", *columns, "inactive, all", "dead, all", "p, alone / Holm"], told)


def _correlations(shares: dict[tuple[str, str], float], cells: Cells) -> list[str]:
    """Spearman's, of the common part with the number inactive: within each environment, and over all cells."""
    told = []
    for names in (*((name,) for name in ENVIRONMENTS), tuple(ENVIRONMENTS)):
        pairs = [(shares[cell], inactive(cells[cell])) for cell in shares if cell[1] in names]
        sides = list(zip(*pairs, strict=True))
        known = all(len(set(side)) > 1 for side in sides)
        told += [*([""] if len(names) == 1 else []), f"{spearmanr(*sides).statistic:.2f}" if known else "-"]
    return told
