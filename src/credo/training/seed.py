"""The host's side of one seed: its environments, its replay, its place in the run."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from credo.config import RunConfig
from credo.demonstrations import Demonstrations
from credo.diagnostics.frozen import NON_FINITE
from credo.environments import EnvironmentBatch, EnvironmentSource, EpisodeRunner, Workers
from credo.experience import Replay
from credo.policies import Policy
from credo.random import Purpose, device_key, host_generator
from credo.training.faults import NoEnvironments, environment_fault
from credo.training.state import TrainState
from credo.training.step import Experience
from credo.types import Array, EnvironmentSpec, Rollout, Transition

RECENT = 5
"""Rows of metrics that are kept as evidence of a frozen seed."""


class Frozen(NamedTuple):
    """Why a seed stands still: its first bad step and the cause."""

    step: int
    cause: str

    @property
    def numerical(self) -> bool:
        """Whether its own numbers failed, and not its environment."""
        return self.cause.startswith(NON_FINITE)


@dataclass
class Seed:
    """One seed in training. ``state`` is None while the seeds' states are stacked (vmap execution)."""

    number: int
    environments: EnvironmentBatch | NoEnvironments
    evaluator: EpisodeRunner
    replay: Replay
    keys: dict[Purpose, Array]
    state: TrainState | None
    next_round: int = 0
    frozen: Frozen | None = None
    newest: dict[str, float] = field(default_factory=dict)
    """The metrics of the last round that was run here; empty before there is one."""
    metrics: list[dict[str, float]] = field(default_factory=list)
    """Rows not yet written to the run folder."""
    recent: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=RECENT))
    """The last rows of metrics, written or not."""
    evaluations: list[dict[str, float]] = field(default_factory=list)
    """Rows not yet written to the run folder."""
    best: dict[str, float] | None = None
    """The evaluation of the policy to keep."""
    last: dict[str, float] | None = None
    """The newest evaluation."""
    best_policy: Policy | None = None
    """The policy that ``best`` is of."""
    unevaluated: int | None = None
    """A round that is done and whose evaluation is not."""
    evidence: dict[str, np.ndarray] = field(default_factory=dict)
    """What is to be kept of the fault that froze the seed."""

    def add_metrics(self, row: dict[str, float]) -> None:
        """Take in a row of metrics, to be written."""
        self.metrics.append(row)
        self.recent.append(row)

    def key(self, purpose: Purpose, round_number: int) -> Array:
        """The JAX key of this seed for one purpose in one round."""
        return jax.random.fold_in(self.keys[purpose], round_number)


def make_seed(
    config: RunConfig,
    source: EnvironmentSource,
    number: int,
    state: TrainState | None,
    workers: Workers | None = None,
    logged: Demonstrations | None = None,
) -> Seed:
    """A seed at its beginning; frozen at step 0 where its environments cannot begin."""
    evaluator = EpisodeRunner(source, min(config.evaluation_episodes, 8), workers, number)
    spec, frozen = evaluator.spec, None
    environments: EnvironmentBatch | NoEnvironments
    try:
        environments = EnvironmentBatch(source, number, config.environments_per_seed, workers=workers)
    except Exception as error:
        environments = NoEnvironments(spec, config.environments_per_seed)
        frozen = Frozen(0, f"at the first reset: {environment_fault(error, spec.name).cause}")
    capacity = replay_slots(config, 0 if logged is None else len(logged))
    replay = Replay(capacity, spec.observation_size, spec.action_size, config.environments_per_seed)
    if logged is not None:
        replay.add(*logged_steps(logged, config.environments_per_seed))
    return Seed(
        number=number,
        environments=environments,
        evaluator=evaluator,
        replay=replay,
        keys={
            purpose: device_key(number, purpose) for purpose in (Purpose.ACT, Purpose.DISCRIMINATOR, Purpose.LEARNER)
        },
        state=state,
        frozen=frozen,
    )


def logged_steps(logged: Demonstrations, lanes: int) -> tuple[Transition, np.ndarray]:
    """Logged transitions as a chunk of the replay, [rows, lanes, ...], and where the next row does not follow.

    Each lane gets a stretch of the log; of what does not divide, the last rows are left out. Unknown rewards are 0,
    which nothing learns from where a discriminator gives the reward.
    """
    rows = len(logged) // lanes
    order = np.arange(rows * lanes).reshape(lanes, rows).T
    steps = logged.transitions(order)
    ended = np.isin(order, logged.successor_row)
    ended[-1] = True  # the run's own first observation does not follow
    return steps._replace(reward=np.nan_to_num(steps.reward)), ended


