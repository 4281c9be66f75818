"""Policies as ONNX: the JAX network's numbers under onnxruntime, and strangers' files kept in bounds."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import experts, load_policy, networks
from credo.cli import main
from credo.demonstrations import generate_demonstrations, load_demonstrations
from credo.environments.probes import PointMass
from credo.policies import Layer, Policy, load_onnx_policy, onnx_bytes, save_policy
from credo.types import CredoError

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def make_policy(activation="relu", sizes=(5, 64, 48, 3), seed=0):
    generator = np.random.default_rng(seed)
    layers = tuple(
        Layer(generator.normal(size=(i, o)).astype(np.float32) / np.sqrt(i), generator.normal(size=o) * 0.1)
        for i, o in itertools.pairwise(sizes)
    )
    return Policy(
        layers=layers,
        activation=activation,
        observation_mean=generator.normal(size=sizes[0]),
        observation_std=generator.uniform(0.5, 2, sizes[0]),
        action_low=generator.uniform(-2, -0.5, sizes[-1]),
        action_high=generator.uniform(0.1, 3, sizes[-1]),
        environment="Arm-v0",
        metadata={"learner": "td3", "seed": "4"},
    )


def jax_action(policy, observation):
    """The actor as training applies it, then the scaling to the box."""
    network = tuple(networks.Layer(jnp.asarray(w), jnp.asarray(b)) for w, b in policy.layers)
    mean, std = (jnp.broadcast_to(x, observation.shape) for x in (policy.observation_mean, policy.observation_std))
    unit = jnp.tanh(networks.apply(network, (observation - mean) / std, policy.activation))
    low, high = (jnp.broadcast_to(x, unit.shape) for x in (policy.action_low, policy.action_high))
    return np.asarray(jnp.clip(low + (unit + 1) / 2 * (high - low), low, high))


@pytest.mark.parametrize("policy", [make_policy(), make_policy("tanh"), experts.load_expert("hopper-expert")[0]])
def test_onnxruntime_gives_the_jax_policys_actions(policy, tmp_path):
    (tmp_path / "policy.onnx").write_bytes(onnx_bytes(policy))
    loaded = load_policy(tmp_path / "policy.onnx")
    # Ten times wider, and sums that cancel leave rounding of 1.1e-5 in one action of 30,000 in any float32 library.
    scale = np.random.default_rng(1).choice([0.1, 1.0, 2.0], size=(10_000, 1))
    observation = (scale * np.random.default_rng(2).normal(size=(10_000, policy.observation_size))).astype(np.float32)
    action = loaded(observation)
    assert action.dtype == np.float32
    np.testing.assert_allclose(action, jax_action(policy, jax.device_put(observation)), rtol=0, atol=1e-5)
    np.testing.assert_allclose(loaded.normalised_action(observation), policy.normalised_action(observation), atol=1e-5)
    assert ((action >= policy.action_low) & (action <= policy.action_high)).all()
    np.testing.assert_array_equal(loaded(observation[7]), loaded(observation[7:8])[0])
    assert (loaded.environment, loaded.metadata) == (policy.environment, policy.metadata)


def test_of_two_actors_the_one_plays_that_its_critic_values_more(tmp_path):
    """SD3's policy: two actors and two critics with normalised layers."""
    generator = np.random.default_rng(5)

    def perceptron(*sizes):
        return tuple(
            (*layer, generator.uniform(0.5, 2, layer.bias.size), generator.normal(size=layer.bias.size))
            if layer.weight.shape[1] != sizes[-1]
            else layer
            for layer in make_policy(sizes=sizes, seed=int(generator.integers(1000))).layers
        )

    first = perceptron(5, 16, 12, 3)
    second = (*first[:-1], Layer(-first[-1].weight, -first[-1].bias))  # the opposite action
    critics = (perceptron(8, 16, 1),) * 2
    policy = dataclasses.replace(make_policy(sizes=(5, 8, 3)), layers=first, rivals=(second,), critics=critics)
    alone = [dataclasses.replace(policy, layers=actor, rivals=(), critics=()) for actor in (first, second)]
    (tmp_path / "policy.onnx").write_bytes(onnx_bytes(policy))
    observation = generator.normal(size=(2000, 5)).astype(np.float32)
    action = load_policy(tmp_path / "policy.onnx")(observation)
    far = [np.abs(action - one(observation)).max(axis=1) > 1e-4 for one in alone]
    assert not (far[0] & far[1]).any()
    assert min(far[0].mean(), far[1].mean()) > 0.1, "both play"
    # Two critics that agree to the last digit may be told apart either way.
    assert (np.abs(action - policy(observation)).max(axis=1) < 1e-5).mean() > 0.999


def test_the_same_policy_gives_the_same_bytes():
    assert onnx_bytes(make_policy()) == onnx_bytes(make_policy())


