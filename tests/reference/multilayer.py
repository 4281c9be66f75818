"""Multilayer perceptrons with hand-written gradients, and Adam, in NumPy float64. No JAX."""

import numpy as np


def to_numpy(network):
    """A network of any (weight, bias) pairs as a list of float64 pairs."""
    return [(np.asarray(weight, np.float64), np.asarray(bias, np.float64)) for weight, bias in network]


def sigmoid(x):
    return np.exp(-np.logaddexp(0.0, -x))


def softplus(x):
    return np.logaddexp(0.0, x)


def forward(network, inputs, activation="relu"):
    """Output [B, out], and what ``backward`` needs."""
    kept, hidden = [], inputs
    for index, (weight, bias) in enumerate(network):
        before = hidden @ weight + bias
        kept.append((hidden, before))
        if index == len(network) - 1:
            return before, kept
        hidden = np.maximum(before, 0.0) if activation == "relu" else np.tanh(before)
    raise ValueError("a network needs a layer")


def backward(network, kept, output_gradient, activation="relu"):
    """Gradients of the weights and biases, and of the inputs, from that of the output [B, out]."""
    gradients, signal = [], output_gradient
    for index in reversed(range(len(network))):
        inputs, before = kept[index]
        if index < len(network) - 1:
            signal = signal * ((before > 0) if activation == "relu" else 1.0 - np.tanh(before) ** 2)
        gradients.append((inputs.T @ signal, signal.sum(axis=0)))
        signal = signal @ network[index][0].T
    return gradients[::-1], signal


def adam(networks, gradients, moments, rate, count, b1=0.9, b2=0.999, epsilon=1e-8):
    """One Adam step (Kingma and Ba 2015, Algorithm 1) on lists of layers; ``count`` is 1 at the first step.

    ``moments`` is a list of (first, second) per array, or None at the start; returns (networks, moments).
    """
    arrays = [array for layer in networks for array in layer]
    slopes = [array for layer in gradients for array in layer]
    moments = moments or [(np.zeros_like(a), np.zeros_like(a)) for a in arrays]
    updated, kept = [], []
    for array, slope, (first, second) in zip(arrays, slopes, moments, strict=True):
        first = b1 * first + (1 - b1) * slope
        second = b2 * second + (1 - b2) * slope**2
        step = (first / (1 - b1**count)) / (np.sqrt(second / (1 - b2**count)) + epsilon)
        updated.append(array - rate * step)
        kept.append((first, second))
    return [tuple(updated[i : i + 2]) for i in range(0, len(updated), 2)], kept


def moved(target, online, rate):
    """Targets moved towards the online networks."""
    return [
        tuple((1 - rate) * t + rate * o for t, o in zip(*layers, strict=True))
        for layers in zip(target, online, strict=True)
    ]
