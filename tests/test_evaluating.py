"""Episodes of a trained policy, from Python: which policy, where, from which states, and what is refused."""

import dataclasses

import gymnasium
import numpy as np
import pytest

import credo
from credo.demonstrations import generate_demonstrations
from credo.environments import rollout_episodes
from credo.environments.probes import PointMass, point_mass_expert
from credo.policies import onnx_bytes, save_policy
from credo.types import CredoError


class Told(PointMass):
    """A point mass that succeeds where it began on the right."""

    def reset(self, **given):
        observation, info = super().reset(**given)
        self.right = bool(observation[0] > 0)
        return observation, info

    def step(self, action):
        *rest, info = super().step(action)
        return *rest, info | {"is_success": self.right}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return credo.imitate(
        environment=PointMass,
        demonstrations=generate_demonstrations(PointMass, point_mass_expert, episodes=4),
        out=tmp_path_factory.mktemp("runs") / "run",
        steps=128,
        seeds=2,
        evaluation_interval=64,
        evaluation_episodes=1,
        td3={"hidden": (8,)},
        discriminator={"hidden": (8,)},
    )


def test_the_episodes_are_those_of_a_plain_loop(run):
    found = credo.evaluate("hopper-expert", 2)
    policy, environment = credo.experts.load_expert("hopper-expert")[0], gymnasium.make("Hopper-v5")
    episodes = rollout_episodes("Hopper-v5", policy.normalised_action, 2, 1_000_000)
    assert found.successes is None
    # Again by hand: from the same first state the same policy, in the environment's own units.
    for index, episode in enumerate(episodes):
        environment.reset(seed=0)
        state = episode.observation[0].astype(np.float64)
        positions = np.concatenate([[0.0], state[:5]])
        environment.unwrapped.set_state(positions, state[5:])
        total, length, ended, observation = 0.0, 0, False, state
        while not ended:
            observation, reward, terminated, truncated, _ = environment.step(policy(observation))
            total, length, ended = total + reward, length + 1, terminated or truncated
        assert (found.lengths[index], found.returns[index]) == (length, pytest.approx(total, rel=0.02))
    again = credo.evaluate(policy, 2)
    np.testing.assert_array_equal(again.returns, found.returns)
    assert (credo.evaluate(policy, 2, evaluation_seed=5).returns != found.returns).all()


def test_a_runs_policies_are_told_apart(run):
    def played(source, **chosen):
        return credo.evaluate(source, 2, environment=PointMass, **chosen).returns.tolist()

    best = played(run)
    assert best == played(str(run.folder)) == played(run, seed=run.best_seed) == played(run.policy())
    other = 1 - run.best_seed
    assert played(run, seed=other) == played(run.policy(other)) != best
    last = played(run, policy="last")
    assert last == played(run.folder / "policies" / f"seed-{run.best_seed}" / "last.safetensors")
    assert last == played(run.policy(which="last"))


def test_success_is_told_where_the_environment_tells_it(run):
    found = credo.evaluate(run, 8, environment=Told)
    first = [e.observation[0] for e in rollout_episodes(Told, point_mass_expert, 8, 1_000_000)]
    assert found.successes is not None
    assert found.successes.tolist() == [bool(observation[0] > 0) for observation in first]
    assert 0 < found.successes.sum() < 8
    assert found.lengths.shape == found.returns.shape == (8,)


def test_a_network_without_bounds_has_the_environments(tmp_path):
    """By its file, as a policy, and with the bounds written into it the same episodes are played."""
    onnx = pytest.importorskip("onnx")
    size, low, high = 3, np.full(1, -2, np.float32), np.full(1, 2, np.float32)
    policy = credo.Policy(
        layers=((np.full((size, 1), 3, np.float32), np.zeros(1, np.float32)),),
        activation="relu",
        observation_mean=np.zeros(size),
        observation_std=np.ones(size),
        action_low=low,
        action_high=high,
        environment="Pendulum-v1",
    )
    (tmp_path / "told.onnx").write_bytes(onnx_bytes(policy))
    model = onnx.load(str(tmp_path / "told.onnx"))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "bare.onnx"))
    bare = credo.load_policy(tmp_path / "bare.onnx")
    assert not bare.says_bounds
    given = (policy, tmp_path / "told.onnx", tmp_path / "bare.onnx", bare)
    first, *others = [credo.evaluate(source, np.int64(2), environment="Pendulum-v1").returns for source in given]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)


class Stronger(PointMass):
    """Takes actions of twice the size."""

    def __init__(self):
        super().__init__()
        self.action_space = gymnasium.spaces.Box(-4, 4, (2,), np.float32)


def test_a_policy_acts_within_its_own_bounds_alone(run):
    """0.4 of what there is is another action where there is another amount."""
    policy = run.policy()
    said = "policy of PointMass: action dimension 0 is from -2 to 2, but in Stronger from -4 to 4; an environment with"
    with pytest.raises(CredoError, match=said):
        credo.evaluate(policy, 1, environment=Stronger)
    with pytest.raises(CredoError, match=said):
        generate_demonstrations(Stronger, policy, episodes=1)
    rounded = dataclasses.replace(policy, action_high=np.nextafter(policy.action_high, np.float32(0)))
    assert credo.evaluate(rounded, 1, environment=PointMass).lengths == [50]


def test_a_policy_of_a_named_environment_plays_there(run, tmp_path):
    policy = dataclasses.replace(run.policy(), environment="somewhere:Else-v0")
    save_policy(tmp_path / "policy.safetensors", policy)
    with pytest.raises(CredoError, match="'somewhere:Else-v0', which imports a module; if you trust it"):
        credo.evaluate(tmp_path / "policy.safetensors")
    with pytest.raises(CredoError, match="'PointMass', which is not registered here"):
        credo.evaluate(run)


@pytest.mark.parametrize(
    ("source", "given", "said"),
    [
        ("nowhere", {}, "policy: 'nowhere' is neither a run folder, a policy file nor a shipped expert (ant-expert"),
        (3, {}, "policy: int found; a run, a policy, the path of one or a shipped"),
        ("hopper-expert", {"episodes": 0}, "episodes: 0 is not possible"),
        ("hopper-expert", {"episodes": 2.5}, "episodes: 2.5 is not possible"),
        ("hopper-expert", {"episodes": True}, "episodes: True is not possible"),
        ("hopper-expert", {"policy": "worst"}, "policy: 'worst' is not best or last"),
        ("hopper-expert", {"evaluation_seed": -1}, "evaluation_seed: -1 is not possible"),
        ("hopper-expert", {"seed": 3}, "seed: 3: hopper-expert is one policy"),
        ("hopper-expert", {"policy": "last"}, "policy: last: hopper-expert is one policy"),
        (
            "hopper-expert",
            {"environment": "Pendulum-v1"},
            "policy of Hopper-v5: observation has 11 dimensions, but Pendulum-v1 has 3",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(source, given, said):
    with pytest.raises(CredoError) as caught:
        credo.evaluate(source, **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
