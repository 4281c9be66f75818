"""Table of docs/stability/longer.md: 25,000 steps of the paper's regime, from results/stability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from credo_table import of_dead
from early_tables import CHANGES, cells_of, dead_from, rounded, saturated
from kept_files import ENVIRONMENTS, LEARNERS, LOW, Rows, in_order, markdown, read, whole

from credo.diagnostics.activity import activity_of
from credo.studies.counts import holm

STUDY, EARLY = "stability-bed", 2_048
CLIPPING = {"plain": "", "credo": ", CREDO"}
METHODS = tuple(f"{learner} {clipping}" for clipping in CLIPPING for learner in LEARNERS)
HEADER = (
    "",
    "steps",
    "dead",
    "from step",
    "low without being dead",
    f"inactive at {EARLY:,}",
    "of these inactive at the end",
    "return at the end, share of the expert's: median (least to most)",
    "best evaluation, share: median (most)",
)
DEATHS = (
    "",
    "seed",
    "dead from step",
    "largest gradient until then",
    "since: largest (by step)",
    "P(expert) on the expert's samples then",
    "in the last window",
    "first explosion by the verdict's criterion",
)
LONGER, JUDGED = "stability-bed-longer", 25_000
LATER = (
    "",
    "steps",
    f"dead at {JUDGED:,}",
    "of these at the end",
    "of these at 0.1 of the expert since",
    "of the others dead since",
    "above 0.1 at the end",
    "return at the end, share of the expert's: median (least to most)",
    "best evaluation, share: median (most)",
)
ALONE = "stability-bed-dead"
DEAD = (
    "",
    "dead, and run anew",
    f"dead at {JUDGED:,} then",
    "of these at the end",
    "of these at 0.1 of the expert since",
    "return at the end, share of the expert's: median (least to most)",
    "best evaluation since, share: median (most)",
)

REMEDIED = CHANGES | {"later-learning": "learning from step 10,000 on"}
REMEDIES = (
    "changed",
    "dead",
    "from step",
    "low without being dead",
    "inactive at the end",
    "saturated at the end",
    "return at the end, share of the expert's: median (least to most)",
    "best evaluation, share: median (most)",
    "p of dead, alone / Holm",
)


def remedies(results: Path) -> list[str]:
    """One change a row, over 25,000 steps, against nothing changed on the same seeds."""
    study = "stability-remedies"
    cells = {method: whole(rows) for (method, _), rows in cells_of(results, study).items()}
    shares = {method: share for (method, _), share in saturated(results, study).items()}
    p_values = {method: of_dead(rows, cells["plain"]) for method, rows in cells.items() if method != "plain"}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    told = []
    for method in sorted(cells, key=list(REMEDIED).index):
        rows = cells[method]
        count = Counter(row["verdict"] for row in rows)
        told.append(
            [
                REMEDIED[method],
                f"{count['dead']} of {len(rows)}",
                dead_from(rows),
                f"{count['failed']} of {len(rows)}",
                f"{sum(int(row['inactive']) for row in rows)} of {len(rows)}",
                shares[method],
                *_returns(rows),
                "" if method == "plain" else f"{rounded(p_values[method])} / {rounded(corrected[method])}",
            ]
        )
    return markdown(REMEDIES, told)


def _returns(rows: Rows) -> tuple[str, str]:
    """At the end and at best, as shares of the expert's."""
    ends, bests = ([row[column] / row["expert_return"] for row in rows] for column in ("last_return", "best_return"))
    return f"{median(ends):.2f} ({min(ends):.2f} to {max(ends):.2f})", f"{median(bests):.2f} ({max(bests):.2f})"


def inactive(row: dict[str, Any]) -> bool:
    """Whether an actor was inactive in a window of rounds, as verdicts judge a round."""
    columns = ("step", "actor_gradient_max", "action_saturation")
    return bool(activity_of({name: np.array([row[name]]) for name in columns}).inactive.any())


def named(method: str, environment: str) -> str:
    """A cell of the study, as the page writes it."""
    learner, clipping = method.split(" ")
    return f"{LEARNERS[learner]}, {ENVIRONMENTS[environment]}{CLIPPING[clipping]}"


def table(results: Path) -> list[str]:
    """A learner in an environment a row; seeds that have not gone as far as others are left out."""
    early = {
        (row["method"], row["environment"], row["seed"]): inactive(row)
        for row in read(results / f"{STUDY}-rounds.csv")
        if row["step"] == EARLY
    }
    cells = cells_of(results, STUDY)
    told = []
    for method, environment in in_order(cells, METHODS):
        rows = whole(cells[method, environment])
        kinds = Counter(row["verdict"] for row in rows)
        were = [row for row in rows if early[method, environment, row["seed"]]]
        told.append(
            [
                named(method, environment),
                f"{max(row['steps'] for row in rows):,.0f}",
                f"{kinds['dead']} of {len(rows)}",
                dead_from(rows),
                f"{kinds['failed']} of {len(rows)}",
                f"{len(were)} of {len(rows)}",
                f"{sum(int(row['inactive']) for row in were)} of {len(were)}",
                *_returns(rows),
            ]
        )
    return markdown(HEADER, told)


