"""CREDO: clipping the reward of discriminator outliers (Algorithm 1, Section 3.4, Definition 2 of the paper).

The paper's rewards rise with the logit, so the rule r(s, a) < c is the rule logit < threshold_logit, which is how it is
computed: exact where a reward saturates or overflows. For a reward that does not rise (``fairl``) a sample the
discriminator is too sure of has no high reward: there the threshold is a probability or a logit, and the settings'
checks refuse one in rewards.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from credo.config import CredoConfig
from credo.discriminator.rewards import REWARDS
from credo.types import Array


def threshold_logit(credo: CredoConfig, reward: str) -> float:
    """The logit from which an expert sample is an outlier (Definition 2); inf: none is, -inf: all are.

    For c in rewards: log(exp(c) - 1) for plr, c for cr. Probabilities and logits mean the same for every reward; a
    reward that does not rise with the logit has no outliers by a threshold in rewards.
    """
    if credo.threshold_unit == "logit":
        return credo.threshold
    if credo.threshold_unit == "probability":
        return math.log(credo.threshold) - math.log1p(-credo.threshold)
    low, high = REWARDS[reward].bounds
    inverse = REWARDS[reward].inverse
    if inverse is None or credo.threshold >= high:
        return math.inf
    if credo.threshold <= low:
        return -math.inf
    return inverse(credo.threshold)


def reward_cap(credo: CredoConfig, reward: str) -> float:
    """The largest reward that the policy is given; inf where nothing is clipped."""
    if credo.mode not in ("clip", "both"):
        return math.inf
    if credo.threshold_unit == "reward":
        return credo.threshold
    with jax.ensure_compile_time_eval():  # the caller may be tracing
        return float(REWARDS[reward](jnp.float32(threshold_logit(credo, reward))))


def filters(credo: CredoConfig) -> bool:
    """Whether expert samples leave the discriminator's loss."""
    return credo.mode in ("filter", "both")


def threshold_warning(credo: CredoConfig, reward: str) -> str | None:
    """One line when the threshold lies outside the reward's range; None when it does something."""
    if credo.mode == "off" or credo.threshold_unit != "reward" or reward not in REWARDS:
        return None
    low, high = REWARDS[reward].bounds
    if credo.threshold >= high:
        return (
            f"threshold {credo.threshold:g} is never reached by reward {reward} (below {high:g}): "
            "CREDO is as good as off; give --threshold-unit probability or logit"
        )
    if credo.threshold <= low:
        return (
            f"threshold {credo.threshold:g} is below every value of reward {reward} (above {low:g}): "
            "every expert sample is an outlier; give --threshold-unit probability or logit"
        )
    return None


def retained(logit: Array, threshold: float) -> Array:
    """Algorithm 1, line 6: which expert samples stay, bool [...]: those with r(s, a) < c."""
    return logit < threshold


def filtered_share(keep: Array) -> Array:
    """The share of samples that leave, scalar; exactly 0 where none does and 1 where all do, which a mean in float32
    need not give."""
    share = jnp.mean(jnp.logical_not(keep).astype(jnp.float32))
    return jnp.where(jnp.any(keep), share, 1.0)


def draw_retained(key: Array, keep: Array, count: int) -> tuple[Array, Array]:
    """Uniform draw with replacement of ``count`` indices among those where ``keep`` [n] holds.

    Returns indices [count] int32 and how many were retained (int32 scalar). With nothing retained the indices are
    meaningless and the caller must give the expert term no weight.
    """
    ranks = jnp.cumsum(keep.astype(jnp.int32))
    total = ranks[-1]
    wanted = jax.random.randint(key, (count,), 1, jnp.maximum(total, 1) + 1)
    return jnp.minimum(jnp.searchsorted(ranks, wanted), keep.shape[0] - 1), total
