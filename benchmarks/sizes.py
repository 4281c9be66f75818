"""What is measured, in numbers that Credo and the peer share, and the arithmetic in it. Imports nothing of either."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

ENVIRONMENT = "HalfCheetah-v5"
OBSERVATION_SIZE, ACTION_SIZE = 17, 6
HIDDEN = (256, 256)
BATCH = 128
STEPS_PER_ROUND = 64
UPDATES_PER_ROUND = 64
ACTOR_DELAY = 2
SEEDS = 11

ACTOR_SIZES = (OBSERVATION_SIZE, *HIDDEN, ACTION_SIZE)
CRITIC_SIZES = (OBSERVATION_SIZE + ACTION_SIZE, *HIDDEN, 1)

Product = tuple[int, int, int]
"""(rows, inner, columns) of one matrix product."""
Products = Mapping[Product, Fraction]
"""How often each is computed."""


def layers(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(sizes))


def forward(batch: int, sizes: tuple[int, ...]) -> Counter[Product]:
    """x W of every layer."""
    return Counter((batch, inputs, outputs) for inputs, outputs in layers(sizes))


def weight_gradients(batch: int, sizes: tuple[int, ...]) -> Counter[Product]:
    """x' dy of every layer."""
    return Counter((inputs, batch, outputs) for inputs, outputs in layers(sizes))


def input_gradients(batch: int, sizes: tuple[int, ...], first: bool) -> Counter[Product]:
    """dy W' of every layer; of the first one only where the network's own input needs a gradient."""
    return Counter((batch, outputs, inputs) for inputs, outputs in layers(sizes)[0 if first else 1 :])


def training_pass(batch: int, sizes: tuple[int, ...]) -> Counter[Product]:
    """Forward and backward to the parameters."""
    return forward(batch, sizes) + weight_gradients(batch, sizes) + input_gradients(batch, sizes, first=False)


def td3_update() -> Products:
    """The products of one critic update and its share of an actor update."""
    critic_update = forward(BATCH, ACTOR_SIZES)  # the target policy
    for _ in range(2):
        critic_update += forward(BATCH, CRITIC_SIZES)  # the target critics
        critic_update += training_pass(BATCH, CRITIC_SIZES)
    actor_update = (
        training_pass(BATCH, ACTOR_SIZES)
        + forward(BATCH, CRITIC_SIZES)
        + input_gradients(BATCH, CRITIC_SIZES, first=True)
    )
    return {
        product: Fraction(critic_update[product]) + Fraction(actor_update[product], ACTOR_DELAY)
        for product in critic_update | actor_update
    }


def flops(products: Products) -> float:
    """Multiplications and additions, counted apart."""
    return float(sum(2 * rows * inner * columns * count for (rows, inner, columns), count in products.items()))
