"""What an environment is made from, and by which name it is known."""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import inspect
import os
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium

from credo.policies.view import MAXIMUM_FRAMES
from credo.types import CredoError


@dataclass(frozen=True)
class ObservationView:
    """An environment of which chosen entries, or the last frames, are shown; see ``viewed``."""

    source: str | Callable[..., gymnasium.Env]
    keys: tuple[str, ...]
    frames: int


EnvironmentSource = str | Callable[..., gymnasium.Env] | ObservationView
"""A Gymnasium id or ``module:Id`` (the module registers the id when imported), either with arguments
(``Id,name=value``; see ``credo.environment_name``), or a factory. That is called with ``render_mode=...`` if it has
such an argument, and without arguments otherwise. ``viewed`` gives one of them as a policy is shown it."""

_MAKING = ("__init__", "__post_init__", "__new__", "__setstate__")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN = str | bytes | int | float | complex | None


def viewed(source: EnvironmentSource, keys: Sequence[str] = (), frames: int = 1) -> EnvironmentSource:
    """``source`` with the entries ``keys`` of its Dict observations joined in this order, and the last ``frames``
    observations stacked, oldest first; the first of an episode fills the stack. CredoError for a number of frames that
    is not possible, or for other keys or frames than ``source`` has already; what does not suit the environment is
    refused when it is built."""
    if not 1 <= frames <= MAXIMUM_FRAMES:
        raise CredoError(f"frame_stack: {frames} is not possible; it must be from 1 to {MAXIMUM_FRAMES}")
    shown = as_view(source)
    if keys and shown.keys and tuple(keys) != shown.keys:
        held = " ".join(shown.keys)
        raise CredoError(
            f"observation_keys: {' '.join(keys)}: the environment given shows {held} already; leave one out"
        )
    if 1 not in (frames, shown.frames) and frames != shown.frames:
        raise CredoError(f"frame_stack: {frames}: the environment given stacks {shown.frames} already; leave one out")
    both = shown.keys or tuple(keys), max(frames, shown.frames)
    return source if both == (shown.keys, shown.frames) else ObservationView(shown.source, *both)


def as_view(source: EnvironmentSource) -> ObservationView:
    """What ``source`` shows, and of what; the plain observation of one that ``viewed`` has not made."""
    return source if isinstance(source, ObservationView) else ObservationView(source, (), 1)


def source_name(source: EnvironmentSource) -> str:
    """The name of a source in messages and records, by which a run is found again: the id, or the factory's with its
    bound arguments and, where there are any, six digits of the plain values that it reads or holds."""
    if isinstance(source, ObservationView):
        return source_name(source.source)
    if isinstance(source, str):
        return source
    if isinstance(source, functools.partial):
        bound = [_bound(value) for value in source.args]
        bound += [f"{name}={_bound(value)}" for name, value in source.keywords.items()]
        return f"{source_name(source.func)}({', '.join(bound)})"
    name = getattr(source, "__qualname__", None) or type(source).__qualname__
    held: Any
    called: Any
    if isinstance(source, types.FunctionType):
        held, called = None, source
    elif isinstance(source, types.MethodType):
        held, called = source.__self__, source.__func__
    else:
        held, called = source, inspect.getattr_static(type(source), "__call__", None)
    values = {} if held is None or isinstance(held, type) else _held(held)
    if isinstance(called, types.FunctionType):
        values |= _globals_read(called)
    inner = called if held is not source and isinstance(called, types.FunctionType) and "<" in name else None
    return f"{name}#{_digest(inner, values)}" if inner is not None or values else name


