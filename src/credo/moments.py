"""Running mean and standard deviation of a stream of numbers."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from credo.types import Array

LEAST = 1e-3
"""Nothing is divided by a smaller deviation."""


class Moments(NamedTuple):
    """Of all numbers so far (scalars)."""

    count: Array
    mean: Array
    squares: Array
    """Sum of squared deviations from the mean."""


def empty() -> Moments:
    return Moments(*(jnp.zeros((), jnp.float32) for _ in range(3)))


def add(moments: Moments, values: Array) -> Moments:
    """The moments after all entries of ``values`` have been added (Chan et al. 1979, Eq. 2.1)."""
    size = float(values.size)
    mean = jnp.mean(values)
    squares = jnp.sum(jnp.square(values - mean))
    count = moments.count + size
    step = mean - moments.mean
    return Moments(
        count,
        moments.mean + step * size / count,
        moments.squares + squares + jnp.square(step) * moments.count * size / count,
    )


def deviation(moments: Moments) -> Array:
    """Standard deviation (scalar), at least ``LEAST``."""
    return jnp.maximum(jnp.sqrt(moments.squares / jnp.maximum(moments.count, 1.0)), LEAST)
