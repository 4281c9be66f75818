"""CREDO: clipping the reward of discriminator outliers (Algorithm 1, Section 3.4, Definition 2 of the paper).

The paper's rewards rise with the logit, so the rule r(s, a) < c is the rule logit < threshold_logit, which is how it is
computed: exact where a reward saturates or overflows. For a reward that does not rise (``fairl``) a sample the
discriminator is too sure of has no high reward: there the threshold is a probability or a logit, and the settings'
checks refuse one in rewards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from credo.config import CredoConfig
from credo.discriminator.rewards import logit_of, reward_named
from credo.types import Array

BLOCK = 512
"""Candidates scored at once: few enough that what a network makes of them stays in a core's cache."""


def threshold_logit(credo: CredoConfig, reward: str) -> float:
    """The logit from which an expert sample is an outlier (Definition 2); inf: none is, -inf: all are.

    For c in rewards: log(exp(c) - 1) for plr, c for cr. Probabilities and logits mean the same for every reward; a
    reward that does not rise with the logit has no outliers by a threshold in rewards.
    """
    if credo.threshold_unit == "logit":
        return credo.threshold
    if credo.threshold_unit == "probability":
        return logit_of(credo.threshold)
    entry = reward_named(reward)
    low, high = entry.bounds
    if entry.inverse is None or credo.threshold >= high:
        return math.inf
    if credo.threshold <= low:
        return -math.inf
    return entry.inverse(credo.threshold)


def reward_cap(credo: CredoConfig, reward: str) -> float:
    """The largest reward that the policy is given; inf where nothing is clipped."""
    if credo.mode not in ("clip", "both"):
        return math.inf
    if credo.threshold_unit == "reward":
        return credo.threshold
    with jax.ensure_compile_time_eval():  # the caller may be tracing
        return float(reward_named(reward)(jnp.float32(threshold_logit(credo, reward))))


def filters(credo: CredoConfig) -> bool:
    """Whether expert samples leave the discriminator's loss."""
    return credo.mode in ("filter", "both")


def retained(logit: Array, threshold: float) -> Array:
    """Algorithm 1, line 6: which expert samples stay, bool [...]: those with r(s, a) < c."""
    return logit < threshold


def filtered_share(keep: Array) -> Array:
    """The share of samples that leave, scalar; exactly 0 where none does and 1 where all do, which a mean in float32
    need not give."""
    return share_of(jnp.sum(keep.astype(jnp.int32)), keep.size)


def blocks_of(candidates: int) -> tuple[int, int]:
    """How many whole blocks there are in ``candidates``, and how many candidates are in each."""
    block = min(BLOCK, candidates)
    return candidates // block, block


def share_of(retained: Array, scored: Array | int) -> Array:
    """The share that leaves where ``retained`` of ``scored`` samples stay, scalar float32."""
    return (scored - retained).astype(jnp.float32) / jnp.asarray(scored, jnp.float32)


class Drawing(NamedTuple):
    """Samples of the retained demonstrations (D_clip of Algorithm 1)."""

    rows: Array
    """[count] int32; which they are is meaningless where none was found."""
    found: Array
    """Bool scalar: whether any sample was retained. Without one the caller must give the expert term no weight."""
    filtered_share: Array
    """The share of the scored samples that are outliers (scalar)."""


def draw_retained(key: Array, total: int, count: int, retain: Callable[[Array], Array], candidates: int) -> Drawing:
    """Uniform draw with replacement of ``count`` of ``total`` samples among those that ``retain`` (rows [n] -> bool
    [n]) keeps, by rejection: exact, and no more is scored than must be.

    Candidates are drawn and scored in blocks until ``count`` are retained or there is no room for another block in
    ``candidates``. If fewer were found by then, the rest is drawn from those found.
    """
    most, block = blocks_of(candidates)

    def goes_on(carry: tuple[Array, Array, Array]) -> Array:
        blocks, found, _ = carry
        return (found < count) & (blocks < most)

    def next_block(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        blocks, found, rows = carry
        drawn = jax.random.randint(jax.random.fold_in(key, blocks), (block,), 0, total)
        keep = retain(drawn)
        place = jnp.where(keep, found + jnp.cumsum(keep.astype(jnp.int32)) - 1, count)
        return blocks + 1, found + jnp.sum(keep.astype(jnp.int32)), rows.at[place].set(drawn, mode="drop")

    none = jnp.zeros((), jnp.int32)
    blocks, found, rows = jax.lax.while_loop(goes_on, next_block, (none, none, jnp.zeros((count,), jnp.int32)))
    again = jax.random.randint(jax.random.fold_in(key, candidates), (count,), 0, jnp.clip(found, 1, count))
    rows = jnp.where(jnp.arange(count) < found, rows, rows[again])
    return Drawing(rows, found > 0, share_of(found, blocks * block))
