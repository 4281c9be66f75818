"""Each regulariser against numbers worked out by hand or in NumPy, and what CREDO filtered in each of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from credo.config import CredoConfig, DiscriminatorConfig
from credo.config.discriminator import REGULARISER_SETTINGS, unused_settings
from credo.discriminator.logits import Dropped, perceptron
from credo.discriminator.losses import Samples, cross_entropy, positive_unlabelled
from credo.discriminator.model import make_discriminator
from credo.discriminator.regularisers import (
    REGULARISERS,
    bernoulli_entropy,
    classification_loss,
    regularised_loss,
    spectral_norm,
)
from credo.networks import Layer, apply, initialise

SLOPE = jnp.array([3.0, 4.0])
EXPERT = Samples(jnp.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]), jnp.array([0.5, 0.5, 0.0]))
"""Logits 3 and 4; the third sample (14) is filtered."""
POLICY = Samples(jnp.array([[-1.0, 0.0], [0.0, 0.0], [0.0, -1.0]]))
"""Logits -3, 0 and -4."""
KEY = jax.random.key(3)


def linear(network, inputs):
    """A logit of slope (3, 4), of norm 5, times the network's scale."""
    return network * inputs @ SLOPE


def zero(network, expert, policy, key):
    return jnp.zeros(())


def plain(network, expert, policy, key):
    return cross_entropy(linear(network, expert.inputs), expert, linear(network, policy.inputs), policy)


def term(name, loss=zero, expert=EXPERT, scale=1.0, key=KEY, **settings):
    """The value of a regulariser around ``loss``, or of its term, on a linear logit."""
    config, network = DiscriminatorConfig(**settings), jnp.float32(scale)
    regulariser = REGULARISERS[name]
    if regulariser.term is not None:
        logits = linear(network, expert.inputs), linear(network, POLICY.inputs)
        return float(regulariser.term(logits[0], expert, logits[1], POLICY, config))
    return float(jax.jit(regulariser.loss(loss, linear, config))(network, expert, POLICY, key))


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def softplus(x):
    return np.logaddexp(0.0, np.asarray(x, np.float64))


def test_penalties_by_hand():
    assert term("gradient-penalty", gradient_penalty=2.0) == pytest.approx(2 * (5 - 1) ** 2)
    assert term("gradient-penalty-one-sided", gradient_penalty=2.0) == pytest.approx(2 * (5 - 1) ** 2)
    assert term("gradient-penalty", scale=0.1) == pytest.approx((0.5 - 1) ** 2)
    assert term("gradient-penalty-one-sided", scale=0.1) == 0.0
    assert term("r1", r1=2.0) == pytest.approx(0.5 * 2 * 25)
    half = EXPERT._replace(weight=jnp.array([0.25, 0.25, 0.0]))
    assert term("r1", expert=half, r1=2.0) == pytest.approx(0.5 * 2 * 25 / 2), "fades with the expert's term"


def test_the_penalty_is_taken_between_the_sides_and_never_at_a_filtered_sample():
    seen = []

    def watched(network, inputs):
        seen.append(np.asarray(jax.lax.stop_gradient(inputs)))
        return jnp.sum(jnp.square(inputs), axis=-1)

    wrapped = REGULARISERS["gradient-penalty"].loss(zero, watched, DiscriminatorConfig())
    with jax.disable_jit():
        wrapped(jnp.float32(1.0), EXPERT, POLICY, KEY)
    (points,) = seen
    share = np.asarray(jax.random.uniform(jax.random.split(KEY)[1], (3, 1)))
    between = share * EXPERT.inputs + (1 - share) * POLICY.inputs
    np.testing.assert_allclose(points[:2], between[:2], rtol=1e-6)
    np.testing.assert_array_equal(points[2], POLICY.inputs[2])


def test_entropy_by_hand():
    probability = sigmoid([3.0, 4.0, -3.0, 0.0, -4.0])
    by_definition = -probability * np.log(probability) - (1 - probability) * np.log(1 - probability)
    np.testing.assert_allclose(
        bernoulli_entropy(jnp.array([3.0, 4.0, -3.0, 0.0, -4.0])), by_definition, rtol=1e-5, atol=1e-7
    )
    assert float(bernoulli_entropy(jnp.float32(0.0))) == pytest.approx(np.log(2))
    expected = -0.3 * (by_definition[:2].mean() + by_definition[2:].mean())
    assert term("entropy", entropy=0.3) == pytest.approx(expected, rel=1e-5)


