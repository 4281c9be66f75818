"""Table 1's rewards against numbers worked out by hand, and their properties."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credo.discriminator.rewards import REWARDS
from credo.training.advice import sign_warning
from reference.rewards import exact_reward

LOGITS = (-100.0, -5.0, 0.0, 5.0, 100.0)
LARGEST = float(np.finfo(np.float32).max)
# At -5 and 5: D = 1 / (1 + e^5) = 0.00669285 and 1 / (1 + e^-5) = 0.99330715, and log(1 + e^5) = 5.00671535.
GOLDEN = {
    "plr": (0.0, 0.006715348489, 0.693147180560, 5.006715348489, 100.0),
    "plr-literal": (0.0, 0.006715348489, 0.693147180560, 5.006715348489, math.inf),
    "cr": (-100.0, -5.0, 0.0, 5.0, 100.0),
    "r3": (-100.0, -5.006715348489, -0.693147180560, -0.006715348489, 0.0),
    "r4": (0.0, 0.006692850924, 0.5, 0.993307149076, 1.0),
    "r5": (1.0, 1.006715298102, 1.648721270700, 2.700149519517, 2.718281828459),
    "r6": (-LARGEST, -149.413159102577, -2.0, -1.006737946999, -1.0),
    "r7": (0.0, 0.0000447942534947, 0.25, 0.986659092405, 1.0),
    "fairl": (0.0, 0.033689734995, 0.0, -742.065795513, -LARGEST),
    "r8": (1.92874985e-22, 0.081809846133, 0.707106781187, 0.996647956440, 1.0),
}
RISING = [name for name, reward in REWARDS.items() if reward.inverse]
# What the formula as typed loses to cancellation in 1 - sigmoid: 2^-24 of 1 - D = 0.0067, and of 1.
LITERAL_ERROR = 2e-5


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", REWARDS)
def test_golden_numbers(name, compiled):
    function = jax.jit(REWARDS[name].function) if compiled else REWARDS[name]
    found = function(jnp.array(LOGITS, jnp.float32))
    assert found.dtype == jnp.float32
    error = LITERAL_ERROR if name == "plr-literal" else 1e-6
    np.testing.assert_allclose(found, GOLDEN[name], rtol=error, atol=1e-30)


@pytest.mark.parametrize("name", REWARDS)
def test_agrees_with_the_formula_in_the_probability(name):
    logits = np.linspace(-14, 14, 57)
    expected = [exact_reward(name, float(logit)) for logit in logits]
    found = REWARDS[name](jnp.asarray(logits, jnp.float32))
    tolerance = 2e-6 * np.maximum(np.abs(expected), 1e-30)
    if name == "plr-literal":  # one rounding of D is worth 2^-24 / (1 - D) here
        tolerance = np.exp(logits) * 1e-7 + 1e-6
    assert np.all(np.abs(np.asarray(found) - expected) <= tolerance)


def test_the_literal_form_overflows_near_17_and_softplus_does_not():
    literal, stable = REWARDS["plr-literal"], REWARDS["plr"]
    assert np.isfinite(literal(jnp.float32(16.0)))
    assert np.isinf(literal(jnp.float32(17.5)))
    assert float(stable(jnp.float32(17.5))) == pytest.approx(17.5, abs=1e-5)


def test_r6_stays_at_the_largest_finite_float():
    values = REWARDS["r6"](jnp.array([-87.0, -89.0, -1e30], jnp.float32))
    assert np.isfinite(values).all()
    assert float(values[1]) == float(values[2]) == -LARGEST
    assert float(values[0]) > -LARGEST


@settings(deadline=None, max_examples=60)
@given(logits=st.lists(st.floats(-80, 80, width=32), min_size=8, max_size=8))
def test_every_reward_rises_with_the_logit_within_its_bounds(logits):
    ordered = jnp.array(sorted(logits), jnp.float32)
    for name in RISING:
        reward = REWARDS[name]
        values = np.asarray(reward(ordered), np.float64)
        assert np.all(values[1:] >= values[:-1]), name
        low, high = reward.bounds
        rounding = 1e-6 * max(1.0, *(abs(bound) for bound in (low, high) if math.isfinite(bound)), 0.0)
        assert values.min() >= low - rounding, name
        assert values.max() <= high + rounding, name


@pytest.mark.parametrize("name", RISING)
def test_strictly_rising_where_float32_can_tell(name):
    values = np.asarray(REWARDS[name](jnp.linspace(-8, 8, 33)))
    assert np.all(np.diff(values) > 0)


@pytest.mark.parametrize("name", RISING)
@pytest.mark.parametrize("logit", [-9.5, -1.0, 0.0, 0.25, 5.0, 12.0])
def test_inverse(name, logit):
    assert REWARDS[name].inverse(exact_reward(name, logit)) == pytest.approx(logit, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("name", RISING)
def test_bounds_are_the_limits(name):
    low, high = REWARDS[name].bounds
    for bound, logit in ((low, -60.0), (high, 60.0)):
        value = exact_reward(name, logit)
        if math.isfinite(bound):
            assert value == pytest.approx(bound, abs=1e-8)
        else:
            assert abs(value) >= 60 - 1e-9


def test_fairl_is_highest_at_minus_one_and_falls_to_the_lowest_float():
    assert set(REWARDS) - set(RISING) == {"fairl"}
    reward = REWARDS["fairl"]
    logits = jnp.linspace(-40.0, 84.0, 1241)
    values = np.asarray(reward(logits), np.float64)
    assert float(logits[values.argmax()]) == pytest.approx(-1.0, abs=1e-4)
    assert reward.bounds == (-math.inf, pytest.approx(values.max(), rel=1e-6))
    assert np.all(np.diff(values[logits > -0.95]) < 0)
    assert float(reward(jnp.float32(84.0))) == pytest.approx(-84 * math.exp(84), rel=1e-4)
    assert np.isfinite(reward(jnp.array([88.0, 1e3, 1e30], jnp.float32))).all()


@pytest.mark.parametrize("name", REWARDS)
def test_rewards_that_can_be_negative_warn_where_episodes_can_end(name):
    low, _ = REWARDS[name].bounds
    warning = sign_warning(name, "Hopper-v5")
    assert (warning is not None) == (low < 0)
    assert warning is None or (name in warning and "\n" not in warning)
    assert sign_warning(name, "HalfCheetah-v5") is None
    without = sign_warning(name, "Hopper-v5", absorbing=False)
    assert without is None or "absorbing" not in without
    assert warning is None or "absorbing" in warning


def test_a_tiny_threshold_of_r8_has_a_logit():
    """Its square is below what a float holds."""
    assert REWARDS["r8"].inverse(1e-170) == pytest.approx(2 * math.log(1e-170), rel=1e-12)
    assert REWARDS["r8"].inverse(math.sqrt(0.5)) == pytest.approx(0.0, abs=1e-12)
