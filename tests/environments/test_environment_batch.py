"""The batch: true successors, termination apart from truncation, action scaling, seeds, refusals."""

import concurrent.futures
import functools

import gymnasium
import numpy as np
import pytest

from credo.environments import (
    EnvironmentBatch,
    EpisodeSummary,
    NonFiniteActionError,
    NonFiniteEnvironmentError,
    make_environment,
    specification,
)
from credo.environments import batch as environment_batch
from credo.environments.probes import (
    AutoresetProbe,
    ConstantReward,
    Fragile,
    ObservationReward,
    PointMass,
    TimeLimitProbe,
)
from credo.random import Purpose, episode_seed
from credo.types import CredoError


def uniform_actions(steps: int, count: int, action_size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, count, action_size)).astype(np.float32)


@pytest.mark.parametrize("terminates", [True, False])
def test_next_observation_is_the_true_successor(terminates):
    batch = EnvironmentBatch(functools.partial(AutoresetProbe, 3, terminates), 0, count=2)
    for episode in range(3):
        for step in range(1, 4):
            np.testing.assert_array_equal(batch.observation, [[episode, step - 1]] * 2)
            outcome = batch.step(np.zeros((2, 1)))
            np.testing.assert_array_equal(outcome.next_observation, [[episode, step]] * 2)
            np.testing.assert_array_equal(outcome.reward, [step, step])
            assert outcome.terminated.tolist() == [terminates and step == 3] * 2
            assert outcome.truncated.tolist() == [not terminates and step == 3] * 2
    np.testing.assert_array_equal(batch.observation, [[3, 0]] * 2)


def test_types_and_shapes():
    batch = EnvironmentBatch("Pendulum-v1", 0, count=3)
    assert batch.observation.shape == (3, 3)
    assert batch.observation.dtype == np.float32
    outcome = batch.step(np.zeros((3, 1)))
    assert [(array.shape, array.dtype.name) for array in outcome] == [
        ((3, 3), "float32"),
        ((3,), "float32"),
        ((3,), "bool"),
        ((3,), "bool"),
    ]


def test_batch_equals_the_bare_environment():
    """Hopper-v5 by hand, with resets by episode seed, gives the same numbers bit for bit."""
    batch = EnvironmentBatch("Hopper-v5", 5)
    bare = make_environment("Hopper-v5")
    observation, _ = bare.reset(seed=episode_seed(5, Purpose.ENVIRONMENT, 0, 0))
    episode = 0
    for action in uniform_actions(200, 1, 3):
        np.testing.assert_array_equal(batch.observation[0], observation.astype(np.float32))
        outcome = batch.step(action)
        observation, reward, terminated, truncated, _ = bare.step(action[0])
        np.testing.assert_array_equal(outcome.next_observation[0], observation.astype(np.float32))
        assert outcome.reward[0] == np.float32(reward)
        assert (outcome.terminated[0], outcome.truncated[0]) == (terminated, truncated)
        if terminated or truncated:
            episode += 1
            observation, _ = bare.reset(seed=episode_seed(5, Purpose.ENVIRONMENT, 0, episode))
    assert episode >= 3
    assert len(batch.finished) == episode


def test_time_limit_of_gymnasium_truncates():
    batch = EnvironmentBatch("Pendulum-v1", 0)
    outcomes = [batch.step(np.zeros((1, 1))) for _ in range(200)]
    assert [bool(outcome.truncated[0]) for outcome in outcomes] == [False] * 199 + [True]
    assert not any(outcome.terminated[0] for outcome in outcomes)
    (summary,) = batch.drain_finished()
    assert summary.length == 200
    assert summary.total_reward == pytest.approx(sum(float(outcome.reward[0]) for outcome in outcomes))


def test_summaries_and_draining():
    batch = EnvironmentBatch(functools.partial(TimeLimitProbe, 2, terminates=True), 0, count=2)
    for _ in range(4):
        batch.step(np.zeros((2, 1)))
    first, second = EpisodeSummary(0, 2.0, 2, True, None), EpisodeSummary(1, 2.0, 2, True, None)
    assert batch.drain_finished() == [first, second, first, second]
    assert batch.drain_finished() == []


