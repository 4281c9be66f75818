"""The discriminator: its network, its loss and its update rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from credo import moments
from credo.config import CredoConfig, DiscriminatorConfig, needs_density
from credo.discriminator.expert_batches import BatchRule, expert_batch, round_drawing
from credo.discriminator.inputs import Layout, make_layout
from credo.discriminator.logits import LogProb, initialise, make_logit
from credo.discriminator.losses import Logit, Loss, Samples
from credo.discriminator.outliers import threshold_logit
from credo.discriminator.regularisers import (
    Regulariser,
    chosen_regularisers,
    classification_loss,
    regularised_logit,
    regularised_loss,
    regularised_network,
    regularised_optimiser,
)
from credo.gradients import gradient_metrics, over_updates, stepped
from credo.types import Array, CredoError, Metrics


class DiscriminatorState(NamedTuple):
    network: Any
    optimiser: Any
    rewards: Any = ()
    """Moments of the policy's rewards; an empty tuple where they are not normalised."""


class Discriminator(NamedTuple):
    """A discriminator as pure functions for one seed.

    init: key -> state.
    logit: (network, inputs [..., D], learner state) -> [...]; kind gail needs no learner state.
    update: see ``make_discriminator``.
    layout: what its inputs are made of.
    """

    init: Callable[[Array], DiscriminatorState]
    logit: Callable[..., Array]
    update: Callable[..., tuple[DiscriminatorState, Metrics]]
    layout: Layout


def scoring(
    config: DiscriminatorConfig,
    layout: Layout,
    chosen: list[Regulariser],
    discount: float,
    log_prob: LogProb | None,
) -> tuple[Callable[..., Array], Callable[[Any], Loss]]:
    """``logit(network, inputs [..., D], learner state) -> [...]``, and the loss for a learner's state, both with all
    that the ``chosen`` regularisers change."""
    own_logit = make_logit(config, layout, discount, log_prob)

    def logit_for(learner_state: Any) -> Logit:
        """The logit of a network that is regularised already."""
        return regularised_logit(lambda network, inputs: own_logit(network, inputs, learner_state), chosen, config)

    def logit(network: Any, inputs: Array, learner_state: Any = None) -> Array:
        return logit_for(learner_state)(regularised_network(network, chosen, config), inputs)

    def loss_for(learner_state: Any) -> Loss:
        of_network = logit_for(learner_state)
        loss = regularised_loss(classification_loss(of_network, chosen, config), of_network, chosen, config)
        return lambda network, *rest: loss(regularised_network(network, chosen, config), *rest)

    return logit, loss_for


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
    threshold = threshold_logit(credo, reward)
    logit, loss_for = scoring(config, layout, chosen, discount, log_prob)

    def init(key: Array) -> DiscriminatorState:
        network = initialise(config, layout, key)
        rewards = moments.empty() if config.reward_normalisation else ()
        return DiscriminatorState(network, optimiser.init(network), rewards)

    def update(
        state: DiscriminatorState, expert_inputs: Array, policy_inputs: Array, key: Array, learner_state: Any = None
    ) -> tuple[DiscriminatorState, Metrics]:
        first, updates = state.network, policy_inputs.shape[0]
        loss = loss_for(learner_state)
        rule = BatchRule(
            credo, threshold, config.batch_size, lambda network, inputs: logit(network, inputs, learner_state)
        )
        drawn = round_drawing(rule, first, expert_inputs, jax.random.fold_in(key, 0), updates)

        def one_update(state: DiscriminatorState, inputs: Any) -> tuple[DiscriminatorState, Metrics]:
            policy_batch, update_key, drawn_for_it = inputs
            choose_key, loss_key = jax.random.split(update_key)
            scorer = first if credo.rescore == "round" else state.network
            expert, filtered = expert_batch(rule, scorer, drawn_for_it, expert_inputs, choose_key)
            assert expert.weight is not None
            value, gradient = jax.value_and_grad(loss)(state.network, expert, Samples(policy_batch), loss_key)
            network, optimiser_state = stepped(optimiser, state.network, gradient, state.optimiser)
            metrics = {
                "discriminator_loss": value,
                "filtered_share": filtered,
                "expert_term_weight": jnp.sum(expert.weight),
                **gradient_metrics("discriminator", gradient),
            }
            return state._replace(network=network, optimiser=optimiser_state), metrics

        keys = jax.random.split(jax.random.fold_in(key, 1), updates)
        state, metrics = jax.lax.scan(one_update, state, (policy_inputs, keys, drawn))
        return state, over_updates(metrics)

    return Discriminator(init, logit, update, layout)
