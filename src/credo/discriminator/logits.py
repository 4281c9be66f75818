"""From a discriminator's network and inputs to its logit: GAIL's single network, or AIRL's reward and shaping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from credo import networks
from credo.config import DiscriminatorConfig
from credo.discriminator.inputs import Layout
from credo.networks import Network
from credo.types import Array

LogProb = Callable[[Any, Array, Array], Array]
"""(learner state, observation [..., O], action [..., A]) -> log density of the action [...]."""


class AIRLNetwork(NamedTuple):
    """Of AIRL's f = g + discount h(s') - h(s)."""

    reward: Network
    """g: of s, or of (s, a)."""
    shaping: Network
    """h: of s."""


class Dropped(NamedTuple):
    """A network of which units are left out; losses pass it on in the network's place."""

    network: Any
    key: Array


def map_networks(function: Callable[[Network], Network], network: Any) -> Any:
    """``function`` of the network, or of each of AIRL's two."""
    return AIRLNetwork(*map(function, network)) if isinstance(network, AIRLNetwork) else function(network)


def initialise(config: DiscriminatorConfig, layout: Layout, key: Array) -> Any:
    """The network of a kind of discriminator."""
    if config.kind == "gail":
        return networks.initialise(key, (layout.size, *config.hidden, 1))
    reward_key, shaping_key = jax.random.split(key)
    reward_size = layout.state_size + (layout.action_size if config.kind == "airl-state-action" else 0)
    return AIRLNetwork(
        networks.initialise(reward_key, (reward_size, *config.hidden, 1)),
        networks.initialise(shaping_key, (layout.state_size, *config.hidden, 1)),
    )


def perceptron(network: Network, inputs: Array, config: DiscriminatorConfig, key: Array | None = None) -> Array:
    """The output of one network, [...]; with a key, with dropout (Srivastava et al. 2014, Section 4), what is kept
    scaled up so that means stay."""
    if key is None:
        return networks.apply(network, inputs, config.activation)[..., 0]
    nonlinearity = networks.ACTIVATIONS[config.activation]
    for index, layer in enumerate(network):
        inputs = nonlinearity(inputs) if index else inputs
        rate = config.dropout if index else config.input_dropout
        kept = jax.random.bernoulli(jax.random.fold_in(key, index), 1.0 - rate, inputs.shape)
        inputs = networks.apply((layer,), jnp.where(kept, inputs / (1.0 - rate), 0.0))
    return inputs[..., 0]


def airl_value(network: AIRLNetwork, inputs: Array, config: DiscriminatorConfig, layout: Layout, discount: float):
    """f(s, a, s') = g + discount h(s') - h(s), [...] (Fu et al. 2018, Eq. 4, Adversarial Inverse Reinforcement
    Learning; g of s alone is the form whose reward transfers). In a terminated episode's last step h(s') is 0."""
    key = None
    if isinstance(network, Dropped):
        network, key = network
    keys = (None,) * 3 if key is None else jax.random.split(key, 3)
    size, actions = layout.state_size, layout.action_size
    state, next_state = inputs[..., :size], inputs[..., size + actions : 2 * size + actions]
    continues = jax.lax.stop_gradient(inputs[..., -1])
    seen = state if config.kind == "airl-state" else inputs[..., : size + actions]
    reward = perceptron(network.reward, seen, config, keys[0])
    after = perceptron(network.shaping, next_state, config, keys[1])
    return reward + discount * continues * after - perceptron(network.shaping, state, config, keys[2])


def make_logit(
    config: DiscriminatorConfig, layout: Layout, discount: float, log_prob: LogProb | None
) -> Callable[[Any, Array, Any], Array]:
    """(network, inputs [..., D], learner state) -> logit [...]; only AIRL looks at the learner."""
    if config.kind == "gail":

        def gail_logit(network: Any, inputs: Array, learner_state: Any) -> Array:
            key = None
            if isinstance(network, Dropped):
                network, key = network
            return perceptron(network, inputs, config, key)

        return gail_logit
    assert log_prob is not None
    size, actions = layout.state_size, layout.action_size

    def airl_logit(network: Any, inputs: Array, learner_state: Any) -> Array:
        """f - log pi(a|s), since D = exp(f) / (exp(f) + pi(a|s)) (Fu et al. 2018, Section 4). The density is a
        constant of the discriminator: penalties on the logit's slope are on f."""
        fixed = jax.lax.stop_gradient(inputs)
        density = log_prob(learner_state, fixed[..., :size], fixed[..., size : size + actions])
        return airl_value(network, inputs, config, layout, discount) - jax.lax.stop_gradient(density)

    return airl_logit
