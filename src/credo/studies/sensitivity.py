"""How verdicts move when one criterion of them moves. NumPy alone."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np

from credo.diagnostics.activity import activity_of, column
from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import FROZEN, Verdict, verdict
from credo.studies.curves import SeedCurve

ALTERNATIVES: dict[str, tuple[float, float]] = {
    "low_share": (0.05, 0.2),
    "healthy_share": (0.3, 0.7),
    "low_distance": (0.7, 0.9),
    "healthy_distance": (0.3, 0.7),
    "near_distance": (0.1, 0.5),
    "near_demonstrations": (1.0, 1.5),
    "late_evaluations": (1, 6),
    "failed_evaluations": (5, 20),
    "recovered_evaluations": (2, 4),
    "vanishing_gradient": (1e-12, 1e-6),
    "saturation": (0.95, 0.999),
    "saturated_gradient": (1e-3, 1e-1),
    "activity_rounds": (5, 80),
    "dead_share": (0.7, 0.99),
    "explosion_factor": (30.0, 300.0),
    "explosion_floor": (3.0, 30.0),
    "explosion_window": (50, 800),
}
"""For each criterion two other values, one below and one above its default (of a default that is the least there is
both above), fixed before any run was looked at."""

_LIVELY = {"step": np.array([0]), "actor_gradient_max": np.array([1.0])}
_DISTANCE = ("low_distance", "healthy_distance", "near_distance", "near_demonstrations")
_EXPLOSION = ("explosion_factor", "explosion_floor", "explosion_window")
_INACTIVE = ("vanishing_gradient", "saturation", "saturated_gradient")
_OUTCOME = ("low_share", "healthy_share", "late_evaluations", "failed_evaluations")


def alternatives(criteria: Criteria) -> list[tuple[str, float, Criteria]]:
    """(criterion, its value, the criteria with that alone changed)."""
    return [
        (name, value, dataclasses.replace(criteria, **cast("dict[str, Any]", {name: value})))
        for name, values in ALTERNATIVES.items()
        for value in values
        if value != getattr(criteria, name)
    ]


def moved_verdicts(curve: SeedCurve, criteria: Criteria) -> tuple[Verdict, ...]:
    """The verdict of a curve under each of the alternatives, in their order; ``curve.verdict`` is the one under
    ``criteria``."""
    # What was non-finite stays so; else of the metrics these alone matter.
    needed = ("step", "actor_gradient_max", "action_saturation")
    metrics = {name: curve.metrics[name] for name in needed if name in curve.metrics}
    stops = _stops(curve, criteria)
    found = []
    for name, _, other in alternatives(criteria):
        if _cannot_move(curve, name, criteria, other, stops):
            found.append(curve.verdict)
            continue
        # Where the actor never stopped nor exploded, it matters only that it moves.
        lively = name in _OUTCOME and curve.verdict.first_explosion is None and not stops
        told = _LIVELY if lively else metrics
        found.append(verdict(told, curve.evaluations, curve.expert_return, other, curve.clone))
    return tuple(found)


def _cannot_move(curve: SeedCurve, name: str, criteria: Criteria, other: Criteria, stops: bool) -> bool:
    """Whether a criterion plainly has no say in this verdict: judging 330 long curves again for each would take
    minutes. ``stops``: under ``criteria``; ``other`` differs in ``name`` alone."""
    if curve.verdict.kind in FROZEN:
        return True
    if name in _OUTCOME:
        return False
    if name in _DISTANCE:
        known = np.isfinite(column(curve.evaluations, "return_mean")).any()
        return bool(known and curve.expert_return)
    if name in _EXPLOSION:
        floor = min(criteria.explosion_floor, other.explosion_floor)
        return not np.any(np.abs(column(curve.metrics, "actor_gradient_max")) > floor)
    return not stops and (name not in _INACTIVE or not _stops(curve, other))


def _stops(curve: SeedCurve, criteria: Criteria) -> bool:
    """Whether the actor is inactive in any round."""
    return bool(activity_of(curve.metrics, criteria).inactive.any())
