from __future__ import annotations

import itertools
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from credo.policies import Layer, NormalisedLayer, Policy, load_policy, save_policy
from credo.storage import content_sha256, read_tensors, write_tensors
from credo.types import CredoError

METADATA = {"algorithm": "td3", "note": "größer\n\u0000"}


def make_policy(sizes=(5, 16, 8, 2), activation="relu", seed=0) -> Policy:
    generator = np.random.default_rng(seed)
    return Policy(
        layers=tuple(
            Layer(generator.normal(size=(rows, columns)), generator.normal(size=columns))
            for rows, columns in itertools.pairwise(sizes)
        ),
        activation=activation,
        observation_mean=generator.normal(size=sizes[0]),
        observation_std=generator.uniform(0.5, 2, sizes[0]),
        action_low=np.linspace(-2, -1, sizes[-1]),
        action_high=np.linspace(1, 4, sizes[-1]),
        environment="Probe-v0",
        metadata=METADATA,
    )


def reference_action(policy: Policy, observation: np.ndarray) -> np.ndarray:
    hidden = (observation.astype(np.float64) - policy.observation_mean) / policy.observation_std
    for i, (weight, bias) in enumerate(policy.layers):
        hidden = hidden @ weight.astype(np.float64) + bias
        if i < len(policy.layers) - 1:
            hidden = np.maximum(hidden, 0) if policy.activation == "relu" else np.tanh(hidden)
    return np.tanh(hidden)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("sizes", [(5, 16, 8, 2), (3, 1), (11, 256, 256, 3), (4, 600, 600, 2)])
@pytest.mark.parametrize("batch", [1, 3, 16, 300])
def test_action_equals_float64_reference(activation, sizes, batch):
    policy = make_policy(sizes, activation)
    small = replace(policy, layers=tuple(Layer(w / np.sqrt(len(w)), b) for w, b in policy.layers))
    observation = np.random.default_rng(1).normal(size=(batch, sizes[0]))
    expected = reference_action(small, observation)
    action = small.normalised_action(observation)
    assert action.dtype == np.float32
    np.testing.assert_allclose(action, expected, atol=2e-5)
    in_units = small(observation)
    low, high = small.action_low, small.action_high
    np.testing.assert_allclose(in_units, low + (expected + 1) / 2 * (high - low), atol=1e-4)
    for row in range(min(batch, 5)):
        np.testing.assert_allclose(small(observation[row]), in_units[row], atol=1e-4)


def test_shapes_and_dtypes():
    policy = make_policy()
    assert policy(np.zeros(5)).shape == (2,)
    assert policy(np.zeros((7, 5))).shape == (7, 2)
    assert policy(np.zeros((0, 5))).shape == (0, 2)
    observation = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float16)
    np.testing.assert_array_equal(policy(observation), policy(observation.astype(np.float64)))
    for wrong in (np.zeros(4), np.zeros((2, 6)), np.zeros((1, 2, 5)), np.float32(1)):
        with pytest.raises(CredoError, match=r"observation has shape .* \[5\] or \[batch, 5\]"):
            policy(wrong)


def test_saturated_action_is_exactly_the_bound():
    policy = replace(make_policy((2, 3)), layers=(Layer(np.zeros((2, 3)), np.array([1e3, -1e3, 0])),))
    action = policy(np.zeros(2))
    assert action[0] == policy.action_high[0]
    assert action[1] == policy.action_low[1]


def test_nan_observation_is_not_hidden():
    """Nor is a robot sent what comes of it."""
    assert np.isnan(make_policy().normalised_action(np.full(5, np.nan))).all()
    for bad in (np.nan, np.inf):
        with pytest.raises(CredoError, match=f"policy: observation holds {bad}; finite numbers expected"):
            make_policy()(np.array([0, bad, 0, 0, 0]))


@pytest.mark.parametrize(
    "value",
    [
        [10**400, 0, 0, 0, 0],
        [[1.0], [2.0, 3.0]],
        ["1", "2", "3", "4", "5"],
        np.zeros(5, complex),
        np.zeros(5, "datetime64[D]"),
    ],
)
def test_what_is_not_of_numbers_is_refused(value):
    with pytest.raises(CredoError, match=r"policy: observation: .* found; an array of numbers expected"):
        make_policy()(value)
    keyed = replace(make_policy(), metadata={"observation_keys": '["joints", "goal"]'})
    with pytest.raises(CredoError, match=r"policy: observation 'goal': .* found; an array of numbers expected"):
        keyed({"joints": np.zeros(5), "goal": value})


