"""TD3-GAIL on HalfCheetah-v5 as Credo trains it, ready to be timed: synthetic demonstrations, part-filled replays."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from benchmarks import sizes
from benchmarks.learners import LEARNERS
from credo.config import RunConfig
from credo.environments import Workers, environment_spec, make_environment
from credo.experience.replay import Replay
from credo.presets import preset
from credo.training.execution import Execution, make_execution
from credo.training.seed import Seed, make_seed
from credo.training.state import Constants, Parts, initial_state, make_constants, make_parts
from credo.types import EnvironmentSpec, Transition

DEMONSTRATIONS = 25_000
"""Expert transitions."""
STORED = 100_000
"""Synthetic transitions in every seed's replay at the start."""
WARM_UP_ROUNDS = 4


class Workload(NamedTuple):
    """What a measurement needs."""

    workers: Workers | None

    parts: Parts
    constants: Constants
    seeds: list[Seed]
    execution: Execution


def configuration(schedule: str, execution: str = "auto", seeds: int = sizes.SEEDS) -> RunConfig:
    """The preset of that name at the benchmark's sizes, learning from the first round on with no random phase."""
    base = preset(schedule)
    return dataclasses.replace(
        base,
        environment=sizes.ENVIRONMENT,
        steps=300_000,
        seeds=seeds,
        steps_per_round=sizes.STEPS_PER_ROUND,
        updates_per_round=sizes.UPDATES_PER_ROUND,
        random_steps=0,
        learning_starts=0,
        execution=execution,
        td3=dataclasses.replace(base.td3, hidden=sizes.HIDDEN, batch_size=sizes.BATCH, actor_delay=sizes.ACTOR_DELAY),
        discriminator=dataclasses.replace(base.discriminator, hidden=sizes.HIDDEN, batch_size=sizes.BATCH),
    )


def learner_configuration(name: str) -> RunConfig:
    """The learner of that name in ``LEARNERS`` at the benchmark's sizes."""
    learner, changes, updates = LEARNERS[name]
    base = configuration("paper", "threads")
    settings = dataclasses.replace(getattr(base, learner), hidden=sizes.HIDDEN, batch_size=sizes.BATCH, **changes)
    return dataclasses.replace(base, learner=learner, updates_per_round=updates, **{learner: settings})


def prepare(config: RunConfig, stored: int = STORED) -> Workload:
    """Everything up to the first round."""
    environment = make_environment(config.environment)
    spec = environment_spec(environment, config.environment)
    environment.close()
    parts = make_parts(config, spec)
    expert = synthetic_transitions(np.random.default_rng(0), DEMONSTRATIONS, spec)
    mean, std = expert.observation.mean(axis=(0, 1)), expert.observation.std(axis=(0, 1))
    statistics = (mean, std) if config.normalise_observations else None
    constants = make_constants(parts, statistics, expert.observation[:, 0], expert.action[:, 0])
    workers = Workers(config.environment_workers, config.environment_timeout) if config.environment_workers else None
    seeds = [
        make_seed(config, config.environment, number, initial_state(parts, number), workers)
        for number in config.seed_numbers
    ]
    for seed in seeds:
        fill(seed.replay, stored, spec, np.random.default_rng(seed.number))
    return Workload(workers, parts, constants, seeds, make_execution(parts, constants, seeds))


def synthetic_transitions(generator: np.random.Generator, count: int, spec: EnvironmentSpec) -> Transition:
    """Standard normal observations and uniform actions of one environment, fields [count, 1, ...]."""
    observation = generator.standard_normal((count + 1, 1, spec.observation_size), np.float32)
    return Transition(
        observation=observation[:-1],
        action=generator.uniform(-1, 1, (count, 1, spec.action_size)).astype(np.float32),
        reward=generator.standard_normal((count, 1), np.float32),
        next_observation=observation[1:],
        terminated=np.zeros((count, 1), bool),
    )


def fill(
    replay: Replay, count: int, spec: EnvironmentSpec, generator: np.random.Generator, episode: int = 1000
) -> None:
    """Add ``count`` transitions in episodes of ``episode`` steps, each cut off at its end."""
    for start in range(0, count, episode):
        steps = synthetic_transitions(generator, min(episode, count - start), spec)
        ended = np.zeros_like(steps.terminated)
        ended[-1] = True
        replay.add(steps, ended)


def run_rounds(workload: Workload, rounds: range) -> None:
    """Rounds of all seeds; RuntimeError where a seed is frozen, since it would cost nothing from then on."""
    workload.execution.advance(workload.seeds, rounds, lambda round_number: None)
    for seed in workload.seeds:
        seed.metrics.clear()
        if seed.frozen is not None:
            raise RuntimeError(f"seed {seed.number} is frozen: {seed.frozen.cause}")


def close(workload: Workload) -> None:
    workload.execution.close()
    for seed in workload.seeds:
        seed.environments.close()
        seed.evaluator.close()
    if workload.workers is not None:
        workload.workers.close()
