"""Behavioural cloning on demonstrations: as a learner's first actor, or as a baseline by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from credo import networks
from credo.config import BCConfig
from credo.demonstrations import Demonstrations
from credo.diagnostics.frozen import NON_FINITE
from credo.gradients import gradient_metrics, over_updates, stepped
from credo.learners.cloning import Cloning
from credo.networks import Network
from credo.precision import in_full_precision
from credo.random import CLONE_EPOCH, Purpose, host_generator
from credo.training.seed import Frozen, Seed
from credo.training.state import SPLIT_SEED, Constants, Parts, TrainState
from credo.training.stopping import Stop, StoppedError
from credo.training.watching import Pass, Watcher
from credo.types import Array, Metrics

VALIDATION_CHUNK = 16_384
"""Held-out samples scored at once."""


class Data(NamedTuple):
    """Demonstrations as the networks see them; held out by episode."""

    observation: Array
    """[n, O] float32."""
    action: Array
    """[n, A] float32."""
    held_observation: Array
    """[m, O] float32."""
    held_action: Array
    """[m, A] float32."""


class Epoch(NamedTuple):
    """One pass through the demonstrations."""

    number: int
    """From 0."""
    updates: int
    """Minibatches seen so far, this epoch's included."""
    held_out_loss: float
    metrics: dict[str, float]
    """clone_loss, and the actor's gradient: its largest entry and norm over the epoch."""


class Cloned(NamedTuple):
    network: Network
    """Of the epoch with the least held-out loss."""
    best: Epoch
    epochs: tuple[Epoch, ...]


OnEpoch = Callable[[Epoch], None]
"""Called after every epoch; what it raises gives the cloning up."""
Cloner = Callable[[Network, int, OnEpoch], Cloned]
StateCloner = Callable[[TrainState, int, OnEpoch], tuple[TrainState, Cloned]]


def make_cloner(cloning: Cloning, settings: BCConfig, data: Data) -> Cloner:
    """A function of (first network, seed number, what to call after every epoch) that trains until ``patience`` epochs
    in a row have not brought the held-out loss down, or for all epochs. It compiles once, in its first epoch, and its
    result depends on the first two arguments alone."""
    rows = len(data.action)
    size = min(settings.batch_size, rows)
    steps = rows // size
    adam = optax.adam(settings.learning_rate)

    def one_step(carry: tuple[Network, Any], inputs: tuple[Array, Array]) -> tuple[tuple[Network, Any], Metrics]:
        network, optimiser_state = carry
        loss, gradient = jax.value_and_grad(cloning.loss)(network, *inputs)
        carry = stepped(adam, network, gradient, optimiser_state)
        return carry, {"clone_loss": loss, **gradient_metrics("actor", gradient)}

    @jax.jit
    @in_full_precision
    def one_epoch(
        network: Network, optimiser_state: Any, observation: Array, action: Array, order: Array
    ) -> tuple[Network, Any, Metrics]:
        def batch_step(carry: tuple[Network, Any], chosen: Array) -> tuple[tuple[Network, Any], Metrics]:
            return one_step(carry, (observation[chosen], action[chosen]))

        (network, optimiser_state), metrics = jax.lax.scan(batch_step, (network, optimiser_state), order)
        return network, optimiser_state, over_updates(metrics)

    loss = jax.jit(in_full_precision(cloning.loss))

    def held_out_loss(network: Network) -> float:
        total = 0.0
        for start in range(0, len(data.held_action), VALIDATION_CHUNK):
            part = slice(start, start + VALIDATION_CHUNK)
            action = data.held_action[part]
            total += float(loss(network, data.held_observation[part], action)) * len(action)
        return total / len(data.held_action)

    def clone(network: Network, seed: int, on_epoch: OnEpoch) -> Cloned:
        optimiser_state = adam.init(network)
        kept, best, epochs = network, None, []
        for number in range(settings.epochs):
            order = host_generator(seed, Purpose.DEMONSTRATIONS, CLONE_EPOCH, number).permutation(rows)
            order = order[: steps * size].reshape(steps, size).astype(np.int32)
            network, optimiser_state, metrics = one_epoch(
                network, optimiser_state, data.observation, data.action, order
            )
            measured = {name: float(value) for name, value in metrics.items()}
            epoch = Epoch(number, (number + 1) * steps, held_out_loss(network), measured)
            epochs.append(epoch)
            on_epoch(epoch)
            # A loss that is not a number is never the least; where the first is, any later one is.
            if best is None or epoch.held_out_loss < best.held_out_loss or np.isnan(best.held_out_loss):
                kept, best = network, epoch
            elif number - best.number >= settings.patience:
                break
        assert best is not None
        return Cloned(kept, best, tuple(epochs))

    return clone


