"""Gradients: a step along them, and what is recorded of them: raw, per network, before any clipping."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from credo.types import Array, Metrics


def largest(tree: Any) -> Array:
    """The largest absolute entry of a pytree (scalar): the paper's "absolute gradient"."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)]))


def global_norm(tree: Any) -> Array:
    """The Euclidean norm of all entries of a pytree together (scalar)."""
    return jnp.sqrt(jnp.sum(jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)])))


def gradient_metrics(name: str, gradient: Any) -> Metrics:
    """Largest absolute entry and global norm of a gradient: of one network, or of several together where
    one loss trains them."""
    return {f"{name}_gradient_max": largest(gradient), f"{name}_gradient_norm": global_norm(gradient)}


def clipped(gradient: Any, limit: float) -> Any:
    """The gradient, scaled down to a global norm of ``limit`` where it is longer; a limit of 0 leaves it as it is."""
    if limit == 0:
        return gradient
    scale = limit / jnp.maximum(global_norm(gradient), limit)
    return jax.tree.map(lambda leaf: scale * leaf, gradient)


def stepped(
    optimiser: optax.GradientTransformation, parameters: Any, gradient: Any, state: Any, clip: float = 0.0
) -> tuple[Any, Any]:
    """One step of an optimiser: the parameters and the optimiser's state after it. The gradient is cut to a global norm
    of ``clip`` before; 0: it is not."""
    changes, state = optimiser.update(clipped(gradient, clip), state, parameters)
    return optax.apply_updates(parameters, changes), state


def over_updates(metrics: Metrics) -> Metrics:
    """One number a round from one per update [updates]: the maximum of gradients, so that no peak is lost, and the
    mean of everything else."""
    return {name: jnp.max(values) if "_gradient_" in name else jnp.mean(values) for name, values in metrics.items()}
