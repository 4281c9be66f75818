"""A plug-in's own settings by name, which change those that it is registered with: of a learner in
``learner_settings``, of a reward or a regulariser behind its name, ``name,setting=value``."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from credo.arguments import joined, read_arguments
from credo.config.codec import as_json, convert, to_dict
from credo.config.limits import check_limits, refuse
from credo.config.names import REGISTERED, Kind, plain_name
from credo.types import CredoError, one_line

LEARNER_SETTINGS = "learner_settings"
"""The field of RunConfig that holds them, each as NAME=VALUE, of a part as PART.NAME=VALUE."""
_FINITE = "finite, or None for no bound"


def as_words(settings: Mapping[str, Any], before: Sequence[str] = (), where: str = LEARNER_SETTINGS) -> tuple[str, ...]:
    """A table of them, with tables in it, in the form that a run keeps, in place of those of the same name ``before``.
    CredoError for a value that is no number, text or list of them."""
    words = {word.partition("=")[0]: word for word in before}
    for name, value in leaves(settings):
        try:
            words[name] = f"{name}={as_json(value)}"
        except TypeError as error:
            raise CredoError(f"{where}.{name}: {error}; numbers, text and lists of them expected") from None
    return tuple(words.values())


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of all that a table and the tables in it hold."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def described(settings: Any) -> str:
    """What there is to change and what it is set to, as it is written to change it."""
    values = dict(leaves(to_dict(settings)))
    names = [name for name in _names(settings) if name in values]  # a dictionary is no value
    return " ".join(f"{name}={json.dumps(values[name], separators=(',', ':'))}" for name in names)


def named_settings(kind: Kind, text: str) -> Any:
    """The own settings of the reward or regulariser ``text``, as it is registered and as what follows its name changes
    them; None where it has none. CredoError where they cannot be changed so."""
    registered = REGISTERED[kind].get(plain_name(text))
    given = _arguments(kind, text)
    if registered is None or registered.settings is None:
        if given:
            raise CredoError(f"{kind}: {text!r}: {plain_name(text)} has no settings; leave out what follows its name")
        return None
    words = as_words(given, where=kind)
    return applied(registered.settings, words, f"{kind} {plain_name(text)}", f"{kind} {plain_name(text)}: ")


def one_spelling(kind: Kind, text: str) -> str:
    """The name of a reward or regulariser, without spaces around it, with its settings in alphabetical order."""
    return joined(plain_name(text), _arguments(kind, text))


def _arguments(kind: Kind, text: str) -> dict[str, Any]:
    _, comma, rest = text.partition(",")
    return read_arguments(rest, f"{kind}: {text!r}") if comma else {}


def applied(settings: Any, words: Sequence[str], owner: str, prefix: str = f"{LEARNER_SETTINGS}.") -> Any:
    """``settings``, a dataclass, with those replaced that ``words`` name; ``owner`` is whose they are, ``prefix`` what
    their names begin with in errors.

    Values are JSON (0.1, true, null, [64,64], "text"); what is no JSON is text. CredoError for an unknown name, a value
    of another type, or one that the dataclass itself refuses, alters, or alters another by.
    """
    if not words:
        return settings
    known, given = _names(settings), dict[str, str]()
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise CredoError(f"{LEARNER_SETTINGS}: {word!r}; NAME=VALUE expected")
        if name in given:
            raise CredoError(f"{prefix}{name}: given twice")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise CredoError(f"{prefix}{name}: {owner} has no such setting; {meant}")
        given[name] = text
    changed = _changed(settings, given, "", prefix)
    for name in known:
        was, now = _value_of(settings, name), _value_of(changed, name)
        if name not in given and was != now:
            raise CredoError(
                f"{prefix.rstrip('.: ')}: with {' '.join(words)} {owner} would have {name} {now!r} in place of "
                f"{was!r}; give {name} too"
            )
    return changed


def check_settings(settings: Any, prefix: str) -> None:
    """Refuse (CredoError) types that cannot be read, what is outside a limit of its type or not finite, and a size of
    batches that is none. ``prefix`` is what the settings' names begin with."""
    for inner, part in _parts(settings):
        try:
            typing.get_type_hints(type(part), include_extras=True)
        except Exception as error:  # a type is any code of its author's
            told = f"{type(error).__name__}: {one_line(error, 300)}"
            raise CredoError(f"{prefix}{inner}: the types of {type(part).__name__} cannot be read ({told})") from None
        check_limits(part, f"{prefix}{inner}")
    for name, value in leaves(to_dict(settings)):
        if not _finite(value):
            refuse(f"{prefix}{name}", value, _FINITE)
    batch = getattr(settings, "batch_size", 1)
    if not (isinstance(batch, int) and batch >= 1):
        refuse(f"{prefix}batch_size", batch, "a whole number of 1 or more")


def _finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _parts(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dataclass and those in it, behind what their settings' names begin with."""
    yield prefix, settings
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from _parts(value, f"{prefix}{field.name}.")


def _names(settings: Any) -> list[str]:
    """The dotted names of what may be changed."""
    return [
        f"{prefix}{field.name}"
        for prefix, part in _parts(settings)
        for field in dataclasses.fields(part)
        if field.init and not dataclasses.is_dataclass(getattr(part, field.name))
    ]


def _value_of(settings: Any, name: str) -> Any:
    for key in name.split("."):
        settings = getattr(settings, key)
    return settings


def _changed(part: Any, given: Mapping[str, str], below: str, prefix: str) -> Any:
    """A dataclass with what is given below ``below``, all at once: its own checks may be of several settings."""
    hints, values = typing.get_type_hints(type(part), include_extras=True), dict[str, Any]()
    for field in dataclasses.fields(part):
        name, now = f"{below}{field.name}", getattr(part, field.name)
        if name in given:
            asked = _value(given[name], hints[field.name], f"{prefix}{name}")
            # 0 and 0.0 are one setting, and would be two identities.
            values[field.name] = now if asked == now and isinstance(now, int | float) else asked
        elif dataclasses.is_dataclass(now) and any(other.startswith(f"{name}.") for other in given):
            values[field.name] = _changed(now, given, f"{name}.", prefix)
    if not values:
        return part
    where = ", ".join(f"{prefix}{below}{name}" for name in values)
    try:
        made = dataclasses.replace(part, **values)
    except Exception as error:  # its own checks, if it has any
        raise CredoError(f"{where}: {type(error).__name__}: {one_line(error, 300)}") from None
    for name, value in values.items():
        if getattr(made, name) != value:
            raise CredoError(f"{prefix}{below}{name}: {value!r} becomes {getattr(made, name)!r}: it is made of others")
    return made


def _value(text: str, hint: Any, where: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    try:
        converted = convert(value, hint, where)
    except CredoError:
        raise
    except Exception as error:  # what a dataclass of its author's makes of it
        raise CredoError(f"{where}: {type(error).__name__}: {one_line(error, 300)}") from None
    if not _finite(converted):
        refuse(where, converted, _FINITE)
    return converted
