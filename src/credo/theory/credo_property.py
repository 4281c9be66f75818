"""CREDO's filter and its property E.2, on exact occupancies.

The filter removes expert samples of reward >= c from the discriminator's loss. In logits that is: keep l < l_c.
Section E.2 reads the density-ratio bound off Eq. 9, the optimum of the *unfiltered* loss. The optimum of the filtered
loss is another one, and which depends on the reading of "update with D_clip":

- D_clip fixed for the round, mean over what is retained (``resample``, ``retained``): the expert density becomes
  rho_E 1{kept}/m with m its retained mass. Logit: l - log m where kept, minus infinity where filtered.
- D_clip fixed for the round, mean over the whole batch (``batch``): as above without the - log m.
- re-scored at every discriminator step, whole batch: the expert's pull on a pair stops the moment its logit reaches
  l_c, the policy's push does not; the logit slides along l_c. Logit: min(l, l_c).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from credo.theory.discriminators import optimal_logit, reward
from credo.theory.tabular import Occupancy
from credo.theory.theorem import log_ratio
from credo.types import CredoError

Reading = Literal["retained", "batch", "rescored"]
PAPER_BOUNDS: dict[str, Callable[[float], float]] = {
    "plr": lambda c: math.exp(-c) / (1.0 - math.exp(-c)),
    "cr": lambda c: math.exp(-c),
}
"""E.2's lower bound of rho_h/rho_E at threshold c > 0, by reward."""


class Filtered(NamedTuple):
    """What a filter at one threshold leaves."""

    kept: np.ndarray
    """[S, M] bool: expert pairs with reward < c under the discriminator that scored them."""
    retained_mass: float
    """Expert probability that is kept."""
    logit: np.ndarray
    """[S, M] optimum of the discriminator's loss on what is kept."""


def filtered_optimum(
    expert: Occupancy, policy: Occupancy, scoring_logit: np.ndarray, threshold_logit: float, reading: Reading
) -> Filtered:
    """The discriminator's exact optimum after CREDO's filter, [S, M]; see the module for the three readings.

    ``scoring_logit`` [S, M] is the current discriminator, which decides what is kept; ``rescored`` ignores it, since
    there the discriminator being trained decides.
    """
    optimum = optimal_logit(expert, policy)
    if reading == "rescored":
        logit = np.minimum(optimum, threshold_logit)
        kept = optimum < threshold_logit
        return Filtered(kept, float(np.exp(expert.log_pair)[kept].sum()), logit)
    if reading not in ("retained", "batch"):
        raise CredoError(f"reading is {reading!r}; 'retained', 'batch' or 'rescored' is needed")
    return _optimum_on(scoring_logit < threshold_logit, expert, optimum, reading)


def _optimum_on(kept: np.ndarray, expert: Occupancy, optimum: np.ndarray, reading: Reading) -> Filtered:
    """The optimum where D_clip is ``kept`` [S, M] for the whole round."""
    mass = float(np.exp(expert.log_pair)[kept].sum())
    if mass == 0.0:
        return Filtered(kept, 0.0, np.full_like(optimum, -np.inf))
    raised = optimum - (np.log(mass) if reading == "retained" else 0.0)
    return Filtered(kept, mass, np.where(kept, raised, -np.inf))


def rounds_of_filtering(
    expert: Occupancy, policy: Occupancy, threshold_logit: float, reading: Reading, rounds: int
) -> list[Filtered]:
    """Filter with the last round's discriminator, train to the optimum, repeat; the policy held fixed.

    Round 0 scores with Eq. 9's optimum.
    """
    history: list[Filtered] = []
    scoring = optimal_logit(expert, policy)
    for _ in range(rounds):
        history.append(filtered_optimum(expert, policy, scoring, threshold_logit, reading))
        scoring = history[-1].logit
    return history


class PropertyCheck(NamedTuple):
    """E.2 at one threshold, for one reward, on exact occupancies."""

    kept: np.ndarray
    """[S, M] bool: pairs of reward below c at Eq. 9's optimum."""
    c: float
    threshold_logit: float
    log_bound: float
    """log of the claimed lower bound of rho_h/rho_E among retained samples, as the paper writes it."""
    smallest_log_ratio: float
    """The smallest log(rho_h/rho_E) that a retained pair has at Eq. 9's optimum; inf if none is retained."""
    retained_mass: float
    past_threshold_after: float
    """Share of the *retained* expert mass at reward >= c once the discriminator is trained on what is retained."""
    disparity_all: float
    """Expert probability of disparity ||h(s) - a|| >= distance."""
    disparity_retained: float
    """The same, given that the sample is retained."""


def check_property(
    expert: Occupancy, policy: Occupancy, distances: np.ndarray, distance: float, c: float, name: str = "plr"
) -> PropertyCheck:
    """Test E.2 at threshold ``c`` of reward ``name``, 'plr' or 'cr'; ``distances`` [S, M] are ||h(s) - a||.

    What is kept is decided by rewards, and the bound is the paper's formula: neither is taken from the other.
    """
    if name not in PAPER_BOUNDS:
        raise CredoError(f"reward {name!r} has no bound in E.2; one of {', '.join(PAPER_BOUNDS)} is needed")
    threshold = reward(name).logit_of(c)
    optimum = optimal_logit(expert, policy)
    result = _optimum_on(reward(name).value(optimum) < c, expert, optimum, "retained")
    ratio = log_ratio(expert, policy)[result.kept]
    weights = np.exp(expert.log_pair)
    far = distances >= distance
    kept_weights = np.where(result.kept, weights, 0.0)
    mass = result.retained_mass
    again = kept_weights[result.logit >= threshold].sum()
    return PropertyCheck(
        kept=result.kept,
        c=c,
        threshold_logit=threshold,
        log_bound=float(np.log(PAPER_BOUNDS[name](c))),
        smallest_log_ratio=float(np.min(ratio)) if ratio.size else np.inf,
        retained_mass=mass,
        past_threshold_after=float(again / mass) if mass > 0 else 0.0,
        disparity_all=float(weights[far].sum()),
        disparity_retained=float(kept_weights[far].sum() / mass) if mass > 0 else np.nan,
    )
