"""Tables for the terminal: the runs in a folder, and the seeds of a run."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from credo.diagnostics.critics import OVER_REFERENCE, OVERESTIMATES
from credo.diagnostics.divergence import DIVERGED, KINDS
from credo.reports.load import Columns, LoadedRun, find_runs, load_run
from credo.reports.methods import Member, name_methods
from credo.studies.digest import late_mean
from credo.studies.read import MethodRun
from credo.types import CredoError, plural, printable

Line = Callable[[str], None]
"""Gets a line to show."""
_STYLES = {"healthy": "green", "recovered": "green", "exploded": "red", "dead": "red", "non-finite": "red"}
_MEASURED = "its {}: in the evaluation that chose it"
_PLAYED = "; credo evaluate plays it from other starts"
_NOTE_WIDTH = 78
_SPARED = ("last\ndistance", "filtered", "P(expert)", "last\nsuccess", "its\ndistance", "of\nexpert", "last\nreturn")
"""Columns that a narrow table goes without, the first of them first; the report has them all."""
_LISTED_SEEDS = 4
"""Up to this many seeds the list shows every return."""


@dataclass(frozen=True)
class RunRow:
    """A run in a list of runs."""

    folder: Path
    environment: str
    learner: str
    credo: str
    """"filter c=5" and the like; "off", or "-" without a discriminator."""
    seeds: int
    steps_done: int
    """Per seed."""
    steps_wanted: int | None
    """In whole rounds; None of a clone, whose steps are minibatches, of as many as it needs."""
    state: str
    kept_returns: tuple[float | None, ...]
    """Of every seed's kept policy, in the evaluation that chose it; None where there is none."""
    last_returns: tuple[float | None, ...]
    """Of every seed's last evaluation."""
    kept_successes: tuple[float | None, ...]
    last_successes: tuple[float | None, ...]
    """Shares of the episodes of the same evaluations that succeeded; None where the environment does not tell."""
    kept_distances: tuple[float | None, ...]
    last_distances: tuple[float | None, ...]
    """To held-out demonstrations, in the same evaluations; None without demonstrations."""
    verdicts: tuple[str, ...]
    """Kind of every seed's verdict."""
    problem: str | None = None
    """What could not be read."""
    apart: str = ""
    """The settings that tell it from runs of the same environment, learner and reading of CREDO in the list."""


@dataclass(frozen=True)
class SeedRow:
    """A seed in the summary of a run; None: unknown."""

    seed: int
    verdict: str
    step: int | None
    """At which it broke or came back."""
    reason: str
    selected_step: int | None
    """Of the policy kept as the best, by the reward-free measures where there are any."""
    selected_return: float | None
    selected_success: float | None
    """Share of the episodes that succeeded, where the environment tells it."""
    expert_share: float | None
    """The selected return as a share of the expert's."""
    selected_distance: float | None
    """To held-out demonstrations."""
    final_return: float | None
    final_success: float | None
    final_distance: float | None
    expert_probability: float | None
    """Of expert samples, mean over the last rounds."""
    filtered_share: float | None
    """Of the expert samples, mean over the last rounds."""
    q_over_reference: float | None
    """Mean Q over its reference (``diagnostics.critics``), mean over the last rounds."""


def run_row(run: LoadedRun) -> RunRow:
    """The row of one run."""
    config = run.config
    credo = "-"
    if config.adversarial:
        unit = {"reward": "c", "probability": "p", "logit": "logit"}[config.credo.threshold_unit]
        mode = config.credo.mode
        credo = mode if mode == "off" else f"{mode} {unit}={config.credo.threshold:g}"
    seeds = seed_rows(run)
    return RunRow(
        folder=run.folder,
        environment=config.environment,
        learner=config.learner,
        credo=credo,
        seeds=len(run.seeds),
        steps_done=run.steps_done,
        steps_wanted=None if config.clones else config.rounds * config.steps_per_round,
        state=run.state,
        kept_returns=tuple(row.selected_return for row in seeds),
        last_returns=tuple(_last(columns, "return_mean") for columns in run.evaluations.values()),
        kept_successes=tuple(row.selected_success for row in seeds),
        last_successes=tuple(row.final_success for row in seeds),
        kept_distances=tuple(row.selected_distance for row in seeds),
        last_distances=tuple(row.final_distance for row in seeds),
        verdicts=tuple(verdict.kind for verdict in run.verdicts.values()),
        problem=run.problems[0] if run.problems else None,
    )


