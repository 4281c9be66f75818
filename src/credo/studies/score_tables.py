"""Tables of how good methods are and how many samples they take."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from credo.studies import scores
from credo.studies.curves import (
    RETURN,
    Measure,
    SeedDigest,
    environments_of,
    final_score,
    frozen,
    lowest_scores,
    methods_of,
    select,
)
from credo.studies.efficiency import HOLD, SHARES, samples_to
from credo.studies.tables import Table, Value
from credo.studies.verdict_tables import ALL

NEVER = "never"
PROFILE = tuple(round(0.1 * number, 1) for number in range(11))
"""Thresholds of the performance profiles."""

Scores = dict[str, dict[str, np.ndarray]]
"""Method to environment to the final scores of its seeds."""


def sample_efficiency(curves: Sequence[SeedDigest], seed: int = 0) -> Table:
    """Samples to shares of the expert, a seed that never gets there counting as never."""
    rows: list[tuple[Value, ...]] = []
    for method in methods_of(curves):
        for environment in environments_of(select(curves, method)):
            here = [curve for curve in select(curves, method, environment) if not curve.clone]
            for share in SHARES if here else ():
                samples = np.array([samples_to(curve, share) for curve in here])
                estimate = scores.median([samples], seed)
                reached = int(np.isfinite(samples).sum())
                rows.append((method, environment, share, len(here), reached, *map(_samples, estimate)))
    unfinished = sum(not curve.finished and not curve.clone for curve in curves)
    clones = any(curve.clone for curve in curves)
    return Table(
        "sample-efficiency",
        "Environment steps to shares of the expert's return",
        ("method", "environment", "share of expert", "seeds", "reached", "median", "low", "high"),
        tuple(rows),
        f"Steps until the median of {HOLD} evaluations in a row first reaches the share, whatever comes after. A seed "
        "that did not, failed ones included, counts as never within its steps: it is not dropped, and a median can be "
        "never. Intervals: bootstrap over seeds, percentiles, 95%."
        + (f" {unfinished} seeds are not finished, and may still get there." if unfinished else "")
        + (" Cloning takes no environment steps, and is left out." if clones else ""),
    )


def final_scores(curves: Sequence[SeedDigest], measure: Measure, late_evaluations: int = 3) -> Scores:
    """Of every seed that was evaluated at all; a frozen one's is the lowest that any has in its environment."""
    lowest = lowest_scores(curves, measure, late_evaluations)
    found: Scores = {}
    for curve in curves:
        score = final_score(curve, measure, late_evaluations)
        if score is not None:
            of_method = found.setdefault(curve.method, {})
            value = lowest[curve.environment] if frozen(curve) else score
            of_method[curve.environment] = np.append(of_method.get(curve.environment, ()), value)
    return found


def shared_environments(found: Scores) -> tuple[str, ...]:
    """The environments in which every method has scores."""
    everywhere = [environment for of_method in found.values() for environment in of_method]
    return tuple(e for e in dict.fromkeys(everywhere) if all(e in of_method for of_method in found.values()))


def score_table(found: Scores, measure: Measure, seed: int = 0, late_evaluations: int = 3) -> Table:
    """Interquartile mean and mean of the final scores, per environment and over those that all methods share."""
    shared = shared_environments(found)
    rows: list[tuple[Value, ...]] = []
    for method, of_method in found.items():
        groups = {environment: [values] for environment, values in of_method.items()}
        if len(shared) > 1:
            groups[ALL] = [of_method[environment] for environment in shared]
        for environment, strata in groups.items():
            count = sum(map(len, strata))
            rows.append((method, environment, count, *scores.iqm(strata, seed), *scores.mean(strata, seed)))
    return Table(
        "scores",
        f"Final scores: {measure.name}",
        ("method", "environment", "seeds", "IQM", "low", "high", "mean", "mean low", "mean high"),
        tuple(rows),
        f"Score: mean over a seed's last {late_evaluations} evaluations; a frozen seed scores the lowest of its "
        "environment (0 of the expert at most). IQM: mean of the middle half, which failures of up to a quarter of the "
        "seeds do not touch: "
        "read it beside the divergence "
        f"rate. {_shared_note(found, shared)} Intervals: bootstrap within each environment, percentiles, 95%.",
    )


def improvement_table(found: Scores, measure: Measure, seed: int = 0) -> Table:
    """Probability that a seed of one method beats a seed of another, over the environments that both have."""
    rows: list[tuple[Value, ...]] = []
    for one, other in combinations(found, 2):
        both = [environment for environment in found[one] if environment in found[other]]
        if both:
            mine, theirs = ([found[name][e] for e in both] for name in (one, other))
            rows.append((one, other, len(both), *scores.probability_of_improvement(mine, theirs, seed)))
    return Table(
        "improvement",
        "Probability of improvement",
        ("method", "over", "environments", "probability", "low", "high"),
        tuple(rows),
        f"Probability that a random seed of the method ends with a better {measure.name} than one of the other, ties "
        "half, mean over the environments that both have. Intervals: bootstrap within each environment, 95%; one that "
        "contains 0.5 shows no difference.",
    )


def profile_table(found: Scores, seed: int = 0) -> Table:
    """Share of seeds above each score."""
    shared = shared_environments(found)
    rows: list[tuple[Value, ...]] = []
    for method, of_method in found.items():
        strata = [of_method[environment] for environment in shared]
        if strata:
            profile = scores.performance_profile(strata, PROFILE, seed)
            rows += [(method, tau, *estimate) for tau, estimate in zip(PROFILE, profile, strict=True)]
    return Table(
        "profiles",
        f"Performance profiles: share of seeds above a {RETURN.name}",
        ("method", "score", "share above", "low", "high"),
        tuple(rows),
        f"{_shared_note(found, shared)} Intervals: bootstrap within each environment, pointwise, 95%.",
    )


def unfinished_note(curves: Sequence[SeedDigest]) -> str:
    """What a table of scores says of seeds that go on; empty where none does."""
    unfinished = sum(not curve.finished for curve in curves)
    if not unfinished:
        return ""
    return f" {unfinished} of {len(curves)} seeds have not done all of their steps: a score of theirs is that so far."


def _samples(value: float) -> Value:
    return NEVER if np.isinf(value) else round(value)


def _shared_note(found: Scores, shared: Sequence[str]) -> str:
    everywhere = {environment for of_method in found.values() for environment in of_method}
    if len(shared) == len(everywhere):
        return f"Over all methods' environments: {', '.join(shared)}."
    missing = ", ".join(sorted(everywhere - set(shared)))
    return f"Over the environments that all methods have ({', '.join(shared) or 'none'}); left out: {missing}."
