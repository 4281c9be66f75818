"""A trained policy as a plain NumPy callable, and its file.

Observation normalisation and action scaling are inside, so a loaded policy needs neither JAX nor the run that
made it. The file is one safetensors file (see ``credo.storage``): loading parses and never executes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo.policies.view import joined
from credo.storage import read_tensors, write_tensors
from credo.types import CredoError, number_array

FORMAT = "credo-policy"
VERSION = 2
"""2: normalised layers, and several actors with their critics; what needs neither is written as version 1."""
ACTIVATIONS = ("relu", "tanh")
SINGLE_THREAD_PRODUCT = 1 << 18
"""Rows x in x out up to which OpenBLAS, NumPy's usual backend, multiplies in the calling thread."""
LARGE_BATCH = 256
"""From this many rows on, several threads are worth their cost."""
_VECTORS = ("observation_mean", "observation_std", "action_low", "action_high")
_TENSOR = re.compile(r"(layers|(?:rivals|critics)\.[0-9]{1,3})\.([0-9]{1,3})\.(weight|bias|scale|offset)", re.ASCII)
NORMALISATION_EPSILON = 1e-5
"""Added to the variance over a normalised layer, as in ``credo.networks``."""


class Layer(NamedTuple):
    """One affine layer: ``x @ weight + bias``."""

    weight: np.ndarray
    """[in, out] float32."""
    bias: np.ndarray
    """[out] float32."""


class NormalisedLayer(NamedTuple):
    """An affine layer whose outputs are normalised over the layer, then scaled and shifted; never the last one."""

    weight: np.ndarray
    """[in, out] float32."""
    bias: np.ndarray
    """[out] float32."""
    scale: np.ndarray
    """[out] float32."""
    offset: np.ndarray
    """[out] float32."""


