"""How an environment is named in text: ``module:Id,argument=value,...``."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from credo.arguments import joined, read_arguments
from credo.types import CredoError

_OURS = ("id", "render_mode", "disable_env_checker")
"""What Credo itself gives to gymnasium.make."""


class EnvironmentName(NamedTuple):
    """The parts of an environment's name."""

    module: str
    """What registers the id when it is imported; empty where nothing need be."""
    identifier: str
    """The id that Gymnasium knows, "namespace/Name-v0"."""
    arguments: dict[str, Any]
    """What gymnasium.make is given beside the id."""


def parse_name(text: str) -> EnvironmentName:
    """Split ``module:Id,argument=value,...``.

    Values are those of ``credo.arguments``. The name of a factory (``Arm(size=3)``) is an id without arguments.

    Raises:
        CredoError: what follows a comma is not ``argument=value``, a name is there twice, or is one that Credo sets.
    """
    head, comma, rest = _head(text)
    module, _, identifier = head.strip().rpartition(":")
    arguments = read_arguments(rest, f"environment: {text!r}") if comma else {}
    for name in arguments:
        if name in _OURS:
            raise CredoError(f"environment: {text!r}: {name} is set by Credo; leave it out")
        if "." in name:
            raise CredoError(f"environment: {text!r}: {name} is no argument's name; argument=value must follow the id")
    return EnvironmentName(module, identifier, arguments)


def canonical(text: str) -> str:
    """The one spelling of a name; see ``credo.arguments.joined``."""
    module, identifier, arguments = parse_name(text)
    return joined(f"{module}:{identifier}" if module else identifier, arguments)


def plain_id(environment: str) -> str:
    """The id in an environment's name, "module:namespace/Name-v0,argument=1", without all but Name-v0."""
    return _head(environment)[0].strip().rpartition(":")[2].rpartition("/")[2]


def same_environment(one: str, other: str) -> bool:
    """Whether two names are of one id with the same arguments, wherever it is imported from; a factory's is its own."""
    if "(" in _head(one)[0] or "(" in _head(other)[0]:
        return one == other
    return parse_name(one)[1:] == parse_name(other)[1:]


def needs_trust(environment: str) -> str | None:
    """What a name from a stranger's file would do that only its user may ask for, as "imports a module"; None where it
    is harmless: a number cannot name a file to read, or a class to import."""
    if ":" in _head(environment)[0]:
        return "imports a module"
    told = [name for name, value in parse_name(environment).arguments.items() if _holds_text(value)]
    return f"gives text to the environment ({', '.join(told)})" if told else None


def gymnasium_json(environment: str) -> str | None:
    """Gymnasium's own description, with its arguments, of what a name stands for; None where that is not registered, or
    has no JSON."""
    import gymnasium

    try:
        name = parse_name(environment)
        specification = copy.deepcopy(gymnasium.registry[name.identifier])
        limit = name.arguments.pop("max_episode_steps", specification.max_episode_steps)
        whole = isinstance(limit, float) and limit.is_integer()
        specification.max_episode_steps = int(limit) if whole else limit
        specification.kwargs.update(name.arguments)
        return specification.to_json()
    except (CredoError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _head(text: str) -> tuple[str, str, str]:
    """What stands before the first comma, the comma and the rest."""
    head, comma, rest = text.partition(",")
    return (text, "", "") if "(" in head else (head, comma, rest)  # a factory's name with its bound arguments


def _holds_text(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(map(_holds_text, [*value, *value.values()] if isinstance(value, dict) else value))
    return isinstance(value, str)
