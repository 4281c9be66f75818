"""What each regulariser costs: CPU time of a discriminator update with it, as a ratio to the plain one's.

    python -m benchmarks.regularisers

HalfCheetah's sizes, 256-256 units, 128 samples of either side. Rounds of updates with each regulariser and plain ones
take turns in one process, so that what else the machine does touches all alike; a ratio is the median over turns.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import sizes
from credo.config import CredoConfig, DiscriminatorConfig
from credo.discriminator.model import make_discriminator
from credo.discriminator.regularisers import REGULARISERS

EXPERTS = 10_000
UPDATES = 32


def made(regularisers: tuple[str, ...]) -> Any:
    """A function that makes one round of updates, compiled."""
    config = DiscriminatorConfig(hidden=sizes.HIDDEN, batch_size=sizes.BATCH, regularisers=regularisers)
    discriminator = make_discriminator(
        config, CredoConfig(mode="off"), "plr", sizes.OBSERVATION_SIZE, sizes.ACTION_SIZE
    )
    generator = np.random.default_rng(0)
    width = sizes.OBSERVATION_SIZE + sizes.ACTION_SIZE
    expert = jnp.asarray(generator.standard_normal((EXPERTS, width)), jnp.float32)
    policy = jnp.asarray(generator.standard_normal((UPDATES, sizes.BATCH, width)), jnp.float32)
    state = discriminator.init(jax.random.key(0))
    update = jax.jit(discriminator.update)

    def one_round() -> None:
        jax.block_until_ready(update(state, expert, policy, jax.random.key(1)))

    one_round()
    return one_round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15)
    turns = parser.parse_args().turns
    rounds = {"(plain)": made(())} | {name: made((name,)) for name in REGULARISERS}
    taken: dict[str, list[float]] = {name: [] for name in rounds}
    for _ in range(turns):
        for name, one_round in rounds.items():
            start = time.process_time()
            one_round()
            taken[name].append(time.process_time() - start)
    plain = np.array(taken["(plain)"])
    print(f"(plain) {1e3 * np.median(plain) / UPDATES:.2f} ms of CPU time an update; {turns} turns, {jax.devices()[0]}")
    for name, seconds in taken.items():
        ratios = np.array(seconds) / plain
        low, high = np.quantile(ratios, [0.25, 0.75])
        print(f"{name:<28} {np.median(ratios):5.2f}   (half of the turns {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