def test_the_controller_by_hand():
    # sigmoid(3) = 0.95257413, sigmoid(4) = 0.98201379: squared distances to 1/2 of 0.20482334 and 0.23233730.
    expected = 0.5 * 3.0 * ((0.20482334 + 0.23233730) / 2 + (0.20482334 + 0.0 + 0.23233730) / 3)
    assert term("controller", controller=3.0) == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_by_hand():
    expected = 0.5 * (0.8 * softplus(-3.0) + 0.2 * softplus(3.0) + 0.8 * softplus(-4.0) + 0.2 * softplus(4.0))
    expected += np.mean(softplus([-3.0, 0.0, -4.0]))
    assert term("label-smoothing", plain, label_smoothing=0.2) == pytest.approx(expected, rel=1e-6)
    # The loss is least where D is the label: log(0.8 / 0.2) = 1.38629436.
    config = DiscriminatorConfig(label_smoothing=0.2)
    wrapped = REGULARISERS["label-smoothing"].loss(plain, linear, config)
    one = Samples(jnp.array([[1.0, 0.0]]))
    slope = jax.grad(wrapped)(jnp.float32(1.38629436 / 3), one, Samples(jnp.zeros((1, 2))), KEY)
    assert float(slope) == pytest.approx(0.0, abs=1e-6)


def test_mixup_in_numpy():
    alpha = 0.4
    _, share_key, partner_key = jax.random.split(KEY, 3)
    share = np.asarray(jax.random.beta(share_key, alpha, alpha, (6,)), np.float64)[:, None]
    weight = np.array([0.5, 0.5, 0.0, 1 / 3, 1 / 3, 1 / 3])
    height = np.asarray(jax.random.uniform(partner_key, (6,)), np.float64) * 2.0
    partner = np.array([np.flatnonzero(np.cumsum(weight) > at)[0] for at in height])
    inputs = np.concatenate([EXPERT.inputs, POLICY.inputs]).astype(np.float64)
    label = np.array([1.0, 1, 1, 0, 0, 0])[:, None]
    mixed = share * inputs + (1 - share) * inputs[partner]
    towards = (share * label + (1 - share) * label[partner])[:, 0]
    logit = mixed @ np.array([3.0, 4.0])
    expected = np.sum(weight * (towards * softplus(-logit) + (1 - towards) * softplus(logit)))
    assert term("mixup", plain, mixup=alpha) == pytest.approx(expected, rel=1e-5)
    assert np.ptp(share) > 0.3, "shares differ from sample to sample"


def test_mixups_partners_are_drawn_by_weight_and_never_filtered():
    drawn = []

    def watched(network, expert, policy, key):
        drawn.append((expert, policy))
        return jnp.zeros(())

    wrapped = REGULARISERS["mixup"].loss(watched, linear, DiscriminatorConfig(mixup=1.0))
    # Every sample is a corner of its own, so a mixture tells its partner.
    expert = Samples(jnp.eye(6)[:3], EXPERT.weight)
    policy = Samples(jnp.eye(6)[3:])
    for number in range(60):
        wrapped(jnp.float32(1.0), expert, policy, jax.random.key(number))
    mixtures = np.concatenate([np.concatenate([e.inputs, p.inputs]) for e, p in drawn])
    anchors = np.tile(np.arange(6), 60)
    others = mixtures.copy()
    others[np.arange(len(others)), anchors] = 0.0
    assert np.all(others[:, 2] == 0.0)
    counts = (others > 0).sum(axis=0)
    assert counts[0] > counts[3] > 0, "an expert sample of weight 1/2 is drawn more often than one of 1/3"


