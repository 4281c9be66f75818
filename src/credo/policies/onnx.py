"""Policies as ONNX: written with everything inside, and read with bounds on what a stranger's file may do.

What is written takes the environment's own observations, float32 [batch, O], and gives its own actions, float32
[batch, A]: normalisation, network, scaling and clipping are nodes of the graph. Its metadata hold what a policy file
holds. Needs onnx, and onnxruntime to run one (the extra ``onnx``), which are imported when first used.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from credo.action_box import to_unit
from credo.files import as_path, check_regular
from credo.policies.policy import NORMALISATION_EPSILON, Policy
from credo.types import CredoError, one_line

OPSET, IR_VERSION = 17, 8
"""What is written; runtimes since 2022 read it."""
MAXIMUM_BYTES = 256 << 20
MAXIMUM_ROW = 1 << 22
"""Numbers that any node may give for one observation."""
METADATA = "credo."
_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Min", "Max", "Clip", "Neg", "Abs", "Exp", "Sqrt", "Gemm", "MatMul")
_ACTIVATIONS = ("Relu", "LeakyRelu", "Elu", "Selu", "Gelu", "Softplus", "Sigmoid", "Tanh", "HardSwish")
_OTHER = ("Identity", "Constant", "Flatten", "Cast", "LayerNormalization", "BatchNormalization")
_CHOICE = ("Concat", "Greater", "Where")
_NORMALISED = ("scale", "offset")


def onnx_bytes(policy: Policy) -> bytes:
    """The policy as an ONNX model, the same bytes for the same policy. CredoError without the packages, and of a policy
    that was read from ONNX, which holds no layers to write."""
    if not policy.layers:
        raise CredoError("export: the policy was read from ONNX, and is not written again; copy its file")
    onnx = _onnx()
    helper, arrays, nodes = onnx.helper, [], []

    def constant(name: str, value: np.ndarray) -> str:
        arrays.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    value = node("Sub", ["observation", constant("observation_mean", policy.observation_mean)], "centred")
    value = node("Div", [value, constant("observation_std", policy.observation_std)], "normalised")

    def network(name: str, layers: tuple[tuple[np.ndarray, ...], ...], value: str) -> str:
        for index, (weight, bias, *normalisation) in enumerate(layers):
            here = f"{name}_{index}"
            names = [value, constant(f"{here}_weight", weight), constant(f"{here}_bias", bias)]
            value = node("Gemm", names, here)
            if normalisation:
                parts = [
                    constant(f"{here}_{part}", array) for part, array in zip(_NORMALISED, normalisation, strict=True)
                ]
                value = node("LayerNormalization", [value, *parts], f"{here}_normalised", epsilon=NORMALISATION_EPSILON)
            if index < len(layers) - 1:
                value = node({"relu": "Relu", "tanh": "Tanh"}[policy.activation], [value], f"{here}_activation")
        return value

    seen = value
    value = node("Tanh", [network("actor", policy.layers, seen)], "normalised_action")

    def worth(index: int, action: str) -> str:
        joined = node("Concat", [seen, action], f"judged_{index}", axis=1)
        return network(f"critic_{index}", policy.critics[index], joined)

    # Of several actors the one plays whose critic values its action most; the first of equals.
    most = worth(0, value) if policy.rivals else ""
    for index, layers in enumerate(policy.rivals, start=1):
        rival = node("Tanh", [network(f"rival_{index}", layers, seen)], f"rival_action_{index}")
        rival_worth = worth(index, rival)
        better = node("Greater", [rival_worth, most], f"better_{index}")
        value = node("Where", [better, rival, value], f"chosen_action_{index}")
        most = node("Max", [rival_worth, most], f"most_{index}")
    # low (1 - share) + high share, as the policy itself computes it: a difference of wide bounds could overflow.
    one, half = constant("one", np.ones(1)), constant("half", np.full(1, 0.5))
    low, high = constant("action_low", policy.action_low), constant("action_high", policy.action_high)
    share = node("Mul", [node("Add", [value, one], "above"), half], "share")
    below = node("Mul", [low, node("Sub", [one, share], "rest")], "from_low")
    scaled = node("Add", [below, node("Mul", [high, share], "from_high")], "scaled")
    node("Min", [node("Max", [scaled, low], "raised"), high], "action")

    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", kind, ["batch", policy.observation_size])],
        [helper.make_tensor_value_info("action", kind, ["batch", policy.action_size])],
        arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="credo")
    model.ir_version = IR_VERSION
    told = {
        "environment": policy.environment,
        "action_low": json.dumps(policy.action_low.tolist()),
        "action_high": json.dumps(policy.action_high.tolist()),
        **{f"metadata.{key}": str(text) for key, text in policy.metadata.items()},
    }
    helper.set_model_props(model, {f"{METADATA}{key}": text for key, text in sorted(told.items())})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


class OnnxPolicy(Policy):
    """A policy whose network is an ONNX model, run by onnxruntime in one thread; otherwise used like ``Policy``.

    Differs from ``Policy`` in holding no layers of its own: it cannot be saved as a policy file again.
    """

    says_bounds: bool
    """Whether its actions' bounds are known, from the file or the caller."""
    _session: Any

    def __init__(
        self, content: bytes, low: np.ndarray, high: np.ndarray, size: int, about: dict[str, str], says_bounds: bool
    ) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        values: dict[str, Any] = {
            "layers": (),
            "activation": "",
            "observation_mean": np.zeros(size, np.float32),
            "observation_std": np.ones(size, np.float32),
            "action_low": low,
            "action_high": high,
            "environment": about.pop("environment", ""),
            "metadata": about,
            "says_bounds": says_bounds,
            "_session": session,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def bounded(self, low: np.ndarray, high: np.ndarray) -> OnnxPolicy:
        """The same network with these bounds of its actions, [A] each."""
        made = copy.copy(self)
        for name, value in (("action_low", low), ("action_high", high), ("says_bounds", True)):
            object.__setattr__(made, name, value)
        return made

    def __call__(self, observation: np.ndarray | Mapping[str, Any]) -> np.ndarray:
        array = self._finite(observation)
        return self._finite_action(array, self._action(array))

    def _action(self, array: np.ndarray) -> np.ndarray:
        name = self._session.get_inputs()[0].name
        (action,) = self._session.run(None, {name: np.atleast_2d(array)})
        action = np.clip(action, self.action_low, self.action_high)
        return action[0] if array.ndim == 1 else action

    def normalised_action(self, observation: np.ndarray) -> np.ndarray:
        action = self._action(self._checked(observation))
        return np.clip(to_unit(action, self.action_low, self.action_high), -1, 1).astype(np.float32)


def load_onnx_policy(
    path: str | Path, action_low: np.ndarray | None = None, action_high: np.ndarray | None = None
) -> OnnxPolicy:
    """A policy from an ONNX file: one float32 input [batch, O] of the environment's observations, one float32 output
    [batch, A] of its actions.

    ``action_low`` and ``action_high`` [A] are the environment's bounds, which ``normalised_action`` needs; None: those
    that ``credo export`` wrote into the file, else -1 and 1, until ``fitted_policy`` knows the environment.

    CredoError, in one line: without the packages; for a file that is no ONNX model or larger than 256 MB; that has
    operators of others' domains, control flow, functions, data in other files, non-finite weights, axes of unknown
    size, or a node that makes more than 4 million numbers of one observation.
    """
    onnx, path = _onnx(), as_path("policy", path)
    model = _parse(onnx, path)
    graph = model.graph
    _check_nodes(path, model)
    _check_weights(onnx, path, graph)
    observation_size, action_size = _check_shapes(onnx, path, model)
    about = {entry.key.removeprefix(METADATA): entry.value for entry in model.metadata_props}
    low = _bound(path, "action_low", action_low, about, action_size, -1.0)
    high = _bound(path, "action_high", action_high, about, action_size, 1.0)
    if not (low < high).all():
        raise CredoError(f"{path}: field action_low: every value must be below action_high")
    kept = {key.removeprefix("metadata."): text for key, text in about.items() if key.startswith("metadata.")}
    try:
        content = model.SerializeToString()
        said = action_low is not None or "action_low" in about
        kept |= {"environment": about.get("environment", "")}
        return OnnxPolicy(content, low, high, observation_size, kept, said)
    except CredoError:
        raise
    except Exception as error:  # the runtime's errors are of its own types
        raise CredoError(f"{path}: onnxruntime does not take it ({one_line(error, 160)})") from None


def _parse(onnx: Any, path: Path) -> Any:
    try:
        status = check_regular(path, "an ONNX model")
        if status.st_size > MAXIMUM_BYTES:
            raise CredoError(f"{path}: {status.st_size} bytes; at most {MAXIMUM_BYTES} are read")
        content = path.read_bytes()
    except OSError as error:
        raise CredoError(f"{path}: cannot be read ({error.strerror or error})") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's errors are of many types
        raise CredoError(f"{path}: not an ONNX model ({one_line(error, 160)})") from None
    if not model.graph.node:
        raise CredoError(f"{path}: not an ONNX model, or an empty one")
    return model


def _check_nodes(path: Path, model: Any) -> None:
    if model.functions:
        raise CredoError(f"{path}: has functions of its own; only plain operators are taken")
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in (*_ARITHMETIC, *_ACTIVATIONS, *_OTHER, *_CHOICE):
            name = f"{node.domain}.{node.op_type}".lstrip(".")[:60]
            raise CredoError(f"{path}: operator {name!r} is not one that a policy may have")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise CredoError(f"{path}: operator {node.op_type} holds a graph; only plain operators are taken")


def _check_weights(onnx: Any, path: Path, graph: Any) -> None:
    if graph.sparse_initializer:
        raise CredoError(f"{path}: has sparse weights; dense ones expected")
    held = [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
    for tensor in (*graph.initializer, *held):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise CredoError(f"{path}: weights {tensor.name[:60]!r} lie in another file; they must be inside")
        if math.prod(tensor.dims) * 4 > 8 * MAXIMUM_BYTES or any(size < 0 for size in tensor.dims):
            raise CredoError(f"{path}: weights {tensor.name[:60]!r} have the shape {list(tensor.dims)[:8]}")
        try:
            array = onnx.numpy_helper.to_array(tensor)
        except Exception as error:
            raise CredoError(f"{path}: weights {tensor.name[:60]!r} are damaged ({one_line(error, 160)})") from None
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CredoError(f"{path}: weights {tensor.name[:60]!r} hold NaN or infinity, finite values expected")


def _check_shapes(onnx: Any, path: Path, model: Any) -> tuple[int, int]:
    """Observation and action size; every node's output must be known and small."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise CredoError(f"{path}: {len(inputs)} inputs and {len(graph.output)} outputs; one of each expected")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    except Exception as error:
        raise CredoError(f"{path}: its shapes do not fit together ({one_line(error, 160)})") from None
    known = {value.name: value for value in (*inferred.value_info, *inferred.output, *inferred.input)}
    batch = inputs[0].type.tensor_type.shape.dim[0].dim_param if inputs[0].type.tensor_type.shape.dim else ""
    if not batch:
        raise CredoError(f"{path}: its input has no free batch axis; export it with [batch, observation]")
    sizes = []
    for name in [inputs[0].name, *(output for node in graph.node for output in node.output), graph.output[0].name]:
        dims = known[name].type.tensor_type.shape.dim if name in known else None
        rest = [d.dim_value for d in dims if d.dim_param != batch] if dims is not None else [0]
        # Only the first axis is the batch's: a product of two batches would grow with its square.
        stray = dims is not None and any(d.dim_param == batch for d in dims[1:])
        if stray or any(size < 1 for size in rest) or math.prod(rest) > MAXIMUM_ROW:
            raise CredoError(f"{path}: the size of {name[:60]!r} is unknown or too large for a policy")
        sizes.append(rest)
    for value, shape, role in ((inputs[0], sizes[0], "input"), (graph.output[0], sizes[-1], "output")):
        kind = value.type.tensor_type.elem_type
        if kind != onnx.TensorProto.FLOAT or len(shape) != 1:
            raise CredoError(f"{path}: its {role} must be float32 [batch, size]")
    return sizes[0][0], sizes[-1][0]


def _bound(
    path: Path, name: str, given: np.ndarray | None, about: dict[str, str], size: int, default: float
) -> np.ndarray:
    try:
        value = given if given is not None else json.loads(about[name]) if name in about else np.full(size, default)
        array = np.asarray(value, dtype=np.float32)
    except (ValueError, TypeError, RecursionError, OverflowError):
        array = np.zeros(0, np.float32)
    if array.shape != (size,) or not np.isfinite(array).all():
        raise CredoError(f"{path}: field {name}: {size} finite numbers expected, one for each action")
    return array


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise CredoError("onnx is not installed; pip install onnx") from None
    return onnx


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise CredoError("onnxruntime is not installed; pip install onnxruntime") from None
    return onnxruntime
