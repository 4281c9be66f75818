"""CREDO's threshold, its rule, its cap and its draw."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credo.config import CredoConfig, DiscriminatorConfig, RunConfig
from credo.discriminator import outliers
from credo.discriminator.rewards import REWARDS
from credo.training.advice import threshold_warning
from credo.training.checks import doubts
from credo.types import EnvironmentSpec

RISING = [name for name, reward in REWARDS.items() if reward.inverse]
FINITE_REWARDS = [name for name in RISING if name != "plr-literal"]


def rule(threshold, unit="reward", mode="filter"):
    return CredoConfig(mode=mode, threshold=threshold, threshold_unit=unit)


def test_definition_2_at_c_5():
    plr, cr = (outliers.threshold_logit(rule(5.0), name) for name in ("plr", "cr"))
    assert plr == pytest.approx(math.log(math.exp(5) - 1), rel=1e-12)
    assert plr == pytest.approx(4.993239, abs=1e-6)
    assert cr == 5.0
    alpha, beta = (1 / (1 + math.exp(-logit)) for logit in (plr, cr))
    assert alpha == pytest.approx(1 - math.exp(-5), rel=1e-12)
    assert alpha == pytest.approx(0.993262, abs=5e-7)
    assert beta == pytest.approx(0.993307, abs=5e-7)


@pytest.mark.parametrize("c", [0.1, 1.0, 5.0, 12.0])
def test_proposition_2(c):
    alpha, beta = (1 / (1 + math.exp(-outliers.threshold_logit(rule(c), name))) for name in ("plr", "cr"))
    assert beta - alpha == pytest.approx((1 - alpha) ** 2 / (2 - alpha), rel=1e-6)
    assert beta > alpha


@pytest.mark.parametrize("name", FINITE_REWARDS)
@settings(deadline=None, max_examples=25)
@given(threshold=st.floats(-12, 12), logits=st.lists(st.floats(-14, 14, width=32), min_size=8, max_size=8))
def test_the_rule_on_rewards_is_the_rule_on_logits(name, threshold, logits):
    c = float(REWARDS[name](jnp.float32(threshold)))
    low, high = REWARDS[name].bounds
    if not low < c < high:
        return
    values = jnp.array(logits, jnp.float32)
    keep = np.asarray(outliers.retained(values, outliers.threshold_logit(rule(c), name)))
    reward = np.asarray(REWARDS[name](values))
    # Where float32 cannot tell the reward from the threshold either answer is right.
    clear = np.abs(reward - c) > 4e-6 * max(1.0, abs(c))
    np.testing.assert_array_equal(keep[clear], (reward < c)[clear])


def test_a_sample_at_the_threshold_is_an_outlier():
    np.testing.assert_array_equal(
        outliers.retained(jnp.array([4.99, 5.0, 5.01], jnp.float32), 5.0), [True, False, False]
    )


@pytest.mark.parametrize("name", RISING)
@pytest.mark.parametrize("threshold", [0.02, 0.5, 1.5, 5.0])
def test_a_threshold_outside_the_range_keeps_all_or_none_and_says_so(name, threshold):
    low, high = REWARDS[name].bounds
    logit = outliers.threshold_logit(rule(threshold), name)
    warning = threshold_warning(rule(threshold), name)
    logits = jnp.linspace(-30.0, 30.0, 7)
    keep = np.asarray(outliers.retained(logits, logit))
    if threshold >= high:
        assert keep.all()
        assert "as good as off" in warning
    elif threshold <= low:
        assert not keep.any()
        assert "every expert sample is an outlier" in warning
    else:
        assert math.isfinite(logit)
        assert warning is None
        return
    assert name in warning
    assert "\n" not in warning


@pytest.mark.parametrize("name", REWARDS)
def test_probabilities_and_logits_mean_the_same_for_every_reward(name):
    assert outliers.threshold_logit(rule(0.9933071490757153, "probability"), name) == pytest.approx(5.0, abs=1e-9)
    assert outliers.threshold_logit(rule(-1.25, "logit"), name) == -1.25
    assert threshold_warning(rule(0.5, "probability"), name) is None


def test_a_reward_that_does_not_rise_has_no_outliers_by_a_threshold_in_rewards():
    for threshold in (-1e3, 0.02, 5.0):
        assert outliers.threshold_logit(rule(threshold), "fairl") == math.inf
    assert outliers.threshold_logit(rule(-1.25, "logit"), "fairl") == -1.25


def test_a_threshold_beyond_clamped_logits_says_so():
    """A reward of 5 of plr is a logit of log(e^5 - 1) = 4.9932."""
    assert "clamped to 4" in threshold_warning(rule(5.0), "plr", 4.0)
    assert threshold_warning(rule(5.0), "plr", 4.9933) is None
    assert "clamped to 4" in threshold_warning(rule(4.5, "logit"), "plr", 4.0)
    assert threshold_warning(rule(4.5, "logit", mode="off"), "plr", 4.0) is None
    clamped = DiscriminatorConfig(regularisers=("logit-clamp",), logit_clamp=4.0)
    assert "clamped to 4" in noted(rule(5.0), clamped)
    assert "clamped to 4" not in noted(rule(5.0), DiscriminatorConfig(logit_clamp=4.0))


def noted(credo, discriminator):
    spec = EnvironmentSpec("any", 2, 1, np.full(1, -1.0), np.full(1, 1.0), 100)
    return "\n".join(doubts(RunConfig(credo=credo, discriminator=discriminator), spec))


def test_a_round_that_takes_more_than_there_are_candidates_says_so():
    many = DiscriminatorConfig(updates_per_round=128, batch_size=256)
    assert "draws from 16,384 candidates what a round takes, 32,768 expert samples" in noted(rule(5.0), many)
    for change in ({"rescore": "update"}, {"reading": "batch"}, {"candidates": 32_768}, {"mode": "clip"}):
        assert "candidates" not in noted(dataclasses.replace(rule(5.0), **change), many)
    assert "candidates" not in noted(rule(5.0), DiscriminatorConfig(updates_per_round=64, batch_size=256))


def test_the_room_is_of_whole_blocks_and_so_is_the_advice():
    """6,400 candidates are drawn in 12 blocks of 512: 6,144."""
    wanted = DiscriminatorConfig(updates_per_round=100, batch_size=64)
    for candidates, room in ((6_400, "6,144"), (100, "100")):
        told = noted(dataclasses.replace(rule(5.0), candidates=candidates), wanted)
        assert f"draws from {room} candidates" in told
        assert "--credo-candidates 6656 " in told
    assert "candidates" not in noted(dataclasses.replace(rule(5.0), candidates=6_656), wanted)
    drawing = outliers.draw_retained(jax.random.key(0), 10**6, 6_400, lambda rows: rows >= 0, 6_656)
    assert len(np.unique(drawing.rows)) > 6_300


def test_no_warning_where_nothing_is_clipped():
    assert threshold_warning(rule(5.0, mode="off"), "r4") is None
    assert threshold_warning(rule(5.0), "environment") is None


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize("mode", ["off", "filter", "clip", "both"])
def test_modes(name, mode):
    assert outliers.filters(rule(5.0, mode=mode)) == (mode in ("filter", "both"))
    by_reward = outliers.reward_cap(rule(0.75, mode=mode), name)
    by_logit = outliers.reward_cap(rule(2.0, "logit", mode), name)
    if mode in ("off", "filter"):
        assert by_reward == by_logit == math.inf
    else:
        assert by_reward == 0.75
        assert by_logit == pytest.approx(float(REWARDS[name](jnp.float32(2.0))))


@pytest.mark.parametrize("unit", ["reward", "probability", "logit"])
def test_the_cap_is_a_number_inside_compiled_code(unit):
    credo = rule(0.75, unit, "clip")
    capped = jax.jit(lambda reward: jnp.minimum(reward, outliers.reward_cap(credo, "plr")))(jnp.float32(50.0))
    assert float(capped) == pytest.approx(outliers.reward_cap(credo, "plr"))


def draw(keep, count, seed=0, candidates=16384):
    keep = jnp.asarray(keep)

    def drawn(key):
        return outliers.draw_retained(key, keep.shape[0], count, lambda rows: keep[rows], candidates)

    return jax.tree.map(np.asarray, jax.jit(drawn)(jax.random.key(seed)))


def drawn_by_numpy(keep, count, seed, candidates):
    """The same drawing, candidate by candidate; only the random numbers are JAX's."""
    key = jax.random.key(seed)
    block = min(outliers.BLOCK, candidates)
    found, scored, number = [], 0, 0
    while len(found) < count and scored + block <= candidates:
        for row in np.asarray(jax.random.randint(jax.random.fold_in(key, number), (block,), 0, len(keep))):
            scored += 1
            if keep[row]:
                found.append(int(row))
        number += 1
    again = jax.random.fold_in(key, candidates)
    rest = np.asarray(jax.random.randint(again, (count,), 0, min(max(len(found), 1), count)))
    rows = [found[i] if i < len(found) else found[rest[i]] for i in range(count)] if found else None
    return rows, 1 - len(found) / scored