@pytest.mark.filterwarnings("error")
def test_an_observation_too_large_to_compute_with_is_refused():
    policy = replace(make_policy(), observation_mean=np.full(5, -3e38))
    for observation in (np.full(5, 3e38), np.array([np.zeros(5), np.full(5, 3e38)])):
        with pytest.raises(CredoError, match=r"values up to 3e\+38, of which this Probe-v0 policy computes no finite"):
            policy(observation)


def test_a_dict_observation_is_joined_as_the_policy_was_shown_it():
    policy = replace(make_policy(), metadata={"observation_keys": '["joints", "goal"]'})
    observation = {"goal": np.array([5.0]), "camera": None, "joints": np.arange(4.0).reshape(2, 2)}
    np.testing.assert_array_equal(policy(observation), policy(np.array([0, 1, 2, 3, 5.0])))
    with pytest.raises(CredoError, match="no observation 'goal'; joints, goal are what this Probe-v0 policy takes"):
        policy({"joints": np.zeros(4)})
    with pytest.raises(CredoError, match="a Dict observation given; this Probe-v0 policy takes an array"):
        make_policy()(observation)
    stacked = replace(policy, metadata=policy.metadata | {"frame_stack": "3"})
    with pytest.raises(CredoError, match="takes the last 3 observations as one array"):
        stacked(observation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "gelu"}, "activation.*relu, tanh"),
        ({"layers": ()}, "layers: empty"),
        (
            {"layers": (Layer(np.zeros((4, 2)), np.zeros(2)),)},
            r"layers\[0\].weight: 4 rows found, 5 expected",
        ),
        ({"layers": (Layer(np.zeros((5, 2)), np.zeros(3)),)}, r"layers\[0\].bias"),
        ({"layers": (Layer(np.zeros((5, 3)), np.zeros(3)),)}, "action_low"),
        ({"layers": (Layer(np.full((5, 2), np.nan), np.zeros(2)),)}, r"layers\[0\].weight: holds NaN"),
        ({"layers": (Layer(np.full((5, 2), 1e300), np.zeros(2)),)}, r"layers\[0\].weight: holds NaN"),
        ({"observation_std": np.zeros(5)}, "observation_std.*above 0"),
        ({"observation_std": np.ones(4)}, r"observation_std: shape \(4,\) found, \(5,\) expected"),
        ({"observation_mean": np.array(["a"] * 5)}, "observation_mean: dtype"),
        ({"observation_mean": np.zeros((5, 1))}, "observation_mean: shape"),
        ({"action_low": np.array([9.0, 9.0])}, "action_low.*below action_high"),
        ({"action_high": np.array([np.inf, 1.0])}, "action_high: holds NaN or infinity"),
    ],
)
def test_bad_fields_are_refused(change, message):
    with pytest.raises(CredoError, match=message):
        replace(make_policy(), **change)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_round_trip(tmp_path, activation):
    policy = make_policy(activation=activation)
    save_policy(tmp_path / "p.safetensors", policy)
    loaded = load_policy(str(tmp_path / "p.safetensors"))
    for before, after in zip(policy.layers, loaded.layers, strict=True):
        np.testing.assert_array_equal(before.weight, after.weight)
        np.testing.assert_array_equal(before.bias, after.bias)
    for name in ("observation_mean", "observation_std", "action_low", "action_high"):
        np.testing.assert_array_equal(getattr(policy, name), getattr(loaded, name))
    assert (loaded.activation, loaded.environment, loaded.metadata) == (activation, "Probe-v0", METADATA)
    assert os.listdir(tmp_path) == ["p.safetensors"]


def test_eleven_layers_keep_their_order(tmp_path):
    policy = make_policy((3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4, 2))
    save_policy(tmp_path / "p", policy)
    assert [layer.weight.shape for layer in load_policy(tmp_path / "p").layers] == [
        layer.weight.shape for layer in policy.layers
    ]


