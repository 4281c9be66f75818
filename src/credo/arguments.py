"""Arguments behind a name in text: ``Name,argument=value,...``."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

from credo.types import CredoError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORDS = {"True": True, "False": False, "None": None}


def read_arguments(text: str, where: str) -> dict[str, Any]:
    """What follows a name and its comma: ``argument=value,...``.

    A value is JSON (``0.1``, ``false``, ``[0.7,2.0]``, ``"text, with a comma"``); Python's True, False and None and its
    other ways to write a number are taken, too, and anything else up to the next comma is text. Nothing is evaluated.
    An argument of an argument has a dot in its name.

    Raises:
        CredoError: ``where``, and what is not ``argument=value`` or is there twice.
    """
    arguments: dict[str, Any] = {}
    comma, rest = ",", text
    while comma:
        name, equals, value = rest.partition("=")
        name = name.strip()
        if not equals or not all(part.isidentifier() for part in name.split(".")):
            given = rest.partition(",")[0].strip()
            raise CredoError(f"{where}: {given!r} is not argument=value; what follows the name must be ,argument=value")
        if name in arguments:
            raise CredoError(f"{where}: {name} is there twice; give it once")
        arguments[name], comma, rest = _value(value)
    return arguments


def joined(name: str, arguments: Mapping[str, Any]) -> str:
    """The one spelling: arguments in alphabetical order, without spaces, numbers as JSON writes them. 1, 1.0 and true
    stay what they are, since who is given them may tell them apart."""
    words = [name]
    for key in sorted(arguments):
        value = arguments[key]
        plain = isinstance(value, str) and value != "" and _value(value) == (value, "", "")
        words.append(f"{key}={value if plain else json.dumps(value, ensure_ascii=False, separators=(',', ':'))}")
    return ",".join(words)


def _value(text: str) -> tuple[Any, str, str]:
    """The value that a text begins with, the comma after it (or nothing) and the rest."""
    with contextlib.suppress(ValueError, RecursionError):
        text = text.lstrip()
        value, end = json.JSONDecoder().raw_decode(text)
        rest = text[end:].lstrip()
        if rest[:1] in ("", ","):
            return value, rest[:1], rest[1:]
    word, comma, rest = text.partition(",")
    word = word.strip()
    if word in _WORDS:
        return _WORDS[word], comma, rest
    if not _NUMBER.fullmatch(word):
        return word, comma, rest
    with contextlib.suppress(ValueError):  # has a point or an exponent, or thousands of digits
        return int(word), comma, rest
    return float(word), comma, rest
