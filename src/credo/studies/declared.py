"""The table of the comparisons that a study file declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from credo.diagnostics.activity import column
from credo.diagnostics.divergence import OPEN
from credo.studies import counts, paired
from credo.studies.comparisons import DIVERGED, FINAL_SCORE, Comparison
from credo.studies.curves import (
    Measure,
    SeedDigest,
    choose_measure,
    final_score,
    frozen,
    lowest_scores,
    mean_score,
    select,
)
from credo.studies.tables import Table, Value

BEFOREHAND, UNKNOWN = "beforehand", "after the last run"
_Pair = tuple[SeedDigest, SeedDigest]


def declared_table(
    curves: Sequence[SeedDigest],
    declared: Mapping[Comparison, int | None],
    seed: int = 0,
    late_evaluations: int = 3,
) -> Table:
    """Every declared comparison with its test, corrected for the declared ones alone.

    Args:
        curves: of all seeds. A comparison's measure is chosen by its own.
        declared: to each comparison the environment steps that its cells had done when it was first recorded; None
            where it has not been recorded.
        seed: of the bootstrap.
        late_evaluations: that a final score is the mean of.
    """
    found: dict[Comparison, tuple[tuple[Value, ...], float]] = {}
    names: dict[str, None] = {}
    going = 0
    for comparison in declared:
        pairs = {e: _pairs(curves, comparison, e) for e in comparison.environments}
        pairs = {environment: here for environment, here in pairs.items() if here}
        tested = None
        if comparison.measure == DIVERGED:
            tested = _diverged(pairs)
        elif measure := choose_measure([c for c in curves if comparison.concerns(c.method, c.environment)]):
            lowest = lowest_scores(curves, measure, late_evaluations)
            tested = _scores(pairs, comparison, measure, lowest, seed, late_evaluations)
            names[measure.name] = None
        if tested is not None:
            going += any(not curve.finished for here in pairs.values() for pair in here for curve in pair)
            found[comparison] = tested
    # A comparison that has no seeds yet is one of the family all the same.
    adjusted = counts.holm([found[comparison][1] if comparison in found else 1.0 for comparison in declared])
    rows = []
    for (comparison, steps), corrected in zip(declared.items(), adjusted, strict=True):
        if comparison in found:
            values, p = found[comparison]
            about = comparison.method, comparison.against, comparison.measure, ", ".join(comparison.environments)
            outcome = "differ" if corrected <= counts.LEVEL else "not shown to differ"
            fixed = UNKNOWN if steps is None else BEFOREHAND if steps == 0 else f"after {steps:,} steps"
            rows.append((*about, *values, p, corrected, outcome, fixed))
    note = (
        f"Holm's correction is over all {len(declared)} that are declared, and over nothing else. Seeds of one number "
        "in one environment are compared with each other. diverged: shares of seeds, exact conditional test stratified "
        f"over environments, without seeds that are {' or '.join(OPEN)}; it makes no use of the pairs. final-score: "
        f"{' or '.join(names) or 'score'} over the last {late_evaluations} evaluations, where a frozen seed has the "
        "lowest that any has in its environment; mean-score: over all evaluations up to the last step that both have, "
        "where a frozen seed counts on with that. Means, the mean difference with its bootstrap interval (95%), "
        "Wilcoxon's exact signed-rank test. Fixed: beforehand, where no step of its cells had been done when a run "
        "first recorded it; what is not is no test of a question that was asked beforehand."
    )
    lacking = [comparison for comparison in declared if comparison not in found]
    if lacking:
        note += f" Without seeds to compare (p counts as 1): {'; '.join(map(str, lacking))}."
    if going or lacking:
        note += f" Of {going + len(lacking)} not all seeds have done all of their steps: nothing here is final."
    compared = ("method", "against", "measure", "environments", "pairs", "value", "other")
    columns = (*compared, "difference", "low", "high", "p", "p (Holm)", f"at {counts.LEVEL:g}", "fixed")
    return Table("declared", "Comparisons that the study file declares", columns, tuple(rows), note)


def _pairs(curves: Sequence[SeedDigest], comparison: Comparison, environment: str) -> list[_Pair]:
    """Of each seed that both methods have in an environment its two curves."""
    mine, theirs = (
        {curve.seed: curve for curve in select(curves, method, environment)}
        for method in (comparison.method, comparison.against)
    )
    return [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]


def _diverged(pairs: Mapping[str, Sequence[_Pair]]) -> tuple[tuple[Value, ...], float] | None:
    strata, size = [], 0
    for here in pairs.values():
        size += sum(one.verdict.decided and other.verdict.decided for one, other in here)
        sides = [[curve.verdict for curve in side if curve.verdict.decided] for side in zip(*here, strict=True)]
        if all(sides):
            (failed, seeds), (other_failed, other_seeds) = ((sum(v.diverged for v in s), len(s)) for s in sides)
            strata.append(counts.Stratum(failed, seeds, other_failed, other_seeds))
    if not strata:
        return None
    rate = sum(s.failed for s in strata) / sum(s.seeds for s in strata)
    other = sum(s.other_failed for s in strata) / sum(s.other_seeds for s in strata)
    return (size, rate, other, rate - other, None, None), counts.exact_test(strata)


def _scores(
    pairs: Mapping[str, Sequence[_Pair]],
    comparison: Comparison,
    measure: Measure,
    lowest: Mapping[str, float],
    seed: int,
    late_evaluations: int,
) -> tuple[tuple[Value, ...], float] | None:
    strata = []
    for environment, here in pairs.items():
        worst = lowest.get(environment, measure.worst)
        if comparison.measure == FINAL_SCORE:
            both = [
                [worst if frozen(curve) else final_score(curve, measure, late_evaluations) for curve in pair]
                for pair in here
            ]
        else:
            both = [_mean_scores(pair, measure, worst) for pair in here]
        known = [(one, other) for one, other in both if one is not None and other is not None]
        if known:
            strata.append(np.array(known))
    if not strata:
        return None
    every = np.concatenate(strata)
    difference = paired.mean_difference([each[:, 0] - each[:, 1] for each in strata], seed)
    values = (len(every), *map(float, every.mean(axis=0)), *difference)
    return values, paired.signed_rank_test(every[:, 0], every[:, 1])


def _mean_scores(pair: _Pair, measure: Measure, lowest: float) -> list[float | None]:
    """Of both seeds the score of the mean over evaluations up to the last step that both have; a frozen seed has any.
    A clone's one evaluation is its mean; its steps are others."""
    last = min((curve.last_step for curve in pair if not curve.clone and not frozen(curve)), default=np.inf)
    found = []
    for curve, other in (pair, pair[::-1]):
        lost = 0
        if frozen(curve) and not (curve.clone or other.clone):
            steps, theirs = (column(each.evaluations, "step") for each in (curve, other))
            lost = int(((theirs > steps.max(initial=0)) & (theirs <= last)).sum())
        found.append(mean_score(curve, measure, np.inf if curve.clone else last, lowest, lost))
    return found
