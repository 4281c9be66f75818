"""Whole episodes: the same for any number of lanes, seeded per episode."""

import functools

import numpy as np
import pytest

from credo.environments import EpisodeRunner, NonFiniteActionError, make_environment, rollout_episodes
from credo.environments.probes import AutoresetProbe, PointMass, TimeLimitProbe, point_mass_expert
from credo.random import Purpose, episode_seed
from credo.types import CredoError


def hopper_policy(observation: np.ndarray) -> np.ndarray:
    """Deterministic and row by row: sums along the row, so that no matrix product mixes lanes."""
    weights = np.linspace(-1, 1, 33, dtype=np.float32).reshape(3, 11)
    return np.stack([np.tanh((observation * row).sum(axis=-1)) for row in weights], axis=-1)


def assert_same_episodes(left, right):
    assert len(left) == len(right)
    for first, second in zip(left, right, strict=True):
        for one, other in zip(first, second, strict=True):
            if isinstance(one, np.ndarray):
                assert one.tobytes() == other.tobytes()
                assert one.shape == other.shape
            else:
                assert one == other


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_same_episodes_for_any_number_of_lanes(noise):
    runs = [
        rollout_episodes("Hopper-v5", hopper_policy, 7, seed=3, lanes=lanes, noise=noise)
        for lanes in (1, 3, 7, 10, None)
    ]
    assert len({episode.reward.size for episode in runs[0]}) > 1
    for run in runs[1:]:
        assert_same_episodes(runs[0], run)


def test_runner_gives_the_same_again():
    runner = EpisodeRunner("Hopper-v5", 2)
    first = runner.run(hopper_policy, 3, 0, noise=0.1)
    runner.run(hopper_policy, 5, 1)
    assert_same_episodes(first, runner.run(hopper_policy, 3, 0, noise=0.1))
    assert_same_episodes(first, runner.run(hopper_policy, 5, 0, noise=0.1)[:3])
    runner.close()
    runner.close()


def test_episode_is_that_of_the_bare_environment():
    (_, episode) = rollout_episodes("Hopper-v5", hopper_policy, 2, seed=4, purpose=Purpose.DEMONSTRATIONS)
    bare = make_environment("Hopper-v5")
    observation, _ = bare.reset(seed=episode_seed(4, Purpose.DEMONSTRATIONS, 0, 1))
    for step in range(len(episode.reward)):
        np.testing.assert_array_equal(episode.observation[step], observation.astype(np.float32))
        np.testing.assert_array_equal(episode.action[step], hopper_policy(observation.astype(np.float32)[None])[0])
        observation, reward, terminated, truncated, _ = bare.step(episode.action[step])
        assert episode.reward[step] == np.float32(reward)
        assert (terminated or truncated) == (step == len(episode.reward) - 1)
    np.testing.assert_array_equal(episode.observation[-1], observation.astype(np.float32))
    assert (episode.terminated, episode.truncated) == (terminated, truncated)


@pytest.mark.parametrize("terminates", [True, False])
def test_last_observation_and_ending(terminates):
    (episode,) = rollout_episodes(functools.partial(AutoresetProbe, 4, terminates), lambda o: o[:, :1] * 0, 1, seed=0)
    np.testing.assert_array_equal(episode.observation, [[0, step] for step in range(5)])
    np.testing.assert_array_equal(episode.reward, [1, 2, 3, 4])
    assert episode.action.shape == (4, 1)
    assert {array.dtype.name for array in episode[:3]} == {"float32"}
    assert (episode.terminated, episode.truncated) == (terminates, not terminates)
    assert episode.success is None


def test_noise_is_of_its_size_clipped_and_stored():
    def still(observation):
        return np.zeros((len(observation), 2), np.float32)

    episodes = rollout_episodes(PointMass, still, 40, seed=0, noise=0.2)
    actions = np.concatenate([episode.action for episode in episodes])
    assert actions.std() == pytest.approx(0.2, rel=0.03)
    assert abs(actions.mean()) < 0.01
    assert not np.array_equal(episodes[0].action, episodes[1].action)
    edge = rollout_episodes(PointMass, lambda o: still(o) + 1, 2, seed=0, noise=0.2)
    assert max(episode.action.max() for episode in edge) == 1.0


def test_policy_sees_a_constant_batch_and_cannot_change_the_record():
    shapes = set()

    def policy(observation):
        shapes.add(observation.shape)
        action = point_mass_expert(observation)
        observation[:] = 7
        return action

    episodes = rollout_episodes(PointMass, policy, 5, seed=0, lanes=3)
    assert shapes == {(3, 4)}
    assert max(np.abs(episode.observation).max() for episode in episodes) < 7


def test_callback_gets_every_episode_in_order():
    seen = []

    class Uneven(TimeLimitProbe):
        def _start(self):
            self._limit = int(self.np_random.integers(1, 30))
            return super()._start()

    episodes = rollout_episodes(
        Uneven, lambda o: o, 12, seed=0, lanes=4, on_episode=lambda episode: seen.append(episode)
    )
    assert len({len(episode.reward) for episode in episodes}) > 3
    assert [id(episode) for episode in seen] == [id(episode) for episode in episodes]


def test_refusals():
    with pytest.raises(NonFiniteActionError):
        rollout_episodes(PointMass, lambda o: np.full((len(o), 2), np.nan), 1, seed=0)
    with pytest.raises(ValueError, match="shape"):
        rollout_episodes(PointMass, lambda o: o, 1, seed=0)
    for bad in (-0.1, np.nan, np.inf):
        with pytest.raises(CredoError, match="noise"):
            rollout_episodes(PointMass, point_mass_expert, 1, seed=0, noise=bad)
    with pytest.raises(CredoError, match="episodes"):
        rollout_episodes(PointMass, point_mass_expert, -1, seed=0)
    with pytest.raises(CredoError, match="lanes"):
        EpisodeRunner(PointMass, 0)
    assert rollout_episodes(PointMass, point_mass_expert, 0, seed=0) == []


def test_a_policy_in_the_environments_own_units_is_refused():
    """Clipped, it would be another policy; noise and rounding may pass the bounds."""

    def torque(size):
        return lambda observation: np.full((len(observation), 1), size, np.float32)

    message = r"the policy's action is -1\.97 in dimension 0; \[-1, 1\] is expected.* Pendulum-v1, -2 to 2"
    with pytest.raises(CredoError, match=message):
        rollout_episodes("Pendulum-v1", torque(-1.97), 1, seed=0)
    (episode,) = rollout_episodes("Pendulum-v1", torque(1.0001), 1, seed=0, noise=0.5)
    assert np.abs(episode.action).max() == 1
    with pytest.raises(NonFiniteActionError):
        rollout_episodes("Pendulum-v1", torque(np.inf), 1, seed=0)


class Changing(PointMass):
    """Changes the action that it is given, in place."""

    def step(self, action):
        action *= 0.5
        return super().step(action)


def test_an_environment_that_changes_its_action_does_not_change_what_is_recorded():
    (episode,) = rollout_episodes(Changing, lambda seen: np.full((len(seen), 2), 0.8, np.float32), 1, seed=0)
    assert (episode.action == np.float32(0.8)).all()
