r"""A reward and a regulariser of one's own, registered from outside the package.

    python examples/own_reward.py runs/own-reward

The same from the command line, in this folder:

    credo imitate --plugin own_reward --reward gentle --threshold 0.98 --demos hopper-expert:5 --steps 20000 \
        --discriminator.regularisers centred,strength=0.05 gradient-penalty
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp

import credo
from credo.config.limits import NotNegative
from credo.discriminator.losses import expectation


@credo.register_reward("gentle", bounds=(-1.0, 1.0), inverse=lambda reward: 2.0 * math.atanh(reward))
def gentle(logit: jax.Array) -> jax.Array:
    """2 D - 1: the sign of ``cr`` bounded like ``r4``."""
    return jnp.tanh(logit / 2)


@dataclass(frozen=True)
class Pull:
    """Settings that a run may change behind the regulariser's name."""

    strength: NotNegative = 0.01


@credo.register_regulariser("centred", settings=Pull())
def centred(loss, logit, config, settings):
    """Pulls the mean logits of both sides to 0; of the expert's without the samples that CREDO filtered."""

    def wrapped(network, expert, policy, key):
        means = [expectation(logit(network, side.inputs), side) for side in (expert, policy)]
        return loss(network, expert, policy, key) + settings.strength * sum(map(jnp.square, means))

    return wrapped


def main(folder: Path, steps: int = 20_000) -> None:
    run = credo.imitate(
        environment="Hopper-v5",
        demonstrations="hopper-expert:5",
        reward="gentle",
        credo={"threshold": 0.98},
        discriminator={"regularisers": ("centred,strength=0.05", "gradient-penalty")},
        steps=steps,
        out=folder,
    )
    highest = run.metrics()["reward_max"][-10:].max()
    print(f"{run.config.reward}: rewards up to {highest:.3f}; everything is in {run.folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/own-reward"))
