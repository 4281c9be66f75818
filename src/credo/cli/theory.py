"""``credo theory``."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from credo.cli.display import busy
from credo.cli.parse import parse, say
from credo.theory.command import TheoryOptions, run


def theory(words: Sequence[str]) -> None:
    """Compute the paper's theory exactly and write figures, tables and a page of findings."""
    options = parse(TheoryOptions, words, "theory", "Compute the paper's theory exactly: figures and findings.")
    console = Console()
    with busy(console) as tell:
        tell("computing (some seconds)" if options.quick else "computing (about a minute)")
        folder = run(options)
    say(console, f"findings: {folder / 'findings.html'}")
