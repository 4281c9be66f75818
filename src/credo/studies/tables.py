"""A table as data: what statistics make and reports show."""

from __future__ import annotations

from typing import NamedTuple

Value = str | float | int | None
"""None: not known (shown as a dash)."""


class Share(float):
    """A share, which people are shown in percent; files hold the number."""


class Table(NamedTuple):
    """Rows of named columns, with what a reader must know to read them."""

    name: str
    """File name without ending, and anchor on a page."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""
    """How it was computed: the test, the criteria, what was dropped."""
