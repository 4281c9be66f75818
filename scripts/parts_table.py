"""Tables of docs/stability/robust.md: the preset robust without one of its parts, from the files of keep_study.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from critics_table import curves as critics
from critics_table import ratios
from early_tables import cells_of, dead, rounded
from kept_files import ENVIRONMENTS, in_order, markdown, read
from robust_table import NAMES, curves_of, means, of_pairs, there
from scipy import stats

from credo.studies.counts import holm

ROBUST, STUDY = "stability-robust", "stability-robust-parts"
PARTS = {
    "whole": "`robust`",
    "no-cloning": "without the cloning loss",
    "no-preactivation-penalty": "without the pre-activation penalty",
    "plain-critics": "without layer norm in the critics",
    "small-steps": "learning rates of 3e-4",
    "small-gradient-penalty": "gradient penalty of 1",
    "wide-noise": "exploration noise of 0.3",
    "slow-targets": "target rate of 0.005",
    "large-batches": "batches of 128",
    "raw-observations": "observations as they are",
    "still-discriminator": "a discriminator that never learns",
}
_COMPARED = (
    "evaluations to step",
    "mean share of the expert's return: median, {}",
    "at 0.9 at the last of them",
    "at 0.9 in any",
    "mean difference (95% interval)",
    "p",
)
HEADER = (
    "TD3, 25,000 steps",
    "dead",
    "mean share of the expert's return: median (least to most)",
    "at 0.9 at the last",
    "at 0.9 in any",
    "Q / reference, of those not dead: median (most)",
    "mean difference from `robust` (95% interval)",
    "p, alone / Holm",
)


def told_of(differences: Sequence[float]) -> str:
    """The mean with Student's interval."""
    center = mean(differences)
    low, high = stats.t.interval(0.95, len(differences) - 1, center, stats.sem(differences))
    return f"{center:+.2f} ({low:+.2f} to {high:+.2f})"


def without(results: Path) -> list[str]:
    """TD3 as it is and without one part, seed by seed."""
    names = {method: name.removeprefix("TD3 ") for method, name in NAMES.items() if method.startswith("td3-")}
    return _beside_td3(results, names, "TD3", "with it and without")


def learners(results: Path) -> list[str]:
    """TD3 and each of the other learners, seed by seed."""
    others = {method: NAMES[method] for method in ("ddpg", "sd3", "sac")}
    return _beside_td3(results, others, "", "TD3's and its own", every=False)


def _beside_td3(results: Path, names: dict[str, str], what: str, sides_are: str, every: bool = True) -> list[str]:
    """TD3 less each of the others, over the evaluations that both have, and over all environments if ``every``. p:
    Wilcoxon's exact signed-rank test of the seeds' mean shares."""
    evaluations, cells = read(results / f"{ROBUST}-evaluations.csv"), cells_of(results, ROBUST)
    lines: list[list[str]] = []
    differences: dict[str, list[float]] = {}
    for method, environment in in_order([cell for cell in cells if cell[0] in names], NAMES):
        pair = [curves_of(evaluations, cells, name, environment) for name in ("td3", method)]
        count = min(len(one) for one in pair[1])
        sides = [[one[:count] for one in side] for side in pair]
        these = [mine - other for mine, other in zip(*map(means, sides), strict=True)]
        differences.setdefault(method, []).extend(these)
        last, ever = zip(*map(there, sides), strict=True)
        of = f"of {len(these)}"
        lines.append(
            [
                f"{names[method]}, {ENVIRONMENTS[environment]}",
                f"{round(sides[1][0][-1][0], -3):,.0f}",
                ", ".join(f"{median(means(side)):.2f}" for side in sides),
                f"{last[0]} and {last[1]} {of}",
                f"{ever[0]} and {ever[1]} {of}",
                told_of(these),
                rounded(of_pairs(these)),
            ]
        )
    for method, these in differences.items() if every else ():
        lines.append([f"{names[method]}, all {len(these)}", "", "", "", "", told_of(these), rounded(of_pairs(these))])
    return markdown((what, *(name.format(sides_are) for name in _COMPARED)), lines)


def table(results: Path) -> list[str]:
    """One part a row, against the whole on the same seeds; Holm's correction is within an environment.

    The whole's evaluations are those of stability-robust, whose fifth, at step 25,024, this study's cut leaves out.
    Where this study has no such cell, what is asked of its rounds and verdicts is not told.
    """
    evaluations, cells = read(results / f"{STUDY}-evaluations.csv"), cells_of(results, STUDY)
    robust, wholes = read(results / f"{ROBUST}-evaluations.csv"), cells_of(results, ROBUST)
    found = critics(results, STUDY)
    lines = []
    for environment in (name for name in ENVIRONMENTS if any(cell[1] == name for cell in cells)):
        parts = [part for part in PARTS if part == "whole" or (part, environment) in cells]
        sides = {part: curves_of(evaluations, cells, part, environment) for part in parts if part != "whole"}
        count = min(len(one) for side in sides.values() for one in side)
        sides["whole"] = [one[:count] for one in curves_of(robust, wholes, "td3", environment)]
        whole = means(sides["whole"])
        differences = {
            part: [mine - other for mine, other in zip(means(sides[part]), whole, strict=True)]
            for part in parts
            if part != "whole"
        }
        alone = {part: of_pairs(these) for part, these in differences.items()}
        corrected = dict(zip(alone, holm(list(alone.values())), strict=True))
        for part in parts:
            mine, seeds = means(sides[part]), cells.get((part, environment))
            last, ever = there(sides[part])
            times = ratios(seeds, found[part, environment]) if seeds else []
            tested = part in alone
            lines.append(
                [
                    f"{PARTS[part]}, {ENVIRONMENTS[environment]}",
                    dead(seeds) if seeds else "",
                    f"{median(mine):.2f} ({min(mine):.2f} to {max(mine):.2f})",
                    f"{last} of {len(mine)}",
                    f"{ever} of {len(mine)}",
                    f"{median(times):.1f} ({max(times):.1f})" if times else "",
                    told_of(differences[part]) if tested else "",
                    f"{rounded(alone[part])} / {rounded(corrected[part])}" if tested else "",
                ]
            )
    return markdown(HEADER, lines)
