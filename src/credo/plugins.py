"""Rewards, regularisers and learners from outside the package.

A module that registers one is imported by the user's own code, named on the command line (``--plugin module``), or
installed with an entry point in the group ``credo.plugins`` that names it. No file of a run, of settings or of
demonstrations can name a module to import.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import math
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from credo.config import LearnerName, RegulariserName, RewardName, RunConfig
from credo.config.codec import to_dict
from credo.config.names import PLUGIN_NAME, REGISTERED, Kind, Registered, plain_name
from credo.config.own import check_settings
from credo.types import CredoError, one_line

if TYPE_CHECKING:
    from credo.discriminator.losses import Loss
    from credo.learners import Learner

GROUP = "credo.plugins"
"""Entry points of this group are modules that register on import."""
_BUILT_IN: dict[Kind, Any] = {"learner": LearnerName, "reward": RewardName, "regulariser": RegulariserName}


def register_reward(
    name: str,
    *,
    bounds: tuple[float, float] | Callable[[Any], tuple[float, float]],
    inverse: Callable[..., float] | None = None,
    formula: str = "",
    settings: Any = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: a reward, from a function of logits [...] in JAX.

    ``bounds`` are its infimum and supremum. ``inverse``, from a reward to its logit (host floats), says that the reward
    rises with the logit; without one CREDO takes no threshold in rewards. ``formula`` is for people. With ``settings``,
    an instance of a frozen dataclass, the functions are given them as a second argument, ``bounds`` may be a function
    of them, and a run changes them behind the name: ``name,setting=value``.
    """
    if inverse is not None and not callable(inverse):
        raise CredoError(f"reward {name}: inverse {inverse!r}; a function from a reward to its logit expected")
    _check_own(f"reward {name}", settings)
    if settings is None:
        _check_bounds(name, bounds)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        from credo.discriminator.rewards import REWARDS, Reward

        def of(own: Any) -> Reward:
            try:
                limits = _check_bounds(name, bounds(own) if callable(bounds) else bounds)
            except CredoError:
                raise
            except Exception as error:  # a stranger's code may fail in any way
                raise CredoError(f"reward {name}: bounds: {type(error).__name__}: {one_line(error, 300)}") from error
            there = None if inverse is None else lambda reward: inverse(reward, own)
            return Reward(lambda logit: function(logit, own), there, limits, formula, of)

        entry = _registered(function, settings, rising=inverse is not None)
        if settings is None:
            made = Reward(function, inverse, typing.cast(tuple[float, float], bounds), formula)
        else:
            made = of(settings)
        _enter("reward", name, entry)
        REWARDS[name] = made
        return function

    return register


def _check_bounds(name: str, bounds: Any) -> tuple[float, float]:
    low, high = bounds if isinstance(bounds, tuple | list) and len(bounds) == 2 else (math.nan, math.nan)
    if not (all(isinstance(bound, int | float) for bound in (low, high)) and low < high):
        raise CredoError(f"reward {name}: bounds {bounds!r}; (lowest, highest) expected, infinite where there is none")
    return low, high


def register_regulariser(
    name: str, *, settings: Any = None, **parts: Callable[..., Any]
) -> Callable[[Callable[..., Loss]], Any]:
    """Decorator: a regulariser, from a function that wraps the discriminator's loss: (loss, logit, config) -> loss.

    ``parts`` are other parts of ``credo.discriminator.regularisers.Regulariser``, such as ``output`` or ``network``.
    With ``settings``, an instance of a frozen dataclass, each of these functions is given them as a last argument,
    and a run changes them behind the name: ``name,setting=value``.
    """
    if not isinstance(name, str):
        raise CredoError('regulariser: it has no name; give one, @credo.register_regulariser("my-regulariser")')
    _check_own(f"regulariser {name}", settings)

    def register(function: Callable[..., Loss]) -> Any:
        from credo.discriminator.regularisers import REGULARISERS, Regulariser

        def of(own: Any) -> Regulariser:
            def given(part: Callable[..., Any]) -> Callable[..., Any]:
                return lambda *arguments: part(*arguments, own)

            return Regulariser(**{part: given(each) for part, each in ({"loss": function} | parts).items()}, of=of)

        _enter("regulariser", name, _registered(function, settings))
        REGULARISERS[name] = Regulariser(loss=function, **parts) if settings is None else of(settings)
        return function

    return register


def register_learner(
    name: str, *, settings: Any, experience: Literal["replay", "rollout"] = "replay"
) -> Callable[[Callable[..., Learner]], Any]:
    """Decorator: a learner, from a function of (settings, observation size, action size), see
    ``credo.learners.interface``; one that learns from rollouts is also given how many environments a seed steps.

    ``settings`` is an instance of a frozen dataclass with at least ``discount`` and, for a learner that learns from the
    replay, ``batch_size``; its fields are part of a run's identity, and ``learner_settings`` changes them. Where it has
    a ``cloning_weight`` above 0, as the built-in learners may, ``Transition.demonstrated`` holds demonstrated pairs.
    ``experience`` is that of the ``Learner``.
    """
    if experience not in ("replay", "rollout"):
        raise CredoError(f"learner {name}: experience {experience!r} is not replay or rollout")
    needed = ("discount",) if experience == "rollout" else ("batch_size", "discount")
    held = {field.name for field in dataclasses.fields(settings)} if dataclasses.is_dataclass(settings) else set()
    if isinstance(settings, type) or not set(needed) <= held:
        raise CredoError(f"learner {name}: settings must be an instance of a dataclass with {' and '.join(needed)}")
    _check_own(f"learner {name}", settings)

    def register(function: Callable[..., Learner]) -> Any:
        from credo.learners import LEARNERS

        _enter("learner", name, _registered(function, settings, on_policy=experience == "rollout"))
        LEARNERS[name] = function
        return function

    return register


