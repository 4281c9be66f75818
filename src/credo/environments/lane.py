"""One environment and the episode under way in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np

from credo.environments.construct import EnvironmentSource, environment_spec, make_environment, source_name
from credo.environments.errors import NonFiniteActionError, NonFiniteEnvironmentError
from credo.types import CredoError, EnvironmentSpec

_LARGEST_REWARD = float(np.finfo(np.float32).max)
_MINUS_ONE, _PLUS_ONE = np.float32(-1), np.float32(1)


class ActionScale(NamedTuple):
    """Maps [-1, 1] onto an environment's action box."""

    centre: np.ndarray
    half_width: np.ndarray
    low: np.ndarray
    high: np.ndarray
    identity: bool
    """The box is [-1, 1] in float32: nothing to do."""

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """[..., A] float32 in [-1, 1] to the box, in the box's own type."""
        if self.identity:
            return action
        scaled = self.half_width * action
        scaled += self.centre
        # Rounding may leave the box by one unit in the last place, and some environments assert on that.
        return np.minimum(np.maximum(scaled, self.low), self.high).astype(self.low.dtype)


def action_scale(environment: gymnasium.Env) -> ActionScale:
    """The scale of an environment that ``make_environment`` accepted."""
    space = environment.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    assert space.dtype is not None
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    identity = bool(space.dtype == np.float32 and (low == -1).all() and (high == 1).all())
    # Halves first: high - low of a very wide box could overflow.
    return ActionScale(low / 2 + high / 2, high / 2 - low / 2, space.low, space.high, identity)


class Lane:
    """An open environment with the running sums of its current episode. Public to this package only."""

    def __init__(self, source: EnvironmentSource, index: int) -> None:
        self.index = index
        self.environment = make_environment(source)
        self.spec: EnvironmentSpec = environment_spec(self.environment, source_name(source))
        self.scale = action_scale(self.environment)
        self.episode = -1
        self.total_reward = 0.0
        self.length = 0
        self.success: bool | None = None

    def reset(self, episode: int, seed: int) -> np.ndarray:
        """Start an episode; returns its first observation, [O] float32."""
        observation, _ = self.environment.reset(seed=seed)
        self.episode = episode
        self.total_reward = 0.0
        self.length = 0
        self.success = None
        first = as_float32(observation)
        if first.shape != (self.spec.observation_size,):
            raise CredoError(
                f"environment: '{self.spec.name}' returned an observation of shape {first.shape}; its "
                f"observation space promises {(self.spec.observation_size,)}"
            )
        if not np.isfinite(first).all():
            raise NonFiniteEnvironmentError(self.spec.name, self.index, "observation")
        return first

    def step(self, scaled_action: np.ndarray) -> tuple[Any, float, bool, bool]:
        """One step with an action in the environment's own box; the observation comes back unconverted."""
        observation, reward, terminated, truncated, info = self.environment.step(scaled_action)
        reward = float(reward)
        # False for NaN too.
        if not -_LARGEST_REWARD < reward < _LARGEST_REWARD:
            raise NonFiniteEnvironmentError(self.spec.name, self.index, "reward")
        self.total_reward += reward
        self.length += 1
        if info:
            success = info.get("success")
            if success is None:
                success = info.get("is_success")
            if success is not None:
                self.success = bool(success) or bool(self.success)
        return observation, reward, bool(terminated), bool(truncated)

    def close(self) -> None:
        self.environment.close()


def as_float32(value: Any) -> np.ndarray:
    """To float32; what exceeds its range becomes infinite without a warning (callers check for that)."""
    with np.errstate(over="ignore"):
        return np.array(value, dtype=np.float32)


class LaneStep(NamedTuple):
    """What one step of N lanes gave."""

    next_observation: np.ndarray
    """[N, O] float32, finite."""
    reward: np.ndarray
    """[N] float32, finite."""
    terminated: list[bool]
    truncated: list[bool]
    ended: list[int]
    """Rows whose episode ended, either way."""


def step_lanes(lanes: list[Lane], action: np.ndarray) -> LaneStep:
    """Step each lane once with its row of ``action``.

    Args:
        lanes: N open lanes of one source.
        action: [N, A] float32, finite and in [-1, 1].

    Raises:
        NonFiniteEnvironmentError: an observation or reward is not finite.
    """
    observations: list[Any] = []
    rewards: list[float] = []
    terminated: list[bool] = []
    truncated: list[bool] = []
    ended: list[int] = []
    for lane, row in zip(lanes, lanes[0].scale(action), strict=True):
        observation, reward, is_terminated, is_truncated = lane.step(row)
        if is_terminated or is_truncated:
            ended.append(len(rewards))
        observations.append(observation)
        rewards.append(reward)
        terminated.append(is_terminated)
        truncated.append(is_truncated)
    next_observation = as_float32(observations)
    if not all_finite(next_observation):
        bad = int(np.argmin(np.isfinite(next_observation).all(axis=1)))
        raise NonFiniteEnvironmentError(lanes[bad].spec.name, lanes[bad].index, "observation")
    return LaneStep(next_observation, np.array(rewards, dtype=np.float32), terminated, truncated, ended)


def all_finite(values: np.ndarray) -> bool:
    """``np.isfinite(values).all()`` in half its time, which counts in small batches."""
    return np.count_nonzero(np.isfinite(values)) == values.size


def clip_action(action: Any, count: int, spec: EnvironmentSpec) -> np.ndarray:
    """Check and clip a batch of actions: [count, A] float32 in [-1, 1].

    Raises:
        ValueError: wrong shape.
        NonFiniteActionError: NaN or infinity in it.
    """
    checked = np.asarray(action, dtype=np.float32)
    if checked.shape != (count, spec.action_size):
        raise ValueError(f"action has shape {checked.shape}; {spec.name} needs {(count, spec.action_size)}")
    if not all_finite(checked):
        bad = int(np.argmin(np.isfinite(checked).all(axis=1)))
        raise NonFiniteActionError(f"the action of environment {bad} ({spec.name}) is not finite: {checked[bad]}")
    return np.minimum(np.maximum(checked, _MINUS_ONE), _PLUS_ONE)
