"""Regularisers of the discriminator, a table. Each changes one thing or several: the loss it is given, the two sides'
samples on their way to it, the network's weights, the logit, or the optimiser.

Samples pass through the regularisers in the order in which they are listed: after ``mixup`` a gradient penalty sees
mixed samples, before it plain ones.

**What CREDO filtered** has weight 0 and enters no term: not the expert's side of any loss, nor a mixture, nor, but for
its policy end, an interpolation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from credo.config import DiscriminatorConfig
from credo.config.names import plain_name
from credo.config.own import named_settings
from credo.discriminator.inputs import ends_in_continues
from credo.discriminator.logits import Dropped, map_networks
from credo.discriminator.losses import Logit, Loss, Samples, cross_entropy, expectation, positive_unlabelled
from credo.networks import Layer, Network
from credo.types import Array

POWER_ITERATIONS = 30
"""Of the spectral norm, from a fixed start."""


class Regulariser(NamedTuple):
    """One entry of the table; what it leaves alone is None."""

    loss: Callable[[Loss, Logit, DiscriminatorConfig], Loss] | None = None
    """Wraps a loss: adds a term to it, or hands it other samples."""
    classification: Callable[[Array, Samples, Array, Samples, DiscriminatorConfig], Array] | None = None
    """In the cross entropy's place: (expert logits [B], expert samples, policy logits, policy samples, settings)."""
    term: Callable[[Array, Samples, Array, Samples, DiscriminatorConfig], Array] | None = None
    """A scalar added to it, of the same logits."""
    network: Callable[[Network, DiscriminatorConfig], Network] | None = None
    """The network that is evaluated, for losses and rewards alike."""
    output: Callable[[Array, DiscriminatorConfig], Array] | None = None
    """The logit that all see, from the network's own."""
    optimiser: Callable[[optax.GradientTransformation, DiscriminatorConfig], optax.GradientTransformation] | None = None
    """Wraps the optimiser."""
    of: Callable[[Any], Regulariser] | None = None
    """Made anew of other settings of its own, where a plug-in's has any."""


def interpolates(expert: Samples, policy: Samples, key: Array) -> Array:
    """Points drawn uniformly between pairs of samples, [B, D]; a filtered expert sample's point is the policy's own."""
    share = jax.random.uniform(key, (policy.inputs.shape[0], 1))
    if expert.weight is not None:
        share = jnp.where(expert.weight[:, None] > 0, share, 0.0)
    return share * expert.inputs + (1.0 - share) * policy.inputs


def slope_norm(logit: Logit, network: Any, points: Array) -> Array:
    """||d logit / d x|| at points [B, D], [B]."""
    slope = jax.grad(lambda x: jnp.sum(logit(network, x)))(points)
    # The square root has no gradient at 0, which an all-zero slope would turn into NaN.
    return jnp.sqrt(jnp.sum(jnp.square(slope), axis=-1) + 1e-12)


def _slope_penalty(loss: Loss, logit: Logit, config: DiscriminatorConfig, excess: Callable[[Array], Array]) -> Loss:
    """Adds coefficient * E[excess(||d logit / d x||)^2] at points x drawn uniformly between expert and policy
    samples."""

    def penalised(network: Any, expert: Samples, policy: Samples, key: Array) -> Array:
        loss_key, mix_key = jax.random.split(key)
        norm = slope_norm(logit, network, interpolates(expert, policy, mix_key))
        penalty = config.gradient_penalty * jnp.mean(jnp.square(excess(norm)))
        return loss(network, expert, policy, loss_key) + penalty

    return penalised


def gradient_penalty(loss: Loss, logit: Logit, config: DiscriminatorConfig) -> Loss:
    """Adds coefficient * E[(||d logit / d x|| - 1)^2] at points x drawn uniformly between expert and policy samples
    (Gulrajani et al. 2017, Eq. 3; in imitation: Kostrikov et al. 2019)."""
    return _slope_penalty(loss, logit, config, lambda norm: norm - 1.0)


def gradient_penalty_one_sided(loss: Loss, logit: Logit, config: DiscriminatorConfig) -> Loss:
    """Adds coefficient * E[max(0, ||d logit / d x|| - 1)^2] at the same points: only slopes above 1 cost (Petzka et al.
    2018, On the Regularization of Wasserstein GANs; "one-sided penalty" in Gulrajani et al. 2017, Section 4)."""
    return _slope_penalty(loss, logit, config, lambda norm: jnp.maximum(norm - 1.0, 0.0))


