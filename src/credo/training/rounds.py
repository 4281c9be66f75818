"""What a round is to one seed, however seeds share the machine: whether it acts at random and whether it learns, its
steps, what it learns from, its row of metrics, and what freezes the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from credo.diagnostics.frozen import NON_FINITE
from credo.environments import EnvironmentBatch
from credo.training.faults import Fault, check_experience, evidence_of
from credo.training.seed import Frozen, Recorder, Seed, draw_experience, random_actions
from credo.training.state import Parts, TrainState
from credo.training.step import Experience
from credo.types import Array, Metrics


def kind_of(parts: Parts, round_number: int) -> tuple[bool, bool]:
    """How a round acts and whether it learns: the first of each kind compiles."""
    return is_all_random(parts, round_number), learns(parts, round_number)


def learns(parts: Parts, round_number: int) -> bool:
    """Whether a round ends with updates."""
    config = parts.config
    if config.on_policy:
        return True
    return (round_number + 1) * config.steps_per_round >= config.learning_starts and config.updates_per_round > 0


def is_random(parts: Parts, round_number: int, index: int) -> bool:
    """Whether the step at ``index`` of a round is still in the random phase."""
    config = parts.config
    if config.on_policy:
        return False
    return round_number * config.steps_per_round + index * config.environments_per_seed < config.random_steps


def is_all_random(parts: Parts, round_number: int) -> bool:
    """Whether no step of a round asks the policy."""
    return is_random(parts, round_number, step_indices(parts)[-1])


def step_indices(parts: Parts) -> range:
    """Of the steps in a round; each steps all environments of a seed once."""
    return range(parts.config.steps_per_round // parts.config.environments_per_seed)


def is_due(seed: Seed, round_number: int) -> bool:
    """Whether the seed goes on, and this round is its next."""
    return seed.frozen is None and seed.next_round == round_number


def freeze(parts: Parts, seed: Seed, round_number: int, fault: Fault, index: int | None = None) -> None:
    """Mark the seed at its first bad step: the step in a collection, else the end of the round."""
    config = parts.config
    done = round_number * config.steps_per_round
    step = done + (config.steps_per_round if index is None else index * config.environments_per_seed)
    # Another thread stores what belongs to a frozen seed as soon as it is one.
    seed.evidence = fault.evidence
    seed.frozen = Frozen(step, fault.cause)


def record(
    parts: Parts,
    seed: Seed,
    round_number: int,
    names: Sequence[str],
    values: np.ndarray,
    experience: Experience | None = None,
) -> None:
    """One row of metrics; a round that went non-finite freezes the seed and says which quantities did."""
    assert isinstance(seed.environments, EnvironmentBatch)
    finished = seed.environments.drain_finished()
    row = {
        "seed": seed.number,
        "round": round_number,
        "step": (round_number + 1) * parts.config.steps_per_round,
        "episode_return": float(np.mean([e.total_reward for e in finished])) if finished else np.nan,
        "episode_length": float(np.mean([e.length for e in finished])) if finished else np.nan,
    }
    metrics = dict(zip(names, values.tolist(), strict=True))
    finite = metrics.pop("finite", 1.0)
    seed.newest = row | metrics
    seed.add_metrics(seed.newest)
    if finite == 0.0:
        bad = [name for name, value in metrics.items() if not np.isfinite(value)]
        cause = f"{NON_FINITE} {', '.join(bad) or 'parameters'}"
        freeze(parts, seed, round_number, Fault(cause, evidence_of(experience)))
    seed.next_round = round_number + 1


def uniform_actions(parts: Parts, seed: Seed, round_number: int) -> np.ndarray:
    """[steps, lanes, A] float32; empty where no step of the round is in the random phase."""
    if not is_random(parts, round_number, 0):
        return np.empty(0, np.float32)
    return random_actions(parts.config, seed, round_number)


def takes(parts: Parts, seed: Seed, recorder: Recorder, round_number: int, index: int, action: np.ndarray) -> bool:
    """Step the seed's environments; False where that froze it."""
    try:
        recorder.take(seed, index, action)
    except Fault as fault:
        freeze(parts, seed, round_number, fault, index)
        return False
    return True


def drawn_experience(parts: Parts, seed: Seed, recorder: Recorder, round_number: int) -> Experience | None:
    """What the seed learns from in the round; None where that froze it."""
    experience = draw_experience(parts.config, seed, recorder.fresh, round_number)
    try:
        check_experience(experience)
    except Fault as fault:
        freeze(parts, seed, round_number, fault)
        return None
    return experience


class VectorRound:
    """A round with its metrics as one vector, which crosses to the host in one transfer."""

    def __init__(self, round_function: Callable[..., tuple[TrainState, Metrics]]):
        self._round = round_function
        self.names: list[str] = []
        """Of the vector's entries; known once the round has been traced."""

    def vector_round(self, *arguments: Any) -> tuple[TrainState, Array]:
        state, metrics = self._round(*arguments)
        self.names = sorted(metrics)
        return state, jnp.stack([metrics[name].astype(jnp.float32) for name in self.names])
