"""The line of a TOML file that a key stands in: the parser of the standard library does not keep it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*\[\[?\s*({_DOTTED})\s*\]\]?\s*$")
_COMMENT = re.compile(r"""^((?:[^#"']|"(?:[^"\\]|\\.)*"|'[^']*')*)#.*$""")
_ASSIGNED = re.compile(rf"(?:^\s*|[{{,]\s*)({_DOTTED})\s*=")


def find_line(text: str, keys: Sequence[str], occurrence: int = 0) -> int:
    """The line (from 1) of the table or key named by ``keys`` from the top, or of the nearest thing around it that is
    found; ``occurrence`` counts the tables of an array ([[name]])."""
    wanted = tuple(keys)
    best, line_of_best = 0, 1
    inside: tuple[str, ...] = ()
    tables: dict[tuple[str, ...], int] = {}
    # Brackets that are open where a line begins: what stands in a list is no table's header.
    depth = 0
    for number, whole in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub(r"\1", whole)
        within, depth = depth, max(depth + line.count("[") - line.count("]"), 0)
        found: list[tuple[str, ...]] = []
        if (header := _HEADER.match(line)) and not within:
            inside = _parts(header[1])
            tables[inside] = tables.get(inside, -1) + 1
            found.append(inside)
        else:
            outer: tuple[str, ...] = ()
            for assigned in _ASSIGNED.finditer(line):
                parts = _parts(assigned[1])
                outer = outer or (*inside, *parts)
                found += [(*inside, *parts), (*outer, *parts)]
        if inside[:1] == wanted[:1] and tables.get(inside[:1], occurrence) != occurrence:
            continue
        for candidate in found:
            if len(candidate) > best and candidate == wanted[: len(candidate)]:
                best, line_of_best = len(candidate), number
    return line_of_best


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))