Network = tuple[Layer | NormalisedLayer, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Policy:
    """A deterministic multilayer perceptron with tanh-squashed output; or several of them, each with a critic, of
    which the one plays whose critic values its action most.

    Checked on construction (CredoError names the field): shapes that chain, finite values, positive
    ``observation_std``, ``action_low < action_high``. Arrays are stored as read-only float32.
    """

    layers: tuple[tuple[np.ndarray, ...], ...]
    """(weight, bias) from input to output, kept as ``Layer``, or (weight, bias, scale, offset), kept as
    ``NormalisedLayer``; ``activation`` follows all but the last, tanh that."""
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
    rivals: tuple[tuple[tuple[np.ndarray, ...], ...], ...] = ()
    """Further networks like ``layers``; what to play is then chosen in each observation."""
    critics: tuple[tuple[tuple[np.ndarray, ...], ...], ...] = ()
    """With rivals: the critic of ``layers`` and of each rival in turn, from (normalised observation, action in [-1, 1])
    to one value."""

    def __repr__(self) -> str:
        sizes = [len(self.observation_mean), *(layer[1].shape[-1] for layer in self.layers)]
        return f"<Policy of {self.environment or 'no named environment'}: {' - '.join(map(str, sizes))} units>"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise CredoError(f"policy: field activation: {self.activation!r} is not one of {', '.join(ACTIVATIONS)}")
        object.__setattr__(self, "layers", _network("layers", self.layers))
        for name in ("rivals", "critics"):
            networks = (_network(f"{name}[{i}]", network) for i, network in enumerate(getattr(self, name)))
            object.__setattr__(self, name, tuple(networks))
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
        inputs = (np.atleast_2d(array) - self.observation_mean) / self.observation_std
        action = np.tanh(self._output(self.layers, inputs))
        if self.rivals:
            actions = [action, *(np.tanh(self._output(rival, inputs)) for rival in self.rivals)]
            values = [
                self._output(critic, np.concatenate([inputs, action], axis=1))[:, 0]
                for critic, action in zip(self.critics, actions, strict=True)
            ]
            best = np.argmax(values, axis=0)
            action = np.stack(actions)[best, np.arange(len(inputs))]
        return action[0] if array.ndim == 1 else action

    def _output(self, network: tuple[tuple[np.ndarray, ...], ...], inputs: np.ndarray) -> np.ndarray:
        hidden = inputs
        for weight, bias, *normalisation in network[:-1]:
            hidden = _product(hidden, weight)
            hidden += bias
            if normalisation:
                hidden = _normalised(hidden, *normalisation)
            hidden = np.maximum(hidden, 0, out=hidden) if self.activation == "relu" else np.tanh(hidden, out=hidden)
        weight, bias = network[-1]
        return _product(hidden, weight) + bias

    def _checked(self, observation: np.ndarray | Mapping[str, Any]) -> np.ndarray:
        if isinstance(observation, Mapping):
            observation = joined(observation, self.metadata, self.environment)
        with np.errstate(over="ignore"):
            array = number_array("policy: observation", observation).astype(np.float32, copy=False)
        if array.ndim not in (1, 2) or array.shape[-1] != self.observation_size:
            raise CredoError(
                f"policy: observation has shape {array.shape}; [{self.observation_size}] or "
                f"[batch, {self.observation_size}] is what this {self.environment} policy takes"
            )
        return array

    def _finite(self, observation: np.ndarray | Mapping[str, Any]) -> np.ndarray:
        array = self._checked(observation)
        if not np.isfinite(array).all():
            raise CredoError(f"policy: observation holds {array[~np.isfinite(array)][0]}; finite numbers expected")
        return array

    def __call__(self, observation: np.ndarray | Mapping[str, Any]) -> np.ndarray:
        """Action in the environment's own units, float32 [A] or [B, A], for an observation [O] or [B, O].

        A Dict observation's entries are joined as the policy was shown them. CredoError on another shape, or where a
        value or the action is not finite: a robot is not to be sent what comes of it.
        """
        array = self._finite(observation)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
            share = (self.normalised_action(array) + 1) / 2
        action = self.action_low * (1 - share) + self.action_high * share
        return self._finite_action(array, np.clip(action, self.action_low, self.action_high))

    def _finite_action(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """The action; CredoError where it is not finite, as sums that overflow make it."""
        if not np.isfinite(action).all():
            raise CredoError(
                f"policy: observation holds values up to {np.abs(observation).max():g}, of which this "
                f"{self.environment} policy computes no finite action in float32; smaller ones expected"
            )
        return action


def save_policy(path: str | Path, policy: Policy, *, overwrite: bool = True) -> None:
    """Write the policy as one safetensors file, atomically; CredoError where it cannot be written, or is an
    ``OnnxPolicy``, which has no layers to write."""
    if not policy.layers:
        raise CredoError(
            f"{path}: a policy read from an ONNX file cannot be written as a policy file; keep the ONNX file"
        )
    tensors = {name: getattr(policy, name) for name in _VECTORS}
    networks = {"layers": policy.layers}
    networks |= {f"rivals.{n}": network for n, network in enumerate(policy.rivals)}
    networks |= {f"critics.{n}": network for n, network in enumerate(policy.critics)}
    for name, network in networks.items():
        for i, layer in enumerate(network):
            tensors |= {f"{name}.{i}.{part}": array for part, array in zip(_parts(layer), layer, strict=True)}
    plain = len(networks) == 1 and not any(name.endswith(".scale") for name in tensors)
    header = {
        "activation": policy.activation,
        "environment": policy.environment,
        **{f"metadata.{key}": str(value) for key, value in policy.metadata.items()},
    }
    version = 1 if plain else VERSION
    write_tensors(path, format=FORMAT, version=version, tensors=tensors, metadata=header, overwrite=overwrite)


def load_policy(path: str | Path) -> Policy:
    """Read a policy that ``save_policy`` wrote; it needs no JAX to run.

    CredoError, one line with file and field, for a file that is missing, truncated, damaged, of another
    format or newer version, or that holds wrong shapes, an unknown activation or non-finite weights.
    """
    tensors, header = read_tensors(path, format=FORMAT, version=VERSION)
    for name in _VECTORS:
        if name not in tensors:
            raise CredoError(f"{path}: field {name!r}: missing")
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise CredoError(f"{path}: field {name}: dtype {tensor.dtype} found, float32 expected")
    try:
        networks = _collected({name: tensor for name, tensor in tensors.items() if name not in _VECTORS})
        return Policy(
            layers=networks.pop("layers", ()),
            rivals=_numbered(networks, "rivals"),
            critics=_numbered(networks, "critics"),
            activation=header.get("activation", ""),
            environment=header.get("environment", ""),
            metadata={k.removeprefix("metadata."): v for k, v in header.items() if k.startswith("metadata.")},
            **{name: tensors[name] for name in _VECTORS},
        )
    except CredoError as error:
        raise CredoError(f"{path}: {error}") from None


def _parts(layer: tuple[np.ndarray, ...]) -> tuple[str, ...]:
    return Layer._fields if len(layer) == len(Layer._fields) else NormalisedLayer._fields


def _collected(tensors: dict[str, np.ndarray]) -> dict[str, Network]:
    """Networks by name from the tensors of their layers; CredoError on a name that has no place."""
    found: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise CredoError(f"field {name[:60]!r}: unknown")
        found.setdefault(match[1], {}).setdefault(int(match[2]), {})[match[3]] = tensor
    networks = {}
    for name, layers in found.items():
        made = []
        for index in range(len(layers)):
            parts = layers.get(index, {})
            kind = Layer if parts.keys() <= {*Layer._fields} else NormalisedLayer
            missing = [part for part in kind._fields if part not in parts]
            if missing:
                raise CredoError(f"field '{name}.{index}.{missing[0]}': missing")
            made.append(kind(**parts))
        networks[name] = tuple(made)
    return networks


def _numbered(networks: dict[str, Network], name: str) -> tuple[Network, ...]:
    """The networks NAME.0, NAME.1, ... in order; CredoError where one is left out."""
    count = sum(key.startswith(f"{name}.") for key in networks)
    for index in range(count):
        if f"{name}.{index}" not in networks:
            raise CredoError(f"field '{name}.{index}': missing")
    return tuple(networks[f"{name}.{index}"] for index in range(count))


def _normalised(outputs: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    centred = outputs - outputs.mean(axis=1, keepdims=True)
    variance = np.square(centred).mean(axis=1, keepdims=True)
    return centred / np.sqrt(variance + np.float32(NORMALISATION_EPSILON)) * scale + offset


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


def _network(name: str, network: tuple[tuple[np.ndarray, ...], ...]) -> Network:
    layers: list[Layer | NormalisedLayer] = []
    for i, layer in enumerate(network):
        parts = _parts(layer)
        if len(parts) != len(layer) or (i == len(network) - 1 and len(parts) > len(Layer._fields)):
            right = "weight and bias" if i == len(network) - 1 else "weight, bias and perhaps scale and offset"
            raise CredoError(f"policy: field {name}[{i}]: {len(layer)} arrays found, {right} expected")
        kind = Layer if len(parts) == len(Layer._fields) else NormalisedLayer
        arrays = [
            _frozen(f"{name}[{i}].{part}", array, 1 + (part == "weight"))
            for part, array in zip(parts, layer, strict=True)
        ]
        layers.append(kind(*arrays))
    return tuple(layers)


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
    size = policy.observation_mean.shape[0]
    if policy.observation_std.shape != (size,):
        found = policy.observation_std.shape
        raise CredoError(f"policy: field observation_std: shape {found} found, ({size},) expected")
    outputs = _chained("layers", policy.layers, size)
    for name in ("action_low", "action_high"):
        if getattr(policy, name).shape != (outputs,):
            found = getattr(policy, name).shape
            raise CredoError(f"policy: field {name}: shape {found} found, ({outputs},) expected")
    wanted = len(policy.rivals) + 1 if policy.rivals else 0
    if len(policy.critics) != wanted:
        raise CredoError(f"policy: field critics: {len(policy.critics)} found, {wanted} expected")
    judged = [("rivals", policy.rivals, size, outputs), ("critics", policy.critics, size + outputs, 1)]
    for name, networks, inputs, expected in judged:
        for i, network in enumerate(networks):
            given = _chained(f"{name}[{i}]", network, inputs)
            if given != expected:
                raise CredoError(f"policy: field {name}[{i}]: {given} outputs found, {expected} expected")


def _chained(name: str, network: tuple[tuple[np.ndarray, ...], ...], size: int) -> int:
    """The outputs of a network of ``size`` inputs; CredoError where its layers do not fit one another."""
    if not network:
        raise CredoError(f"policy: field {name}: empty, at least one layer expected")
    for i, (weight, *vectors) in enumerate(network):
        if weight.shape[0] != size:
            raise CredoError(f"policy: field {name}[{i}].weight: {weight.shape[0]} rows found, {size} expected")
        size = weight.shape[1]
        for part, vector in zip(NormalisedLayer._fields[1:], vectors, strict=False):
            if vector.shape != (size,):
                raise CredoError(f"policy: field {name}[{i}].{part}: shape {vector.shape} found, ({size},) expected")
    return size