def _check_own(owner: str, settings: Any) -> None:
    """Refuse what cannot be settings of a plug-in's own; None is for none."""
    if settings is None:
        return
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise CredoError(f"{owner}: settings {settings!r}; an instance of a dataclass expected")
    try:
        to_dict(settings)
    except TypeError as error:
        raise CredoError(f"{owner}: settings: {error}; numbers, text and lists of them expected") from None
    check_settings(settings, f"{owner}: settings.")


def load(modules: Sequence[str]) -> None:
    """Import modules that register, by name; CredoError for one that cannot be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        except CredoError:
            raise
        except (Exception, SystemExit) as error:  # the module may fail in any way
            name = module.removesuffix(".py").replace("/", ".")
            meant = f"; did you mean {name}, without the ending?" if module.endswith(".py") else ""
            told = f"{type(error).__name__}: {one_line(error, 300)}"
            raise CredoError(f"plugin: {module!r} cannot be imported ({told}){meant}") from None


def load_installed() -> None:
    """Import the plug-ins that installed packages announce; CredoError for one that cannot be imported."""
    from importlib.metadata import entry_points

    load([entry.value for entry in entry_points(group=GROUP)])


def load_needed(config: RunConfig) -> None:
    """``load_installed``, where ``config`` names a learner, reward or regulariser that nobody has registered yet."""
    regularisers = getattr(config.discriminator, "regularisers", ())
    named: list[tuple[Kind, Any]] = [("learner", config.learner), ("reward", config.reward)]
    named += [("regulariser", text) for text in (regularisers if isinstance(regularisers, tuple | list) else ())]
    known = {kind: (*typing.get_args(_BUILT_IN[kind]), *REGISTERED[kind]) for kind in REGISTERED}
    # What is of another type is refused with the other settings.
    if any(isinstance(text, str) and plain_name(text) not in known[kind] for kind, text in named):
        load_installed()


def used_by(config: RunConfig) -> dict[str, Registered]:
    """The plug-ins of a run, "reward 'mine'" and the like to what is known of them."""
    return {
        f"{kind} {name!r}": REGISTERED[typing.cast(Kind, kind)][name]
        for kind, _, name in (used.partition(".") for used in config.plugins)
    }


def failure(config: RunConfig, error: Exception) -> CredoError:
    """What a run with plug-ins is told where something fails in them, or of what they gave: one line, with the place in
    their code where there is one."""
    used = used_by(config)
    modules = {entry.source.partition(":")[0] for entry in used.values()}
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") in modules
    ]
    at_fault = {frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)} & modules
    told_of = {name: entry for name, entry in used.items() if entry.source.partition(":")[0] in at_fault} or used
    names = ", ".join(f"{name} ({entry.source})" for name, entry in told_of.items())
    where = f", at {places[-1]}" if places else "; its shapes and types are in docs/stabilisers.md"
    # JAX adds paragraphs of its own.
    first = str(error).strip().split("\n\n")[0].split("\n---")[0]
    return CredoError(f"plugin: {names}: {type(error).__name__}: {' '.join(first.split())[:300]}{where}")


def _source(function: Any) -> str:
    if not (callable(function) and hasattr(function, "__qualname__")):
        raise CredoError(f"plugin: {function!r} is no function; write one with def, also where it calls another")
    return f"{function.__module__}:{function.__qualname__}"


def _registered(function: Any, settings: Any, **more: bool) -> Registered:
    return Registered(_source(function), settings, **more, function=function, code_sha256=_module_sha256(function))


def _module_sha256(function: Any) -> str:
    """Of the file that the function stands in; "" where there is none."""
    try:
        return hashlib.sha256(Path(inspect.getsourcefile(inspect.unwrap(function)) or "").read_bytes()).hexdigest()
    except (OSError, TypeError, ValueError):
        return ""


def _code(entry: Registered) -> Any:
    return getattr(entry.function, "__code__", None)


def _enter(kind: Kind, name: str, entry: Registered) -> None:
    if not isinstance(name, str):
        raise CredoError(f'{kind}: {name!r} is no name; give one, @credo.register_{kind}("my-{kind}", ...)')
    if not PLUGIN_NAME.fullmatch(name):
        raise CredoError(f"{kind}: {name!r} is no name; lower-case letters, digits and dashes make one")
    if name in typing.get_args(_BUILT_IN[kind]):
        raise CredoError(f"{kind}: {name!r} is built in; give yours another name")
    if kind == "learner" and hasattr(RunConfig(), name):
        raise CredoError(f"{kind}: {name!r} is the name of a setting; give yours another name")
    known = REGISTERED[kind].get(name)
    if known is not None and known.source != entry.source:
        raise CredoError(f"{kind}: {name!r} is registered by {known.source} already; give yours another name")
    if known is not None and known.function is not entry.function and _code(known) is _code(entry) is not None:
        raise CredoError(
            f"{kind}: {name!r} is registered twice by {entry.source}, as in a loop; give each a name, or one settings="
        )
    REGISTERED[kind][name] = entry
