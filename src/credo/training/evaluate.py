"""Evaluation of one seed's deterministic policy: its return, and the measures that need none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from credo.config import RunConfig
from credo.demonstrations import Demonstrations
from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import ENVIRONMENT_FAILED, NUMBERS_FAILED
from credo.diagnostics.imitation import action_error, occupancy_distance
from credo.policies import Policy
from credo.precision import in_full_precision
from credo.random import Purpose, host_generator
from credo.training.faults import environment_fault
from credo.training.seed import Seed
from credo.training.state import SPLIT_SEED, Constants, Parts, TrainState, make_constants
from credo.training.stopping import Stop, StoppedError
from credo.types import EnvironmentSpec

MEASURED_EPISODES = 10
"""Held-out episodes that evaluations compare with, at most: more cost time and change little."""
_GROUPS = 4
"""Evaluations' worth of demonstrated episodes, at most, by which demonstrations are held against each other."""
SCORED_SAMPLES = 1024
"""Samples of each side whose expert probability an evaluation averages."""
MEASURES = (
    "return_mean",
    "return_std",
    "return_min",
    "return_max",
    "length_mean",
    "success_rate",
    "occupancy_distance",
    "demonstration_distance",
    "action_error",
    "expert_probability_held_out",
    "expert_probability_policy",
)


class HeldOut(NamedTuple):
    """Demonstrations kept from training, which the reward-free measures compare with."""

    observation: np.ndarray
    """[n, O], as the environment gives it."""
    action: np.ndarray
    """[n, A] in [-1, 1]."""
    lengths: np.ndarray
    """[episodes] steps until termination; the horizon where an episode did not terminate."""
    rows: np.ndarray
    """[episodes] rows of each."""
    mean: np.ndarray
    """[O]: statistics of the training demonstrations, whatever the networks see."""
    std: np.ndarray
    horizon: int
    """Steps of a whole episode."""
    next_observation: np.ndarray
    """[n, O]."""
    terminated: np.ndarray
    """[n] bool."""
    apart: float = np.nan
    """Distance to the demonstrations that are learned from, about that of a policy as good; NaN where they are the
    same, or rows were left out."""


def divided(parts: Parts, demonstrations: Demonstrations | None) -> tuple[Constants, HeldOut | None]:
    """What a run learns from and what it is measured by: the demonstrations, divided by episode. Nothing is held out,
    and nothing learned from, where there are none."""
    config, spec = parts.config, parts.spec
    if demonstrations is None:
        empty = np.zeros((0, spec.observation_size)), np.zeros((0, spec.action_size))
        return make_constants(parts, None, *empty), None
    kept, held_out = separated(config, spec, demonstrations)
    if config.held_out > 0 and demonstrations.episodes > 1:
        held_out = held_out._replace(apart=distance_between_demonstrations(held_out, kept, config.evaluation_episodes))
    statistics = (held_out.mean, held_out.std) if config.normalise_observations else None
    ahead = (kept.next_observation, kept.terminated) if config.looks_ahead else ()
    return make_constants(parts, statistics, kept.observation, kept.action, *ahead), held_out


def separated(
    config: RunConfig, spec: EnvironmentSpec, demonstrations: Demonstrations
) -> tuple[Demonstrations, HeldOut]:
    """The demonstrations to learn from, and those to measure by."""
    kept, held = demonstrations, demonstrations
    if config.held_out > 0:
        split = demonstrations.split_held_out(config.held_out, SPLIT_SEED)
        kept, held = split.training, split.held_out
    if held.episodes > MEASURED_EPISODES:
        held = held.select_episodes(range(MEASURED_EPISODES))
    mean, std = kept.statistics()
    horizon = spec.max_episode_steps or int(max(demonstrations.lengths))
    # An episode that was cut, not ended, would have gone on: only termination counts as time lost.
    lengths = np.where(held.fell(horizon), held.lengths, horizon)
    return kept, HeldOut(
        observation=held.observation,
        action=held.action,
        lengths=lengths,
        rows=held.rows_per_episode,
        mean=mean,
        std=std,
        horizon=horizon,
        next_observation=held.next_observation,
        terminated=held.terminated,
    )


class _Shown(NamedTuple):
    """A demonstrated episode in the place of one that a policy has played."""

    observation: np.ndarray
    action: np.ndarray
    terminated: bool


def distance_between_demonstrations(held_out: HeldOut, training: Demonstrations, episodes: int) -> float:
    """Of the demonstrations that are learned from to those held out, an evaluation's ``episodes`` at a time: about what
    a policy gets that is as good as the demonstrator. Of at most ``_GROUPS`` groups the mean. NaN where rows of
    episodes were left out."""
    if not training.whole.all():
        return float("nan")
    shown = []
    for index in range(min(training.episodes, _GROUPS * episodes)):
        one = training.episode(index)
        fell = one.terminated and len(one.action) < held_out.horizon
        shown.append(_Shown(np.concatenate([one.observation, one.next_observation[-1:]]), one.action, fell))
    groups = [shown[first : first + episodes] for first in range(0, len(shown), episodes)]
    whole = [group for group in groups if len(group) == episodes] or groups[:1]
    return float(np.mean([_distance(held_out, group) for group in whole]))