def _bound(value: Any) -> str:
    """A bound argument as text that is the same in every process: of what would tell where it lies in memory, the name
    or the type alone."""
    if isinstance(value, types.FunctionType):
        return source_name(value)
    if isinstance(value, str):
        return value
    # The order of a set of text is another in every process.
    text = f"{{{', '.join(sorted(map(repr, value)))}}}" if isinstance(value, set | frozenset) else str(value)
    return _ADDRESS.sub("", text)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say in themselves what they are."""

    def plain(value: Any) -> bool:
        return all(map(plain, value)) if isinstance(value, tuple) else isinstance(value, _PLAIN)

    return {name: values[name] for name in sorted(values) if plain(values[name])}


def _held(instance: Any) -> dict[str, Any]:
    """The plain attributes of an instance, as "self.NAME", that none of its methods sets but those that make it: not a
    count of its calls."""
    values = dict(getattr(instance, "__dict__", {}))
    if dataclasses.is_dataclass(instance):
        values |= {field.name: getattr(instance, field.name, None) for field in dataclasses.fields(instance)}
    for kind in type(instance).__mro__:
        for name, method in vars(kind).items():
            if isinstance(method, types.FunctionType) and name not in _MAKING:
                for changed in _own_stores(method.__code__):
                    values.pop(changed, None)
    return {f"self.{name}": value for name, value in _plain(values).items()}


def _own_stores(code: types.CodeType) -> Iterator[str]:
    """The attributes that a method sets on its first argument."""
    own, before = code.co_varnames[:1], None
    for step in dis.get_instructions(code):
        if step.opname in ("STORE_ATTR", "DELETE_ATTR") and before is not None:
            loaded = before.argval if isinstance(before.argval, tuple) else (before.argval,)
            if loaded[-1:] == own or before.opname == "SWAP":  # SWAP: self.count += 1
                yield step.argval
        before = step


def _steps(code: types.CodeType) -> Iterator[dis.Instruction]:
    """The instructions of a function and of those within it."""
    yield from dis.get_instructions(code)
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _steps(part)


def _globals_read(function: types.FunctionType) -> dict[str, Any]:
    """The plain global values that a function reads, or one that it wraps or calls of its module, and none of them
    sets."""
    found, written, seen = dict[str, Any](), set[str](), set[int]()
    left = [function]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        read = set[str]()
        for step in _steps(one.__code__):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                read.add(step.argval)
            elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                written.add(step.argval)
        values = {name: one.__globals__[name] for name in read if name in one.__globals__ and name[:2] != "__"}
        # Where a module lies says nothing of its environments.
        place = os.path.dirname(one.__globals__.get("__file__") or "")
        values = {
            name: value
            for name, value in values.items()
            if not (place and isinstance(value, str) and value.startswith(place))
        }
        found |= _plain(values)
        within = [cell.cell_contents for cell in one.__closure__ or () if _filled(cell)]
        own = [value for value in values.values() if getattr(value, "__globals__", None) is one.__globals__]
        left += [value for value in (*within, *own) if isinstance(value, types.FunctionType)]
    return {name: found[name] for name in sorted(found) if name not in written}


def _digest(function: types.FunctionType | None, values: Mapping[str, Any]) -> str:
    """Six digits that tell factories of one name apart: of plain values by name, and of a lambda's or an inner
    function's code, defaults and plain closure."""
    digest, seen = hashlib.sha256(), set[int]()

    def add(value: Any) -> None:
        if isinstance(value, types.FunctionType):
            if id(value) in seen:  # it may call itself
                return
            seen.add(id(value))
            add(value.__code__)
            add((value.__defaults__, *(cell.cell_contents for cell in value.__closure__ or () if _filled(cell))))
        elif isinstance(value, types.CodeType):
            digest.update(value.co_code)
            add((value.co_names, value.co_consts))
        elif isinstance(value, frozenset):
            add(sorted(value, key=repr))  # whose own order differs from process to process
        elif isinstance(value, tuple | list):
            for part in value:
                add(part)
        else:
            name = value if isinstance(value, _PLAIN) else getattr(value, "__qualname__", type(value).__qualname__)
            digest.update(f"{type(value).__name__} {name!r};".encode())

    if function is not None:
        add(function)
    add(tuple(values.items()))
    return digest.hexdigest()[:6]


def _filled(cell: types.CellType) -> bool:
    """Whether a closure's variable has a value yet."""
    try:
        cell.cell_contents  # noqa: B018 (asking is what fails)
    except ValueError:
        return False
    return True
