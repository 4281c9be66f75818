"""Demonstrations from what recorders give: whole episodes, or flat transitions with end flags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from credo.demonstrations import validate
from credo.demonstrations.dataset import Demonstrations
from credo.types import CredoError

if TYPE_CHECKING:
    from credo.environments import Episode


def from_episodes(
    episodes: Iterable[Episode], environment: str, source: str = "", action_bounds: np.ndarray | None = None
) -> Demonstrations:
    """Demonstrations of whole episodes, each with T + 1 observations and T actions.

    An episode's ``reward`` may be None, then it must be so in all. One with neither end flag counts as truncated.
    CredoError as for ``Demonstrations``.
    """
    episodes = list(episodes)
    if not episodes:
        raise CredoError("demonstrations: empty: at least one episode is needed")
    for k, episode in enumerate(episodes):
        _check_episode(k, episode, episodes[0])
    lengths = np.array([len(episode.action) for episode in episodes], dtype=np.int64)
    episode_start = np.concatenate([[0], np.cumsum(lengths)])
    ends = episode_start[1:] - 1
    flags = np.zeros((2, episode_start[-1]), bool)
    flags[0, ends] = [episode.terminated for episode in episodes]
    flags[1, ends] = [episode.truncated or not episode.terminated for episode in episodes]
    rewarded = episodes[0].reward is not None
    rewards = [np.asarray(episode.reward) for episode in episodes] if rewarded else []
    return Demonstrations(
        observation=np.concatenate([np.asarray(episode.observation)[:-1] for episode in episodes]),
        action=np.concatenate([np.asarray(episode.action) for episode in episodes]),
        terminated=flags[0],
        truncated=flags[1],
        reward=np.concatenate(rewards) if rewarded else None,
        episode_start=episode_start,
        successor_row=ends,
        successor=np.stack([np.asarray(episode.observation)[-1] for episode in episodes]),
        lengths=lengths,
        returns=np.array([reward.sum(dtype=np.float64) for reward in rewards]) if rewarded else None,
        action_bounds=action_bounds,
        environment=environment,
        source=source,
    )


def from_transitions(
    observation: np.ndarray,
    action: np.ndarray,
    next_observation: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    reward: np.ndarray | None = None,
    environment: str = "",
    source: str = "",
    action_bounds: np.ndarray | None = None,
) -> Demonstrations:
    """Demonstrations of N flat transitions in recorded order; shapes as in ``Demonstrations``.

    An episode ends where ``terminated`` or ``truncated`` is set; at the last row, where neither is, it is truncated.
    CredoError as for ``Demonstrations``.
    """
    observation = validate.float_array("observation", observation, 2)
    next_observation = validate.float_array("next_observation", next_observation, 2)
    terminated = validate.flag_array("terminated", terminated)
    truncated = validate.flag_array("truncated", truncated)
    rows = len(observation)
    validate.check_rows("next_observation", next_observation, observation.shape)
    validate.check_rows("terminated", terminated, (rows,))
    validate.check_rows("truncated", truncated, (rows,))
    if rows == 0:
        raise CredoError("demonstrations: empty: at least one transition is needed")
    truncated = truncated.copy()
    truncated[-1] |= not terminated[-1]
    ends = terminated | truncated
    episode_start = np.concatenate([[0], np.flatnonzero(ends) + 1])
    jumps = ends.copy()
    jumps[:-1] |= (next_observation[:-1] != observation[1:]).any(axis=1)
    returns = None
    if reward is not None:
        reward = validate.float_array("reward", reward, 1)
        validate.check_rows("reward", reward, (rows,))
        returns = np.add.reduceat(reward, episode_start[:-1], dtype=np.float64)
    return Demonstrations(
        observation=observation,
        action=action,
        terminated=terminated,
        truncated=truncated,
        reward=reward,
        episode_start=episode_start,
        successor_row=np.flatnonzero(jumps),
        successor=next_observation[jumps],
        lengths=np.diff(episode_start),
        returns=returns,
        action_bounds=action_bounds,
        environment=environment,
        source=source,
    )


def _check_episode(index: int, episode: Episode, first: Episode) -> None:
    """Shapes that can be joined with the first episode's; values are checked once they are joined."""
    observation, action = np.shape(episode.observation), np.shape(episode.action)
    if len(observation) != 2 or len(action) != 2 or (len(action) and observation[0] != action[0] + 1):
        raise CredoError(
            f"demonstrations: episode {index}: observation has shape {observation} and action {action}; "
            "[steps + 1, observation_size] and [steps, action_size] expected"
        )
    if action[0] == 0:
        raise CredoError(f"demonstrations: episode {index}: empty: every episode needs at least one step")
    for name, found, expected in (
        ("observation", observation[1], np.shape(first.observation)[1]),
        ("action", action[1], np.shape(first.action)[1]),
    ):
        if found != expected:
            raise CredoError(
                f"demonstrations: episode {index}: {name} has {found} dimensions, episode 0 has {expected}"
            )
    if (episode.reward is None) != (first.reward is None):
        raise CredoError(
            f"demonstrations: episode {index}: reward is known in some episodes only; all or none expected"
        )
    if episode.reward is not None and np.shape(episode.reward) != action[:1]:
        raise CredoError(
            f"demonstrations: episode {index}: reward has shape {np.shape(episode.reward)}, {action[:1]} expected"
        )
