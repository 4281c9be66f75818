"""Tables of docs/stability/credo.md: why CREDO's filter saves actors: by the reward's size, or by its direction."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import NamedTuple

from early_tables import cells_of, dead, inactive, rounded
from kept_files import ENVIRONMENTS, Rows, markdown, read

from credo.studies.counts import Stratum, exact_test, holm

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

PULL_COLUMNS = ("critic_inwards", "discriminator_inwards", "critic_contrast", "discriminator_contrast")

DIRECTION = "stability-credo-direction-33"
DIRECTIONS = {
    "off": ("CREDO off", None, False),
    "inwards-0.1": ("off, cost 0.1", "off", False),
    "inwards-0.3": ("off, cost 0.3", "off", True),
    "inwards-1": ("off, cost 1", "off", False),
    "filter": ("`filter`, c = 5", None, False),
    "outwards-0.1": ("`filter`, cost -0.1", "filter", False),
    "outwards-0.3": ("`filter`, cost -0.3", "filter", True),
    "outwards-1": ("`filter`, cost -1", "filter", False),
}
"""Method to what it is called, the one that it is compared with, and whether that test was fixed beforehand."""
DIRECTION_HEADER = (
    "",
    "stuck at the end",
    "inactive",
    "dead",
    "p of stuck, alone / Holm",
    "output before tanh at the end",
    f"inwards, step {AT}: reward",
    "critic",
    f"critic's slope, step {AT}",
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


class Kept(NamedTuple):
    """What was kept of a study's seeds 11 to 32: the others had been seen before."""

    cells: dict[str, Rows]
    windows: Rows
    pulls: Rows

    def at(self, method: str, step: float) -> Rows:
        return [row for row in self.windows if (row["method"], row["step"]) == (method, step)]

    @property
    def end(self) -> float:
        return max(row["step"] for row in self.windows)

    def stuck_seeds(self, method: str) -> list[bool]:
        return [row["action_saturation"] >= STUCK for row in self.at(method, self.end)]

    def stuck(self, method: str) -> int:
        return sum(self.stuck_seeds(method))

    def counted(self, method: str) -> str:
        return f"{self.stuck(method)} of {len(self.cells[method])}"

    def pull(self, method: str, column: str) -> str:
        return middle([row for row in self.pulls if row["method"] == method], column)

    def against(self, method: str, other: str) -> float:
        """The exact test of the seeds that are stuck at the end."""
        (mine, count), (theirs, of) = ((self.stuck(name), len(self.cells[name])) for name in (method, other))
        return exact_test([Stratum(mine, count, theirs, of)])


def kept(results: Path, study: str) -> Kept:
    cells = {method: rows for (method, _), rows in cells_of(results, study, FIRST_SEED).items()}
    windows = [row for row in read(results / f"{study}-rounds.csv") if row["seed"] >= FIRST_SEED]
    pulls = [row for row in read(results / f"{study}-pull-{AT}.csv") if row["seed"] >= FIRST_SEED]
    return Kept(cells, windows, pulls)


def middle(rows: Rows, column: str, digits: int = 2) -> str:
    return f"{median(row[column] for row in rows):.{digits}f}"


def table(results: Path) -> list[str]:
    """The reward's size. Medians over seeds."""
    found = kept(results, STUDY)
    told = []
    for method, (name, other) in METHODS.items():
        last = found.at(method, found.end)
        told.append(
            [
                name,
                found.counted(method),
                dead(found.cells[method]),
                middle(found.at(method, AT), "q_action_slope"),
                middle(last, "q_action_slope"),
                "" if other is None else rounded(found.against(method, other)),
                middle(last, "actor_preactivation", 1),
                *(found.pull(method, column) for column in PULL_COLUMNS),
            ]
        )
    return markdown(HEADER, told)


def direction(results: Path) -> list[str]:
    """The reward's direction. Medians over seeds; Holm's correction is for the two tests that were fixed."""
    found = kept(results, DIRECTION)
    fixed = {method: other for method, (_, other, planned) in DIRECTIONS.items() if planned}
    p_values = [found.against(method, other) for method, other in fixed.items()]
    corrected = dict(zip(fixed, holm(p_values), strict=True))
    told = []
    for method, (name, other, _) in DIRECTIONS.items():
        last, seeds = found.at(method, found.end), found.cells[method]
        p = "" if other is None else rounded(found.against(method, other))
        told.append(
            [
                name,
                found.counted(method),
                f"{inactive(seeds)} of {len(seeds)}",
                dead(seeds),
                f"{p} / {rounded(corrected[method])}" if method in corrected else p,
                middle(last, "actor_preactivation", 1),
                *(found.pull(method, column) for column in ("reward_inwards", "critic_inwards")),
                middle(found.at(method, AT), "q_action_slope"),
            ]
        )
    return markdown(DIRECTION_HEADER, told)
