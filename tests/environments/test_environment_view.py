"""Dict observations by keys, stacked frames, and environments that take no seed."""

import dataclasses
import functools

import gymnasium
import numpy as np
import pytest

import credo
from credo.environments import EnvironmentBatch, environment_spec, make_environment, source_name, viewed
from credo.environments.probes import AutoresetProbe, PointMass, TimeLimitProbe
from credo.policies.view import describe_view, described_view
from credo.preparation import prepare
from credo.types import CredoError

Box = gymnasium.spaces.Box


class Arm(gymnasium.Env):
    """Entries that count: joints [2, 2] is 10 * step + 0..3, goal [1] is -step, camera is left out."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Dict(
            goal=Box(-100, 100, (1,)),
            joints=Box(0, 9, (2, 2), np.float64),
            camera=Box(0, 255, (4, 4, 3), np.uint8),
            name=gymnasium.spaces.Text(5),
        )
        self.action_space = Box(-1, 1, (1,))

    def _observe(self):
        return {
            "camera": np.zeros((4, 4, 3), np.uint8),
            "goal": np.float32([-self.count]),
            "joints": 10.0 * self.count + np.arange(4.0).reshape(2, 2),
        }

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return self._observe(), {}

    def step(self, action):
        self.count += 1
        return self._observe(), 0.0, False, self.count == 3, {}


def test_entries_are_joined_in_the_order_given():
    batch = EnvironmentBatch(viewed(Arm, ("joints", "goal")), 0)
    assert batch.spec.name == "Arm"
    assert batch.spec.observation_keys == ("joints", "goal")
    assert environment_spec(make_environment(viewed(Arm, ("goal",), 2)), "Arm").observation_keys == ("goal",)
    np.testing.assert_array_equal(batch.observation, [[0, 1, 2, 3, 0]])
    np.testing.assert_array_equal(batch.step(np.zeros((1, 1))).next_observation, [[10, 11, 12, 13, -1]])
    other = EnvironmentBatch(viewed(Arm, ("goal", "joints")), 0)
    np.testing.assert_array_equal(other.step(np.zeros((1, 1))).next_observation, [[-1, 10, 11, 12, 13]])
    space = make_environment(viewed(Arm, ("goal", "joints"))).observation_space
    np.testing.assert_array_equal([space.low, space.high], [[-100, 0, 0, 0, 0], [100, 9, 9, 9, 9]])


@pytest.mark.parametrize(
    ("source", "keys", "words"),
    [
        (Arm, (), "choose of goal, joints, camera, name with --observation-keys"),
        (Arm, ("joint",), "has no observation 'joint'; it has goal, joints"),
        (Arm, ("goal", "goal"), "given twice"),
        (Arm, ("name",), "boxes of numbers"),
        (PointMass, ("goal",), "has no Dict observations"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_in_one_line(source, keys, words):
    with pytest.raises(CredoError) as caught:
        make_environment(viewed(source, keys))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_frames_are_stacked_oldest_first_and_the_first_fills_the_stack():
    batch = EnvironmentBatch(viewed(Arm, ("goal",), 3), 0)
    assert batch.spec.observation_size == 3
    seen = [batch.observation[0].tolist()]
    for _ in range(4):
        step = batch.step(np.zeros((1, 1)))
        seen.append(step.next_observation[0].tolist())
    assert seen == [[0, 0, 0], [0, 0, -1], [0, -1, -2], [-1, -2, -3], [0, 0, -1]]


def test_a_frame_that_the_environment_writes_over_is_kept():
    class Reuses(TimeLimitProbe):
        def _start(self):
            self._array = np.zeros(1, np.float32)
            return self._array

        def _advance(self, action):
            self._array[0] = self._step
            return self._array, 0.0, False, False, {}

    batch = EnvironmentBatch(viewed(Reuses, (), 2), 0)
    assert [batch.step(np.zeros((1, 1))).next_observation[0].tolist() for _ in range(2)] == [[0, 1], [1, 2]]


def test_stacked_frames_are_those_of_gymnasium():
    def reference():
        stacked = gymnasium.wrappers.FrameStackObservation(make_environment("Hopper-v5"), 3)
        return gymnasium.wrappers.FlattenObservation(stacked)

    one, other = EnvironmentBatch(viewed("Hopper-v5", (), 3), 0), EnvironmentBatch(reference, 0)
    for action in np.random.default_rng(0).uniform(-1, 1, (60, 1, 3)):
        assert one.step(action).next_observation.tobytes() == other.step(action).next_observation.tobytes()
        assert one.observation.tobytes() == other.observation.tobytes()
    assert one.finished


def test_a_view_is_restored_in_mid_episode():
    source = viewed("Hopper-v5", (), 4)
    batch, other = EnvironmentBatch(source, 0), EnvironmentBatch(source, 0)
    actions = np.random.default_rng(1).uniform(-0.3, 0.3, (40, 1, 3)).astype(np.float32)
    for action in actions[:10]:
        batch.step(action)
    assert other.restore(batch.state()) == []
    for action in actions[10:]:
        assert batch.step(action).next_observation.tobytes() == other.step(action).next_observation.tobytes()


def test_the_plain_view_is_the_source_itself():
    assert viewed("Hopper-v5") == "Hopper-v5"
    view = viewed("Hopper-v5", (), 2)
    assert viewed(view, (), 2) is view
    assert source_name(view) == "Hopper-v5"
    assert environment_spec(make_environment(view), "x").max_episode_steps == 1000
    assert viewed(view) is view
    assert viewed(view, ("goal",)) == viewed("Hopper-v5", ("goal",), 2) == viewed(viewed("Hopper-v5", ("goal",)), (), 2)
    with pytest.raises(CredoError, match="frame_stack: 0"):
        viewed("Hopper-v5", (), 0)


def test_a_view_that_is_given_is_a_setting_of_the_run():
    config = dataclasses.replace(credo.preset("fast"), reward="environment")
    prepared = prepare(config, viewed(Arm, ("goal", "joints"), 3))
    assert (prepared.config.observation_keys, prepared.config.frame_stack) == (("goal", "joints"), 3)
    assert prepared.spec.observation_size == 15
    asked = dataclasses.replace(config, observation_keys=("goal", "joints"), frame_stack=3)
    assert prepared.config == prepare(asked, Arm).config == prepare(asked, viewed(Arm, ("goal", "joints"))).config
    with pytest.raises(CredoError, match=r"^frame_stack: 3: the environment given stacks 2 already; leave one out$"):
        prepare(asked, viewed(Arm, ("goal", "joints"), 2))
    with pytest.raises(CredoError, match=r"^observation_keys: goal joints: the environment given shows goal already; "):
        prepare(asked, viewed(Arm, ("goal",), 3))
    with pytest.raises(CredoError, match=r"settings.observation_keys"):
        prepare(config, viewed(Arm, (1, 2)))


@pytest.mark.parametrize("view", [((), 1), (("a", "b c"), 1), ((), 4), (("ö",), 7)])
def test_a_view_is_described_and_read_again(view):
    assert described_view(describe_view(*view)) == view


@pytest.mark.parametrize(
    "metadata",
    [
        {"frame_stack": "0"},
        {"frame_stack": "1e9"},
        {"frame_stack": "9999"},
        {"frame_stack": "-3"},
        {"observation_keys": "goal"},
        {"observation_keys": "[1]"},
        {"observation_keys": "[" * 9000},
        {"observation_keys": '{"a": 1}'},
    ],
)
def test_a_view_from_a_file_is_checked(metadata):
    with pytest.raises(CredoError, match="metadata") as caught:
        described_view(metadata)
    assert "\n" not in str(caught.value)


class NoSeed(gymnasium.Env):
    """As many simulators are: reset() and no more."""

    observation_space = Box(-1, 1, (1,))
    action_space = Box(-1, 1, (1,))

    def reset(self):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


class Refuses(TimeLimitProbe):
    def reset(self, *, seed=None, options=None):
        if seed is not None:
            raise NotImplementedError("no seeds")
        return super().reset()


class Ignores(PointMass):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None)


def limited(kind):
    return gymnasium.wrappers.TimeLimit(kind(), 5)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (NoSeed, "does not take a seed"),
        (functools.partial(limited, NoSeed), "does not take a seed"),
        (functools.partial(limited, Refuses), "does not take a seed"),
        (Ignores, "begins differently from the same seed"),
        (AutoresetProbe, "begins differently from the same seed"),
    ],
)
def test_environments_that_cannot_be_seeded_are_taken_with_a_note(source, words):
    batch = EnvironmentBatch(source, 0)
    for _ in range(12):
        batch.step(np.zeros((1, batch.spec.action_size)))
    note = batch.seeding_note()
    assert words in note
    assert "\n" not in note


@pytest.mark.parametrize("source", ["Hopper-v5", PointMass])
def test_environments_that_take_seeds_are_no_news(source):
    assert EnvironmentBatch(source, 0).seeding_note() is None


def test_a_reset_that_is_broken_without_a_seed_too_says_why():
    class Broken(TimeLimitProbe):
        def reset(self, *, seed=None, options=None):
            raise OSError(f"no simulator, seed {seed is not None}")

    with pytest.raises(CredoError, match="OSError: no simulator, seed True"):
        EnvironmentBatch(Broken, 0)