def test_mixed_labels_are_smoothed_on_both_sides_so_that_the_order_means_nothing():
    config = DiscriminatorConfig(mixup=1.0, label_smoothing=0.2)
    losses = []
    for names in (("mixup", "label-smoothing"), ("label-smoothing", "mixup")):
        loss = regularised_loss(plain, linear, [REGULARISERS[name] for name in names], config)
        losses.append(float(loss(jnp.float32(1.0), EXPERT, POLICY, KEY)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_positive_unlabelled_by_hand():
    expert = Samples(jnp.zeros((3, 1)), jnp.array([0.5, 0.5, 0.0]))
    policy = Samples(jnp.zeros((2, 1)))
    logits = jnp.array([1.0, 0.0, 50.0]), jnp.array([2.0, 0.0])
    positive = (0.31326169 + 0.69314718) / 2
    as_negative = (1.31326169 + 0.69314718) / 2
    unlabelled = (2.12692801 + 0.69314718) / 2
    found = positive_unlabelled(logits[0], expert, logits[1], policy, 0.5, 0.0)
    assert float(found) == pytest.approx(0.5 * positive + unlabelled - 0.5 * as_negative, rel=1e-6)
    # The policy's samples look like nobody's: the estimated risk is below 0, and has no gradient there.
    policy_logit = jnp.array([-9.0, -9.0])
    for slack in (0.0, 0.1):
        found = positive_unlabelled(logits[0], expert, policy_logit, policy, 0.5, slack)
        assert float(found) == pytest.approx(0.5 * positive - slack, rel=1e-6)
        slope = jax.grad(lambda logit: positive_unlabelled(logits[0], expert, logit, policy, 0.5, slack))(  # noqa: B023
            policy_logit
        )
        np.testing.assert_array_equal(slope, 0.0)
    none = expert._replace(weight=jnp.zeros(3))
    found = positive_unlabelled(logits[0], none, logits[1], policy, 0.5, 0.0)
    assert float(found) == pytest.approx(unlabelled, rel=1e-6)


def test_instance_noise_has_its_standard_deviation_on_both_sides():
    seen = []

    def watched(network, expert, policy, key):
        seen.append((np.asarray(expert.inputs), np.asarray(policy.inputs), expert.weight))
        return jnp.zeros(())

    side = Samples(jnp.ones((4000, 2)))
    wrapped = REGULARISERS["instance-noise"].loss(watched, linear, DiscriminatorConfig(instance_noise=0.25))
    wrapped(jnp.float32(1.0), side, side, KEY)
    ((expert, policy, weight),) = seen
    assert weight is None
    for found in (expert, policy):
        assert found.mean() == pytest.approx(1.0, abs=0.02)
        assert found.std() == pytest.approx(0.25, rel=0.05)
    assert abs(np.corrcoef(expert.ravel(), policy.ravel())[0, 1]) < 0.05


def test_dropout_leaves_out_units_at_random_and_keeps_means():
    config = DiscriminatorConfig(hidden=(40,), dropout=0.25, input_dropout=0.0, activation="tanh")
    network = initialise(jax.random.key(0), (3, 40, 1))
    inputs = jnp.ones((5000, 3))
    whole = perceptron(network, inputs, config)
    found = np.asarray(perceptron(network, inputs, config, KEY))
    hidden = np.tanh(np.ones(3) @ np.asarray(network[0].weight) + np.asarray(network[0].bias))
    terms = hidden * np.asarray(network[1].weight)[:, 0]
    # Each unit is kept with 0.75 and scaled by 1 / 0.75: variance term^2 (1 / 0.75 - 1).
    assert found.mean() == pytest.approx(float(whole[0]), abs=4 * np.sqrt(np.sum(terms**2) / 3 / 5000))
    assert found.std() == pytest.approx(np.sqrt(np.sum(terms**2) / 3), rel=0.05)
    everything = np.asarray(perceptron(network, inputs, DiscriminatorConfig(dropout=0.0, activation="tanh"), KEY))
    np.testing.assert_allclose(everything, whole, rtol=1e-5)
    bias = float(network[1].bias[0])
    of_inputs = DiscriminatorConfig(dropout=0.0, input_dropout=0.5)
    flat = (Layer(jnp.ones((2, 1)), network[1].bias),)
    values, counts = np.unique(np.asarray(perceptron(flat, jnp.ones((4000, 2)), of_inputs, KEY)), return_counts=True)
    np.testing.assert_allclose(values, [bias, 2 + bias, 4 + bias], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(counts / 4000, [0.25, 0.5, 0.25], atol=0.03)


def test_dropout_is_for_losses_alone():
    seen = []

    def watched(network, expert, policy, key):
        seen.append(network)
        return jnp.zeros(())

    REGULARISERS["dropout"].loss(watched, linear, DiscriminatorConfig())(jnp.float32(1.0), EXPERT, POLICY, KEY)
    assert isinstance(seen[0], Dropped)
    discriminator = make_discriminator(
        DiscriminatorConfig(hidden=(8,), regularisers=("dropout",)), CredoConfig(), "plr", 2, 1
    )
    state = discriminator.init(KEY)
    inputs = jnp.ones((4, 3))
    np.testing.assert_array_equal(discriminator.logit(state.network, inputs), apply(state.network, inputs)[:, 0])


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (14, 64), (64, 64), (64, 1), (1, 7)])
def test_the_spectral_norm_is_the_largest_singular_value(shape):
    generator = np.random.default_rng(0)
    bound = shape[0] ** -0.5
    weight = generator.uniform(-bound, bound, shape).astype(np.float32)
    left, values, right = np.linalg.svd(weight.astype(np.float64))
    found = float(jax.jit(spectral_norm)(jnp.asarray(weight)))
    assert found <= values[0] * (1 + 1e-6)
    # The iteration tells equal singular values apart slowly, and needs not to: the norm itself is near at once.
    assert found == pytest.approx(values[0], rel=0.02)
    if min(shape) == 1 or values[0] > 1.2 * values[1]:
        slope = jax.grad(spectral_norm)(jnp.asarray(weight))
        np.testing.assert_allclose(slope, np.outer(left[:, 0], right[0]), atol=1e-3)


def test_spectral_normalisation_bounds_the_slope_and_rewards_see_it():
    config = DiscriminatorConfig(hidden=(16, 8), regularisers=("spectral-normalisation",), spectral_norm=0.7)
    discriminator = make_discriminator(config, CredoConfig(), "plr", 2, 1)
    state = discriminator.init(KEY)
    steep = jax.tree.map(lambda x: 30 * x, state.network)
    inputs = jnp.asarray(np.random.default_rng(0).standard_normal((50, 3)), jnp.float32)
    slope = jax.grad(lambda x: jnp.sum(discriminator.logit(steep, x)))(inputs)
    assert float(jnp.max(jnp.linalg.norm(slope, axis=-1))) <= 0.7 * 1.05
    exact = tuple(
        Layer(jnp.asarray(0.7 ** (1 / 3) * np.asarray(w) / np.linalg.svd(np.asarray(w))[1][0], jnp.float32), b)
        for w, b in steep
    )
    np.testing.assert_allclose(discriminator.logit(steep, inputs), apply(exact, inputs)[:, 0], rtol=0.05, atol=0.05)


def test_the_clamp_holds_logits_in_losses_and_rewards():
    config = DiscriminatorConfig(hidden=(8,), regularisers=("logit-clamp",), logit_clamp=0.01, batch_size=4)
    discriminator = make_discriminator(config, CredoConfig(mode="off"), "plr", 2, 1)
    state = discriminator.init(KEY)
    inputs = jnp.asarray(np.random.default_rng(0).standard_normal((50, 3)), jnp.float32)
    whole = np.asarray(apply(state.network, inputs)[:, 0])
    np.testing.assert_allclose(discriminator.logit(state.network, inputs), np.clip(whole, -0.01, 0.01), rtol=1e-6)
    assert np.abs(whole).max() > 0.01


def test_weights_decay_by_hand_and_biases_do_not():
    config = DiscriminatorConfig(learning_rate=0.1, weight_decay=0.5)
    optimiser = REGULARISERS["weight-decay"].optimiser(optax.sgd(0.1), config)
    network = (Layer(jnp.array([[2.0]]), jnp.array([2.0])),)
    gradient = (Layer(jnp.array([[1.0]]), jnp.array([1.0])),)
    changes, _ = optimiser.update(gradient, optimiser.init(network), network)
    assert float(changes[0].weight[0, 0]) == pytest.approx(-0.1 * 1.0 - 0.1 * 0.5 * 2.0)
    assert float(changes[0].bias[0]) == pytest.approx(-0.1)


def test_the_step_size_halves_in_steps():
    config = DiscriminatorConfig(learning_rate_halving=3)
    optimiser = REGULARISERS["learning-rate-decay"].optimiser(optax.sgd(1.0), config)
    weights = jnp.zeros(1)
    state = optimiser.init(weights)
    steps = []
    for _ in range(8):
        change, state = optimiser.update(jnp.ones(1), state, weights)
        steps.append(-float(change[0]))
    np.testing.assert_allclose(steps, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])


