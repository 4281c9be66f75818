"""Tables of what became of the seeds: rates, tests, what they can show, criteria, association, early warning."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import DIVERGED, KINDS, OPEN
from credo.studies import association, counts, foretelling, sensitivity
from credo.studies.curves import (
    Measure,
    SeedDigest,
    environments_of,
    final_score,
    methods_of,
    select,
)
from credo.studies.tables import Table, Value

ALL = "all"
_RATES = (0.0, 0.1, 0.2, 0.36, 0.5)
"""Failure rates for which the power table is made; 0.36 is the paper's."""
_SHOWN_FORECASTS = 12


def verdicts(curves: Sequence[SeedDigest], criteria: Criteria) -> Table:
    """What became of the seeds of each method, with the divergence rate and its exact interval."""
    rows: list[tuple[Value, ...]] = []
    for method in methods_of(curves):
        environments = environments_of(select(curves, method))
        for environment in (*environments, *([ALL] if len(environments) > 1 else [])):
            here = select(curves, method, None if environment == ALL else environment)
            kinds = Counter(curve.verdict.kind for curve in here)
            diverged, decided = _diverged(here), _decided(here)
            low, high = counts.clopper_pearson(diverged, decided) if decided else (None, None)
            rate = diverged / decided if decided else None
            rows.append((method, environment, len(here), *(kinds[k] for k in KINDS), diverged, rate, low, high))
    unfinished = sum(not curve.finished for curve in curves)
    note = (
        f"Diverged: {', '.join(DIVERGED)}; rates are of the seeds that are not {' or '.join(OPEN)}. "
        "Intervals are Clopper-Pearson, 95%, for one rate in all environments of the "
        f"row. Criteria: {_criteria(criteria)}."
    )
    if unfinished:
        note += f" {unfinished} of {len(curves)} seeds have not done all of their steps: their verdicts can still move."
    columns = ("method", "environment", "seeds", *KINDS, "diverged", "rate", "low", "high")
    return Table("verdicts", "Verdicts and divergence rates", columns, tuple(rows), note)


def divergence_tests(curves: Sequence[SeedDigest]) -> Table:
    """Every pair of methods: does one diverge more often, environment by environment?"""
    pairs, results = [], []
    for one, other in combinations(methods_of(curves), 2):
        strata = []
        for environment in environments_of(curves):
            mine, theirs = select(curves, one, environment), select(curves, other, environment)
            if mine and theirs:
                sides = [(_diverged(side), _decided(side)) for side in (mine, theirs)]
                if all(decided for _, decided in sides):
                    strata.append(counts.Stratum(*sides[0], *sides[1]))
        if strata:
            pairs.append((one, other, strata))
            results.append(counts.exact_test(strata))
    rows: list[tuple[Value, ...]] = []
    for (one, other, strata), p, adjusted in zip(pairs, results, counts.holm(results), strict=True):
        diverged = f"{sum(s.failed for s in strata)} of {sum(s.seeds for s in strata)}"
        other_diverged = f"{sum(s.other_failed for s in strata)} of {sum(s.other_seeds for s in strata)}"
        finding = "differ" if adjusted <= counts.LEVEL else "not shown to differ"
        rows.append((one, diverged, other, other_diverged, len(strata), p, adjusted, finding))
    still_open = len(curves) - _decided(curves)
    left_out = f" {still_open} seeds that are {' or '.join(OPEN)} are left out." if still_open else ""
    unfinished = sum(not curve.finished for curve in curves)
    if unfinished:
        left_out += f" {unfinished} seeds have not done all of their steps: nothing here is final."
    return Table(
        "divergence-tests",
        "Do methods differ in how often they diverge?",
        (
            "method",
            "diverged",
            "other method",
            "other diverged",
            "environments",
            "p",
            "p (Holm)",
            f"at {counts.LEVEL:g}",
        ),
        tuple(rows),
        "Exact conditional test, two-sided, stratified over the environments that both methods have; with one "
        f"environment it is Fisher's. Holm's correction is over the {len(rows)} pairs here. A pair that is not shown "
        "to differ is not shown to be equal. For scale: 4 of 11 against 0 of 11 alone gives p = 0.09." + left_out,
    )


