"""Settings with others in their place, as Python callers name them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from typing import Any

from credo.config.elsewhere import meant
from credo.config.own import LEARNER_SETTINGS, as_words
from credo.config.run import RunConfig
from credo.types import CredoError

_COMMAND_LINE = {
    "env": "did you mean environment?",
    "demos": "did you mean demonstrations?",
    "threshold": "did you mean credo={'threshold': ...}?",
    "preset": "give a preset's name, or credo.preset(NAME), as config=",
    "plugin": "import the module that registers it",
    "quiet": "watcher= is told what happens; without one, messages go to the logger credo",
    "video": "it is of the command line alone; credo video RUN records one",
}
"""Names of the command line, and what there is here in their place."""


def changed(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """The settings with those of ``settings`` in their place, and in their parts where a mapping is given; CredoError
    for a name that is none, with the one that was meant."""
    return _changed(config, config, settings, "")


def _changed(whole: RunConfig, part: Any, settings: Mapping[str, Any], where: str) -> Any:
    """A set of settings with others in it; a mapping changes what is in the part of its name. ``whole``: what the part
    is of."""
    known = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    for name in settings:
        if name not in known:
            hint = _hint(str(name), known, _asked(whole, settings, where), where)
            raise CredoError(f"{where}{name}: no such setting; {hint}")
    if not where and isinstance(settings.get(LEARNER_SETTINGS), Mapping):
        settings = {**settings, LEARNER_SETTINGS: as_words(settings[LEARNER_SETTINGS], part.learner_settings)}
    if not where and isinstance(settings.get("credo"), str):  # as on the command line
        settings = {**settings, "credo": {"mode": settings["credo"]}}
    values = {
        name: _changed(whole, known[name], value, f"{where}{name}.")
        if isinstance(value, Mapping) and dataclasses.is_dataclass(known[name])
        else value
        for name, value in settings.items()
    }
    return dataclasses.replace(part, **values)


def _hint(name: str, known: Collection[str], whole: RunConfig, where: str) -> str:
    """What may have been meant by ``name``, which is not among what is ``known`` in the part ``where`` of ``whole``."""
    if not where and name in _COMMAND_LINE:
        return _COMMAND_LINE[name]
    other = meant(whole, where + name)
    if other is not None:
        outer, dot, inner = other.rpartition(".")
        # From outside, a part's setting is given in a mapping.
        return f"did you mean {outer}={{{inner!r}: ...}}?" if dot and not where else f"did you mean {other}?"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {where}{near[0]}?" if near else f"known are {', '.join(sorted(known))}"


def _asked(config: RunConfig, settings: Mapping[str, Any], where: str) -> RunConfig:
    """With the learner that is asked for beside other settings."""
    learner = config.learner if where else settings.get("learner", config.learner)
    return dataclasses.replace(config, learner=learner)
