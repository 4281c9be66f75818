"""Tables of docs/stability/robust.md: the trials that led to `robust`, from the files that keep_results.py wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from kept_files import Rows, markdown, read

HOPPER = {
    "hopper-ddpg-discount-99": "TD3's settings: discount 0.99",
    "hopper-ddpg-slow": "actor's learning rate 3e-4, target rate 0.005",
    "hopper-ddpg-cloning-5": "cloning 5",
    "hopper-ddpg-discount-97": "discount 0.97",
    "hopper-ddpg-discount-95": "discount 0.95: `robust-ddpg`",
    "hopper-ddpg-without-cloning": "`robust-ddpg` without the cloning loss",
}
WALKER2D = {
    "walker2d-without-cloning": "nothing more",
    "walker2d-cloning": "cloning 1",
    "walker2d-cloning-3-half-the-updates": "cloning 3, half the updates",
    "walker2d-cloning-expert-in-replay-half-the-updates": "cloning 1, half the updates, the expert in the replay",
    "walker2d-cloning-fast-targets-half-the-updates": "cloning 1, half the updates, target rate 0.01",
}
_LISTED = 3


def returns(evaluations: Rows, thousands: int) -> str:
    """The returns of all seeds at so many steps; of many seeds the median, least and most."""
    values = [
        row["return_mean"] for row in evaluations if row["return_mean"] != "" and round(row["step"] / 1000) == thousands
    ]
    if len(values) <= _LISTED:
        return ", ".join(f"{value:,.0f}" for value in values)
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def trials(trial_rows: Iterable[tuple[str, Rows]], thousands: Sequence[int]) -> list[str]:
    """A trial a row: what it is called, how many seeds it has, its returns at so many thousand steps."""
    rows = [
        [told, len({row["seed"] for row in evaluations}), *(returns(evaluations, each) for each in thousands)]
        for told, evaluations in trial_rows
    ]
    return markdown(("", "seeds", *(f"{each},000" for each in thousands)), rows)


def _kept(results: Path, names: dict[str, str]) -> list[tuple[str, Rows]]:
    return [(told, read(results / "pilots" / name / "evaluations.csv")) for name, told in names.items()]


def hopper(results: Path) -> list[str]:
    """DDPG."""
    return trials(_kept(results, HOPPER), range(5, 26, 5))


def walker2d(results: Path) -> list[str]:
    """TD3, and beside its trials the same seeds of what was shipped."""
    robust = [
        row | {"return_mean": row["return"]}
        for row in read(results / "stability-robust-evaluations.csv")
        if (row["method"], row["environment"]) == ("td3", "walker2d") and row["seed"] < _LISTED
    ]
    shipped = ("cloning 1, target rate 0.01, batches of 64: `robust`", robust)
    return trials([*_kept(results, WALKER2D), shipped], range(15, 61, 5))
