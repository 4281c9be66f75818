"""The table of the comparisons that a study file declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from credo.diagnostics.divergence import OPEN
from credo.studies import counts, paired
from credo.studies.comparisons import DIVERGED, FINAL_SCORE, Comparison
from credo.studies.curves import Measure, SeedDigest, final_score, frozen, mean_score, select
from credo.studies.tables import Cell, Table
from credo.studies.verdict_tables import LEVEL

BEFOREHAND, UNKNOWN = "beforehand", "after the last run"
_Pair = tuple[SeedDigest, SeedDigest]


def declared_table(
    curves: Sequence[SeedDigest],
    measure: Measure | None,
    declared: Mapping[Comparison, int | None],
    seed: int = 0,
    late_evaluations: int = 3,
) -> Table:
    """Every declared comparison with its test, corrected for the declared ones alone.

    Args:
        curves: of all seeds.
        measure: of scores; None where nothing was measured.
        declared: to each comparison the environment steps that its cells had done when it was first recorded; None
            where it has not been recorded.
        seed: of the bootstrap.
        late_evaluations: that a final score is the mean of.
    """
    found: list[tuple[Comparison, str, tuple[Cell, ...], float]] = []
    going = 0
    for comparison, steps in declared.items():
        pairs = {e: _pairs(curves, comparison, e) for e in comparison.environments}
        pairs = {environment: here for environment, here in pairs.items() if here}
        tested = (
            _diverged(pairs)
            if comparison.measure == DIVERGED
            else _scores(pairs, comparison, measure, seed, late_evaluations)
        )
        if tested is None:
            continue
        going += any(not curve.finished for here in pairs.values() for pair in here for curve in pair)
        fixed = UNKNOWN if steps is None else BEFOREHAND if steps == 0 else f"after {steps:,} steps"
        found.append((comparison, fixed, *tested))
    adjusted = counts.holm([p for *_, p in found])
    rows = tuple(
        (
            *(comparison.method, comparison.against, comparison.measure, ", ".join(comparison.environments)),
            *(*values, p, corrected),
            "differ" if corrected <= LEVEL else "not shown to differ",
            fixed,
        )
        for (comparison, fixed, values, p), corrected in zip(found, adjusted, strict=True)
    )
    name = measure.name if measure else "score"
    note = (
        f"Holm's correction is over these {len(rows)} alone. Seeds of one number in one environment are compared with "
        "each other. diverged: shares of seeds, exact conditional test stratified over environments, without seeds "
        f"that are {' or '.join(OPEN)}. final-score: {name} over the last {late_evaluations} evaluations, mean-score: "
        "over all evaluations up to the last step that both have (a frozen seed has the worst score from there on); "
        "means, the mean difference with its bootstrap interval (95%), Wilcoxon's exact signed-rank test. Fixed: "
        "beforehand, where no step of its cells had been done when a run first recorded it; what is not is no test of "
        "a question that was asked beforehand."
    )
    lacking = set(declared) - {comparison for comparison, *_ in found}
    if lacking:
        note += f" Without seeds to compare: {'; '.join(map(str, filter(lacking.__contains__, declared)))}."
    if going:
        note += f" In {going} of them seeds have not done all of their steps: nothing here is final."
    about = ("method", "against", "measure", "environments", "pairs", "value", "other")
    columns = (*about, "difference", "low", "high", "p", "p (Holm)", f"at {LEVEL:g}", "fixed")
    return Table("declared", "Comparisons that the study file declares", columns, rows, note)


def _pairs(curves: Sequence[SeedDigest], comparison: Comparison, environment: str) -> list[_Pair]:
    """Of each seed that both methods have in an environment its two curves."""
    mine, theirs = (
        {curve.seed: curve for curve in select(curves, method, environment)}
        for method in (comparison.method, comparison.against)
    )
    return [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]


def _diverged(pairs: Mapping[str, Sequence[_Pair]]) -> tuple[tuple[Cell, ...], float] | None:
    strata = []
    for here in pairs.values():
        sides = [[curve.verdict for curve in side if curve.verdict.decided] for side in zip(*here, strict=True)]
        if all(sides):
            (failed, seeds), (other_failed, other_seeds) = ((sum(v.diverged for v in s), len(s)) for s in sides)
            strata.append(counts.Stratum(failed, seeds, other_failed, other_seeds))
    if not strata:
        return None
    rate = sum(s.failed for s in strata) / sum(s.seeds for s in strata)
    other = sum(s.other_failed for s in strata) / sum(s.other_seeds for s in strata)
    size = min(sum(s.seeds for s in strata), sum(s.other_seeds for s in strata))
    return (size, rate, other, rate - other, None, None), counts.exact_test(strata)


def _scores(
    pairs: Mapping[str, Sequence[_Pair]],
    comparison: Comparison,
    measure: Measure | None,
    seed: int,
    late_evaluations: int,
) -> tuple[tuple[Cell, ...], float] | None:
    if measure is None:
        return None
    strata = []
    for here in pairs.values():
        if comparison.measure == FINAL_SCORE:
            both = [[final_score(curve, measure, late_evaluations) for curve in pair] for pair in here]
        else:
            both = [_mean_scores(pair, measure) for pair in here]
        known = [(one, other) for one, other in both if one is not None and other is not None]
        if known:
            strata.append(np.array(known))
    if not strata:
        return None
    every = np.concatenate(strata)
    difference = paired.mean_difference([each[:, 0] - each[:, 1] for each in strata], seed)
    values = (len(every), *map(float, every.mean(axis=0)), *difference)
    return values, paired.signed_rank_test(every[:, 0] - every[:, 1])


def _mean_scores(pair: _Pair, measure: Measure) -> list[float | None]:
    """Of both seeds the score of the mean over evaluations up to the last step that both have. A clone's one
    evaluation is its mean; its steps are others."""
    ends = [curve.last_step for curve in pair if not curve.clone and not frozen(curve)]
    last = min(ends, default=None)
    return [mean_score(curve, measure, None if curve.clone else last) for curve in pair]
