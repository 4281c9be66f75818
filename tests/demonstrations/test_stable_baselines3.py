from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from credo.demonstrations import generate_demonstrations, read_file
from credo.demonstrations.formats.stable_baselines3 import ClippedPolicy, is_policy, load_stable_baselines3
from credo.environments import environment_spec, make_environment
from credo.policies import Layer, Policy
from credo.types import CredoError

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="module")
def pendulum():
    environment = make_environment("Pendulum-v1")
    spec = environment_spec(environment, "Pendulum-v1")
    environment.close()
    return spec


@pytest.mark.parametrize("name", ["sac", "td3", "ppo"])
def test_actions_are_those_of_stable_baselines3(name, pendulum):
    with np.load(FIXTURES / "expected.npz") as expected:
        observation, action = expected["policy_observations"], expected[name]
    path = FIXTURES / f"{name}.zip"
    assert is_policy(path)
    policy = load_stable_baselines3(path, pendulum)
    act = getattr(policy, "normalised_action", policy)
    np.testing.assert_allclose(2 * act(observation), action, atol=1e-5)
    assert np.ptp(action) > 0.05


def test_it_is_rolled_out(pendulum):
    policy = load_stable_baselines3(FIXTURES / "ppo.zip", pendulum)
    assert generate_demonstrations("Pendulum-v1", policy, episodes=1).lengths.tolist() == [200]


def test_it_is_no_demonstrations():
    with pytest.raises(CredoError, match="demos generate --expert"):
        read_file(FIXTURES / "sac.zip")


def test_another_environment(pendulum):
    with pytest.raises(CredoError, match="takes 3 observations and gives 1 actions, but Pendulum-v1 has 4 and 1"):
        load_stable_baselines3(FIXTURES / "sac.zip", pendulum._replace(observation_size=4))


def rewritten(path, change):
    """The SAC fixture with one member of its policy.pth changed."""
    source = FIXTURES / "sac.zip"
    inner = io.BytesIO()
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as out:
        with zipfile.ZipFile(io.BytesIO(archive.read("policy.pth"))) as tensors, zipfile.ZipFile(inner, "w") as new:
            for name in tensors.namelist():
                new.writestr(name, change(name, tensors.read(name)))
        out.writestr("data", archive.read("data"))
        out.writestr("policy.pth", inner.getvalue())
    return path


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("it was executed",))


@pytest.mark.parametrize(
    "content",
    [pickle.dumps({"a": Trap()}, protocol=2), pickle.dumps({"a": 1}, 2), pickle.dumps([1], 2), b"", b"\x80\x02h\x05."],
)
def test_pickles_are_never_loaded(content, pendulum, tmp_path):
    path = rewritten(tmp_path / "a.zip", lambda name, data: content if name.endswith("data.pkl") else data)
    with pytest.raises(CredoError, match=r"a\.zip") as caught:
        load_stable_baselines3(path, pendulum)
    assert "\n" not in str(caught.value)


def test_short_tensors(pendulum, tmp_path):
    path = rewritten(tmp_path / "a.zip", lambda name, data: data[:8] if name.endswith("data/0") else data)
    with pytest.raises(CredoError, match="has only 2 numbers"):
        load_stable_baselines3(path, pendulum)


def test_statistics_of_vecnormalize_are_refused(tmp_path):
    path = tmp_path / "vec_normalize.pkl"
    path.write_bytes(pickle.dumps({"obs_rms": 1}))
    with pytest.raises(CredoError, match="is a Python pickle, which is never loaded"):
        read_file(path)


def test_actions_of_a_box_that_is_not_symmetric_are_scaled_from_its_middle():
    network = (Layer(np.zeros((1, 2)), np.array([3.0, 9.0])),)
    box = np.zeros(2), np.array([4.0, 8.0])
    policy = Policy(network, "tanh", np.zeros(1), np.ones(1), *box, "test")
    assert ClippedPolicy(policy)(np.zeros((1, 1))).tolist() == [[0.5, 1.0]]
