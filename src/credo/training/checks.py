"""What is looked at before a run begins: memory, and settings that work but probably not as meant."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from credo.config import RunConfig, idle_settings, late_notes, on_policy_notes
from credo.config.names import REGISTERED, plain_name
from credo.demonstrations import Demonstrations
from credo.demonstrations.inspect import beyond_bounds, doubtful_ends
from credo.discriminator.rewards import Reward, find_reward
from credo.experience import bytes_needed
from credo.machine import MEMORY_SHARE, available_memory
from credo.plugins import failure
from credo.precision import in_full_precision
from credo.presets import PRESETS
from credo.training.advice import absorbing_warning, room_warning, sign_warning, threshold_warning
from credo.training.seed import replay_slots, shape_of_experience
from credo.training.state import initial_state, make_constants, make_parts
from credo.training.step import make_round
from credo.types import CredoError, EnvironmentSpec


def check_start(config: RunConfig, spec: EnvironmentSpec, logged: Demonstrations | None = None) -> None:
    """All that refuses a run (CredoError) once what it needs is there; ``logged``: what each replay begins with."""
    check_precision()
    check_rewards(config)
    check_learner(config, spec)
    check_memory(config, spec, logged=0 if logged is None else len(logged))


def check_precision() -> None:
    """Refuse (CredoError) a process whose JAX makes float64 and int64 of what runs are trained in."""
    if getattr(jax.config, "jax_enable_x64", False):
        raise CredoError(
            "jax_enable_x64: True in this process, and runs are trained in float32; unset JAX_ENABLE_X64, or call "
            'jax.config.update("jax_enable_x64", False) first'
        )


def check_memory(config: RunConfig, spec: EnvironmentSpec, available: int | None = None, logged: int = 0) -> None:
    """Refuse, before training starts, networks or a replay that cannot fit (CredoError with the arithmetic)."""
    if available is None:
        available = available_memory()
    network = 0 if config.plugins else state_bytes(config, spec)
    # An update holds the state before it and the one after.
    if 2 * config.seeds * network > MEMORY_SHARE * available:
        raise CredoError(
            f"hidden: networks of {config.seeds} seeds x {network / 2**30:.1f} GiB, twice while they are updated, "
            f"do not fit in the {available / 2**30:.1f} GiB that are free; lower --{config.learner}.hidden"
            + (", --discriminator.hidden" if config.adversarial else "")
            + (" or --seeds" if config.seeds > 1 else "")
        )
    slots = replay_slots(config, logged)
    each = bytes_needed(slots, spec.observation_size, spec.action_size)
    needed = each * config.seeds
    if needed > MEMORY_SHARE * available:
        raise CredoError(
            f"replay_capacity: {config.seeds} seeds x {slots:,} transitions x {each / slots:.0f} bytes = "
            f"{needed / 2**30:.1f} GiB does not fit in the {available / 2**30:.1f} GiB that are free; "
            "lower --replay-capacity, --seeds or --steps"
        )


def check_rewards(config: RunConfig) -> None:
    """Refuse a reward of the user's own that fails on logits, or does not give as many (CredoError)."""
    entry, reward = REGISTERED["reward"].get(plain_name(config.reward)), find_reward(config.reward)
    if entry is None or reward is None:
        return
    logits = jax.ShapeDtypeStruct((3, 2), np.float32)
    try:
        given = jax.eval_shape(reward.function, logits)
    except Exception as error:  # a stranger's code may fail in any way
        raise failure(config, error) from error
    if _told(given) != _told(logits):
        raise CredoError(
            f"reward: {config.reward!r} ({entry.source}) makes {_told(given)} of logits {_told(logits)}; "
            "the same expected"
        )
    _check_values(config, f"reward: {config.reward!r} ({entry.source})", reward)


def _check_values(config: RunConfig, who: str, reward: Reward) -> None:
    """Refuse (CredoError) numbers that are not what was registered of the reward."""
    logits = np.linspace(-15.0, 15.0, 61, dtype=np.float32)
    try:
        values = np.asarray(reward(jnp.asarray(logits)), np.float64)
    except Exception as error:
        raise failure(config, error) from error
    for logit, value in zip(logits.tolist(), values.tolist(), strict=True):
        if not math.isfinite(value):
            raise CredoError(f"{who} is {value} at the logit {logit:g}; a finite number expected")
    low, high = reward.bounds
    slack = 1e-5 * max(1.0, float(np.abs(values).max()))  # rounding
    for logit, value in zip(logits.tolist(), values.tolist(), strict=True):
        if not low - slack <= value <= high + slack:
            raise CredoError(f"{who} is {value:.6g} at the logit {logit:g}, outside its bounds {low:g} to {high:g}")
    if reward.inverse is None:
        return
    if (np.diff(values) < -slack).any():
        raise CredoError(f"{who} falls with the logit somewhere, and has an inverse; register it without one")
    # Where it is flat in float32, no inverse could tell.
    for index in np.flatnonzero((np.abs(logits) <= 2) & (np.gradient(values, logits) > 1e-3)):
        logit, value = float(logits[index]), float(values[index])
        try:
            back = float(reward.inverse(value))
        except Exception as error:
            raise failure(config, error) from error
        if not abs(back - logit) < 0.05:
            raise CredoError(f"{who} is {value:.6g} at the logit {logit:g}, but its inverse makes {back:.6g} of that")


