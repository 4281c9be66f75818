"""``credo presets``."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from credo.cli.parse import parse
from credo.config import LearnerName, RunConfig
from credo.config.own import leaves
from credo.presets import DESCRIPTIONS, EXPERT, EXPERT_NAME, PRESETS, preset

_OF_EXPERTS = "what credo expert starts from; no preset of credo imitate"


@dataclass(frozen=True)
class PresetOptions:
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Presets to compare; default: all. expert: what credo expert starts from."""
    changed_only: bool = True
    """Only the settings in which they differ; of one preset, all."""


def presets(words: Sequence[str]) -> None:
    """The presets, side by side: as many beside one another as the terminal holds."""
    options = parse(PresetOptions, words, "presets", "Print the presets side by side.")
    trees = {name: _settings(EXPERT if name == EXPERT_NAME else preset(name)) for name in options.names or PRESETS}
    names = list(dict.fromkeys(setting for tree in trees.values() for setting in tree))
    cells = {name: {setting: _cell(tree.get(setting)) for setting in names} for name, tree in trees.items()}
    everything = not options.changed_only or len(cells) == 1
    shown = [s for s in names if everything or len({tree[s] for tree in cells.values()}) > 1]
    console = Console()
    for name in trees:
        console.print(f"[bold]{name}[/]: {DESCRIPTIONS.get(name, _OF_EXPERTS)}", highlight=False)
    if not shown:
        console.print("they do not differ", highlight=False)
        return
    first = max(map(len, shown)) + 4
    widths = {name: 3 + max(len(name), *(len(tree[s]) for s in shown), 0) for name, tree in cells.items()}
    for group in _groups(widths, console.width - first):
        table = Table()
        for column in ("setting", *group):
            table.add_column(column, no_wrap=True)
        for setting in shown:
            table.add_row(setting, *(cells[name][setting] for name in group))
        console.print(table)
    console.print("learner.*: the settings of each preset's own learner", highlight=False)


def _groups(widths: dict[str, int], room: int) -> list[list[str]]:
    """Names in order, as many in each group as there is room for, at least one."""
    groups: list[list[str]] = [[]]
    for name, width in widths.items():
        if groups[-1] and sum(widths[other] for other in groups[-1]) + width > room:
            groups.append([])
        groups[-1].append(name)
    return groups


def _settings(config: RunConfig) -> dict[str, Any]:
    """A preset's settings; of the learners its own alone, under names that all share."""
    others = {name for name in typing.get_args(LearnerName) if name != config.learner}
    found = leaves(dataclasses.asdict(config))
    kept = {name: value for name, value in found if name.partition(".")[0] not in others}
    return {re.sub(rf"^{config.learner}\.", "learner.", name): value for name, value in kept.items()}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
