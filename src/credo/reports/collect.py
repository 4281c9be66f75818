"""What a report needs of many runs, one run in memory at a time: thinned curves, verdicts, phases."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo import run_folder
from credo.diagnostics.divergence import Verdict
from credo.machine import usable_cores
from credo.reports.figures import DISTANCE, FIGURES, PHASES, RETURN, SUCCESS, Figure
from credo.reports.load import Columns, LoadedRun, envelope, find_runs, load_run
from credo.reports.methods import Member, name_methods
from credo.reports.tables import Line, SeedRow, seed_rows
from credo.run_lock import holder_is_gone
from credo.studies.curves import SeedDigest
from credo.studies.digest import digest
from credo.studies.efficiency import SHARES, samples_to
from credo.studies.read import MethodRun, of_part
from credo.types import CredoError, plural, printable

_MOST_BUCKETS, _FEWEST_BUCKETS = 200, 60
_POINTS = 400_000
"""Points on a page, about: each is some ten bytes."""
_METRICS = tuple(figure.column for figure in FIGURES if figure.kind == "metrics")


class Curve(NamedTuple):
    """One measure of one seed, thinned so that its extremes stay."""

    step: np.ndarray
    """[n] int64, rising."""
    value: np.ndarray
    """[n] float64, finite."""
    quarters: tuple[float | None, ...]
    """The last value within each quarter of the training; None where there is none."""


class SeedResult(NamedTuple):
    """What a report tells of a seed."""

    row: SeedRow
    verdict: Verdict
    curves: dict[str, Curve]
    """By key of the figure; without those that have no finite value."""
    phases: dict[str, tuple[float | None, ...]]
    """By key of the figure: the mean in each of ``PHASES``, of return, success and distance."""
    reached: tuple[int | None, ...]
    """``efficiency.samples_to`` each of its ``SHARES``; None: not reached, or the expert's return is unknown."""
    steps_done: int
    folder: Path
    environment: str
    """Its id."""
    digest: SeedDigest
    """For the statistics; its method is named where they are made."""


class RunInfo(NamedTuple):
    """A run that a report is made of."""

    folder: Path
    method: str
    environment: str
    state: str
    steps_done: int
    steps_wanted: int | None
    """None of a clone, whose steps are minibatches, of as many as it needs."""
    seeds: int
    stored: dict[str, Any]
    """The whole of config.json."""
    problems: tuple[str, ...]


@dataclass
class Cell:
    """A method in an environment: the seeds of all its runs."""

    method: str
    environment: str
    seeds: dict[int, SeedResult] = field(default_factory=dict)
    expert_return: float | None = None
    runs: list[RunInfo] = field(default_factory=list)
    several: set[int] = field(default_factory=set)
    """Seeds that several runs have."""

    @property
    def counts(self) -> Counter[str]:
        """Seeds by kind of verdict."""
        return Counter(seed.verdict.kind for seed in self.seeds.values())

    @property
    def diverged(self) -> int:
        return sum(seed.verdict.diverged for seed in self.seeds.values())


@dataclass
class Collection:
    """Everything that a report shows."""

    methods: tuple[str, ...]
    environments: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    """By environment and method; a pair that was never run is missing."""
    spans: dict[str, int]
    """By environment: the most steps that a run wants."""
    problems: tuple[str, ...]
    """What could not be read, one line each."""

    @property
    def runs(self) -> list[RunInfo]:
        return [run for cell in self.cells.values() for run in cell.runs]

    @property
    def done(self) -> bool:
        """Whether no run is still to go on."""
        return all(run.state == "done" for run in self.runs)

    def of(self, environment: str) -> list[Cell]:
        """The cells of an environment in the order of the methods."""
        return [self.cells[environment, m] for m in self.methods if (environment, m) in self.cells]

    def figures(self, environment: str) -> list[Figure]:
        """The figures that have something to show there."""
        drawn = {key for cell in self.of(environment) for seed in cell.seeds.values() for key in seed.curves}
        return [figure for figure in FIGURES if figure.key in drawn]

    def extent(self, environment: str) -> int:
        """Where the horizontal axis ends: the most steps that a seed has done there."""
        seeds = [seed for cell in self.of(environment) for seed in cell.seeds.values() if not seed.digest.clone]
        return max([1, *(seed.steps_done for seed in seeds)]) if seeds else self.spans[environment]

    def outcome(self, environment: str) -> Figure | None:
        """The measure that verdicts and phases stand on there: the return where it and the expert's are known, else
        success, distance, or the bare return; None: nothing of this is there."""
        keys = {figure.key for figure in self.figures(environment)}
        known = all(cell.expert_return is not None for cell in self.of(environment))
        order = (RETURN, SUCCESS, DISTANCE) if known else (SUCCESS, DISTANCE, RETURN)
        return next((figure for figure in order if figure.key in keys), None)


