"""Multilayer perceptrons as plain pytrees, for one seed; the caller maps over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from credo.types import Array

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


class Layer(NamedTuple):
    """One affine layer: ``x @ weight + bias``."""

    weight: Array
    """[inputs, outputs] float32."""
    bias: Array
    """[outputs] float32."""


class NormalisedLayer(NamedTuple):
    """An affine layer whose outputs are normalised over the layer, then scaled and shifted (Ba et al. 2016, Eq. 4)."""

    weight: Array
    """[inputs, outputs] float32."""
    bias: Array
    """[outputs] float32."""
    scale: Array
    """[outputs] float32."""
    offset: Array
    """[outputs] float32."""


Network = tuple[Layer | NormalisedLayer, ...]
NORMALISATION_EPSILON = 1e-5
"""Added to the variance over a layer, as in PyTorch."""


def initialise(key: Array, sizes: Sequence[int], layer_norm: bool = False) -> Network:
    """Layers between consecutive sizes; weights and biases uniform within +- 1 / sqrt(inputs), which is what the
    authors' TD3 and SD3 start from (PyTorch's default). With ``layer_norm`` all but the last are normalised."""

    def layer(key: Array, inputs: int, outputs: int) -> Layer:
        weight_key, bias_key = jax.random.split(key)
        bound = inputs**-0.5
        weight = jax.random.uniform(weight_key, (inputs, outputs), jnp.float32, -bound, bound)
        return Layer(weight, jax.random.uniform(bias_key, (outputs,), jnp.float32, -bound, bound))

    keys = jax.random.split(key, len(sizes) - 1)
    layers = tuple(layer(k, i, o) for k, i, o in zip(keys, sizes[:-1], sizes[1:], strict=True))
    if not layer_norm:
        return layers
    hidden = (NormalisedLayer(*x, jnp.ones_like(x.bias), jnp.zeros_like(x.bias)) for x in layers[:-1])
    return (*hidden, layers[-1])


def apply(network: Network, inputs: Array, activation: str = "relu") -> Array:
    """[..., inputs] -> [..., outputs]; the last layer is linear."""
    nonlinearity = ACTIVATIONS[activation]
    for layer in network[:-1]:
        inputs = nonlinearity(_normalised(layer, _affine(layer, inputs)))
    return _affine(network[-1], inputs)


def _affine(layer: Layer | NormalisedLayer, inputs: Array) -> Array:
    product = inputs @ layer.weight
    return product + jnp.broadcast_to(layer.bias, product.shape)


def _normalised(layer: Layer | NormalisedLayer, outputs: Array) -> Array:
    """The layer's outputs, normalised where the layer is of that kind."""
    if isinstance(layer, Layer):
        return outputs
    centred = outputs - jnp.mean(outputs, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    scale, offset = (jnp.broadcast_to(x, outputs.shape) for x in (layer.scale, layer.offset))
    return centred * jax.lax.rsqrt(variance + NORMALISATION_EPSILON) * scale + offset


def q_value(network: Network, observation: Array, action: Array) -> Array:
    """A critic's value, [...]: the discounted return of ``action`` in ``observation`` (each [..., size])."""
    return apply(network, jnp.concatenate([observation, action], axis=-1))[..., 0]


def q_values(network: Network, observation: Array, actions: Array) -> Array:
    """A critic's values, [..., K], of K actions [..., K, A] in each observation [..., O].

    What the first layer makes of the observation is computed once for all K.
    """
    first, size = network[0], observation.shape[-1]
    shared = _affine(first._replace(weight=first.weight[:size]), observation)[..., None, :]
    outputs = actions @ first.weight[size:] + shared
    if len(network) == 1:
        return outputs[..., 0]
    return apply(network[1:], ACTIVATIONS["relu"](_normalised(first, outputs)))[..., 0]


def copy(tree):
    """A pytree with buffers of its own: a donated state must not hold one buffer twice."""
    return jax.tree.map(jnp.copy, tree)


def move_towards(target, online, rate: float):
    """Exponential moving average of parameters: target + rate (online - target)."""
    return jax.tree.map(lambda t, o: t + rate * (o - t), target, online)


def all_finite(tree) -> Array:
    """Whether every entry of a pytree of floats is finite (bool scalar)."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
