"""How far real discriminators are from Eq. 9: small networks trained on continuous tasks with known densities.

The task is linear and Gaussian: s' = F s + G a + noise, a ~ N(K s + b, deviation^2 I). Every s_t is Gaussian, so the
discounted occupancy is a known mixture of Gaussians and the optimal logit is exact at any (s, a). The network is the
paper's: two hidden layers of 100 tanh units, Adam, batches of 128; NumPy alone.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy import linalg, special

from credo.types import CredoError


class LinearTask(NamedTuple):
    """A linear Gaussian control task with discounted, truncated horizon."""

    state_matrix: np.ndarray
    """F [K, K]."""
    action_matrix: np.ndarray
    """G [K, A]."""
    noise_deviation: float
    start_deviation: float
    discount: float
    horizon: int
    """Steps after which the discounted sum is cut and renormalised; it defines the task, so densities stay exact."""


class LinearPolicy(NamedTuple):
    """a ~ N(gain s + offset, deviation^2 I)."""

    gain: np.ndarray
    """[A, K]."""
    offset: np.ndarray
    """[A]."""
    deviation: float


class Network(NamedTuple):
    """Weights and biases of a tanh network with one output."""

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]


def point_mass_task() -> LinearTask:
    """Position and velocity (K = 2) pushed by one force (A = 1)."""
    return LinearTask(np.array([[1.0, 0.1], [0.0, 0.95]]), np.array([[0.0], [0.3]]), 0.05, 0.5, 0.95, 60)


def _state_moments(task: LinearTask, policy: LinearPolicy) -> tuple[np.ndarray, np.ndarray]:
    """Means [T, K] and covariances [T, K, K] of s_t."""
    size = task.state_matrix.shape[0]
    closed = task.state_matrix + task.action_matrix @ policy.gain
    drift = task.action_matrix @ policy.offset
    spread = task.noise_deviation**2 * np.eye(size) + policy.deviation**2 * task.action_matrix @ task.action_matrix.T
    means, covariances = [np.zeros(size)], [task.start_deviation**2 * np.eye(size)]
    for _ in range(task.horizon - 1):
        means.append(closed @ means[-1] + drift)
        covariances.append(closed @ covariances[-1] @ closed.T + spread)
    return np.array(means), np.array(covariances)


def _time_weights(task: LinearTask) -> np.ndarray:
    weights = task.discount ** np.arange(task.horizon)
    return weights / weights.sum()


def log_occupancy_density(
    task: LinearTask, policy: LinearPolicy, states: np.ndarray, actions: np.ndarray
) -> np.ndarray:
    """log rho(s, a), exact, at states [N, K] and actions [N, A]: a mixture of Gaussians in time, times the policy."""
    means, covariances = _state_moments(task, policy)
    terms = np.empty((task.horizon, len(states)))
    for t, weight in enumerate(_time_weights(task)):
        factor = np.linalg.cholesky(covariances[t])
        white = linalg.solve_triangular(factor, (states - means[t]).T, lower=True)
        terms[t] = np.log(weight) - 0.5 * np.sum(white**2, axis=0) - np.sum(np.log(np.diag(factor)))
    log_state = special.logsumexp(terms, axis=0) - 0.5 * states.shape[1] * np.log(2 * np.pi)
    error = (actions - states @ policy.gain.T - policy.offset) / policy.deviation
    size = actions.shape[1]
    return log_state - 0.5 * np.sum(error**2, axis=1) - size * np.log(policy.deviation * np.sqrt(2 * np.pi))


def sample_pairs(
    task: LinearTask, policy: LinearPolicy, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Independent draws of (s, a) from the occupancy: [count, K] and [count, A]."""
    means, covariances = _state_moments(task, policy)
    times = generator.choice(task.horizon, size=count, p=_time_weights(task))
    factors = np.linalg.cholesky(covariances)
    states = means[times] + np.einsum("nij,nj->ni", factors[times], generator.normal(size=(count, means.shape[1])))
    centre = states @ policy.gain.T + policy.offset
    return states, centre + policy.deviation * generator.normal(size=centre.shape)


