"""Evaluation of one seed's deterministic policy: its return, and the measures that need none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from credo.diagnostics.imitation import action_error, occupancy_distance
from credo.discriminator.model import join
from credo.policies import Policy
from credo.random import Purpose, host_generator
from credo.training.seed import Seed
from credo.training.state import Constants, Parts, TrainState

SCORED_SAMPLES = 1024
"""Samples of each side whose expert probability an evaluation averages."""
MEASURES = (
    "return_mean",
    "return_std",
    "return_min",
    "return_max",
    "length_mean",
    "success_rate",
    "occupancy_distance",
    "action_error",
    "expert_probability_held_out",
    "expert_probability_policy",
)


class HeldOut(NamedTuple):
    """Demonstrations kept from training, which the reward-free measures compare with."""

    observation: np.ndarray
    """[n, O], as the environment gives it."""
    action: np.ndarray
    """[n, A] in [-1, 1]."""
    lengths: np.ndarray
    """[episodes] steps until termination; the horizon where an episode did not terminate."""
    mean: np.ndarray
    """[O]: statistics of the training demonstrations, whatever the networks see."""
    std: np.ndarray
    horizon: int
    """Steps of a whole episode."""


def expert_probability(parts: Parts) -> Callable[[Any, Constants, Any, Any], jax.Array]:
    """Compiled: (network, constants, observation [n, O], action [n, A]) -> mean expert probability."""

    def mean_probability(network: Any, constants: Constants, observation: Any, action: Any) -> jax.Array:
        assert parts.discriminator is not None
        logit = parts.discriminator.logit(network, join(constants.normalise(observation), action))
        return jnp.mean(jax.nn.sigmoid(logit))

    return jax.jit(mean_probability)


def evaluate(
    parts: Parts,
    constants: Constants,
    seed: Seed,
    state: TrainState,
    policy: Policy,
    held_out: HeldOut | None,
    probability: Callable[[Any, Constants, Any, Any], jax.Array],
) -> dict[str, float]:
    """One row of evaluations. Every evaluation of a seed starts from the same initial states."""
    episodes = seed.evaluator.run(
        policy.normalised_action, parts.config.evaluation_episodes, seed.number, Purpose.EVALUATION
    )
    returns = np.array([episode.reward.sum(dtype=np.float64) for episode in episodes])
    successes = [episode.success for episode in episodes if episode.success is not None]
    row = dict.fromkeys(MEASURES, np.nan) | {
        "return_mean": returns.mean(),
        "return_std": returns.std(),
        "return_min": returns.min(),
        "return_max": returns.max(),
        "length_mean": np.mean([len(episode.action) for episode in episodes]),
        "success_rate": np.mean(successes) if successes else np.nan,
        "failed": 0.0,
    }
    if held_out is not None:
        known = held_out.action.shape[1]
        row["occupancy_distance"] = occupancy_distance(
            held_out.observation,
            held_out.action,
            held_out.lengths,
            # Without the expert's actions it is the distance of observations alone.
            [episode._replace(action=episode.action[:, :known]) for episode in episodes],
            held_out.mean,
            held_out.std,
            held_out.horizon,
        )
        if known:
            row["action_error"] = action_error(policy.normalised_action, held_out.observation, held_out.action)
        generator = host_generator(seed.number, Purpose.MEASURE)
        observation = np.concatenate([episode.observation[:-1] for episode in episodes])
        action = np.concatenate([episode.action for episode in episodes])
        for name, o, a in (
            ("held_out", held_out.observation, held_out.action),
            ("policy", observation, action),
        ):
            rows = generator.integers(0, len(a), SCORED_SAMPLES)
            network = state.discriminator.network
            row[f"expert_probability_{name}"] = probability(network, constants, o[rows], a[rows])
    return {name: float(value) for name, value in row.items()}


def failed_row() -> dict[str, float]:
    """The evaluation of a frozen seed: no measure, and the mark."""
    return dict.fromkeys(MEASURES, np.nan) | {"failed": 1.0}


def badness(row: dict[str, float]) -> float:
    """What the kept policy has least of: the distance to the expert's state-action distribution, which needs no
    reward; minus the return where there are no demonstrations."""
    distance = row["occupancy_distance"]
    return -row["return_mean"] if np.isnan(distance) else distance
