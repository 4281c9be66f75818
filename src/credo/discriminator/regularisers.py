"""Regularisers of the discriminator's loss: each takes a loss and gives a loss, so they compose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from credo.config import DiscriminatorConfig
from credo.types import Array

Loss = Callable[[Any, Any, Array, Array], Array]
"""(network, ExpertBatch, policy inputs [B, O + A], key) -> scalar."""


def gradient_penalty(loss: Loss, logit: Callable[[Any, Array], Array], config: DiscriminatorConfig) -> Loss:
    """Adds coefficient * E[(||d logit / d x|| - 1)^2] at points x drawn uniformly between expert and policy samples
    (Gulrajani et al. 2017, Eq. 3; in imitation: Kostrikov et al. 2019)."""

    def penalised(network: Any, expert: Any, policy_inputs: Array, key: Array) -> Array:
        loss_key, mix_key = jax.random.split(key)
        share = jax.random.uniform(mix_key, (policy_inputs.shape[0], 1))
        points = share * expert.inputs + (1.0 - share) * policy_inputs
        slope = jax.grad(lambda x: jnp.sum(logit(network, x)))(points)
        # The square root has no gradient at 0, which an all-zero slope would turn into NaN.
        norm = jnp.sqrt(jnp.sum(jnp.square(slope), axis=-1) + 1e-12)
        penalty = config.gradient_penalty * jnp.mean(jnp.square(norm - 1.0))
        return loss(network, expert, policy_inputs, loss_key) + penalty

    return penalised


REGULARISERS: dict[str, Callable[[Loss, Callable[[Any, Array], Array], DiscriminatorConfig], Loss]] = {
    "gradient-penalty": gradient_penalty,
}
