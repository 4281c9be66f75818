"""The table of docs/stability.md on whether a larger reward does what CREDO's filter does, from the small files."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from early_tables import cells_of, dead, inactive, rounded
from kept_files import ENVIRONMENTS, Rows, markdown, read

from credo.studies.counts import Stratum, exact_test

STUDY, FIRST_SEED, AT = "stability-credo-slope-33", 11, 768
METHODS = {
    "off": ("CREDO off", None),
    "louder": ("off, reward four times as large", "off"),
    "filter": ("`filter`, c = 5", None),
    "quieter": ("`filter`, reward a quarter as large", "filter"),
}
"""Method to what it is called, and the one that it is compared with."""
STUCK = 0.99
"""A seed is stuck if this share of its actions is at +-1 in the last window of rounds."""
HEADER = (
    "",
    "stuck at the end",
    "dead",
    f"critic's slope, step {AT}",
    "at the end",
    "p of stuck",
    "output before tanh at the end",
    f"inwards, step {AT}: critic",
    "discriminator",
    "contrast of the critic",
    "of the discriminator",
)

EARLY = "stability-credo-early"
PULL_HEADER = (
    "TD3",
    f"inwards, step {AT}, critic: off",
    "`filter`",
    "discriminator: off",
    "`filter`",
    "inactive at the end: off",
    "`filter`",
)


def pulls(results: Path) -> list[str]:
    """An environment a row: the pull of critic and discriminator without the filter and with it (medians over seeds),
    and what became of the actors. Hopper's pull is of the 22 new seeds, the others' of the first 11."""
    rows = [
        row | {"method": f"td3 {name}", "environment": "hopper"}
        for method, name in (("off", "off"), ("filter", "resample-5"))
        for row in read(results / f"{STUDY}-pull-{AT}.csv")
        if row["method"] == method
    ]
    rows += read(results / f"{EARLY}-pull-{AT}.csv")
    ends = {
        "hopper": cells_of(results, "stability-credo-early-33", FIRST_SEED),
        "walker2d": cells_of(results, EARLY),
        "halfcheetah": cells_of(results, EARLY),
    }
    told = []
    for environment, cells in ends.items():
        line = [ENVIRONMENTS[environment]]
        for column in ("critic_inwards", "discriminator_inwards"):
            for method in ("td3 off", "td3 resample-5"):
                mine = [row[column] for row in rows if (row["method"], row["environment"]) == (method, environment)]
                line.append(f"{median(mine):.2f}")
        for method in ("td3 off", "td3 resample-5"):
            seeds = cells[method, environment]
            line.append(f"{inactive(seeds)} of {len(seeds)}")
        told.append(line)
    return markdown(PULL_HEADER, told)


def table(results: Path) -> list[str]:
    """Seeds 11 to 32: the others had been seen before. Medians over seeds."""
    cells = {method: rows for (method, _), rows in cells_of(results, STUDY, FIRST_SEED).items()}
    windows = [row for row in read(results / f"{STUDY}-rounds.csv") if row["seed"] >= FIRST_SEED]
    pulls = read(results / f"{STUDY}-pull-{AT}.csv")
    end = max(row["step"] for row in windows)

    def at(method: str, step: float) -> Rows:
        return [row for row in windows if (row["method"], row["step"]) == (method, step)]

    def middle(rows: Rows, column: str, digits: int = 2) -> str:
        return f"{median(row[column] for row in rows):.{digits}f}"

    stuck = {method: sum(row["action_saturation"] >= STUCK for row in at(method, end)) for method in METHODS}
    told = []
    for method, (name, other) in METHODS.items():
        seeds, mine = cells[method], [row for row in pulls if row["method"] == method]
        count = len(seeds)
        p = "" if other is None else rounded(exact_test([Stratum(stuck[method], count, stuck[other], count)]))
        told.append(
            [
                name,
                f"{stuck[method]} of {count}",
                dead(seeds),
                middle(at(method, AT), "q_action_slope"),
                middle(at(method, end), "q_action_slope"),
                p,
                middle(at(method, end), "actor_preactivation", 1),
                middle(mine, "critic_inwards"),
                middle(mine, "discriminator_inwards"),
                middle(mine, "critic_contrast"),
                middle(mine, "discriminator_contrast"),
            ]
        )
    return markdown(HEADER, told)