def power(curves: Sequence[SeedDigest]) -> Table:
    """How large a difference this many seeds can show at all."""
    per_environment = [
        len(select(curves, method, environment))
        for method in methods_of(curves)
        for environment in environments_of(select(curves, method))
    ]
    per_method = [len(select(curves, method)) for method in methods_of(curves)]
    sizes = sorted({min(per_environment, default=0), min(per_method, default=0)} - {0})
    rows: list[tuple[Value, ...]] = []
    for seeds in sizes:
        for rate in _RATES:
            failed = round(rate * seeds)
            needed = counts.least_significant_failures(failed, seeds)
            found = counts.detectable_rate(rate, seeds)
            rows.append(
                (seeds, rate, found, f"{failed} of {seeds}", None if needed is None else f"{needed} of {seeds}")
            )
    allowed = counts.clopper_pearson(0, min(sizes, default=0))[1]
    return Table(
        "power",
        "How large a difference these seeds can show",
        (
            "seeds a method",
            "true rate of one",
            "least higher rate found in 80%",
            "one has",
            "other needs for p <= 0.05",
        ),
        tuple(rows),
        "Fisher's exact test, two-sided, p <= 0.05 without correction for several pairs: with it the differences must "
        "be larger. Computed for two methods with the same number of seeds; the larger number takes all environments "
        "as one. A dash: no rate would be found that often. "
        f"No failure in {min(sizes, default=0)} seeds still allows a rate of up to {allowed:.0%} (95%).",
    )


def criteria_table(curves: Sequence[SeedDigest], criteria: Criteria) -> Table:
    """How many seeds of each method count as diverged when one criterion moves."""
    methods = methods_of(curves)
    base = tuple(_diverged(select(curves, method)) for method in methods)
    rows: list[tuple[Value, ...]] = [("as used", None, 0, *base)]
    for index, (name, value, _) in enumerate(sensitivity.alternatives(criteria)):
        found = [curve.moved[index] for curve in curves]
        moved = sum(new.kind != curve.verdict.kind for new, curve in zip(found, curves, strict=True))
        diverged = Counter(c.method for c, new in zip(curves, found, strict=True) if new.diverged)
        rows.append((name, value, moved, *(diverged[method] for method in methods)))
    sizes = ", ".join(f"{method} {len(select(curves, method))}" for method in methods)
    return Table(
        "criteria",
        "How the verdicts move with each criterion",
        ("criterion", "value", "verdicts that change", *(f"diverged: {method}" for method in methods)),
        tuple(rows),
        f"One criterion at a time is moved to two other values, below and above the one used where there is room. "
        f"Seeds: {sizes}. In use: "
        f"{_criteria(criteria)}.",
    )


def association_seeds(curves: Sequence[SeedDigest], measure: Measure | None, criteria: Criteria) -> Table:
    """Seed by seed: largest gradient, P(expert) and outcome at the end, and what of it counts as a sign."""
    rows: list[tuple[Value, ...]] = []
    for curve in curves:
        of = association.signs(curve, measure, criteria)
        score = final_score(curve, measure, criteria.late_evaluations) if measure else None
        rows.append(
            (
                curve.method,
                curve.environment,
                curve.seed,
                curve.verdict.kind,
                curve.verdict.step,
                _finite(curve.largest_gradient),
                curve.expert_probability,
                score,
                *(None if sign is None else "yes" if sign else "no" for sign in of),
            )
        )
    name = measure.name if measure else "outcome"
    about = ("method", "environment", "seed", "verdict", "at step")
    return Table(
        "association-seeds",
        "Explosion, P(expert) and outcome of every seed",
        (*about, "largest gradient", "P(expert)", name, *association.EVENTS),
        tuple(rows),
        f"P(expert) of expert samples, mean over the last rounds; near 1 from {association.SURE:g} on. Return near "
        f"0: below {criteria.low_share:g} of the expert's at the end. Exploded: beyond {criteria.explosion_factor:g} "
        f"times the running median and {criteria.explosion_floor:g}, or non-finite, at any time.",
    )