@pytest.mark.parametrize("key", ["success", "is_success"])
def test_success_at_any_step_counts(key):
    class Succeeds(TimeLimitProbe):
        def _advance(self, action):
            *rest, _ = super()._advance(action)
            return *rest, {key: np.bool_(self._step == 2 and action[0] > 0)}

    batch = EnvironmentBatch(functools.partial(Succeeds, 3), 0, count=2)
    for _ in range(3):
        batch.step(np.array([[1.0], [-1.0]]))
    assert [summary.success for summary in batch.drain_finished()] == [True, False]


def test_actions_are_scaled_and_clipped():
    taken = []

    class Records(PointMass):
        def __init__(self):
            super().__init__()
            self.action_space = gymnasium.spaces.Box(np.float32([-0.4, 1]), np.float32([0.3, 5]))

        def step(self, action):
            taken.append(action.copy())
            return super().step(action)

    batch = EnvironmentBatch(Records, 0)
    for action in ([-1, -1], [1, 1], [0, 0], [-7, 3]):
        batch.step(np.array([action], dtype=np.float32))
    assert all(action.dtype == np.float32 for action in taken)
    np.testing.assert_array_equal(
        taken, np.float32([[-0.4, 1], [0.3, 5], [(np.float32(-0.4) + np.float32(0.3)) / 2, 3], [-0.4, 5]])
    )


def test_unit_box_takes_actions_unchanged():
    taken = []

    class Records(TimeLimitProbe):
        def step(self, action):
            taken.append(action.copy())
            return super().step(action)

    batch = EnvironmentBatch(Records, 0)
    actions = uniform_actions(20, 1, 1)
    for action in actions:
        batch.step(action)
    np.testing.assert_array_equal(taken, actions[:, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_action_is_refused_before_any_step(bad):
    batch, untouched = EnvironmentBatch("Hopper-v5", 0, count=2), EnvironmentBatch("Hopper-v5", 0, count=2)
    action = np.zeros((2, 3), np.float32)
    action[1, 2] = bad
    with pytest.raises(NonFiniteActionError, match="environment 1"):
        batch.step(action)
    assert issubclass(NonFiniteActionError, ValueError)
    after = batch.step(np.zeros((2, 3)))
    np.testing.assert_array_equal(after.next_observation, untouched.step(np.zeros((2, 3))).next_observation)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 2), (2, 3, 1)])
def test_wrong_action_shape_is_refused(shape):
    batch = EnvironmentBatch("Hopper-v5", 0, count=2)
    with pytest.raises(ValueError, match="shape"):
        batch.step(np.zeros(shape))


@pytest.mark.parametrize("how", ["observation", "reward"])
def test_non_finite_environment_is_reported(how):
    batch = EnvironmentBatch(functools.partial(Fragile, fail_at=3, how=how, fail_episode=1), 0, count=2)
    for _ in range(12):
        batch.step(np.zeros((2, 1)))
    with pytest.raises(NonFiniteEnvironmentError) as caught:
        batch.step(np.zeros((2, 1)))
    assert (*caught.value.place[:2], caught.value.what) == (batch.spec.name, 0, how)
    assert isinstance(caught.value, RuntimeError)
    assert not isinstance(caught.value, CredoError)


def test_overflow_of_float32_is_not_finite():
    class Huge(TimeLimitProbe):
        def _advance(self, action):
            return np.full(1, 1e300), 1.0, False, False, {}

    with pytest.raises(NonFiniteEnvironmentError, match="observation"):
        EnvironmentBatch(Huge, 0).step(np.zeros((1, 1)))


def test_error_of_the_environment_passes_through():
    batch = EnvironmentBatch(functools.partial(Fragile, how="raise"), 0)
    for _ in range(2):
        batch.step(np.zeros((1, 1)))
    with pytest.raises(RuntimeError, match="the simulator failed at step 3"):
        batch.step(np.zeros((1, 1)))


def test_observation_that_breaks_its_promise_is_refused():
    class Wrong(TimeLimitProbe):
        def _start(self):
            return np.zeros(3, np.float32)

    with pytest.raises(CredoError, match=r"\(3,\).*\(1,\)"):
        EnvironmentBatch(Wrong, 0)


