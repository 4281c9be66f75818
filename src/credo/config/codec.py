"""Dataclass trees of settings as plain JSON types, and back."""

from __future__ import annotations

import dataclasses
import json
import os
import types
import typing
from typing import Annotated, Any, Literal

from credo.config.names import Names
from credo.types import CredoError, is_number


class UnknownSettingError(CredoError):
    """A name that is no setting."""

    def __init__(self, setting: str, known: list[str]):
        super().__init__(f"{setting}: no such setting; known are {', '.join(known)}")
        self.setting = setting


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain JSON types; paths as text, NumPy's numbers as Python's. TypeError for anything else."""
    tree = dataclasses.asdict(config)
    try:
        return json.loads(json.dumps(tree, default=_plain))
    except TypeError as error:
        raise TypeError(f"{_odd(tree)}{error}") from None


def _odd(tree: Any, where: str = "") -> str:
    """The name of the first leaf that JSON has no type for, with a colon; empty where it is not found."""
    for name, value in tree.items():
        try:
            json.dumps(value, default=_plain)
        except TypeError:
            return _odd(value, f"{where}{name}.") if isinstance(value, dict) else f"{where}{name}: "
    return where and f"{where[:-1]}: "


def _one_of(value: Any, kinds: tuple[Any, ...], where: str, also: frozenset[str]) -> Any:
    """A value as the first of ``kinds`` that takes it."""
    if value is None and types.NoneType in kinds:
        return None
    refused: list[CredoError] = []
    for kind in kinds:
        if kind is not types.NoneType:
            try:
                return convert(value, kind, where, also)
            except CredoError as error:
                refused.append(error)
    raise refused[0]


def _items(value: Any, origin: Any, arguments: tuple[Any, ...], where: str, also: frozenset[str]) -> list[Any]:
    if origin is tuple and arguments[-1:] != (Ellipsis,):
        if len(value) != len(arguments):
            raise CredoError(f"{where}: {value!r} has {len(value)} values; {len(arguments)} expected")
        return [convert(item, kind, where, also) for item, kind in zip(value, arguments, strict=True)]
    return [convert(item, arguments[0], where, also) if arguments else item for item in value]


def as_json(value: Any) -> str:
    """One setting as JSON; TypeError for what is none."""
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == ():
        return value.item()
    raise TypeError(f"{' '.join(repr(value).split())[:160]} is no setting")


def rebuild(tree: Any, kind: type, where: str, also: frozenset[str] = frozenset()) -> Any:
    """A dataclass from ``to_dict``'s form; CredoError on an unknown name or a wrong type, ``where`` first. ``also`` are
    names of plug-ins to let pass, known here or not."""
    if not isinstance(tree, dict):
        raise CredoError(f"{where}: expected a table of settings, not {tree!r}")
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [f.name for f in dataclasses.fields(kind)]
    for name in tree:
        if name not in names:
            raise UnknownSettingError(f"{where}.{name}", names)
    values = {name: convert(value, hints[name], f"{where}.{name}", also) for name, value in tree.items()}
    return kind(**values)


def convert(value: Any, hint: Any, where: str, also: frozenset[str] = frozenset()) -> Any:
    """A value of JSON's types as the type ``hint`` says; CredoError, ``where`` first, where it is of another."""
    if dataclasses.is_dataclass(hint):
        return rebuild(value, typing.cast(type, hint), where, also)
    if typing.get_origin(hint) is Annotated:
        inner, *extras = typing.get_args(hint)
        value = convert(value, inner, where, also)
        for extra in extras:
            if isinstance(extra, Names) and isinstance(value, str):
                extra.check(value, where, also)
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        # True and 1.0 are 1 to Python.
        if not any(value == known and type(value) is type(known) for known in arguments):
            raise CredoError(f"{where}: {value!r} is not one of {', '.join(map(str, arguments))}")
        return value
    if origin in (types.UnionType, typing.Union):
        return _one_of(value, arguments, where, also)
    if origin in (tuple, list) or hint in (tuple, list):
        if not isinstance(value, list | tuple):
            raise CredoError(f"{where}: {value!r} is not a list")
        return (origin or hint)(_items(value, origin, arguments, where, also))
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        if not is_number(value):
            raise CredoError(f"{where}: a whole number of {len(str(value))} digits is beyond what a float holds")
        return float(value)
    if type(value) is not hint:
        raise CredoError(f"{where}: {value!r} is not of type {hint.__name__}")
    return value