@pytest.mark.parametrize(
    ("share", "count", "candidates"),
    [
        (1.0, 128, 16384),
        (0.3, 600, 16384),
        (0.05, 128, 1024),
        (0.5, 700, 600),
        (0.5, 20, 7),
        (0.9, 512, 512),
        (0, 9, 50),
    ],
)
def test_the_drawing_agrees_with_one_candidate_after_another(share, count, candidates):
    keep = np.random.default_rng(0).random(900) < share
    for seed in range(3):
        expected, filtered = drawn_by_numpy(keep, count, seed, candidates)
        found = draw(keep, count, seed, candidates)
        assert bool(found.found) == (expected is not None)
        assert float(found.filtered_share) == pytest.approx(filtered, abs=1e-6)
        if expected is not None:
            np.testing.assert_array_equal(found.rows, expected)


def test_draws_uniformly_among_the_retained():
    keep = np.array([False, True, True, False, True, False, True, True, False])
    found = draw(keep, 20_000, candidates=100_000)
    counts = np.bincount(found.rows, minlength=len(keep))
    assert counts[~keep].sum() == 0
    expected = 20_000 / 5
    chi_square = np.sum((counts[keep] - expected) ** 2 / expected)
    assert chi_square < 18.5  # the 0.999 quantile at 4 degrees of freedom
    assert float(found.filtered_share) == pytest.approx(4 / 9, abs=0.015)
    # Neighbours in a drawing are independent: each of the 25 pairs is as frequent.
    rank = np.cumsum(keep)[found.rows] - 1
    pairs = np.bincount(5 * rank[0::2] + rank[1::2], minlength=25)
    assert np.sum((pairs - 400) ** 2 / 400) < 51.2  # the 0.999 quantile at 24 degrees of freedom


