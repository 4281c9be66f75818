"""The tensors of a file that ``torch.save`` wrote, read without PyTorch and without unpickling.

The file is a zip archive: ``data.pkl`` says which tensors there are, one member each holds their numbers. Its opcodes
are walked over here, and only those that describe a dictionary of tensors are understood. Names of functions are
compared with the few that rebuild tensors, and never looked up.
"""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

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


def read_tensors(path: Path, field: str, file: BinaryIO) -> dict[str, np.ndarray]:
    """Name to array; CredoError, naming ``path`` and ``field``, for anything but a dictionary of plain tensors."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        described = [name for name in members if name.endswith("/data.pkl")]
        if len(described) != 1 or len(members) > _MEMBERS:
            raise CredoError(f"{path}: field {field}: not a file of torch.save (zip format)")
        for info in members.values():
            if info.compress_type != zipfile.ZIP_STORED:
                raise CredoError(f"{path}: field {field}: {info.filename[:60]!r} is compressed, which torch never does")
        folder = described[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
            raise CredoError(f"{path}: field {field}: is big-endian")
        found = _Walk(path, field).run(archive.read(described[0]))
        return {name: _array(path, field, archive, folder, name, tensor) for name, tensor in found.items()}


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
        start = max(i for i, value in enumerate(self.stack) if value is _MARK)
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


def _array(path: Path, field: str, archive: zipfile.ZipFile, folder: str, name: str, tensor: _Tensor) -> np.ndarray:
    flat = np.frombuffer(archive.read(f"{folder}data/{tensor.storage.key}"), dtype=tensor.storage.dtype)
    expected, count = [], 1
    for extent in reversed(tensor.shape):
        expected.append(count)
        count *= extent
    if min(tensor.shape, default=0) < 0 or tensor.offset < 0 or tuple(reversed(expected)) != tuple(tensor.stride):
        raise CredoError(f"{path}: field {field}: {name[:60]} is not laid out row by row")
    values = flat[tensor.offset : tensor.offset + count]
    if len(values) != count:
        raise CredoError(f"{path}: field {field}: {name[:60]} of shape {tensor.shape} has only {len(values)} numbers")
    return values.reshape(tensor.shape)
