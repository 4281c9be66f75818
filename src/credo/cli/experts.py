"""``credo experts``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from credo.cli.parse import parse


@dataclass(frozen=True)
class ExpertsOptions:
    name: Annotated[str | None, tyro.conf.Positional] = None
    """Print this expert's whole card."""


def experts(words: Sequence[str]) -> None:
    """List the shipped experts."""
    options = parse(ExpertsOptions, words, "experts", "List the shipped experts, or print one's card.")
    from credo.experts import expert_names, load_card

    console = Console()
    if options.name is not None:
        console.print_json(data=dataclasses.asdict(load_card(options.name)))
        return
    table, counts = Table(box=None, pad_edge=False), set()
    for name in ("expert", "environment", "learner", "steps", "return", "least"):
        text = name in ("expert", "environment", "learner")
        table.add_column(name, justify="left" if text else "right", no_wrap=True)
    for card in map(load_card, expert_names()):
        measured = {card.environment: dataclasses.asdict(card)} | card.elsewhere
        for environment, told in measured.items():
            who = (card.name, environment, card.algorithm) if environment == card.environment else ("", environment, "")
            returns = f"{told['return_mean']:,.0f} ± {told['return_std']:,.0f}"
            steps = f"{card.steps:,}" if environment == card.environment else ""
            table.add_row(*who, steps, returns, f"{told['return_min']:,.0f}")
            counts.add(told["episodes"])
    console.print(table)
    if counts:
        episodes = " or ".join(map(str, sorted(counts)))
        console.print(f"return: mean ± standard deviation, and the least, of {episodes} episodes")