def test_a_policy_read_from_onnx_is_no_policy_file(tmp_path):
    (tmp_path / "policy.onnx").write_bytes(onnx_bytes(make_policy()))
    with pytest.raises(CredoError, match="ONNX file"):
        save_policy(tmp_path / "policy.safetensors", load_policy(tmp_path / "policy.onnx"))
    with pytest.raises(CredoError, match="export: the policy was read from ONNX"):
        onnx_bytes(load_policy(tmp_path / "policy.onnx"))
    with pytest.raises(CredoError, match=r"observation has shape \(6,\)"):
        load_policy(tmp_path / "policy.onnx")(np.zeros(6))


def model(nodes, weights=(), size=4, inputs=None, output=("batch", 2), domain="", opset=17, **more):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", size] if inputs is None else inputs)],
        [helper.make_tensor_value_info("y", FLOAT, list(output))],
        list(weights),
        **more,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def weight(name, array):
    return onnx.numpy_helper.from_array(np.asarray(array, np.float32), name)


def test_a_strangers_plain_network_is_taken(tmp_path):
    matrix = np.arange(8, dtype=np.float32).reshape(4, 2) / 20
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["y"])]
    (tmp_path / "p.onnx").write_bytes(model(nodes, [weight("w", matrix)]).SerializeToString())
    observation = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    plain = load_policy(tmp_path / "p.onnx")
    np.testing.assert_allclose(plain(observation), np.tanh(observation @ matrix), atol=1e-6)
    np.testing.assert_allclose(plain.normalised_action(observation), np.tanh(observation @ matrix), atol=1e-6)
    wide = load_onnx_policy(tmp_path / "p.onnx", np.array([-2, 0]), np.array([2, 1]))
    expected = np.clip(np.tanh(observation @ matrix), [-2, 0], [2, 1])
    np.testing.assert_allclose(wide.normalised_action(observation), expected / [2, 0.5] - [0, 1], atol=1e-6)


