"""Axes that all figures share."""

import pytest

from credo.reports.style import ticks_from


def test_ticks_of_gradients_that_vanish():
    assert ticks_from(1e-9, 2.0) == pytest.approx([0, 1e-8, 1e-6, 1e-4, 1e-2, 1])
    assert ticks_from(1e-9, 5e-8) == pytest.approx([0, 1e-8])
    # No gradient at all, or none that is above the smallest.
    assert ticks_from(1e-9, 2e-9) == [0]
