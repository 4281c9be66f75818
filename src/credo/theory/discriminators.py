"""Discriminators as logits, the eight rewards of Table 1 as functions of the logit, and their thresholds.

Positive logit = expert. The optimum (Eq. 9) has logit log rho_E - log rho_h; the imperfect one (Eq. 13) adds
log((1 + e1)/(1 - e2)), so that only this shift of the logit, not e1 and e2 apart, can be told from a discriminator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from credo.theory.tabular import Occupancy
from credo.types import CredoError

LOGIT_FLOOR = -700.0
"""exp(-logit) overflows float64 below; ``r6`` and its slope are evaluated at logits no lower."""


class Reward(NamedTuple):
    """One row of Table 1."""

    formula: str
    """In D = sigmoid(logit)."""
    value: Callable[[np.ndarray], np.ndarray]
    """Reward as a function of the logit, elementwise, in a form that does not overflow."""
    log_slope: Callable[[np.ndarray], np.ndarray]
    """log d reward / d logit, elementwise; all eight slopes are positive."""
    logit_of: Callable[[float], float]
    """The logit at which the reward equals a threshold c; -inf or inf where it always or never does."""


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)) without overflow."""
    with np.errstate(invalid="ignore"):  # NaN in, NaN out, without a warning
        return np.logaddexp(0.0, x)


def _logit_of_probability(probability: float) -> float:
    if probability <= 0.0:
        return -np.inf
    if probability >= 1.0:
        return np.inf
    return float(np.log(probability) - np.log1p(-probability))


def _log_d(logit: np.ndarray) -> np.ndarray:
    return -softplus(-np.asarray(logit))


def _log_not_d(logit: np.ndarray) -> np.ndarray:
    return -softplus(np.asarray(logit))


REWARDS: dict[str, Reward] = {
    "plr": Reward(
        "-log(1-D)",
        lambda x: softplus(x),
        lambda x: _log_d(x),
        lambda c: float(c + np.log(-np.expm1(-c))) if c > 0 else -np.inf,
    ),
    "cr": Reward(
        "log D - log(1-D)", lambda x: np.asarray(x, dtype=float), lambda x: np.zeros_like(x, dtype=float), float
    ),
    "r3": Reward(
        "log D", _log_d, _log_not_d, lambda c: _logit_of_probability(float(np.exp(min(c, 0.0)))) if c < 0 else np.inf
    ),
    "r4": Reward("D", special.expit, lambda x: _log_d(x) + _log_not_d(x), _logit_of_probability),
    "r5": Reward(
        "exp(D)",
        lambda x: np.exp(special.expit(x)),
        lambda x: special.expit(x) + _log_d(x) + _log_not_d(x),
        lambda c: _logit_of_probability(float(np.log(c))) if c > 0 else -np.inf,
    ),
    "r6": Reward(
        "-1/D",
        lambda x: -1.0 - np.exp(-np.maximum(x, LOGIT_FLOOR)),
        lambda x: -np.maximum(x, LOGIT_FLOOR),
        lambda c: _logit_of_probability(-1.0 / c) if c < 0 else np.inf,
    ),
    "r7": Reward(
        "D^2",
        lambda x: special.expit(x) ** 2,
        lambda x: np.log(2.0) + 2.0 * _log_d(x) + _log_not_d(x),
        lambda c: _logit_of_probability(float(np.sqrt(c))) if c > 0 else -np.inf,
    ),
    "r8": Reward(
        "sqrt(D)",
        lambda x: np.exp(0.5 * _log_d(x)),
        lambda x: np.log(0.5) + 0.5 * _log_d(x) + _log_not_d(x),
        lambda c: _logit_of_probability(c * c) if c > 0 else -np.inf,
    ),
}
"""Table 1; ``plr`` is r1 (GAIL), ``cr`` is r2 (AIRL, DAC)."""


def reward(name: str) -> Reward:
    """Look a reward up; CredoError names the known ones."""
    if name not in REWARDS:
        raise CredoError(f"reward {name!r} is unknown; one of {', '.join(REWARDS)} is needed")
    return REWARDS[name]


def reward_slope(name: str, logit: np.ndarray) -> np.ndarray:
    """d reward / d logit, elementwise; positive."""
    return np.exp(reward(name).log_slope(np.asarray(logit, dtype=float)))


