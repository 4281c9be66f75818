"""Names that a setting may take: the built-in ones and those that plug-ins have registered.

A plug-in registers from its own code (``credo.plugins``); only its names are known here, so that help and checks import
nothing of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import tyro

from credo.types import CredoError

Kind = Literal["learner", "reward", "regulariser"]
PLUGIN_NAME = re.compile(r"[a-z][a-z0-9-]*")
"""What a plug-in may call its entries: names are shown, and become parts of file names."""


class Registered(NamedTuple):
    """What the settings know of a plug-in's entry."""

    source: str
    """module:name of the code, which is part of a run's identity."""
    settings: Any = None
    """Its own settings, a dataclass; None: it has none."""
    rising: bool = True
    """Whether a reward rises with the logit."""
    on_policy: bool = False
    """Whether a learner learns from the steps of the round alone."""
    function: Any = None
    """What was registered."""
    code_sha256: str = ""
    """Of the file that it stands in; empty where there is none."""


REGISTERED: dict[Kind, dict[str, Registered]] = {"learner": {}, "reward": {}, "regulariser": {}}
"""Kind to name to entry."""


def plain_name(text: str) -> str:
    """The name in ``name,setting=value``, as a reward or a regulariser may be given."""
    return text.partition(",")[0].strip()


class _Known(tuple[str, ...]):
    """Names, among which is each of them with settings behind it."""

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and tuple.__contains__(self, plain_name(text))


@dataclass(frozen=True)
class Names:
    """Written beside the type of a setting that is a name."""

    kind: Kind
    built_in: tuple[str, ...]

    @property
    def known(self) -> tuple[str, ...]:
        """Every name that there is now."""
        return (*self.built_in, *REGISTERED[self.kind])

    def check(self, value: str, where: str, also: frozenset[str] = frozenset()) -> None:
        """Refuse (CredoError) a name that nobody knows; ``also`` are names of plug-ins to let pass."""
        name = value if self.kind == "learner" else plain_name(value)
        if name not in self.known and not (name in also and PLUGIN_NAME.fullmatch(name)):
            known = ", ".join(self.known)
            raise CredoError(f"{where}: {name!r} is not one of {known} (--plugin MODULE imports others)")


class Choice(tyro.constructors.PrimitiveConstructorSpec[str]):
    """How the command line reads a name: one of those known when it is parsed, where tyro's own kind is of those known
    when the settings are written."""

    names: Names
    nargs = 1
    _action = None

    def __init__(self, names: Names):
        object.__setattr__(self, "names", names)

    @property
    def choices(self) -> tuple[str, ...]:
        return self.names.known if self.names.kind == "learner" else _Known(self.names.known)

    @property
    def metavar(self) -> str:
        return "{" + ",".join(self.names.known) + "}"

    def instance_from_str(self, words: list[str]) -> str:
        return words[0]

    def str_from_instance(self, name: str) -> list[str]:
        return [name]

    def is_instance(self, value: Any) -> bool:
        return isinstance(value, str)
