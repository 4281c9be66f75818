"""One environment and the episode under way in it; whatever it does wrong becomes a typed error that says where."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np

from credo.action_box import centre_and_half_width
from credo.environments.construct import environment_spec, make_environment
from credo.environments.errors import EnvironmentFaultError, NonFiniteActionError, NonFiniteEnvironmentError, Place
from credo.environments.source import EnvironmentSource, source_name
from credo.environments.view import without_seeding
from credo.types import EnvironmentSpec, one_line

_LARGEST_REWARD = float(np.finfo(np.float32).max)
_MINUS_ONE, _PLUS_ONE = np.float32(-1), np.float32(1)
_NUMBERS = "fiub"
"""Kinds of dtypes that an observation may have."""
_FLAGS = (bool, np.bool_)


class ActionScale(NamedTuple):
    """Maps [-1, 1] onto an environment's action box."""

    centre: np.ndarray
    half_width: np.ndarray
    low: np.ndarray
    high: np.ndarray
    identity: bool
    """The box is [-1, 1] in float32: nothing to reckon."""

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """[..., A] float32 in [-1, 1] to the box, in the box's own type."""
        if self.identity:
            # A copy: an environment may change what it is given, and the caller's array is recorded.
            return action.copy()
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
    return ActionScale(*centre_and_half_width(low, high), space.low, space.high, identity)


class EpisodeStart(NamedTuple):
    """How an episode begins."""

    run_seed: int
    """For messages alone."""
    episode: int
    reset_seed: int


class Sums(NamedTuple):
    """The running sums of an episode."""

    total_reward: float = 0.0
    length: int = 0
    """Steps."""
    success: bool | None = None
    """Whether ``info["success"]`` or ``info["is_success"]`` held at any step; None without such an entry."""


def told_success(info: Any) -> Any:
    """What ``info`` says of success; None where it says nothing."""
    if not isinstance(info, dict) or not info:
        return None
    success = info.get("success")
    return info.get("is_success") if success is None else success