def test_a_strangers_unsquashed_network_is_clipped_and_so_rolled_out(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    (tmp_path / "p.onnx").write_bytes(model(nodes, [weight("w", np.full((4, 2), 9))]).SerializeToString())
    policy = load_policy(tmp_path / "p.onnx")
    assert np.abs(policy.normalised_action(np.ones((6, 4), np.float32))).max() == 1
    assert generate_demonstrations(PointMass, policy, episodes=1, noise=0).episodes == 1


def test_a_strangers_network_that_gives_nan_is_told_in_one_line(tmp_path, capsys):
    nodes = [
        *(helper.make_node("Abs", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"])),
        *(helper.make_node("Sub", ["b", "one"], ["c"]), helper.make_node("Sqrt", ["c"], ["d"])),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    weights = [weight("one", np.ones(1)), weight("w", np.ones((3, 1)))]
    content = model(nodes, weights, size=3, output=("batch", 1)).SerializeToString()
    (tmp_path / "p.onnx").write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(tmp_path / "p.onnx"), "--env", "Pendulum-v1", "--episodes", "1"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "policy: the action of environment 0 (Pendulum-v1) is not finite: [nan]" in line


def external():
    stored = weight("w", np.zeros((4, 2)))
    stored.ClearField("raw_data")
    stored.data_location = onnx.TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="/etc/passwd")
    return stored


def huge_claim():
    stored = weight("w", np.zeros((4, 2)))
    stored.dims[:] = [1 << 40, 1 << 20]
    return stored


PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"])
ROW = [weight("r", np.zeros((1, 1 << 12))), weight("c", np.zeros((1 << 12, 1))), weight("w", np.zeros((4, 2)))]


def with_function():
    built = model([PRODUCT], [weight("w", np.zeros((4, 2)))])
    opset = helper.make_opsetid("", 17)
    built.functions.append(
        helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [opset])
    )
    return built


def with_sparse_weights():
    places = helper.make_tensor("places", onnx.TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(helper.make_tensor("w", FLOAT, [1], [1.0]), places, [4, 2])
    return model([PRODUCT], sparse_initializer=[sparse])


HOSTILE = {
    "functions": (with_function(), "has functions of its own"),
    "sparse weights": (with_sparse_weights(), "has sparse weights"),
    "another domain": (model([helper.make_node("Run", ["x"], ["y"], domain="com.evil")]), "com.evil.Run"),
    "control flow": (model([helper.make_node("Loop", ["x"], ["y"])]), "'Loop'"),
    "data made large": (model([helper.make_node("Expand", ["x", "w"], ["y"])]), "'Expand'"),
    "data in another file": (model([PRODUCT], [external()]), "another file"),
    "weights that are not there": (model([PRODUCT], [huge_claim()]), "have the shape"),
    "not finite": (model([PRODUCT], [weight("w", np.full((4, 2), np.nan))]), "NaN or infinity"),
    "does not fit": (model([PRODUCT], [weight("w", np.zeros((5, 2)))]), "do not fit"),
    "no free batch": (model([PRODUCT], [weight("w", np.zeros((4, 2)))], inputs=[1, 4], output=(1, 2)), "batch axis"),
    "unknown size": (
        model([helper.make_node("Tanh", ["x"], ["y"])], inputs=["batch", "n"], output=("batch", 2)),
        "'x'",
    ),
    "product of two batches": (
        model([helper.make_node("Gemm", ["x", "x"], ["y"], transB=1)], output=("batch", "batch")),
        "'y' is unknown or too large",
    ),
    "an outer product": (
        model([helper.make_node("MatMul", ["c", "r"], ["big"]), PRODUCT], ROW),
        "'big' is unknown or too large",
    ),
    "another shape than promised": (
        model([PRODUCT], [weight("w", np.zeros((4, 2)))], output=("batch", 2, 1)),
        "do not fit",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_models_are_refused_in_one_line(case, tmp_path):
    built, words = HOSTILE[case]
    path = tmp_path / "hostile.onnx"
    path.write_bytes(built.SerializeToString())
    with pytest.raises(CredoError) as caught:
        load_policy(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert words in text
    assert "\n" not in text


def test_a_model_of_more_than_256_mebibytes_is_not_read(tmp_path):
    with open(tmp_path / "large.onnx", "wb") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(CredoError, match="268435457 bytes; at most 268435456 are read"):
        load_policy(tmp_path / "large.onnx")


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not a model", b"\xff" * 64])
def test_what_is_no_model_is_refused(content, tmp_path):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(CredoError, match="ONNX"):
        load_policy(tmp_path / "x.onnx")


@pytest.mark.parametrize("bounds", ["[1e999, 1]", "[", "[[1, 2]]", '"x"', "[5, 5]", "[" * 5000])
def test_bounds_of_a_file_are_checked(bounds, tmp_path):
    built = model([PRODUCT], [weight("w", np.zeros((4, 2)))])
    helper.set_model_props(built, {"credo.action_low": bounds, "credo.action_high": "[5, 5]"})
    (tmp_path / "x.onnx").write_bytes(built.SerializeToString())
    with pytest.raises(CredoError, match="action_low"):
        load_policy(tmp_path / "x.onnx")


def test_a_policy_with_nan_cannot_be_made_to_export():
    spoilt = make_policy().layers[0].weight.copy()
    spoilt[0, 0] = np.nan
    with pytest.raises(CredoError, match=r"layers\[0\].weight: holds NaN"):
        dataclasses.replace(make_policy(), layers=((spoilt, make_policy().layers[0].bias),))


def test_a_strangers_actions_are_those_of_the_environment(tmp_path):
    """1.0 of Pendulum's torque is half of what there is."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "one"], ["y"])]
    weights = [weight("w", np.zeros((3, 1))), weight("one", np.ones(1))]
    content = model(nodes, weights, size=3, output=("batch", 1)).SerializeToString()
    (tmp_path / "p.onnx").write_bytes(content)
    out = tmp_path / "a.safetensors"
    words = f"demos generate --expert {tmp_path / 'p.onnx'} --env Pendulum-v1 --noise 0 --episodes 1 --out {out}"
    main(words.split())
    np.testing.assert_allclose(load_demonstrations(str(out)).action, 0.5, atol=1e-6)
    made = generate_demonstrations("Pendulum-v1", load_policy(tmp_path / "p.onnx"), episodes=1, noise=0)
    np.testing.assert_allclose(made.action, 0.5, atol=1e-6)


def test_of_three_actors_the_best_is_not_forgotten(tmp_path):
    """Worths of 5, 1 and 3: the last is better than the second, and not than the first."""

    def constant(size, *outputs):
        return (Layer(np.zeros((size, len(outputs)), np.float32), np.array(outputs, np.float32)),)

    actors = tuple(constant(5, action, 0, 0) for action in (0, 0.1, 0.2))
    critics = tuple(constant(8, worth) for worth in (5, 1, 3))
    policy = dataclasses.replace(make_policy(sizes=(5, 8, 3)), layers=actors[0], rivals=actors[1:], critics=critics)
    (tmp_path / "policy.onnx").write_bytes(onnx_bytes(policy))
    observation = np.zeros((2, 5), np.float32)
    expected = dataclasses.replace(policy, rivals=(), critics=())(observation)
    np.testing.assert_allclose(policy(observation), expected, atol=1e-6)
    np.testing.assert_allclose(load_policy(tmp_path / "policy.onnx")(observation), expected, atol=1e-6)


def test_a_robot_is_not_sent_what_comes_of_nan(tmp_path):
    (tmp_path / "policy.onnx").write_bytes(onnx_bytes(make_policy()))
    with pytest.raises(CredoError, match="policy: observation holds nan; finite numbers expected"):
        load_policy(tmp_path / "policy.onnx")(np.array([0, np.nan, 0, 0, 0]))
    policy = dataclasses.replace(make_policy(), observation_mean=np.full(5, -3e38))
    (tmp_path / "policy.onnx").write_bytes(onnx_bytes(policy))
    with pytest.raises(CredoError, match="computes no finite action"):
        load_policy(tmp_path / "policy.onnx")(np.full(5, 3e38))
