"""Early warning: thresholds never see the seed that they judge."""

import numpy as np
import pytest
from made_up_curves import curve, digests, group

from credo.diagnostics.divergence import Verdict
from credo.studies.curves import DIAGNOSTICS
from credo.studies.foretelling import (
    LANDMARKS,
    READINGS,
    failure_step,
    forecasts,
    landmarks,
    leave_one_out,
    readings,
)


def test_a_diagnostic_that_separates_foretells_with_its_lead():
    curves = digests(group("one", "Hopper", healthy=6, dead=5))
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
    every, _ = forecasts(digests(group("one", "Hopper", healthy=6, dead=5)))
    early = next(f for f in every if (f.diagnostic, f.reading, f.step) == ("action_saturation", "latest", 2_000))
    assert early.f1 < 0.75


def test_seeds_that_have_failed_are_no_longer_at_risk():
    every, _ = forecasts(digests(group("one", "Hopper", healthy=6, dead=5)))
    assert {f.step for f in every if f.step >= 1_000} == {1_000, 2_000, 5_000}
    early = (100, 200, 500)
    assert landmarks(digests(group("one", "Hopper", healthy=1))) == (*early, 1_000, 2_000, 5_000, 10_000, 20_000)


def warned_for(values, fails):
    (warned,), _ = leave_one_out(np.array([values], float), np.asarray(fails), np.arange(len(fails)))
    return warned


def test_noise_foretells_no_better_than_chance():
    generator = np.random.default_rng(0)
    right = warned = 0
    for _ in range(60):
        fails = np.arange(12) < 4
        given = warned_for(generator.standard_normal(12), fails)
        warned, right = warned + given.sum(), right + (given & fails).sum()
    # Chosen on the seed itself the rule would be right far more often than one in three.
    assert right / warned < 0.4


def test_the_seed_itself_does_not_choose():
    # One failure far above all others: on the rest there is nothing to learn, so nothing is warned for.
    fails = np.array([True, False, False, False, False])
    assert not warned_for(np.array([100.0, 1, 2, 3, 4]), fails)[0]


def test_a_warning_may_lie_below_and_unknown_is_never_warned_for():
    fails = np.array([True, True, True, False, False, False])
    values = np.array([0.1, 0.2, np.nan, 0.8, 0.9, 1.0])
    assert warned_for(values, fails).tolist() == [True, True, False, False, False, False]
    infinite = np.array([np.inf, np.inf, np.inf, 1.0, 2.0, 3.0])
    assert warned_for(infinite, fails).tolist() == fails.tolist()


def test_reading_takes_nothing_from_later():
    (one,) = group("one", "Hopper", healthy=0, dead=1)
    found = readings(one._replace(metrics=one.metrics | {"step": one.metrics["step"] + 1_000}))

    def read(diagnostic, reading, step):
        return found[LANDMARKS.index(step), DIAGNOSTICS.index(diagnostic), READINGS.index(reading)]

    # Saturated from step 5,000 on, as moved here.
    assert read("action_saturation", "largest", 2_000) < 0.31
    assert read("action_saturation", "largest", 5_000) == 0.9
    assert read("action_saturation", "latest", 5_000) < 0.4
    assert read("action_saturation", "latest", 10_000) == pytest.approx(0.9)
    assert np.isnan(read("action_saturation", "latest", 1_000))
    assert np.isnan(read("q_mean", "largest", 5_000))


def test_the_latest_is_the_mean_of_twenty_rounds():
    """Of the 50 rounds to step 5,000 the last 19 are at 1, all before at 0."""
    (one,) = group("one", "Hopper", healthy=1)
    step = one.metrics["step"]
    late = ((step > 3_100) & (step <= 5_000)).astype(float)
    found = readings(one._replace(metrics={"step": step, "action_saturation": late}))
    place = LANDMARKS.index(5_000), DIAGNOSTICS.index("action_saturation"), READINGS.index("latest")
    assert found[place] == pytest.approx(19 / 20)


def best_rule(values, fails):
    """(F1, direction, threshold) of the best rule, by trying all."""
    best = (0.0, 1, np.inf)
    for sign in (1, -1):
        signed = sign * values[~np.isnan(values)]
        different = np.unique(signed)[::-1]
        for value, following in zip(different, np.append(different, -np.inf)[1:], strict=True):
            warned = sign * values >= value
            right = int((warned & fails).sum())
            f1 = 2 * right / (warned.sum() + fails.sum())
            if f1 > best[0]:
                best = (f1, sign, -np.inf if np.isinf(following) else value / 2 + following / 2)
    return best


def test_it_is_the_best_rule_on_all_other_seeds():
    generator = np.random.default_rng(1)
    for n, seeds in ((2, 2), (3, 3), (7, 7), (12, 12), (9, 3)):
        for _ in range(20):
            # Few different values, so that there are ties; some are unknown.
            values = generator.integers(0, 6, (5, n)).astype(float)
            values[generator.uniform(size=values.shape) < 0.2] = np.nan
            fails = generator.uniform(size=n) < 0.4
            number = np.arange(n) % seeds
            warned, f1 = leave_one_out(values, fails, number)
            for row in range(5):
                for run in range(n):
                    others = number != number[run]
                    score, sign, threshold = best_rule(values[row, others], fails[others])
                    assert f1[row, run] == score
                    assert warned[row, run] == (sign * values[row, run] > threshold)


def test_the_same_seed_under_another_method_does_not_choose():
    """Two methods that differ in nothing: each seed's twin would tell its fate."""
    fails = np.tile([True, False, False, False, False], 2)
    values = np.tile([100.0, 1, 2, 3, 4], 2)
    (warned,), _ = leave_one_out(values[None], fails, np.tile(np.arange(5), 2))
    assert not warned.any()
    (warned,), _ = leave_one_out(values[None], fails, np.arange(10))
    assert warned.tolist() == fails.tolist()


def test_warnings_are_read_in_the_first_half_of_a_run():
    (seed,) = digests([curve()])
    assert landmarks([seed._replace(last_step=20_000)])[-1] == 10_000


def test_a_seed_that_failed_is_no_survivor():
    (seed,) = digests([curve()])
    assert failure_step(seed._replace(verdict=Verdict("failed", 9_000, "", None))) == 9_000
    assert failure_step(seed._replace(verdict=Verdict("weak", None, "", None))) == np.inf
