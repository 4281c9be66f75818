"""Settings of a plug-in's learner by name and text, which change those that it is registered with."""

from __future__ import annotations

import dataclasses
import difflib
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from credo.config.codec import as_json, convert
from credo.types import CredoError, one_line

LEARNER_SETTINGS = "learner_settings"
"""The field of RunConfig that holds them, each as NAME=VALUE."""


def as_words(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """A table of them, with tables in it, in the form that a run keeps; CredoError for a value that is no number, text
    or list of them."""
    words: list[str] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            words += [f"{name}.{word}" for word in as_words(value)]
            continue
        try:
            words.append(f"{name}={as_json(value)}")
        except TypeError as error:
            raise CredoError(f"{LEARNER_SETTINGS}.{name}: {error}; numbers, text and lists of them expected") from None
    return tuple(words)


def described(settings: Any) -> str:
    """What there is to change and what it is set to, in words that ``applied`` takes."""
    return " ".join(f"{name}={as_json(value)}".replace(", ", ",") for name, value in _leaves(settings))


def applied(settings: Any, words: Sequence[str], learner: str) -> Any:
    """``settings``, a dataclass, with those replaced that ``words`` name, a part's as part.name.

    Values are JSON (0.1, true, null, [64,64]); what is none is text. CredoError for an unknown name or a wrong type.
    """
    known = [name for name, _ in _leaves(settings)]
    given: set[str] = set()
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise CredoError(f"{LEARNER_SETTINGS}: {word!r}; NAME=VALUE expected")
        if name in given:
            raise CredoError(f"{LEARNER_SETTINGS}.{name}: given twice")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise CredoError(f"{LEARNER_SETTINGS}.{name}: learner {learner} has no such setting; {meant}")
        given.add(name)
        settings = _replaced(settings, name.split("."), text, f"{LEARNER_SETTINGS}.{name}")
    return settings


def check_settings(settings: Any, learner: str) -> None:
    """Refuse (CredoError) types that cannot be read, and a size of batches that is none."""
    for kind in {type(part) for _, part in parts(settings)}:
        try:
            typing.get_type_hints(kind, include_extras=True)
        except Exception as error:  # a type is any code of its author's
            told = f"{type(error).__name__}: {one_line(error, 300)}"
            raise CredoError(
                f"learner {learner}: settings: the types of {kind.__name__} cannot be read ({told})"
            ) from None
    batch = getattr(settings, "batch_size", 1)
    if not (isinstance(batch, int) and batch >= 1):
        raise CredoError(f"learner {learner}: settings.batch_size {batch!r}; a whole number of 1 or more expected")


def parts(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dataclass and those in it, behind what their settings' names begin with."""
    yield prefix, settings
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from parts(value, f"{prefix}{field.name}.")


def _leaves(settings: Any) -> Iterator[tuple[str, Any]]:
    for prefix, part in parts(settings):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if not dataclasses.is_dataclass(value):
                yield f"{prefix}{field.name}", value


def _replaced(settings: Any, keys: Sequence[str], text: str, where: str) -> Any:
    first, *rest = keys
    if rest:
        value = _replaced(getattr(settings, first), rest, text, where)
    else:
        value = _value(text, typing.get_type_hints(type(settings), include_extras=True)[first], where)
    try:
        return dataclasses.replace(settings, **{first: value})
    except Exception as error:  # its own checks, if it has any
        raise CredoError(f"{where}: {type(error).__name__}: {one_line(error, 300)}") from None


def _value(text: str, hint: Any, where: str) -> Any:
    """JSON, or the text itself where that is what fits."""
    try:
        return convert(json.loads(text), hint, where)
    except ValueError:
        return convert(text, hint, where)
    except CredoError as error:
        try:
            return convert(text, hint, where)
        except CredoError:
            raise error from None