def initial_network(sizes: tuple[int, ...], generator: np.random.Generator) -> Network:
    """Weights N(0, 1/inputs), biases zero."""
    pairs = list(itertools.pairwise(sizes))
    return Network(
        tuple(generator.normal(size=(i, o)) / np.sqrt(i) for i, o in pairs), tuple(np.zeros(o) for _, o in pairs)
    )


def network_logit(network: Network, inputs: np.ndarray) -> np.ndarray:
    """Logits [N] at inputs [N, K + A]."""
    hidden = inputs
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        hidden = np.tanh(hidden @ weight + bias)
    return (hidden @ network.weights[-1] + network.biases[-1])[:, 0]


def _forward(network: Network, inputs: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    layers = [inputs]
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        layers.append(np.tanh(layers[-1] @ weight + bias))
    return layers, layers[-1] @ network.weights[-1] + network.biases[-1]


def network_slope(network: Network, inputs: np.ndarray) -> np.ndarray:
    """d logit / d input, [N, K + A], by the chain rule."""
    layers, logit = _forward(network, inputs)
    back = np.ones_like(logit) @ network.weights[-1].T
    for index in range(len(network.weights) - 2, -1, -1):
        back = (back * (1.0 - layers[index + 1] ** 2)) @ network.weights[index].T
    return back


def loss_gradient(network: Network, expert: np.ndarray, policy: np.ndarray) -> tuple[float, Network]:
    """-(mean log D on expert inputs + mean log(1 - D) on policy inputs) and its gradient."""
    inputs = np.concatenate([expert, policy])
    layers, logit = _forward(network, inputs)
    label = np.concatenate([np.ones(len(expert)), np.zeros(len(policy))])[:, None]
    share = np.concatenate([np.full(len(expert), 1 / len(expert)), np.full(len(policy), 1 / len(policy))])[:, None]
    loss = float(np.sum(share * np.logaddexp(0.0, np.where(label > 0, -logit, logit))))
    back = share * (special.expit(logit) - label)
    weights, biases = [], []
    for index in range(len(network.weights) - 1, -1, -1):
        weights.append(layers[index].T @ back)
        biases.append(back.sum(axis=0))
        if index:
            back = (back @ network.weights[index].T) * (1.0 - layers[index] ** 2)
    return loss, Network(tuple(weights[::-1]), tuple(biases[::-1]))


def train_discriminator(
    expert: np.ndarray,
    policy: np.ndarray,
    steps: int,
    generator: np.random.Generator,
    checkpoints: tuple[int, ...],
    learning_rate: float = 3e-4,
    batch: int = 128,
    hidden: int = 100,
) -> dict[int, Network]:
    """Adam (0.9, 0.999, 1e-8) on batches of both data sets [N, K + A]; the network at each step of ``checkpoints``."""
    if expert.shape[1:] != policy.shape[1:]:
        raise CredoError(f"expert inputs {expert.shape} and policy inputs {policy.shape} differ in width")
    network = initial_network((expert.shape[1], hidden, hidden, 1), generator)
    parameters = [*network.weights, *network.biases]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    saved: dict[int, Network] = {}
    for step in range(1, steps + 1):
        chosen = [data[generator.integers(len(data), size=batch)] for data in (expert, policy)]
        _, gradient = loss_gradient(network, *chosen)
        for index, slope in enumerate([*gradient.weights, *gradient.biases]):
            first[index] = 0.9 * first[index] + 0.1 * slope
            second[index] = 0.999 * second[index] + 0.001 * slope**2
            scale = learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            parameters[index] = parameters[index] - scale * first[index] / (np.sqrt(second[index]) + 1e-8)
        half = len(network.weights)
        network = Network(tuple(parameters[:half]), tuple(parameters[half:]))
        if step in checkpoints:
            saved[step] = network
    return saved
