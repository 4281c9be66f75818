"""What the constructor of an environment says of its arguments: their names, and values of a wrong type."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import gymnasium

from credo.types import CredoError

_KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "list": "a list of values, as [0.7,2]"}
_OF_GYMNASIUM = inspect.Parameter("max_episode_steps", inspect.Parameter.KEYWORD_ONLY, annotation="int | None")
"""``gymnasium.make``'s own."""


def named_arguments(identifier: str) -> str:
    """A hint at the arguments that follow an id, as far as its constructor tells them."""
    return f"it takes {', '.join(name for name in _parameters(identifier) if name != 'render_mode')}"


def checked_arguments(source: str, identifier: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the constructor declares them, 500.0 as 500 where it wants a whole number.

    CredoError for a value of another type: text in a number's place shows only where the environment reckons with it.
    What has no type is not judged, unless its default is a float.
    """
    given = dict(arguments)
    parameters = _parameters(identifier) if arguments else {}
    for name, value in arguments.items():
        kind = _kind(parameters[name]) if name in parameters else None
        if kind is not None and not _is_of(kind, value):
            usual = parameters[name].default
            unless = "" if usual is inspect.Parameter.empty or usual is None else f" (its default is {usual!r})"
            raise CredoError(
                f"environment: '{source}': {name}={json.dumps(value, ensure_ascii=False)} is not {_KINDS[kind]}{unless}"
            )
        if kind == "int" and isinstance(value, float):
            given[name] = int(value)
    return given


def _parameters(identifier: str) -> dict[str, inspect.Parameter]:
    """By name; those that the constructor does not hide, and what ``gymnasium.make`` takes for every environment."""
    found: dict[str, inspect.Parameter] = {}
    with contextlib.suppress(Exception):  # a stranger's module is imported
        entry = gymnasium.spec(identifier).entry_point
        creator = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
        assert creator is not None
        parameters = inspect.signature(creator).parameters
        kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        found = {name: each for name, each in parameters.items() if each.kind in kinds}
    return {**found, _OF_GYMNASIUM.name: _OF_GYMNASIUM}


def _kind(parameter: inspect.Parameter) -> str | None:
    """Which of ``_KINDS`` alone an argument takes, or that and None; None: unknown, or several."""
    declared = parameter.annotation
    if declared is parameter.empty:
        return "float" if isinstance(parameter.default, float) else None
    text = declared if isinstance(declared, str) else inspect.formatannotation(declared)
    text = text.removeprefix("typing.").removesuffix(" | None").lower()
    text = text.removeprefix("optional[").removesuffix("]") if text.startswith("optional[") else text
    if text.split("[")[0] in ("tuple", "list") and "|" not in text.split("]")[-1]:
        return "list"
    return text if text in _KINDS else None


def _is_of(kind: str, value: Any) -> bool:
    if value is None:  # what it stands for is the environment's own affair
        return True
    if kind == "list":
        return isinstance(value, list)
    if kind == "bool":
        return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and (kind == "float" or value.is_integer()))
