"""The curves of seeds from run folders, also of running, killed or damaged runs; one folder in memory at a time."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo import run_folder, run_rows
from credo.config import RunConfig
from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import VERDICT_METRICS, Verdict, verdict
from credo.diagnostics.frozen import dated
from credo.studies.curves import METRIC_COLUMNS, SeedCurve, SeedDigest, frozen
from credo.studies.digest import digest
from credo.types import CredoError, is_number

Columns = dict[str, np.ndarray]
_LARGEST = float(np.finfo(np.float32).max)
WANTED_METRICS = ["seed", *dict.fromkeys((*METRIC_COLUMNS, *VERDICT_METRICS))]
"""The columns of a run's metrics that verdicts and statistics read."""


class MethodRun(NamedTuple):
    """A run folder and what it is in a study."""

    method: str
    environment: str
    folder: Path
    steps: int | None = None
    """Curves are cut here; None: not."""
    seeds: tuple[int, ...] | None = None
    """Only these; None: all that the run has."""


def read_digests(
    runs: Iterable[tuple[str, str, Path] | MethodRun], criteria: Criteria = Criteria()
) -> list[SeedDigest]:
    """The digest of every seed of the runs, with verdicts by ``criteria``; one run in memory at a time.

    A part that cannot be read leaves its run's curves empty; a folder that is no run is left out.
    """
    return [digest(curve, criteria) for run in runs for curve in read_curves(run, criteria)]


def read_curves(run: tuple[str, str, Path] | MethodRun, criteria: Criteria = Criteria()) -> list[SeedCurve]:
    """The curves of every seed of a run; none where the folder is no run."""
    try:
        return _of_run(MethodRun(*run), criteria)
    except CredoError:
        return []


def _of_run(run: MethodRun, criteria: Criteria) -> list[SeedCurve]:
    stored_config, stored = run_folder.read_config(run.folder)
    config, steps = of_part(stored_config, run)
    metrics = rows_there(run.folder, run_folder.METRICS, [], WANTED_METRICS)
    evaluations = rows_there(run.folder, run_folder.EVALUATIONS, [])
    expert = expert_return_of(stored)
    summary: dict[str, Any] = {}
    with contextlib.suppress(CredoError):  # its curves are there all the same
        summary = run_folder.read_summary(run.folder)
    curves = []
    for seed in run.seeds if run.seeds is not None else config.seed_numbers:
        rounds, tests = rows_of(metrics, seed, steps), rows_of(evaluations, seed, steps)
        found = verdict_of(rounds, tests, expert, config, summary, seed, criteria)
        curves.append(of_settings(SeedCurve(run.method, run.environment, seed, rounds, tests, expert, found), config))
    return curves


def verdict_of(
    metrics: Columns,
    evaluations: Columns,
    expert_return: float | None,
    config: RunConfig,
    summary: dict[str, Any],
    seed: int,
    criteria: Criteria = Criteria(),
) -> Verdict:
    """The verdict on a seed's rows, with the step and the cause that its run's summary has where it is frozen."""
    return dated(verdict(metrics, evaluations, expert_return, criteria, config.clones), summary, seed)


def of_part(config: RunConfig, run: MethodRun) -> tuple[RunConfig, int | None]:
    """A run's settings with the steps and seeds that are wanted of it, and where its curves are cut (None: not)."""
    if run.seeds:
        config = dataclasses.replace(config, first_seed=min(run.seeds), seeds=len(run.seeds))
    if run.steps is None:
        return config, None
    # A clone's steps are minibatches, of which no study asks for a number.
    return dataclasses.replace(config, steps=run.steps), None if config.clones else run.steps


def of_settings(curve: SeedCurve, config: RunConfig) -> SeedCurve:
    """The curve with what the settings say of it: whether it is a clone's, which is evaluated at its end alone, and
    whether it reaches the last whole round of the steps wanted, or is frozen."""
    if config.clones:
        finished = len(curve.evaluations["step"]) > 0
    else:
        finished = curve.last_step >= config.steps // config.steps_per_round * config.steps_per_round
    return curve._replace(clone=config.clones, finished=finished or frozen(curve))


def expert_return_of(stored: dict[str, Any]) -> float | None:
    """The demonstrations' mean return in a run's config.json; None where it is unknown, or 0 as of rewards that nobody
    recorded: nothing can be a share of it. What no evaluation could hold, in single precision, is none."""
    demonstrations = stored.get("demonstrations")
    value = demonstrations.get("return_mean") if isinstance(demonstrations, dict) else None
    return float(value) if is_number(value) and 0 < abs(value) <= _LARGEST else None


def rows_of(columns: Columns, seed: int, steps: int | None = None) -> Columns:
    """The rows of one seed up to ``steps``, of columns ordered by seed, then step; of rows with the same step (an
    interrupted run's) the last. Views of the columns where that can be."""
    if "seed" not in columns or "step" not in columns:
        return {"step": np.zeros(0, np.int64)}
    first, last = np.searchsorted(columns["seed"], (seed, seed + 1))
    step = columns["step"][first:last]
    if steps is not None:
        step = step[: np.searchsorted(step, steps, side="right")]
    rows = slice(first, first + len(step))
    alone = np.append(np.diff(step) > 0, True) if len(step) else np.zeros(0, bool)
    found = {name: column[rows] for name, column in columns.items() if name != "seed"}
    return found if alone.all() else {name: column[alone] for name, column in found.items()}


def rows_there(folder: Path, kind: str, problems: list[str], columns: list[str] | None = None) -> Columns:
    """The rows of a run that may be going on; what is damaged is left out, and no more than that, and named in
    ``problems``. CredoError where the parts do not fit together."""
    found: list[str] = []
    rows = run_rows.read_parts(folder, kind, columns, problems=found)
    if found:
        # A resumed run removes parts that it will write again: a second look finds the new state.
        found.clear()
        rows = run_rows.read_parts(folder, kind, columns, problems=found)
    problems += found
    return rows
