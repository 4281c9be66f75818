"""Write the tables of docs/stability.md and the pages in docs/stability anew, each between its marks, from the small
files in results/stability.

    python scripts/stability_tables.py [--results results/stability] [--pages docs/stability.md docs/stability/*.md]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bed_table
import credo_table
import critics_table
import early_tables
import early_warning
import offset_table
import parts_table
import penalty_table
import pilots_table
import post_hoc_tables
import replacement_table
import robust_table
import short_tables
import slope_table

TABLES: dict[str, Callable[[Path], list[str]]] = {
    "short-regime": short_tables.regime,
    "short-arrives": short_tables.arrives,
    "short-costs": short_tables.costs,
    "early": lambda results: early_tables.changes(results, "stability-early"),
    "early-remedies": lambda results: early_tables.changes(results, "stability-early-remedies"),
    "early-others": lambda results: early_tables.changes(results, "stability-early-others"),
    "early-again": lambda results: early_tables.changes(results, "stability-early-again-33", first_seed=11),
    "early-learners": lambda results: early_tables.learners(
        results, "stability-early-learners", ("plain", "nothing changed"), ("preactivation-penalty", "with the penalty")
    ),
    "early-seeds": early_warning.by_seed,
    "early-warning": early_warning.table,
    "credo-learners": lambda results: early_tables.learners(
        results, "stability-credo-early", ("off", "CREDO off"), ("resample-5", "`filter`, c = 5")
    ),
    "credo-again": lambda results: early_tables.learners(
        results,
        "stability-credo-early-33",
        ("off", "CREDO off"),
        ("resample-5", "`filter`, c = 5"),
        first_seed=11,
        corrected=True,
    ),
    "credo-slope": slope_table.table,
    "credo-direction": slope_table.direction,
    "credo-pull": slope_table.pulls,
    **{name: partial(credo_table.table, name=name) for name in credo_table.REGIMES},
    "bed": bed_table.table,
    "bed-deaths": bed_table.deaths,
    "bed-longer": bed_table.longer,
    "bed-dead": bed_table.dead_alone,
    "penalty-longer": penalty_table.table,
    "penalty-with": penalty_table.with_a_part,
    "penalty-without": penalty_table.without_a_part,
    "two-parts": penalty_table.two_parts,
    "input-offset": offset_table.table,
    "critics": critics_table.table,
    "explosion": critics_table.explosion,
    "bed-credo": critics_table.credo,
    "remedies": bed_table.remedies,
    "ddpg-trials": pilots_table.hopper,
    "walker2d-trials": pilots_table.walker2d,
    "robust": robust_table.table,
    "robust-without": parts_table.without,
    "robust-learners": parts_table.learners,
    "robust-parts": parts_table.table,
    "robust-credo": replacement_table.table,
    "robust-costs": robust_table.costs,
    **post_hoc_tables.TABLES,
}
_MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def pages(docs: Path) -> list[Path]:
    """The paper and the pages that it rests on."""
    return [docs / "stability.md", *sorted((docs / "stability").glob("*.md"))]


def filled(page: str, results: Path) -> str:
    """The page with every marked table written anew."""
    return _MARKED.sub(lambda found: found[1] + "\n".join(TABLES[found[2]](results)) + "\n" + found[3], page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results/stability"))
    parser.add_argument("--pages", type=Path, nargs="+", help="all of them if not given")
    options = parser.parse_args()
    for page in options.pages or pages(Path("docs")):
        page.write_text(filled(page.read_text(), options.results))


if __name__ == "__main__":
    main()
