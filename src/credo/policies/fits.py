"""Whether a policy can act in an environment: sizes and the bounds of its actions."""

from __future__ import annotations

import numpy as np

from credo.policies.onnx import OnnxPolicy
from credo.policies.policy import Policy
from credo.types import CredoError, EnvironmentSpec, same_bounds


def fitted_policy(policy: Policy, spec: EnvironmentSpec) -> Policy:
    """The policy, with the environment's bounds where it is an ONNX network that does not say those of its actions.

    CredoError where sizes differ, or bounds: Credo's [-1, 1] would stand for other actions than it was trained with.
    """
    for name, found, expected in (
        ("observation", policy.observation_size, spec.observation_size),
        ("action", policy.action_size, spec.action_size),
    ):
        if found != expected:
            raise CredoError(f"{_named(policy)}: {name} has {found} dimensions, but {spec.name} has {expected}")
    if isinstance(policy, OnnxPolicy) and not policy.says_bounds:
        return policy.bounded(*spec.policy_bounds)
    own, wanted = np.stack([policy.action_low, policy.action_high]), np.stack([spec.action_low, spec.action_high])
    differs = np.flatnonzero(~same_bounds(own, wanted))
    if differs.size:
        i = int(differs[0])
        raise CredoError(
            f"{_named(policy)}: action dimension {i} is from {own[0, i]:g} to {own[1, i]:g}, but in {spec.name} from "
            f"{wanted[0, i]:g} to {wanted[1, i]:g}; an environment with the policy's own bounds expected"
        )
    return policy


def _named(policy: Policy) -> str:
    return f"policy of {policy.environment or 'unknown origin'}"
