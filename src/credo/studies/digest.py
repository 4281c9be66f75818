"""All that the statistics take from a seed's curves, so that a seed of millions of steps is small to keep.

NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from credo.diagnostics.activity import column
from credo.diagnostics.criteria import Criteria
from credo.studies import foretelling, sensitivity
from credo.studies.curves import EVALUATION_COLUMNS, SeedCurve, SeedDigest

LATE_ROUNDS = 50
"""Rounds at the end whose mean stands for a seed's last P(expert), filtered share and the like."""


def digest(curve: SeedCurve, criteria: Criteria = Criteria()) -> SeedDigest:
    """What is needed of a curve whose verdict was made with ``criteria``."""
    return SeedDigest(
        method=curve.method,
        environment=curve.environment,
        seed=curve.seed,
        evaluations={name: curve.evaluations[name] for name in EVALUATION_COLUMNS if name in curve.evaluations},
        expert_return=curve.expert_return,
        verdict=curve.verdict,
        finished=curve.finished,
        clone=curve.clone,
        last_step=curve.last_step,
        measured=len(curve.metrics["step"]) > 0,
        expert_probability=late_mean(curve.metrics, "expert_probability_expert"),
        largest_gradient=_largest(curve, "actor_gradient_max"),
        readings=foretelling.readings(curve),
        moved=sensitivity.moved_verdicts(curve, criteria),
    )


def late_mean(columns: Mapping[str, np.ndarray], name: str) -> float | None:
    """Mean of a metric over the last rounds in which it is known; None where it never is."""
    value = np.asarray(columns.get(name, ()), np.float64)
    value = value[np.isfinite(value)][-LATE_ROUNDS:]
    return float(value.mean()) if len(value) else None


def _largest(curve: SeedCurve, name: str) -> float | None:
    """Largest value of a metric, infinity included; None where it is never known."""
    value = column(curve.metrics, name)
    value = value[~np.isnan(value)]
    return float(value.max()) if len(value) else None