def check_learner(config: RunConfig, spec: EnvironmentSpec) -> None:
    """Refuse a learner of the user's own whose ``act`` or ``mode`` fails on observations, or gives other actions than
    the environment takes (CredoError), which would be blamed for it."""
    entry = REGISTERED["learner"].get(config.learner)
    if entry is None:
        return
    parts = make_parts(config, spec)
    learner = parts.learner
    try:
        state = jax.eval_shape(lambda: initial_state(parts, 0).learner)
    except Exception:  # what cannot be traced is made once, and may be sound
        return
    observation, action = (
        jax.ShapeDtypeStruct((config.environments_per_seed, size), np.float32)
        for size in (spec.observation_size, spec.action_size)
    )
    for name, function, rest in (("act", learner.act, (jax.random.key(0),)), ("mode", learner.mode, ())):
        try:
            given = jax.eval_shape(function, state, observation, *rest)
        except Exception as error:
            raise failure(config, error) from error
        if _told(given) != _told(action):
            raise CredoError(
                f"learner: {config.learner!r} ({entry.source}): {name} makes {_told(given)} of observations "
                f"{_told(observation)}; actions {_told(action)} expected"
            )


def check_round(config: RunConfig, spec: EnvironmentSpec) -> None:
    """Refuse (CredoError) plug-ins that would fail where the run learns: a round that learns is traced, not computed.
    Nothing of a run without plug-ins, whose own parts are tested, is looked at."""
    if not config.plugins or config.clones or not (config.on_policy or config.updates_per_round):
        return
    try:
        parts = make_parts(config, spec)
        blank = np.zeros((2, spec.observation_size), np.float32)
        ahead = (blank, np.array([False, True])) if config.looks_ahead else ()
        constants = make_constants(parts, None, blank, np.zeros((2, spec.action_size), np.float32), *ahead)
        # What cannot be traced of a beginning may be sound, so that it is made.
        state, key = initial_state(parts, 0), jax.random.key(0)
        experience = shape_of_experience(config, spec)
        jax.eval_shape(in_full_precision(make_round(parts)), state, constants, experience, key, key)
    except CredoError:
        raise
    except Exception as error:  # a stranger's code may fail in any way
        raise failure(config, error) from error


def _told(given: Any) -> str:
    """An array as its type and shape."""
    return f"{given.dtype}{list(given.shape)}" if hasattr(given, "shape") else type(given).__name__


def state_bytes(config: RunConfig, spec: EnvironmentSpec) -> int:
    """What the networks of one seed take, targets and optimisers included. They are traced and not made, which a
    plug-in's may not stand."""
    state = jax.eval_shape(lambda: initial_state(make_parts(config, spec), 0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def doubts(config: RunConfig, spec: EnvironmentSpec, demonstrations: Demonstrations | None = None) -> list[str]:
    """One line each on settings that work but probably not as meant, and on what they make of demonstrations."""
    lines: list[str | None] = [*on_policy_notes(config), *late_notes(config)]
    if config.adversarial:
        settings = config.discriminator
        possible = settings.kind == "gail"
        most = settings.logit_clamp if "logit-clamp" in settings.regularisers else math.inf
        bias = sign_warning(config.reward, spec.name, absorbing=possible)
        if bias is None and possible and demonstrations is not None:
            bias = _unfinished(config, spec, demonstrations)
        lines += [
            idle_settings(settings, [config.discriminator for config in PRESETS.values()]),
            threshold_warning(config.credo, config.reward, most),
            room_warning(config.credo, settings),
            absorbing_warning(spec.name) if settings.absorbing_states else bias,
        ]
    if demonstrations is not None:
        lines += [_shared_episode(config, demonstrations), _lost_stays(config, spec, demonstrations)]
        found = [*doubtful_ends(demonstrations, spec.max_episode_steps), *beyond_bounds(demonstrations, spec)]
        lines += [f"demonstrations: {line}" for line in found]
    return [line for line in lines if line]


def _shared_episode(config: RunConfig, demonstrations: Demonstrations) -> str | None:
    if demonstrations.episodes > 1 or config.held_out == 0:
        return None
    return "one demonstrated episode: it is learned from, and what is measured as held out is measured on it, too"


def _unfinished(config: RunConfig, spec: EnvironmentSpec, demonstrations: Demonstrations) -> str | None:
    """One line where most demonstrated episodes terminate early and the reward pays for each step before; else None."""
    reward = find_reward(config.reward)
    limit = spec.max_episode_steps or int(demonstrations.lengths.max()) + 1
    fell = demonstrations.fell(limit) & (demonstrations.lengths < limit)
    if reward is None or reward.bounds[0] < 0 or fell.sum() <= len(fell) / 2:
        return None
    return (
        f"reward {config.reward} is positive everywhere, so every step before the end of an episode pays, and "
        f"{int(fell.sum())} of {len(fell)} demonstrated episodes terminate early: if an end is success, give "
        "--discriminator.absorbing-states, else the policy learns to put it off"
    )


def _lost_stays(config: RunConfig, spec: EnvironmentSpec, demonstrations: Demonstrations) -> str | None:
    absorbing = config.adversarial and config.discriminator.absorbing_states
    if not absorbing or spec.max_episode_steps is None or demonstrations.terminated.any():
        return None
    ended = int(demonstrations.fell(spec.max_episode_steps).sum())
    if not ended:
        return None
    return (
        f"absorbing states: {ended} of {demonstrations.episodes} demonstrated episodes terminate, and subsampling left "
        "none of the rows in which they do, so that the discriminator sees that state in the policy's samples alone; "
        "give whole episodes, or more of them"
    )
