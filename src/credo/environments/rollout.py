"""Whole episodes of a fixed policy, for evaluation and for demonstrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from credo.environments.lane import EpisodeStart, clip_action
from credo.environments.source import EnvironmentSource
from credo.environments.workers import Workers, open_lanes
from credo.random import Purpose, episode_seed, host_generator
from credo.types import CredoError

ActionFunction = Callable[[np.ndarray], np.ndarray]
"""[B, O] float32 to [B, A] in [-1, 1]."""
LONGEST_EPISODE = 10_000
"""Steps (or the declared time limit, if longer) after which an episode that does not end is cut (truncated)."""

POLICY_TOLERANCE = 1e-3
"""A policy's action may pass 1 by this much (rounding, also in half precision); it is then clipped."""


class Episode(NamedTuple):
    """One episode of T steps."""

    observation: np.ndarray
    """[T+1, O] float32, the last one included."""
    action: np.ndarray
    """[T, A] float32 in [-1, 1], as taken: noisy and clipped."""
    reward: np.ndarray
    """[T] float32."""
    terminated: bool
    truncated: bool
    success: bool | None
    """Whether ``info["success"]`` or ``info["is_success"]`` held at any step; None without such an entry."""


class _Running:
    """The episode under way in a lane."""

    def __init__(self, index: int, first_observation: np.ndarray, noise: np.random.Generator | None) -> None:
        self.index = index
        self.noise = noise
        self.observations = [first_observation]
        self.actions: list[np.ndarray] = []
        self.rewards: list[float] = []


