"""The verdict on hand-made curves whose answer is known, and its properties on arbitrary ones."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hand_made_curves import DEAD, EXPERT, INTERVAL, RISING, ROUND, START, curves
from hypothesis import given, settings
from hypothesis import strategies as st

from credo.diagnostics.activity import Activity, mostly
from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import DIVERGED, ENVIRONMENT_FAILED, KINDS, Verdict, verdict


def with_spike(metrics: dict, step: int, value: float) -> dict:
    gradient = metrics["actor_gradient_max"].copy()
    gradient[np.searchsorted(metrics["step"], step)] = value
    return metrics | {"actor_gradient_max": gradient}


def test_a_seed_that_reaches_the_expert_is_healthy():
    result = verdict(*curves(RISING), EXPERT)
    assert result == Verdict("healthy", None, "return 2,950 at the end, 98% of the expert's 3,000", None)
    assert not result.diverged


def test_a_noisy_evaluation_near_zero_does_not_condemn_a_learning_seed():
    for at in range(len(RISING)):
        returns = list(RISING)
        returns[at] = 5
        assert verdict(*curves(returns), EXPERT).kind == "healthy"


def test_dead_from_the_round_in_which_the_gradient_vanished():
    metrics, evaluations = curves(DEAD, dead=[(3_000, np.inf)])
    result = verdict(metrics, evaluations, EXPERT)
    first = int(metrics["step"][metrics["step"] >= 3_000][0])
    assert (result.kind, result.step) == ("dead", first)
    assert result.diverged
    assert result.reason == (
        f"actor inactive from step {first:,} to the end; return 4 at the end, 0.1% of the expert's 3,000"
    )


def test_dead_after_good_times():
    returns = [20, 900, 2500, 2900, 2800, 15, 8, 12]
    result = verdict(*curves(returns, dead=[(26_000, np.inf)]), EXPERT)
    assert (result.kind, result.step) == ("dead", 26_048)


def test_dead_by_saturation_alone_and_through_a_flicker_of_gradient():
    metrics, evaluations = curves(DEAD, dead=[(3_000, np.inf)])
    metrics["actor_gradient_max"] = np.where(np.isnan(metrics["actor_gradient_max"]), np.nan, 1e-4)
    assert verdict(metrics, evaluations, EXPERT).kind == "dead"
    flicker = curves(DEAD, dead=[(3_000, 18_000), (18_700, np.inf)])
    assert verdict(*flicker, EXPERT)[:2] == ("dead", 3_008)


def test_the_last_of_two_deaths_counts():
    twice = curves(DEAD, dead=[(3_000, 9_000), (21_000, np.inf)])
    assert verdict(*twice, EXPERT)[:2] == ("dead", 21_056)


def test_a_saturated_actor_with_a_gradient_is_not_dead():
    metrics, evaluations = curves(DEAD)
    metrics["action_saturation"] = np.where(np.isnan(metrics["actor_gradient_max"]), np.nan, 1.0)
    assert verdict(metrics, evaluations, EXPERT).kind == "weak"


def test_saturated_but_successful_is_healthy():
    assert verdict(*curves(RISING, dead=[(10_000, np.inf)]), EXPERT).kind == "healthy"


def test_dead_with_one_evaluation_or_none():
    metrics, evaluations = curves(DEAD[:1], dead=[(3_000, np.inf)])
    assert verdict(metrics, evaluations, EXPERT)[:2] == ("dead", 3_008)
    assert verdict(metrics, {}, EXPERT)[:2] == ("dead", 3_008)


def test_a_few_rounds_without_a_gradient_are_no_death():
    """Twenty are, under a wider window, too."""
    for rounds, kind in ((3, "undecided"), (19, "undecided"), (20, "dead")):
        step = np.arange(1, rounds + 1) * ROUND
        metrics = {"step": step, "actor_gradient_max": np.zeros(rounds)}
        evaluations = {"step": step[-1:], "return_mean": np.array([4.0])}
        for told in (evaluations, {}):
            for criteria in (Criteria(), Criteria(activity_rounds=80)):
                assert verdict(metrics, told, EXPERT, criteria).kind == kind


def test_recovered_names_the_evaluation_at_which_it_came_back():
    returns = [10, -1, 4, 800, 1900, 2600, 2700, 2800]
    result = verdict(*curves(returns, dead=[(3_000, 17_000)]), EXPERT)
    assert (result.kind, result.step) == ("recovered", 20_000)
    assert result.reason.startswith("dead at step 5,000, came back by step 20,000; return 2,700 at the end")
    strict = Criteria(recovered_evaluations=4)
    assert verdict(*curves(returns, dead=[(3_000, 17_000)]), EXPERT, strict).kind == "healthy"


def test_recovered_then_dead_is_dead_and_still_low_is_not_recovered():
    returns = [10, -1, 4, 800, 1900, 12, 3, 5]
    result = verdict(*curves(returns, dead=[(3_000, 17_000), (26_000, np.inf)]), EXPERT)
    assert (result.kind, result.step) == ("dead", 26_048)
    assert verdict(*curves([10, -1, 4, 20, 30], dead=[(3_000, 17_000)]), EXPERT).kind == "weak"


def test_weak_failed_and_undecided():
    assert verdict(*curves([20, 200, 600, 900, 1000]), EXPERT).kind == "weak"
    low = verdict(*curves([4] * 12), EXPERT)
    assert (low.kind, low.step, low.diverged) == ("failed", 5_000, False)
    assert verdict(*curves([20, 2500, *[4] * 10]), EXPERT)[:2] == ("failed", 15_000)
    assert verdict(*curves([200, 250]), EXPERT).kind == "undecided"
    assert verdict(*curves([2500, 2500]), EXPERT).kind == "undecided"
    assert verdict(*curves([2500, 2500, 2500]), EXPERT).kind == "healthy"
    # A clone is evaluated at its end alone: nothing will follow that could decide.
    assert verdict(*curves([200]), EXPERT).kind == "undecided"
    assert verdict(*curves([200]), EXPERT, clone=True).kind == "weak"
    assert verdict(*curves([2500]), EXPERT, clone=True).kind == "healthy"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_after_learning_began(value):
    metrics, evaluations = curves(RISING)
    metrics["critic_loss"][100] = value
    result = verdict(metrics, evaluations, EXPERT)
    assert (result.kind, result.step) == ("non-finite", int(metrics["step"][100]))
    assert "critic loss was" in result.reason


def test_frozen_without_a_trace_in_the_metrics():
    metrics, evaluations = curves(RISING)
    evaluations["failed"] = np.array([0, 0, 0, 1, 1, 1, 1, 1], np.float32)
    evaluations["return_mean"][3:] = np.nan
    assert verdict(metrics, evaluations, EXPERT)[:2] == ("non-finite", 20_000)
    evaluations["failed"] *= ENVIRONMENT_FAILED
    found = verdict(metrics, evaluations, EXPERT)
    assert found[:2] == ("faulted", 20_000)
    assert not found.diverged
    # What its own numbers did before is worse.
    metrics["critic_loss"][40] = np.nan
    assert verdict(metrics, evaluations, EXPERT).kind == "non-finite"


def test_explosion_is_recorded_and_judged_by_what_followed():
    metrics, evaluations = curves(RISING)
    healthy = verdict(with_spike(metrics, 20_000, 500.0), evaluations, EXPERT)
    assert (healthy.kind, healthy.first_explosion) == ("healthy", 20_032)
    metrics, evaluations = curves([20, 300, 900, 40, 30, 25, 33, 20])
    ruined = verdict(with_spike(metrics, 18_000, 500.0), evaluations, EXPERT)
    assert (ruined.kind, ruined.step, ruined.diverged) == ("exploded", 18_048, True)


def test_explosion_needs_both_factor_and_floor_and_is_seen_in_the_first_rounds():
    metrics, evaluations = curves(RISING)
    small = metrics | {"actor_gradient_max": metrics["actor_gradient_max"] * 1e-3}
    assert verdict(with_spike(small, 20_000, 9.0), evaluations, EXPERT).first_explosion is None
    large = metrics | {"actor_gradient_max": metrics["actor_gradient_max"] * 1e2}
    assert verdict(with_spike(large, 20_000, 900.0), evaluations, EXPERT).first_explosion is None
    assert verdict(with_spike(metrics, 1_100, 500.0), evaluations, EXPERT).first_explosion == 1_152


def test_a_gradient_that_comes_back_from_zero_is_no_explosion():
    metrics, evaluations = curves(RISING, dead=[(1_200, 28_000)])
    lively = metrics | {"actor_gradient_max": metrics["actor_gradient_max"] * 30}
    assert verdict(lively, evaluations, EXPERT).first_explosion is None
    # As seen on Hopper: saturated with gradients of 1e-6 to 1e-3, then 12.7 as the actor wakes up.
    metrics, evaluations = curves([1, 38, 22, 173, 169], dead=[(START, 14_800)])
    gradient = metrics["actor_gradient_max"]
    gradient[gradient == 0] = np.geomspace(1e-6, 1e-3, int((gradient == 0).sum()))
    woken = verdict(with_spike(metrics, 14_800, 12.7), evaluations, EXPERT)
    assert (woken.kind, woken.first_explosion) == ("weak", None)


def test_empty_and_missing_curves_are_undecided():
    empty = {"step": np.array([], np.int64), "actor_gradient_max": np.array([], np.float32)}
    for metrics in ({}, empty):
        for evaluations in ({}, {"step": np.array([], np.int64), "return_mean": np.array([], np.float32)}):
            assert verdict(metrics, evaluations, EXPERT).kind == "undecided"
    waiting = {"step": np.arange(10), "actor_gradient_max": np.full(10, np.nan, np.float32)}
    assert verdict(waiting, {}, None).kind == "undecided"


def test_three_million_steps_are_judged_quickly():
    generator = np.random.default_rng(0)
    metrics = {"step": np.arange(47_000) * 64, "actor_gradient_max": generator.lognormal(4, 1, 47_000)}
    evaluations = {"step": np.arange(600) * 5_000, "return_mean": np.linspace(0, 3000, 600)}
    begin = time.process_time()
    assert verdict(metrics, evaluations, EXPERT).kind == "healthy"
    assert time.process_time() - begin < 0.5


numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def any_curves(draw) -> tuple[dict, dict]:
    rounds, count = draw(st.integers(0, 40)), draw(st.integers(0, 8))
    metrics = {"step": np.arange(1, rounds + 1) * ROUND}
    for name in ("actor_gradient_max", "action_saturation", "critic_loss"):
        if draw(st.booleans()):
            values = st.one_of(numbers, st.just(0.0), st.just(1.0))
            metrics[name] = np.array(draw(st.lists(values, min_size=rounds, max_size=rounds)), np.float32)
    evaluations = {"step": np.arange(1, count + 1) * ROUND * 5}
    for name in ("return_mean", "success_rate", "occupancy_distance", "demonstration_distance"):
        if draw(st.booleans()):
            evaluations[name] = np.array(draw(st.lists(numbers, min_size=count, max_size=count)), np.float32)
    return metrics, evaluations


@given(any_curves(), st.none() | numbers)
@settings(max_examples=150, deadline=None)
def test_any_curves_have_a_verdict_of_plain_types(pair, expert):
    result = verdict(*pair, expert)
    assert result.kind in KINDS
    assert result.diverged == (result.kind in DIVERGED)
    assert result.step is None or type(result.step) is int
    assert result.first_explosion is None or type(result.first_explosion) is int
    assert "\n" not in result.reason
    assert result == verdict(*pair, expert)


@st.composite
def plausible_curves(draw) -> tuple[dict, dict]:
    returns = draw(st.lists(st.integers(-50, 3500), min_size=1, max_size=12))
    begin = draw(st.integers(1_500, 60_000))
    dead = [(begin, begin + draw(st.integers(0, 60_000)))] if draw(st.booleans()) else []
    return curves(returns, dead, seed=draw(st.integers(0, 100)))


@given(plausible_curves(), st.integers(-12, 12))
@settings(max_examples=60, deadline=None)
def test_scaling_returns_and_expert_together_changes_nothing(pair, exponent):
    metrics, evaluations = pair
    scale = 2.0**exponent
    scaled = evaluations | {"return_mean": evaluations["return_mean"] * np.float32(scale)}
    assert verdict(metrics, scaled, EXPERT * scale)[:2] == verdict(metrics, evaluations, EXPERT)[:2]
    assert verdict(metrics, scaled, None)[:2] == verdict(metrics, evaluations, None)[:2]


@given(plausible_curves(), st.integers(0, 30), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_rounds_before_learning_and_later_steps_only_shift_the_verdict(pair, waiting, shift):
    metrics, evaluations = pair
    early = {name: np.concatenate([np.full(waiting, np.nan), column]) for name, column in metrics.items()}
    early["step"] = np.concatenate([np.arange(waiting), metrics["step"] + waiting + shift]).astype(np.int64)
    late = evaluations | {"step": evaluations["step"] + waiting + shift}
    kind, step, _, explosion = verdict(metrics, evaluations, EXPERT)
    moved = verdict(early, late, EXPERT)
    assert moved.kind == kind
    assert moved.step == (None if step is None else step + waiting + shift)
    assert moved.first_explosion == (None if explosion is None else explosion + waiting + shift)


@given(plausible_curves())
@settings(max_examples=60, deadline=None)
def test_three_more_evaluations_at_the_experts_level_end_every_death(pair):
    metrics, evaluations = pair
    last = int(evaluations["step"][-1])
    longer = {
        "step": np.append(evaluations["step"], last + np.arange(1, 4) * INTERVAL),
        "return_mean": np.append(evaluations["return_mean"], [EXPERT] * 3),
    }
    before, after = verdict(metrics, evaluations, EXPERT), verdict(metrics, longer, EXPERT)
    assert after.kind in ("recovered", "healthy")
    if before.kind in ("dead", "recovered"):
        assert after.kind == "recovered"


def test_a_spike_long_before_the_fall_is_not_what_broke_it():
    """Between the two it was healthy for 50,000 steps."""
    returns = [20, 300, 900, 1800, 2500, *[2900] * 10, 50, 40, 30]
    metrics, evaluations = curves(returns)
    early = with_spike(metrics, 22_000, 500.0)
    assert verdict(early, evaluations, EXPERT).kind == verdict(metrics, evaluations, EXPERT).kind == "weak"
    assert verdict(early, evaluations, EXPERT).first_explosion is not None
    both = verdict(with_spike(early, 76_000, 500.0), evaluations, EXPERT)
    assert both.kind == "exploded"
    assert 75_000 < both.step < 77_000


def test_who_came_back_but_not_far_is_weak():
    metrics, evaluations = curves([20, 5, 5, 400, 20, 10, 20, 15], dead=[(3_000, 16_000)])
    result = verdict(metrics, evaluations, EXPERT)
    assert result.kind == "weak"
    assert "came back by step 20,000" in result.reason
    high = verdict(*curves([20, 5, 5, 400, 1500, 2000, 2500, 2500], dead=[(3_000, 16_000)]), EXPERT)
    assert high.kind == "recovered"


def test_one_low_evaluation_at_the_end_is_no_death():
    metrics, evaluations = curves([*RISING, 2950, 2980, 100], dead=[(54_000, np.inf)])
    assert not verdict(metrics, evaluations, EXPERT).diverged
    metrics, evaluations = curves([*RISING, 2950, 100, 90], dead=[(49_000, np.inf)])
    assert verdict(metrics, evaluations, EXPERT).kind == "dead"


WATCHED = (
    *(f"{name}_gradient_{size}" for name in ("actor", "critic", "discriminator") for size in ("max", "norm")),
    "discriminator_loss",
    "critic_loss",
    "q_mean",
    "reward_mean",
)


@pytest.mark.parametrize("name", WATCHED)
def test_an_infinite_number_is_found_wherever_it_is(name):
    metrics, evaluations = curves(RISING)
    column = np.where(metrics["step"] <= START, np.nan, 1.0)
    column[100] = np.inf
    assert verdict(metrics | {name: column}, evaluations, EXPERT).kind == "non-finite"


def test_the_end_is_the_median_of_the_last_three_evaluations():
    """Their mean would be healthy, and so would the last one alone."""
    assert verdict(*curves([20, 300, 900, 1000, 1000, 2900]), EXPERT).kind == "weak"
    near_at_last = curves([np.nan] * 5, distance=[1.0, 0.9, 0.7, 0.7, 0.1])
    assert verdict(*near_at_last, None).kind == "weak"


def by_round(gradient, returns):
    """Forty rounds of 100 steps, evaluated every ten."""
    step = np.arange(1, 41) * 100
    metrics = {"step": step, "actor_gradient_max": np.asarray(gradient, float)}
    return verdict(metrics, {"step": step[9::10], "return_mean": np.asarray(returns, float)}, EXPERT)


def test_a_seed_that_has_not_begun_to_learn_is_not_dead():
    assert by_round(np.full(40, np.nan), np.zeros(4)).kind == "weak"


def test_an_actor_that_wakes_up_from_a_few_rounds_is_no_explosion():
    """Three active rounds are too few to tell what is usual."""
    gradient = np.zeros(40)
    gradient[[5, 6, 7]], gradient[20] = 0.01, 50
    assert by_round(gradient, np.full(4, 2700.0)).first_explosion is None


def test_the_round_that_ends_at_an_evaluation_counts_for_it():
    step, condition = np.arange(1, 5) * 64, np.array([False, False, False, True])
    activity = Activity(step, condition, condition, np.zeros(4))
    assert mostly(activity, condition, np.array([256]), Criteria(activity_rounds=1)).tolist() == [True]


def test_a_death_with_the_last_round_active_is_not_said_to_last_to_the_end():
    """Inactive in 14 of the last 20 rounds, and not in the last six."""
    made = curves(DEAD, dead=[(38_720, 39_600)])
    found = verdict(*made, EXPERT)
    assert (found.kind, found.step) == ("dead", 40_000)
    assert found.reason.startswith("actor inactive in most of the last rounds, not in all; ")
    assert verdict(*curves(DEAD, dead=[(20_000, 40_001)]), EXPERT).reason.startswith("actor inactive from step 20,0")
