"""The tables of a report: overview, seeds, samples to the expert, and what the statistics of studies add."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from credo import run_folder
from credo.diagnostics.divergence import FROZEN
from credo.reports.charts import verdict_counts
from credo.reports.collect import Cell, Collection
from credo.reports.methods import settings_of
from credo.studies.efficiency import HOLD, SHARES, upper_median
from credo.studies.tables import Share, Table, Value
from credo.types import plural


def tables(collection: Collection, statistics: bool | Sequence[Table] = True) -> list[Table]:
    """Every table of a report, in the order of the page; ``statistics``: those of the studies too, or these."""
    found = [overview(collection), seeds(collection), efficiency(collection), settings(collection)]
    further = further_tables(collection) if statistics is True else list(statistics or ())
    if any(table.name == "sample-efficiency" for table in further):
        # The same with intervals.
        found = [table for table in found if table.name != "samples"]
    return [table for table in found if table.rows] + further


def further_tables(collection: Collection) -> list[Table]:
    """The tables of studies, of the seeds that are shown."""
    # Only where they are wanted: SciPy takes a second to load.
    from credo.studies.analysis import analyse_digests

    return list(
        analyse_digests(
            [
                seed.digest._replace(method=cell.method, environment=cell.environment)
                for cell in collection.cells.values()
                for seed in cell.seeds.values()
            ]
        )
    )


def headline(collection: Collection) -> tuple[str, str]:
    """The verdict in a sentence, and what it counts."""
    cells = list(collection.cells.values())
    total, diverged = sum(len(cell.seeds) for cell in cells), sum(cell.diverged for cell in cells)
    undecided = sum(cell.counts["undecided"] for cell in cells)
    # A seed that a run which is done was not asked for may have stopped half-way.
    finished = all(seed.digest.finished for cell in cells for seed in cell.seeds.values())
    so_far = "" if collection.done and finished else " so far"
    if total and undecided == total:
        first = f"{plural(total, 'seed')} undecided{so_far}"
    else:
        first = f"{diverged if diverged else 'None'} of {plural(total, 'seed')} diverged{so_far}"
    # That none diverged is no success by itself.
    others = [(kind, sum(cell.counts[kind] for cell in cells)) for kind in ("faulted", "failed", "weak")]
    if told := ", ".join(f"{count} {kind}" for kind, count in others if count):
        first += f" ({told})"
    parts = [f"{plural(len(collection.methods), 'method')} in {plural(len(collection.environments), 'environment')}"]
    parts.append(plural(len(collection.runs), "run"))
    going = sum(run.state != "done" for run in collection.runs)
    if going:
        parts.append(f"{going} not finished")
    if undecided:
        parts.append(f"{plural(undecided, 'seed')} undecided")
    missing = len(collection.methods) * len(collection.environments) - len(cells)
    if missing:
        parts.append(f"{plural(missing, 'combination')} never run")
    return first, "; ".join(parts)


def overview(collection: Collection) -> Table:
    """One row for each method and environment, those never run among them."""
    rows: list[tuple[Value, ...]] = []
    for environment in collection.environments:
        for method in collection.methods:
            cell = collection.cells.get((environment, method))
            if cell is None:
                rows.append((environment, method, "not run", *(None,) * 7))
                continue
            median = _median_return(cell)
            share = None
            if median is not None and cell.expert_return is not None and cell.expert_return > 0:
                share = median / cell.expert_return
            distances = [s.curves["distance"].value[-1] for s in cell.seeds.values() if "distance" in s.curves]
            successes = [s.row.final_success for s in cell.seeds.values() if s.row.final_success is not None]
            steps = max([run.steps_done for run in cell.runs], default=0)
            wanted = max([run.steps_wanted for run in cell.runs if run.steps_wanted is not None], default=None)
            rows.append(
                (
                    environment,
                    method,
                    f"{cell.diverged} of {len(cell.seeds)}",
                    verdict_counts(cell),
                    median,
                    _share(share),
                    _share(float(np.median(successes)) if successes else None),
                    float(np.median(distances)) if distances else None,
                    f"{steps:,} minibatches" if wanted is None else f"{steps:,} of {wanted:,}",
                    _state(cell),
                )
            )
    return Table(
        "overview",
        "Methods",
        (
            *("environment", "method", "diverged", "verdicts", "median last return", "of expert"),
            *("median last success", "median last distance", "steps", "state"),
        ),
        tuple(rows),
        "Diverged: exploded, dead or non-finite. Medians are over seeds; one that was frozen (non-finite, or "
        "its environment failed: faulted) counts as below all others in the return's, whatever it returned before, and "
        "a dash says that it is in the middle.",
    )


def _state(cell: Cell) -> str:
    """Of its runs; a run that is done may have been asked for fewer seeds than it has begun."""
    states = list(dict.fromkeys(run.state for run in cell.runs))
    unfinished = sum(not seed.digest.finished for seed in cell.seeds.values())
    return f"done but for {plural(unfinished, 'seed')}" if states == ["done"] and unfinished else ", ".join(states)


def _median_return(cell: Cell) -> float | None:
    """Of the last returns, a seed that was frozen below all others; None where such a one is in the middle (of
    an even number the upper of the two), or nothing is known."""
    known = [s.row.final_return for s in cell.seeds.values() if s.verdict.kind not in FROZEN]
    returns = sorted(value for value in known if value is not None)
    frozen = len(cell.seeds) - len(known)
    if not frozen:
        return float(np.median(returns)) if returns else None
    middle = (frozen + len(returns)) // 2 - frozen
    return returns[middle] if middle >= 0 and returns else None


def seeds(collection: Collection) -> Table:
    """One row for each seed."""
    rows: list[tuple[Value, ...]] = []
    for cell in collection.cells.values():
        for number, seed in cell.seeds.items():
            row = seed.row
            rows.append(
                (
                    *(cell.environment, cell.method, number, row.verdict, row.step, row.reason, row.final_return),
                    *(
                        row.selected_return,
                        _share(row.expert_share),
                        _share(row.final_success),
                        _share(row.selected_success),
                        row.expert_probability,
                        row.q_over_reference,
                        seed.verdict.first_explosion,
                    ),
                )
            )
    return Table(
        "seeds",
        "Verdict of every seed",
        (
            *("environment", "method", "seed", "verdict", "at step", "reason", "last return"),
            *("return of the kept policy", "of expert", "last success", "success of the kept policy"),
            *("late P(expert)", "late Q / reference", "first explosion"),
        ),
        tuple(rows),
        "The kept policy is the one nearest to held-out demonstrations, chosen without a reward (where the environment "
        "tells success, of those that succeed most); its return is that of "
        "the evaluation which chose it, and credo evaluate plays it from other starts. Late P(expert) is the "
        "discriminator's mean on expert samples over the last 50 rounds, late Q / reference the mean Q "
        "there over that of a critic without error. First explosion: the step of the actor's first exploding gradient, "
        "whatever the verdict.",
    )


def efficiency(collection: Collection) -> Table:
    """Samples to shares of the expert's return; a seed that never gets there counts as never."""
    rows: list[tuple[Value, ...]] = []
    for cell in collection.cells.values():
        if cell.expert_return is None or cell.expert_return <= 0:
            continue
        # A clone's steps are minibatches.
        if all(seed.digest.clone for seed in cell.seeds.values()):
            continue
        found: list[Value] = [cell.environment, cell.method]
        for index in range(len(SHARES)):
            found += _samples(cell, index)
        rows.append(tuple(found))
    columns = [f"{share:.0%}: {what}" for share in SHARES for what in ("seeds", "median samples")]
    return Table(
        "samples",
        "Samples to the expert's return",
        ("environment", "method", *columns),
        tuple(rows),
        f"Environment steps of a seed by which the median of its last {HOLD} evaluations has first been at that share "
        "of the expert's return: one lucky evaluation does not count. The median is over all seeds, and a seed that "
        "never got there counts as never.",
    )


def settings(collection: Collection) -> Table:
    """Every setting in which the runs differ."""
    runs = collection.runs
    found = [
        settings_of(run_folder.config_of(run.stored, str(run.folder)), run.stored)
        | {"steps": run.steps_wanted, "seeds": run.seeds}
        for run in runs
    ]
    names = sorted({name for each in found for name in each if len({str(e.get(name)) for e in found}) > 1})
    rows = [
        (run.environment, run.method, run.folder.name, *(_text(each.get(name)) for name in names))
        for run, each in zip(runs, found, strict=True)
    ]
    if not names:
        rows = []
    return Table(
        "settings",
        "Settings in which the runs differ",
        ("environment", "method", "run", *names),
        tuple(rows),
        "A dash: the setting does not act in that run.",
    )


def _samples(cell: Cell, index: int) -> Sequence[Value]:
    reached = [seed.reached[index] for seed in cell.seeds.values()]
    known = [step for step in reached if step is not None]
    middle = float(upper_median(np.array([np.inf if step is None else step for step in reached])))
    return f"{len(known)} of {len(reached)}", round(middle) if np.isfinite(middle) else "never"


def _share(share: float | None) -> Share | None:
    return None if share is None else Share(share)


def _text(value: object) -> Value:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
