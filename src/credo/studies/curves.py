"""What statistics need of one seed, and the measures that they compare seeds by. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from credo.diagnostics.activity import column
from credo.diagnostics.divergence import Verdict, expert_share

DIAGNOSTICS = (
    "actor_gradient_max",
    "critic_gradient_max",
    "discriminator_gradient_max",
    "expert_probability_expert",
    "expert_probability_policy",
    "outlier_share",
    "action_saturation",
    "actor_preactivation",
    "discriminator_loss",
    "critic_loss",
    "q_mean",
)
"""Metrics that may foretell a failure."""
METRIC_COLUMNS = ("step", *DIAGNOSTICS)
"""The columns of a run's metrics that any statistic here reads (beside those that the verdict was made of)."""
EVALUATION_COLUMNS = ("step", "return_mean", "success_rate", "occupancy_distance", "demonstration_distance", "failed")
"""The columns of a run's evaluations that any statistic here reads."""


class SeedCurve(NamedTuple):
    """One seed of one method in one environment."""

    method: str
    environment: str
    seed: int
    metrics: Mapping[str, np.ndarray]
    """Columns of one length, one row a round, in rising ``step``; any but ``step`` may be missing."""
    evaluations: Mapping[str, np.ndarray]
    """Columns of one length, one row an evaluation, in rising ``step``; any but ``step`` may be missing."""
    expert_return: float | None
    """Mean return of the demonstrations' episodes; None if unknown."""
    verdict: Verdict
    finished: bool = True
    """Whether the seed has done all of its steps (or is frozen)."""
    clone: bool = False
    """Whether it was cloned: its steps are minibatches, its only evaluation is its last."""

    @property
    def last_step(self) -> int:
        """Environment steps that its curves reach."""
        return max((int(c["step"][-1]) for c in (self.metrics, self.evaluations) if len(c["step"])), default=0)


class SeedDigest(NamedTuple):
    """What statistics take from a seed's curves (``digest.digest``): small however long they are."""

    method: str
    environment: str
    seed: int
    evaluations: Mapping[str, np.ndarray]
    """As in ``SeedCurve``."""
    expert_return: float | None
    verdict: Verdict
    finished: bool
    clone: bool
    """Its steps are minibatches."""
    last_step: int
    """Environment steps that its curves reach."""
    measured: bool
    """Whether there is any row of metrics."""
    expert_probability: float | None
    """P(expert) of expert samples, mean over the last rounds."""
    largest_gradient: float | None
    """Largest absolute actor gradient, infinity included."""
    readings: np.ndarray
    """[landmarks, diagnostics, readings] float64: what ``foretelling`` reads; NaN where nothing was known by then."""
    moved: tuple[Verdict, ...]
    """The verdict under each of ``sensitivity.alternatives``, in their order."""


class Measure(NamedTuple):
    """What seeds are scored by; higher is better."""

    name: str
    column: str
    """The evaluations' column that it is made of."""
    sign: int
    """Of the column: -1 where less is better."""
    worst: float
    """What a frozen seed scores at most."""

    @property
    def of_expert(self) -> bool:
        """Whether it is a share of the expert's return."""
        return self.column == "return_mean"


RETURN = Measure("share of the expert's return", "return_mean", 1, 0.0)
SUCCESS = Measure("share of the episodes that succeed", "success_rate", 1, 0.0)
DISTANCE = Measure("minus the occupancy distance to held-out demonstrations", "occupancy_distance", -1, -1.0)


def choose_measure(curves: Sequence[SeedDigest]) -> Measure | None:
    """The return where an expert's is known for every curve, else the success where the environments tell it, else the
    occupancy distance; None: nothing of this is there."""
    if curves and all(_expert_known(curve) for curve in curves):
        return RETURN

    def tells(curve: SeedDigest, measure: Measure) -> bool:
        return bool(np.isfinite(column(curve.evaluations, measure.column)).any())

    if all(tells(curve, SUCCESS) or frozen(curve) for curve in curves) and any(tells(c, SUCCESS) for c in curves):
        return SUCCESS
    return DISTANCE if any(tells(curve, DISTANCE) for curve in curves) else None