_Part = tuple[MethodRun, int, int]
"""What is read of a run: itself, the span of its environment, and into how many stretches curves are thinned."""


class Reader:
    """Reads runs, and keeps what it made of those that have not changed since."""

    def __init__(self) -> None:
        self._kept: dict[_Part, tuple[object, Any]] = {}

    def collect(self, folders: Sequence[Path | MethodRun], line: Line = lambda line: None) -> Collection:
        """Read all runs in the folders.

        Args:
            folders: run folders, or folders that hold runs at any depth: their methods are named by the settings in
                which they differ. Or parts of runs with the names that a study gives them.
            line: gets how many runs are read, where any is.

        Raises:
            CredoError: a folder is missing, or there is no run in any of them.
        """
        members, problems = _members(folders)
        # Names go into drawings, which a control character would break.
        names_of = [printable(m.part.method or name) for m, name in zip(members, name_methods(members), strict=True)]
        spans: dict[str, int] = defaultdict(int)
        for member in members:
            # A clone's minibatches do not stretch it.
            steps = 1 if member.config.clones else member.config.steps
            spans[member.environment] = max(spans[member.environment], steps)
        curves = len(FIGURES) * sum(member.config.seeds for member in members)
        buckets = min(max(_POINTS // max(2 * curves, 1), _FEWEST_BUCKETS), _MOST_BUCKETS)
        parts = [(member.part, spans[member.environment], buckets) for member in members]
        marks = [_fingerprint(member.part.folder) for member in members]
        if fresh := sum(not self._knows(part, mark) for part, mark in zip(parts, marks, strict=True)):
            line(f"reading {plural(fresh, 'run')}")
        with ThreadPoolExecutor(min(usable_cores(), 4)) as pool:
            found = list(pool.map(self._read, parts, marks))
        cells: dict[tuple[str, str], Cell] = {}
        for member, name, result in zip(members, names_of, found, strict=True):
            if isinstance(result, str):
                problems.append(result)
                continue
            run, seeds = result
            environment = printable(member.environment)
            cell = cells.setdefault((environment, name), Cell(name, environment))
            problems += run.problems
            _add(cell, member, run, seeds)
        if not cells:
            raise CredoError(f"report: no run in {_listed(folders)} can be read ({'; '.join(problems[:3])})")
        problems += [
            f"seed {number} of {cell.method} on {cell.environment} is in several runs; "
            f"shown is the longest, in {cell.seeds[number].folder}"
            for cell in cells.values()
            for number in sorted(cell.several)
        ]
        return Collection(
            methods=tuple(dict.fromkeys(name for name in names_of if any(name == key[1] for key in cells))),
            environments=tuple(dict.fromkeys(key[0] for key in cells)),
            cells=cells,
            spans={printable(name): steps for name, steps in spans.items()},
            problems=tuple(problems),
        )

    def _knows(self, part: _Part, mark: object) -> bool:
        """Whether a part is kept as it was when its run's fingerprint was ``mark``."""
        return part in self._kept and self._kept[part][0] == mark

    def _read(self, part: _Part, mark: object) -> tuple[LoadedRun, dict[int, SeedResult]] | str:
        """A run without its rows, and its seeds; or why it cannot be read. ``mark``: its fingerprint."""
        if self._knows(part, mark):
            return self._kept[part][1]
        wanted, span, buckets = part
        try:
            run = load_run(wanted, metrics_columns=_METRICS)
        except CredoError as error:
            return str(error)
        rows = {row.seed: row for row in seed_rows(run)}
        seeds = {seed: _seed_result(run, seed, rows[seed], span, buckets) for seed in run.seeds}
        run.metrics.clear()
        run.evaluations.clear()
        self._kept[part] = mark, (run, seeds)
        return run, seeds


def _members(folders: Sequence[Path | MethodRun]) -> tuple[list[Member], list[str]]:
    """The runs whose settings can be read, each once, and what is wrong with the others."""
    parts: list[MethodRun] = []
    for folder in folders:
        parts += (
            [folder] if isinstance(folder, MethodRun) else [MethodRun("", "", path) for path in find_runs(Path(folder))]
        )
    if not parts:
        raise CredoError(f"report: there is no run in {_listed(folders)}; give run folders, or folders that hold some")
    members, problems, seen = [], [], set()
    for part in parts:
        same = part._replace(folder=part.folder.resolve())
        if same in seen:
            continue
        seen.add(same)
        try:
            config, stored = run_folder.read_config(part.folder)
            members.append(Member(part, of_part(config, part)[0], stored))
        except CredoError as error:
            problems.append(str(error))
    return members, problems


def _add(cell: Cell, member: Member, run: LoadedRun, seeds: dict[int, SeedResult]) -> None:
    """Put a run's seeds into its cell; of a seed that was run more than once the longest counts."""
    expert = run.expert_return
    cell.expert_return = expert if cell.expert_return is None else cell.expert_return
    done = max([seed.steps_done for seed in seeds.values()], default=0)
    config = run.config
    info = RunInfo(
        run.folder,
        cell.method,
        cell.environment,
        run.state,
        max(done, int(run.summary.get("steps") or 0)),
        None if config.clones else config.rounds * config.steps_per_round,
        len(seeds),
        member.stored,
        run.problems,
    )
    cell.runs.append(info)
    for number, seed in seeds.items():
        other = cell.seeds.get(number)
        if other is None or seed.steps_done > other.steps_done:
            cell.seeds[number] = seed
        if other is not None:
            cell.several.add(number)
    cell.seeds = dict(sorted(cell.seeds.items()))


def _seed_result(run: LoadedRun, seed: int, row: SeedRow, span: int, buckets: int) -> SeedResult:
    curves = {}
    for figure in FIGURES:
        columns = (run.metrics if figure.kind == "metrics" else run.evaluations)[seed]
        drawn = _curve(columns, figure.column, span, buckets)
        if drawn is not None:
            curves[figure.key] = _level(drawn, span) if run.config.clones else drawn
    evaluations = run.evaluations[seed]
    curve = run.curve(seed)
    digested = digest(curve)

    def phases(figure: Figure) -> tuple[float | None, ...]:
        return curves[figure.key].quarters if run.config.clones else _phases(evaluations, figure.column, span)

    return SeedResult(
        row=row,
        verdict=run.verdicts[seed],
        curves=curves,
        phases={figure.key: phases(figure) for figure in (RETURN, SUCCESS, DISTANCE) if figure.key in curves},
        reached=_reached(digested),
        steps_done=curve.last_step,
        folder=run.folder,
        environment=run.config.environment,
        digest=digested,
    )


def _curve(columns: Columns, name: str, span: int, buckets: int) -> Curve | None:
    if name not in columns:
        return None
    step, value = columns["step"], np.asarray(columns[name], np.float64)
    known = np.isfinite(value)
    if not known.any():
        return None
    if not known.all():
        step, value = step[known], value[known]
    quarters: list[float | None] = []
    for begin, end in _stretches(span):
        first, last = np.searchsorted(step, (begin, end), side="right")
        quarters.append(float(value[last - 1]) if last > first else None)
    return Curve(*envelope(step, value, buckets), tuple(quarters))


def _level(curve: Curve, span: int) -> Curve:
    """A clone takes no environment steps: what it is at last stands over all of the axis, to compare others with."""
    value = float(curve.value[-1])
    return Curve(np.array([0, span]), np.full(2, value), (value,) * len(PHASES))


def _phases(evaluations: Columns, name: str, span: int) -> tuple[float | None, ...]:
    step, value = evaluations["step"], np.asarray(evaluations[name], np.float64)
    found: list[float | None] = []
    for begin, end in _stretches(span):
        inside = value[(step > begin) & (step <= end) & np.isfinite(value)]
        found.append(float(inside.mean()) if len(inside) else None)
    return tuple(found)


def _stretches(span: int) -> list[tuple[float, float]]:
    """(after step, up to step) of each phase."""
    edges = np.linspace(0, span, len(PHASES) + 1)
    return list(itertools.pairwise(edges))


def _reached(seed: SeedDigest) -> tuple[int | None, ...]:
    if seed.expert_return is None or seed.expert_return <= 0:
        return (None,) * len(SHARES)
    found = [samples_to(seed, share) for share in SHARES]
    return tuple(int(samples) if np.isfinite(samples) else None for samples in found)


def _fingerprint(folder: Path) -> object:
    """Differs once a file of the run is written, renamed or removed, or the process that trains it is gone."""
    names = (".", run_folder.METRICS, run_folder.EVALUATIONS)
    times = [(folder / name).stat().st_mtime_ns if (folder / name).exists() else None for name in names]
    return *times, holder_is_gone(folder)


def _listed(folders: Sequence[Path | MethodRun]) -> str:
    return ", ".join(str(each.folder if isinstance(each, MethodRun) else each) for each in folders)