class Lane:
    """An open environment with the running sums of its current episode. Public to this package only.

    What the environment raises, and what it returns that cannot be used, becomes an ``EnvironmentFaultError``.
    """

    def __init__(self, source: EnvironmentSource, index: int) -> None:
        self.index = index
        self.environment = make_environment(source)
        self.spec: EnvironmentSpec = environment_spec(self.environment, source_name(source))
        self.scale = action_scale(self.environment)
        self.start = EpisodeStart(0, -1, 0)
        self.takes_seed = True
        self._begun = False
        self.total_reward = 0.0
        self.length = 0
        self.success: bool | None = None

    @property
    def sums(self) -> Sums:
        return Sums(self.total_reward, self.length, self.success)

    @sums.setter
    def sums(self, sums: Sums) -> None:
        self.total_reward, self.length, self.success = sums

    def reset(self, start: EpisodeStart) -> np.ndarray:
        """Start an episode; returns its first observation, [O] float32, finite."""
        self.start = start
        self.sums = Sums()
        try:
            result = self.environment.reset(seed=start.reset_seed)
        except Exception as error:
            if self._begun:
                raise self._raised(error, 0) from error
            result = self._reset_without_seed(error)
        self._begun = True
        if not isinstance(result, tuple) or len(result) != 2:
            raise self._fault("result", f"reset returned {_kind(result)}; (observation, info) expected", 0)
        first = as_float32(self.checked(result[0], 0))
        if not np.isfinite(first).all():
            raise NonFiniteEnvironmentError(self._place(0), "observation")
        return first

    def _reset_without_seed(self, error: Exception) -> Any:
        """The very first reset failed: perhaps it is the seed that the environment does not take."""
        environment = without_seeding(self.environment)
        try:
            result = environment.reset()
        except Exception:
            raise self._raised(error, 0) from error
        self.environment, self.takes_seed = environment, False
        return result

    def step(self, scaled_action: np.ndarray) -> tuple[Any, float, bool, bool]:
        """One step with an action in the environment's own box; the observation comes back as it is."""
        try:
            result = self.environment.step(scaled_action)
        except Exception as error:
            raise self._raised(error, self.length + 1) from error
        self.length += 1
        if not isinstance(result, tuple) or len(result) != 5:
            expected = "(observation, reward, terminated, truncated, info) expected"
            raise self._fault("result", f"step returned {_kind(result)}; {expected}", self.length)
        observation, reward, terminated, truncated, info = result
        reward = self._number(reward)
        # False for NaN too.
        if not -_LARGEST_REWARD < reward < _LARGEST_REWARD:
            raise NonFiniteEnvironmentError(self._place(self.length), "reward")
        self.total_reward += reward
        success = told_success(info)
        if success is not None:
            self.success = self._flag("success", success) or bool(self.success)
        return observation, reward, self._flag("terminated", terminated), self._flag("truncated", truncated)

    def checked(self, observation: Any, step: int | None = None) -> np.ndarray:
        """An observation as an array of numbers [O] of any type; the fault of one that is not."""
        step = self.length if step is None else step
        try:
            array = np.asarray(observation)
        except ValueError:
            raise self._fault("observation", "returned a ragged observation; an array expected", step) from None
        expected = (self.spec.observation_size,)
        if array.dtype.kind not in _NUMBERS:
            raise self._fault("observation", f"returned an observation of type {array.dtype}; numbers expected", step)
        if array.shape != expected:
            complaint = f"returned an observation of shape {array.shape}; its observation space promises {expected}"
            raise self._fault("observation", complaint, step)
        return array

    def close(self) -> None:
        self.environment.close()

    def non_finite_observation(self) -> NonFiniteEnvironmentError:
        """The error of the step just made."""
        return NonFiniteEnvironmentError(self._place(self.length), "observation")

    def _number(self, reward: Any) -> float:
        if isinstance(reward, float):
            return float(reward)
        array = _single(reward)
        if array is None:
            raise self._fault("reward", f"returned the reward {_kind(reward)}; a number expected", self.length)
        return float(array)

    def _flag(self, name: str, value: Any) -> bool:
        if isinstance(value, _FLAGS):
            return bool(value)
        array = _single(value)
        if array is None:
            raise self._fault("termination", f"returned {name} as {_kind(value)}; a bool expected", self.length)
        return bool(array)

    def _place(self, step: int) -> Place:
        return Place(self.spec.name, self.index, self.start.run_seed, self.start.episode, step)

    def _fault(self, what: str, complaint: str, step: int) -> EnvironmentFaultError:
        return EnvironmentFaultError(self._place(step), what, complaint)

    def _raised(self, error: Exception, step: int) -> EnvironmentFaultError:
        return self._fault("exception", f"raised {type(error).__name__}: {one_line(error, 300)}", step)


def _single(value: Any) -> np.ndarray | None:
    """A number or flag, or an array of one, without axes; None for anything else."""
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array.reshape(()) if array.size == 1 and array.dtype.kind in _NUMBERS else None


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
    sums: list[Sums]
    """Of the episodes that ended, in the order of ``ended``."""


def step_lanes(lanes: list[Lane], action: np.ndarray) -> LaneStep:
    """Step each lane once with its row of ``action``.

    Args:
        lanes: N open lanes of one source.
        action: [N, A] float32, finite and in [-1, 1].

    Raises:
        EnvironmentFaultError: a lane's environment misbehaved.
    """
    observations: list[Any] = []
    rewards: list[float] = []
    terminated: list[bool] = []
    truncated: list[bool] = []
    ended: list[int] = []
    shape = (lanes[0].spec.observation_size,)
    for lane, row in zip(lanes, lanes[0].scale(action), strict=True):
        observation, reward, is_terminated, is_truncated = lane.step(row)
        if type(observation) is not np.ndarray or observation.shape != shape or observation.dtype.kind not in _NUMBERS:
            observation = lane.checked(observation)
        if is_terminated or is_truncated:
            ended.append(len(rewards))
        observations.append(observation)
        rewards.append(reward)
        terminated.append(is_terminated)
        truncated.append(is_truncated)
    next_observation = as_float32(observations)
    if not all_finite(next_observation):
        raise lanes[int(np.argmin(np.isfinite(next_observation).all(axis=1)))].non_finite_observation()
    sums = [lanes[row].sums for row in ended]
    return LaneStep(next_observation, np.array(rewards, dtype=np.float32), terminated, truncated, ended, sums)


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


def _kind(value: Any) -> str:
    """What a value is, briefly."""
    if isinstance(value, tuple):
        return f"{len(value)} values"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"{repr(value)[:40]} ({type(value).__name__})"
