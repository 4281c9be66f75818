"""The curves of seeds from run folders, also of running, killed or damaged runs; one folder in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from credo import run_folder
from credo.diagnostics.divergence import Criteria, verdict
from credo.studies.curves import EVALUATION_COLUMNS, METRIC_COLUMNS, SeedCurve
from credo.types import CredoError

Columns = dict[str, np.ndarray]


class MethodRun(NamedTuple):
    """A run folder and what it is in a study."""

    method: str
    environment: str
    folder: Path
    steps: int | None = None
    """Curves are cut here; None: not."""
    seeds: tuple[int, ...] | None = None
    """Only these; None: all that the run has."""


def read_curves(runs: Iterable[tuple[str, str, Path] | MethodRun], criteria: Criteria = Criteria()) -> list[SeedCurve]:
    """The curves of every seed of the runs, with verdicts by ``criteria``.

    A part that cannot be read leaves its run's curves empty; a folder that is no run is left out.
    """
    curves: list[SeedCurve] = []
    for run in runs:
        try:
            curves += _of_run(MethodRun(*run), criteria)
        except CredoError:
            continue
    return curves


def _of_run(run: MethodRun, criteria: Criteria) -> list[SeedCurve]:
    config, stored = run_folder.read_config(run.folder)
    metrics = _parts(run.folder, run_folder.METRICS)
    evaluations = _parts(run.folder, run_folder.EVALUATIONS)
    demonstrations = stored.get("demonstrations")
    expert = demonstrations.get("return_mean") if isinstance(demonstrations, dict) else None
    expert = float(expert) if isinstance(expert, int | float) and np.isfinite(expert) else None
    wanted = run.steps if run.steps is not None else config.steps
    last = wanted // config.steps_per_round * config.steps_per_round
    curves = []
    for seed in run.seeds if run.seeds is not None else config.seed_numbers:
        rounds, tests = rows_of(metrics, seed, run.steps), rows_of(evaluations, seed, run.steps)
        # Rows that the verdict alone needs are let go, and the rest stay in single precision.
        judged = verdict(rounds, tests, expert, criteria)
        kept = {name: rounds[name] for name in METRIC_COLUMNS if name in rounds}
        kept_tests = {name: tests[name] for name in EVALUATION_COLUMNS if name in tests}
        curve = SeedCurve(run.method, run.environment, seed, kept, kept_tests, expert, judged)
        curves.append(curve._replace(finished=curve.last_step >= last))
    return curves


def rows_of(columns: Columns, seed: int, steps: int | None = None) -> Columns:
    """The rows of one seed up to ``steps``; of rows with the same step (an interrupted run's) the last."""
    if "seed" not in columns or "step" not in columns:
        return {"step": np.zeros(0, np.int64)}
    rows = np.flatnonzero(columns["seed"] == seed)
    step = columns["step"][rows]
    rows = rows[np.append(np.diff(step) > 0, True)] if len(rows) else rows
    if steps is not None:
        rows = rows[columns["step"][rows] <= steps]
    return {name: column[rows] for name, column in columns.items() if name != "seed"}


def _parts(folder: Path, kind: str) -> Columns:
    for _ in range(2):
        try:
            return run_folder.read_parts(folder, kind)
        except CredoError:
            # A resumed run removes parts that it will write again: a second look finds the new state.
            continue
    return {}
