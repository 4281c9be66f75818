"""What a learner is: a NamedTuple of pure functions for one seed, as optax transformations are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from credo.learners.cloning import Cloning
from credo.learners.targets import Choice
from credo.networks import Network
from credo.types import Array, Metrics


class Learner(NamedTuple):
    """The policy's side of imitation; observations are as the networks see them (normalised or not).

    init: key -> state.
    act: (state, observation [..., O], key) -> action [..., A], with exploration; in [-1, 1], but for one that
        learns from rollouts, whose actions the environments clip.
    mode: (state, observation [..., O]) -> action [..., A], the deterministic policy.
    update: (state, batches, key) -> (state, metrics); ``batches`` is a Transition with leading axes [updates, batch],
        or a Rollout, whose reward is already the one to learn from; all updates of a round happen in this call.
    actor: state -> the network whose tanh is ``mode``, for export; with ``choice``, the first of its actors.
    q_value: (state, observation, action) -> [...]; None for a learner without an action value.
    experience: what ``update`` learns from: batches of the replay, or the steps of this round.
    activation: what follows the hidden layers of ``actor``.
    choice: state -> the actors and critics among which ``mode`` chooses; None for a learner with one actor.
    log_prob: (state, observation [..., O], action [..., A]) -> [...], the log density with which ``act`` draws the
        action, for any action in [-1, 1]; None for a deterministic learner.
    deviation: state -> [A], the standard deviation of ``act`` round ``mode``; one that learns from rollouts has
        it, and acts on the host from it.
    cloning: how the actor is made a clone of demonstrations; None where that cannot be.
    """

    init: Callable[[Array], Any]
    act: Callable[[Any, Array, Array], Array]
    mode: Callable[[Any, Array], Array]
    update: Callable[[Any, Any, Array], tuple[Any, Metrics]]
    actor: Callable[[Any], Network]
    q_value: Callable[[Any, Array, Array], Array] | None
    experience: Literal["replay", "rollout"] = "replay"
    activation: str = "relu"
    choice: Callable[[Any], Choice] | None = None
    log_prob: Callable[[Any, Array, Array], Array] | None = None
    deviation: Callable[[Any], Array] | None = None
    cloning: Cloning | None = None
