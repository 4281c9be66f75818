"""The small files in results/stability, as scripts/keep_study.py wrote them, for tables and figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from credo.diagnostics.divergence import FROZEN

ENVIRONMENTS = {"hopper": "Hopper-v5", "walker2d": "Walker2d-v5", "halfcheetah": "HalfCheetah-v5"}
LEARNERS = {"td3": "TD3", "ddpg": "DDPG", "sd3": "SD3", "sac": "SAC"}
LOW = 0.1
"""Of the expert's return: below it a return is low."""
NEAR_THE_EXPERT = 0.9
Rows = list[dict[str, Any]]


def read(path: Path) -> Rows:
    """A CSV's rows, numbers as numbers; none where there is no such file. Many tables read the same files: what is
    told of one is shared, and not to be changed."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(_told(file.read()))


@cache
def _told(text: str) -> Rows:
    """By what the file holds, so that one that is written anew is read anew."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [{name: number(value) for name, value in row.items()} for row in rows]


def frozen(row: dict[str, Any]) -> bool:
    """Whether a seed's numbers or its environment failed, and it ended there."""
    return row["verdict"] in FROZEN


def whole(rows: Rows) -> Rows:
    """The seeds that went as far as any, and those that ended because they failed."""
    finished = max((row["steps"] for row in rows), default=0)
    return [row for row in rows if row["steps"] == finished or frozen(row)]


def in_order(cells: Iterable[tuple[str, str]], methods: Iterable[str]) -> list[tuple[str, str]]:
    """(method, environment) in the order of methods, then of environments."""
    rank = {name: index for index, name in enumerate((*methods, *ENVIRONMENTS))}
    return sorted(cells, key=lambda cell: (rank[cell[0]], rank[cell[1]]))


def number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a table."""
    told = ["| " + " | ".join(map(str, row)) + " |" for row in (header, *rows)]
    return [told[0], "|---" * len(header) + "|", *told[1:]]