def values(curve: SeedDigest, measure: Measure) -> np.ndarray:
    """[evaluations] float64: the measure at every evaluation; NaN where a seed was frozen or nothing is known."""
    if not measure.of_expert:
        return measure.sign * column(curve.evaluations, measure.column)
    returns = column(curve.evaluations, "return_mean")
    if curve.expert_return is None:
        return np.full(len(returns), np.nan)
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(returns), np.nan, expert_share(returns, curve.expert_return))


def frozen(curve: SeedCurve | SeedDigest) -> bool:
    """Whether a seed's numbers or its environment failed, and it ended there."""
    return bool((column(curve.evaluations, "failed") > 0).any())


def final_score(curve: SeedDigest, measure: Measure, late_evaluations: int = 3) -> float | None:
    """The measure of the mean over the last evaluations; None where nothing was evaluated.

    A frozen seed has the worst score: 0 of the expert, or less where the seed has been below that; no success; or a
    distance of 1, or the farthest that it has been where that is more.
    """
    value = values(curve, measure)
    known = value[np.isfinite(value)]
    if frozen(curve):
        return float(known.min(initial=measure.worst))
    if not len(known):
        return None
    if not measure.of_expert or curve.expert_return is None:
        return float(known[-late_evaluations:].mean())
    returns = column(curve.evaluations, "return_mean")
    return _share_of_mean(returns[np.isfinite(returns)][-late_evaluations:], curve.expert_return)


def lowest_scores(curves: Sequence[SeedDigest], measure: Measure, late_evaluations: int = 3) -> dict[str, float]:
    """Of each environment the lowest final score that any of its seeds has: what a frozen seed counts as."""
    lowest: dict[str, float] = {}
    for curve in curves:
        score = final_score(curve, measure, late_evaluations)
        if score is not None:
            lowest[curve.environment] = min(score, lowest.get(curve.environment, score))
    return lowest


def mean_score(
    curve: SeedDigest, measure: Measure, last_step: float = np.inf, lowest: float = np.inf, lost: int = 0
) -> float | None:
    """The measure of the mean over the evaluations up to ``last_step``; None where nothing was evaluated.

    Those that a frozen seed would have had count as the worst score: ``lowest``, or what ``final_score`` says where
    that is less. ``lost``: so many of them are not in its curve.
    """
    within = column(curve.evaluations, "step") <= last_step
    value = values(curve, measure)[within]
    known = value[np.isfinite(value)]
    lost += int((column(curve.evaluations, "failed")[within] > 0).sum())
    if not len(known) + lost:
        return None
    total = lost * min(known.min(initial=measure.worst), lowest) if lost else 0.0
    if len(known) and measure.of_expert and curve.expert_return is not None:
        returns = column(curve.evaluations, "return_mean")[within]
        total += len(known) * _share_of_mean(returns[np.isfinite(returns)], curve.expert_return)
    else:
        total += known.sum()
    return float(total / (len(known) + lost))


def _share_of_mean(returns: np.ndarray, expert_return: float) -> float:
    """The share of the mean, not the mean of shares: as a ratio of costs one cheap evaluation would outweigh the
    rest."""
    return float(expert_share(returns.mean(keepdims=True), expert_return)[0])


def methods_of(curves: Sequence[SeedDigest]) -> tuple[str, ...]:
    """Names of the methods in order of appearance."""
    return tuple(dict.fromkeys(curve.method for curve in curves))


def environments_of(curves: Sequence[SeedDigest]) -> tuple[str, ...]:
    """Names of the environments in order of appearance."""
    return tuple(dict.fromkeys(curve.environment for curve in curves))


def select(curves: Sequence[SeedDigest], method: str, environment: str | None = None) -> list[SeedDigest]:
    """The curves of a method (in one environment)."""
    return [c for c in curves if c.method == method and environment in (None, c.environment)]


def _expert_known(curve: SeedDigest) -> bool:
    expert = curve.expert_return
    return expert is not None and bool(np.isfinite(expert)) and expert != 0