def apart_note(held_out: HeldOut | None) -> str | None:
    """One line where starts or goals differ more between demonstrations than the demonstrator and others do, so that a
    few episodes say little of a policy; else None."""
    if held_out is None or not held_out.apart > Criteria().near_distance:
        return None
    return (
        f"distance: the demonstrations themselves are {held_out.apart:.2f} apart, those learned from and those held "
        "out, so a policy as good as the demonstrator would be, too, and the kept policy is chosen by little; more "
        "episodes held out (--demos with more of them, --held-out), more --evaluation-episodes, or a success in info "
        "tell more"
    )


def _distance(held_out: HeldOut, episodes: Sequence[Any]) -> float:
    known = held_out.action.shape[1]
    return occupancy_distance(
        held_out.observation,
        held_out.action,
        held_out.lengths,
        held_out.rows,
        # Without the expert's actions it is the distance of observations alone.
        [episode._replace(action=episode.action[:, :known]) for episode in episodes],
        held_out.mean,
        held_out.std,
        held_out.horizon,
    )


def expert_probability(parts: Parts) -> Callable[..., jax.Array]:
    """Compiled: (state, constants, observation [n, O], action [n, A], next_observation [n, O], terminated [n]) -> mean
    expert probability."""

    def mean_probability(
        state: TrainState,
        constants: Constants,
        observation: Any,
        action: Any,
        next_observation: Any,
        terminated: Any,
    ) -> jax.Array:
        assert parts.discriminator is not None
        inputs = parts.discriminator.layout.join(
            constants.normalise(observation), action, constants.normalise(next_observation), terminated
        )
        logit = parts.discriminator.logit(state.discriminator.network, inputs, state.learner)
        return jnp.mean(jax.nn.sigmoid(logit))

    return jax.jit(in_full_precision(mean_probability))


def evaluate(
    parts: Parts,
    constants: Constants,
    seed: Seed,
    state: TrainState,
    policy: Policy,
    held_out: HeldOut | None,
    probability: Callable[..., jax.Array],
    stop: Stop,
) -> dict[str, float]:
    """One row of evaluations. Every evaluation of a seed starts from the same initial states.

    Raises:
        Fault: an episode could not be run.
        StoppedError: ``stop`` was set meanwhile.
    """

    def act(observation: np.ndarray) -> np.ndarray:
        stop.check()
        return policy.normalised_action(observation)

    try:
        episodes = seed.evaluator.run(act, parts.config.evaluation_episodes, seed.number, Purpose.EVALUATION)
    except StoppedError:
        raise
    except Exception as error:
        raise environment_fault(error, parts.spec.name) from error
    returns = np.array([episode.reward.sum(dtype=np.float64) for episode in episodes])
    tells_success = any(episode.success is not None for episode in episodes)
    successes = [bool(episode.success) for episode in episodes] if tells_success else []
    row = dict.fromkeys(MEASURES, np.nan) | {
        "return_mean": returns.mean(),
        "return_std": returns.std(),
        "return_min": returns.min(),
        "return_max": returns.max(),
        "length_mean": np.mean([len(episode.action) for episode in episodes]),
        "success_rate": np.mean(successes) if successes else np.nan,
        "failed": 0.0,
    }
    if held_out is not None:
        row["occupancy_distance"] = _distance(held_out, episodes)
        row["demonstration_distance"] = held_out.apart
        if held_out.action.shape[1]:
            row["action_error"] = action_error(policy.normalised_action, held_out.observation, held_out.action)
    if held_out is not None and parts.discriminator is not None:
        generator = host_generator(seed.number, Purpose.MEASURE)
        played = (
            np.concatenate([episode.observation[:-1] for episode in episodes]),
            np.concatenate([episode.action for episode in episodes]),
            np.concatenate([episode.observation[1:] for episode in episodes]),
            np.concatenate([_last(len(episode.action)) & episode.terminated for episode in episodes]),
        )
        shown = (held_out.observation, held_out.action, held_out.next_observation, held_out.terminated)
        for name, steps in (("held_out", shown), ("policy", played)):
            rows = generator.integers(0, len(steps[1]), SCORED_SAMPLES)
            row[f"expert_probability_{name}"] = probability(state, constants, *(part[rows] for part in steps))
    return {name: float(value) for name, value in row.items()}


def _last(length: int) -> np.ndarray:
    """[length] bool: the last step."""
    return np.arange(length) == length - 1


def failed_row(numerical: bool) -> dict[str, float]:
    """The evaluation of a frozen seed: no measure, and the mark of its own numbers' failure or of its environment's."""
    return dict.fromkeys(MEASURES, np.nan) | {"failed": NUMBERS_FAILED if numerical else ENVIRONMENT_FAILED}
