"""The mean Q of a critic beside its reference: one that overestimates is many times above it.

Measured in docs/stability/longer.md: in the paper's regime up to 100 times (DDPG, medians), under the presets robust
0.7 to 1.7 times in the end. NumPy and SciPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from credo.config import RunConfig

OVER_REFERENCE = "q_over_reference"
"""The column of ``q_over_reference`` beside a run's metrics."""
OVERESTIMATES = 10.0
"""Mean Q over its reference from which a late critic is told of. Under the presets robust only SAC's young one is."""


class Following(NamedTuple):
    """How the targets of a critic follow it."""

    discount: float
    target_rate: float
    moves: float
    """Of the targets in a round, on average."""


def following(config: RunConfig) -> Following | None:
    """Of a run's learner, if it is one of Credo's own; None where it has no critic with targets."""
    settings: Any = vars(config).get(config.learner)  # a stranger's learner may have the name of a property
    if not hasattr(settings, "target_rate"):
        return None
    # A delayed actor's targets move with it.
    delay = getattr(settings, "actor_delay", 1)
    return Following(settings.discount, settings.target_rate, config.updates_per_round / delay)


def reference_q(reward: np.ndarray, targets: Following, rounds: np.ndarray | float = 1.0) -> np.ndarray:
    """The Q that a critic without error with such targets has where every step earns these rewards and no episode ends.

    With each move the targets go ``target_rate`` of the way to reward + discount * target, from 0 on. The rewards are
    of the learner's batches, mostly of older policies: a better one may rightly exceed it. Where episodes end, as
    they mostly do, the true value is lower.

    Args:
        reward: [n] mean rewards that were learned from.
        targets: how they move.
        rounds: how many each of them stands for, [n] or for all.

    Returns:
        [n] float64.
    """
    reward = np.asarray(reward, np.float64)
    lasting = reward / (1 - targets.discount)
    stays = 1 - targets.target_rate * (1 - targets.discount)
    after = _followed(lasting, stays ** (targets.moves * np.asarray(rounds, np.float64)))
    before = np.concatenate([np.zeros(1), after])[:-1]
    return reward + targets.discount * (before + after) / 2


def q_over_reference(columns: Mapping[str, np.ndarray], targets: Following) -> np.ndarray | None:
    """Mean Q over its reference, one value for each row of metrics (a round each).

    NaN where nothing was learned, and from where the reference has changed its sign on, as it may with rewards of both
    signs. None without the columns ``q_mean`` and ``reward_mean``.
    """
    if "q_mean" not in columns or "reward_mean" not in columns:
        return None
    value, reward = (np.asarray(columns[name], np.float64) for name in ("q_mean", "reward_mean"))
    learned = np.flatnonzero(np.isfinite(value) & np.isfinite(reward))
    reference = reference_q(reward[learned], targets)
    sign = np.sign(reference)
    first = sign[sign != 0][:1]
    one_sign = np.logical_and.accumulate((sign == first) | (sign == 0)) & (sign != 0) if len(first) else sign != 0
    found = np.full(len(value), np.nan)
    found[learned[one_sign]] = value[learned[one_sign]] / reference[one_sign]
    return found


def _followed(goal: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """[n]: what goes from 0 to each goal in turn, of its distance the share ``stays`` (a number, or [n]) being left."""
    reached, place = [], 0.0
    for to, left in zip(goal.tolist(), np.broadcast_to(stays, goal.shape).tolist(), strict=True):
        place = (1 - left) * to + left * place
        reached.append(place)
    return np.array(reached)
