"""Learners of an action value on probes that isolate one ability each.

The margins are such that a learner with that ability broken (no termination mask, targets that stand still, an actor
that climbs down) fails.
"""

import functools

import numpy as np
import pytest

from credo.environments.probes import (
    ActionReward,
    ConstantReward,
    DelayedReward,
    ObservationActionReward,
    ObservationReward,
    TimeLimitProbe,
)
from credo.learners import LEARNERS
from learning.learned import DISCOUNT, TRACE, learn

pytestmark = pytest.mark.parametrize("learner", LEARNERS)


def test_a_constant_reward_is_the_value(learner, tmp_path):
    """Without the mask at termination the value would go to 10."""
    learned = learn(tmp_path / "run", learner, ConstantReward, steps=768)
    assert learned.value([0.0])[0] == pytest.approx(1.0, abs=0.1)


def test_the_value_depends_on_the_observation(learner, tmp_path):
    learned = learn(tmp_path / "run", learner, ObservationReward, steps=768)
    np.testing.assert_allclose(learned.value([-1.0, 1.0]), [-1.0, 1.0], atol=0.15)


def test_the_value_is_discounted_once_a_step(learner, tmp_path):
    """With targets that stand still the first value would be that of an untrained network; discount 0.5 shows a
    second or a missing discount as 0.25 or 1."""
    learned = learn(tmp_path / "run", learner, DelayedReward, discount=0.5)
    np.testing.assert_allclose(learned.value([0.0, 1.0]), [0.5, 1.0], atol=0.1)


def test_the_actor_finds_the_best_action(learner, tmp_path):
    """An actor that climbs down ends at -1; one that never moved is near 0."""
    learned = learn(tmp_path / "run", learner, ActionReward)
    assert learned.action([0.0])[0] == pytest.approx(0.5, abs=0.15)


def test_the_actor_uses_the_observation(learner, tmp_path):
    learned = learn(tmp_path / "run", learner, ObservationActionReward)
    np.testing.assert_allclose(learned.action([-1.0, 1.0]), [-0.5, 0.5], atol=0.2)


@pytest.mark.parametrize("terminates", [False, True])
def test_truncation_bootstraps_and_termination_does_not(terminates, learner, tmp_path):
    """10 where episodes are cut off; where they terminate 1 / (1 - 0.9 * 0.8) = 3.57, and 2.75 with returns that reach
    further (lambda 0.9) but not beyond the episode's end."""
    learned = learn(tmp_path / "run", learner, functools.partial(TimeLimitProbe, 5, terminates), steps=2048)
    expected = TimeLimitProbe(5, terminates).value(DISCOUNT, TRACE.get(learner, 0.0))
    assert learned.value([0.0])[0] == pytest.approx(expected, rel=0.15)
