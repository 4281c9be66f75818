"""How close a policy is to held-out demonstrations, measured without a reward. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from credo.random import Purpose, host_generator

STANDARDISED_LIMIT = 10.0
"""Standardised observations are clipped to +- this, so that a dimension in which the expert hardly moves (its
standard deviation is near 0) does not outweigh all others."""


class PolicyEpisode(Protocol):
    """What is needed of an episode of T steps; ``credo.environments.Episode`` is one."""

    @property
    def observation(self) -> np.ndarray:
        """[T+1, O], the last one included."""

    @property
    def action(self) -> np.ndarray:
        """[T, A] in [-1, 1]."""

    @property
    def terminated(self) -> bool: ...


def occupancy_distance(
    expert_observation: np.ndarray,
    expert_action: np.ndarray,
    expert_lengths: np.ndarray,
    expert_rows: np.ndarray,
    episodes: Sequence[PolicyEpisode],
    observation_mean: np.ndarray,
    observation_std: np.ndarray,
    horizon: int,
    projections: int = 64,
    seed: int = 0,
) -> float:
    """Sliced Wasserstein-1 distance between the state-action distributions of policy and expert.

    A sample is (standardised observation, action, absorbing indicator). An episode that terminated before
    ``horizon`` counts as staying, for the rest of the horizon, in one absorbing point that the expert's
    living samples never touch: zeros with indicator sqrt(O + A), the length of a typical standardised sample.
    Without it a policy that falls after ten steps, each like the expert's, would look perfect. Every episode
    has the same mass; the absorbing mass is a weight, the padding is never built. Each projection's distance
    is exact.

    The unit is the expert's standard deviation along a random direction: 0 for equal distributions, about 1
    for a policy that falls at once or one with little in common with the expert. It is not comparable across
    environments to more than that.

    Source: absorbing states, Kostrikov et al. 2019 (Discriminator-Actor-Critic, section 4.2); sliced
    Wasserstein distance, Bonneel et al. 2015. Differs from DAC: nothing is added to the data, only to this
    measure.

    Args:
        expert_observation: [N, O], held-out demonstrations in the environment's units.
        expert_action: [N, A] in [-1, 1].
        expert_lengths: [E] steps after which each of the expert's episodes terminated; the horizon or more
            for one that did not.
        expert_rows: [E] rows of each in the two arrays above, 1 or more each: fewer than its steps where the
            demonstrations are subsampled or cut.
        episodes: the policy's, any number; one that was cut off before the horizon stands for what would have
            followed and gets no absorbing mass.
        observation_mean: [O].
        observation_std: [O] > 0.
        horizon: steps in a full episode.
        projections: random directions; the distance is their mean.
        seed: of the directions. Distances that are compared must share it.

    Returns:
        The distance, >= 0; NaN where a side has no samples.
    """
    played = [episode for episode in episodes if len(episode.action)]
    if not played or not len(expert_observation):
        return float("nan")
    dimensions = expert_observation.shape[1] + expert_action.shape[1]

    def features(observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        standardised = (np.asarray(observation, np.float32) - observation_mean) / observation_std
        standardised = np.clip(standardised, -STANDARDISED_LIMIT, STANDARDISED_LIMIT)
        return np.concatenate([standardised, action], axis=1).astype(np.float32)

    alive_of = np.minimum(np.asarray(expert_lengths) / horizon, 1) / len(expert_lengths)
    expert_alive = float(alive_of.sum())
    samples = [features(expert_observation, expert_action)]
    weights = [np.repeat(alive_of / expert_rows, expert_rows)]
    policy_alive = 0.0
    for episode in played:
        length = len(episode.action)
        alive = min(length / horizon, 1) / len(played) if episode.terminated else 1 / len(played)
        samples.append(features(episode.observation[:-1], episode.action))
        weights.append(np.full(length, -alive / length))
        policy_alive += alive
    # Both sides share the absorbing point: the difference of their masses stands there.
    weights.append(np.array([policy_alive - expert_alive]))

    generator = host_generator(seed, Purpose.MEASURE)
    directions = generator.standard_normal((projections, dimensions + 1)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    absorbing = directions[:, -1:] * np.float32(np.sqrt(dimensions))
    values = np.concatenate([directions[:, :-1] @ np.concatenate(samples).T, absorbing], axis=1)
    signed = np.concatenate(weights)
    return float(np.mean([_signed_distance(row, signed) for row in values]))


def _signed_distance(values: np.ndarray, weights: np.ndarray) -> float:
    """Exact Wasserstein-1 distance in one dimension: the integral of |F - G|, where F - G is the running sum
    of ``weights`` [M] (positive on one side, negative on the other, 0 in all) in rising order of ``values``
    [M]."""
    order = np.argsort(values)
    gaps = np.diff(values[order])
    difference = np.cumsum(weights[order])[:-1]
    return float(np.dot(np.abs(difference), gaps))


def action_error(
    policy: Callable[[np.ndarray], np.ndarray], expert_observation: np.ndarray, expert_action: np.ndarray
) -> float:
    """Root mean squared error of the policy's actions on the expert's states, over samples and dimensions.

    Args:
        policy: [N, O] to [N, A] in [-1, 1] (``Policy.normalised_action``).
        expert_observation: [N, O], held out.
        expert_action: [N, A] in [-1, 1].

    Returns:
        The error in [0, 2]; NaN where there are no samples.
    """
    if not len(expert_observation):
        return float("nan")
    difference = np.asarray(policy(expert_observation), np.float64) - expert_action
    return float(np.sqrt(np.mean(np.square(difference))))
