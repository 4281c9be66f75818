"""The tensors of a file that ``torch.save`` wrote, read without PyTorch and without unpickling.

The file is a zip archive: ``data.pkl`` says which tensors there are, one member each holds their numbers. Its opcodes
are walked over here, and only those that describe a dictionary of tensors are understood. Names of functions are
compared with the few that rebuild tensors, and never looked up.
"""

from __future__ import annotations

import pickletools
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo.demonstrations.formats.recording import check_declared
from credo.types import CredoError

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_ORDERED, _REBUILD, _PARAMETER = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
)
_STORAGES = {f"torch {name}": dtype for name, dtype in _DTYPES.items()}
_MEMBERS = 10_000
_DESCRIPTION_BYTES = 1 << 20
"""Of data.pkl: a tensor takes some 150, and one byte makes an object of 64."""
_AXES = 8
_MARK = object()
_PUSHED = {
    "EMPTY_TUPLE": (),
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINFLOAT"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(NamedTuple):
    """The name of a function or class."""

    text: str


class _Storage(NamedTuple):
    key: str
    dtype: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_tensors(path: Path, field: str, content: bytes, stored: int) -> dict[str, np.ndarray]:
    """Name to array; CredoError, naming ``path`` and ``field``, for anything but a dictionary of plain tensors, and for
    tensors that are larger than the ``stored`` bytes of the field allow."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        described = [name for name in members if name.endswith("/data.pkl")]
        if len(described) != 1 or len(members) > _MEMBERS:
            raise CredoError(f"{path}: field {field}: not a file of torch.save (zip format)")
        for info in members.values():
            if info.compress_type != zipfile.ZIP_STORED:
                raise CredoError(f"{path}: field {field}: {info.filename[:60]!r} is compressed, which torch never does")
        if sum(info.file_size for info in members.values()) > len(content):
            raise CredoError(f"{path}: field {field}: its members claim more bytes than it has")
        if (size := members[described[0]].file_size) > _DESCRIPTION_BYTES:
            most = f"at most {_DESCRIPTION_BYTES:,} are read"
            raise CredoError(f"{path}: field {field}: data.pkl has {size:,} bytes; {most}")
        folder = described[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
            raise CredoError(f"{path}: field {field}: is big-endian")
        found = _Walk(path, field).run(archive.read(described[0]))
        data = f"{folder}data/"
        sizes = {name.removeprefix(data): info.file_size for name, info in members.items() if name.startswith(data)}
        counts = {name: _count(path, field, name, tensor, sizes) for name, tensor in found.items()}
        declared = sum(count * np.dtype(found[name].storage.dtype).itemsize for name, count in counts.items())
        check_declared(path, field, declared, stored)
        storages = {key: archive.read(data + key) for key in {tensor.storage.key for tensor in found.values()}}
        return {name: _array(storages[tensor.storage.key], tensor, counts[name]) for name, tensor in found.items()}


class _Walk:
    """A stack machine for the few opcodes of a dictionary of tensors."""

    def __init__(self, path: Path, field: str) -> None:
        self.path, self.field = path, field
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def refuse(self, what: str) -> CredoError:
        return CredoError(
            f"{self.path}: field {self.field}: {what[:80]} is no part of a dictionary of tensors; not loaded"
        )

    def run(self, data: bytes) -> dict[str, _Tensor]:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                break
            self.step(opcode.name, argument)
        result = self.stack[-1] if self.stack else None
        if not isinstance(result, dict):
            raise self.refuse("its content")
        for name, value in result.items():
            if not isinstance(name, str) or not isinstance(value, _Tensor):
                raise self.refuse(str(name))
        return result

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name == "PROTO":
            return
        if name in _PUSHED:
            stack.append(_PUSHED[name])
        elif name in _VALUES:
            stack.append(argument)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            items = self.since_mark()
            stack.append(tuple(items))
        elif name == "GLOBAL":
            stack.append(self.known(argument))
        elif name == "BINPERSID":
            stack.append(self.storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self.reduced(function, arguments))
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self.put(key, value)
        elif name == "SETITEMS":
            items = self.since_mark()
            for key, value in zip(items[::2], items[1::2], strict=True):
                self.put(key, value)
        elif name == "BUILD":
            stack.pop()  # the module versions that PyTorch attaches to the dictionary
        else:
            raise self.refuse(f"opcode {name}")

    def since_mark(self) -> list[Any]:
        # From the end: from the beginning, many short tuples would take time that grows with their square.
        start = next((i for i in reversed(range(len(self.stack))) if self.stack[i] is _MARK), None)
        if start is None:
            raise self.refuse("an item")
        items = self.stack[start + 1 :]
        del self.stack[start:]
        return items

    def put(self, key: Any, value: Any) -> None:
        if not isinstance(self.stack[-1], dict) or not isinstance(key, str):
            raise self.refuse("an item")
        self.stack[-1][key] = value

    def known(self, text: str) -> _Name:
        if text not in (_ORDERED, _REBUILD, _PARAMETER) and text not in _STORAGES:
            raise self.refuse(repr(text))
        return _Name(text)

    def storage(self, description: Any) -> _Storage:
        kind, dtype, key = description[:3]
        if kind != "storage" or not isinstance(dtype, _Name) or dtype.text not in _STORAGES or not isinstance(key, str):
            raise self.refuse("a reference")
        return _Storage(key, _STORAGES[dtype.text])

    def reduced(self, function: Any, arguments: Any) -> Any:
        if function == _Name(_ORDERED) and arguments == ():
            return {}
        if function == _Name(_REBUILD):
            tensor = _Tensor(*arguments[:4])
            if isinstance(tensor.storage, _Storage):
                return tensor
        if function == _Name(_PARAMETER) and isinstance(arguments[0], _Tensor):
            return arguments[0]
        raise self.refuse("a call")


def _array(storage: bytes, tensor: _Tensor, count: int) -> np.ndarray:
    """A copy: a view would keep all of a storage, in which many tensors may lie."""
    flat = np.frombuffer(storage, tensor.storage.dtype)
    return flat[tensor.offset : tensor.offset + count].reshape(tensor.shape).copy()


def _count(path: Path, field: str, name: str, tensor: _Tensor, sizes: dict[str, int]) -> int:
    """How many numbers a tensor has; CredoError unless they follow one another and lie in its storage, whose bytes
    ``sizes`` has by key."""
    axes = tensor.shape, tensor.stride
    # Before anything is reckoned: a number times a tuple is a tuple of that length.
    if any(type(axis) is not tuple or len(axis) > _AXES for axis in axes) or not all(
        type(n) is int and n >= 0 for n in (tensor.offset, *tensor.shape, *tensor.stride)
    ):
        raise CredoError(
            f"{path}: field {field}: {name[:60]}: an offset, and a shape and stride of at most {_AXES} whole numbers, "
            "expected"
        )
    expected, count = [], 1
    for extent in reversed(tensor.shape):
        expected.append(count)
        count *= extent
    if tuple(reversed(expected)) != tensor.stride:
        raise CredoError(f"{path}: field {field}: {name[:60]} is not laid out row by row")
    there = sizes.get(tensor.storage.key, 0) // np.dtype(tensor.storage.dtype).itemsize
    if tensor.offset + count > there:
        within = max(there - tensor.offset, 0)
        shape = str(tensor.shape)[:60]
        raise CredoError(f"{path}: field {field}: {name[:60]} of shape {shape} has only {within} numbers")
    return count
