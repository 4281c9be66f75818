"""Between an environment's action box and [-1, 1], in the type of the numbers given."""

from __future__ import annotations

from credo.types import Array


def centre_and_half_width(low: Array, high: Array) -> tuple[Array, Array]:
    """Of the box between ``low`` and ``high``, each [A]."""
    # Halves first: low + high, and high - low, of a very wide box could overflow.
    return low / 2 + high / 2, high / 2 - low / 2


def to_unit(action: Array, low: Array, high: Array) -> Array:
    """Actions [..., A] of the box in [-1, 1], but for rounding."""
    centre, half_width = centre_and_half_width(low, high)
    return (action - centre) / half_width


def from_unit(unit: Array, low: Array, high: Array) -> Array:
    """Actions [..., A] in [-1, 1] in the box, but for rounding."""
    centre, half_width = centre_and_half_width(low, high)
    return centre + half_width * unit
