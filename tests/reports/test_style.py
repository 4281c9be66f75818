"""Axes that all figures share."""

import pytest

from credo.reports.style import log_ticks, symmetric_log_ticks, ticks_from


def test_ticks_of_gradients_that_vanish():
    assert ticks_from(1e-9, 2.0) == pytest.approx([0, 1e-8, 1e-6, 1e-4, 1e-2, 1])
    assert ticks_from(1e-9, 5e-8) == pytest.approx([0, 1e-8])
    # No gradient at all, or none that is above the smallest.
    assert ticks_from(1e-9, 2e-9) == [0]


def test_ticks_of_small_and_of_negative_values():
    assert log_ticks(4.0) == [0, 0.2, 0.5, 1, 2]
    assert log_ticks(0.15) == [0, 0.02, 0.05, 0.1]
    assert log_ticks(0.004) == [0, 0.0005, 0.001, 0.002]
    assert symmetric_log_ticks(-0.1, 0.05) == [-0.1, -0.05, -0.02, 0, 0.02, 0.05]
    assert symmetric_log_ticks(-3.0, 0.1) == [-2, -1, -0.5, 0]
    assert symmetric_log_ticks(-0.001, 100.0)[:2] == [0, 5]
