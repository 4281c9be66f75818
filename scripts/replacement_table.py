"""Table of docs/stability/robust.md: CREDO in the place of the gradient penalty, from the files of keep_study.py."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from credo_table import late
from early_tables import rounded
from kept_files import ENVIRONMENTS, Rows, markdown, read
from robust_table import curve, means, of_pairs, there

from credo.studies.counts import holm

STUDY, ROBUST = "stability-robust-credo", "stability-robust"
NAMES = {
    "off": "no penalty, CREDO off",
    "filter": "no penalty, CREDO's filter",
    "td3": "`robust`: penalty 10, CREDO's filter",
}
HEADER = (
    "",
    "",
    "dead",
    "share of the expert's return, mean of the evaluations: median (least to most)",
    "at 0.9 at the last",
    "at 0.9 in any",
    "filtered",
    "P(expert) of the expert's, the policy's",
    "p, alone / Holm",
)


def table(results: Path) -> list[str]:
    """A method in an environment a row, over the evaluations that all have; the tests are filter against off."""
    cells = {("td3", environment): _cell(results, ROBUST, "td3", environment) for environment in ENVIRONMENTS}
    cells |= {
        (method, environment): _cell(results, STUDY, method, environment)
        for method in ("off", "filter")
        for environment in ENVIRONMENTS
    }
    done = [name for name in ENVIRONMENTS if cells["off", name][0] and cells["filter", name][0]]
    count = min(len(one) for name in done for method in NAMES for one in cells[method, name][1])
    cut = {key: [one[:count] for one in found[1]] for key, found in cells.items() if found[0]}
    shares = {key: means(side) for key, side in cut.items()}
    pairs = {
        name: [mine - other for mine, other in zip(shares["filter", name], shares["off", name], strict=True)]
        for name in done
    }
    alone = {name: of_pairs(differences) for name, differences in pairs.items()}
    corrected = dict(zip(alone, holm(list(alone.values())), strict=True))
    told = []
    for environment in done:
        for method in NAMES:
            seeds, curves, rounds = cells[method, environment]
            last = curves[0][count - 1][0]
            rounds = [row for row in rounds if row["step"] <= last]
            of = f"of {len(seeds)}"
            mine = shares[method, environment]
            at_last, at_any = there(cut[method, environment])
            p = f"{rounded(alone[environment])} / {rounded(corrected[environment])}" if method == "filter" else ""
            told.append(
                [
                    ENVIRONMENTS[environment],
                    NAMES[method],
                    f"{sum(row['verdict'] == 'dead' for row in seeds)} {of}",
                    f"{median(mine):.2f} ({min(mine):.2f} to {max(mine):.2f})",
                    f"{at_last} {of}",
                    f"{at_any} {of}",
                    f"{late(rounds, 'filtered_share'):.1%}",
                    ", ".join(f"{late(rounds, f'expert_probability_{side}'):.3f}" for side in ("expert", "policy")),
                    p,
                ]
            )
    every = [difference for differences in pairs.values() for difference in differences]
    told.append([f"all {len(every)}", "filter against off", *[""] * 6, rounded(of_pairs(every))])
    return markdown(HEADER, told)


def _cell(
    results: Path, study: str, method: str, environment: str
) -> tuple[Rows, list[list[tuple[float, float]]], Rows]:
    """Its seeds, their curves, and its diagnostics."""
    seeds, evaluations, rounds = (
        [
            row
            for row in read(results / f"{study}-{kind}.csv")
            if (row["method"], row["environment"]) == (method, environment)
        ]
        for kind in ("seeds", "evaluations", "rounds")
    )
    return seeds, [curve(row["seed"], evaluations, row["expert_return"]) for row in seeds], rounds
