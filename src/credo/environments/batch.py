"""The environments of one seed, stepped together, with autoreset hidden."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from credo.environment_name import same_environment
from credo.environments.errors import EnvironmentFaultError
from credo.environments.lane import EpisodeStart, Sums, clip_action
from credo.environments.lanes import Running
from credo.environments.source import EnvironmentSource
from credo.environments.workers import Workers, open_lanes
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


SHORT_EPISODES = 100
"""So many episodes of one step in a row are worth a note, where the time limit does not make them so short."""


class EnvironmentBatch:
    """The environments of ONE seed, stepped one after the other: in the calling thread, or in a worker process.

    Episode e of environment i is reset with ``episode_seed(run_seed, Purpose.ENVIRONMENT, i, e)``, so it starts the
    same whatever happened before it.

    Attributes:
        spec: sizes, action bounds and time limit.
        observation: [N, O] float32, what to act on next; already the next episode's where one ended.
        finished: episodes that ended since ``drain_finished`` was last called, oldest first.
        notes: lines about odd behaviour that is no error, each told once; whoever shows them clears the list.
    """

    def __init__(
        self,
        source: EnvironmentSource,
        run_seed: int,
        count: int = 1,
        workers: Workers | None = None,
    ) -> None:
        """Build and reset ``count`` environments, in a process of ``workers`` where there are any.

        Raises:
            CredoError: see ``make_environment``; or ``count`` below 1; or an environment whose first reset fails.
        """
        if count < 1:
            raise CredoError(f"environments: {count} is not a number of environments; it must be at least 1")
        self._run_seed = run_seed
        self._count = count
        self.finished: list[EpisodeSummary] = []
        self.notes: list[str] = []
        self._short = 0
        self._lanes = open_lanes(source, workers, run_seed)
        try:
            self._lanes.open(count)
            self.spec: EnvironmentSpec = self._lanes.spec
            self._by_state = self._lanes.has_simulation_state
            self._episodes = [0] * count
            # The current episode's actions, kept only where they are what restores it.
            self._actions: list[list[np.ndarray]] = [[] for _ in range(count)]
            self.observation = np.stack([self._start_episode(index, 0) for index in range(count)])
        except EnvironmentFaultError as error:
            self.close()
            raise CredoError(f"environment: {error}") from error
        except BaseException:
            self.close()
            raise

    def step(self, action: np.ndarray) -> Step:
        """Step every environment once and start the next episode where one ended.

        Args:
            action: [N, A] in [-1, 1]; clipped to that, then scaled to the environment's box.

        Raises:
            NonFiniteActionError: before anything is stepped.
            EnvironmentFaultError: an environment raised, returned what cannot be used, hung or died.
        """
        clipped = clip_action(action, self._count, self.spec)
        if not self._by_state:
            for log, row in zip(self._actions, clipped, strict=True):
                log.append(row)
        outcome = self._lanes.step(list(range(self._count)), clipped)
        next_observation = self.observation = outcome.next_observation
        if outcome.ended:
            # A copy: the step keeps the true successors, what to act on next is the next episode's.
            self.observation = next_observation.copy()
            for index, sums in zip(outcome.ended, outcome.sums, strict=True):
                self._finish_episode(index, sums, outcome.terminated[index])
        return Step(next_observation, outcome.reward, np.array(outcome.terminated), np.array(outcome.truncated))

    def drain_finished(self) -> list[EpisodeSummary]:
        """The episodes that ended since the last call, oldest first."""
        finished, self.finished = self.finished, []
        return finished

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs, in nested dicts with string keys of plain scalars and NumPy arrays.

        Raises:
            EnvironmentFaultError: they are in another process, which hung or died.
        """
        return {
            "environment": self.spec.name,
            "run_seed": int(self._run_seed),
            "purpose": int(Purpose.ENVIRONMENT),
            "count": self._count,
            "lanes": {str(index): self._lane_state(index) for index in range(self._count)},
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
            "purpose": int(Purpose.ENVIRONMENT),
            "count": self._count,
        }
        for field, value in own.items():
            named = field == "environment" and same_environment(str(state[field]), str(value))
            if not named and state[field] != value:
                raise CredoError(f"{field}: the stored environments have {state[field]!r}; it must be {value!r}")
        lines = []
        observation = np.empty_like(self.observation)
        for index in range(self._count):
            stored = state["lanes"][str(index)]
            restored = self._restore_lane(index, stored)
            if restored is None:
                episode = int(stored["episode"]) + 1
                lines.append(
                    f"environment {index} ({self.spec.name}) keeps state that cannot be restored: "
                    f"it goes on from the start of episode {episode} instead of step {stored['length']} "
                    f"of episode {stored['episode']}"
                )
                restored = self._start_episode(index, episode)
            observation[index] = restored
        self.observation = observation
        finished = state["finished"]
        self.finished = [_summary(**finished[str(index)]) for index in range(len(finished))]
        return lines

    def seeding_note(self) -> str | None:
        """One line where episodes cannot be repeated; see ``Lanes.seeding_note``."""
        return self._lanes.seeding_note()

    def close(self) -> None:
        """Close the environments; safe to call twice."""
        self._lanes.close()

    def _start(self, index: int, episode: int) -> EpisodeStart:
        return EpisodeStart(self._run_seed, episode, episode_seed(self._run_seed, Purpose.ENVIRONMENT, index, episode))

    def _start_episode(self, index: int, episode: int) -> np.ndarray:
        self._actions[index] = []
        self._episodes[index] = episode
        return self._lanes.reset(index, self._start(index, episode))

    def _finish_episode(self, index: int, sums: Sums, terminated: bool) -> None:
        self.finished.append(EpisodeSummary(index, sums.total_reward, sums.length, terminated, sums.success))
        self._short = self._short + 1 if sums.length == 1 and self.spec.max_episode_steps != 1 else 0
        if self._short == SHORT_EPISODES:
            self.notes.append(
                f"{self.spec.name} of seed {self._run_seed}: the last {SHORT_EPISODES} episodes ended after one step; "
                "is that meant? (said once)"
            )
        self.observation[index] = self._start_episode(index, self._episodes[index] + 1)

    def _lane_state(self, index: int) -> dict[str, Any]:
        running = self._lanes.running(index)
        state: dict[str, Any] = {
            "episode": running.start.episode,
            "length": running.sums.length,
            "total_reward": running.sums.total_reward,
            "success": running.sums.success,
            "observation": self.observation[index].copy(),
        }
        if self._by_state:
            state["simulation"] = self._lanes.capture(index)
        else:
            actions = self._actions[index]
            state["actions"] = np.array(actions, dtype=np.float32).reshape(-1, self.spec.action_size)
        return state

    def _restore_lane(self, index: int, stored: dict[str, Any]) -> np.ndarray | None:
        episode = int(stored["episode"])
        sums = Sums(float(stored["total_reward"]), int(stored["length"]), stored["success"])
        actions = None if self._by_state else np.asarray(stored["actions"], dtype=np.float32)
        simulation = stored["simulation"] if self._by_state else None
        observation = self._lanes.restore(index, Running(self._start(index, episode), sums), simulation, actions)
        if observation is None or observation.tobytes() != np.asarray(stored["observation"]).tobytes():
            return None
        self._episodes[index] = episode
        self._actions[index] = [] if actions is None else list(actions)
        return observation


def _summary(environment_index: Any, total_reward: Any, length: Any, terminated: Any, success: Any) -> EpisodeSummary:
    """A stored summary; ValueError or TypeError where what stands there is no number."""
    told = None if success is None else bool(success)
    return EpisodeSummary(int(environment_index), float(total_reward), int(length), bool(terminated), told)
