"""Ranks within cells: what differs between cells counts for nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from credo.studies.ranks import rank, rank_p_value

CELL = np.array([0, 0, 0, 0, 1, 1, 1, 1])
FAILS = np.array([True, False, False, False, True, True, True, False])
APART = np.arange(8)
"""Seeds that are in one cell each."""


def test_a_cell_with_larger_values_and_more_failures_says_nothing_by_that():
    between = np.array([1.0, 1, 1, 1, 9, 9, 9, 9])
    assert rank(CELL, FAILS, between) == 0.5
    assert rank_p_value(CELL, APART, FAILS, between, np.random.default_rng(0)) == (0.5, 1.0)


def test_golden_rank_and_p_value():
    within = np.array([2.0, 1, 1, 1, 9, 9, 9, 8])
    found, p = rank_p_value(CELL, APART, FAILS, within, np.random.default_rng(0))
    # By hand: the failing are first in 1 of 4 orders of each cell, and with these ties are never all last.
    assert found == 1.0
    assert p == pytest.approx(1 / 16, abs=0.01)
    assert rank(CELL, FAILS, -within) == 0.0
    one_wrong = np.array([2.0, 3, 1, 1, 9, 9, 9, 8])
    assert rank(CELL, FAILS, one_wrong) == pytest.approx(5 / 6)


def test_without_pairs_nothing_is_known():
    alone = np.zeros(3, int), np.array([True, True, True]), np.arange(3.0)
    assert np.isnan(rank(*alone))
    assert rank_p_value(alone[0], np.arange(3), *alone[1:], np.random.default_rng(0))[1] == 1.0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 4)), min_size=1, max_size=14))
def test_it_is_the_share_of_pairs_in_order(rows):
    cell, fails, values = (np.array(column) for column in zip(*rows, strict=True))
    won = [
        np.sign(a[2] - b[2]) / 2 + 0.5 for a, b in itertools.product(rows, rows) if a[0] == b[0] and a[1] and not b[1]
    ]
    expected = np.mean(won) if won else np.nan
    np.testing.assert_allclose(rank(cell, fails.astype(bool), values.astype(float)), expected)


def test_in_one_cell_it_is_mann_and_whitneys():
    generator = np.random.default_rng(3)
    values, fails = generator.standard_normal(12), np.arange(12) < 5
    theirs = stats.mannwhitneyu(values[fails], values[~fails], method="exact")
    found, p = rank_p_value(np.zeros(12, int), np.arange(12), fails, values, generator)
    assert found == pytest.approx(theirs.statistic / 35)
    assert p == pytest.approx(theirs.pvalue, abs=0.02)


def test_a_seed_without_a_reading_is_left_out():
    values = np.array([2.0, 1, np.nan, 1, np.nan, 9, 9, 8])
    known = ~np.isnan(values)
    assert rank(CELL, FAILS, values) == rank(CELL[known], FAILS[known], values[known])


def test_the_same_seeds_in_many_cells_are_as_few_as_in_one():
    """Five seeds, of which the same two fail with the highest readings in ten cells: by hand, 1 of 10 ways to choose
    two of five has both on top, and 1 has both at the bottom, however many cells repeat it."""
    fails, values = np.array([True, True, False, False, False]), np.array([5.0, 4, 3, 2, 1])
    cell, seed = np.repeat(np.arange(10), 5), np.tile(np.arange(5), 10)
    found, p = rank_p_value(cell, seed, np.tile(fails, 10), np.tile(values, 10), np.random.default_rng(0))
    assert found == 1.0
    assert p == pytest.approx(0.2, abs=0.02)
    # Were they fifty seeds, nothing could be surer.
    _, p = rank_p_value(cell, np.arange(50), np.tile(fails, 10), np.tile(values, 10), np.random.default_rng(0))
    assert p < 1e-3


def test_seeds_are_exchanged_with_those_of_the_same_cells():
    """Seeds 0 and 1 are in both cells, 2 and 3 in the second alone: of the four ways to exchange within these pairs,
    two have the one that fails in the first cell above the other."""
    cell, seed = np.array([0, 0, 1, 1, 1, 1]), np.array([0, 1, 0, 1, 2, 3])
    fails = np.array([True, False, False, False, False, False])
    values = np.array([2.0, 1, 1, 1, 1, 1])
    assert rank_p_value(cell, seed, fails, values, np.random.default_rng(0)) == (1.0, 1.0)


def test_a_pair_without_a_reading_is_left_out_of_a_drawing():
    """One cell, three seeds, the last without a reading: of six orders one puts the failing seed above, one below, and
    in four there is no pair left, which tells nothing."""
    fails, values = np.array([True, False, False]), np.array([2.0, 1, np.nan])
    found, p = rank_p_value(np.zeros(3, int), np.arange(3), fails, values, np.random.default_rng(0))
    assert found == 1.0
    assert p == pytest.approx(1 / 3, abs=0.03)
