"""A study file: settings, axes over them, and the cells that their product makes. Data, never code; imports no JAX.

[study]
name = "stabilisers"
description = "one line"
seeds = 11                      # of every cell

[base]                          # settings of every cell, by dotted name or as tables
preset = "paper"
steps = 25_000
td3.discount = 0.99

[axes]
reward = ["plr", "cr"]          # values of a setting
credo.threshold = [1.0, 5.0]

[axes.method]                   # or named sets of settings; a preset among them replaces that of [base]
plain = { credo = "off" }
penalty = { credo = "off", regularisers = ["gradient-penalty"] }

[[exclude]]                     # cells to leave out: all of these at once
reward = "cr"
method = ["plain", "penalty"]

[[compare]]                     # a test that is fixed beforehand; methods as reports name them
against = "reward=plr threshold=5 plain"
method = "reward=plr threshold=5 penalty"
measure = "diverged"            # or "final-score", "mean-score"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from credo.config import RunConfig
from credo.config.own import LEARNER_SETTINGS, leaves
from credo.files import check_regular
from credo.presets import PRESETS
from credo.studies.comparisons import Comparison, read_comparisons
from credo.studies.settings import (
    PRESET,
    SHORT,
    UnknownNameError,
    configure,
    flatten,
    full_name,
    nearest,
    sections,
    setting_names,
)
from credo.studies.toml_lines import find_line
from credo.types import CredoError

ENVIRONMENT = "environment"
_TABLES = ("study", "base", "axes", "exclude", "compare")
_STUDY = ("name", "description", "seeds")
MOST_CELLS = 10_000
MOST_BYTES = 1 << 20


class Value(NamedTuple):
    """One value on an axis."""

    label: str
    """As cells and methods are named."""
    settings: dict[str, Any]
    """By dotted name."""
    given: Any
    """As exclusions may name it: the value itself, or the name of the set."""
    keys: tuple[str, ...]
    """Where it stands in the file."""


class Cell(NamedTuple):
    """One run of a study."""

    name: str
    """The labels of its values, in the order of the axes, with slashes between."""
    method: str
    """Its values on all axes but the environment's."""
    environment: str
    config: RunConfig


class Study(NamedTuple):
    """A study file, understood."""

    path: Path
    name: str
    description: str
    axes: dict[str, tuple[Value, ...]]
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...] = ()


def load_study(path: Path | str) -> Study:
    """Read a study file and expand it into cells.

    Raises:
        CredoError: FILE:LINE and in one line what is wrong: no TOML, an unknown name (with the nearest there is), a
            value that no setting takes, settings that cannot work together.
    """
    path = Path(path)
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # no TOML, or lists in lists and numbers beyond all reason
        hint = ""
        if "Cannot overwrite" in str(error) and "credo" in text:
            hint = '; credo = "filter" is short for credo.mode = "filter", which goes beside other settings of credo'
        raise CredoError(f"{path}: not TOML: {' '.join(str(error).split())}{hint}") from None
    if not tree:
        raise CredoError(f"{path}: nothing in it; a study has settings in [base] and values in [axes]")
    return _Reader(path, text, tree).study()