def optimal_logit(expert: Occupancy, policy: Occupancy) -> np.ndarray:
    """Logit of Eq. 9, log rho_E - log rho_h, [S, M]; +-inf where one is zero, NaN where both are."""
    with np.errstate(invalid="ignore"):
        return expert.log_pair - policy.log_pair


def logit_shift(e1: float | np.ndarray, e2: float | np.ndarray) -> np.ndarray:
    """log((1 + e1)/(1 - e2)): what Eq. 13 adds to the optimal logit.

    CredoError unless everywhere (e1 > -1 and e2 < 1) or (e1 < -1 and e2 > 1), where Eq. 13 lies in (0, 1).
    """
    numerator, denominator = 1.0 + np.asarray(e1, dtype=float), 1.0 - np.asarray(e2, dtype=float)
    if not np.all(numerator * denominator > 0):
        raise CredoError(
            f"(e1, e2) = ({e1}, {e2}): Eq. 13 needs e1 > -1 and e2 < 1, or e1 < -1 and e2 > 1, to lie in (0, 1)"
        )
    return np.log(numerator / denominator)


class DiscriminatorError(NamedTuple):
    """Eq. 13 solved for its fluctuations where a logit and the optimal one are known; elementwise.

    One equation cannot fix two unknowns: three ways of resolving it are given, each valid in Eq. 13.
    """

    shift: np.ndarray
    """logit - optimal logit = log((1 + e1)/(1 - e2)), the part that is identified."""
    e1_if_e2_zero: np.ndarray
    """exp(shift) - 1."""
    e2_if_e1_zero: np.ndarray
    """1 - exp(-shift)."""
    symmetric: np.ndarray
    """e1 = e2 = tanh(shift/2), in (-1, 1) always."""


def solve_errors(logit: np.ndarray, optimal: np.ndarray) -> DiscriminatorError:
    """Solve Eq. 13 for (e1, e2) at each location from a discriminator's logit and the optimal one."""
    shift = np.asarray(logit, dtype=float) - np.asarray(optimal, dtype=float)
    with np.errstate(over="ignore"):
        return DiscriminatorError(shift, np.expm1(shift), -np.expm1(-shift), np.tanh(0.5 * shift))


def js_divergence(expert: Occupancy, policy: Occupancy) -> float:
    """Eq. 5 with halves and natural logarithms: 1/2 KL(rho_h||m) + 1/2 KL(rho_E||m), m their mean; in [0, log 2].

    The discriminator's objective at its optimum is 2 js_divergence - 2 log 2.
    """
    logit = optimal_logit(expert, policy)
    with np.errstate(invalid="ignore"):
        from_policy = np.where(policy.log_pair > -np.inf, np.log(2.0) + _log_not_d(logit), 0.0)
        from_expert = np.where(expert.log_pair > -np.inf, np.log(2.0) + _log_d(logit), 0.0)
    return float(0.5 * np.sum(np.exp(policy.log_pair) * from_policy + np.exp(expert.log_pair) * from_expert))


class Outliers(NamedTuple):
    """Definition 2: the discriminator values past which a reward is at least c."""

    alpha: np.ndarray
    """1 - exp(-c), for ``plr``."""
    beta: np.ndarray
    """1/(1 + exp(-c)), for ``cr``."""
    width_alpha: np.ndarray
    """1 - alpha, without cancellation."""
    width_beta: np.ndarray
    """1 - beta, without cancellation."""
    difference: np.ndarray
    """beta - alpha = (1 - alpha)^2 / (2 - alpha) (Proposition 2)."""


def outliers(c: np.ndarray) -> Outliers:
    """Outlier intervals [alpha, 1] and [beta, 1] at thresholds c > 0, elementwise."""
    c = np.asarray(c, dtype=float)
    if np.any(c <= 0):
        raise CredoError(f"threshold c has a value of {float(np.min(c))}; it must be positive")
    width = np.exp(-c)
    return Outliers(-np.expm1(-c), special.expit(c), width, special.expit(-c), width**2 / (1.0 + width))


def log_ratio_bound(c: float, name: str = "plr") -> float:
    """E.2: an expert sample retained at reward < c has log(rho_h/rho_E) above this, at Eq. 9's optimum.

    -log(e^c - 1) for ``plr`` (the paper's e^-c/(1 - e^-c)), -c for ``cr``; -(logit at which the reward is c) for all.
    """
    return -reward(name).logit_of(c)
