"""Capture and restore an environment in the middle of an episode, as plain scalars and arrays.

Two ways. Gymnasium's own MuJoCo tasks keep all that changes in ``mjData``: they are restored by it. Every
other environment is restored by its reset seed and a replay of the episode's actions, which needs no
knowledge of it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from credo.environments.construct import wrapper_stack
from credo.environments.errors import EnvironmentFaultError
from credo.environments.lane import EpisodeStart, Lane, as_float32

# What a step reads before the simulation moves, or an observation reports, and the integration state omits.
# These hold values from before the last integration, so mj_forward would give others.
_DERIVED = (
    "xpos",
    "xipos",
    "cinert",
    "cvel",
    "cfrc_ext",
    "qfrc_actuator",
    "qfrc_constraint",
)
_TRANSPARENT_WRAPPERS = (
    gymnasium.wrappers.TimeLimit,
    gymnasium.wrappers.OrderEnforcing,
    gymnasium.wrappers.PassiveEnvChecker,
)


def has_simulation_state(environment: gymnasium.Env) -> bool:
    """Whether the environment is one of Gymnasium's MuJoCo tasks in wrappers that add only a time limit.

    A user's subclass may keep state in Python, so it is left to replay.
    """
    *wrappers, innermost = wrapper_stack(environment)
    return type(innermost).__module__.startswith("gymnasium.envs.mujoco.") and all(
        type(wrapper) in _TRANSPARENT_WRAPPERS for wrapper in wrappers
    )


def capture_simulation(environment: gymnasium.Env) -> dict[str, Any]:
    """The state of a Gymnasium MuJoCo task: arrays, the generator's state, the time limit's counter."""
    import mujoco

    innermost: Any = environment.unwrapped
    model, data = innermost.model, innermost.data
    integration = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
    mujoco.mj_getState(model, data, integration, mujoco.mjtState.mjSTATE_INTEGRATION)
    return {
        "integration": integration,
        "derived": np.concatenate([getattr(data, name).ravel() for name in _DERIVED]),
        "generator": innermost.np_random.bit_generator.state,
        "elapsed_steps": _elapsed_steps(environment),
    }


def restore_simulation(lane: Lane, start: EpisodeStart, state: dict[str, Any]) -> np.ndarray | None:
    """Put a MuJoCo task into a captured state; its observation [O] float32, or None if the model differs."""
    import mujoco

    environment = lane.environment
    innermost: Any = environment.unwrapped
    lane.reset(start)
    model, data = innermost.model, innermost.data
    targets = [getattr(data, name) for name in _DERIVED]
    integration, derived = np.asarray(state["integration"]), np.asarray(state["derived"])
    expected_size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    if integration.size != expected_size or derived.size != sum(target.size for target in targets):
        return None
    mujoco.mj_setState(model, data, integration.copy(), mujoco.mjtState.mjSTATE_INTEGRATION)
    offset = 0
    for target in targets:
        target[...] = derived[offset : offset + target.size].reshape(target.shape)
        offset += target.size
    innermost.np_random.bit_generator.state = state["generator"]
    for layer in wrapper_stack(environment):
        if isinstance(layer, gymnasium.wrappers.TimeLimit):
            layer._elapsed_steps = state["elapsed_steps"]
    return as_float32(innermost._get_obs())


def restore_by_replay(lane: Lane, start: EpisodeStart, actions: np.ndarray) -> np.ndarray | None:
    """Reset and step through ``actions`` [T, A] float32; the last observation, or None if it ends early or fails.

    The lane's sums are those of the replayed steps, so the caller can compare them too.
    """
    try:
        observation = lane.reset(start)
        for action in actions:
            found, _, terminated, truncated = lane.step(lane.scale(action))
            if terminated or truncated:
                return None
            observation = lane.checked(found)
    except EnvironmentFaultError:
        return None
    return as_float32(observation)


def _elapsed_steps(environment: gymnasium.Env) -> int | None:
    for layer in wrapper_stack(environment):
        if isinstance(layer, gymnasium.wrappers.TimeLimit):
            return layer._elapsed_steps
    return None
