"""What values a setting may take, written beside its type: ``Annotated[float, Limit(above=0)]``.

Checked generically by ``check_limits``; what involves several settings at once stands in ``credo.config.validate``.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Annotated, Any

from credo.config.names import Names
from credo.types import CredoError


@dataclass(frozen=True)
class Limit:
    """Bounds of a finite number; None: no bound on that side."""

    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None

    def allows(self, value: float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )

    def __str__(self) -> str:
        words = (("above", self.above), ("at least", self.least), ("below", self.below), ("at most", self.most))
        bounds = [f"{word} {bound:{',.0f' if bound >= 1e6 else 'g'}}" for word, bound in words if bound is not None]
        return f"a finite number {' and '.join(bounds)}".rstrip()


Finite = Annotated[float, Limit()]
Positive = Annotated[float, Limit(above=0)]
NotNegative = Annotated[float, Limit(least=0)]
Share = Annotated[float, Limit(least=0, below=1)]
"""In [0, 1)."""
Rate = Annotated[float, Limit(above=0, most=1)]
"""In (0, 1]."""
Discount = Annotated[float, Limit(above=0, below=1)]
Frames = Annotated[int, Limit(least=1, most=1_000)]
Count = Annotated[int, Limit(least=1)]
MAXIMUM_SEEDS, MAXIMUM_STEPS = 10_000, 10**15
"""Bounds that hold for run folders from strangers too."""
Seeds = Annotated[int, Limit(least=1, most=MAXIMUM_SEEDS)]
WholeNumber = Annotated[int, Limit(least=0)]
"""A whole number, 0 included."""
Steps = Annotated[int, Limit(most=MAXIMUM_STEPS)]
"""A number of environment steps; what is too few depends on other settings."""
Widths = tuple[Count, ...]
"""Hidden layer widths; never empty."""


def refuse(name: str, value: Any, right: str) -> typing.NoReturn:
    """One line that names the setting, its value and what would be right."""
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    raise CredoError(f"{name}: {shown} is not possible; it must be {right}")


def check_limits(part: Any, prefix: str = "", also: frozenset[str] = frozenset()) -> None:
    """Refuse (CredoError) the first setting of a dataclass that is outside its limit; nested dataclasses are left to
    their own call. ``also`` are names of plug-ins to let pass, known here or not."""
    hints = typing.get_type_hints(type(part), include_extras=True)
    for field in dataclasses.fields(part):
        _check(f"{prefix}{field.name}", getattr(part, field.name), hints[field.name], also)


def _check(name: str, value: Any, hint: Any, also: frozenset[str]) -> None:
    if value is None:
        return
    if typing.get_origin(hint) is Annotated:
        inner, *extras = typing.get_args(hint)
        for limit in extras:
            if isinstance(limit, Limit) and not limit.allows(value):
                refuse(name, value, str(limit))
            if isinstance(limit, Names) and isinstance(value, str):
                limit.check(value, name, also)
        _check(name, value, inner, also)
    elif typing.get_origin(hint) is tuple:
        if hint == Widths and not value:
            refuse(name, value, "a list of at least one width")
        for index, item in enumerate(value):
            _check(f"{name}[{index}]", item, typing.get_args(hint)[0], also)
    elif typing.get_args(hint):
        for option in typing.get_args(hint):
            if typing.get_origin(option) is Annotated:
                _check(name, value, option, also)
