"""Environments that misbehave: one typed line that names environment, seed, episode and step."""

import functools

import numpy as np
import pytest

from credo.environments import (
    EnvironmentBatch,
    EnvironmentFaultError,
    NonFiniteEnvironmentError,
    rollout_episodes,
)
from credo.environments.batch import SHORT_EPISODES
from credo.environments.probes import Fragile, PointMass, TimeLimitProbe
from credo.environments.rollout import LONGEST_EPISODE
from credo.types import CredoError

FAULTS = {
    "raise": ("exception", "RuntimeError: the simulator failed"),
    "observation": ("observation", "non-finite observation"),
    "reward": ("reward", "non-finite reward"),
    "shape": ("observation", "shape (2,); its observation space promises (1,)"),
    "text": ("observation", "numbers expected"),
    "no number": ("reward", "'1.0' (str); a number expected"),
    "result": ("result", "4 values"),
}


def zeros(observation):
    return np.zeros((len(observation), 1), np.float32)


@pytest.mark.parametrize("how", FAULTS)
def test_a_fault_says_where_and_what(how):
    batch = EnvironmentBatch(functools.partial(Fragile, fail_at=4, how=how, fail_episode=1), 7)
    for _ in range(13):
        batch.step(np.zeros((1, 1)))
    with pytest.raises(EnvironmentFaultError) as caught:
        batch.step(np.zeros((1, 1)))
    error, (what, words) = caught.value, FAULTS[how]
    assert error.what == what
    assert error.place[1:] == (0, 7, 1, 4)
    text = str(error)
    assert text.startswith(f"environment 0 ({batch.spec.name}) of seed 7, at step 4 of episode 1: ")
    assert words in text
    assert "\n" not in text


def test_the_bad_one_of_several_is_named():
    class OnlyThird(Fragile):
        made = 0

        def __init__(self):
            super().__init__(how="shape", fail_episode=0 if OnlyThird.made == 2 else 99)
            OnlyThird.made += 1

    batch = EnvironmentBatch(OnlyThird, 0, count=4)
    batch.step(np.zeros((4, 1)))
    batch.step(np.zeros((4, 1)))
    with pytest.raises(EnvironmentFaultError, match=r"environment 2 .* at step 3 of episode 0"):
        batch.step(np.zeros((4, 1)))


@pytest.mark.parametrize(
    ("position", "value", "what", "words"),
    [
        (0, None, "observation", "type object"),
        (0, [[1.0], [2.0, 3.0]], "observation", "ragged"),
        (0, np.zeros((1, 1)), "observation", "(1, 1)"),
        (0, np.zeros(1, complex), "observation", "complex128"),
        (1, None, "reward", "None"),
        (1, [1.0, 2.0], "reward", "a number expected"),
        (2, "False", "termination", "terminated"),
        (3, None, "termination", "truncated"),
        (3, np.zeros(2, bool), "termination", "truncated"),
    ],
)
def test_wrong_types_are_faults(position, value, what, words):
    class Wrong(TimeLimitProbe):
        def _advance(self, action):
            outcome = [np.zeros(1, np.float32), 1.0, False, False, {}]
            outcome[position] = value
            return tuple(outcome)

    with pytest.raises(EnvironmentFaultError) as caught:
        EnvironmentBatch(Wrong, 0).step(np.zeros((1, 1)))
    assert caught.value.what == what
    assert words in str(caught.value)


@pytest.mark.parametrize("outcome", [([3], 2, True, np.False_, None), (np.array([3]), np.array([2]), 1, 0, ())])
def test_what_can_only_mean_one_thing_is_taken(outcome):
    class Lenient(TimeLimitProbe):
        def _advance(self, action):
            return outcome

    step = EnvironmentBatch(Lenient, 0).step(np.zeros((1, 1)))
    assert step.next_observation.tolist() == [[3.0]]
    assert (step.reward[0], step.terminated[0], step.truncated[0]) == (2.0, True, False)


@pytest.mark.parametrize(
    "result", [np.zeros(1), (np.zeros(1),), [np.zeros(1), {}], (np.full(1, np.nan), {}), (np.zeros(2), {})]
)
def test_a_first_reset_that_fails_is_refused_in_one_line(result):
    class Wrong(TimeLimitProbe):
        def reset(self, *, seed=None, options=None):
            return result

    with pytest.raises(CredoError, match=r"of seed 3, at the reset of episode 0: ") as caught:
        EnvironmentBatch(Wrong, 3)
    assert "\n" not in str(caught.value)


def test_a_later_reset_that_fails_is_a_fault():
    class Wrong(Fragile):
        def _start(self):
            return super()._start() if self._episode < 1 else np.full(1, np.inf, np.float32)

    batch = EnvironmentBatch(functools.partial(Wrong, fail_at=99), 0)
    for _ in range(19):
        batch.step(np.zeros((1, 1)))
    with pytest.raises(NonFiniteEnvironmentError, match="at the reset of episode 2"):
        batch.step(np.zeros((1, 1)))


def test_evaluations_name_the_seed_too():
    with pytest.raises(EnvironmentFaultError, match="of seed 5, at step 3 of episode 0"):
        rollout_episodes(functools.partial(Fragile, how="raise"), zeros, 1, seed=5)


def test_one_step_episodes_for_ever_are_told_once():
    class Ends(PointMass):
        def _advance(self, action):
            observation, reward, *_ = super()._advance(action)
            return observation, reward, True, False, {}

    batch = EnvironmentBatch(Ends, 4)
    for _ in range(3 * SHORT_EPISODES):
        batch.step(np.zeros((1, 2)))
    (note,) = batch.notes
    assert "Ends of seed 4" in note
    assert f"last {SHORT_EPISODES} episodes ended after one step" in note


def test_one_step_tasks_and_single_falls_are_no_news():
    short = EnvironmentBatch(functools.partial(TimeLimitProbe, 1), 0)
    short.spec = short.spec._replace(max_episode_steps=1)
    longer = EnvironmentBatch(functools.partial(TimeLimitProbe, 2), 0)
    for batch in (short, longer):
        for _ in range(2 * SHORT_EPISODES + 1):
            batch.step(np.zeros((1, 1)))
        assert batch.notes == []


def test_an_evaluation_of_episodes_that_never_end_ends():
    class Endless(TimeLimitProbe):
        max_episode_steps = None

        def _advance(self, action):
            return np.zeros(1, np.float32), 1.0, False, False, {"success": True}

    (episode,) = rollout_episodes(Endless, zeros, 1, seed=0)
    assert len(episode.reward) == LONGEST_EPISODE
    assert (episode.terminated, episode.truncated, episode.success) == (False, True, True)
