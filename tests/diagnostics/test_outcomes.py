"""What verdicts take a good and a low outcome for: the return, success, the distance, or the seed's own best."""

import numpy as np
from hand_made_curves import DEAD, EXPERT, RISING, curves, with_column

from credo.diagnostics.divergence import verdict


def test_stands_on_the_occupancy_distance_where_no_return_can_be_compared():
    far = [1.0, 1.05, 1.1, 1.08, 1.1]
    near = [1.0, 0.8, 0.5, 0.3, 0.2]
    unknown = [np.nan] * 5
    for expert, returns in ((EXPERT, unknown), (None, [5.0] * 5), (None, unknown), (float("nan"), [5.0] * 5)):
        assert verdict(*curves(returns, distance=near), expert).kind == "healthy"
        assert verdict(*curves(returns, dead=[(3_000, np.inf)], distance=far), expert)[:2] == ("dead", 3_008)
    assert verdict(*curves(unknown, distance=[1.0, 0.9, 0.8, 0.7, 0.7]), None).kind == "weak"
    # An expert that falls itself is never far; and a seed may be near from its first evaluation on.
    low = verdict(*curves(unknown, dead=[(3_000, np.inf)], distance=[0.58, 0.56, 0.56, 0.55, 0.56]), None)
    assert low.kind == "dead"
    assert low.reason.endswith("occupancy distance 0.56 at the end, 0.58 at its farthest")
    assert verdict(*curves([np.nan] * 12, distance=[0.12, 0.11, 0.12] * 4), None).kind == "healthy"


def test_success_counts_before_the_distance_where_no_return_can_be_compared():
    unknown, far, near = [np.nan] * 5, [1.0] * 5, [0.1] * 5
    for expert, returns in ((EXPERT, unknown), (None, [5.0] * 5), (None, unknown), (0.0, [0.0] * 5)):
        succeeds = with_column(curves(returns, distance=far), success_rate=[0, 0.2, 0.4, 0.6, 0.6])
        assert verdict(*succeeds, expert)[::2] == ("healthy", "success in 60% of the episodes at the end")
        fails = with_column(curves(returns, dead=[(3_000, np.inf)], distance=near), success_rate=[0, 0, 0.05, 0, 0.05])
        assert verdict(*fails, expert)[:2] == ("dead", 3_008)
        assert verdict(*with_column(curves(returns), success_rate=[0.6, 0.6, 0.4, 0.4, 0.6]), expert).kind == "weak"
        silent = with_column(curves(returns, distance=near), success_rate=unknown)
        assert verdict(*silent, expert).kind == "healthy"
    # Where returns can be compared they count, as everywhere.
    assert verdict(*with_column(curves([2900.0] * 5), success_rate=[0.0] * 5), EXPERT).kind == "healthy"
    low = with_column(curves([np.nan] * 12), success_rate=[0.09] * 12)
    assert verdict(*low, None).kind == "failed"
    assert verdict(*with_column(curves([np.nan] * 12), success_rate=[0.11] * 12), None).kind == "weak"


def test_near_is_what_demonstrations_are_from_each_other():
    """A reacher's episodes are as far apart as those of its demonstrator; a gait's are not."""
    unknown = [np.nan] * 12
    best = [2.0, 1.6, 1.2, *[0.8] * 9]

    def judged(distance, apart, dead=()):
        return verdict(*with_column(curves(unknown, dead, distance=distance), demonstration_distance=apart), None)

    assert judged(best, [np.nan] * 12).kind == "healthy"  # below half of the farthest
    steady = [1.1, 1.05, 0.9, *[0.8] * 9]
    assert judged(steady, [np.nan] * 12).kind == "weak"
    assert judged(steady, [0.02] * 12).kind == "weak"
    result = judged(steady, [0.65] * 12)  # up to 1.25 x 0.65 = 0.8125
    assert result.kind == "healthy"
    assert result.reason == "occupancy distance 0.80 at the end, 1.10 at its farthest, 0.65 between the demonstrations"
    assert judged(steady, [0.63] * 12).kind == "weak"  # up to 0.7875
    assert judged([1.1] * 12, [0.65] * 12).kind == "failed"
    # 0.8 of the farthest, 0.88, would be low and is no farther than 1.25 x 0.75: nothing tells good from bad.
    for distance in (steady, [1.1] * 12):
        result = judged(distance, [0.75] * 12)
        assert result.kind == "undecided"
        assert result.reason == "a distance of 1.10 at most tells nothing where demonstrations are 0.75 apart"
    dead = judged([1.1] * 12, [0.75] * 12, dead=[(3_000, np.inf)])
    assert dead[:2] == ("dead", 3_008)
    # Below what counts as near anyway they change nothing.
    assert judged([0.2] * 12, [0.19] * 12).kind == "healthy"
    assert judged([0.24] * 12, [0.19] * 12).reason.endswith("0.24 at its farthest")


def test_against_itself_where_nothing_else_is_known():
    result = verdict(*curves(RISING), None)
    assert (result.kind, result.reason) == ("healthy", "return 2,950 at the end, 99% of its own best 2,980")
    assert verdict(*curves([20, 2900, 2800, 900, 800, 700]), None).kind == "weak"
    assert verdict(*curves([20]), None).kind == "undecided"
    assert verdict(*curves(DEAD, dead=[(3_000, np.inf)]), None)[:2] == ("dead", 3_008)


def test_negative_returns_are_costs():
    assert verdict(*curves([-1400, -700, -200, -170, -160]), -150.0).kind == "healthy"
    assert verdict(*curves([-1400, -1300, -900, -1000, -800]), -150.0).kind == "weak"
    assert verdict(*curves([-1600] * 5, dead=[(3_000, np.inf)]), -150.0).kind == "dead"
