"""A trained policy as a plain NumPy callable, and its file.

Observation normalisation and action scaling are inside, so a loaded policy needs neither JAX nor the run that
made it. The file is one safetensors file (see ``credo.storage``): loading parses and never executes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from credo.storage import read_tensors, write_tensors
from credo.types import CredoError

FORMAT = "credo-policy"
VERSION = 1
ACTIVATIONS = ("relu", "tanh")
SINGLE_THREAD_PRODUCT = 1 << 18
"""Rows x in x out up to which OpenBLAS, NumPy's usual backend, multiplies in the calling thread."""
LARGE_BATCH = 256
"""From this many rows on, several threads are worth their cost."""
_VECTORS = ("observation_mean", "observation_std", "action_low", "action_high")


class Layer(NamedTuple):
    """One affine layer: ``x @ weight + bias``."""

    weight: np.ndarray
    """[in, out] float32."""
    bias: np.ndarray
    """[out] float32."""


@dataclass(frozen=True, eq=False)
class Policy:
    """A deterministic multilayer perceptron with tanh-squashed output.

    Checked on construction (CredoError names the field): shapes that chain, finite values, positive
    ``observation_std``, ``action_low < action_high``. Arrays are stored as read-only float32.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """(weight, bias) from input to output, kept as ``Layer``; ``activation`` follows all but the last, tanh that."""
    activation: str
    """"relu" or "tanh"."""
    observation_mean: np.ndarray
    """[O] float32, subtracted from observations."""
    observation_std: np.ndarray
    """[O] float32 > 0, divides observations after the mean is subtracted."""
    action_low: np.ndarray
    """[A] float32: the environment's action that -1 stands for."""
    action_high: np.ndarray
    """[A] float32: the environment's action that +1 stands for."""
    environment: str
    """The environment's name, such as "Hopper-v5"."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Anything worth keeping with the weights: algorithm, seed, steps."""

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise CredoError(f"policy: field activation: {self.activation!r} is not one of {', '.join(ACTIVATIONS)}")
        layers = tuple(
            Layer(_frozen(f"layers[{i}].weight", weight, 2), _frozen(f"layers[{i}].bias", bias, 1))
            for i, (weight, bias) in enumerate(self.layers)
        )
        object.__setattr__(self, "layers", layers)
        for name in _VECTORS:
            object.__setattr__(self, name, _frozen(name, getattr(self, name), 1))
        _check_shapes(self)
        if not np.all(self.observation_std > 0):
            raise CredoError("policy: field observation_std: every value must be above 0")
        if not np.all(self.action_low < self.action_high):
            raise CredoError("policy: field action_low: every value must be below action_high")

    @property
    def observation_size(self) -> int:
        return self.observation_mean.shape[0]

    @property
    def action_size(self) -> int:
        return self.action_low.shape[0]

    def normalised_action(self, observation: np.ndarray) -> np.ndarray:
        """Action in [-1, 1], float32 [A] or [B, A], for an observation [O] or [B, O] of any float dtype.

        A row's action does not depend on the other rows beyond float32 rounding. CredoError on another shape.
        """
        array = self._checked(observation)
        hidden = np.atleast_2d(array)
        hidden = (hidden - self.observation_mean) / self.observation_std
        for weight, bias in self.layers[:-1]:
            hidden = _product(hidden, weight)
            hidden += bias
            hidden = np.maximum(hidden, 0, out=hidden) if self.activation == "relu" else np.tanh(hidden, out=hidden)
        weight, bias = self.layers[-1]
        action = np.tanh(_product(hidden, weight) + bias)
        return action[0] if array.ndim == 1 else action

    def _checked(self, observation: np.ndarray) -> np.ndarray:
        array = np.asarray(observation, dtype=np.float32)
        if array.ndim not in (1, 2) or array.shape[-1] != self.observation_size:
            raise CredoError(
                f"policy: observation has shape {array.shape}; [{self.observation_size}] or "
                f"[batch, {self.observation_size}] is what this {self.environment} policy takes"
            )
        return array

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Action in the environment's own units, float32 [A] or [B, A]; see ``normalised_action``."""
        share = (self.normalised_action(observation) + 1) / 2
        action = self.action_low * (1 - share) + self.action_high * share
        return np.clip(action, self.action_low, self.action_high)