class _Reader:
    """Turns the parsed file into a study; every refusal names file and line."""

    def __init__(self, path: Path, text: str, tree: dict[str, Any]):
        self.path, self.text, self.tree = path, text, tree
        self.keys: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}
        """By the keys of a table and the dotted name of a setting: the keys that lead to it, which may be short."""

    def refuse(self, keys: Sequence[str], message: str, occurrence: int = 0) -> NoReturn:
        raise CredoError(f"{self.path}:{find_line(self.text, keys, occurrence)}: {message}")

    def study(self) -> Study:
        for name in self.tree:
            if name not in _TABLES:
                self.refuse([name], f"{name}: no such table; {nearest(name, _TABLES)}")
        about = self.table("study")
        for name in about:
            if name not in _STUDY:
                self.refuse(["study", name], f"study.{name}: unknown; {nearest(name, _STUDY)}")
        for name in ("name", "description"):
            if not isinstance(about.get(name, ""), str):
                self.refuse(["study", name], f"study.{name}: {about[name]!r} is not text")
        name = about.get("name", self.path.stem)
        if not (name.isprintable() and re.fullmatch(r"[^./\\][^/\\]{0,99}", name)):
            message = f"study.name: {name[:100]!r} cannot be a folder's name: no slashes, no dot at the beginning"
            self.refuse(["study", "name"], message)
        base = self.settings("base", self.table("base"))
        if "seeds" in about:
            if "seeds" in base:
                self.refuse(["study", "seeds"], "study.seeds: given in [base] too; give it once")
            base["seeds"] = about["seeds"]
        axes = {axis: self.axis(axis, given) for axis, given in self.axes().items()}
        cells = self.cells(base, axes)
        description = " ".join(about.get("description", "").split())
        if not description.isprintable():
            self.refuse(["study", "description"], f"study.description: {description[:100]!r} is not all printable")
        places: dict[tuple[str, str], str] = {}
        for cell in cells:
            other = places.setdefault((cell.method, cell.environment), cell.name)
            if other != cell.name:
                both = f"cells {other!r} and {cell.name!r} are both method {cell.method!r} in {cell.environment!r}"
                self.refuse(["axes"], f"axes: {both}; other names for their values would tell them apart")
        comparisons = read_comparisons(self.tables("compare"), list(places), self.refuse)
        return Study(self.path, name, description, axes, cells, comparisons)

    def table(self, name: str) -> dict[str, Any]:
        table = self.tree.get(name, {})
        if not isinstance(table, dict):
            self.refuse([name], f"{name}: must be a table, [{name}]")
        return table

    def settings(self, where: str, table: Mapping[str, Any], keys: tuple[str, ...] = ()) -> dict[str, Any]:
        try:
            found = flatten(table, keys or (where,))
        except UnknownNameError as error:
            self.refuse(error.keys, str(error))
        if PRESET in found and found[PRESET][1] not in list(PRESETS):
            path, value = found[PRESET]
            self.refuse(path, f"preset: {value!r} is not one of {', '.join(PRESETS)}")
        self.keys |= {(keys or (where,), name): path for name, (path, _) in found.items()}
        return {name: value for name, (_, value) in found.items()}

    def axes(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Axis name to (keys, what stands there), with settings in tables brought to one level."""
        found: dict[str, tuple[tuple[str, ...], Any]] = {}
        for key, given in self.table("axes").items():
            sets = isinstance(given, dict) and _is_sets(given) and key != LEARNER_SETTINGS
            if key in sections() and isinstance(given, dict) and not sets:
                inner = leaves(given) if key == LEARNER_SETTINGS else given.items()
                found |= {f"{key}.{part}": (("axes", key, *part.split(".")), values) for part, values in inner}
            else:
                found[key] = (("axes", key), given)
        return found

    def axis(self, axis: str, given: tuple[tuple[str, ...], Any]) -> tuple[Value, ...]:
        keys, values = given
        if isinstance(values, dict):
            found = tuple(self.named(keys, label, table) for label, table in values.items())
        elif isinstance(values, list):
            if axis == "seeds":
                self.refuse(keys, "axes.seeds: seeds are no axis, every cell has as many; give [study] seeds = 11")
            try:
                name = full_name(axis)
            except CredoError:
                if axis in sections():
                    self.refuse(keys, f"axes.{axis}: a table of settings; values of one expected, {axis}.NAME = [...]")
                near = nearest(axis, (*SHORT, *setting_names()))
                self.refuse(keys, f"axes.{axis}: no such setting; {near} (a table [axes.{axis}] makes an axis of sets)")
            found = tuple(Value(_label(axis, value), {name: value}, value, keys) for value in values)
        else:
            self.refuse(keys, f"axes.{axis}: {values!r} is neither a list of values nor a table of named sets")
        labels = [value.label for value in found]
        if not found:
            self.refuse(keys, f"axes.{axis}: it has no values")
        for label in labels:
            if not label.isprintable():
                self.refuse(keys, f"axes.{axis}: {label[:100]!r} is not all printable")
        if len(set(labels)) < len(labels):
            self.refuse_twice(keys, axis, [value for value in found if labels.count(value.label) > 1])
        return found

    def refuse_twice(self, keys: Sequence[str], axis: str, values: Sequence[Value]) -> NoReturn:
        """Of values with one label: where one is none that its setting takes, that is the fault."""
        for value in values:
            try:
                configure(value.settings)
            except CredoError as error:
                message = str(error).removeprefix("settings.")
                if message.startswith(tuple(f"{name}:" for name in value.settings)):
                    self.refuse(keys, message)
        self.refuse(keys, f"axes.{axis}: {values[0].label!r} stands there twice")

    def named(self, keys: tuple[str, ...], label: str, table: Any) -> Value:
        here = (*keys, label)
        if not isinstance(table, dict):
            near = nearest(label, setting_names())
            self.refuse(here, f"{'.'.join(here)}: {table!r} is not a table of settings ({near})")
        if not label or "/" in label:
            self.refuse(here, f"{'.'.join(here)}: a name must not be empty or contain a slash")
        return Value(label, self.settings(".".join(here), table, here), label, here)

    def cells(self, base: dict[str, Any], axes: dict[str, tuple[Value, ...]]) -> tuple[Cell, ...]:
        count = 1
        for values in axes.values():
            count *= len(values)
        if count > MOST_CELLS:
            self.refuse(["axes"], f"axes: {count:,} cells; a study may have {MOST_CELLS:,}")
        exclusions = self.exclusions(axes)
        hit = [0] * len(exclusions)
        cells = []
        for values in product(*axes.values()):
            chosen = dict(zip(axes, values, strict=True))
            excluded = [i for i, e in enumerate(exclusions) if all(chosen[axis].label in e[axis] for axis in e)]
            for index in excluded:
                hit[index] += 1
            if not excluded:
                cells.append(self.cell(base, axes, chosen))
        for index, hits in enumerate(hit):
            if not hits:
                self.refuse(["exclude"], "exclude: it leaves out no cell", index)
        if not cells:
            self.refuse(["exclude"], "exclude: no cell is left")
        return tuple(cells)

    def cell(self, base: dict[str, Any], axes: dict[str, tuple[Value, ...]], chosen: dict[str, Value]) -> Cell:
        settings = dict(base)
        of: dict[str, str] = {}
        for axis, value in chosen.items():
            for name, given in value.settings.items():
                if name in of:
                    self.refuse(value.keys, f"{name}: set by axis {of[name]!r} and by axis {axis!r}; only one may")
                of[name] = axis
                settings[name] = given
        name = "/".join(value.label for value in chosen.values()) or "run"
        try:
            config = configure(settings)
        except CredoError as error:
            keys = self.blame(base, chosen, str(error))
            self.refuse(keys, f"cell {name}: {str(error).removeprefix('settings.')}")
        labels = {axis: value.label for axis, value in chosen.items() if axis != ENVIRONMENT}
        varied = [label for axis, label in labels.items() if len(axes[axis]) > 1] or list(labels.values())
        environment = chosen[ENVIRONMENT].label if ENVIRONMENT in chosen else config.environment
        return Cell(name, " ".join(varied) or "run", environment.removeprefix(f"{ENVIRONMENT}="), config)

    def blame(self, base: dict[str, Any], chosen: dict[str, Value], message: str) -> Sequence[str]:
        """The keys of the setting that an error is about: it begins with the setting's name."""
        about = message.removeprefix("settings.").split(":")[0].split("[")[0]
        for value in chosen.values():
            for name in value.settings:
                if name == about or name.split(".")[-1] == about:
                    return self.keys.get((value.keys, name), value.keys)
        if about == "seeds":
            return ["study", "seeds"]
        name = next((n for n in base if n == about or n.split(".")[-1] == about), about)
        return self.keys.get((("base",), name), ("base", *name.split(".")))

    def tables(self, name: str) -> list[dict[str, Any]]:
        given = self.tree.get(name, [])
        if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
            self.refuse([name], f"{name}: must be tables, [[{name}]]")
        return given

    def exclusions(self, axes: dict[str, tuple[Value, ...]]) -> list[dict[str, set[str]]]:
        """Of each [[exclude]]: axis to the labels that it names."""
        found = []
        for index, table in enumerate(self.tables("exclude")):
            labels: dict[str, set[str]] = {}
            for axis, wanted in _flat_axes(table, axes).items():
                if axis not in axes:
                    near = nearest(axis, axes) if axes else "the study has no axes, and one cell"
                    self.refuse(["exclude", axis], f"exclude.{axis}: no such axis; {near}", index)
                # A value that is a list itself stands for one value where the axis has it.
                values = [wanted] if any(v.given == wanted for v in axes[axis]) else _as_list(wanted)
                for value in values:
                    match = next((v.label for v in axes[axis] if value in (v.given, v.label)), None)
                    if match is None:
                        near = nearest(str(value), [v.label for v in axes[axis]])
                        self.refuse(["exclude", axis], f"exclude.{axis}: {value!r} is not on that axis; {near}", index)
                    labels.setdefault(axis, set()).add(match)
            if not labels:
                self.refuse(["exclude"], "exclude: it names no axis", index)
            found.append(labels)
        return found


def _read(path: Path) -> str:
    try:
        status = check_regular(path, "a study file")
        if status.st_size > MOST_BYTES:
            raise CredoError(f"{path}: {status.st_size:,} bytes; a study file may have {MOST_BYTES:,}")
        return path.read_text(encoding="utf-8-sig")  # editors of some systems begin with a mark
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CredoError(f"{path}: not readable as a study file ({what})") from None


def _is_sets(given: dict[str, Any]) -> bool:
    """Whether a table under a section's name holds named sets of settings, not settings with their values."""
    return bool(given) and all(isinstance(value, dict) for value in given.values())


def _flat_axes(table: Mapping[str, Any], axes: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and key not in axes:
            flat |= {f"{key}.{part}": inner for part, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _label(axis: str, value: Any) -> str:
    if isinstance(value, list):
        text = "+".join(map(str, value)) or "none"
    else:
        # As short as it can be without another number's name.
        short = isinstance(value, float) and float(f"{value:g}") == value
        text = f"{value:g}" if short else str(value)
    text = text.replace("/", "_")
    return text if axis in ("learner", ENVIRONMENT) else f"{axis.split('.')[-1]}={text}"
