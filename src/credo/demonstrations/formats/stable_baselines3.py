"""Policies that stable-baselines3 saved (``.zip``), for rolling out. Needs neither stable-baselines3 nor PyTorch.

Of the archive, the tensors in ``policy.pth`` and the plain JSON of ``data`` are read; what is pickled in either is
never loaded. SAC, TD3, DDPG, PPO and A2C with the standard "MlpPolicy" are understood. Observation statistics of
``VecNormalize`` are kept in a pickle of their own, which is refused: a policy trained with them has to be given as a
Python callable that applies them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from credo.action_box import to_unit
from credo.demonstrations.formats.npz import checked_members
from credo.demonstrations.formats.recording import check_declared, reading
from credo.demonstrations.formats.torch_tensors import read_tensors
from credo.files import parse_json
from credo.policies import Layer, Policy
from credo.types import CredoError, EnvironmentSpec

_POLICY, _DATA = "policy.pth", "data"
_CLASS = re.compile(r"torch\.nn\.modules\.activation\.(\w+)")
_ACTIVATIONS = {"ReLU": "relu", "Tanh": "tanh"}
_LATENTS = {
    "sac": r"actor\.latent_pi\.(\d+)\.",
    "td3": r"actor\.mu\.(\d+)\.",
    "on-policy": r"mlp_extractor\.policy_net\.(\d+)\.",
}
_HEADS = {"sac": "actor.mu", "td3": None, "on-policy": "action_net"}


def is_policy(path: Path) -> bool:
    """Whether a file is an archive with a policy of stable-baselines3."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _POLICY in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def load_stable_baselines3(path: Path, spec: EnvironmentSpec) -> Policy | Callable[[np.ndarray], np.ndarray]:
    """The deterministic policy of an archive: a ``Policy`` for SAC, TD3 and DDPG; for PPO and A2C, whose action is not
    squashed but clipped to the box, a function from [B, O] to [B, A] in [-1, 1].

    CredoError, in one line, for whatever is not understood, and where its sizes are not those of ``spec``.
    """
    with reading(path, "stable-baselines3"):
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in checked_members(path, archive)}
            for name in (_POLICY, _DATA):
                if name not in members:
                    raise CredoError(f"{path}: field {name}: missing; a policy saved by stable-baselines3 expected")
                check_declared(path, name, members[name].file_size, members[name].compress_size)
            tensors = read_tensors(path, _POLICY, archive.read(_POLICY), members[_POLICY].compress_size)
            data = parse_json(f"{path}: field {_DATA}", archive.read(_DATA))
        kind = _kind(path, tensors)
        layers = _layers(path, tensors, kind)
        given = data.get("policy_kwargs")
        settings = given if isinstance(given, dict) else {}
        activation = _activation(path, settings.get("activation_fn"), "tanh" if kind == "on-policy" else "relu")
        if kind == "on-policy" and settings.get("squash_output"):
            raise CredoError(
                f"{path}: field {_DATA}: policy_kwargs.squash_output is true; PPO and A2C are read where it is false, "
                "with actions that are clipped: give this policy as a Python function"
            )
    if layers[0].weight.shape[0] != spec.observation_size or layers[-1].bias.shape[0] != spec.action_size:
        raise CredoError(
            f"{path}: takes {layers[0].weight.shape[0]} observations and gives {layers[-1].bias.shape[0]} actions, "
            f"but {spec.name} has {spec.observation_size} and {spec.action_size}"
        )
    low, high = spec.policy_bounds
    policy = Policy(
        layers=tuple(layers),
        activation=activation,
        observation_mean=np.zeros(spec.observation_size),
        observation_std=np.ones(spec.observation_size),
        action_low=low,
        action_high=high,
        environment=spec.name,
    )
    return policy if kind != "on-policy" else ClippedPolicy(policy)


class ClippedPolicy:
    """A policy whose last layer gives the environment's own action, clipped to its box; can go to other processes."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """[B, O] to [B, A] in [-1, 1]."""
        low, high = self.policy.action_low, self.policy.action_high
        hidden = np.asarray(observation, np.float32)
        for weight, bias in self.policy.layers[:-1]:
            hidden = hidden @ weight + bias
            hidden = np.maximum(hidden, 0) if self.policy.activation == "relu" else np.tanh(hidden)
        weight, bias = self.policy.layers[-1]
        action = np.clip(hidden @ weight + bias, low, high)
        # Rounding may leave [-1, 1] where the box is narrow and far from 0.
        return np.clip(to_unit(action, low, high), -1, 1)


def _kind(path: Path, tensors: dict[str, np.ndarray]) -> str:
    if any(".features_extractor." in f".{name}" for name in tensors):
        raise CredoError(
            f"{path}: field {_POLICY}: has a features extractor with weights; only plain networks are read"
        )
    if "action_net.weight" in tensors:
        return "on-policy"
    if "actor.mu.weight" in tensors:
        return "sac"
    if "actor.mu.0.weight" in tensors and "actor.log_std" not in tensors:
        return "td3"
    raise CredoError(f"{path}: field {_POLICY}: no actor of SAC, TD3, DDPG, PPO or A2C (without gSDE) found")


def _layers(path: Path, tensors: dict[str, np.ndarray], kind: str) -> list[Layer]:
    numbers = sorted({int(match[1]) for name in tensors if (match := re.match(_LATENTS[kind], name))})
    prefix = _LATENTS[kind].split(r"\.(")[0].replace("\\", "")
    names = [f"{prefix}.{number}" for number in numbers]
    head = _HEADS[kind]
    layers = []
    for name in names if head is None else [*names, head]:
        weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise CredoError(f"{path}: field {_POLICY}: {name} is no affine layer")
        layers.append(Layer(weight.T, bias))
    return layers


def _activation(path: Path, given: object, default: str) -> str:
    """The name of the activation; the class is written out as text beside its pickle."""
    if given is None:
        return default
    match = _CLASS.search(str(given))
    if match is None or match[1] not in _ACTIVATIONS:
        raise CredoError(f"{path}: field {_DATA}: activation {str(given)[:60]}; ReLU and Tanh are read")
    return _ACTIVATIONS[match[1]]
