"""Whole discriminator updates against NumPy float64, and CREDO's readings inside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo.config import CredoConfig, DiscriminatorConfig
from credo.discriminator.expert_batches import expert_weight
from credo.discriminator.losses import Samples, cross_entropy
from credo.discriminator.model import make_discriminator
from credo.discriminator.outliers import BLOCK
from reference.adversary import Adversary
from reference.multilayer import to_numpy

OBSERVATION, ACTION, BATCH, UPDATES, EXPERTS = 3, 2, 8, 4, 40
OFF = CredoConfig(mode="off")


def settings(**changes):
    base = {"hidden": (7, 5), "activation": "tanh", "batch_size": BATCH, "regularisers": (), "learning_rate": 1e-2}
    return DiscriminatorConfig(**(base | changes))


def make(config, credo=OFF, reward="plr"):
    return make_discriminator(config, credo, reward, OBSERVATION, ACTION)


def data(seed=0, experts=EXPERTS):
    generator = np.random.default_rng(seed)
    size = OBSERVATION + ACTION
    expert = generator.standard_normal((experts, size)).astype(np.float32) + 0.3
    policy = generator.standard_normal((UPDATES, BATCH, size)).astype(np.float32)
    return expert, policy


def expert_indices(key, count, total):
    return np.asarray(jax.random.randint(key, (count,), 0, total))


def replayed(config, credo, threshold, expert, policy, state, key):
    """The same round in NumPy: every key is derived anew, every number drawn from it is passed on."""
    coefficient = config.gradient_penalty if config.regularisers else None
    network = to_numpy(state.network)
    adversary = Adversary(network, config.learning_rate, config.activation, coefficient)
    first = Adversary(network, config.learning_rate, config.activation)
    filtered, norms, weights = [], [], []
    total = len(expert)

    def drawn(scorer, draw_key, count):
        """By rejection, in blocks; what room for candidates does not yield is drawn from what was found."""
        block = min(BLOCK, credo.candidates)
        found, scored = np.empty(0, int), 0
        while len(found) < count and scored + block <= credo.candidates:
            rows = expert_indices(jax.random.fold_in(draw_key, scored // block), block, total)
            found = np.append(found, rows[scorer.logit(expert[rows]) < threshold])
            scored += block
        again = expert_indices(jax.random.fold_in(draw_key, credo.candidates), count, min(len(found), count))
        return np.append(found, found[again[len(found) :]])[:count], 1 - len(found) / scored

    of_round = None
    if credo.reading == "resample" and credo.rescore == "round" and credo.mode in ("filter", "both"):
        rows, share_of_round = drawn(first, jax.random.fold_in(key, 0), len(policy) * BATCH)
        of_round = [(rows[i * BATCH : (i + 1) * BATCH], share_of_round) for i in range(len(policy))]
    update_keys = jax.random.split(jax.random.fold_in(key, 1), len(policy))
    for index, (batch, update_key) in enumerate(zip(policy, update_keys, strict=True)):
        choose_key, loss_key = jax.random.split(update_key)
        draw_key, batch_key = jax.random.split(choose_key)
        scorer = first if credo.rescore == "round" else adversary
        if credo.mode in ("off", "clip"):
            chosen, weight, share = expert[expert_indices(batch_key, BATCH, total)], np.full(BATCH, 1 / BATCH), 0.0
        elif credo.reading == "resample":
            rows, share = of_round[index] if of_round else drawn(scorer, draw_key, BATCH)
            chosen, weight = expert[rows], np.full(BATCH, 1 / BATCH)
        else:
            chosen = expert[expert_indices(batch_key, BATCH, total)]
            keep = scorer.logit(chosen) < threshold
            weight = keep / (BATCH if credo.reading == "batch" else max(keep.sum(), 1))
            share = 1 - keep.mean()
        mix = np.asarray(jax.random.uniform(jax.random.split(loss_key)[1], (BATCH, 1)), np.float64)
        _, gradient = adversary.update(chosen.astype(np.float64), weight, batch.astype(np.float64), mix)
        norms.append(np.sqrt(sum(np.sum(array**2) for layer in gradient for array in layer)))
        filtered.append(share)
        weights.append(weight.sum())
    return adversary, np.mean(filtered), np.max(norms), np.mean(weights)


def median_threshold(config, expert):
    """A logit in the middle of a wide gap between the initial scores, so that float32 cannot change a side."""
    discriminator = make(config)
    state = discriminator.init(jax.random.key(1))
    scores = np.sort(np.asarray(discriminator.logit(state.network, jnp.asarray(expert))))
    middle = scores[len(scores) // 4 : 3 * len(scores) // 4]
    widest = np.argmax(np.diff(middle))
    return float(middle[widest : widest + 2].mean())


ALL = ("gradient-penalty",)
CASES = [
    # mode, reading, rescore, candidates, regularisers
    ("off", "resample", "round", 16384, ()),
    ("clip", "resample", "round", 16384, ALL),
    ("filter", "resample", "round", 16384, ALL),
    ("both", "resample", "round", 25, ()),
    ("filter", "resample", "update", 25, ALL),
    ("filter", "retained", "round", 16384, ()),
    ("filter", "retained", "update", 16384, ALL),
    ("filter", "batch", "round", 16384, ALL),
    ("filter", "batch", "update", 16384, ()),
]


@pytest.mark.parametrize(("mode", "reading", "rescore", "candidates", "regularisers"), CASES)
def test_a_round_agrees_with_numpy(mode, reading, rescore, candidates, regularisers):
    config = settings(regularisers=regularisers, gradient_penalty=0.7)
    expert, policy = data()
    threshold = median_threshold(config, expert)
    credo = CredoConfig(
        mode=mode,
        reading=reading,
        rescore=rescore,
        candidates=candidates,
        threshold=threshold,
        threshold_unit="logit",
    )
    discriminator = make(config, credo)
    state = discriminator.init(jax.random.key(1))
    key = jax.random.key(2)
    updated, metrics = jax.jit(discriminator.update)(state, jnp.asarray(expert), jnp.asarray(policy), key)
    adversary, filtered, norm, weight = replayed(config, credo, threshold, expert, policy, state, key)
    for found, expected in zip(updated.network, adversary.network, strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(metrics["discriminator_gradient_norm"], norm, rtol=1e-4)
    np.testing.assert_allclose(metrics["filtered_share"], filtered, atol=1e-6)
    np.testing.assert_allclose(metrics["expert_term_weight"], weight, rtol=1e-5)
    assert (filtered > 0) == (mode in ("filter", "both"))


def test_cross_entropy_by_hand():
    # log(1 + e^-1) = 0.31326169, log(1 + e^2) = 2.12692801, log 2 = 0.69314718
    expert = Samples(jnp.zeros((2, 1)), jnp.array([0.5, 0.25]))
    found = cross_entropy(jnp.array([1.0, 0.0]), expert, jnp.array([2.0, 0.0]), Samples(jnp.zeros((2, 1))))
    assert float(found) == pytest.approx(0.5 * 0.31326169 + 0.25 * 0.69314718 + (2.12692801 + 0.69314718) / 2)


def test_weights_of_the_readings():
    keep = jnp.array([True, False, True, False, False, False, False, True])
    np.testing.assert_allclose(expert_weight(keep, "retained"), np.asarray(keep) / 3, rtol=1e-6)
    np.testing.assert_allclose(expert_weight(keep, "batch"), np.asarray(keep) / 8, rtol=1e-6)
    for reading in ("retained", "batch"):
        assert float(jnp.sum(expert_weight(jnp.zeros(8, bool), reading))) == 0.0


@pytest.mark.parametrize(
    ("reading", "rescore"), [("resample", "round"), ("resample", "update"), ("retained", "round"), ("batch", "update")]
)
def test_with_nothing_retained_the_expert_term_is_zero(reading, rescore):
    credo = CredoConfig(mode="filter", reading=reading, rescore=rescore, threshold=-1e6, threshold_unit="logit")
    discriminator = make(settings(), credo)
    state = discriminator.init(jax.random.key(0))
    expert, policy = data()
    update = jax.jit(discriminator.update)
    results = [
        update(state, jnp.asarray(samples), jnp.asarray(policy), jax.random.key(1))
        for samples in (expert, 100 * expert)
    ]
    for updated, metrics in results:
        assert float(metrics["filtered_share"]) == 1.0
        assert float(metrics["expert_term_weight"]) == 0.0
        for found, expected in zip(
            jax.tree.leaves(updated.network), jax.tree.leaves(results[0][0].network), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    assert float(results[0][1]["discriminator_gradient_max"]) > 0, "the policy's side goes on"


@pytest.mark.parametrize("reading", ["resample", "retained", "batch"])
def test_with_all_retained_the_expert_term_weighs_one(reading):
    credo = CredoConfig(mode="filter", reading=reading, threshold=1e6, threshold_unit="logit")
    discriminator = make(settings(), credo)
    expert, policy = data()
    state = discriminator.init(jax.random.key(0))
    _, metrics = discriminator.update(state, jnp.asarray(expert), jnp.asarray(policy), jax.random.key(1))
    assert float(metrics["filtered_share"]) == 0.0
    assert float(metrics["expert_term_weight"]) == pytest.approx(1.0)


def test_training_tells_expert_from_policy_with_a_positive_logit_for_expert():
    discriminator = make(settings())
    state = discriminator.init(jax.random.key(0))
    expert, policy = data()
    expert = expert + 2.0
    update = jax.jit(discriminator.update)
    for step in range(30):
        state, _ = update(state, jnp.asarray(expert), jnp.asarray(policy), jax.random.key(step))
    assert float(jnp.mean(discriminator.logit(state.network, jnp.asarray(expert)))) > 1.0
    assert float(jnp.mean(discriminator.logit(state.network, jnp.asarray(policy)))) < -1.0
