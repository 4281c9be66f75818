"""Which runs are of one method: methods are named by the settings in which the runs differ."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from credo.config import RunConfig, recorded_identity
from credo.config.own import leaves
from credo.studies.read import MethodRun

_NO_PART = ("environment", "demonstrations_sha256", "learner")
"""An environment has its own figures, and its own demonstrations; the learner begins every name."""
_SHORT = {"credo.mode": "credo", "demonstrations.episodes": "demonstrations"}
_EPISODES = "demonstrations.episodes"
_SOURCE = "demonstrations.source"
_ALWAYS = ("reward", "credo.mode", "credo.threshold", "discriminator.regularisers", _EPISODES)
"""What studies vary: named wherever it differs. Of the rest only as much as tells the methods apart."""

Settings = dict[str, Any]
"""Dotted name to value, of what determines a run's numbers."""


class Member(NamedTuple):
    """A run, as far as its place in a report goes."""

    part: MethodRun
    """Its folder, and how much of it is shown."""
    config: RunConfig
    stored: dict[str, Any]
    """The whole of config.json."""

    @property
    def environment(self) -> str:
        """As the study calls it, else by its id."""
        return self.part.environment or self.config.environment


def settings_of(config: RunConfig, stored: dict[str, Any]) -> Settings:
    """What determines a run's numbers, flat, without environment and hash; with what is known of the demonstrations."""
    kept = stored.get("identity")
    tree = recorded_identity(config, kept if isinstance(kept, dict) else {})
    found = {name: value for name, value in leaves(tree) if name not in _NO_PART}
    demonstrations = stored.get("demonstrations")
    if config.adversarial and isinstance(demonstrations, dict):
        found[_EPISODES] = demonstrations.get("episodes")
        found[_SOURCE] = str(demonstrations.get("sha256", ""))
    return found


def name_methods(members: Sequence[Member]) -> list[str]:
    """The name of each run's method: learner, and the settings in which the runs' methods differ.

    Two runs of one environment have the same name only if they differ in nothing but seeds and steps. A setting that
    each environment has one value of, all else being equal, was fitted to the environment: it is no part of a method.
    """
    settings = [settings_of(member.config, member.stored) for member in members]
    names = sorted({name for each in settings for name in each})
    differing = [name for name in names if len({_text(each[name]) for each in settings if name in each}) > 1]
    own = [
        name for name in differing if name in _ALWAYS or not _belongs_to_environment(name, differing, members, settings)
    ]
    parts = _needed([*(n for n in _ALWAYS if n in own), *(n for n in own if n not in _ALWAYS)], members, settings)
    short = _short_names(parts)
    labels = []
    for member, each in zip(members, settings, strict=True):
        words = [f"{short[name]}={_shown(name, each[name], member)}" for name in parts if name in each]
        labels.append(" ".join([member.config.learner, *words]))
    return _told_apart(labels, members, settings)


def _belongs_to_environment(
    name: str, differing: list[str], members: Sequence[Member], settings: list[Settings]
) -> bool:
    """Whether, among runs that agree in all other differing settings, it differs between environments alone."""
    others = [other for other in differing if other not in (name, _SOURCE)]
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for member, each in zip(members, settings, strict=True):
        if name in each:
            rest = _text([member.config.learner, *(each.get(other) for other in others)])
            values[rest][member.config.environment].add(_text(each[name]))
    single = all(len(found) == 1 for group in values.values() for found in group.values())
    # The hash of demonstrations is told only where it is all that differs.
    return single and (name == _SOURCE or any(len(group) > 1 for group in values.values()))


def _needed(parts: list[str], members: Sequence[Member], settings: list[Settings]) -> list[str]:
    """``parts`` without those that tell no two runs apart, beside those that are always told."""

    def groups(names: list[str]) -> int:
        return len(
            {_text([m.config.learner, *(s.get(n) for n in names)]) for m, s in zip(members, settings, strict=True)}
        )

    for name in reversed(parts):
        rest = [other for other in parts if other != name]
        if name not in _ALWAYS and groups(rest) == groups(parts):
            parts = rest
    return parts


def _told_apart(labels: list[str], members: Sequence[Member], settings: list[Settings]) -> list[str]:
    """Labels to which the folder is added where runs of one environment share one in spite of different settings."""
    different = defaultdict(set)
    for label, member, each in zip(labels, members, settings, strict=True):
        different[label, member.config.environment].add(_text(each))
    return [
        f"{label} ({member.part.folder.name})" if len(different[label, member.config.environment]) > 1 else label
        for label, member in zip(labels, members, strict=True)
    ]


def _short_names(names: list[str]) -> dict[str, str]:
    """Last parts of dotted names where those tell them apart."""
    short = {name: _SHORT.get(name, name.rsplit(".", 1)[-1]) for name in names}
    taken = list(short.values())
    return {name: word if taken.count(word) == 1 else name for name, word in short.items()}


def _shown(name: str, value: Any, member: Member) -> str:
    if name == _SOURCE:
        return Path(member.config.demonstrations).name
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "default", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