def association_tests(curves: Sequence[SeedDigest], measure: Measure | None, criteria: Criteria) -> Table:
    """Whether the three events go together more often than chance would have it."""
    of = [association.signs(curve, measure, criteria) for curve in curves]
    found = association.together(curves, of)
    tested = {pair: both.p_value for pair, both in found.items() if both.p_value is not None}
    adjusted = dict(zip(tested, counts.holm(list(tested.values())), strict=True))
    rows = tuple(
        (*pair, t.both, t.first_alone, t.second_alone, t.neither, t.p_value, adjusted.get(pair))
        for pair, t in found.items()
    )
    return Table(
        "association",
        "Do explosion, P(expert) near 1 and a return near 0 come together?",
        ("event", "other event", "both", "first alone", "second alone", "neither", "p", "p (Holm)"),
        rows,
        "Seeds counted over all methods and environments; the exact test is stratified over method and environment, so "
        "that a difference between methods is not taken for an association within them. A dash: no method has seeds "
        "that differ in both events, so that nothing can be tested.",
    )


def early_warning(curves: Sequence[SeedDigest]) -> Table:
    """Which diagnostic, read early, foretells failure: precision, recall and lead time."""
    cells: dict[tuple[str, str], list[SeedDigest]] = {}
    for curve in curves:
        cells.setdefault((curve.method, curve.environment), []).append(curve)
    mixed = [cell for cell, mine in cells.items() if _mixed(mine)]
    every, chosen = foretelling.forecasts([curve for cell in mixed for curve in cells[cell]])
    rows: list[tuple[Value, ...]] = []
    for f in (*chosen, *every[:_SHOWN_FORECASTS]):
        lead = None if np.isnan(f.lead) else f.lead
        base = f.failures / f.at_risk
        rows.append(
            (
                f.diagnostic,
                f.reading,
                f.step,
                f.at_risk,
                f.failures,
                base,
                f.warned,
                f.right,
                f.precision,
                f.recall,
                lead,
                None if np.isnan(f.rank) else f.rank,
            )
        )
    columns = ("diagnostic", "reading", "read at step", "seeds at risk", "fail later", "share that fail", "warned")
    note = (
        f"Of methods and environments with seeds of both fates ({', '.join(map(', '.join, mixed)) or 'none'}). Failed: "
        f"{', '.join(foretelling.FAILED)}. A seed is at risk while it has not failed. Every threshold is chosen on all "
        f"other seeds. In the first {len(chosen)} rows the diagnostic is too; the rest are the best of {len(every)} "
        "and look better than they would on new seeds. A warning is worth something where precision is well above the "
        "share that fail; with several methods or environments it may do no more than tell those apart. Rank: the "
        "chance that of two seeds of one method and environment the one that fails has the larger value; 1/2 tells "
        "nothing. Lead: median steps from reading to failure."
    )
    return Table(
        "early-warning",
        "Which diagnostic foretells a failure?",
        (*columns, "right", "precision", "recall", "lead (steps)", "rank"),
        tuple(rows),
        note,
    )


def _mixed(curves: Sequence[SeedDigest]) -> bool:
    return len({np.isfinite(foretelling.failure_step(curve)) for curve in curves}) == 2


def _diverged(curves: Sequence[SeedDigest]) -> int:
    return sum(curve.verdict.diverged for curve in curves)


def _decided(curves: Sequence[SeedDigest]) -> int:
    return sum(curve.verdict.decided for curve in curves)


def _finite(value: float | None) -> Value:
    return "infinite" if value is not None and np.isinf(value) else value


def _criteria(criteria: Criteria) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in dataclasses.asdict(criteria).items())
