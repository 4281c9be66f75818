"""Mean Q over its reference."""

import dataclasses

import numpy as np
import pytest

from credo.config import RunConfig
from credo.diagnostics.critics import Following, following, q_over_reference, reference_q

TARGETS = Following(discount=0.9, target_rate=0.02, moves=32)


def moved(rewards, rounds, targets):
    """The reference by the recursion of the targets themselves, move by move."""
    target, found = 0.0, []
    for reward, count in zip(rewards, rounds, strict=True):
        start = target
        for _ in range(targets.moves * count):
            target += targets.target_rate * (reward + targets.discount * target - target)
        found.append(reward + targets.discount * (start + target) / 2)
    return found


def test_what_is_due_is_what_lagging_targets_say():
    rewards = np.array([1.0, 0.5, 0.5, -0.1])
    np.testing.assert_allclose(reference_q(rewards, TARGETS), moved(rewards, (1, 1, 1, 1), TARGETS))
    rounds = (1, 1, 2, 5)
    np.testing.assert_allclose(reference_q(rewards, TARGETS, np.array(rounds)), moved(rewards, rounds, TARGETS))


def test_in_the_end_it_is_the_sum_of_discounted_rewards():
    assert reference_q(np.full(5_000, 0.3), TARGETS)[-1] == pytest.approx(0.3 / (1 - 0.9))
    assert len(reference_q(np.zeros(0), TARGETS)) == 0


def test_mean_q_is_held_against_it_where_something_is_learned():
    at_once = Following(discount=0.5, target_rate=1.0, moves=20)
    nothing = float("nan")
    columns = {
        "q_mean": np.array([nothing, 3.0, 3.0, nothing, 1.0]),
        "reward_mean": np.array([nothing, 1.0, 1.0, nothing, 1.0]),
    }
    # In the first round the targets go from 0 to 2: the reference is 1 + 0.5 * 1, then 2.
    np.testing.assert_allclose(q_over_reference(columns, at_once), [nothing, 2.0, 1.5, nothing, 0.5], rtol=1e-5)
    assert q_over_reference({"q_mean": columns["q_mean"]}, at_once) is None
    assert q_over_reference({"q_mean": np.zeros(0), "reward_mean": np.zeros(0)}, at_once).shape == (0,)


def test_a_first_reward_of_nothing_hides_nothing():
    at_once = Following(discount=0.5, target_rate=1.0, moves=20)
    columns = {"q_mean": np.full(3, 8.0), "reward_mean": np.array([0.0, 2.0, 2.0])}
    np.testing.assert_allclose(q_over_reference(columns, at_once), [np.nan, 8 / 3, 2], rtol=1e-5)
    assert np.isnan(q_over_reference(columns | {"reward_mean": np.zeros(3)}, at_once)).all()


def test_the_reference_has_one_sign():
    """Across 0 the share says nothing."""
    at_once = Following(discount=0.5, target_rate=1.0, moves=20)
    columns = {"q_mean": np.full(4, -4.0), "reward_mean": np.array([-1.0, -1.0, 3.0, -1.0])}
    found = q_over_reference(columns, at_once)
    np.testing.assert_allclose(found[:2], [4 / 1.5, 2], rtol=1e-5)
    assert np.isnan(found[2:]).all()
    assert np.isnan(q_over_reference(columns | {"reward_mean": np.zeros(4)}, at_once)).all()


@pytest.mark.parametrize(("learner", "moves"), [("ddpg", 64), ("td3", 32), ("sd3", 64), ("sac", 64)])
def test_targets_move_as_the_learners_do(learner, moves):
    config = dataclasses.replace(RunConfig(), learner=learner)
    mine = getattr(config, learner)
    assert following(config) == (mine.discount, mine.target_rate, moves)


@pytest.mark.parametrize("learner", ["ppo", "bc", "of-a-plug-in"])
def test_other_learners_have_no_such_targets(learner):
    assert following(dataclasses.replace(RunConfig(), learner=learner)) is None