def make_data(parts: Parts, constants: Constants, demonstrations: Demonstrations) -> Data:
    """The demonstrations, divided into what is trained on and what training stops by as every run divides them."""
    split = demonstrations.split_held_out(parts.config.held_out, SPLIT_SEED)

    def seen(observation: np.ndarray) -> Array:
        return constants.normalise(jnp.asarray(observation))

    training, held = split.training, split.held_out
    return Data(
        seen(training.observation), jnp.asarray(training.action), seen(held.observation), jnp.asarray(held.action)
    )


def make_state_cloner(parts: Parts, constants: Constants, demonstrations: Demonstrations) -> StateCloner:
    """A function of (a seed's first state, its number, what to call after every epoch): the state with a cloned actor,
    and how that went."""
    cloning = parts.learner.cloning
    assert cloning is not None
    clone = make_cloner(cloning, parts.config.bc, make_data(parts, constants, demonstrations))

    def cloned_state(state: TrainState, seed: int, on_epoch: OnEpoch) -> tuple[TrainState, Cloned]:
        found = clone(cloning.get(state.learner), seed, on_epoch)
        # Copies: a donated state must not hold one buffer twice.
        return state._replace(learner=networks.copy(cloning.put(state.learner, found.network))), found

    return cloned_state


def clone_seeds(
    cloner: StateCloner, seeds: Sequence[Seed], epochs: int, stop: Stop, watcher: Watcher
) -> Iterator[tuple[Seed, TrainState, Cloned]]:
    """Give the seeds a cloned actor, one when the one before it was taken, and tell how that goes; ``epochs`` is how
    many each has at most. Freezes a seed with the actor that it has where the clone's numbers failed.

    Yields each seed, its state, and how its cloning went. Ends where a stop came, after the epoch under way; a seed
    whose cloning is not finished stays as it was.
    """
    for index, seed in enumerate(seeds):
        try:
            stop.check()
            found = _cloned(cloner, seed, epochs, stop, watcher, compiles=index == 0)
        except StoppedError:
            return
        yield seed, *found


def _cloned(
    cloner: StateCloner, seed: Seed, epochs: int, stop: Stop, watcher: Watcher, compiles: bool
) -> tuple[TrainState, Cloned]:
    assert seed.state is not None
    with contextlib.ExitStack() as compiling:
        if compiles:
            compiling.enter_context(stop.at_once())

        def on_epoch(epoch: Epoch) -> None:
            compiling.close()
            watcher.cloning(Pass(seed.number, epoch.number + 1, epochs, epoch.held_out_loss))
            stop.check()

        try:
            state, found = cloner(seed.state, seed.number, on_epoch)
        finally:
            watcher.cloning(None)
    if np.isfinite(found.best.held_out_loss):
        seed.state = state
        done = f"cloned in {len(found.epochs)} epochs, least held-out loss {found.best.held_out_loss:.4g}"
    else:
        seed.frozen = seed.frozen or Frozen(0, f"{NON_FINITE} clone, in {len(found.epochs)} epochs")
        done = "its clone is not finite, and it keeps the actor that it had"
    watcher.line(f"seed {seed.number}: {done}")
    return seed.state, found
