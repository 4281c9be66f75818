"""The paper's association (Section 3.2), seed by seed: explosion, P(expert) near 1 and a return near 0 go together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from credo.diagnostics.criteria import Criteria
from credo.studies.counts import Stratum, exact_test
from credo.studies.curves import Measure, SeedDigest, environments_of, final_score, methods_of, select

SURE = 0.99
"""P(expert) from which on it is near 1."""
EVENTS = ("gradient exploded", "P(expert) near 1", "return near 0")


class Signs(NamedTuple):
    """What of the association one seed shows; None where it is not known."""

    exploded: bool | None
    sure: bool | None
    low: bool | None


class Together(NamedTuple):
    """How two events go together over the seeds for which both are known."""

    both: int
    first_alone: int
    second_alone: int
    neither: int
    p_value: float | None
    """Exact, two-sided, stratified over method and environment; None where no stratum can say anything."""


def signs(curve: SeedDigest, measure: Measure | None, criteria: Criteria) -> Signs:
    """Whether the gradient ever exploded (a non-finite one counts), P(expert) on expert samples ended near 1, and the
    return ended below ``criteria.low_share`` of the expert's."""
    exploded = curve.verdict.first_explosion is not None or curve.verdict.kind == "non-finite"
    score = final_score(curve, measure, criteria.late_evaluations) if measure and measure.of_expert else None
    return Signs(
        exploded=exploded if curve.measured else None,
        sure=None if curve.expert_probability is None else curve.expert_probability >= SURE,
        low=None if score is None else score < criteria.low_share,
    )


def together(curves: Sequence[SeedDigest], of: Sequence[Signs]) -> dict[tuple[str, str], Together]:
    """Each pair of events over all seeds."""
    found = {}
    for first, second in combinations(range(len(EVENTS)), 2):
        pairs = [(c, s[first], s[second]) for c, s in zip(curves, of, strict=True)]
        known = [(c, bool(a), bool(b)) for c, a, b in pairs if a is not None and b is not None]
        strata = []
        for method in methods_of(curves):
            for environment in environments_of(select(curves, method)):
                here = [(a, b) for c, a, b in known if (c.method, c.environment) == (method, environment)]
                strata.append(_stratum(here))
        informative = [s for s in strata if s.seeds and s.other_seeds and 0 < s.failed + s.other_failed < _all(s)]
        found[EVENTS[first], EVENTS[second]] = Together(
            both=sum(a and b for _, a, b in known),
            first_alone=sum(a and not b for _, a, b in known),
            second_alone=sum(b and not a for _, a, b in known),
            neither=sum(not a and not b for _, a, b in known),
            p_value=exact_test(informative) if informative else None,
        )
    return found


def _stratum(pairs: Sequence[tuple[bool, bool]]) -> Stratum:
    """Seeds with the first event against those without it; the second event is the one counted."""
    with_first = [b for a, b in pairs if a]
    without = [b for a, b in pairs if not a]
    return Stratum(sum(with_first), len(with_first), sum(without), len(without))


def _all(stratum: Stratum) -> int:
    return stratum.seeds + stratum.other_seeds
