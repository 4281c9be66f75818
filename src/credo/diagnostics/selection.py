"""Which policy of a run is kept, and which seed's of those. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from credo.types import is_number

_FAR = 1e6
"""More than any distance between standardised observations, which are clipped, and than returns of a task that one
succeeds in mostly are apart."""
_MEASURES = {"return": "return_mean", "distance": "occupancy_distance", "success": "success_rate"}


def badness(row: Mapping[str, float]) -> float:
    """What the kept policy has least of: the distance to the expert's state-action distribution, which needs no
    reward; minus the return where there are no demonstrations. Where the environment tells success, the share of the
    episodes without one comes first, and distance or return decides among equals."""
    distance = row["occupancy_distance"]
    far = -row["return_mean"] if np.isnan(distance) else distance
    success = row.get("success_rate", np.nan)
    return far if np.isnan(success) else far - _FAR * success


def selected(row: Mapping[str, float] | None) -> dict[str, float | None]:
    """What a summary tells of a seed's kept policy: the step and the measures of the evaluation that chose it; None
    where one is not known."""
    row = row or {}
    told = {name: row.get(column) for name, column in {"step": "step", **_MEASURES}.items()}
    return {f"selected_{name}": None if value is None or np.isnan(value) else value for name, value in told.items()}


def selected_badness(told: Mapping[str, Any]) -> float | None:
    """``badness`` of the kept policy of a seed, by what its run's summary tells; None where it has none. Older
    summaries have the number itself."""
    older = told.get("selected_badness")
    if is_number(older):
        return older
    found = {column: told.get(f"selected_{name}") for name, column in _MEASURES.items()}
    row = {column: float(value) if is_number(value) else np.nan for column, value in found.items()}
    worst = badness(row)
    return None if np.isnan(worst) else worst
