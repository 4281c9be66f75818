"""Tables as text: for a terminal, for spreadsheets, for documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rich.table
from rich.text import Text

from credo.diagnostics.divergence import KINDS
from credo.studies.tables import Share, Table, Value

_WORD = 12
"""Words of up to so many letters are not broken in a terminal."""
_BETWEEN = 3
"""Columns that a terminal's table has beside the text of each of its own."""
_SPECIAL = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
)
"""What LaTeX takes for more than a character."""


def shown(cell: Value) -> str:
    """A cell for people: four significant digits at most, whole numbers with thousands separators."""
    if cell is None:
        return "-"
    if isinstance(cell, Share):
        return f"{round(100 * cell) + 0}%"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return cell


def rich_table(table: Table, width: int) -> rich.table.Table:
    """The table for a terminal of so many columns, its note below; without verdicts that no seed has, for which there
    is no room. Words stay whole where the table fits with whole words."""
    made = rich.table.Table(title=Text(table.title), title_justify="left", caption_justify="left")
    made.caption = Text(table.note)
    wanted = [i for i, name in enumerate(table.columns) if name not in KINDS or any(row[i] for row in table.rows)]
    rows = [[shown(row[i]) for i in wanted] for row in table.rows]
    names = [table.columns[i] for i in wanted]
    longest = [
        max(len(word) for text in column for word in text.split() or [""]) for column in zip(names, *rows, strict=True)
    ]
    least = [min(each, _WORD) for each in longest]
    fits = sum(least) + _BETWEEN * len(least) + 1 <= width
    for name, each in zip(names, least, strict=True):
        made.add_column(name, overflow="fold", min_width=each if fits else None)
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def markdown(table: Table) -> str:
    """The table as Markdown, its note below."""
    lines = [f"## {table.title}", "", _row(table.columns), _row(["---"] * len(table.columns))]
    lines += [_row([shown(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", table.note, ""])


def latex(table: Table) -> str:
    """The table as a LaTeX tabular (packages booktabs and, for text beyond ASCII, any Unicode font); title and note as
    comments, since a paper has its own."""
    numeric = [all(isinstance(row[i], int | float | None) for row in table.rows) for i in range(len(table.columns))]
    rows = [table.columns, *([shown(cell) for cell in row] for row in table.rows)]
    head, *body = (" & ".join(cell.translate(_SPECIAL) for cell in row) + r" \\" for row in rows)
    align = "".join("r" if right else "l" for right in numeric)
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    comments = [f"% {' '.join(text.split())}" for text in (table.title, table.note) if text]
    return "\n".join([comments[0], *lines, *comments[1:], ""])


def csv_field(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
