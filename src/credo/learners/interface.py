"""What a learner is: a NamedTuple of pure functions for one seed, as optax transformations are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from credo.learners.cloning import Cloning
from credo.learners.targets import Choice
from credo.networks import Network
from credo.types import Array, Metrics, Transition


class Learner(NamedTuple):
    """The policy's side of imitation; observations are as the networks see them (normalised or not).

    init: key -> state.
    act: (state, observation [..., O], key) -> action [..., A] in [-1, 1], with exploration.
    mode: (state, observation [..., O]) -> action [..., A], the deterministic policy.
    update: (state, batches, key) -> (state, metrics); ``batches`` is a Transition with leading axes [updates, batch]
        whose reward is already the one to learn from; all updates of a round happen in this call.
    actor: state -> the network whose tanh is ``mode``, for export; with ``choice``, the first of its actors.
    q_value: (state, observation, action) -> [...]; None for a learner without an action value.
    experience: what ``update`` eats.
    choice: state -> the actors and critics among which ``mode`` chooses; None for a learner with one actor.
    cloning: how the actor is made a clone of demonstrations; None where that cannot be.
    """

    init: Callable[[Array], Any]
    act: Callable[[Any, Array, Array], Array]
    mode: Callable[[Any, Array], Array]
    update: Callable[[Any, Transition, Array], tuple[Any, Metrics]]
    actor: Callable[[Any], Network]
    q_value: Callable[[Any, Array, Array], Array] | None
    experience: Literal["replay"] = "replay"
    choice: Callable[[Any], Choice] | None = None
    cloning: Cloning | None = None
