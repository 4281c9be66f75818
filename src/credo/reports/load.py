"""Read run folders for reports: also those of running, killed or damaged runs. Imports no JAX."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from credo import run_folder
from credo.config import RunConfig
from credo.config.limits import MAXIMUM_SEEDS, MAXIMUM_STEPS
from credo.diagnostics import critics
from credo.diagnostics.divergence import Verdict
from credo.files import read_json
from credo.run_lock import holder_is_gone
from credo.studies.curves import SeedCurve
from credo.studies.read import (
    WANTED_METRICS,
    MethodRun,
    expert_return_of,
    of_part,
    of_settings,
    rows_of,
    rows_there,
    verdict_of,
)
from credo.studies.store import seed_steps
from credo.types import CredoError

Columns = dict[str, np.ndarray]
"""Name to values, all of one length, one row a round (or evaluation) in rising ``step``."""


@dataclass(frozen=True)
class LoadedRun:
    """What a run folder says of its run."""

    folder: Path
    config: RunConfig
    """Of a part of a run: with the steps of that part."""
    stored: dict[str, Any]
    """The whole of config.json."""
    summary: dict[str, Any]
    """summary.json, or empty; of a part of a run only what is true of that part."""
    state: str
    """"done", or what the summary says: "running", "interrupted"; "running" without a summary, and "stopped" where the
    process that trained it is gone. A part of a run is done once all of it is there."""
    metrics: dict[int, Columns]
    """Of every wanted seed, and beside them ``critics.OVER_REFERENCE``; empty columns where it has no rows."""
    evaluations: dict[int, Columns]
    """Of every wanted seed; empty columns where it has no rows."""
    expert_return: float | None
    """Mean return of the demonstrations' episodes; None if unknown."""
    verdicts: dict[int, Verdict]
    """Of every wanted seed."""
    problems: tuple[str, ...]
    """What could not be read, one line each."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.metrics)

    @property
    def steps_done(self) -> int:
        """Environment steps per seed so far."""
        steps = [int(c["step"][-1]) for c in (*self.metrics.values(), *self.evaluations.values()) if len(c["step"])]
        told = self.summary.get("steps")
        return max([told if isinstance(told, int) and told <= MAXIMUM_STEPS else 0, *steps])

    def curve(self, seed: int) -> SeedCurve:
        """The rows of a seed for the statistics; its method is not named."""
        rows = self.metrics[seed], self.evaluations[seed]
        curve = SeedCurve("", self.config.environment, seed, *rows, self.expert_return, self.verdicts[seed])
        return of_settings(curve, self.config)

    def seed_summary(self, seed: int) -> dict[str, Any]:
        """What summary.json holds of a seed; empty where it has nothing yet."""
        seeds = self.summary.get("seeds")
        found = seeds.get(str(seed)) if isinstance(seeds, dict) else None
        return found if isinstance(found, dict) else {}


def load_run(run: Path | MethodRun, metrics_columns: Sequence[str] | None = None) -> LoadedRun:
    """Read a run folder; what is missing is empty, what is damaged is left out and named in ``problems``.

    Args:
        run: its folder, or the part of it that belongs to a study.
        metrics_columns: those of the metrics to read, beside what verdicts and statistics need; None: all.

    Raises:
        CredoError: the folder is not a run of this version (its config.json is missing or not understood).
    """
    part = run if isinstance(run, MethodRun) else MethodRun("", "", Path(run))
    folder = part.folder
    stored_config, stored = run_folder.read_config(folder)
    config, steps = of_part(stored_config, part)
    problems: list[str] = []
    summary: dict[str, Any] = {}
    try:
        summary = run_folder.read_summary(folder)
    except CredoError as error:
        problems.append(str(error))
    state = str(summary.get("state", "running"))
    if (folder / run_folder.DONE).exists():
        # It may have been asked for more since, and stopped before it went on.
        told = any("steps" in seed for seed in (summary.get("seeds") or {}).values())
        state = "done" if not told or seed_steps(summary, stored_config)[1] else "interrupted"
    if state == "running" and holder_is_gone(folder):
        state = "stopped"
    wanted = None if metrics_columns is None else list(dict.fromkeys((*WANTED_METRICS, *metrics_columns)))
    metrics = rows_there(folder, run_folder.METRICS, problems, wanted)
    evaluations = rows_there(folder, run_folder.EVALUATIONS, problems)
    recorded = {int(seed) for columns in (metrics, evaluations) for seed in np.unique(columns.get("seed", ()))}
    seeds = sorted({*config.seed_numbers, *recorded})
    if len(seeds) > MAXIMUM_SEEDS:
        raise CredoError(f"{folder}: rows of {len(seeds)} seeds; at most {MAXIMUM_SEEDS} are possible")
    if part.seeds is not None:
        seeds = sorted(part.seeds)
    expert_return = expert_return_of(stored)
    metrics_of = {seed: _with_reference(rows_of(metrics, seed, steps), config) for seed in seeds}
    evaluations_of = {seed: rows_of(evaluations, seed, steps) for seed in seeds}
    loaded = LoadedRun(
        folder=folder,
        config=config,
        stored=stored,
        summary=summary,
        state=state,
        metrics=metrics_of,
        evaluations=evaluations_of,
        expert_return=expert_return,
        verdicts={
            seed: verdict_of(metrics_of[seed], evaluations_of[seed], expert_return, config, summary, seed)
            for seed in seeds
        },
        problems=tuple(problems),
    )
    return loaded if steps is None and part.seeds is None else _as_part(loaded, steps)


def _as_part(run: LoadedRun, steps: int | None) -> LoadedRun:
    """With a summary and a state that tell of the part alone: its run may have more seeds, go further, or go on."""
    seeds = {}
    for seed in run.seeds:
        told = run.seed_summary(seed)
        if steps is not None and (told.get("steps") or 0) > steps:
            # What was kept up to there is no longer known where the run has kept something better since.
            early = (told.get("selected_step") or 0) <= steps
            told = {k: told[k] for k in ("selected_step", "selected_return") if early and k in told}
        seeds[str(seed)] = told
    state = run.state
    if all(run.curve(seed).finished for seed in run.seeds):
        state = "done"
    elif state == "done":
        state = "interrupted"
    # The run's own steps are its furthest seed's.
    summary = {name: value for name, value in run.summary.items() if name != "steps"}
    return dataclasses.replace(run, summary=summary | {"seeds": seeds, "state": state}, state=state)


def find_runs(folder: Path) -> list[Path]:
    """The run folders in ``folder`` (itself among them), at any depth, sorted; CredoError if there is no folder. Links
    are followed to a run alone, and not to one that is found without."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CredoError(f"folder: {folder} is not a folder; give one that holds runs")
    found, linked = list[Path](), list[Path]()
    for path, folders, files in os.walk(folder):
        if run_folder.CONFIG in files and _is_run(Path(path)):
            found.append(Path(path))
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [Path(path, name) for name in folders if Path(path, name).is_symlink()]
        linked += [link for link in links if (link / run_folder.CONFIG).is_file() and _is_run(link)]
    places = {path.resolve() for path in found}
    for link in sorted(linked):
        if link.resolve() not in places:
            places.add(link.resolve())
            found.append(link)
    return sorted(found)