def test_hopper_sized_policy_is_small(tmp_path):
    save_policy(tmp_path / "p", make_policy((11, 256, 256, 3)))
    assert (tmp_path / "p").stat().st_size < 300_000


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_file_is_always_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    good, bad = folder / "good.safetensors", folder / "bad.safetensors"
    if not good.exists():
        save_policy(good, make_policy())
    content = bytearray(good.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    bad.write_bytes(content)
    with pytest.raises(CredoError) as caught:
        load_policy(bad)
    assert "\n" not in str(caught.value)


@given(content=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_garbage_is_refused(tmp_path_factory, content):
    bad = tmp_path_factory.getbasetemp() / "garbage"
    bad.write_bytes(content)
    with pytest.raises(CredoError):
        load_policy(bad)


def forge(path, tensors=None, **header) -> None:
    """Change fields of a policy file and make its hash right again."""
    with safe_open(str(path), framework="numpy") as file:
        metadata = dict(file.metadata())
    tensors = {**load_file(path), **(tensors or {})}
    tensors = {name: array for name, array in tensors.items() if array is not None}
    metadata.update(header)
    del metadata["sha256"]
    metadata["sha256"] = content_sha256(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        ({}, {"format_version": "3"}, "format_version: 3 is newer than 2"),
        ({}, {"format_version": "-1"}, "format_version"),
        ({}, {"format_version": "٣"}, "format_version"),
        (
            {},
            {"format": "credo-demonstrations"},
            "format: 'credo-demonstrations' found, 'credo-policy' expected",
        ),
        ({}, {"activation": "__import__('os')"}, "activation"),
        ({"layers.0.weight": np.zeros((5, 15), np.float32)}, {}, r"layers\[0\].bias"),
        ({"layers.0.weight": np.zeros((5, 16), np.float64)}, {}, "layers.0.weight: dtype float64 found"),
        ({"layers.0.weight": np.full((5, 16), np.inf, np.float32)}, {}, "holds NaN or infinity"),
        ({"layers.1.weight": None}, {}, "missing|unknown"),
        ({"layers.9.weight": np.zeros((5, 16), np.float32)}, {}, "unknown|missing"),
        ({"layers.0.weight": np.zeros((0, 2**40), np.float32)}, {}, "shape"),
    ],
)
def test_wrong_but_undamaged_file_is_refused(tmp_path, tensors, header, message):
    path = tmp_path / "p.safetensors"
    save_policy(path, make_policy())
    forge(path, tensors, **header)
    with pytest.raises(CredoError, match=message) as caught:
        load_policy(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_forged_file_with_nothing_changed_loads(tmp_path):
    path = tmp_path / "p.safetensors"
    save_policy(path, make_policy())
    forge(path)
    load_policy(path)


def test_files_that_are_no_policy(tmp_path):
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, message in [
        ("missing", "no such file"),
        ("", "not a regular"),
        ("empty", "empty"),
        ("pipe", "regular"),
    ]:
        with pytest.raises(CredoError, match=message):
            load_policy(tmp_path / name)


def test_announced_header_beyond_the_file_allocates_nothing(tmp_path):
    (tmp_path / "p").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CredoError, match="truncated"):
        load_policy(tmp_path / "p")


def test_saving_is_atomic_and_asks_before_overwriting(tmp_path, monkeypatch):
    path = tmp_path / "p"
    save_policy(path, make_policy(seed=1))
    before = path.read_bytes()
    with pytest.raises(CredoError, match="exists already"):
        save_policy(path, make_policy(seed=2), overwrite=False)

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CredoError, match=r"cannot be written .disk full"):
        save_policy(path, make_policy(seed=2))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p"]
    with pytest.raises(CredoError, match="cannot be written"):
        save_policy(tmp_path / "no" / "folder", make_policy())


def test_a_scalar_comes_back_a_scalar(tmp_path):
    path = tmp_path / "scalar.safetensors"
    write_tensors(path, format="test", version=1, tensors={"x": np.array(3, np.int64)}, metadata={}, overwrite=False)
    read, _ = read_tensors(path, format="test", version=1)
    assert read["x"].shape == ()
    assert read["x"] == 3


@pytest.mark.parametrize("name", ["format", "format_version", "sha256"])
def test_metadata_may_not_pass_for_what_the_format_says_itself(name, tmp_path):
    with pytest.raises(AssertionError, match="are the format's own"):
        write_tensors(tmp_path / "x", format="test", version=1, tensors={}, metadata={name: "1"}, overwrite=False)


def network_of(generator, sizes, normalised):
    pairs = list(itertools.pairwise(sizes))
    layers = []
    for index, (rows, columns) in enumerate(pairs):
        arrays = [generator.normal(size=(rows, columns)) / np.sqrt(rows), generator.normal(size=columns)]
        if normalised and index < len(pairs) - 1:
            arrays += [generator.normal(size=columns), generator.normal(size=columns)]
        layers.append(tuple(arrays))
    return tuple(layers)


def choosing_policy(normalised=True, seed=0):
    """Each of its two actors plays in half of the observations."""
    generator = np.random.default_rng(seed)
    actors = [network_of(generator, (5, 16, 8, 2), normalised) for _ in range(2)]
    critics = [network_of(generator, (7, 16, 8, 1), normalised) for _ in range(2)]
    inputs = generator.normal(size=(500, 5))
    values = [
        plain_output(critic, np.concatenate([inputs, np.tanh(plain_output(actor, inputs))], axis=1))
        for actor, critic in zip(actors, critics, strict=True)
    ]
    weight, bias = critics[1][-1]
    critics[1] = (*critics[1][:-1], (weight, bias + np.median(values[0] - values[1])))
    return replace(make_policy(seed=seed), layers=actors[0], rivals=(actors[1],), critics=tuple(critics))


