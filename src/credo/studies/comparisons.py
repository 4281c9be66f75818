"""Comparisons that a study file declares, so that its tests are fixed before the runs that they judge. Imports no JAX.

[[compare]]
against = "plain"                       # a method, as reports name it
method = ["penalty", "layer norm"]      # default: every other one
measure = "final-score"                 # default: "diverged"
environments = ["hopper", "walker2d"]   # default: all in which both methods have cells
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

from credo.studies.settings import nearest

DIVERGED, FINAL_SCORE, MEAN_SCORE = "diverged", "final-score", "mean-score"
MEASURES = (DIVERGED, FINAL_SCORE, MEAN_SCORE)
_KEYS = ("method", "against", "measure", "environments")
_TABLE = "compare"


class Comparison(NamedTuple):
    """A test of two methods."""

    method: str
    against: str
    measure: str
    """One of ``MEASURES``."""
    environments: tuple[str, ...]

    def concerns(self, method: str, environment: str) -> bool:
        """Whether it compares the seeds of a method in an environment."""
        return method in (self.method, self.against) and environment in self.environments

    def reversed(self) -> Comparison:
        """The same test, told from the other side."""
        return self._replace(method=self.against, against=self.method)

    def __str__(self) -> str:
        return f"{self.method} against {self.against} by {self.measure} in {', '.join(self.environments)}"


class Refuse(Protocol):
    """Raises CredoError with the place in the file: keys, message, and which of several tables."""

    def __call__(self, keys: Sequence[str], message: str, occurrence: int = 0) -> NoReturn: ...


def read_comparisons(
    tables: Sequence[Mapping[str, Any]], cells: Sequence[tuple[str, str]], refuse: Refuse
) -> tuple[Comparison, ...]:
    """Every pair of methods that the [[compare]] tables name.

    Args:
        tables: as they stand in the file.
        cells: (method, environment) of every cell of the study.
        refuse: called where a table names what the study does not have.
    """
    where: dict[str, list[str]] = {}
    for method, environment in cells:
        where.setdefault(method, []).append(environment)
    found: dict[Comparison, None] = {}
    for index, table in enumerate(tables):
        for comparison in _pairs(table, where, refuse, index):
            if comparison in found or comparison.reversed() in found:
                refuse([_TABLE], f"{_TABLE}: {comparison} stands there twice", index)
            found[comparison] = None
    return tuple(found)


def _pairs(
    table: Mapping[str, Any], where: Mapping[str, Sequence[str]], refuse: Refuse, index: int
) -> list[Comparison]:
    def named(key: str, given: Any, known: Sequence[str]) -> list[str]:
        values = given if isinstance(given, list) else [given]
        for value in values:
            if value not in known:
                near = nearest(str(value), known, "credo study report")
                refuse([_TABLE, key], f"{_TABLE}.{key}: {value!r} is unknown here; {near}", index)
        if len(set(values)) != len(values) or not values:
            refuse([_TABLE, key], f"{_TABLE}.{key}: {values!r}; each once was expected, and at least one", index)
        return values

    for key in table:
        if key not in _KEYS:
            refuse([_TABLE, key], f"{_TABLE}.{key}: unknown; {nearest(key, _KEYS)}", index)
    for key in ("against", "measure"):
        if isinstance(table.get(key, ""), list):
            refuse([_TABLE, key], f"{_TABLE}.{key}: {table[key]!r} is a list; one name was expected", index)
    methods = list(where)
    if "against" not in table:
        refuse([_TABLE], f'{_TABLE}: no method to compare with; give against = "{methods[0]}" or the like', index)
    (against,) = named("against", table["against"], methods)
    others = [method for method in methods if method != against]
    if not others or against in (chosen := named("method", table.get("method", others), methods)):
        refuse([_TABLE], f"{_TABLE}: {against!r} has no other method to be compared with", index)
    (measure,) = named("measure", table.get("measure", DIVERGED), MEASURES)
    every = list(dict.fromkeys(environment for there in where.values() for environment in there))
    environments = named("environments", table.get("environments", every), every)
    found = []
    for method in chosen:
        shared = tuple(e for e in every if e in environments and e in where[method] and e in where[against])
        if not shared:
            refuse([_TABLE], f"{_TABLE}: {method!r} and {against!r} share no environment there", index)
        found.append(Comparison(method, against, measure, shared))
    return found
