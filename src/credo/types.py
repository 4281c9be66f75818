"""The vocabulary of the whole library.

The one sign convention: a discriminator gives a logit l(s, a); a **positive logit means expert**;
``expert_probability = sigmoid(logit)``.
"""

from __future__ import annotations

import numbers
import re
import sys
from typing import Any, NamedTuple, TypeGuard

import numpy as np

Array = Any
"""A NumPy or JAX array; shapes are given in docstrings, leading axes first."""
Metrics = dict[str, Array]
"""Name of a diagnostic to its value (scalars, one a round and seed)."""


class CredoError(Exception):
    """An error that a user can cause and mend: one line naming the thing, its value and what would be right."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether what a file says is a number, and one that a float can hold."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def check_whole(name: str, value: object, least: int) -> None:
    """CredoError unless ``value`` is a whole number, NumPy's too, of ``least`` or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise CredoError(f"{name}: {value!r} is not possible; it must be a whole number of {least} or more")


def number_array(name: str, value: object) -> np.ndarray:
    """``value`` as an array of real numbers or flags; CredoError for anything else, such as text, dates, complex
    numbers, rows of unequal length, and whole numbers that no array holds."""
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):  # of unequal rows
        found = np.empty(0, object)
    if found.dtype.kind not in "biuf":
        raise CredoError(f"{name}: {type(value).__name__} found; an array of numbers expected")
    return found


def check_unicode(name: str, value: object) -> None:
    """CredoError for text that no file in UTF-8 can hold, as a file name of other bytes is."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise CredoError(f"{name}: {value} is not UTF-8; choose another name") from None


def printable(text: object) -> str:
    """Text from a stranger's file or file name, fit for a terminal: control characters (ANSI escapes among them) and
    what turns the direction of writing appear as escapes, line breaks as spaces."""
    words = re.sub(r"[\t\n\v\f\r]+", " ", str(text))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def plural(count: int, noun: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def one_line(error: BaseException, most: int | None = None) -> str:
    """The message of an error without line breaks, of at most so many characters; its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if most is None or len(text) <= most else f"{text[: most - 3]}..."


class EnvironmentSpec(NamedTuple):
    """What the learners need to know of an environment; actions are in [-1, 1] everywhere inside Credo."""

    name: str
    observation_size: int
    action_size: int
    action_low: np.ndarray
    """[action_size] float32: the environment's own lower bound, which -1 stands for."""
    action_high: np.ndarray
    """[action_size] float32: the environment's own upper bound, which +1 stands for."""
    max_episode_steps: int | None
    """Time limit in steps, after which an episode is truncated; None if there is none."""
    observation_keys: tuple[str, ...] = ()
    """Entries of a Dict observation that are joined to the vector, in this order; empty for a plain one."""
    observation_bounds: np.ndarray | None = None
    """[2, observation_size]: what the environment declares, infinite where it declares nothing; None: unknown."""
    inner_bounds: np.ndarray | None = None
    """[2, action_size] float32: of those within the environment's own bounds the nearest; None: the two above."""

    @property
    def policy_bounds(self) -> np.ndarray:
        """[2, action_size] float32: what a policy's actions are clipped to, so that the environment's box has them."""
        return np.stack([self.action_low, self.action_high]) if self.inner_bounds is None else self.inner_bounds


def same_bounds(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[A] bool: of which dimensions two action boxes, [2, A] each, have the same bounds but for rounding."""
    return np.isclose(one, other, rtol=1e-5, atol=1e-6).all(axis=0)


class Demonstrated(NamedTuple):
    """Pairs of the demonstrations, for an actor to clone (any leading axes)."""

    observation: Array
    """[..., observation_size] float32."""
    action: Array
    """[..., action_size] float32 in [-1, 1]."""


class Transition(NamedTuple):
    """One environment step, or a batch of them (any leading axes)."""

    observation: Array
    """[..., observation_size] float32."""
    action: Array
    """[..., action_size] float32 in [-1, 1]."""
    reward: Array
    """[...] float32: the environment's reward, or whatever pseudo-reward stands in for it."""
    next_observation: Array
    """[..., observation_size] float32: the true successor, never the first observation after a reset."""
    terminated: Array
    """[...] bool: the episode ended in ``next_observation``; a time limit is not termination."""
    demonstrated: Demonstrated | None = None
    """As many pairs, drawn beside the steps of a batch whose learner clones too; otherwise None."""


class Rollout(NamedTuple):
    """The steps of one round in the order they were made, [steps, lanes, ...]: a Transition, and what a learner that
    learns from fresh steps alone needs beside it. A lane is one environment."""

    observation: Array
    """[..., observation_size] float32."""
    action: Array
    """[..., action_size] float32 in [-1, 1]: what the environment and the discriminator saw."""
    reward: Array
    """[...] float32: the environment's reward, or whatever pseudo-reward stands in for it."""
    next_observation: Array
    """[..., observation_size] float32: the true successor, never the first observation after a reset."""
    terminated: Array
    """[...] bool: the episode ended in ``next_observation``; a time limit is not termination."""
    raw_action: Array
    """[..., action_size] float32: what the policy drew, before it was clipped to [-1, 1]."""
    ended: Array
    """[...] bool: terminated or truncated; the next step of the lane belongs to another episode."""

    @property
    def transition(self) -> Transition:
        """Its steps, without what only a rollout has."""
        return Transition(self.observation, self.action, self.reward, self.next_observation, self.terminated)
