"""Stable, sample-efficient adversarial imitation learning, with the diagnostics that show a blow-up coming.

import credo

run = credo.imitate(environment="Hopper-v5", demonstrations="hopper-expert", steps=50_000, seeds=2)
policy = run.policy()
action = policy(observation)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from credo.api import Run, imitate, resume, train_expert
    from credo.config import RunConfig
    from credo.demonstrations import Demonstrations, load_demonstrations
    from credo.evaluating import Evaluation, evaluate
    from credo.exporting import export
    from credo.plugins import register_learner, register_regulariser, register_reward
    from credo.policies import Policy, load_policy
    from credo.presets import preset
    from credo.types import CredoError

# Names are imported when first used, so that the command line and plain policies do not wait for JAX.
_ROOMS = {
    "Run": "credo.api",
    "imitate": "credo.api",
    "resume": "credo.api",
    "train_expert": "credo.api",
    "RunConfig": "credo.config",
    "Evaluation": "credo.evaluating",
    "evaluate": "credo.evaluating",
    "export": "credo.exporting",
    "Demonstrations": "credo.demonstrations",
    "load_demonstrations": "credo.demonstrations",
    "Policy": "credo.policies",
    "load_policy": "credo.policies",
    "preset": "credo.presets",
    "register_learner": "credo.plugins",
    "register_regulariser": "credo.plugins",
    "register_reward": "credo.plugins",
    "CredoError": "credo.types",
}

__all__ = [
    "CredoError",
    "Demonstrations",
    "Evaluation",
    "Policy",
    "Run",
    "RunConfig",
    "evaluate",
    "export",
    "imitate",
    "load_demonstrations",
    "load_policy",
    "preset",
    "register_learner",
    "register_regulariser",
    "register_reward",
    "resume",
    "train_expert",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'credo' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ROOMS[name]), name)
