"""Tables as text: for a terminal, for spreadsheets, for documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rich.table
from rich.text import Text

from credo.studies.tables import Cell, Table


def shown(cell: Cell) -> str:
    """A cell for people: four significant digits at most, whole numbers with thousands separators."""
    if cell is None:
        return "-"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return cell


def rich_table(table: Table) -> rich.table.Table:
    """The table for a terminal, its note below."""
    made = rich.table.Table(title=Text(table.title), title_justify="left", caption_justify="left")
    made.caption = Text(table.note)
    for name in table.columns:
        made.add_column(name, overflow="fold")
    for row in table.rows:
        made.add_row(*(Text(shown(cell)) for cell in row))
    return made


def markdown(table: Table) -> str:
    """The table as Markdown, its note below."""
    lines = [f"## {table.title}", "", _row(table.columns), _row(["---"] * len(table.columns))]
    lines += [_row([shown(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", table.note, ""])


def csv_field(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
