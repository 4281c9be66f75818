"""Samples of the discriminator's two sides, and the classification loss between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from credo.types import Array


class Samples(NamedTuple):
    """One side of a discriminator update: samples of the expert or of the policy."""

    inputs: Array
    """[B, D]."""
    weight: Array | None = None
    """[B]: what each sample counts in its side's term, which is their weighted sum: 0 for a sample that CREDO filtered.
    None: 1 / B each."""
    label: Array | None = None
    """[B]: the probability that the loss is to teach; None: the side's own (1 expert, 0 policy)."""


Logit = Callable[[Any, Array], Array]
"""(network, inputs [..., D]) -> [...]."""
Loss = Callable[[Any, Samples, Samples, Array], Array]
"""(network, expert samples, policy samples, key) -> scalar."""


def expectation(values: Array, samples: Samples) -> Array:
    """The weighted sum of ``values`` [B] over one side, scalar; an expectation where its weights sum to 1."""
    return jnp.mean(values) if samples.weight is None else jnp.sum(samples.weight * values)


def _towards(logit: Array, label: Array) -> Array:
    return label * jax.nn.softplus(-logit) + (1.0 - label) * jax.nn.softplus(logit)


def cross_entropy(expert_logit: Array, expert: Samples, policy_logit: Array, policy: Samples) -> Array:
    """-(E_expert[log D] + E_policy[log(1 - D)]) (the paper's Eq. 3 with Eq. 9's roles), scalar, from logits [B] each;
    with labels y, -(y log D + (1 - y) log(1 - D))."""
    expert_loss = jax.nn.softplus(-expert_logit) if expert.label is None else _towards(expert_logit, expert.label)
    policy_loss = jax.nn.softplus(policy_logit) if policy.label is None else _towards(policy_logit, policy.label)
    return expectation(expert_loss, expert) + expectation(policy_loss, policy)


def positive_unlabelled(
    expert_logit: Array, expert: Samples, policy_logit: Array, policy: Samples, prior: float, slack: float
) -> Array:
    """PUGAIL's loss: -prior E_expert[log D] + max(-slack, -E_policy[log(1 - D)] + prior E_expert[log(1 - D)]), scalar.

    The policy's samples are unlabelled: a share ``prior`` of them counts as expert-like, so what the expert's samples
    would add to the negative class is taken off again (Xu and Denil 2019, Positive-Unlabeled Reward Learning; the
    non-negative risk of Kiryo et al. 2017, Eq. 6, is slack 0). With every expert sample filtered it is the policy's
    term of the cross entropy.

    Differs from Kiryo et al.: a risk below the slack has no gradient, where their Algorithm 1 steps back up. Differs
    from Acme's implementation of the same terms: the slack holds for the expectation, there for each pair of samples.
    """
    positive = prior * expectation(jax.nn.softplus(-expert_logit), expert)
    as_negative = prior * expectation(jax.nn.softplus(expert_logit), expert)
    negative = expectation(jax.nn.softplus(policy_logit), policy) - as_negative
    return positive + jnp.maximum(negative, -slack)
