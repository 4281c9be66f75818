"""The discriminator: its network, its loss and its update rounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from credo import moments
from credo.config import CredoConfig, DiscriminatorConfig, needs_density
from credo.discriminator import outliers
from credo.discriminator.inputs import Layout, make_layout
from credo.discriminator.logits import LogProb, initialise, make_logit
from credo.discriminator.losses import Logit, Loss, Samples
from credo.discriminator.regularisers import (
    chosen_regularisers,
    classification_loss,
    regularised_logit,
    regularised_loss,
    regularised_network,
    regularised_optimiser,
)
from credo.gradients import gradient_metrics, over_updates
from credo.types import Array, CredoError, Metrics


class DiscriminatorState(NamedTuple):
    network: Any
    optimiser: Any
    rewards: Any = ()
    """Moments of the policy's rewards; an empty tuple where they are not normalised."""


class Discriminator(NamedTuple):
    """init: key -> state. logit: (network, inputs [..., D], learner state) -> [...]; kind gail needs no learner state.
    update: see ``make_discriminator``. layout: what its inputs are made of."""

    init: Any
    logit: Any
    update: Any
    layout: Layout


def expert_weight(keep: Array, reading: str) -> Array:
    """The weight of each sample of a plain batch, [B], from which are retained, bool [B] (``retained``, ``batch``)."""
    kept = keep.astype(jnp.float32)
    total = keep.shape[0] if reading == "batch" else jnp.maximum(jnp.sum(kept), 1.0)
    return kept / total


def make_discriminator(
    config: DiscriminatorConfig,
    credo: CredoConfig,
    reward: str,
    observation_size: int,
    action_size: int,
    discount: float = 0.99,
    log_prob: LogProb | None = None,
) -> Discriminator:
    """A discriminator for one seed. ``discount`` and ``log_prob`` are the learner's, for AIRL.

    ``update(state, expert_inputs [n, D], policy_inputs [updates, B, D], key, learner state) -> (state, metrics)`` makes
    all updates of a round. Each draws its own expert batch; with CREDO's filter, outliers under the current
    discriminator leave the expert term, in one of the three readings of Algorithm 1. CredoError for AIRL with a learner
    that has no ``log_prob``.
    """
    if config.kind != "gail" and log_prob is None:
        raise CredoError(needs_density(config.kind))
    layout = make_layout(config, observation_size, action_size)
    chosen = chosen_regularisers(config)
    optimiser = regularised_optimiser(optax.adam(config.learning_rate), chosen, config)
    filtering = outliers.filters(credo)
    threshold = outliers.threshold_logit(credo, reward)
    size = config.batch_size
    raw_logit = make_logit(config, layout, discount, log_prob)

    def logit_for(policy: Any) -> Logit:
        """The logit of a network that is regularised already, for the policy of the round."""
        return regularised_logit(lambda network, inputs: raw_logit(network, inputs, policy), chosen, config)

    def logit(network: Any, inputs: Array, policy: Any = None) -> Array:
        return logit_for(policy)(regularised_network(network, chosen, config), inputs)

    def make_loss(policy: Any) -> Loss:
        of_network = logit_for(policy)
        loss = regularised_loss(classification_loss(of_network, chosen, config), of_network, chosen, config)
        return lambda network, *rest: loss(regularised_network(network, chosen, config), *rest)

    def init(key: Array) -> DiscriminatorState:
        network = initialise(config, layout, key)
        rewards = moments.empty() if config.reward_normalisation else ()
        return DiscriminatorState(network, optimiser.init(network), rewards)

    def drawing(network: Any, policy: Any, expert_inputs: Array, key: Array, count: int) -> outliers.Drawing:
        """``count`` expert samples that the network retains."""

        def retain(rows: Array) -> Array:
            return outliers.retained(logit(network, expert_inputs[rows], policy), threshold)

        return outliers.draw_retained(key, expert_inputs.shape[0], count, retain, credo.candidates)

    def plain_batch(expert_inputs: Array, key: Array) -> Array:
        return expert_inputs[jax.random.randint(key, (size,), 0, expert_inputs.shape[0])]

    def choose(network: Any, policy: Any, drawn: Any, expert_inputs: Array, key: Array) -> tuple[Samples, Array]:
        """The expert batch of one update and the share of the scored samples that were filtered.

        ``network`` is the one that filters: the round's first or the current one. ``drawn`` is the update's part of the
        round's drawing, or None where each update makes its own.
        """
        draw_key, batch_key = jax.random.split(key)
        if not filtering:
            return Samples(plain_batch(expert_inputs, batch_key), jnp.full((size,), 1.0 / size)), jnp.zeros(())
        if credo.reading == "resample":
            found = drawn or drawing(network, policy, expert_inputs, draw_key, size)
            weight = jnp.where(found.found, 1.0 / size, 0.0) * jnp.ones((size,))
            return Samples(expert_inputs[found.rows], weight), found.filtered_share
        inputs = plain_batch(expert_inputs, batch_key)
        keep = outliers.retained(logit(network, inputs, policy), threshold)
        return Samples(inputs, expert_weight(keep, credo.reading)), outliers.filtered_share(keep)

    def update(
        state: DiscriminatorState, expert_inputs: Array, policy_inputs: Array, key: Array, policy: Any = None
    ) -> tuple[DiscriminatorState, Metrics]:
        first = state.network
        fixed = credo.rescore == "round"
        loss = make_loss(policy)
        updates = policy_inputs.shape[0]
        drawn = None
        if filtering and credo.reading == "resample" and fixed:
            whole = drawing(first, policy, expert_inputs, jax.random.fold_in(key, 0), updates * size)
            drawn = outliers.Drawing(
                whole.rows.reshape(updates, size), *(jnp.broadcast_to(x, (updates,)) for x in whole[1:])
            )

        def one_update(state: DiscriminatorState, inputs: Any) -> tuple[DiscriminatorState, Metrics]:
            policy_batch, update_key, drawn_for_it = inputs
            choose_key, loss_key = jax.random.split(update_key)
            scorer = first if fixed else state.network
            expert, filtered = choose(scorer, policy, drawn_for_it, expert_inputs, choose_key)
            assert expert.weight is not None
            value, gradient = jax.value_and_grad(loss)(state.network, expert, Samples(policy_batch), loss_key)
            changes, memory = optimiser.update(gradient, state.optimiser, state.network)
            metrics = {
                "discriminator_loss": value,
                "filtered_share": filtered,
                "expert_term_weight": jnp.sum(expert.weight),
                **gradient_metrics("discriminator", gradient),
            }
            return state._replace(network=optax.apply_updates(state.network, changes), optimiser=memory), metrics

        keys = jax.random.split(jax.random.fold_in(key, 1), updates)
        state, metrics = jax.lax.scan(one_update, state, (policy_inputs, keys, drawn))
        return state, over_updates(metrics)

    return Discriminator(init, logit, update, layout)