def run_rows(folder: Path, line: Line = lambda line: None) -> list[RunRow | tuple[Path, str]]:
    """One row for each run in a folder, at any depth; (folder, reason) for one that cannot be read. ``line`` gets how
    many there are.

    Raises:
        CredoError: there is no such folder.
    """
    rows: list[RunRow | tuple[Path, str]] = []
    alike: dict[tuple[str, str, str], dict[int, Member]] = defaultdict(dict)
    paths = find_runs(folder)
    line(f"reading {plural(len(paths), 'run')}")
    for path in paths:
        try:
            run = load_run(path)
            row = run_row(run)
        except CredoError as error:
            rows.append((path, str(error)))
            continue
        member = Member(MethodRun("", "", path), run.config, run.stored)
        alike[row.environment, row.learner, row.credo][len(rows)] = member
        rows.append(row)
    for (_, learner, _), members in alike.items():
        for index, name in zip(members, name_methods(list(members.values())), strict=True):
            if isinstance(alone := rows[index], RunRow):
                rows[index] = replace(alone, apart=name.removeprefix(learner).strip())
    return rows


def list_json(folder: Path, line: Line = lambda line: None) -> str:
    """The runs in a folder as a JSON array, an object a run: the fields of ``RunRow``; of one that cannot be read
    ``folder`` and ``problem`` alone. CredoError if there is no such folder. ``line`` as in ``run_rows``."""
    told = [
        asdict(row) | {"folder": str(row.folder)}
        if isinstance(row, RunRow)
        else {"folder": str(row[0]), "problem": row[1]}
        for row in run_rows(folder, line)
    ]
    return json.dumps(told, indent=2, allow_nan=False)


def list_table(folder: Path, line: Line = lambda line: None) -> Table:
    """The runs in a folder as a table; CredoError if there is no such folder. ``line`` as in ``run_rows``."""
    table = Table(title=Text(f"runs in {printable(folder)}"), title_justify="left")
    rows = run_rows(folder, line)
    table.add_column("run", overflow="fold", min_width=12)
    table.add_column("settings", overflow="fold")
    table.add_column("steps", no_wrap=True)
    listed = [row for row in rows if isinstance(row, RunRow)]
    others = [
        *(["success"] if any(_known(row.last_successes) for row in listed) else []),
        *(["distance"] if any(_by_distance(row) for row in listed) else []),
    ]
    table.add_column(",\n".join(["returns", *others]) if others else "returns of seeds", overflow="fold")
    table.add_column("verdicts", no_wrap=True)
    for row in rows:
        if not isinstance(row, RunRow):
            table.add_row(Text(printable(_relative(row[0], folder))), "", "", Text(printable(row[1]), style="red"), "")
            continue
        credo = "" if row.credo == "-" else f", credo {row.credo}"
        lines = []
        if any((*row.kept_returns, *row.last_returns)) or not (_known(row.last_successes) or _by_distance(row)):
            lines += [f"kept {_numbers(row.kept_returns)}", f"last {_numbers(row.last_returns)}"]
        if _known(row.last_successes):
            kept, last = (_numbers(values, ".0%") for values in (row.kept_successes, row.last_successes))
            lines += [f"kept {kept}", f"last {last}"]
        if _by_distance(row):
            kept, last = (_numbers(values, ".2f") for values in (row.kept_distances, row.last_distances))
            lines += [f"distance: kept {kept}", f"last {last}"]
        returns = Text("\n".join(lines))
        if row.problem:
            returns.append(f"\n{printable(row.problem)}", style="red")
        table.add_row(
            Text(printable(_relative(row.folder, folder))),
            Text("\n".join(printable(part) for part in (row.environment, f"{row.learner}{credo}", row.apart) if part)),
            Text(f"{_progress(row)}\n{printable(row.state)}"),
            returns,
            _verdict_counts(row.verdicts),
        )
    if not rows:
        table.caption = "no runs here"
    elif any(isinstance(row, RunRow) and row.seeds > _LISTED_SEEDS for row in rows):
        table.caption = f"of more than {_LISTED_SEEDS} seeds: least .. median .. most"
    return table