def thin(
    step: np.ndarray, value: np.ndarray, points: int, reduce: Literal["max", "mean"] = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a curve to at most ``points`` points, without the rows that are NaN.

    Args:
        step: [n], rising.
        value: [n].
        points: at least 1.
        reduce: max: the largest value of each stretch at its own step, so that no peak is lost or moved; mean: the
            mean of each stretch at its last step.

    Returns:
        Steps and values; infinities stay (under mean they spread over their stretch).
    """
    step, value = np.asarray(step), np.asarray(value, np.float64)
    known = ~np.isnan(value)
    step, value = step[known], value[known]
    if len(step) <= points:
        return step, value
    starts = np.linspace(0, len(step), points, endpoint=False).astype(np.int64)
    ends = np.append(starts[1:], len(step))
    if reduce == "mean":
        with np.errstate(invalid="ignore"):
            return step[ends - 1], np.add.reduceat(value, starts) / (ends - starts)
    largest = np.maximum.reduceat(value, starts)
    # The first row of each stretch that holds its maximum.
    rows = np.flatnonzero(value == np.repeat(largest, ends - starts))
    first = rows[np.searchsorted(rows, starts)]
    return step[first], value[first]


def envelope(step: np.ndarray, value: np.ndarray, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a curve to the least and the largest value of each of ``buckets`` stretches, each at its own step.

    Args:
        step: [n], rising.
        value: [n]; what is not finite is left out.
        buckets: at least 1; up to twice as many points come back, and the last row is always one of them.
    """
    step, value = np.asarray(step), np.asarray(value, np.float64)
    known = np.isfinite(value)
    if not known.all():
        step, value = step[known], value[known]
    if len(step) <= 2 * buckets:
        return step, value
    starts = np.linspace(0, len(step), buckets, endpoint=False).astype(np.int64)
    chosen = [np.array([len(step) - 1])]
    for extreme in (np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)):
        rows = np.flatnonzero(value == np.repeat(extreme, np.diff(starts, append=len(step))))
        chosen.append(rows[np.searchsorted(rows, starts)])
    rows = np.unique(np.concatenate(chosen))
    return step[rows], value[rows]


def _with_reference(columns: Columns, config: RunConfig) -> Columns:
    targets = critics.following(config)
    found = None if targets is None else critics.q_over_reference(columns, targets)
    return columns if found is None else columns | {critics.OVER_REFERENCE: found}


def _is_run(folder: Path) -> bool:
    try:
        stored = read_json(folder / run_folder.CONFIG)
    except CredoError:  # of a damaged run what else it has is there to tell it by
        return (folder / run_folder.METRICS).is_dir() and (folder / run_folder.POLICIES).is_dir()
    return "format" in stored and "identity" in stored
