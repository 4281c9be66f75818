"""Action boxes and [-1, 1], there and back."""

import numpy as np
import pytest

from credo.action_box import centre_and_half_width, from_unit, to_unit


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_halving_first_gives_the_numbers_of_the_plain_formula(kind):
    generator = np.random.default_rng(0)
    low, width, unit = generator.normal(size=(3, 1000)).astype(kind)
    high = low + np.abs(width) + kind(0.1)
    action = from_unit(unit, low, high)
    assert action.dtype == kind
    np.testing.assert_array_equal(action, (low + high) / 2 + (high - low) / 2 * unit)
    np.testing.assert_array_equal(to_unit(action, low, high), (action - (low + high) / 2) / ((high - low) / 2))


def test_very_wide_boxes_do_not_overflow():
    high = np.array([3e38, 3.4e38, 3e38], np.float32)
    low = np.array([-3e38, -3.4e38, 1e38], np.float32)
    assert np.isfinite(centre_and_half_width(low, high)).all()
    unit = np.array([-0.5, 1.0, 0.25], np.float32)
    np.testing.assert_allclose(to_unit(from_unit(unit, low, high), low, high), unit, rtol=1e-5)
