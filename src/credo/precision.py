"""The precision of what is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax

Computed = TypeVar("Computed")


def in_full_precision(function: Callable[..., Computed]) -> Callable[..., Computed]:
    """A function whose products are of float32 numbers on a GPU too, where JAX's default is TF32 with 10 bits of
    mantissa; unless JAX_DEFAULT_MATMUL_PRECISION says what is wanted."""

    wanted = getattr(jax.config, "jax_default_matmul_precision", None) or "float32"

    def precise(*arguments: Any) -> Computed:
        with jax.default_matmul_precision(wanted):
            return function(*arguments)

    return precise
