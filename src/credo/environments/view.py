"""What a policy is shown of an environment: chosen entries of a Dict observation as one vector, and the last frames.

Both are wrappers around the environment, and both are written into a policy's metadata (``policies.view``), so that a
stored policy is run on what it was trained on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from credo.types import CredoError


class SelectedKeys(gymnasium.ObservationWrapper):
    """Entries of a Dict observation, flattened and joined in the order given: a vector [O]."""

    def __init__(self, environment: gymnasium.Env, keys: Sequence[str], name: str) -> None:
        super().__init__(environment)
        space = getattr(environment, "observation_space", None)
        if not isinstance(space, gymnasium.spaces.Dict):
            raise CredoError(f"observation_keys: '{name}' has no Dict observations; leave --observation-keys out")
        if len(set(keys)) != len(keys):
            raise CredoError(f"observation_keys: {' '.join(keys)}: a key is given twice")
        for key in keys:
            entry = space.spaces.get(key)
            if entry is None:
                known = ", ".join(map(str, space.spaces))
                raise CredoError(f"observation_keys: '{name}' has no observation {key!r}; it has {known}")
            if not isinstance(entry, gymnasium.spaces.Box) or entry.dtype is None or entry.dtype.kind not in "fiu":
                raise CredoError(f"observation_keys: {key!r} of '{name}' is {entry}; boxes of numbers can be joined")
        self.keys = tuple(keys)
        parts = [space.spaces[key] for key in keys]
        low, high = (np.concatenate([getattr(part, side).ravel() for part in parts]) for side in ("low", "high"))
        kind = np.result_type(*[part.dtype for part in parts])
        self.observation_space = gymnasium.spaces.Box(low.astype(kind), high.astype(kind), dtype=kind.type)

    def observation(self, observation: Any) -> np.ndarray:
        return np.concatenate([np.ravel(observation[key]) for key in self.keys])


class StackedFrames(gymnasium.Wrapper):
    """The last K observations as one vector [K * O], oldest first; an episode's first observation fills the stack."""

    def __init__(self, environment: gymnasium.Env, frames: int) -> None:
        super().__init__(environment)
        space = environment.observation_space
        assert isinstance(space, gymnasium.spaces.Box)
        assert space.dtype is not None
        low, high = np.tile(space.low, frames), np.tile(space.high, frames)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=space.dtype.type)
        self._frames: deque[np.ndarray] = deque(maxlen=frames)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Any]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._frames.extend([np.array(observation)] * (self._frames.maxlen or 1))
        return np.concatenate(self._frames), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        observation, *rest = self.env.step(action)
        self._frames.append(np.array(observation))
        return np.concatenate(self._frames), *rest  # type: ignore[return-value]


class Unseeded(gymnasium.Wrapper):
    """Around an environment whose ``reset`` takes no seed: it is reset without one."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        return self.env.reset() if options is None else self.env.reset(options=options)


def without_seeding(environment: gymnasium.Env) -> gymnasium.Env:
    """The environment, its innermost one reset without a seed."""
    if not isinstance(environment, gymnasium.Wrapper):
        return Unseeded(environment)
    layer = environment
    while isinstance(layer.env, gymnasium.Wrapper):
        layer = layer.env
    layer.env = Unseeded(layer.env)
    return environment
