"""The scripts behind docs/stability.md, which are no package, as modules for one test."""

import csv
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def loaded(monkeypatch, *names):
    """Of each name its module; what was imported of scripts is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    before = set(sys.modules)
    yield {name: __import__(name) for name in names}
    for name in set(sys.modules) - before:
        if "/scripts/" in (getattr(sys.modules[name], "__file__", None) or ""):
            sys.modules.pop(name)


def write(path, rows):
    """A CSV file of rows that have the same columns."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
