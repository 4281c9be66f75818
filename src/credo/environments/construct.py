"""Build one Gymnasium environment quietly, and refuse in one line what the learners cannot use."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import logging
import math
import numbers
import re
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator

import gymnasium
import numpy as np

from credo.environment_name import parse_name
from credo.environments.arguments import checked_arguments, named_arguments
from credo.environments.source import EnvironmentSource, as_view, source_name
from credo.environments.view import SelectedKeys, StackedFrames
from credo.types import CredoError, EnvironmentSpec, one_line

_logger = logging.getLogger(__name__)
# warnings.catch_warnings changes state that all threads share: two of them nested would leave it wrong.
_construction = threading.RLock()  # a factory may call make_environment itself
_handed_out: weakref.WeakValueDictionary[int, gymnasium.Env] = weakref.WeakValueDictionary()
"""What factories have returned, by identity: whoever returns one twice shares it between seeds and evaluations."""


def make_environment(source: EnvironmentSource, render_mode: str | None = None) -> gymnasium.Env:
    """Build an environment with a flat observation and a flat, bounded, continuous action.

    Nothing is written to the screen or the working folder: Gymnasium's warnings of old versions are ignored,
    and MuJoCo's go to the logger ``credo.environments.construct`` at level INFO, not to MUJOCO_LOG.TXT.

    Args:
        source: an id, ``module:Id``, either with arguments (``Id,name=value``), or a factory.
        render_mode: passed on; "rgb_array" for videos.

    Raises:
        CredoError: the id or module is unknown, a dependency is missing, a factory raised, or the spaces cannot be
            used.
    """
    name, view = source_name(source), as_view(source)
    source = view.source
    if not isinstance(source, str) and not callable(source):
        raise CredoError(
            f"environment: {source!r} is not an environment; give a Gymnasium id such as 'Hopper-v5', "
            "'module:Id', or a function that returns a gymnasium.Env"
        )
    with _construction, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _redirect_mujoco_warnings()
        if isinstance(source, str):
            environment = _make_from_id(source, render_mode)
        else:
            environment = _make_from_factory(source, render_mode)
    try:
        _check_single(environment, name)
        shown = SelectedKeys(environment, view.keys, name) if view.keys else environment
        _check_spaces(shown, name)
        return StackedFrames(shown, view.frames) if view.frames > 1 else shown
    except CredoError:
        _close_quietly(environment)
        raise


def specification(source: EnvironmentSource) -> EnvironmentSpec:
    """``environment_spec`` of an environment that is built for it alone; errors as ``make_environment``."""
    environment = make_environment(source)
    try:
        return environment_spec(environment, source_name(source))
    finally:
        _close_quietly(environment)


def _close_quietly(environment: gymnasium.Env) -> None:
    """Close an environment; what it raises then is of no more concern."""
    with contextlib.suppress(Exception):
        environment.close()


def environment_spec(environment: gymnasium.Env, name: str) -> EnvironmentSpec:
    """What the learners need to know of an environment that ``make_environment`` accepted."""
    observation_space, action_space = environment.observation_space, environment.action_space
    assert isinstance(observation_space, gymnasium.spaces.Box)
    assert isinstance(action_space, gymnasium.spaces.Box)
    return EnvironmentSpec(
        name=name,
        observation_size=observation_space.shape[0],
        action_size=action_space.shape[0],
        action_low=action_space.low.astype(np.float32),
        action_high=action_space.high.astype(np.float32),
        max_episode_steps=_time_limit(environment),
        observation_keys=next((w.keys for w in wrapper_stack(environment) if isinstance(w, SelectedKeys)), ()),
        observation_bounds=np.stack([observation_space.low, observation_space.high]).astype(np.float64),
        inner_bounds=_inner_bounds(action_space.low, action_space.high),
    )


def _inner_bounds(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[2, A] float32: the bounds, rounded inwards; as near as can be where nothing would be left between them."""
    near = np.stack([low, high]).astype(np.float32)
    below, above = near[0] < low, near[1] > high
    inner = np.stack(
        [
            np.where(below, np.nextafter(near[0], np.float32(np.inf)), near[0]),
            np.where(above, np.nextafter(near[1], np.float32(-np.inf)), near[1]),
        ]
    )
    return np.where(inner[0] < inner[1], inner, near)


