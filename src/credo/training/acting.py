"""Acting on the host: the rollouts of learners that learn from fresh steps alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from credo.random import Purpose, host_generator
from credo.training.seed import Seed
from credo.training.state import Constants, Parts, TrainState, policy_of


def host_actor(
    parts: Parts, constants: Constants, state: TrainState, seed: Seed, round_number: int
) -> Callable[[int], np.ndarray]:
    """A function of the step's index in the round that gives the seed's next actions, [lanes, A], unclipped.

    In NumPy: the network is small and its input a few rows, so that handing them to compiled code would cost more than
    the product. The noise of a round is a pure function of (seed, round).
    """
    assert parts.learner.deviation is not None
    policy = policy_of(parts, constants, state, {})
    config, action_size = parts.config, parts.spec.action_size
    shape = (config.steps_per_round // config.environments_per_seed, config.environments_per_seed, action_size)
    noise = host_generator(seed.number, Purpose.ACT, round_number).standard_normal(shape, np.float32)
    with np.errstate(over="ignore"):  # an action that is not finite freezes its seed, which says so
        noise *= np.asarray(parts.learner.deviation(state.learner))

    def act(index: int) -> np.ndarray:
        return policy.normalised_action(seed.environments.observation) + noise[index]

    return act
