"""The open environments of one source, in this process: what a batch and an episode runner step.

``credo.environments.workers`` gives the same interface to environments in another process.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np

from credo.environments.errors import EnvironmentFaultError
from credo.environments.lane import EpisodeStart, Lane, LaneStep, Sums, step_lanes
from credo.environments.source import EnvironmentSource
from credo.environments.state import capture_simulation, has_simulation_state, restore_by_replay, restore_simulation
from credo.types import CredoError, EnvironmentSpec


class Running(NamedTuple):
    """The episode under way in a lane."""

    start: EpisodeStart
    sums: Sums


class Lanes:
    """Environments of one source, opened as they are needed."""

    def __init__(self, source: EnvironmentSource) -> None:
        """Open one environment, to check the source; CredoError as for ``make_environment``."""
        self._source = source
        self.opened = [Lane(source, 0)]

    @property
    def spec(self) -> EnvironmentSpec:
        return self.opened[0].spec

    @property
    def has_simulation_state(self) -> bool:
        """Whether ``capture`` works; else an episode is restored by its actions."""
        return has_simulation_state(self.opened[0].environment)

    def open(self, count: int) -> None:
        """Have at least ``count`` environments."""
        while len(self.opened) < count:
            self.opened.append(Lane(self._source, len(self.opened)))

    def reset(self, index: int, start: EpisodeStart) -> np.ndarray:
        """Begin an episode in environment ``index``: its first observation, [O] float32."""
        return self.opened[index].reset(start)

    def step(self, indices: list[int], action: np.ndarray) -> LaneStep:
        """Step the environments ``indices`` with the rows of ``action``, [len(indices), A] in [-1, 1]."""
        return step_lanes([self.opened[index] for index in indices], action)

    def running(self, index: int) -> Running:
        """The episode under way in environment ``index``."""
        lane = self.opened[index]
        return Running(lane.start, lane.sums)

    def capture(self, index: int) -> dict[str, Any]:
        """The state of environment ``index``, where ``has_simulation_state``."""
        return capture_simulation(self.opened[index].environment)

    def restore(
        self, index: int, running: Running, simulation: dict[str, Any] | None, actions: np.ndarray | None
    ) -> np.ndarray | None:
        """Bring environment ``index`` back into an episode, by its captured state or its actions [T, A].

        Returns its observation, or None where it does not come to the same sum of rewards or does not take the state.
        """
        lane = self.opened[index]
        if simulation is not None:
            observation = restore_simulation(lane, running.start, simulation)
        else:
            assert actions is not None
            observation = restore_by_replay(lane, running.start, actions)
            if lane.total_reward != running.sums.total_reward:
                return None
        lane.sums = running.sums
        return observation

    def seeding_note(self) -> str | None:
        """One line where episodes cannot be repeated, for the environment does not take a seed, or ignores it.

        It is asked of an environment opened for this, since every reset may change one's own state.
        """
        note = "runs cannot be reproduced, evaluations begin differently, and going on begins new episodes"
        with contextlib.suppress(EnvironmentFaultError, CredoError):
            lane = Lane(self._source, 0)
            try:
                first, second = (lane.reset(EpisodeStart(0, 0, 1)) for _ in range(2))
                if not lane.takes_seed:
                    return f"{self.spec.name} does not take a seed: {note}"
                if first.tobytes() != second.tobytes():
                    return f"{self.spec.name} begins differently from the same seed: {note}"
            finally:
                lane.close()
        return None

    def close(self) -> None:
        """Close the environments; safe to call twice."""
        for lane in self.opened:
            lane.close()
        self.opened = []
