"""A learner of one's own, registered from outside the package: TD3 that now and then explores with uniform actions.

    python examples/own_learner.py runs/own-learner

The same from the command line, in this folder:

    credo imitate --plugin own_learner --learner restless-td3 --learner-settings restlessness=0.2 \\
        --demos hopper-expert:5 --steps 20000
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp

import credo
from credo.config import TD3Config
from credo.config.limits import Share
from credo.learners import Learner
from credo.learners.td3 import td3


@dataclass(frozen=True)
class RestlessConfig(TD3Config):
    """TD3's settings, and one more; all are part of a run's identity, and learner_settings changes them."""

    restlessness: Share = 0.1
    """Share of the actions that are drawn uniformly."""


@credo.register_learner("restless-td3", settings=RestlessConfig())
def restless_td3(settings: RestlessConfig, observation_size: int, action_size: int) -> Learner:
    """For ONE seed, like every learner; it is mapped over seeds elsewhere."""
    learner = td3(settings, observation_size, action_size)

    def act(state, observation, key):
        usual_key, whether_key, uniform_key = jax.random.split(key, 3)
        usual = learner.act(state, observation, usual_key)
        uniform = jax.random.uniform(uniform_key, usual.shape, minval=-1.0, maxval=1.0)
        restless = jax.random.bernoulli(whether_key, settings.restlessness, usual.shape[:-1])
        return jnp.where(restless[..., None], uniform, usual)

    return learner._replace(act=act)


def main(folder: Path, steps: int = 20_000) -> None:
    run = credo.imitate(
        environment="Hopper-v5",
        demonstrations="hopper-expert:5",
        learner="restless-td3",
        learner_settings={"restlessness": 0.2},
        steps=steps,
        out=folder,
    )
    loss = run.metrics()["critic_loss"][-10:].mean()
    print(f"{run.config.learner}: critic loss {loss:.3g}; everything is in {run.folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/own-learner"))