def plain_output(network, hidden):
    """As the definition says, in float64."""
    for weight, bias, *normalisation in network[:-1]:
        hidden = hidden @ weight.astype(np.float64) + bias
        if normalisation:
            deviation = np.sqrt(hidden.var(axis=1, keepdims=True) + 1e-5)
            hidden = (hidden - hidden.mean(axis=1, keepdims=True)) / deviation * normalisation[0] + normalisation[1]
        hidden = np.maximum(hidden, 0)
    return hidden @ network[-1][0].astype(np.float64) + network[-1][1]


@pytest.mark.parametrize("normalised", [False, True])
def test_the_actor_whose_critic_values_it_most_plays(normalised):
    policy = choosing_policy(normalised)
    observation = np.random.default_rng(1).normal(size=(300, 5))
    inputs = (observation - policy.observation_mean) / policy.observation_std
    actions = [np.tanh(plain_output(network, inputs)) for network in (policy.layers, *policy.rivals)]
    values = [
        plain_output(critic, np.concatenate([inputs, action], axis=1))[:, 0]
        for critic, action in zip(policy.critics, actions, strict=True)
    ]
    first = values[0] >= values[1]
    assert 30 < first.sum() < 270
    clear = np.abs(values[0] - values[1]) > 1e-4
    expected = np.where(first[:, None], *actions)
    np.testing.assert_allclose(policy.normalised_action(observation)[clear], expected[clear], atol=1e-4)
    assert policy(observation[0]).shape == (2,)
    assert policy(np.zeros((0, 5))).shape == (0, 2)


def test_several_actors_survive_the_file(tmp_path):
    policy = choosing_policy()
    save_policy(tmp_path / "p", policy)
    loaded = load_policy(tmp_path / "p")
    observation = np.random.default_rng(1).normal(size=(50, 5))
    np.testing.assert_array_equal(loaded(observation), policy(observation))
    assert isinstance(loaded.layers[0], NormalisedLayer)
    assert isinstance(loaded.layers[-1], Layer)


def test_the_version_says_whether_an_older_reader_understands(tmp_path):
    for policy, version in ((make_policy(), "1"), (choosing_policy(), "2"), (choosing_policy(False), "2")):
        save_policy(tmp_path / "p", policy)
        with safe_open(str(tmp_path / "p"), framework="numpy") as file:
            assert file.metadata()["format_version"] == version


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"critics": ()}, "critics: 0 found, 2 expected"),
        ({"rivals": ()}, "critics: 2 found, 0 expected"),
        ({"rivals": ((),)}, r"rivals\[0\]: empty"),
        ({"rivals": (((np.zeros((5, 3)), np.zeros(3)),),)}, r"rivals\[0\]: 3 outputs found, 2 expected"),
        ({"critics": (((np.zeros((7, 2)), np.zeros(2)),),) * 2}, r"critics\[0\]: 2 outputs found, 1 expected"),
        ({"layers": ((np.zeros((5, 2)), np.zeros(2), np.zeros(2), np.zeros(2)),)}, r"layers\[0\]: 4 arrays found"),
        ({"layers": ((np.zeros((5, 2)),),)}, r"layers\[0\]: 1 arrays found"),
    ],
)
def test_actors_and_critics_must_fit(change, message):
    with pytest.raises(CredoError, match=message):
        replace(choosing_policy(), **change)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"critics.1.0.weight": None}, r"critics.1.0.weight.*missing"),
        ({"layers.0.scale": None}, r"layers.0.scale.*missing"),
        ({"critics.3.0.weight": np.zeros((7, 1), np.float32)}, "missing"),
        ({"rivals.0.9.weight": np.zeros((7, 1), np.float32)}, "missing|unknown"),
        ({"layers.0.gain": np.zeros(16, np.float32)}, r"layers.0.gain.*unknown"),
        ({"rivals.0.0.scale": np.zeros(3, np.float32)}, r"rivals\[0\]\[0\].scale"),
        ({"observation_mean": None}, "observation_mean.*missing"),
    ],
)
def test_a_wrong_file_of_several_actors_is_refused(tmp_path, tensors, message):
    save_policy(tmp_path / "p", choosing_policy())
    forge(tmp_path / "p", tensors)
    with pytest.raises(CredoError, match=message):
        load_policy(tmp_path / "p")