def test_no_environments_is_refused():
    with pytest.raises(CredoError, match="environments: 0"):
        EnvironmentBatch(PointMass, 0, count=0)


def test_every_environment_episode_and_seed_starts_differently():
    starts = []
    for seed in (0, 1):
        batch = EnvironmentBatch(PointMass, seed, count=2)
        for _ in range(2):
            starts.extend(map(tuple, batch.observation))
            for _ in range(50):
                batch.step(np.zeros((2, 2)))
    assert len(set(starts)) == 8


def test_environment_does_not_depend_on_the_number_beside_it():
    alone, pair = EnvironmentBatch("Hopper-v5", 2, count=1), EnvironmentBatch("Hopper-v5", 2, count=2)
    for action in uniform_actions(120, 2, 3):
        one, two = alone.step(action[:1]), pair.step(action)
        for first, second in zip(one, two, strict=True):
            np.testing.assert_array_equal(first, second[:1])


def test_threads_do_not_disturb_each_other():
    def course(seed):
        batch = EnvironmentBatch("HalfCheetah-v5", seed)
        return [batch.step(action).next_observation.tobytes() for action in uniform_actions(60, 1, 6)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        side_by_side = list(pool.map(course, range(4)))
    assert side_by_side == [course(seed) for seed in range(4)]
    assert len({tuple(observations) for observations in side_by_side}) == 4


def test_random_draws_within_an_episode_are_seeded():
    rewards = [
        [float(batch.step(np.zeros((1, 1))).reward[0]) for _ in range(20)]
        for batch in (EnvironmentBatch(ObservationReward, 3), EnvironmentBatch(ObservationReward, 3))
    ]
    assert rewards[0] == rewards[1]
    assert set(rewards[0]) == {-1.0, 1.0}


def test_close_twice():
    batch = EnvironmentBatch(PointMass, 0)
    batch.close()
    batch.close()


class Narrow(PointMass):
    """A box of float64 whose bounds float32 cannot hold."""

    def __init__(self):
        super().__init__()
        self.action_space = gymnasium.spaces.Box(np.full(2, -0.3), np.full(2, 0.1), dtype=np.float64)

    def step(self, action):
        assert self.action_space.contains(action)
        return super().step(action)


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_rounding_leaves_no_action_box(end):
    EnvironmentBatch(Narrow, 0).step(np.full((1, 2), end))


def test_the_bounds_of_policies_lie_in_the_box():
    def bounds(low, high, kind):
        environment = PointMass()
        environment.action_space = gymnasium.spaces.Box(np.full(2, low, kind), np.full(2, high, kind), dtype=kind)
        spec = specification(lambda: environment)
        np.testing.assert_array_equal(spec.action_low, np.float32(low))
        np.testing.assert_array_equal(spec.action_high, np.float32(high))
        return spec.policy_bounds[:, 0].tolist()

    low, high = bounds(-0.3, 0.1, np.float64)
    assert -0.3 < low < -0.2999999 < 0.0999999 < high < 0.1
    for kind in (np.float32, np.float64):
        assert bounds(-0.25, 2.0, kind) == [-0.25, 2.0]
    assert bounds(-0.3, 0.1, np.float32) == [float(np.float32(-0.3)), float(np.float32(0.1))]
    # Nothing lies between them: as near as can be.
    step = float(np.nextafter(np.float32(1), np.float32(2))) - 1
    assert bounds(1 - step / 8, 1 + step * 0.9, np.float64) == [1, 1 + step]


class Alternates(ConstantReward):
    """Episodes of one and of two steps by turns, where there might be five."""

    max_episode_steps = 5
    count = 0

    def _start(self):
        self.count += 1
        return super()._start()

    def _advance(self, action):
        observation, reward, *_ = super()._advance(action)
        return observation, reward, self._step > self.count % 2, False, {}


def test_short_episodes_are_doubted_in_a_row_only(monkeypatch):
    monkeypatch.setattr(environment_batch, "SHORT_EPISODES", 3)
    batch = EnvironmentBatch(Alternates, 0)
    for _ in range(30):
        batch.step(np.zeros((1, 1)))
    assert batch.notes == []
