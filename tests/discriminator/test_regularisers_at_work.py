"""Regularisers where plain gradient descent or a single layer tells nothing apart: behind Adam, over layers, off."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from credo.config import DiscriminatorConfig
from credo.discriminator.logits import perceptron
from credo.discriminator.losses import Samples
from credo.discriminator.regularisers import REGULARISERS
from credo.networks import Layer


def test_adams_steps_halve_too():
    """Adam forgets the scale of its gradients: what halves must be the step."""
    config = DiscriminatorConfig(learning_rate_halving=2)
    optimiser = REGULARISERS["learning-rate-decay"].optimiser(optax.adam(0.1), config)
    weights = jnp.zeros(1)
    state, steps = optimiser.init(weights), []
    for _ in range(6):
        change, state = optimiser.update(jnp.ones(1), state, weights)
        steps.append(-float(change[0]))
    np.testing.assert_allclose(steps, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025], rtol=1e-4)


def test_adams_weights_decay_by_their_own_size():
    """The decay is decoupled: no part of the gradient, which Adam would scale."""
    config = DiscriminatorConfig(learning_rate=0.1, weight_decay=0.5)
    optimiser = REGULARISERS["weight-decay"].optimiser(optax.adam(0.1), config)
    weights = jnp.array([[2.0], [-40.0]])
    changes, _ = optimiser.update(jnp.ones((2, 1)), optimiser.init(weights), weights)
    np.testing.assert_allclose(changes[:, 0], [-0.1 - 0.05 * 2.0, -0.1 + 0.05 * 40.0], rtol=1e-4)


def test_the_bound_of_spectral_normalisation_is_that_of_all_layers_together():
    # Norms 5, 3 and the root of 2 become 1 each: of (1, 1) the last layer makes the root of 2, times the bound.
    config = DiscriminatorConfig(spectral_norm=0.7)
    eye = np.eye(2)
    network = tuple(
        Layer(jnp.asarray(w, jnp.float32), jnp.zeros(w.shape[1])) for w in (5 * eye, 3 * eye, np.ones((2, 1)))
    )
    normalised = REGULARISERS["spectral-normalisation"].network(network, config)
    found = perceptron(normalised, jnp.ones((1, 2)), DiscriminatorConfig())
    assert float(found[0]) == pytest.approx(0.7 * np.sqrt(2), rel=1e-4)


@pytest.mark.parametrize("name", ["gradient-penalty", "gradient-penalty-one-sided"])
def test_a_network_without_a_slope_has_a_penalty_with_a_finite_gradient(name):
    """All units off, as a discriminator's can be: the norm of the slope is 0, where its root has no gradient."""
    config = DiscriminatorConfig(gradient_penalty=2.0)
    network = (
        Layer(jnp.ones((2, 3)), jnp.full(3, -100.0)),
        Layer(jnp.ones((3, 1)), jnp.zeros(1)),
    )
    side = Samples(jnp.ones((4, 2)))

    def logit(network, inputs):
        return perceptron(network, inputs, config)

    def nothing(network, expert, policy, key):
        return jnp.zeros(())

    wrapped = REGULARISERS[name].loss(nothing, logit, config)
    value, gradient = jax.value_and_grad(wrapped)(network, side, side, jax.random.key(0))
    assert float(value) == pytest.approx(0.0 if name.endswith("one-sided") else 2.0, rel=1e-4)
    assert all(np.isfinite(array).all() for array in jax.tree.leaves(gradient))


def test_r1_is_of_the_slope_at_the_experts_samples():
    # A logit of |x|^2 has a slope of 2 x: squared, 4 and 16 at the expert's, of weights 1/4 and 3/4; 0 at the policy's.
    expert = Samples(jnp.array([[1.0, 0.0], [0.0, 2.0], [50.0, 0.0]]), jnp.array([0.25, 0.75, 0.0]))
    policy = Samples(jnp.zeros((3, 2)))

    def logit(network, inputs):
        return jnp.sum(jnp.square(inputs), axis=-1)

    def nothing(network, expert, policy, key):
        return jnp.zeros(())

    wrapped = REGULARISERS["r1"].loss(nothing, logit, DiscriminatorConfig(r1=2.0))
    assert float(wrapped(jnp.float32(1.0), expert, policy, jax.random.key(0))) == pytest.approx(1.0 + 12.0)
