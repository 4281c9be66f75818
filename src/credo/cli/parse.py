"""Options from dataclasses, with wrong usage told in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tyro
from rich.text import Text

from credo.config import RunConfig
from credo.config.elsewhere import meant
from credo.config.limits import check_limits
from credo.environment_name import parse_name
from credo.types import CredoError, printable

Options = TypeVar("Options")
PLUGGED = ("learner", "reward", "regularisers")
"""Options that a plug-in adds names to."""


def parse(kind: type[Options], words: Sequence[str], command: str, about: str, default: Any = None) -> Options:
    """An instance of the dataclass ``kind`` from command-line words; CredoError, in one line, on wrong usage
    or a value outside the limit of its type."""
    captured = io.StringIO()
    keywords = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(captured):
            options = tyro.cli(kind, args=list(words), prog=f"credo {command}", description=about, **keywords)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        known_as = functools.partial(_meant, words, getattr(default, "config", default))
        raise CredoError(f"{plainly(captured.getvalue(), known_as)}; see credo {command} --help") from None
    finally:
        if not captured.closed and "usage" in captured.getvalue():
            sys.stderr.write(captured.getvalue())
    check_limits(options)
    return options


def say(console: Any, text: str, style: str = "") -> None:
    """Print one line as it is: no markup, no control characters from a file's name, no breaks."""
    console.print(Text(printable(text), style=style), soft_wrap=True, highlight=False)


def find_local_modules(environment: str) -> None:
    """Let ``module:Id`` name a module in the current folder, as ``python -m`` would."""
    if parse_name(environment).module:
        _look_in_the_current_folder()


def _look_in_the_current_folder() -> None:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def load_plugins(words: Sequence[str]) -> None:
    """Import the modules that follow ``--plugin``, and installed plug-ins, before the words are parsed: the choices of
    an option are the names known then."""
    modules: list[str] = []
    for index, word in enumerate(words):
        if word.startswith("--plugin="):
            modules.append(word.removeprefix("--plugin="))
        elif word == "--plugin":
            modules += itertools.takewhile(lambda following: not following.startswith("-"), words[index + 1 :])
    import_plugins(modules)


def import_plugins(modules: Sequence[str]) -> None:
    """Import modules that register, in the current folder or installed, and what installed packages announce."""
    from credo import plugins

    if modules:
        _look_in_the_current_folder()
    plugins.load(modules)
    plugins.load_installed()


def _meant(words: Sequence[str], default: Any, option: str) -> str | None:
    """The option that goes by the name of ``option`` in other libraries, for the learner that the words ask for."""
    if not isinstance(default, RunConfig):
        return None
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--learner" and (equals or index + 1 < len(words)):
            default = dataclasses.replace(default, learner=value if equals else words[index + 1])
    found = meant(default, option.removeprefix("--"))
    return None if found is None else f"--{found.replace('_', '-')}"


def plainly(box: str, known_as: Callable[[str], str | None] = lambda option: None) -> str:
    """What tyro's framed text says, with the option that was meant and the value that was expected. ``known_as``: an
    option by its name in other libraries."""
    lines = _unframed(box)
    message = itertools.takewhile(lambda text: not _is_rule(text), lines)
    line = " ".join(" ".join(message).split()).rstrip(".")
    wrong = re.match(r"Error parsing (\S+): .*(int\(\) with base 10|string to float): ('.*')$", line)
    if wrong:
        name, kind, value = wrong.groups()
        return f"{name}: {value} is not possible; a {'whole ' if kind.startswith('int') else ''}number expected"
    choice = re.match(r"invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*)\)$", line)
    if choice:
        value, name, known = choice.groups()
        others = " (--plugin MODULE imports others)" if name.rpartition(".")[2].lstrip("-") in PLUGGED else ""
        return f"{name}: {value!r} is not one of {known.replace(chr(39), '')}{others}"
    if line.startswith("Unrecognized options"):
        # What is similar stands below the first rule, an option a line, with its help.
        below = list(itertools.dropwhile(lambda text: not _is_rule(text), lines))
        known = re.findall(
            r"--[\w.-]+", " ".join(text for text in below if text.startswith("--") and not _is_rule(text))
        )
        words = [word.partition("=")[0] for word in re.findall(r"--[^\s,]+", line)]
        similar = [known_as(word) or next(iter(difflib.get_close_matches(word, known, n=1)), "") for word in words]
        similar = list(filter(None, dict.fromkeys(similar)))
        line += f" (did you mean {' and '.join(similar)}?)" if similar else ""
    return line


def _unframed(box: str) -> list[str]:
    """The lines of framed text without colours, frame and title; the rules between its parts stay."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()
    if "╭" not in box:  # where the output is of ASCII, a title and a rule stand in place of the frame
        lines = lines[2:]
    return [text.strip(" │|") for text in lines if not text.startswith(("╭", "╰"))]


def _is_rule(text: str) -> bool:
    return bool(text) and set(text) <= set("─-")