NETWORK = initialise(jax.random.key(0), (2, 5, 1))
TRAINING = DiscriminatorConfig(hidden=(5,), activation="tanh", entropy=0.5, gradient_penalty=10.0)


def network_logit(network, inputs):
    key = None
    if isinstance(network, Dropped):
        network, key = network
    return 40.0 * perceptron(network, inputs, TRAINING, key)  # steep, so that no penalty is idle


def gradient(names, expert=EXPERT):
    chosen = [REGULARISERS[name] for name in names]
    loss = regularised_loss(classification_loss(network_logit, chosen, TRAINING), network_logit, chosen, TRAINING)
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(jax.grad(loss)(NETWORK, expert, POLICY, KEY))])


WRAPPING = [name for name, one in REGULARISERS.items() if one.loss or one.term or one.classification]


@pytest.mark.parametrize("name", WRAPPING)
def test_no_term_sees_a_filtered_sample(name):
    elsewhere = EXPERT._replace(inputs=EXPERT.inputs.at[2].set(jnp.array([-70.0, 30.0])))
    found = gradient([name])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, gradient([name], elsewhere), rtol=1e-5, atol=1e-6)
    everything = EXPERT._replace(weight=jnp.zeros(3))
    np.testing.assert_allclose(
        gradient([name], everything), gradient([name], everything._replace(inputs=50 + EXPERT.inputs)), rtol=1e-5
    )
    kept = EXPERT._replace(weight=jnp.array([0.5, 0.25, 0.25]))
    assert np.abs(gradient([name], kept) - found).max() > 1e-3, "what is retained does matter"
    assert np.abs(found - gradient([])).max() > 1e-4, "it changes the gradient"


