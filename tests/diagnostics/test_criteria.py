"""The thresholds of verdicts, at their edges."""

import numpy as np
import pytest
from hand_made_curves import EXPERT, curves

from credo.diagnostics.activity import Activity, first_explosion
from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import verdict


@pytest.mark.parametrize(("low", "explodes"), [(100, True), (99, False)])
def test_the_usual_gradient_is_the_median_of_200_rounds(low, explodes):
    """Of 1 and then, for ``low`` rounds, of 0.05: 0.525 where these are half of the window, else 1."""
    gradient = np.ones(401)
    gradient[400 - low : 400], gradient[400] = 0.05, 60
    none = np.zeros(401, bool)
    found = first_explosion(Activity(64 * np.arange(401), none, none, gradient), Criteria())
    assert found == (64 * 400 if explodes else None)


@pytest.mark.parametrize(("low", "kind"), [(10, "failed"), (9, "weak")])
def test_a_seed_has_failed_after_ten_low_evaluations(low, kind):
    assert verdict(*curves([2_900] + [5] * low), EXPERT).kind == kind


@pytest.mark.parametrize(("distance", "kind"), [(0.8, "dead"), (0.79, "weak")])
def test_without_a_return_low_begins_at_four_fifths_of_the_farthest_distance(distance, kind):
    made = curves([np.nan] * 5, dead=[(3_000, np.inf)], distance=[1.0, 0.9, distance, distance, distance])
    assert verdict(*made, None).kind == kind