def seed_rows(run: LoadedRun) -> list[SeedRow]:
    """One row for each seed of a run."""
    return [_seed_row(run, seed) for seed in run.seeds]


def summary_table(folder: Path, width: int = 80) -> Table:
    """The seeds of a run as a table of at most so many characters, which leaves out columns rather than cut a number;
    CredoError if the folder is not a run."""
    run = load_run(Path(folder))
    rows = seed_rows(run)
    known = run.expert_return is not None and not _unrewarded(run)
    about = "" if not known else f"; the expert's mean return is {run.expert_return:,.0f}"
    table = Table(title=Text(f"{printable(run.config.environment)}{about}"), title_justify="left", pad_edge=False)
    # A column of which nothing is known is left out: a run without a discriminator, demonstrations without returns.
    columns: list[tuple[str, list[Text | str]]] = [
        ("seed", [str(row.seed) for row in rows]),
        ("verdict", [_verdict_text(row) for row in rows]),
        ("kept at\nstep", [_optional(row.selected_step, ",") for row in rows]),
        ("its\nreturn", [_optional(row.selected_return, ",.0f") for row in rows]),
        ("of\nexpert", [_optional(row.expert_share, ".0%") for row in rows]),
        ("last\nreturn", [_optional(row.final_return, ",.0f") for row in rows]),
        ("its\nsuccess", [_optional(row.selected_success, ".0%") for row in rows]),
        ("last\nsuccess", [_optional(row.final_success, ".0%") for row in rows]),
        ("its\ndistance", [_optional(row.selected_distance, ".2f") for row in rows]),
        ("last\ndistance", [_optional(row.final_distance, ".2f") for row in rows]),
        ("P(expert)", [_optional(row.expert_probability, ".3f") for row in rows]),
        ("filtered", [_optional(row.filtered_share, ".1%") for row in rows]),
    ]
    nothing = _unrewarded(run)
    left_out = ("return", "of\nexpert") if nothing else ("distance",)
    shown = [
        (name, cells) for name, cells in columns if any(cell != "-" for cell in cells) and not name.endswith(left_out)
    ]
    # Verdicts go over several lines where there is little room.
    widths = {
        name: max(
            len(word) for each in (name, *texts) for word in re.split(r"\s" if name == "verdict" else "\n", str(each))
        )
        for name, texts in shown
    }
    for name in _SPARED:
        if sum(size + 3 for size in widths.values()) > width:
            widths.pop(name, None)
    shown = [(name, texts) for name, texts in shown if name in widths]
    for name, _ in shown:
        verdict = name == "verdict"
        table.add_column(
            name,
            justify="left" if verdict else "right",
            no_wrap=not verdict,
            min_width=widths[name] if verdict else None,
        )
    for cells in zip(*(cells for _, cells in shown), strict=True):
        table.add_row(*cells)
    reasons = [f"seed {row.seed}: {row.reason}" for row in rows if row.verdict in (*DIVERGED, "faulted")]
    chosen = any(row.selected_return is not None for row in rows) and not run.config.clones
    if not nothing:
        told = _MEASURED.format("return") + _PLAYED
    elif _known(tuple(row.selected_success for row in rows)):
        told = _MEASURED.format("success") + _PLAYED
    else:  # credo evaluate plays without the demonstrations
        told = _MEASURED.format("distance")
    measured = [told] if chosen else []
    notes = [*measured, *reasons, *_running_away(rows), *run.problems]
    if notes:
        # Under a narrow table a note would be a column of single words.
        table.min_width = min(_NOTE_WIDTH, max(map(len, notes)))
        table.caption, table.caption_justify = Text("\n".join(map(printable, notes))), "left"
    return table


