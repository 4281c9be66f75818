"""Settings by name, as study files give them: names checked, values put into a run's configuration. Imports no JAX."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from credo.config import RunConfig, from_dict, to_dict, validate
from credo.config.own import LEARNER_SETTINGS, as_words, leaves
from credo.presets import DEFAULT, preset
from credo.types import CredoError

SHORT = {"credo": "credo.mode", "threshold": "credo.threshold", "regularisers": "discriminator.regularisers"}
"""Names that a study file may use for what studies vary most."""
PRESET = "preset"
_MOST_LISTED = 20


class UnknownNameError(CredoError):
    """An unknown name; ``keys`` lead to it."""

    def __init__(self, message: str, keys: tuple[str, ...]):
        super().__init__(message)
        self.keys = keys


@cache
def setting_names() -> tuple[str, ...]:
    """The dotted names of all settings."""
    return tuple(_leaves(RunConfig, ""))


@cache
def sections() -> tuple[str, ...]:
    """The settings that are tables of settings; of a plug-in's learner, too, whose names are known when it is there."""
    return (*dict.fromkeys(name.split(".")[0] for name in setting_names() if "." in name), LEARNER_SETTINGS)


def full_name(name: str) -> str:
    """The dotted name of a setting given by it or by its short name; CredoError with the nearest name there is."""
    name = SHORT.get(name, name)
    if name in sections():
        raise CredoError(f"{name}: a table of settings expected, {name} = {{ NAME = VALUE }}")
    if name in setting_names() or name.startswith(f"{LEARNER_SETTINGS}."):
        return name
    if name == PRESET:
        raise CredoError(
            'preset: is no setting; give it in [base], or in a named set of an axis, a = { preset = "fast" }'
        )
    raise CredoError(f"{name}: no such setting; {nearest(name, (*setting_names(), *SHORT))}")


def nearest(name: str, names: typing.Iterable[str], command: str = "credo imitate --help") -> str:
    """What to say beside an unknown name; ``command`` lists them where they are many."""
    known = list(dict.fromkeys(names))
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not found and "." not in name:
        # A bare name of something that lies deeper.
        found = difflib.get_close_matches(name, [k.split(".")[-1] for k in known], n=1, cutoff=0.6)
        found = [next(k for k in known if k.split(".")[-1] == found[0])] if found else []
    if found:
        return f"did you mean {found[0]!r}?"
    return f"known are {', '.join(known)}" if len(known) <= _MOST_LISTED else f"{command} lists them all"


def flatten(table: Mapping[str, Any], keys: tuple[str, ...] = ()) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Dotted name to (the keys that lead to it, value) for every setting of a table, nested or dotted; ``preset``
    stands for itself. ``UnknownNameError`` for a name that is none."""
    found: dict[str, tuple[tuple[str, ...], Any]] = {}
    for key, value in table.items():
        here = (*keys, key)
        if isinstance(value, Mapping) and key not in sections():
            raise UnknownNameError(f"{key}: no such table of settings; {nearest(key, sections())}", here)
        inner: typing.Iterable[tuple[str | None, Any]] = [(None, value)]
        if key in sections() and isinstance(value, Mapping):
            # Of a plug-in's learner parts may have parts.
            inner = leaves(value) if key == LEARNER_SETTINGS else value.items()
        for part, given in inner:
            name = key if part is None else f"{key}.{part}"
            path = here if part is None else (*here, *part.split("."))
            if name != PRESET:
                try:
                    name = full_name(name)
                except CredoError as error:
                    raise UnknownNameError(str(error), path) from None
            if name in found:
                raise UnknownNameError(f"{name}: given twice", path)
            found[name] = (path, given)
    return found


def configure(settings: Mapping[str, Any]) -> RunConfig:
    """The configuration that ``settings`` (dotted names, and ``preset``) make of their preset; CredoError in one line
    where they cannot work."""
    tree = to_dict(preset(settings.get(PRESET, DEFAULT)))
    own: dict[str, Any] = {}
    for name, value in settings.items():
        if name == PRESET:
            continue
        if name.startswith(f"{LEARNER_SETTINGS}."):
            own[name.removeprefix(f"{LEARNER_SETTINGS}.")] = value
            continue
        *outer, last = name.split(".")
        part = tree
        for key in outer:
            part = part[key]
        part[last] = value
    if own:
        tree[LEARNER_SETTINGS] = [*tree[LEARNER_SETTINGS], *as_words(own)]
    config = from_dict(tree, "settings")
    validate(config)
    return config


def _leaves(kind: type, prefix: str) -> list[str]:
    hints = typing.get_type_hints(kind)
    names = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        inner = _leaves(typing.cast(type, hint), f"{prefix}{field.name}.") if dataclasses.is_dataclass(hint) else None
        names += [f"{prefix}{field.name}"] if inner is None else inner
    return names
