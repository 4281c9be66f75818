"""The expert's side of a discriminator update, with CREDO's filter: the three readings of Algorithm 1.

``resample`` draws a batch from the retained samples; ``retained`` and ``batch`` weigh what a plain batch retains.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from credo.config import CredoConfig
from credo.discriminator import outliers
from credo.discriminator.losses import Logit, Samples
from credo.types import Array


class BatchRule(NamedTuple):
    """How expert batches are chosen."""

    credo: CredoConfig
    threshold: float
    """The logit from which a sample is an outlier."""
    size: int
    """Samples of a batch."""
    score: Logit
    """The logit by which samples are filtered."""


def expert_weight(keep: Array, reading: str) -> Array:
    """The weight of each sample of a plain batch, [B], from which are retained, bool [B] (``retained``, ``batch``)."""
    kept = keep.astype(jnp.float32)
    total = keep.shape[0] if reading == "batch" else jnp.maximum(jnp.sum(kept), 1.0)
    return kept / total


def drawing(rule: BatchRule, network: Any, expert_inputs: Array, key: Array, count: int) -> outliers.Drawing:
    """``count`` of the expert samples [n, D] that the network retains."""

    def retain(rows: Array) -> Array:
        return outliers.retained(rule.score(network, expert_inputs[rows]), rule.threshold)

    return outliers.draw_retained(key, expert_inputs.shape[0], count, retain, rule.credo.candidates)


def round_drawing(
    rule: BatchRule, network: Any, expert_inputs: Array, key: Array, updates: int
) -> outliers.Drawing | None:
    """What the updates of a round draw at once, with a leading axis [updates]; None where each update draws for
    itself."""
    credo = rule.credo
    if not outliers.filters(credo) or (credo.reading, credo.rescore) != ("resample", "round"):
        return None
    whole = drawing(rule, network, expert_inputs, key, updates * rule.size)
    return outliers.Drawing(
        whole.rows.reshape(updates, rule.size), *(jnp.broadcast_to(x, (updates,)) for x in whole[1:])
    )


def expert_batch(
    rule: BatchRule, network: Any, drawn: outliers.Drawing | None, expert_inputs: Array, key: Array
) -> tuple[Samples, Array]:
    """The expert batch of one update and the share of the scored samples that were filtered (scalar).

    ``network`` is the one that filters: the round's first or the current one. ``drawn`` is the update's part of
    ``round_drawing``.
    """
    credo, size = rule.credo, rule.size
    draw_key, batch_key = jax.random.split(key)

    def plain() -> Array:
        return expert_inputs[jax.random.randint(batch_key, (size,), 0, expert_inputs.shape[0])]

    if not outliers.filters(credo):
        return Samples(plain(), jnp.full((size,), 1.0 / size)), jnp.zeros(())
    if credo.reading == "resample":
        found = drawing(rule, network, expert_inputs, draw_key, size) if drawn is None else drawn
        weight = jnp.where(found.found, 1.0 / size, 0.0) * jnp.ones((size,))
        return Samples(expert_inputs[found.rows], weight), found.filtered_share
    inputs = plain()
    keep = outliers.retained(rule.score(network, inputs), rule.threshold)
    return Samples(inputs, expert_weight(keep, credo.reading)), outliers.filtered_share(keep)
