from __future__ import annotations

import io
import json
import pickle
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from credo import files
from credo.demonstrations import generate_demonstrations, read_file
from credo.demonstrations.formats.stable_baselines3 import ClippedPolicy, is_policy, load_stable_baselines3
from credo.demonstrations.formats.torch_tensors import read_tensors
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


def rewritten(path, change=lambda name, data: data, compression=zipfile.ZIP_STORED, settings=None):
    """The SAC fixture with one member of its policy.pth changed, these compressed, or other settings of its policy."""
    source = FIXTURES / "sac.zip"
    inner = io.BytesIO()
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as out:
        with zipfile.ZipFile(io.BytesIO(archive.read("policy.pth"))) as tensors, zipfile.ZipFile(inner, "w") as new:
            for name in tensors.namelist():
                new.writestr(name, change(name, tensors.read(name)), compression)
        told = json.loads(archive.read("data"))
        out.writestr("data", json.dumps(told if settings is None else told | {"policy_kwargs": settings}))
        out.writestr("policy.pth", inner.getvalue())
    return path


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("it was executed",))


@pytest.mark.parametrize(
    "content",
    [
        *(pickle.dumps(value, 2) for value in ({"a": Trap()}, {"a": 1}, [1])),
        *(b"", b"\x80\x02h\x05.", b"\x80\x02}t."),
    ],
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


def written_out(value):
    """The opcodes of text, numbers and tuples."""
    if isinstance(value, str):
        return b"X" + len(value).to_bytes(4, "little") + value.encode()
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little", signed=True)
    return b"(" + b"".join(map(written_out, value)) + b"t"


def of_tensors(tensors):
    """data.pkl of a dictionary: name to (storage's key, offset, shape, stride)."""
    items = b"".join(
        written_out(name)
        + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + written_out("storage")
        + b"ctorch\nFloatStorage\n"
        + written_out(key)
        + b"tQ"
        + b"".join(map(written_out, layout))
        + b"tR"
        for name, (key, *layout) in tensors.items()
    )
    return b"\x80\x02}(" + items + b"u."


def torch_file(path, description, storage, change=lambda archive: None):
    """An archive with a policy.pth of one storage, compressed."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("archive/data.pkl", description)
        archive.writestr("archive/data/0", storage)
        change(archive)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("policy.pth", inner.getvalue())
        archive.writestr("data", "{}")
    return path


def refused(path, spec, message):
    """Within memory of a few times the file's own."""
    tracemalloc.start()
    try:
        with pytest.raises(CredoError, match=message) as caught:
            load_stable_baselines3(path, spec)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_tensors_keep_no_more_of_a_storage_than_their_own(pendulum, tmp_path):
    """Each is read alone; the storage is read once."""
    numbers = np.arange(1 << 19, dtype="<f4")
    content = torch_file(
        tmp_path / "a.zip",
        of_tensors({f"t{k}": ("0", 4 * k, (2, 2), (2, 1)) for k in range(40)}),
        numbers.tobytes(),
    )
    with zipfile.ZipFile(content) as archive:
        inner = archive.read("policy.pth")
    tracemalloc.start()
    try:
        found = read_tensors(content, "policy.pth", inner, len(inner))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1 << 20
    assert peak < 8 << 20
    for k in range(40):
        assert found[f"t{k}"].tolist() == [[4 * k, 4 * k + 1], [4 * k + 2, 4 * k + 3]]


def test_many_names_of_one_storage_are_refused(pendulum, tmp_path):
    """Together they are far larger than the file."""
    whole = {f"t{k}": ("0", 0, (1 << 19,), (1,)) for k in range(200)}
    refused(torch_file(tmp_path / "a.zip", of_tensors(whole), bytes(2 << 20)), pendulum, "policy.pth: declares 419,")


@pytest.mark.parametrize(
    "layout",
    [(0, (10_000_000, (0, 0)), (1, 1)), (0, (1,) * 9, (1,) * 9), ("0", (1,), (1,)), (0, "1", (1,)), (-1, (1,), (1,))],
    ids=["a tuple as a size", "nine axes", "text as an offset", "text as a shape", "before the storage"],
)
def test_layouts_that_are_no_whole_numbers(layout, pendulum, tmp_path):
    path = torch_file(tmp_path / "a.zip", of_tensors({"a": ("0", *layout)}), bytes(64))
    refused(path, pendulum, "a: an offset, and a shape and stride of at most 8 whole numbers, expected")


def test_a_storage_that_is_not_there(pendulum, tmp_path):
    path = torch_file(tmp_path / "a.zip", of_tensors({"a": ("1", 0, (3,), (1,))}), bytes(64))
    refused(path, pendulum, r"a of shape \(3,\) has only 0 numbers")


def test_members_that_overlap(pendulum, tmp_path):
    def overlap(archive):
        archive.writestr("archive/data/1", b"")
        info = archive.getinfo("archive/data/1")
        info.header_offset = archive.getinfo("archive/data/0").header_offset
        info.file_size = info.compress_size = 1 << 20

    path = torch_file(tmp_path / "a.zip", of_tensors({}), bytes(1 << 20), overlap)
    refused(path, pendulum, "its members claim more bytes than it has")


def test_descriptions_without_end(pendulum, tmp_path):
    path = torch_file(tmp_path / "a.zip", b"\x80\x02" + b"}" * (1 << 20) + b".", b"")
    refused(path, pendulum, r"data\.pkl has 1,048,579 bytes; at most 1,048,576 are read")
    began = time.process_time()
    refused(torch_file(tmp_path / "b.zip", b"\x80\x02" + b"(t" * 100_000 + b".", b""), pendulum, "its content")
    assert time.process_time() - began < 20


def with_settings(path, **settings):
    """The PPO fixture, whose policy was made with these settings."""
    with zipfile.ZipFile(FIXTURES / "ppo.zip") as archive, zipfile.ZipFile(path, "w") as out:
        data = json.loads(archive.read("data"))
        out.writestr("data", json.dumps(data | {"policy_kwargs": settings}))
        out.writestr("policy.pth", archive.read("policy.pth"))
    return path


def test_squashed_actions_of_ppo_are_not_taken_for_clipped_ones(pendulum, tmp_path):
    assert load_stable_baselines3(with_settings(tmp_path / "a.zip", squash_output=False), pendulum)
    with pytest.raises(
        CredoError, match=r"b\.zip: field data: policy_kwargs\.squash_output is true; .* false"
    ) as caught:
        load_stable_baselines3(with_settings(tmp_path / "b.zip", squash_output=True), pendulum)
    assert "\n" not in str(caught.value)


def test_settings_larger_than_json_may_be(pendulum, monkeypatch):
    monkeypatch.setattr(files, "MAXIMUM_JSON_BYTES", 10)
    with pytest.raises(CredoError, match=r"sac\.zip: field data: larger than 10 bytes"):
        load_stable_baselines3(FIXTURES / "sac.zip", pendulum)


def as_pickled(text):
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def renamed(**names):
    """A change of tensors' names; __ stands for a dot."""

    def change(member, data):
        if member.endswith("data.pkl"):
            for old, new in names.items():
                assert as_pickled(old.replace("__", ".")) in data
                data = data.replace(as_pickled(old.replace("__", ".")), as_pickled(new))
        return data

    return change


REFUSED = {
    "activation": (
        {"settings": {"activation_fn": "<class 'torch.nn.modules.activation.ELU'>"}},
        "field data: activation <class 'torch.nn.modules.activation.ELU'>; ReLU and Tanh are read",
    ),
    "features extractor": (
        {"change": renamed(critic__qf0__0__weight="features_extractor.cnn.0.weight")},
        "has a features extractor with weights",
    ),
    "gSDE": (
        {
            "change": renamed(
                actor__mu__weight="actor.mu.0.weight",
                actor__mu__bias="actor.mu.0.bias",
                actor__log_std__weight="actor.log_std",
            )
        },
        r"no actor of SAC, TD3, DDPG, PPO or A2C \(without gSDE\) found",
    ),
    "big-endian": (
        {"change": lambda name, data: b"big" if name.endswith("byteorder") else data},
        "field policy.pth: is big-endian",
    ),
    "compressed": ({"compression": zipfile.ZIP_DEFLATED}, "is compressed, which torch never does"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_played_wrongly_is_refused(case, pendulum, tmp_path):
    changes, message = REFUSED[case]
    with pytest.raises(CredoError, match=message):
        load_stable_baselines3(rewritten(tmp_path / "a.zip", **changes), pendulum)


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
