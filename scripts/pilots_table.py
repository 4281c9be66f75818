"""The table of docs/stability.md on the trials of DDPG on Hopper, from the files that keep_results.py wrote."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from kept_files import markdown, read

TRIALS = {
    "hopper-ddpg-discount-99": "TD3's settings: discount 0.99",
    "hopper-ddpg-slow": "actor's step size 3e-4, target rate 0.005",
    "hopper-ddpg-cloning-5": "cloning 5",
    "hopper-ddpg-discount-97": "discount 0.97",
    "hopper-ddpg-discount-95": "discount 0.95: `robust-ddpg`",
    "hopper-ddpg-without-cloning": "`robust-ddpg` without the clone's loss",
}
THOUSANDS = (5, 10, 15, 20, 25)
_LISTED = 3


def table(results: Path) -> list[str]:
    """A trial a row: the returns of its seeds at so many steps; of many seeds the median, least and most."""
    rows = []
    for name, told in TRIALS.items():
        evaluations = read(results / "pilots" / name / "evaluations.csv")
        seeds = len({row["seed"] for row in evaluations})
        cells = []
        for thousands in THOUSANDS:
            values = [row["return_mean"] for row in evaluations if round(row["step"] / 1000) == thousands]
            if not values or len(values) <= _LISTED:
                cells.append(", ".join(f"{value:,.0f}" for value in values))
            else:
                cells.append(f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})")
        rows.append([told, seeds, *cells])
    return markdown(("", "seeds", *(f"{thousands},000" for thousands in THOUSANDS)), rows)
