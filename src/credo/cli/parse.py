"""Options from dataclasses, with wrong usage told in one line."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from credo.types import CredoError, printable

Options = TypeVar("Options")


def parse(kind: type[Options], words: Sequence[str], command: str, about: str, default: Any = None) -> Options:
    """An instance of the dataclass ``kind`` from command-line words; CredoError, in one line, on wrong usage."""
    captured = io.StringIO()
    keywords = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(captured):
            return tyro.cli(kind, args=list(words), prog=f"credo {command}", description=about, **keywords)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise CredoError(f"{one_line(captured.getvalue())}; see credo {command} --help") from None
    finally:
        if not captured.closed and "usage" in captured.getvalue():
            sys.stderr.write(captured.getvalue())


def say(console: Any, text: str) -> None:
    """Print one line as it is: no markup, no control characters from a file's name, no breaks."""
    console.print(printable(text), soft_wrap=True, highlight=False, markup=False)


def find_local_modules(environment: str) -> None:
    """Let ``module:Id`` name a module in the current folder, as ``python -m`` would."""
    if ":" in environment:
        _look_in_the_current_folder()


def _look_in_the_current_folder() -> None:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def load_plugins(words: Sequence[str]) -> None:
    """Import the modules that follow ``--plugin``, and installed plug-ins, before the words are parsed: the choices of
    an option are the names known then."""
    from credo import plugins

    modules: list[str] = []
    for index, word in enumerate(words):
        if word.startswith("--plugin="):
            modules.append(word.removeprefix("--plugin="))
        elif word == "--plugin":
            modules += itertools.takewhile(lambda following: not following.startswith("-"), words[index + 1 :])
    if modules:
        _look_in_the_current_folder()
    plugins.load(modules)
    plugins.load_installed()


def one_line(box: str) -> str:
    """The message in tyro's framed text: without the frame, up to the first rule."""
    lines = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines():
        if line.startswith(("╭", "╰")):
            continue
        text = line.strip(" │|")
        if text and set(text) <= {"─"}:
            break
        lines.append(text)
    return " ".join(" ".join(lines).split()).rstrip(".")
