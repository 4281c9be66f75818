"""Whether, when and how a seed's training failed: a pure function of its stored curves. NumPy alone.

The definition of "diverged" stands here and nowhere else; it can change without a rerun. From worst to best:

    non-finite   a gradient, loss or value was NaN or infinite (or the seed was frozen for it)
    dead         the actor has no gradient to speak of, and the outcome is low, from ``step`` to the end
    exploded     the outcome has been low to the end since the actor's gradient exploded at ``step``
    failed       the outcome is low at each of many last evaluations, though the actor has a gradient
    faulted      its environment failed, and it went no further
    undecided    too few evaluations to tell (a clone has one, at its end, and that one tells)
    weak         none of these, but less than half of the expert
    recovered    it was dead, came back at ``step``, and ends at half of the expert or more
    healthy      none of these

The **outcome** of an evaluation is the return as a share of the expert's. Where one of the two is unknown it is the
share of episodes that succeed; where the environment does not tell, the occupancy distance to held-out demonstrations
as a share of the farthest that the seed has been; where that is unknown too, the return as a share of the seed's own
best.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from credo.diagnostics.activity import Activity, activity_of, column, first_explosion, mostly, steps_of
from credo.diagnostics.criteria import Criteria

KINDS = ("healthy", "recovered", "weak", "undecided", "faulted", "failed", "exploded", "dead", "non-finite")
"""Every verdict, from best to worst."""
DIVERGED = ("exploded", "dead", "non-finite")
"""The verdicts that count as diverged: the curves themselves show the break."""
OPEN = ("undecided", "faulted")
"""The verdicts that say nothing of whether it would have diverged."""
FROZEN = ("faulted", "non-finite")
"""The verdicts of seeds that went no further."""
NUMBERS_FAILED, ENVIRONMENT_FAILED = 1.0, 2.0
"""What an evaluation of a frozen seed has in its column ``failed``; 0 where nothing failed."""

_NETWORKS = ("actor", "critic", "discriminator")
_CHECKED = (
    *(f"{network}_gradient_{measure}" for network in _NETWORKS for measure in ("max", "norm")),
    *("discriminator_loss", "critic_loss", "q_mean", "reward_mean"),
)
VERDICT_METRICS = (*_CHECKED, "action_saturation")
"""The columns of the metrics that a verdict looks at."""


class Verdict(NamedTuple):
    """What became of one seed."""

    kind: str
    """One of ``KINDS``."""
    step: int | None
    """Environment step at which it broke (or came back, if recovered); None where nothing did."""
    reason: str
    """One sentence with the numbers, for people."""
    first_explosion: int | None
    """Step of the first exploding actor gradient, whatever the verdict; None if there was none."""

    @property
    def diverged(self) -> bool:
        return self.kind in DIVERGED

    @property
    def decided(self) -> bool:
        """Whether it tells if the seed diverged."""
        return self.kind not in OPEN


class _Outcome(NamedTuple):
    """How good the policy was at each of n evaluations."""

    step: np.ndarray
    """[n] int64."""
    low: np.ndarray
    """[n] bool."""
    healthy: bool
    """Of the last evaluations."""
    text: str
    """The last evaluations in words."""
    against_itself: bool = False
    """Whether only the seed's own best is there to compare with."""
    silent: bool = False
    """Whether the measure cannot tell good from bad."""


