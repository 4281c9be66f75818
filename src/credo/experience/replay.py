"""A replay buffer of one seed, in host memory.

A ring of transitions that holds each observation once: the successor of a slot is the next slot's observation, except
where the next slot holds something else (an episode's end, the newest transition of each environment), whose successor
lies in a side table. Pages are touched only when written, so a large capacity costs nothing until it is used.
"""

from __future__ import annotations

import numpy as np

from credo.types import Transition

_NONE = -1


class Replay:
    """The newest ``capacity`` transitions of ``lanes`` environments; ``capacity`` is a multiple of ``lanes``.

    Lane e owns the slots [e * length, (e + 1) * length) as a ring of its own, so that consecutive slots are consecutive
    steps of one environment.
    """

    def __init__(self, capacity: int, observation_size: int, action_size: int, lanes: int = 1):
        if capacity < lanes or capacity % lanes:
            raise ValueError(f"capacity {capacity} must be a positive multiple of lanes {lanes}")
        self.capacity, self.lanes, self.length = capacity, lanes, capacity // lanes
        self.written = 0  # steps written to each lane, ever
        self.observation = np.zeros((capacity, observation_size), np.float32)
        self.action = np.zeros((capacity, action_size), np.float32)
        self.reward = np.zeros(capacity, np.float32)
        self.terminated = np.zeros(capacity, bool)
        self.ended = np.zeros(capacity, bool)  # terminated or truncated
        self.side_index = np.full(capacity, _NONE, np.int32)
        self.side = np.zeros((max(64, 2 * lanes), observation_size), np.float32)
        self.side_free = list(range(self.side.shape[0] - 1, -1, -1))

    def __len__(self) -> int:
        """Transitions held."""
        return min(self.written, self.length) * self.lanes

    @property
    def terminations(self) -> int:
        """Transitions held that ended an episode."""
        return int(np.count_nonzero(self.terminated))

    def add(self, steps: Transition, ended: np.ndarray) -> None:
        """Append a chunk: every field [steps, lanes, ...], in time order; ``ended`` [steps, lanes] bool is terminated
        or truncated. A chunk longer than a lane keeps its end."""
        count = steps.reward.shape[0]
        for lane in range(self.lanes):
            for start in range(0, count, self.length):
                part = slice(start, min(start + self.length, count))
                self._add_lane(lane, part, steps, ended, self.written + start)
        self.written += count

    def _add_lane(self, lane: int, part: slice, steps: Transition, ended: np.ndarray, written: int) -> None:
        base = lane * self.length
        slots = base + (written + np.arange(part.stop - part.start)) % self.length
        if written:
            newest = base + (written - 1) % self.length
            if not self.ended[newest]:  # its successor is the first observation of this chunk
                self._release(np.array([newest]))
        self._release(slots)
        self.observation[slots] = steps.observation[part, lane]
        self.action[slots] = steps.action[part, lane]
        self.reward[slots] = steps.reward[part, lane]
        self.terminated[slots] = steps.terminated[part, lane]
        self.ended[slots] = ended[part, lane]
        aside = ended[part, lane].copy()
        aside[-1] = True
        self._store(slots[aside], steps.next_observation[part, lane][aside])

    def _release(self, slots: np.ndarray) -> None:
        rows = self.side_index[slots]
        self.side_free.extend(rows[rows != _NONE].tolist())
        self.side_index[slots] = _NONE

    def _store(self, slots: np.ndarray, observations: np.ndarray) -> None:
        while len(self.side_free) < len(slots):
            old = self.side.shape[0]
            self.side = np.concatenate([self.side, np.zeros_like(self.side)])
            self.side_free.extend(range(2 * old - 1, old - 1, -1))
        rows = np.array([self.side_free.pop() for _ in slots], np.int32)
        self.side[rows] = observations
        self.side_index[slots] = rows

    def _slots(self) -> np.ndarray:
        """Slots that hold a transition, oldest lane first."""
        held = min(self.written, self.length)
        return (np.arange(self.lanes)[:, None] * self.length + np.arange(held)).ravel()

    def gather(self, slots: np.ndarray) -> Transition:
        """Transitions at ``slots`` (any shape)."""
        successor = slots - slots % self.length + (slots + 1) % self.length
        next_observation = self.observation[successor]
        rows = self.side_index[slots]
        aside = rows != _NONE
        next_observation[aside] = self.side[rows[aside]]
        return Transition(
            observation=self.observation[slots],
            action=self.action[slots],
            reward=self.reward[slots],
            next_observation=next_observation,
            terminated=self.terminated[slots],
        )

    def sample_slots(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Slots drawn uniformly with replacement; the buffer must not be empty."""
        held = min(self.written, self.length)
        drawn = generator.integers(0, held * self.lanes, shape)
        return drawn // held * self.length + drawn % held

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Transition:
        """Transitions drawn uniformly with replacement, fields [*shape, ...]."""
        return self.gather(self.sample_slots(generator, shape))

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps: only what was written."""
        slots = self._slots()
        aside = slots[self.side_index[slots] != _NONE]
        return {
            "written": np.array(self.written, np.int64),
            "observation": self.observation[slots],
            "action": self.action[slots],
            "reward": self.reward[slots],
            "terminated": self.terminated[slots],
            "ended": self.ended[slots],
            "side_slot": aside.astype(np.int64),
            "side_observation": self.side[self.side_index[aside]],
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """The inverse of ``state``, on a buffer of the same lanes that is as long, or longer where none wrapped."""
        self.written = int(state["written"])
        slots = self._slots()
        if len(slots) != len(state["reward"]):
            raise ValueError(f"replay of {len(state['reward'])} transitions does not fit {self.capacity} slots")
        for name in ("observation", "action", "reward", "terminated", "ended"):
            getattr(self, name)[slots] = state[name]
        self.side_index[:] = _NONE
        self.side_free = list(range(self.side.shape[0] - 1, -1, -1))
        self._store(state["side_slot"], state["side_observation"])


def bytes_needed(transitions: int, observation_size: int, action_size: int) -> int:
    """Host memory of a full buffer (bytes), the side table aside."""
    return transitions * (4 * (observation_size + action_size + 1 + 1) + 2)