def r1(loss: Loss, logit: Logit, config: DiscriminatorConfig) -> Loss:
    """Adds coefficient / 2 * E_expert[||d logit / d x||^2] (Mescheder et al. 2018, Eq. 9, Which Training Methods for
    GANs do actually Converge?)."""

    def penalised(network: Any, expert: Samples, policy: Samples, key: Array) -> Array:
        slope = jax.grad(lambda x: jnp.sum(logit(network, x)))(expert.inputs)
        penalty = 0.5 * config.r1 * expectation(jnp.sum(jnp.square(slope), axis=-1), expert)
        return loss(network, expert, policy, key) + penalty

    return penalised


def bernoulli_entropy(logit: Array) -> Array:
    """Entropy of the expert probability (nats), [...]: softplus(l) - l sigmoid(l)."""
    return jax.nn.softplus(logit) - logit * jax.nn.sigmoid(logit)


def entropy(
    expert_logit: Array, expert: Samples, policy_logit: Array, policy: Samples, config: DiscriminatorConfig
) -> Array:
    """Minus coefficient * (E_expert[H(D)] + E_policy[H(D)]), the entropy of the discriminator's guess (the bonus of Ho
    and Ermon's released GAIL; a choice in Orsini et al. 2021, What Matters for Adversarial Imitation Learning)."""
    bonus = expectation(bernoulli_entropy(expert_logit), expert)
    return -config.entropy * (bonus + expectation(bernoulli_entropy(policy_logit), policy))


def controller(
    expert_logit: Array, expert: Samples, policy_logit: Array, policy: Samples, config: DiscriminatorConfig
) -> Array:
    """k / 2 * (E_expert[(D - 1/2)^2] + E_policy[(D - 1/2)^2]): a controller that makes the equilibrium D = 1/2 a stable
    one (Luo et al. 2024, C-GAIL, the term that it adds to the discriminator's objective)."""

    def pull(logit: Array, side: Samples) -> Array:
        return expectation(jnp.square(jax.nn.sigmoid(logit) - 0.5), side)

    return 0.5 * config.controller * (pull(expert_logit, expert) + pull(policy_logit, policy))


def mixup(loss: Loss, logit: Logit, config: DiscriminatorConfig) -> Loss:
    """Hands on mixtures: x = share x_i + (1 - share) x_j with the labels mixed alike, share from Beta(alpha, alpha)
    (Zhang et al. 2018, mixup, Section 2; a choice in Orsini et al. 2021). Each sample of both sides is mixed with a
    partner from either.

    Differs from Zhang et al.: the partner is drawn by its weight, with replacement, where theirs is a permutation, so
    that a filtered sample is nobody's partner; its own mixture has its own weight, 0.
    """

    def mixed(network: Any, expert: Samples, policy: Samples, key: Array) -> Array:
        loss_key, share_key, partner_key = jax.random.split(key, 3)
        sizes = (expert.inputs.shape[0], policy.inputs.shape[0])
        inputs = jnp.concatenate([expert.inputs, policy.inputs])
        weight = jnp.concatenate([_weights(side) for side in (expert, policy)])
        label = jnp.concatenate([_labels(expert, 1.0), _labels(policy, 0.0)])
        share = jax.random.beta(share_key, config.mixup, config.mixup, (sum(sizes),))
        partner = drawn_by_weight(partner_key, weight, sum(sizes))
        inputs = share[:, None] * inputs + (1.0 - share[:, None]) * inputs[partner]
        label = share * label + (1.0 - share) * label[partner]
        first = Samples(inputs[: sizes[0]], expert.weight, label[: sizes[0]])
        second = Samples(inputs[sizes[0] :], policy.weight, label[sizes[0] :])
        return loss(network, first, second, loss_key)

    return mixed


def drawn_by_weight(key: Array, weight: Array, count: int) -> Array:
    """Indices [count] drawn with replacement in proportion to ``weight`` [n] >= 0, the last of which is above 0; one of
    weight 0 is never drawn."""
    reached = jnp.cumsum(weight)
    height = jax.random.uniform(key, (count,)) * reached[-1]
    return jnp.minimum(jnp.searchsorted(reached, height, side="right"), weight.shape[0] - 1)


def _weights(side: Samples) -> Array:
    size = side.inputs.shape[0]
    return jnp.full((size,), 1.0 / size) if side.weight is None else side.weight


def _labels(side: Samples, own: float) -> Array:
    return jnp.full((side.inputs.shape[0],), own) if side.label is None else side.label