def replay_slots(config: RunConfig, logged: int = 0) -> int:
    """Slots of one seed's replay: no more than there are steps and logged transitions, and a multiple of the
    environments; one for each environment where nothing is put into it."""
    lanes = config.environments_per_seed
    if not config.keeps_replay:
        return lanes
    wanted = min(config.replay_capacity, config.rounds * config.steps_per_round + logged)
    return max(wanted // lanes, 1) * lanes


def random_actions(config: RunConfig, seed: Seed, round_number: int) -> np.ndarray:
    """Uniform actions of a whole round, [steps, lanes, A] float32."""
    lanes = config.environments_per_seed
    shape = (config.steps_per_round // lanes, lanes, seed.environments.spec.action_size)
    return host_generator(seed.number, Purpose.ACT, round_number).uniform(-1, 1, shape).astype(np.float32)


class Recorder:
    """Collects the steps of one round of one seed."""

    def __init__(self, config: RunConfig, seed: Seed):
        lanes, spec = config.environments_per_seed, seed.environments.spec
        steps = config.steps_per_round // lanes

        def empty(*shape: int, dtype: type = np.float32) -> np.ndarray:
            return np.empty((steps, lanes, *shape), dtype)

        self.steps = Transition(
            observation=empty(spec.observation_size),
            action=empty(spec.action_size),
            reward=empty(),
            next_observation=empty(spec.observation_size),
            terminated=empty(dtype=bool),
        )
        self.raw_action = empty(spec.action_size)
        self.ended = empty(dtype=bool)
        self.on_policy = config.on_policy

    def take(self, seed: Seed, index: int, action: np.ndarray) -> None:
        """Step the seed's environments and record the step at ``index``; Fault where that fails."""
        environments = seed.environments
        assert isinstance(environments, EnvironmentBatch)
        self.steps.observation[index] = environments.observation
        self.raw_action[index] = action
        try:
            result = environments.step(action)
        except Exception as error:
            seen = self.steps.observation[: index + 1]
            raise environment_fault(error, environments.spec.name, action=action, observation=seen) from error
        self.steps.action[index] = np.clip(action, -1.0, 1.0)
        self.steps.reward[index] = result.reward
        self.steps.next_observation[index] = result.next_observation
        self.steps.terminated[index] = result.terminated
        self.ended[index] = result.terminated | result.truncated

    @property
    def fresh(self) -> Transition | Rollout:
        """The round's steps, as the learner and the discriminator want them."""
        steps = self.steps
        if not self.on_policy:
            return steps
        return Rollout(
            observation=steps.observation,
            action=steps.action,
            reward=steps.reward,
            next_observation=steps.next_observation,
            terminated=steps.terminated,
            raw_action=self.raw_action,
            ended=self.ended,
        )


def draw_experience(config: RunConfig, seed: Seed, fresh: Transition | Rollout, round_number: int) -> Experience:
    """What the round learns from: batches of the replay or the fresh rollout, and the policy's side of the
    discriminator."""
    generator = host_generator(seed.number, Purpose.REPLAY, round_number)
    batches: Transition | Rollout
    if isinstance(fresh, Rollout):
        batches = fresh
    else:
        batches = seed.replay.sample(generator, (config.updates_per_round, config.transitions_per_update))
    updates = config.discriminator.updates_per_round if config.adversarial else 0
    shape = (updates, config.discriminator.batch_size)
    if not config.keeps_replay or config.policy_samples == "fresh":
        steps = fresh.transition if isinstance(fresh, Rollout) else fresh
        steps = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)
        rows = generator.integers(0, steps.reward.shape[0], shape)
        sampled = jax.tree.map(lambda x: x[rows], steps)
        ends, held = int(np.sum(steps.terminated)), len(steps.reward)
    else:
        slots = seed.replay.sample_slots(generator, shape)
        if not config.looks_ahead:
            return Experience(batches, seed.replay.observation[slots], seed.replay.action[slots])
        sampled = seed.replay.gather(slots)
        ends, held = seed.replay.terminations, len(seed.replay)
    if not config.looks_ahead:
        return Experience(batches, sampled.observation, sampled.action)
    absorbing = None
    if config.adversarial and config.discriminator.absorbing_states:
        # As if each termination were followed by one stay in the absorbing state.
        absorbing = generator.random(shape) < ends / (ends + held)
    return Experience(
        batches, sampled.observation, sampled.action, sampled.next_observation, sampled.terminated, absorbing
    )


def shape_of_experience(config: RunConfig, spec: EnvironmentSpec) -> Experience:
    """The shapes and types of what ``draw_experience`` draws."""

    def array(*shape: int, kind: type = np.float32) -> Any:
        return jax.ShapeDtypeStruct(shape, kind)

    def steps(*shape: int) -> Transition:
        observation, action = array(*shape, spec.observation_size), array(*shape, spec.action_size)
        return Transition(observation, action, array(*shape), observation, array(*shape, kind=bool))

    batches: Transition | Rollout
    if config.on_policy:
        lanes = config.environments_per_seed
        made = steps(config.steps_per_round // lanes, lanes)
        batches = Rollout(*made[:5], raw_action=made.action, ended=made.terminated)
    else:
        batches = steps(config.updates_per_round, config.transitions_per_update)
    settings = config.discriminator
    judged = steps(settings.updates_per_round if config.adversarial else 0, settings.batch_size)
    ahead = (judged.next_observation, judged.terminated) if config.looks_ahead else ()
    absorbing = {"policy_absorbing": judged.terminated} if ahead and settings.absorbing_states else {}
    return Experience(batches, judged.observation, judged.action, *ahead, **absorbing)
