"""The table of docs/stability.md on 25,000 steps of the paper's regime, from the small files in results/stability."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from early_tables import cells_of, dead_from
from kept_files import ENVIRONMENTS, LEARNERS, in_order, markdown, read, whole

from credo.diagnostics.divergence import activity_of

STUDY, EARLY = "stability-bed", 2_048
CLIPPING = {"plain": "", "credo": ", CREDO"}
METHODS = tuple(f"{learner} {clipping}" for clipping in CLIPPING for learner in LEARNERS)
HEADER = (
    "",
    "steps",
    "dead",
    "from step",
    "low without being dead",
    f"inactive at {EARLY:,}",
    "of these at the end",
    "return at the end, share of the expert's: median (least to most)",
    "best evaluation, share: median (most)",
)


def inactive(row: dict[str, Any]) -> bool:
    """Whether an actor was inactive in a window of rounds, as verdicts judge a round."""
    columns = ("step", "actor_gradient_max", "action_saturation")
    return bool(activity_of({name: np.array([row[name]]) for name in columns}).inactive.any())


def table(results: Path) -> list[str]:
    """A learner in an environment a row; seeds that have not gone as far as others are left out."""
    early = {
        (row["method"], row["environment"], row["seed"]): inactive(row)
        for row in read(results / f"{STUDY}-rounds.csv")
        if row["step"] == EARLY
    }
    cells = cells_of(results, STUDY)
    told = []
    for method, environment in in_order(cells, METHODS):
        rows = whole(cells[method, environment])
        learner, clipping = method.split(" ")
        kinds = Counter(row["verdict"] for row in rows)
        were = [row for row in rows if early[method, environment, row["seed"]]]
        ends, bests = (
            [row[column] / row["expert_return"] for row in rows] for column in ("last_return", "best_return")
        )
        told.append(
            [
                f"{LEARNERS[learner]}, {ENVIRONMENTS[environment]}{CLIPPING[clipping]}",
                f"{max(row['steps'] for row in rows):,.0f}",
                f"{kinds['dead']} of {len(rows)}",
                dead_from(rows),
                f"{kinds['failed']} of {len(rows)}",
                f"{len(were)} of {len(rows)}",
                f"{sum(int(row['inactive']) for row in were)} of {len(were)}",
                f"{median(ends):.2f} ({min(ends):.2f} to {max(ends):.2f})",
                f"{median(bests):.2f} ({max(bests):.2f})",
            ]
        )
    return markdown(HEADER, told)