def verdict(
    metrics: Mapping[str, np.ndarray],
    evaluations: Mapping[str, np.ndarray],
    expert_return: float | None,
    criteria: Criteria = Criteria(),
    clone: bool = False,
) -> Verdict:
    """Judge one seed by its curves.

    Args:
        metrics: columns of equal length, one row a round, in rising ``step``: ``step``,
            ``actor_gradient_max``, ``action_saturation`` and the other gradients and losses. NaN before
            learning starts; any may be missing.
        evaluations: columns of equal length in rising ``step``: ``step``, ``return_mean``, ``success_rate``,
            ``occupancy_distance``, ``demonstration_distance``, ``failed``. Any may be missing, or NaN.
        expert_return: mean return of the demonstrations' episodes; None if unknown. A negative one is taken
            as a cost: at twice the expert's cost the share is 0.5.
        criteria: the thresholds.
        clone: the seed was cloned, and its only evaluation is its last.

    Returns:
        The verdict. Scaling all returns, the expert's with them, does not change its kind or step.
    """
    broken = _first_non_finite(metrics, evaluations)
    activity = activity_of(metrics, criteria)
    explosion = first_explosion(activity, criteria)
    if broken is not None:
        step, what = broken
        return Verdict("non-finite", step, f"{what} at step {step:,}", explosion)
    faulted = _first_failed(evaluations, ENVIRONMENT_FAILED)
    if faulted is not None:
        return Verdict("faulted", faulted, f"its environment had failed by step {faulted:,}", explosion)
    outcome = _outcome(evaluations, expert_return, criteria)
    if outcome is None or outcome.silent:
        why = "nothing evaluated so far" if outcome is None else outcome.text
        return _without_outcome(activity, explosion, criteria, why)

    inactive = mostly(activity, activity.inactive, outcome.step, criteria)
    if outcome.against_itself:
        # A seed that never rose has a low best: without gradient it counts as low whatever it returns.
        vanished = mostly(activity, activity.vanished, outcome.step, criteria)
        outcome = outcome._replace(low=outcome.low | vanished)
    tail = _final_stretch(outcome.low)
    begin = len(outcome.low) - tail
    end = outcome.low[-max(criteria.late_evaluations, 1) :]
    if tail and inactive[-1] and 2 * int(end.sum()) > len(end):
        return _dead(activity, outcome, begin, criteria, "to the end", explosion)
    broke = first_explosion(activity, criteria, after=int(outcome.step[begin - 1]) if begin else -1)
    if broke is not None:
        since = int(np.sum(outcome.step[begin:] > broke))
        if since >= criteria.late_evaluations:
            reason = f"actor gradient exploded at step {broke:,}, low ever since; {outcome.text}"
            return Verdict("exploded", broke, reason, explosion)
    if tail >= criteria.failed_evaluations:
        step = int(outcome.step[begin])
        reason = f"low from step {step:,} to the end although the actor has a gradient; {outcome.text}"
        return Verdict("failed", step, reason, explosion)
    few = not clone and len(outcome.step) < criteria.late_evaluations
    if few:
        count = len(outcome.step)
        reason = f"only {count} evaluation{'s' if count > 1 else ''} so far; {outcome.text}"
        return Verdict("undecided", None, reason, explosion)
    back = _recovery(outcome, inactive, criteria)
    was = "" if back is None else f"dead at step {back[0]:,}, came back by step {back[1]:,}; "
    if outcome.healthy:
        if back is None:
            return Verdict("healthy", None, outcome.text, explosion)
        return Verdict("recovered", back[1], was + outcome.text, explosion)
    stuck = "; actor inactive" if inactive[-1] else ""
    return Verdict("weak", None, was + outcome.text + stuck, explosion)


def _first_non_finite(
    metrics: Mapping[str, np.ndarray], evaluations: Mapping[str, np.ndarray]
) -> tuple[int, str] | None:
    """The earliest (step, what) in metrics after learning began, else of an evaluation marked as failed."""
    step = steps_of(metrics)
    found: list[tuple[int, str]] = []
    for name in _CHECKED:
        value = column(metrics, name)
        # NaN until learning starts (and throughout where there is no such network); infinity is never right.
        known = np.flatnonzero(~np.isnan(value))
        if known.size:
            bad = np.flatnonzero(~np.isfinite(value[known[0] :]))
            if bad.size:
                row = known[0] + bad[0]
                number = "NaN" if np.isnan(value[row]) else "infinite"
                found.append((int(step[row]), f"{name.replace('_', ' ')} was {number}"))
    frozen = _first_failed(evaluations, NUMBERS_FAILED)
    if frozen is not None:
        found.append((frozen, "the seed was found frozen"))
    return min(found, key=lambda item: item[0], default=None)


def _first_failed(evaluations: Mapping[str, np.ndarray], mark: float) -> int | None:
    """The step of the first evaluation with this mark; None without one."""
    marked = np.flatnonzero(column(evaluations, "failed") == mark)
    return int(steps_of(evaluations)[marked[0]]) if marked.size else None


def _outcome(evaluations: Mapping[str, np.ndarray], expert_return: float | None, criteria: Criteria) -> _Outcome | None:
    """The outcome by the best measure there is; None where no evaluation has any."""
    step, late = steps_of(evaluations), max(criteria.late_evaluations, 1)
    returns = column(evaluations, "return_mean")
    known = np.isfinite(returns)
    if expert_return is None or not np.isfinite(expert_return) or expert_return == 0:
        reference, whose = None, "its own best"
    else:
        reference, whose = float(expert_return), "the expert's"
    if reference is None or not known.any():
        success = column(evaluations, "success_rate")
        told = np.isfinite(success)
        if told.any():
            level = float(np.median(success[told][-late:]))
            return _Outcome(
                step=step[told],
                low=success[told] < criteria.low_share,
                healthy=level >= criteria.healthy_share,
                text=f"success in {_percent(level)} of the episodes at the end",
            )
        if np.isfinite(column(evaluations, "occupancy_distance")).any():
            return _by_distance(evaluations, criteria)
    if not known.any():
        return None
    returns = returns[known]
    against_itself = reference is None
    reference = float(returns.max()) if reference is None else reference
    share = expert_share(returns, reference)
    level, value = float(np.median(share[-late:])), float(np.median(returns[-late:]))
    return _Outcome(
        step=step[known],
        low=share < criteria.low_share,
        healthy=level >= criteria.healthy_share,
        text=f"return {value:,.0f} at the end, {_percent(level)} of {whose} {reference:,.0f}",
        against_itself=against_itself,
    )