def save_policy(path: str | Path, policy: Policy, *, overwrite: bool = True) -> None:
    """Write the policy as one safetensors file, atomically; CredoError where it cannot be written, or is an
    ``OnnxPolicy``, which has no layers to write."""
    if not policy.layers:
        raise CredoError(
            f"{path}: a policy read from an ONNX file cannot be written as a policy file; keep the ONNX file"
        )
    tensors = {name: getattr(policy, name) for name in _VECTORS}
    for i, (weight, bias) in enumerate(policy.layers):
        tensors[f"layers.{i}.weight"] = weight
        tensors[f"layers.{i}.bias"] = bias
    header = {
        "activation": policy.activation,
        "environment": policy.environment,
        **{f"metadata.{key}": str(value) for key, value in policy.metadata.items()},
    }
    write_tensors(path, format=FORMAT, version=VERSION, tensors=tensors, metadata=header, overwrite=overwrite)


def load_policy(path: str | Path) -> Policy:
    """Read a policy that ``save_policy`` wrote; it needs no JAX to run.

    CredoError, one line with file and field, for a file that is missing, truncated, damaged, of another
    format or newer version, or that holds wrong shapes, an unknown activation or non-finite weights.
    """
    tensors, header = read_tensors(path, format=FORMAT, version=VERSION)
    count = (len(tensors) - len(_VECTORS)) // 2
    layer_names = [(f"layers.{i}.weight", f"layers.{i}.bias") for i in range(count)]
    expected = {*_VECTORS, *(name for pair in layer_names for name in pair)}
    if set(tensors) != expected:
        odd = min(set(tensors) ^ expected)
        raise CredoError(f"{path}: field {odd[:60]!r}: {'unknown' if odd in tensors else 'missing'}")
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise CredoError(f"{path}: field {name}: dtype {tensor.dtype} found, float32 expected")
    try:
        return Policy(
            layers=tuple(Layer(tensors[weight], tensors[bias]) for weight, bias in layer_names),
            activation=header.get("activation", ""),
            environment=header.get("environment", ""),
            metadata={k.removeprefix("metadata."): v for k, v in header.items() if k.startswith("metadata.")},
            **{name: tensors[name] for name in _VECTORS},
        )
    except CredoError as error:
        raise CredoError(f"{path}: {error}") from None


def _product(hidden: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``hidden @ weight``, in blocks of rows small enough to stay in one thread.

    A rollout calls this tens of thousands of times with a few rows; threads that wait for one another on a
    busy machine made it five times slower.
    """
    rows, block = len(hidden), SINGLE_THREAD_PRODUCT // weight.size
    if rows <= block or rows >= LARGE_BATCH or block < 2:
        return hidden @ weight
    blocks = -(-rows // block)
    padded = np.zeros((blocks * block, hidden.shape[1]), np.float32)
    padded[:rows] = hidden
    product = padded.reshape(blocks, block, -1) @ weight
    return product.reshape(blocks * block, -1)[:rows]


def _frozen(name: str, value: np.ndarray, dimensions: int) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise CredoError(f"policy: field {name}: dtype {array.dtype} found, float32 expected")
    if array.ndim != dimensions or 0 in array.shape:
        raise CredoError(f"policy: field {name}: shape {array.shape} found, {dimensions} non-empty axes expected")
    with np.errstate(over="ignore"):
        array = np.array(array, dtype=np.float32, order="C")
    if not np.isfinite(array).all():
        raise CredoError(f"policy: field {name}: holds NaN or infinity, finite values expected")
    array.flags.writeable = False
    return array


def _check_shapes(policy: Policy) -> None:
    if not policy.layers:
        raise CredoError("policy: field layers: empty, at least one layer expected")
    size = policy.observation_mean.shape[0]
    if policy.observation_std.shape != (size,):
        found = policy.observation_std.shape
        raise CredoError(f"policy: field observation_std: shape {found} found, ({size},) expected")
    for i, (weight, bias) in enumerate(policy.layers):
        if weight.shape[0] != size:
            raise CredoError(f"policy: field layers[{i}].weight: {weight.shape[0]} rows found, {size} expected")
        size = weight.shape[1]
        if bias.shape != (size,):
            raise CredoError(f"policy: field layers[{i}].bias: shape {bias.shape} found, ({size},) expected")
    for name in ("action_low", "action_high"):
        if getattr(policy, name).shape != (size,):
            raise CredoError(f"policy: field {name}: shape {getattr(policy, name).shape} found, ({size},) expected")