def test_whole_rounds_with_all_of_them_compose_and_see_no_expert_where_nothing_is_retained():
    credo = CredoConfig(mode="filter", reading="resample", threshold=-1e6, threshold_unit="logit")
    generator = np.random.default_rng(1)
    policy = jnp.asarray(generator.standard_normal((2, 8, 3)), jnp.float32)
    experts = [jnp.asarray(generator.standard_normal((30, 3)) * scale, jnp.float32) for scale in (1, 100)]
    names = tuple(name for name in REGULARISERS if name != "positive-unlabelled")
    for chosen in (names, (*names[::-1], "positive-unlabelled")):
        config = DiscriminatorConfig(hidden=(6,), batch_size=8, learning_rate=1e-2, regularisers=chosen)
        discriminator = make_discriminator(config, credo, "plr", 2, 1)
        update = jax.jit(discriminator.update)
        state = discriminator.init(KEY)
        (first, metrics), (second, _) = (update(state, expert, policy, KEY) for expert in experts)
        for one, other in zip(jax.tree.leaves(first.network), jax.tree.leaves(second.network), strict=True):
            np.testing.assert_array_equal(one, other)
            assert np.isfinite(one).all()
        assert float(metrics["discriminator_gradient_max"]) > 0, "the policy's side goes on"


def test_samples_pass_through_the_first_one_first():
    seen = []

    def logit(network, inputs):
        seen.append(np.asarray(jax.lax.stop_gradient(inputs)))
        return jnp.sum(inputs, axis=-1)

    config = DiscriminatorConfig(instance_noise=100.0)
    for names, noisy in ((("instance-noise", "r1"), True), (("r1", "instance-noise"), False)):
        seen.clear()
        loss = regularised_loss(zero, logit, [REGULARISERS[name] for name in names], config)
        loss(jnp.float32(1.0), EXPERT, POLICY, KEY)
        assert (np.abs(seen[0] - EXPERT.inputs).max() > 10) == noisy


def test_settings_belong_to_regularisers():
    fields = set(DiscriminatorConfig.__dataclass_fields__)
    assert set(REGULARISER_SETTINGS) == set(REGULARISERS)
    assert {name for names in REGULARISER_SETTINGS.values() for name in names} <= fields
    assert "gradient_penalty" not in unused_settings(DiscriminatorConfig())
    assert {"dropout", "input_dropout", "mixup"} <= unused_settings(DiscriminatorConfig())


def updated(regulariser, scale, **changes):
    """Metrics of an update whose network's weights are ``scale`` times what they begin with."""
    config = DiscriminatorConfig(hidden=(8,), batch_size=4, regularisers=(regulariser,), **changes)
    discriminator = make_discriminator(config, CredoConfig(mode="off"), "plr", 2, 1)
    state = discriminator.init(jax.random.key(0))
    network = tuple(Layer(scale * layer.weight, layer.bias) for layer in state.network)
    generator = np.random.default_rng(0)
    expert, policy = (jnp.asarray(generator.standard_normal(shape), jnp.float32) for shape in ((20, 3), (1, 4, 3)))
    return discriminator.update(state._replace(network=network), expert, policy, jax.random.key(1))[1]


def test_what_alters_logit_or_network_does_so_in_the_loss():
    """Not in rewards alone: far past the clamp there is no gradient, and a normalised network has no scale."""
    assert float(updated("logit-clamp", 1000.0, logit_clamp=0.01)["discriminator_gradient_max"]) == 0.0
    one, thirty = (float(updated("spectral-normalisation", scale)["discriminator_loss"]) for scale in (1.0, 30.0))
    assert one == pytest.approx(thirty, rel=1e-4)