def longer(results: Path) -> list[str]:
    """A learner in an environment a row: what became of seeds after they were judged for the first time."""
    told = []
    for name, rows in _followed(results, LONGER):
        others = [row for row in rows if not row["was_dead"]]
        ends = [row["last_return"] / row["expert_return"] for row in rows]
        told.append(
            [
                name,
                f"{max(row['steps'] for row in rows):,.0f}",
                *_of_dead(rows),
                f"{sum(row['verdict'] == 'dead' for row in others)} of {len(others)}",
                f"{sum(end > LOW for end in ends)} of {len(rows)}",
                *_returns(rows),
            ]
        )
    return markdown(LATER, told)


def dead_alone(results: Path) -> list[str]:
    """A learner in an environment a row, then all: what became of the dead seeds, run anew one by one."""
    found = list(_followed(results, ALONE))
    every = "all", [row for _, rows in found for row in rows]
    return markdown(
        DEAD,
        [
            [
                name,
                str(len(rows)),
                *_of_dead(rows),
                *_returns([row | {"best_return": row["best_since"]} for row in rows]),
            ]
            for name, rows in (*found, every)
        ],
    )


def _followed(results: Path, study: str) -> Iterator[tuple[str, Rows]]:
    """Of each cell its name and seeds, with whether they were dead when they were judged first, and the best
    evaluation since."""
    first, cells = cells_of(results, f"{study}-at-{JUDGED}"), cells_of(results, study)
    since: dict[tuple[str, str, float], list[float]] = {}
    for row in read(results / f"{study}-evaluations.csv"):
        if row["step"] > JUDGED and row["return"] != "":
            since.setdefault((row["method"], row["environment"], row["seed"]), []).append(row["return"])
    for method, environment in in_order(cells, LEARNERS):
        were = {row["seed"] for row in first[method, environment] if row["verdict"] == "dead"}
        rows = [
            row | {"was_dead": row["seed"] in were, "best_since": max(since[method, environment, row["seed"]])}
            for row in whole(cells[method, environment])
        ]
        yield f"{LEARNERS[method]}, {ENVIRONMENTS[environment]}", rows


def _of_dead(rows: Rows) -> list[str]:
    """Who was dead; of these who is at the end, and who has been at ``LOW`` of the expert since."""
    then = [row for row in rows if row["was_dead"]]
    dead = sum(row["verdict"] == "dead" for row in then)
    back = sum(row["best_since"] >= LOW * row["expert_return"] for row in then)
    return [f"{len(then)} of {len(rows)}", f"{dead} of {len(then)}", f"{back} of {len(then)}"]


def deaths(results: Path) -> list[str]:
    """A dead seed a row: how large its actor's gradient was in the windows of rounds until it died, and since.

    The window in which a seed died counts as until then. Where the study's files lack the first explosion it is that of
    the same seed's run anew.
    """
    curves: dict[tuple[str, str, float], Rows] = {}
    for row in read(results / f"{STUDY}-rounds.csv"):
        curves.setdefault((row["method"], row["environment"], row["seed"]), []).append(row)
    cells, again = cells_of(results, STUDY), _run_anew(results)
    told = []
    for method, environment in in_order(cells, METHODS):
        for seed in whole(cells[method, environment]):
            if seed["verdict"] != "dead":
                continue
            rows = [row for row in curves[method, environment, seed["seed"]] if row["actor_gradient_max"] != ""]
            begins = [0.0, *(row["step"] for row in rows)]
            since = [row for begin, row in zip(begins, rows, strict=False) if begin >= seed["step"]]
            until = max(row["actor_gradient_max"] for row in rows[: len(rows) - len(since)])
            largest = max(since, key=lambda row: row["actor_gradient_max"], default=None)
            exploded = seed.get("first_explosion", "")
            if exploded == "":
                exploded = again.get((method, environment, seed["seed"]), "")
            told.append(
                [
                    named(method, environment),
                    f"{seed['seed']:.0f}",
                    f"{seed['step']:,.0f}",
                    gradient(until),
                    f"{gradient(largest['actor_gradient_max'])} ({largest['step']:,.0f})" if largest else "-",
                    f"{largest['expert_probability_expert']:.2f}" if largest else "-",
                    f"{rows[-1]['actor_gradient_max']:.1g}",
                    "not kept" if exploded == "" else f"{exploded:,.0f}" if exploded else "none",
                ]
            )
    return markdown(DEATHS, told)


def _run_anew(results: Path) -> dict[tuple[str, str, float], Any]:
    """The first explosion of every seed that was run anew, by its place in the study, of the same steps."""
    rows = [row for study in (LONGER, ALONE) for row in read(results / f"{study}-at-{JUDGED}-seeds.csv")]
    return {(f"{row['method']} plain", row["environment"], row["seed"]): row["first_explosion"] for row in rows}


def gradient(value: float, small: str = ".2g") -> str:
    """A gradient in a table; ``small``: how one below 10 is written."""
    return f"{value:.0f}" if value >= 10 else f"{value:{small}}"
