"""The environments of one seed, stepped together, with autoreset hidden."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from credo.environments.construct import EnvironmentSource
from credo.environments.lane import Lane, clip_action, step_lanes
from credo.environments.state import (
    capture_simulation,
    has_simulation_state,
    restore_by_replay,
    restore_simulation,
)
from credo.random import Purpose, episode_seed
from credo.types import CredoError, EnvironmentSpec


class Step(NamedTuple):
    """What one step of N environments gave."""

    next_observation: np.ndarray
    """[N, O] float32: the true successor; at an episode's end its last observation."""
    reward: np.ndarray
    """[N] float32: the environment's own reward."""
    terminated: np.ndarray
    """[N] bool: the episode ended in a terminal state (do not bootstrap)."""
    truncated: np.ndarray
    """[N] bool: the episode was cut off, by a time limit for one (bootstrap)."""


class EpisodeSummary(NamedTuple):
    """An episode that ended, in plain Python scalars."""

    environment_index: int
    total_reward: float
    length: int
    """Steps."""
    terminated: bool
    success: bool | None
    """Whether ``info["success"]`` or ``info["is_success"]`` held at any step; None without such an entry."""


class EnvironmentBatch:
    """The environments of ONE seed, stepped one after the other in the calling thread.

    Episode e of environment i is reset with ``episode_seed(run_seed, purpose, i, e)``, so it starts the
    same whatever happened before it.

    Attributes:
        spec: sizes, action bounds and time limit.
        observation: [N, O] float32, what to act on next; already the next episode's where one ended.
        finished: episodes that ended since ``drain_finished`` was last called, oldest first.
    """

    def __init__(
        self,
        source: EnvironmentSource,
        run_seed: int,
        count: int = 1,
        purpose: Purpose = Purpose.ENVIRONMENT,
    ) -> None:
        """Build and reset ``count`` environments.

        Raises:
            CredoError: see ``make_environment``; or ``count`` below 1.
        """
        if count < 1:
            raise CredoError(f"environments: {count} is not a number of environments; it must be at least 1")
        self._run_seed = run_seed
        self._purpose = purpose
        self._lanes: list[Lane] = []
        self.finished: list[EpisodeSummary] = []
        try:
            for index in range(count):
                self._lanes.append(Lane(source, index))
            self.spec: EnvironmentSpec = self._lanes[0].spec
            self._by_state = has_simulation_state(self._lanes[0].environment)
            # The current episode's actions, kept only where they are what restores it.
            self._actions: list[list[np.ndarray]] = [[] for _ in self._lanes]
            self.observation = np.stack([self._start_episode(lane, 0) for lane in self._lanes])
        except BaseException:
            self.close()
            raise

    def step(self, action: np.ndarray) -> Step:
        """Step every environment once and start the next episode where one ended.

        Args:
            action: [N, A] in [-1, 1]; clipped to that, then scaled to the environment's box.

        Raises:
            NonFiniteActionError: before anything is stepped.
            NonFiniteEnvironmentError: an environment returned NaN or infinity.
        """
        clipped = clip_action(action, len(self._lanes), self.spec)
        if not self._by_state:
            for log, row in zip(self._actions, clipped, strict=True):
                log.append(row)
        outcome = step_lanes(self._lanes, clipped)
        next_observation = self.observation = outcome.next_observation
        if outcome.ended:
            # A copy: the step keeps the true successors, what to act on next is the next episode's.
            self.observation = next_observation.copy()
            for index in outcome.ended:
                self._finish_episode(self._lanes[index], outcome.terminated[index])
        return Step(next_observation, outcome.reward, np.array(outcome.terminated), np.array(outcome.truncated))

    def drain_finished(self) -> list[EpisodeSummary]:
        """The episodes that ended since the last call, oldest first."""
        finished, self.finished = self.finished, []
        return finished

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs, in nested dicts with string keys of plain scalars and NumPy arrays."""
        return {
            "environment": self.spec.name,
            "run_seed": int(self._run_seed),
            "purpose": int(self._purpose),
            "count": len(self._lanes),
            "lanes": {str(lane.index): self._lane_state(lane) for lane in self._lanes},
            "finished": {str(index): summary._asdict() for index, summary in enumerate(self.finished)},
        }

    def restore(self, state: dict[str, Any]) -> list[str]:
        """Go on from ``state()``, taken from a batch of the same source, seed, count and purpose.

        Returns:
            One line for each environment that could not be brought back exactly (its observation or its sum
            of rewards differed in some bit): it goes on from the first step of its next episode.

        Raises:
            CredoError: the state belongs to another environment, seed, count or purpose.
        """
        own = {
            "environment": self.spec.name,
            "run_seed": int(self._run_seed),
            "purpose": int(self._purpose),
            "count": len(self._lanes),
        }
        for field, value in own.items():
            if state[field] != value:
                raise CredoError(f"{field}: the stored environments have {state[field]!r}; it must be {value!r}")
        lines = []
        observation = np.empty_like(self.observation)
        for lane in self._lanes:
            stored = state["lanes"][str(lane.index)]
            restored = self._restore_lane(lane, stored)
            if restored is None:
                episode = int(stored["episode"]) + 1
                lines.append(
                    f"environment {lane.index} ({self.spec.name}) keeps state that cannot be restored: "
                    f"it goes on from the start of episode {episode} instead of step {stored['length']} "
                    f"of episode {stored['episode']}"
                )
                restored = self._start_episode(lane, episode)
            observation[lane.index] = restored
        self.observation = observation
        finished = state["finished"]
        self.finished = [EpisodeSummary(**finished[str(index)]) for index in range(len(finished))]
        return lines

    def close(self) -> None:
        """Close the environments; safe to call twice."""
        for lane in self._lanes:
            lane.close()
        self._lanes = []

    def _seed(self, lane: Lane, episode: int) -> int:
        return episode_seed(self._run_seed, self._purpose, lane.index, episode)

    def _start_episode(self, lane: Lane, episode: int) -> np.ndarray:
        self._actions[lane.index] = []
        return lane.reset(episode, self._seed(lane, episode))

    def _finish_episode(self, lane: Lane, terminated: bool) -> None:
        self.finished.append(EpisodeSummary(lane.index, lane.total_reward, lane.length, terminated, lane.success))
        self.observation[lane.index] = self._start_episode(lane, lane.episode + 1)

    def _lane_state(self, lane: Lane) -> dict[str, Any]:
        state: dict[str, Any] = {
            "episode": lane.episode,
            "length": lane.length,
            "total_reward": lane.total_reward,
            "success": lane.success,
            "observation": self.observation[lane.index].copy(),
        }
        if self._by_state:
            state["simulation"] = capture_simulation(lane.environment)
        else:
            actions = self._actions[lane.index]
            state["actions"] = np.array(actions, dtype=np.float32).reshape(-1, self.spec.action_size)
        return state

    def _restore_lane(self, lane: Lane, stored: dict[str, Any]) -> np.ndarray | None:
        seed = self._seed(lane, int(stored["episode"]))
        total_reward = float(stored["total_reward"])
        if self._by_state:
            observation = restore_simulation(lane, seed, stored["simulation"])
        else:
            observation = restore_by_replay(lane, seed, stored["actions"])
            if lane.total_reward != total_reward:
                return None
            self._actions[lane.index] = list(np.asarray(stored["actions"], dtype=np.float32))
        if observation is None or observation.tobytes() != np.asarray(stored["observation"]).tobytes():
            return None
        lane.episode = int(stored["episode"])
        lane.length = int(stored["length"])
        lane.total_reward = total_reward
        lane.success = stored["success"]
        return observation