def label_smoothing(loss: Loss, logit: Logit, config: DiscriminatorConfig) -> Loss:
    """The expert's label is 1 - smoothing, the policy's stays 0 (one-sided: Salimans et al. 2016, Improved Techniques
    for Training GANs, Section 3.4), so no expert logit is worth more than log((1 - smoothing) / smoothing). What
    ``mixup`` gave the policy's samples of the expert's label is smoothed with it: the order of the two means nothing.
    """

    def smoothed(network: Any, expert: Samples, policy: Samples, key: Array) -> Array:
        kept = 1.0 - config.label_smoothing
        if policy.label is not None:
            policy = policy._replace(label=kept * policy.label)
        return loss(network, expert._replace(label=kept * _labels(expert, 1.0)), policy, key)

    return smoothed


def instance_noise(loss: Loss, logit: Logit, config: DiscriminatorConfig) -> Loss:
    """Hands on samples with Gaussian noise on the inputs of both sides, so that their supports meet (Sønderby et al.
    2017, Amortised MAP Inference; Arjovsky and Bottou 2017, Theorem 2.1): on all that a network is shown, the indicator
    of absorbing states too, in which they would be apart otherwise, and not on what only multiplies its output.

    Differs from both: the noise does not fade over training.
    """

    def noisy(network: Any, expert: Samples, policy: Samples, key: Array) -> Array:
        loss_key, expert_key, policy_key = jax.random.split(key, 3)

        def blurred(side: Samples, noise_key: Array) -> Samples:
            noise = jax.random.normal(noise_key, side.inputs.shape)
            if ends_in_continues(config):
                noise = noise.at[..., -1].set(0.0)
            return side._replace(inputs=side.inputs + config.instance_noise * noise)

        return loss(network, blurred(expert, expert_key), blurred(policy, policy_key), loss_key)

    return noisy


def dropout(loss: Loss, logit: Logit, config: DiscriminatorConfig) -> Loss:
    """Leaves hidden units (and inputs, by another rate) out of the network at random in an update, never in a reward
    (Srivastava et al. 2014; a choice in Orsini et al. 2021). Row i of either batch has the same units left out."""

    def dropped(network: Any, expert: Samples, policy: Samples, key: Array) -> Array:
        loss_key, drop_key = jax.random.split(key)
        return loss(Dropped(network, drop_key), expert, policy, loss_key)

    return dropped


def spectral_norm(weight: Array) -> Array:
    """The largest singular value of a matrix [n, m] by power iteration (scalar), with the exact value's gradient where
    the iteration has converged.

    From a fixed start and without a state: 30 iterations on one layer cost about as many products of a row with it,
    less than a batch does, while an exact decomposition costs more than the whole update; and the value is a function
    of the weights alone, so that rewards and restored runs agree. It never exceeds the exact one.

    Differs from Miyato et al. 2018 (Algorithm 1), who keep the vector between updates and iterate once in each.
    """
    fixed = jax.lax.stop_gradient(weight)
    start = jnp.cos(jnp.arange(weight.shape[1], dtype=jnp.float32))

    def iterate(_: Array, right: Array) -> Array:
        product = (fixed @ right) @ fixed
        return product / (jnp.linalg.norm(product) + 1e-12)

    right = jax.lax.fori_loop(0, POWER_ITERATIONS, iterate, start)
    left = fixed @ right
    left = left / (jnp.linalg.norm(left) + 1e-12)
    return left @ weight @ right


def spectral_normalisation(network: Network, config: DiscriminatorConfig) -> Network:
    """Every weight divided by its spectral norm (Miyato et al. 2018, Eq. 8), times an equal share of the bound, so that
    the network's slope is hardly anywhere above it: ReLU and tanh have slopes of at most 1, and the power iterations
    fall short of the norms by a few percent at most."""
    share = config.spectral_norm ** (1.0 / len(network))
    return tuple(Layer(share * layer.weight / (spectral_norm(layer.weight) + 1e-12), layer.bias) for layer in network)


def logit_clamp(logit: Array, config: DiscriminatorConfig) -> Array:
    """The logit held within +- the clamp, in losses and rewards (as in Orsini et al. 2021, who clamp rewards; no paper
    of its own). Beyond it a sample has no gradient: on the expert's side that is CREDO's filter with reading ``batch``
    and the clamp as threshold, drawn anew at each update."""
    return jnp.clip(logit, -config.logit_clamp, config.logit_clamp)


def weight_decay(optimiser: optax.GradientTransformation, config: DiscriminatorConfig) -> optax.GradientTransformation:
    """Takes learning rate * coefficient * weight off every weight (decoupled: Loshchilov and Hutter 2019, Algorithm 2);
    biases do not decay."""
    rate = config.learning_rate * config.weight_decay

    def decay(changes: Any, weights: Any) -> Any:
        return jax.tree.map(lambda change, w: change - rate * w if w.ndim == 2 else change, changes, weights)

    return optax.chain(optimiser, optax.stateless(decay))


