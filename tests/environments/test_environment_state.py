"""Restoring in the middle of an episode: bit for bit, or from a fresh episode with a line that says so."""

import functools
import json

import gymnasium
import numpy as np
import pytest

from credo.environments import EnvironmentBatch
from credo.environments.probes import AutoresetProbe, PointMass
from credo.types import CredoError

REAL = [
    "Hopper-v5",
    "Hopper-v4",
    "HalfCheetah-v5",
    "HalfCheetah-v4",
    "Walker2d-v5",
    "Swimmer-v5",
    "Ant-v5",
    "Ant-v4",
    "Humanoid-v5",
    "Humanoid-v4",
    "HumanoidStandup-v5",
    "Reacher-v5",
    "Pusher-v5",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "Pendulum-v1",
    "MountainCarContinuous-v0",
]


def through_storage(state):
    """Scalars through JSON text, arrays through bytes, as a checkpoint would; fails on anything else."""
    if isinstance(state, dict):
        assert all(isinstance(key, str) for key in state)
        return {key: through_storage(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return np.frombuffer(state.tobytes(), state.dtype).reshape(state.shape)
    assert state is None or type(state) in (bool, int, float, str), (type(state), state)
    return json.loads(json.dumps(state))


def same(left, right):
    """Whether two states are equal, arrays bit for bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    return left == right


def random_actions(steps, batch, scale=1.0):
    count, size = len(batch.observation), batch.spec.action_size
    return (np.random.default_rng(1).uniform(-1, 1, (steps, count, size)) * scale).astype(np.float32)


def assert_same_course(left, right, actions):
    assert left.observation.tobytes() == right.observation.tobytes()
    for number, action in enumerate(actions):
        for field, first, second in zip(
            ("next_observation", "reward", "terminated", "truncated"),
            left.step(action),
            right.step(action),
            strict=True,
        ):
            assert first.tobytes() == second.tobytes(), (number, field)
        assert left.observation.tobytes() == right.observation.tobytes()
    assert left.finished == right.finished


@pytest.mark.parametrize("source", [*REAL, PointMass])
@pytest.mark.parametrize("steps", [0, 14])
def test_restored_batch_continues_bit_for_bit(source, steps):
    batch = EnvironmentBatch(source, 4, count=2)
    # Weak actions keep the walkers up, so that the state is taken inside an episode.
    actions = random_actions(steps + 50, batch, scale=0.3)
    for action in actions[:steps]:
        batch.step(action)
    stored = through_storage(batch.state())
    if steps:
        assert any(lane["length"] > 0 for lane in stored["lanes"].values())
    other = EnvironmentBatch(source, 4, count=2)
    for action in actions[-3:]:
        other.step(action)
    assert other.restore(stored) == []
    assert same(other.state(), stored)
    assert_same_course(batch, other, actions[steps:])


def test_restored_time_limit_counts_on():
    for source in ("Swimmer-v5", "Pendulum-v1"):
        batch, other = EnvironmentBatch(source, 0), EnvironmentBatch(source, 0)
        limit = batch.spec.max_episode_steps
        actions = random_actions(limit + 5, batch)
        for action in actions[: limit - 5]:
            batch.step(action)
        assert other.restore(through_storage(batch.state())) == []
        assert_same_course(batch, other, actions[limit - 5 :])
        assert [summary.length for summary in other.finished] == [limit]


def test_state_is_a_snapshot():
    """Stepping on after ``state()`` must not change what it returned."""
    for source in ("Ant-v5", "Pendulum-v1"):
        batch = EnvironmentBatch(source, 0)
        actions = random_actions(30, batch)
        for action in actions[:5]:
            batch.step(action)
        stored = batch.state()
        uninterrupted = [batch.step(action) for action in actions[5:]]
        assert batch.restore(stored) == []
        again = [batch.step(action) for action in actions[5:]]
        for first, second in zip(uninterrupted, again, strict=True):
            for left, right in zip(first, second, strict=True):
                assert left.tobytes() == right.tobytes()


def test_undrained_summaries_survive():
    batch, other = (
        EnvironmentBatch("InvertedPendulum-v5", 0, count=2),
        EnvironmentBatch("InvertedPendulum-v5", 0, count=2),
    )
    for action in random_actions(60, batch):
        batch.step(action)
    assert len(batch.finished) > 2
    other.restore(through_storage(batch.state()))
    assert other.drain_finished() == batch.drain_finished()


def test_random_draws_go_on():
    """A simulation that draws in ``step`` continues its stream, by replay."""

    class Noisy(PointMass):
        def _advance(self, action):
            self._velocity = self._velocity + 0.01 * self.np_random.standard_normal(2)
            return super()._advance(action)

    batch, other = EnvironmentBatch(Noisy, 0), EnvironmentBatch(Noisy, 0)
    actions = random_actions(80, batch)
    for action in actions[:20]:
        batch.step(action)
    assert other.restore(through_storage(batch.state())) == []
    assert_same_course(batch, other, actions[20:])


def test_generator_of_a_mujoco_task_is_restored():
    batch, other = EnvironmentBatch("Hopper-v5", 0), EnvironmentBatch("Hopper-v5", 0)
    own, others = (each._lanes.opened[0].environment.unwrapped for each in (batch, other))
    own.np_random.random(7)
    assert other.restore(through_storage(batch.state())) == []
    assert own.np_random.random() == others.np_random.random()


def test_mujoco_subclass_with_python_state_is_replayed():
    from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

    class Drifting(HopperEnv):
        def reset_model(self):
            self.drift = 0.0
            return super().reset_model()

        def step(self, action):
            self.drift += 0.01
            observation, reward, *rest = super().step(action)
            return observation, reward + self.drift, *rest

    batch, other = EnvironmentBatch(Drifting, 0), EnvironmentBatch(Drifting, 0)
    actions = random_actions(60, batch, 0.3)
    for action in actions[:10]:
        batch.step(action)
    assert other.restore(through_storage(batch.state())) == []
    assert_same_course(batch, other, actions[10:])


def test_wrapper_with_state_is_replayed():
    def stacked():
        environment = gymnasium.make("Hopper-v5", disable_env_checker=True)
        return gymnasium.wrappers.FlattenObservation(gymnasium.wrappers.FrameStackObservation(environment, 3))

    batch, other = EnvironmentBatch(stacked, 0), EnvironmentBatch(stacked, 0)
    actions = random_actions(60, batch, 0.3)
    for action in actions[:10]:
        batch.step(action)
    assert other.restore(through_storage(batch.state())) == []
    assert_same_course(batch, other, actions[10:])


def assert_fresh_episode(source, expected_episode):
    batch, other = EnvironmentBatch(source, 0, count=2), EnvironmentBatch(source, 0, count=2)
    size = batch.spec.action_size
    for _ in range(8):
        batch.step(np.zeros((2, size)))
    lines = other.restore(through_storage(batch.state()))
    assert len(lines) == 2
    assert all("\n" not in line and f"start of episode {expected_episode}" in line for line in lines)
    assert [lane["length"] for lane in other.state()["lanes"].values()] == [0, 0]
    assert [lane["episode"] for lane in other.state()["lanes"].values()] == [expected_episode] * 2
    other.step(np.zeros((2, size)))
    assert other.finished == batch.finished
    return other


def test_hidden_state_in_the_observation_means_a_fresh_episode():
    """The probe counts episodes over its whole life, which neither reset nor replay brings back."""
    assert_fresh_episode(functools.partial(AutoresetProbe, 3), 3)


def test_hidden_state_in_the_reward_alone_means_a_fresh_episode():
    class Warming(PointMass):
        made = 0

        def __init__(self):
            super().__init__()
            type(self).made += 1
            self.bias = 0.01 * self.made

        def _advance(self, action):
            observation, reward, *rest = super()._advance(action)
            return observation, reward + self.bias, *rest

    assert_fresh_episode(Warming, 1)


def test_replay_that_ends_early_means_a_fresh_episode():
    class Breaking(PointMass):
        made = 0

        def __init__(self):
            super().__init__()
            type(self).made += 1
            self.breaks = self.made > 2

        def _advance(self, action):
            observation, reward, *_ = super()._advance(action)
            return observation, reward, self.breaks and self._step == 3, False, {}

    assert_fresh_episode(Breaking, 1)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [((PointMass, 1, 2), "run_seed"), ((PointMass, 0, 1), "count"), (("Pendulum-v1", 0, 2), "environment")],
)
def test_state_of_another_batch_is_refused(arguments, field):
    stored = EnvironmentBatch(PointMass, 0, 2).state()
    with pytest.raises(CredoError, match=f"^{field}: "):
        EnvironmentBatch(*arguments).restore(stored)
