"""Early warning: thresholds never see the seed that they judge."""

import numpy as np
import pytest
from made_up_curves import group

from credo.studies.foretelling import failure_step, forecasts, landmarks, leave_one_out, read


def test_a_diagnostic_that_separates_foretells_with_its_lead():
    curves = group("one", "Hopper", healthy=6, dead=5)
    every, chosen = forecasts(curves)
    best = next(f for f in every if (f.diagnostic, f.reading, f.step) == ("action_saturation", "largest", 5_000))
    assert (best.at_risk, best.failures, best.warned, best.right) == (11, 5, 5, 5)
    assert (best.precision, best.recall) == (1, 1)
    assert best.lead == pytest.approx(3_000)
    assert failure_step(curves[-1]) == 8_000
    assert failure_step(curves[0]) == np.inf
    # P(expert) differs from the start in these curves, and is as good wherever it is read.
    assert all(f.right == 5 for f in chosen)


def test_saturation_before_it_begins_foretells_nothing():
    every, _ = forecasts(group("one", "Hopper", healthy=6, dead=5))
    early = next(f for f in every if (f.diagnostic, f.reading, f.step) == ("action_saturation", "latest", 2_000))
    assert early.f1 < 0.75


def test_seeds_that_have_failed_are_no_longer_at_risk():
    every, _ = forecasts(group("one", "Hopper", healthy=6, dead=5))
    assert {f.step for f in every} == {1_000, 2_000, 5_000}
    assert landmarks(group("one", "Hopper", healthy=1)) == (1_000, 2_000, 5_000, 10_000, 20_000)


def test_noise_foretells_no_better_than_chance():
    generator = np.random.default_rng(0)
    right = warned = 0
    for _ in range(60):
        fails = np.arange(12) < 4
        given = leave_one_out(generator.standard_normal(12), fails)
        warned, right = warned + given.sum(), right + (given & fails).sum()
    # Chosen on the seed itself the rule would be right far more often than one in three.
    assert right / warned < 0.4


def test_the_seed_itself_does_not_choose():
    # One failure far above all others: on the rest there is nothing to learn, so nothing is warned for.
    fails = np.array([True, False, False, False, False])
    assert not leave_one_out(np.array([100.0, 1, 2, 3, 4]), fails)[0]


def test_a_warning_may_lie_below_and_unknown_is_never_warned_for():
    fails = np.array([True, True, True, False, False, False])
    values = np.array([0.1, 0.2, np.nan, 0.8, 0.9, 1.0])
    assert leave_one_out(values, fails).tolist() == [True, True, False, False, False, False]
    infinite = np.array([np.inf, np.inf, np.inf, 1.0, 2.0, 3.0])
    assert leave_one_out(infinite, fails).tolist() == fails.tolist()


def test_reading_takes_nothing_from_later():
    (one,) = group("one", "Hopper", healthy=0, dead=1)
    assert read(one, "action_saturation", "largest", 3_900) < 0.31
    assert read(one, "action_saturation", "latest", 8_000) == pytest.approx(0.9)
    assert np.isnan(read(one, "action_saturation", "latest", 50))
    assert np.isnan(read(one, "q_mean", "largest", 5_000))
