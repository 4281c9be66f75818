"""A replay buffer of one seed, in host memory.

A ring of transitions that holds each observation once: the successor of a slot is the next slot's observation, except
where the next slot holds something else (an episode's end, the newest transition of each environment), whose successor
lies in a side table. Pages are touched only when written, so a large capacity costs nothing until it is used.
"""

from __future__ import annotations

from collections.abc import Iterable

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

    @property
    def oldest(self) -> int:
        """The oldest step that each lane holds, counted from the first ever written."""
        return self.written - min(self.written, self.length)

    def rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The steps ``start`` (``oldest`` or later) to ``stop`` of every lane, as arrays that never change again.

        observation [n, lanes, O], action [n, lanes, A], reward, terminated and ended [n, lanes]; successor [k, O] of
        the k that ended, in that order. The successor of any other is the next step's observation, or ``newest``.
        """
        slots = self._slots_of(start, stop)
        ended = self.ended[slots]
        return {
            "observation": self.observation[slots],
            "action": self.action[slots],
            "reward": self.reward[slots],
            "terminated": self.terminated[slots],
            "ended": ended,
            "successor": self.side[self.side_index[slots[ended]]],
        }

    def newest(self) -> np.ndarray:
        """The successor of each lane's newest step, [lanes, O]; [0, O] where nothing was written."""
        if not self.written:
            return self.side[:0]
        return self.side[self.side_index[self._slots_of(self.written - 1, self.written)[0]]]

    def restore(self, written: int, chunks: Iterable[tuple[int, dict[str, np.ndarray]]], newest: np.ndarray) -> None:
        """The inverse of ``rows`` and ``newest``: ``chunks`` are (start, rows) in order, which may begin before the
        oldest step that is held. On a buffer of the same lanes that is as long, or longer where none wrapped."""
        self.written = written
        self.side_index[:] = _NONE
        self.side_free = list(range(self.side.shape[0] - 1, -1, -1))
        reached = self.oldest
        for start, rows in chunks:
            skipped = max(reached - start, 0)
            stop = start + len(rows["reward"])
            if start > reached or stop > written:
                break
            if stop <= reached:
                continue
            slots, ended = self._slots_of(reached, stop), rows["ended"][skipped:]
            for name in ("observation", "action", "reward", "terminated", "ended"):
                getattr(self, name)[slots] = rows[name][skipped:]
            count = int(np.count_nonzero(ended))
            self._store(slots[ended], rows["successor"][len(rows["successor"]) - count :])
            reached = stop
        if reached != written:
            raise ValueError(f"the steps {reached} to {written} are missing, or do not fit {self.capacity} slots")
        if written:
            slots = self._slots_of(written - 1, written)[0]
            waiting = ~self.ended[slots]
            self._store(slots[waiting], newest[waiting])

    def end_episode(self, lane: int) -> None:
        """Let the newest step of a lane be an episode's last: what comes next does not follow from it."""
        if self.written:
            self.ended[lane * self.length + (self.written - 1) % self.length] = True

    def _slots_of(self, start: int, stop: int) -> np.ndarray:
        """[n, lanes]: where the steps of every lane lie."""
        return np.arange(start, stop)[:, None] % self.length + np.arange(self.lanes) * self.length


def bytes_needed(transitions: int, observation_size: int, action_size: int) -> int:
    """Host memory of a full buffer (bytes), the side table aside."""
    return transitions * (4 * (observation_size + action_size + 1 + 1) + 2)