class EpisodeRunner:
    """Runs episodes side by side and keeps its environments open between calls."""

    def __init__(
        self, source: EnvironmentSource, lanes: int = 8, workers: Workers | None = None, run_seed: int = 0
    ) -> None:
        """Build one environment, to check the source; the others are built when first needed.

        With ``workers`` they are built in a process of its own, chosen by ``run_seed``.

        Raises:
            CredoError: see ``make_environment``; or ``lanes`` below 1.
        """
        if lanes < 1:
            raise CredoError(f"lanes: {lanes} is not a number of environments; it must be at least 1")
        self._lane_count = lanes
        self._lanes = open_lanes(source, workers, run_seed)
        self.spec = self._lanes.spec
        self._longest = max(self.spec.max_episode_steps or 0, LONGEST_EPISODE)

    def run(
        self,
        policy: ActionFunction,
        episodes: int,
        seed: int,
        purpose: Purpose = Purpose.EVALUATION,
        noise: float = 0.0,
        on_episode: Callable[[Episode], None] | None = None,
    ) -> list[Episode]:
        """Run ``episodes`` episodes of ``policy``.

        Episode k is reset with ``episode_seed(seed, purpose, 0, k)`` and draws its noise from
        ``host_generator(seed, purpose, k, 1)``, so a policy whose rows do not depend on each other gives
        the same episodes for any number of lanes.

        Args:
            policy: [B, O] float32 to [B, A] in [-1, 1]. B is the number of lanes in every call, so that a
                compiled policy is compiled once; rows of idle lanes are zero and their actions are not used.
            episodes: how many.
            seed: of the run.
            purpose: of the random streams.
            noise: standard deviation of Gaussian noise on the action, in units of [-1, 1]; clipped after it.
            on_episode: called with every episode, in order, as soon as it and those before it have ended.

        Returns:
            The episodes, in order.

        Raises:
            NonFiniteActionError: the policy gave NaN or infinity.
            CredoError: the policy gave, before the noise, an action beyond [-1, 1].
            EnvironmentFaultError: the environment raised, returned what cannot be used, hung or died.
        """
        if episodes < 0:
            raise CredoError(f"episodes: {episodes} is not a number of episodes; it must be at least 0")
        if not (np.isfinite(noise) and noise >= 0):
            raise CredoError(f"noise: {noise} is not a standard deviation; it must be at least 0")
        opened = max(1, min(self._lane_count, episodes))
        self._lanes.open(opened)

        observation = np.zeros((self._lane_count, self.spec.observation_size), np.float32)
        active: dict[int, _Running] = {}
        done: dict[int, Episode] = {}
        started = delivered = 0
        while delivered < episodes:
            for index in range(opened):
                if started < episodes and index not in active:
                    active[index] = self._start(index, started, seed, purpose, noise)
                    observation[index] = active[index].observations[0]
                    started += 1
            indices = sorted(active)
            action = self._act(policy, observation, active, indices, noise)
            outcome = self._lanes.step(indices, action)
            observation = np.zeros_like(observation)
            observation[indices] = outcome.next_observation
            for row, index in enumerate(indices):
                running = active[index]
                running.observations.append(outcome.next_observation[row])
                running.actions.append(action[row])
                running.rewards.append(outcome.reward[row])
                ended = row in outcome.ended
                if ended or len(running.actions) >= self._longest:
                    sums = outcome.sums[outcome.ended.index(row)] if ended else self._lanes.running(index).sums
                    done[running.index] = Episode(
                        observation=np.stack(running.observations),
                        action=np.stack(running.actions),
                        reward=np.array(running.rewards, dtype=np.float32),
                        terminated=outcome.terminated[row],
                        truncated=outcome.truncated[row] or not ended,
                        success=sums.success,
                    )
                    observation[index] = 0
                    del active[index]
            while delivered in done:
                if on_episode is not None:
                    on_episode(done[delivered])
                delivered += 1
        return [done[index] for index in range(episodes)]

    def close(self) -> None:
        """Close the environments; safe to call twice."""
        self._lanes.close()

    def _start(self, index: int, episode: int, seed: int, purpose: Purpose, noise: float) -> _Running:
        first = self._lanes.reset(index, EpisodeStart(seed, episode, episode_seed(seed, purpose, 0, episode)))
        return _Running(episode, first, host_generator(seed, purpose, episode, 1) if noise > 0 else None)

    def _act(
        self,
        policy: ActionFunction,
        observation: np.ndarray,
        active: dict[int, _Running],
        indices: list[int],
        noise: float,
    ) -> np.ndarray:
        # A copy, since a policy may keep or change its argument.
        proposed = np.asarray(policy(observation.copy()), dtype=np.float32)
        if proposed.shape != (self._lane_count, self.spec.action_size):
            raise ValueError(
                f"the policy returned shape {proposed.shape}; it must return "
                f"{(self._lane_count, self.spec.action_size)}"
            )
        action = proposed[indices]
        self._check_range(action)
        if noise > 0:
            draws = [
                generator.standard_normal(self.spec.action_size)
                for index in indices
                if (generator := active[index].noise) is not None
            ]
            action = action + np.float32(noise) * np.array(draws, dtype=np.float32)
        return clip_action(action, len(indices), self.spec)

    def _check_range(self, action: np.ndarray) -> None:
        """Clipping a policy that speaks the environment's own units would make another policy of it."""
        size = np.abs(action)
        largest = size.max(initial=0.0)
        # NaN and infinity are reported as such.
        if largest > 1 + POLICY_TOLERANCE and np.isfinite(largest):
            row, dimension = np.unravel_index(int(size.argmax()), size.shape)
            low, high = self.spec.action_low[dimension], self.spec.action_high[dimension]
            raise CredoError(
                f"the policy's action is {action[row, dimension]:.4g} in dimension {dimension}; [-1, 1] is expected, "
                f"which stands for the bounds of {self.spec.name}, {low:g} to {high:g}"
            )


def rollout_episodes(
    source: EnvironmentSource,
    policy: ActionFunction,
    episodes: int,
    seed: int,
    purpose: Purpose = Purpose.EVALUATION,
    lanes: int | None = None,
    noise: float = 0.0,
    on_episode: Callable[[Episode], None] | None = None,
) -> list[Episode]:
    """Run episodes in environments opened and closed for this call; see ``EpisodeRunner.run``.

    Args:
        lanes: how many environments run side by side; None is 8, or ``episodes`` if fewer.
    """
    runner = EpisodeRunner(source, max(1, min(episodes, 8)) if lanes is None else lanes)
    try:
        return runner.run(policy, episodes, seed, purpose, noise, on_episode)
    finally:
        runner.close()