def _unrewarded(run: LoadedRun) -> bool:
    """Whether all returns are 0, of an environment that tells success or of a policy whose distance is known."""
    columns = list(run.evaluations.values())
    returns, successes, distances = (
        np.concatenate([each.get(name, np.zeros(0)) for each in columns] or [np.zeros(0)])
        for name in ("return_mean", "success_rate", "occupancy_distance")
    )
    other = np.isfinite(successes).any() or np.isfinite(distances).any()
    return bool(other and not np.nan_to_num(returns).any())


def _known(values: tuple[float | None, ...]) -> bool:
    return any(value is not None for value in values)


def _by_distance(row: RunRow) -> bool:
    """Whether the distance is all that tells how good a run's policies are."""
    rewarded = any((*row.kept_returns, *row.last_returns))
    return _known(row.last_distances) and not rewarded and not _known(row.last_successes)


def _running_away(rows: list[SeedRow]) -> list[str]:
    """A line on the critics that overestimate many times."""
    far = {
        row.seed: row.q_over_reference
        for row in rows
        if row.q_over_reference is not None and row.q_over_reference >= OVERESTIMATES
    }
    if not far:
        return []
    told = ", ".join(f"{times:,.0f} (seed {seed})" for seed, times in far.items())
    return [f"critics overestimate: mean Q is {told} times its reference; under the presets robust they do not"]


def _seed_row(run: LoadedRun, seed: int) -> SeedRow:
    stored, verdict = run.seed_summary(seed), run.verdicts[seed]
    selected, final = stored.get("selected_return"), stored.get("final_return")
    if final is None:
        final = _last(run.evaluations[seed], "return_mean")
    share = selected / run.expert_return if selected is not None and run.expert_return else None
    step = stored.get("selected_step")
    evaluations = run.evaluations[seed]
    chose = {name: values[evaluations["step"] == step] for name, values in evaluations.items()}
    return SeedRow(
        seed=seed,
        verdict=verdict.kind,
        step=verdict.step,
        reason=verdict.reason,
        selected_step=None if step is None else int(step),
        selected_return=selected,
        selected_success=_last(chose, "success_rate"),
        selected_distance=stored.get("selected_distance"),
        expert_share=share if run.expert_return is not None and run.expert_return > 0 else None,
        final_return=final,
        final_success=_last(run.evaluations[seed], "success_rate"),
        final_distance=_last(run.evaluations[seed], "occupancy_distance"),
        expert_probability=late_mean(run.metrics[seed], "expert_probability_expert"),
        filtered_share=late_mean(run.metrics[seed], "filtered_share"),
        q_over_reference=late_mean(run.metrics[seed], OVER_REFERENCE),
    )


def _last(columns: Columns, name: str) -> float | None:
    """The last known value of a column."""
    values = columns.get(name, np.zeros(0))
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _numbers(values: tuple[float | None, ...], form: str = ",.0f") -> str:
    known = [value for value in values if value is not None]
    if len(values) > _LISTED_SEEDS and known:
        return " .. ".join(format(value, form) for value in (min(known), float(np.median(known)), max(known)))
    return " ".join(_optional(value, form) for value in values) if known else "-"


def _progress(row: RunRow) -> str:
    """Over two lines: on 80 columns the names need the room, and are there to be copied."""
    if row.steps_wanted is None:
        return f"{row.steps_done}\nminibatches"
    return f"{_steps(row.steps_done)}\nof {_steps(row.steps_wanted)}"


def _steps(count: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= 0.9995 * size:  # what three digits round up to the unit
            return f"{count / size:.3g}{unit}"
    return str(count)


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path != folder else path.name or str(path)


def _verdict_text(row: SeedRow) -> Text:
    where = "" if row.step is None else f" at {row.step:,}"
    return Text(row.verdict + where, style=_STYLES.get(row.verdict, "yellow"))


def _verdict_counts(verdicts: tuple[str, ...]) -> Text:
    counts = Counter(verdicts)
    text = Text()
    for kind in KINDS:
        if counts[kind]:
            text.append("\n" if text else "").append(f"{counts[kind]} {kind}", style=_STYLES.get(kind, "yellow"))
    return text
