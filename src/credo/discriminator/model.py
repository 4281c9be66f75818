"""The discriminator: a network from (observation, action) to a logit, its loss and its update rounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from credo import networks
from credo.config import CredoConfig, DiscriminatorConfig
from credo.discriminator import credo as outliers
from credo.discriminator.regularisers import REGULARISERS, Loss
from credo.gradients import gradient_metrics, over_updates
from credo.networks import Network
from credo.types import Array, Metrics


class DiscriminatorState(NamedTuple):
    network: Network
    optimiser: Any


class ExpertBatch(NamedTuple):
    """Expert samples of one discriminator update."""

    inputs: Array
    """[B, O + A]."""
    weight: Array
    """[B]: what each sample counts in the expert term, which is their weighted sum."""


class Discriminator(NamedTuple):
    """init: key -> state. logit: (network, inputs [..., O + A]) -> [...]. update: see ``make_discriminator``."""

    init: Any
    logit: Any
    update: Any


def join(observation: Array, action: Array) -> Array:
    """The discriminator's input, [..., O + A]."""
    return jnp.concatenate([observation, action], axis=-1)


def cross_entropy(logit_expert: Array, weight: Array, logit_policy: Array) -> Array:
    """-(E_expert[log D] + E_policy[log(1 - D)]) (Eq. 3 with Eq. 9's roles), scalar, from logits; the expert term is the
    sum weighted by ``weight``, the policy term a mean."""
    expert = jnp.sum(weight * jax.nn.softplus(-logit_expert))
    return expert + jnp.mean(jax.nn.softplus(logit_policy))


def expert_weight(keep: Array, reading: str) -> Array:
    """The weight of each sample of a plain batch, [B], from which are retained, bool [B] (``retained``, ``batch``)."""
    kept = keep.astype(jnp.float32)
    total = keep.shape[0] if reading == "batch" else jnp.maximum(jnp.sum(kept), 1.0)
    return kept / total


def make_discriminator(
    config: DiscriminatorConfig, credo: CredoConfig, reward: str, observation_size: int, action_size: int
) -> Discriminator:
    """A discriminator for one seed.

    ``update(state, expert_inputs [n, O + A], policy_inputs [updates, B, O + A], key) -> (state, metrics)`` makes all
    updates of a round. Each draws its own expert batch; with CREDO's filter, outliers under the current discriminator
    leave the expert term, in one of the three readings of Algorithm 1.
    """
    adam = optax.adam(config.learning_rate)
    filtering = outliers.filters(credo)
    threshold = outliers.threshold_logit(credo, reward)
    size = config.batch_size

    def logit(network: Network, inputs: Array) -> Array:
        return networks.apply(network, inputs, config.activation)[..., 0]

    def plain_loss(network: Network, expert: ExpertBatch, policy_inputs: Array, key: Array) -> Array:
        return cross_entropy(logit(network, expert.inputs), expert.weight, logit(network, policy_inputs))

    loss: Loss = plain_loss
    for name in config.regularisers:
        loss = REGULARISERS[name](loss, logit, config)

    def init(key: Array) -> DiscriminatorState:
        network = networks.initialise(key, (observation_size + action_size, *config.hidden, 1))
        return DiscriminatorState(network, adam.init(network))

    def candidate_pool(network: Network, expert_inputs: Array, key: Array) -> tuple[Array, Array]:
        """Expert samples to draw from, and which of them are retained."""
        total = expert_inputs.shape[0]
        if total <= credo.candidates:
            pool = expert_inputs
        else:
            pool = expert_inputs[jax.random.randint(key, (credo.candidates,), 0, total)]
        return pool, outliers.retained(logit(network, pool), threshold)

    def plain_batch(expert_inputs: Array, key: Array) -> Array:
        return expert_inputs[jax.random.randint(key, (size,), 0, expert_inputs.shape[0])]

    def resampled(pool: Array, keep: Array, key: Array) -> ExpertBatch:
        indices, total = outliers.draw_retained(key, keep, size)
        return ExpertBatch(pool[indices], jnp.where(total > 0, 1.0 / size, 0.0) * jnp.ones((size,)))

    def choose(network: Network, scored: Any, expert_inputs: Array, key: Array) -> tuple[ExpertBatch, Array]:
        """The expert batch of one update and the share of the scored samples that were filtered.

        ``network`` is the one that filters: the round's first or the current one. ``scored`` is the round's candidate
        pool, or None where each update scores its own.
        """
        pool_key, batch_key = jax.random.split(key)
        if not filtering:
            return ExpertBatch(plain_batch(expert_inputs, batch_key), jnp.full((size,), 1.0 / size)), jnp.zeros(())
        if credo.reading == "resample":
            pool, keep = scored or candidate_pool(network, expert_inputs, pool_key)
            return resampled(pool, keep, batch_key), outliers.filtered_share(keep)
        inputs = plain_batch(expert_inputs, batch_key)
        keep = outliers.retained(logit(network, inputs), threshold)
        return ExpertBatch(inputs, expert_weight(keep, credo.reading)), outliers.filtered_share(keep)

    def update(
        state: DiscriminatorState, expert_inputs: Array, policy_inputs: Array, key: Array
    ) -> tuple[DiscriminatorState, Metrics]:
        first = state.network
        fixed = credo.rescore == "round"
        scored = None
        if filtering and credo.reading == "resample" and fixed:
            scored = candidate_pool(first, expert_inputs, jax.random.fold_in(key, 0))

        def one_update(state: DiscriminatorState, inputs: tuple[Array, Array]) -> tuple[DiscriminatorState, Metrics]:
            policy_batch, update_key = inputs
            choose_key, loss_key = jax.random.split(update_key)
            scorer = first if fixed else state.network
            expert, filtered = choose(scorer, scored, expert_inputs, choose_key)
            value, gradient = jax.value_and_grad(loss)(state.network, expert, policy_batch, loss_key)
            changes, optimiser = adam.update(gradient, state.optimiser)
            metrics = {
                "discriminator_loss": value,
                "filtered_share": filtered,
                "expert_term_weight": jnp.sum(expert.weight),
                **gradient_metrics("discriminator", gradient),
            }
            return DiscriminatorState(optax.apply_updates(state.network, changes), optimiser), metrics

        keys = jax.random.split(jax.random.fold_in(key, 1), policy_inputs.shape[0])
        state, metrics = jax.lax.scan(one_update, state, (policy_inputs, keys))
        return state, over_updates(metrics)

    return Discriminator(init, logit, update)
