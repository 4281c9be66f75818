"""The machine's float32 matrix-product ceiling: the products of a TD3 update and nothing else, compiled by the same
compiler and run by as many threads as Credo uses.

The passes of an update (forward, to the parameters, to the inputs) over the six networks, without biases, activations,
losses and Adam. The gradient in the critic's input is the next update's input, so no product can be left out or moved.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import sizes
from benchmarks.serving import serve

GROUPS = 32
"""Groups of ``ACTOR_DELAY`` updates in one call."""

Weights = list[Any]


def forward(inputs: Any, weights: Weights) -> list[Any]:
    """The input of every layer and the output."""
    values = [inputs]
    for weight in weights:
        values.append(values[-1] @ weight)
    return values


def backward(values: list[Any], weights: Weights, parameters: bool, inputs: bool) -> tuple[list[Any], Any]:
    """Gradients of the weights (none without ``parameters``) and of the input (None without ``inputs``)."""
    slope, gradients = values[-1], []
    for index in reversed(range(len(weights))):
        if parameters:
            gradients.append(values[index].T @ slope)
        slope = slope @ weights[index].T if index > 0 or inputs else None
    return gradients, slope


def one_update(networks: dict[str, Weights], critic_input: Any, with_actor: bool) -> tuple[list[Any], Any]:
    """All results that a critic update (and an actor update) leaves, and the gradient in the critic's input."""
    observation = critic_input[:, : sizes.OBSERVATION_SIZE]
    results = [forward(observation, networks["target_actor"])[-1]]
    for name in ("first", "second"):
        results.append(forward(critic_input, networks[f"target_{name}"])[-1])
        results += backward(forward(critic_input, networks[name]), networks[name], True, False)[0]
    slope = critic_input
    if with_actor:
        results += backward(forward(observation, networks["actor"]), networks["actor"], True, False)[0]
        slope = backward(forward(critic_input, networks["judge"]), networks["judge"], False, True)[1]
    return results, slope


def chain(networks: dict[str, Weights], critic_input: Any, factor: Any) -> Any:
    """``GROUPS * ACTOR_DELAY`` updates; ``factor`` (1) keeps the compiler from seeing that the inputs of a group are
    the same."""

    def group(carry: Any, _: None) -> tuple[Any, None]:
        current, collected = carry[0], []
        for index in range(sizes.ACTOR_DELAY):
            results, slope = one_update(networks, current, index == sizes.ACTOR_DELAY - 1)
            collected.append(results)
            current = slope * factor
        return (current, collected), None

    shapes = jax.eval_shape(lambda x: group((x, None), None)[0][1], critic_input)
    start = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    return jax.lax.scan(group, (critic_input, start), None, GROUPS)[0]


def random_networks(generator: np.random.Generator) -> dict[str, Weights]:
    """Random weights; those of ``judge`` map the input onto itself in length, so that the chain neither grows nor
    fades."""

    def weights(layer_sizes: tuple[int, ...]) -> Weights:
        return [
            (generator.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
            for shape in sizes.layers(layer_sizes)
        ]

    critics = ("first", "second", "target_first", "target_second", "judge")
    networks = {name: weights(sizes.CRITIC_SIZES) for name in critics}
    networks |= {name: weights(sizes.ACTOR_SIZES) for name in ("actor", "target_actor")}
    networks["judge"][-1] /= np.linalg.norm(np.linalg.multi_dot(networks["judge"]))
    return jax.tree.map(jnp.asarray, networks)


class Ceiling:
    """The compiled chain and the threads that run it."""

    def __init__(self) -> None:
        self.threads = min(sizes.SEEDS, os.cpu_count() or 1)
        self.pool = ThreadPoolExecutor(self.threads)
        self.chain = jax.jit(chain)
        generator = np.random.default_rng(0)
        critic_input = jnp.asarray(generator.standard_normal((sizes.BATCH, sizes.CRITIC_SIZES[0])), jnp.float32)
        self.operands = [(random_networks(generator), critic_input, jnp.float32(1)) for _ in range(self.threads)]
        jax.block_until_ready(self.chain(*self.operands[0]))

    def measure(self, seconds: float) -> dict[str, float]:
        start = time.perf_counter()

        def keep_on(thread: int) -> int:
            calls = 0
            while time.perf_counter() - start < seconds:
                jax.block_until_ready(self.chain(*self.operands[thread]))
                calls += 1
            return calls

        calls = sum(self.pool.map(keep_on, range(self.threads)))
        elapsed = time.perf_counter() - start
        done = calls * GROUPS * sizes.ACTOR_DELAY * sizes.flops(sizes.td3_update())
        return {"gflops": done / elapsed / 1e9, "threads": self.threads}


def main() -> None:
    ceiling = Ceiling()
    serve(lambda request: ceiling.measure(request["seconds"]))


if __name__ == "__main__":
    main()