def _by_distance(evaluations: Mapping[str, np.ndarray], criteria: Criteria) -> _Outcome:
    """The outcome by the distance to held-out demonstrations, which some evaluation has."""
    distance = column(evaluations, "occupancy_distance")
    apart = column(evaluations, "demonstration_distance")
    known = np.isfinite(distance)
    distance = distance[known]
    level, farthest = float(np.median(distance[-max(criteria.late_evaluations, 1) :])), float(distance.max())
    between = float(np.max(apart, initial=0.0, where=np.isfinite(apart)))
    near = max(criteria.near_distance, criteria.near_demonstrations * between)
    text = f"occupancy distance {level:.2f} at the end, {farthest:.2f} at its farthest"
    silent = criteria.near_distance < near and criteria.low_distance * farthest < near
    if silent:
        text = f"a distance of {farthest:.2f} at most tells nothing where demonstrations are {between:.2f} apart"
    elif criteria.near_distance < near:
        text += f", {between:.2f} between the demonstrations"
    return _Outcome(
        step=steps_of(evaluations)[known],
        low=(distance > near) & (distance >= criteria.low_distance * farthest),
        healthy=level <= max(near, criteria.healthy_distance * farthest),
        text=text,
        silent=silent,
    )


def expert_share(returns: np.ndarray, reference: float) -> np.ndarray:
    """Returns as a share of the expert's; for a negative one the ratio of costs (very large at no cost)."""
    if reference > 0:
        return returns / reference
    if reference < 0:
        return np.where(returns < 0, reference / np.minimum(returns, reference * 1e-6), 1e6)
    return np.where(returns >= 0, 1.0, 0.0)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%" if abs(share) < 0.1 else f"{100 * min(share, 99.99):.0f}%"


def _final_stretch(condition: np.ndarray) -> int:
    """For how many entries at the end the condition holds without a break."""
    broken = np.flatnonzero(~condition)
    return len(condition) if not broken.size else len(condition) - 1 - int(broken[-1])


def _dead(
    activity: Activity, outcome: _Outcome, begin: int, criteria: Criteria, until: str, explosion: int | None
) -> Verdict:
    onset = _onset(activity, outcome, begin, criteria)
    if onset is None:
        reason = f"actor inactive in most of the last rounds, not in all; {outcome.text}"
        return Verdict("dead", int(outcome.step[-1]), reason, explosion)
    return Verdict("dead", onset, f"actor inactive from step {onset:,} {until}; {outcome.text}", explosion)


def _onset(activity: Activity, outcome: _Outcome, begin: int, criteria: Criteria) -> int | None:
    """The step of the first round, after the last evaluation that was not low (before number ``begin``), from which
    nearly all rounds up to the last evaluation are inactive: a flicker of gradient does not end a death. None where
    there is none, as where the last round is active."""
    end = int(np.searchsorted(activity.step, outcome.step[-1], side="right"))
    first = int(np.searchsorted(activity.step, outcome.step[begin - 1], side="right")) if begin else 0
    inactive = activity.inactive[first:end]
    share = np.cumsum(inactive[::-1])[::-1] / np.arange(len(inactive), 0, -1)
    onset = np.flatnonzero(inactive & (share >= criteria.dead_share))
    return int(activity.step[first + onset[0]]) if onset.size else None


def _recovery(outcome: _Outcome, inactive: np.ndarray, criteria: Criteria) -> tuple[int, int] | None:
    """(first step of the last death that it came back from, first step that is not low after it), if any."""
    low = outcome.low
    dead = low & inactive
    for back in np.flatnonzero(low[:-1] & ~low[1:])[::-1] + 1:
        # Low but active evaluations may lie between a death and the return.
        before = _final_stretch(low[:back])
        stretch = dead[back - before : back]
        died = np.flatnonzero(stretch)
        if died.size and _longest(stretch) >= criteria.recovered_evaluations:
            return int(outcome.step[back - before + died[0]]), int(outcome.step[back])
    return None


def _longest(condition: np.ndarray) -> int:
    """Length of the longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], condition, [False]]).astype(np.int8)))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def _without_outcome(activity: Activity, explosion: int | None, criteria: Criteria, text: str) -> Verdict:
    """No evaluation tells anything: an actor without gradient is dead all the same, the rest is open. ``text``: why."""
    last = activity.step[-1:]
    if mostly(activity, activity.inactive, last, criteria).any():
        nothing = _Outcome(last, np.ones(1, bool), False, text)
        return _dead(activity, nothing, 0, criteria, "on", explosion)
    return Verdict("undecided", None, text, explosion)