def learning_rate_decay(
    optimiser: optax.GradientTransformation, config: DiscriminatorConfig
) -> optax.GradientTransformation:
    """Halves the steps of what stands before it in the list after every so many updates (the schedule of C-GAIL, Luo et
    al. 2024, and of DAC's actor, Kostrikov et al. 2019: by 0.5 every 100,000)."""

    def share(count: Array) -> Array:
        return jnp.exp2(-(count // config.learning_rate_halving).astype(jnp.float32))

    return optax.chain(optimiser, optax.scale_by_schedule(share))


def _positive_unlabelled(
    expert_logit: Array, expert: Samples, policy_logit: Array, policy: Samples, config: DiscriminatorConfig
) -> Array:
    prior, slack = config.class_prior, config.unlabelled_slack
    return positive_unlabelled(expert_logit, expert, policy_logit, policy, prior, slack)


REGULARISERS: dict[str, Regulariser] = {
    "gradient-penalty": Regulariser(loss=gradient_penalty),
    "gradient-penalty-one-sided": Regulariser(loss=gradient_penalty_one_sided),
    "r1": Regulariser(loss=r1),
    "spectral-normalisation": Regulariser(network=spectral_normalisation),
    "entropy": Regulariser(term=entropy),
    "mixup": Regulariser(loss=mixup),
    "label-smoothing": Regulariser(loss=label_smoothing),
    "weight-decay": Regulariser(optimiser=weight_decay),
    "dropout": Regulariser(loss=dropout),
    "positive-unlabelled": Regulariser(classification=_positive_unlabelled),
    "controller": Regulariser(term=controller),
    "logit-clamp": Regulariser(output=logit_clamp),
    "learning-rate-decay": Regulariser(optimiser=learning_rate_decay),
    "instance-noise": Regulariser(loss=instance_noise),
}


def chosen_regularisers(config: DiscriminatorConfig) -> list[Regulariser]:
    """Those of the settings, in their order, each with its own settings."""
    chosen = []
    for text in config.regularisers:
        regulariser, settings = REGULARISERS[plain_name(text)], named_settings("regulariser", text)
        chosen.append(regulariser if regulariser.of is None else regulariser.of(settings))
    return chosen


def regularised_logit(logit: Logit, chosen: list[Regulariser], config: DiscriminatorConfig) -> Logit:
    """The logit that all see, from the network's own."""
    outputs = [regulariser.output for regulariser in chosen if regulariser.output]

    def changed(network: Any, inputs: Array) -> Array:
        value = logit(network, inputs)
        for output in outputs:
            value = output(value, config)
        return value

    return changed if outputs else logit


def regularised_network(network: Any, chosen: list[Regulariser], config: DiscriminatorConfig) -> Any:
    """The network that is evaluated, from its parameters."""
    changes = [regulariser.network for regulariser in chosen if regulariser.network]

    def changed(part: Network) -> Network:
        for change in changes:
            part = change(part, config)
        return part

    return map_networks(changed, network) if changes else network


def classification_loss(logit: Logit, chosen: list[Regulariser], config: DiscriminatorConfig) -> Loss:
    """The loss on the two sides' logits: the cross entropy or what stands in its place, and all terms on the same
    logits."""
    others = [regulariser.classification for regulariser in chosen if regulariser.classification]
    terms = [regulariser.term for regulariser in chosen if regulariser.term]

    def loss(network: Any, expert: Samples, policy: Samples, key: Array) -> Array:
        sides = logit(network, expert.inputs), expert, logit(network, policy.inputs), policy
        value = others[-1](*sides, config) if others else cross_entropy(*sides)
        for term in terms:
            value = value + term(*sides, config)
        return value

    return loss


def regularised_loss(loss: Loss, logit: Logit, chosen: list[Regulariser], config: DiscriminatorConfig) -> Loss:
    """``loss`` behind all that wrap one; samples pass through the first in the list first."""
    for regulariser in reversed(chosen):
        if regulariser.loss is not None:
            loss = regulariser.loss(loss, logit, config)
    return loss


def regularised_optimiser(
    optimiser: optax.GradientTransformation, chosen: list[Regulariser], config: DiscriminatorConfig
) -> optax.GradientTransformation:
    for regulariser in chosen:
        if regulariser.optimiser is not None:
            optimiser = regulariser.optimiser(optimiser, config)
    return optimiser