def wrapper_stack(environment: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """The environment and all that it wraps, outermost first, the unwrapped one last."""
    while isinstance(environment, gymnasium.Wrapper):
        yield environment
        environment = environment.env
    yield environment


def _time_limit(environment: gymnasium.Env) -> int | None:
    limits = [
        layer._max_episode_steps
        for layer in wrapper_stack(environment)
        if isinstance(layer, gymnasium.wrappers.TimeLimit)
    ]
    if limits:
        return min(limits)
    declared = getattr(environment.unwrapped, "max_episode_steps", None)
    if declared is None and environment.spec is not None:
        declared = environment.spec.max_episode_steps
    return int(float(declared)) if isinstance(declared, numbers.Real) and math.isfinite(declared) else None


def _make_from_id(source: str, render_mode: str | None) -> gymnasium.Env:
    module, identifier, arguments = parse_name(source)
    if module:
        _import_module(source, module)
    _check_registered(source, identifier, module)
    arguments = checked_arguments(source, identifier, arguments)
    try:
        # The checker repeats at every step what is checked here once, at a tenth of a step's cost and more.
        # An environment that cannot render need not take the argument.
        settings = arguments if render_mode is None else {**arguments, "render_mode": render_mode}
        return gymnasium.make(identifier, disable_env_checker=True, **settings)
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        raise CredoError(f"environment: '{source}' needs something not installed: {one_line(error)}") from error
    except Exception as error:
        if render_mode is not None and "render_mode" in str(error) and "argument" in str(error):
            raise CredoError(
                f"environment: '{source}' cannot be drawn: its constructor takes no render_mode; it needs that, "
                f"metadata with {render_mode!r} among its render_modes, and render()"
            ) from error
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown and unknown[1] in arguments:
            raise CredoError(
                f"environment: '{source}': {identifier} has no argument {unknown[1]!r}; {named_arguments(identifier)}"
            ) from error
        raise CredoError(
            f"environment: '{source}' could not be built ({type(error).__name__}: {one_line(error)}); "
            "it must be constructible by gymnasium.make"
        ) from error


def _import_module(source: str, module: str) -> None:
    if "/" in module or "\\" in module:
        name = re.split(r"[/\\]", module)[-1].removesuffix(".py")
        raise CredoError(f"environment: '{source}': '{module}' is a path; a module is named as Python does, {name}:Id")
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a script may end itself
        raise CredoError(
            f"environment: '{source}': the module '{module}' does not import "
            f"({type(error).__name__}: {one_line(error)}); it must be in the current folder, installed, or on "
            "PYTHONPATH, and is named without .py"
        ) from error


def _check_registered(source: str, identifier: str, module: str) -> None:
    try:
        gymnasium.spec(identifier)
    except gymnasium.error.Error as error:
        own = _registered_by(module) if module else []
        # Ids differ by case too seldom to matter, and users mistype it often.
        lowered = {name.lower(): name for name in own or gymnasium.registry}
        near = difflib.get_close_matches(identifier.lower(), lowered, n=3, cutoff=0.6)
        prefix = f"{module}:" if own else ""
        if near:
            hint = f"did you mean {' or '.join(repr(prefix + lowered[name]) for name in near)}?"
        elif own:
            hint = f"{module} registers {', '.join(own[:8])}"
        else:
            hint = "give a registered Gymnasium id such as 'Hopper-v5', or 'module:Id' for your own"
        raise CredoError(f"environment: '{source}' is not a registered environment; {hint}") from error


def _registered_by(module: str) -> list[str]:
    """Ids whose environments lie in a module, or in one below it."""
    found = []
    for name, told in gymnasium.registry.items():
        entry = told.entry_point
        home = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", None)
        if home is not None and (home == module or home.startswith(f"{module}.")):
            found.append(name)
    return found


def _make_from_factory(factory: Callable[..., gymnasium.Env], render_mode: str | None) -> gymnasium.Env:
    name = source_name(factory)
    try:
        environment = factory(render_mode=render_mode) if _takes_render_mode(factory, render_mode) else factory()
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        raise CredoError(f"environment: '{name}' needs something not installed: {one_line(error)}") from error
    except CredoError:
        raise
    except Exception as error:  # a stranger's code may fail in any way
        raise CredoError(
            f"environment: the factory '{name}' raised {type(error).__name__}: {one_line(error)}"
        ) from error
    if not isinstance(environment, gymnasium.Env | gymnasium.vector.VectorEnv):
        raise CredoError(
            f"environment: the factory '{name}' returned {type(environment).__name__}; "
            "it must return a single gymnasium.Env"
        )
    try:
        if _handed_out.get(id(environment.unwrapped)) is environment.unwrapped:
            raise CredoError(
                f"environment: the factory '{name}' returned one environment twice; "
                "it must make a new one each time, since seeds and evaluations step their own"
            )
        _handed_out[id(environment.unwrapped)] = environment.unwrapped
    except TypeError:  # nothing weak can be held of it
        pass
    return environment


def _takes_render_mode(factory: Callable[..., gymnasium.Env], render_mode: str | None) -> bool:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return False
    if "render_mode" in parameters:
        return True
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return takes_any and render_mode is not None


def _check_single(environment: gymnasium.Env, name: str) -> None:
    """Credo makes as many environments as it steps and brings each back in mid-episode."""
    kinds = type(environment.unwrapped).__mro__
    if any(kind.__module__.partition(".")[0] == "envpool" for kind in kinds):
        raise CredoError(
            f"environment: '{name}' is of EnvPool, which ignores the seed of a reset and tells no state: a run could "
            "not be gone on with exactly; give the Gymnasium environment of that task (Credo steps many at once itself)"
        )
    if gymnasium.vector.VectorEnv in kinds:
        raise CredoError(
            f"environment: '{name}' is a batch of environments; give one, and --environments-per-seed for more"
        )


def _check_spaces(environment: gymnasium.Env, name: str) -> None:
    # An environment may have forgotten one of them.
    spaces = (getattr(environment, f"{kind}_space", None) for kind in ("observation", "action"))
    observation_space, action_space = spaces
    if isinstance(observation_space, gymnasium.spaces.Dict):
        known = ", ".join(map(str, observation_space.spaces))
        raise CredoError(
            f"environment: '{name}' has Dict observations; choose of {known[:200]} with --observation-keys "
            "(observation_keys in Python and in studies; they are joined in the order given)"
        )
    if not isinstance(observation_space, gymnasium.spaces.Box):
        raise CredoError(
            f"environment: '{name}' has observations {_short(observation_space)}; they must be a flat vector "
            "(a one-dimensional Box; gymnasium.wrappers.FlattenObservation in a factory makes one)"
        )
    if len(observation_space.shape) != 1 or observation_space.shape[0] == 0:
        image = len(observation_space.shape) in (2, 3) and observation_space.dtype == np.uint8
        kind = "images" if image else "observations"
        raise CredoError(
            f"environment: '{name}' has {kind} of shape {observation_space.shape}; observations must be a "
            "flat vector, one-dimensional and not empty"
        )
    if not (np.issubdtype(observation_space.dtype, np.floating) or np.issubdtype(observation_space.dtype, np.integer)):
        raise CredoError(
            f"environment: '{name}' has observations of type {observation_space.dtype}; they must be floats or integers"
        )
    if not isinstance(action_space, gymnasium.spaces.Box) or not np.issubdtype(action_space.dtype, np.floating):
        raise CredoError(
            f"environment: '{name}' has actions {_short(action_space)}; they must be continuous "
            "(a one-dimensional Box of floats)"
        )
    if len(action_space.shape) != 1 or action_space.shape[0] == 0:
        raise CredoError(
            f"environment: '{name}' has actions of shape {action_space.shape}; they must be a flat vector, "
            "one-dimensional and not empty"
        )
    if not (np.isfinite(action_space.low).all() and np.isfinite(action_space.high).all()):
        raise CredoError(
            f"environment: '{name}' has unbounded actions {_short(action_space)}; every action needs "
            "a finite lower and upper bound"
        )
    if not (action_space.low < action_space.high).all():
        raise CredoError(
            f"environment: '{name}' has actions {_short(action_space)}; every lower bound must be below its upper bound"
        )


def _redirect_mujoco_warnings() -> None:
    """Unhandled, MuJoCo prints its warnings and appends them to MUJOCO_LOG.TXT in the user's folder."""
    try:
        import mujoco
    except Exception:
        # A missing or broken MuJoCo concerns only those who use it: building their environment reports it.
        return
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_log_mujoco_warning)


def _log_mujoco_warning(message: str) -> None:
    _logger.info("MuJoCo: %s", message)


def _short(space: gymnasium.Space | None) -> str:
    text = " ".join(repr(space).split())
    return text if len(text) <= 120 else text[:117] + "..."
