"""Runs of a script's own, each in a folder of STORE/NAME: ended ones are not run again, stopped ones go on."""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

import credo
from credo.cli.display import watching
from credo.cli.parse import say
from credo.reports.load import load_run
from credo.studies.study import Cell


def script_parser(about: str, names: str) -> argparse.ArgumentParser:
    """``names``: what a cell's name is made of."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=["*"], help=f"{names}; * stands for any text")
    parser.add_argument("--store", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("results/stability"))
    parser.add_argument("--keep", action="store_true", help="train nothing")
    return parser


def folder(cell: Cell, store: Path, name: str) -> Path:
    return store / name / cell.name.replace("/", "-")


def ended(
    wanted: Iterable[Cell],
    options: argparse.Namespace,
    name: str,
    given: Callable[[Cell], dict[str, Any]] = lambda cell: {},
) -> list[Cell]:
    """Train what is asked for, unless --keep is given, and tell which cells have ended. ``given``: what ``imitate``
    needs besides a cell's settings."""
    console, done = Console(), []
    for cell in wanted:
        where = folder(cell, options.store, name)
        over = where.exists() and load_run(where).state == "done"
        if not over and not options.keep and any(fnmatch.fnmatchcase(cell.name, only) for only in options.only):
            say(console, f"{cell.name}: reading {cell.config.demonstrations}")
            with watching(console, None, quiet=False) as watcher:
                credo.imitate(cell.config, out=where, watcher=watcher, **given(cell))
            over = load_run(where).state == "done"
        if over:
            done.append(cell)
    return done