def test_no_more_is_scored_than_must_be():
    scored = []

    def drawn(share, count, candidates=16384):
        keep = jnp.asarray(np.arange(1000) < 1000 * share)
        scored.clear()

        def retain(rows):
            jax.debug.callback(lambda rows: scored.append(len(rows)), rows)
            return keep[rows]

        jax.block_until_ready(outliers.draw_retained(jax.random.key(0), 1000, count, retain, candidates))
        jax.effects_barrier()
        return list(scored)

    assert drawn(1.0, 128) == [outliers.BLOCK]
    assert drawn(1.0, 2 * outliers.BLOCK) == 2 * [outliers.BLOCK]
    assert len(drawn(0.1, 128)) in (2, 3, 4)
    assert drawn(0.0, 128) == (16384 // outliers.BLOCK) * [outliers.BLOCK]
    assert drawn(0.0, 128, candidates=700) == [outliers.BLOCK]
    assert drawn(1.0, 128, candidates=100) == [100]


def test_what_room_does_not_yield_is_drawn_from_what_was_found():
    keep = np.arange(1000) < 30
    found = draw(keep, 4000, candidates=1024)
    assert set(found.rows.tolist()) <= set(range(30))
    once, again = found.rows[:20], found.rows[100:]
    assert set(again.tolist()) <= set(found.rows[:100].tolist())
    assert len(set(again.tolist())) > 0.8 * len(set(once.tolist()))


@pytest.mark.parametrize("where", [0, 3, 6])
def test_a_single_retained_sample_is_drawn_always(where):
    keep = np.zeros(7, bool)
    keep[where] = True
    found = draw(keep, 50)
    assert bool(found.found)
    assert set(found.rows.tolist()) == {where}


def test_draws_from_all_and_from_none():
    found = draw(np.ones(4, bool), 4000)
    assert bool(found.found)
    assert float(found.filtered_share) == 0.0
    assert np.bincount(found.rows, minlength=4).min() > 900
    found = draw(np.zeros(4, bool), 10)
    assert not found.found
    assert float(found.filtered_share) == 1.0
    assert ((found.rows >= 0) & (found.rows < 4)).all(), "an index out of range would be clamped or NaN in silence"


def test_drawings_side_by_side_are_those_of_each_alone():
    keeps = jnp.asarray(np.random.default_rng(0).random((4, 300)) < np.array([[1.0], [0.4], [0.03], [0.0]]))
    keys = jax.random.split(jax.random.key(0), 4)

    def drawn(key, keep):
        return outliers.draw_retained(key, 300, 400, lambda rows: keep[rows], 4096)

    together = jax.vmap(drawn)(keys, keeps)
    for index in range(4):
        alone = drawn(keys[index], keeps[index])
        jax.tree.map(lambda one, many: np.testing.assert_array_equal(one, many[index]), alone, together)  # noqa: B023
