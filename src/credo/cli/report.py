"""``credo report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from credo.cli.parse import find_local_modules, parse, say
from credo.config.limits import Positive
from credo.files import check_folder
from credo.types import CredoError


@dataclass(frozen=True)
class ReportOptions:
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders, or folders that hold runs at any depth."""
    out: Path = Path("report")
    """Folder to write to: report.html, figures/, tables/, videos/. Files of an earlier report are replaced."""
    watch: bool = False
    """Write the page again and again until every run is done (or Ctrl-C); it reloads itself."""
    interval: Positive = 15.0
    """Between two pages of --watch (seconds)."""
    figures: bool = True
    """Write each figure as PNG, SVG and PDF, and its numbers as CSV, too."""
    videos: bool = False
    """Record the median and the worst seed of each method (seconds each; they are part of the page)."""
    latex: bool = False
    """Write each table as LaTeX (tables/NAME.tex), too."""
    environment: Annotated[tuple[str, ...], tyro.conf.arg(name="env")] = ()
    """Environments module:Id whose modules may be imported for --videos, which runs their code."""


def report(words: Sequence[str]) -> None:
    """Report on runs."""
    about = "Report on any set of runs: one page that opens offline, with verdicts, figures, tables and settings."
    options = parse(ReportOptions, words, "report", about)
    if not options.folders:
        raise CredoError("folders: none is given; give run folders, or folders that hold runs")
    from credo.reports.report import is_ours, watch_report, write_report

    for environment in options.environment:
        find_local_modules(environment)

    console = Console()
    line = partial(say, console)
    folders, out, figures, videos = options.folders, options.out, options.figures, options.videos
    check_folder(out, "out")
    if not is_ours(out):
        raise CredoError(f"out: {out} is not empty and holds no report of Credo's; give another folder")
    if options.watch:
        line(f"{out / 'report.html'} is written every {options.interval:g} s; Ctrl-C ends")
        made = watch_report(
            folders, out, options.interval, figures, videos, line, trusted=options.environment, tex=options.latex
        )
    else:
        with console.status("reporting"):
            made = write_report(
                folders, out, figures, videos, line=line, trusted=options.environment, tex=options.latex
            )
    for problem in made.collection.problems:
        line(f"note: {problem}")
    line(f"{made.headline}; the report is {made.page}")
