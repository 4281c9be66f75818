"""Small environments that isolate one ability each, so that a learner's failure points at its cause.

None is registered: pass the class, or ``functools.partial(TimeLimitProbe, terminates=True)``, as the source.
Unless said otherwise observation and action are of size 1 and the action box is [-1, 1].
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np

Outcome = tuple[np.ndarray, float, bool, bool, dict[str, Any]]


class _Probe(gymnasium.Env):
    """Spaces and seeding; a subclass says how an episode starts and steps."""

    max_episode_steps: int | None = 1

    def __init__(self, observation_size: int = 1, action_size: int = 1, action_bound: float = 1.0) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-action_bound, action_bound, (action_size,), np.float32)
        self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._step = 0
        return self._start(), {}

    def step(self, action: np.ndarray) -> Outcome:
        self._step += 1
        return self._advance(np.asarray(action, dtype=np.float32))

    def _start(self) -> np.ndarray:
        return np.zeros(1, np.float32)

    def _advance(self, action: np.ndarray) -> Outcome:
        raise NotImplementedError


class ConstantReward(_Probe):
    """One step, observation 0, reward 1: the critic must learn the value 1."""

    def _advance(self, action: np.ndarray) -> Outcome:
        return np.zeros(1, np.float32), 1.0, True, False, {}


class ObservationReward(_Probe):
    """One step, observation -1 or +1 at random, reward = observation: the critic must use the observation."""

    def _start(self) -> np.ndarray:
        self._observation = np.array([self.np_random.choice([-1.0, 1.0])], np.float32)
        return self._observation

    def _advance(self, action: np.ndarray) -> Outcome:
        return np.zeros(1, np.float32), float(self._observation[0]), True, False, {}


class DelayedReward(_Probe):
    """Two steps, observation 0 then 1, reward 1 at the second: values are the discount, then 1."""

    max_episode_steps = 2

    def _advance(self, action: np.ndarray) -> Outcome:
        last = self._step == 2
        return np.full(1, self._step, np.float32), float(last), last, False, {}


class ActionReward(_Probe):
    """One step, observation 0, reward -(action - 0.5)^2: the actor must learn 0.5."""

    best_action = 0.5

    def _advance(self, action: np.ndarray) -> Outcome:
        reward = -((float(action[0]) - self.best_action) ** 2)
        return np.zeros(1, np.float32), reward, True, False, {}


class ObservationActionReward(_Probe):
    """One step, observation -1 or +1, reward -(action - observation / 2)^2: the actor must use it."""

    def _start(self) -> np.ndarray:
        self._observation = np.array([self.np_random.choice([-1.0, 1.0])], np.float32)
        return self._observation

    def _advance(self, action: np.ndarray) -> Outcome:
        reward = -((float(action[0]) - 0.5 * float(self._observation[0])) ** 2)
        return np.zeros(1, np.float32), reward, True, False, {}


class TimeLimitProbe(_Probe):
    """Observation 0 and reward 1 always (``late``: at an episode's last step alone); after ``limit`` steps the episode
    is truncated, or terminated.

    The observation does not tell the step, so temporal-difference learning finds one value (``value``).
    """

    def __init__(self, limit: int = 5, terminates: bool = False, late: bool = False) -> None:
        super().__init__()
        self.max_episode_steps = limit
        self._limit = limit
        self._terminates = terminates
        self._late = late

    def value(self, discount: float, trace: float = 0.0) -> float:
        """The value that TD(``trace``) finds: truncation must not shorten it, termination must.

        It makes the sum of the temporal-difference errors of an episode's steps, each as often as the steps before it
        in the episode see it, (discount trace)^distance, vanish. With trace 0 all count once, and one step in ``limit``
        ends the episode: v = 1 + discount (1 - 1/limit) v where that terminates.
        """
        seen = np.cumsum((discount * trace) ** np.arange(self._limit))
        reward, going_on = np.ones(self._limit), np.ones(self._limit)
        if self._late:
            reward[:-1] = 0
        if self._terminates:
            going_on[-1] = 0
        return float(seen @ reward / (seen @ (1 - discount * going_on)))

    def _advance(self, action: np.ndarray) -> Outcome:
        ended = self._step >= self._limit
        reward = 0.0 if self._late and not ended else 1.0
        return np.zeros(1, np.float32), reward, ended and self._terminates, ended and not self._terminates, {}


class AutoresetProbe(_Probe):
    """Observation [episode, step], reward = step: a successor taken from the next episode is visible.

    Episodes are counted over the life of the object, so its state cannot be restored in another one.
    """

    def __init__(self, length: int = 3, terminates: bool = True) -> None:
        super().__init__(observation_size=2)
        self.max_episode_steps = length
        self._length = length
        self._terminates = terminates
        self._episode = -1

    def _start(self) -> np.ndarray:
        self._episode += 1
        return np.array([self._episode, 0], np.float32)

    def _advance(self, action: np.ndarray) -> Outcome:
        ended = self._step >= self._length
        observation = np.array([self._episode, self._step], np.float32)
        return observation, float(self._step), ended and self._terminates, ended and not self._terminates, {}


class PointMass(_Probe):
    """A point mass in the plane that should reach the origin and stay: 50 steps, then truncation.

    Observation [4]: position x, y and velocity x, y. Action [2]: force in [-2, 2]; mass 1, steps of 0.1 s,
    slight drag. It starts at rest, each coordinate uniform in [-1, 1]. Reward max(0, 1 - distance from the
    origin), so a return is in [0, 50]. ``info["is_success"]``: within 0.1 of the origin and slower than 0.1.
    """

    max_episode_steps = 50

    def __init__(self) -> None:
        super().__init__(observation_size=4, action_size=2, action_bound=2.0)

    def _start(self) -> np.ndarray:
        self._position = self.np_random.uniform(-1, 1, 2)
        self._velocity = np.zeros(2)
        return self._observe()

    def _observe(self) -> np.ndarray:
        return np.concatenate([self._position, self._velocity]).astype(np.float32)

    def _advance(self, action: np.ndarray) -> Outcome:
        self._velocity = 0.98 * self._velocity + 0.1 * np.clip(action, -2, 2)
        self._position = self._position + 0.1 * self._velocity
        distance = float(np.linalg.norm(self._position))
        success = distance < 0.1 and float(np.linalg.norm(self._velocity)) < 0.1
        reward = max(0.0, 1 - distance)
        return self._observe(), reward, False, self._step >= 50, {"is_success": success}


def point_mass_expert(observation: np.ndarray) -> np.ndarray:
    """A spring and a damper: [..., 4] to [..., 2] in [-1, 1], for ``PointMass``."""
    force = -4 * observation[..., :2] - 3 * observation[..., 2:]
    return np.clip(force / 2, -1, 1).astype(np.float32)


class Fragile(_Probe):
    """Fails at step ``fail_at`` of episode ``fail_episode``, and behaves otherwise: 10 steps of reward 1."""

    max_episode_steps = 10

    def __init__(
        self,
        fail_at: int = 3,
        how: Literal["raise", "observation", "reward"] = "observation",
        fail_episode: int = 0,
    ) -> None:
        super().__init__()
        self._fail_at = fail_at
        self._how = how
        self._fail_episode = fail_episode
        self._episode = -1

    def _start(self) -> np.ndarray:
        self._episode += 1
        return np.zeros(1, np.float32)

    def _advance(self, action: np.ndarray) -> Outcome:
        observation, reward = np.full(1, self._step, np.float32), 1.0
        if self._step == self._fail_at and self._episode == self._fail_episode:
            if self._how == "raise":
                raise RuntimeError(f"the simulator failed at step {self._step}")
            if self._how == "observation":
                observation = np.full(1, np.nan, np.float32)
            else:
                reward = float("nan")
        return observation, reward, False, self._step >= 10, {}
