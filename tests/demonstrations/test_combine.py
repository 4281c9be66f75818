"""Sets of demonstrations as one, and episodes that count as ended."""

from dataclasses import replace

import numpy as np
import pytest

from credo.demonstrations import merge
from credo.demonstrations.combine import ended_early
from credo.demonstrations.inspect import doubtful_ends
from credo.types import CredoError


def test_merge(make_demonstrations):
    one, two = make_demonstrations([5, 9]), make_demonstrations([4], seed=1)
    both = merge([one, two])
    assert both.select_episodes([0, 1]).sha256 == one.sha256
    assert both.select_episodes([2]).sha256 == two.sha256
    thin = merge([one.subsample(2, 0), two])
    assert thin.select_episodes([2]).sha256 == two.sha256
    assert merge([one, replace(two, reward=None, returns=None)]).reward is None
    for other, message in (
        (replace(two, environment="Other-v0"), "is of Other-v0"),
        (replace(two, action_bounds=2 * two.action_bounds), "of part 1 were scaled from another action box"),
        (replace(two, action_bounds=None), r"part 1 \(made up\) does not say its action box, part 0 does; --env names"),
        (replace(two, action=two.action[:, :1], action_bounds=None), "action_size 1"),
    ):
        with pytest.raises(CredoError, match=message):
            merge([one, other])
    with pytest.raises(CredoError, match=r"part 0 \(made up\) does not say its action box, part 1 does"):
        merge([replace(one, action_bounds=None), two])
    rounded = replace(two, action_bounds=np.nextafter(two.action_bounds, np.float32(0)))
    assert merge([one, rounded]).sha256 == both.sha256
    nameless, elsewhere = replace(one, environment=""), replace(two, environment="Other-v0")
    assert merge([nameless, two]).environment == two.environment
    with pytest.raises(CredoError, match=rf"part 2 \(made up\) is of Other-v0, part 1 of {two.environment}; .*--env"):
        merge([nameless, two, elsewhere])


def test_episodes_of_which_none_is_said_to_end_are_told_and_may_be_counted_as_ended(make_demonstrations):
    d = make_demonstrations([4, 6, 9])
    d = replace(d, terminated=np.zeros(19, bool), truncated=np.isin(np.arange(19), (3, 9, 18)))
    (line,) = doubtful_ends(d, 20)
    assert line.startswith("terminated: no episode is, though all end before the limit of 20 steps (4 to 9 steps)")
    assert "are of different lengths (4 to 9 steps)" in doubtful_ends(d)[0]
    assert doubtful_ends(d, 9) == []  # the last one reached it
    ended, count = ended_early(d, 9)
    assert count == 2
    assert np.flatnonzero(ended.terminated).tolist() == [3, 9]
    assert np.flatnonzero(ended.truncated).tolist() == [18]
    assert doubtful_ends(ended, 20) == []
    assert ended_early(d, None)[1] == 3
    assert not d.terminated.any()
    np.testing.assert_array_equal(ended.observation, d.observation)


def test_of_a_subsampled_episode_no_row_counts_as_the_one_that_ended_it(make_demonstrations):
    d = make_demonstrations([4, 6, 30])
    d = replace(d, terminated=np.zeros(40, bool), truncated=np.isin(np.arange(40), (3, 9, 39)))
    ended, count = ended_early(d.subsample(7, seed=0), 20)
    assert count == 2
    assert not ended.terminated.any()
    assert ended.fell(20).tolist() == [True, True, False]
    # Formats without the last successor have one row less: their last row stands for the one that is not there.
    without = replace(d, lengths=d.lengths + 1)
    assert np.flatnonzero(ended_early(without, 20)[0].terminated).tolist() == [3, 9]
