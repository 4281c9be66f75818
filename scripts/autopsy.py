"""What happens to a deterministic actor from update to update, in the first rounds of a cell of a study.

    python scripts/autopsy.py CELL... [--study stability-early] [--rounds 2] [--seeds 11] [--out results/stability]

Goes through the first rounds as the cell's run does (its initial weights, steps, batches and rewards; only the noise on
TD3's target actions is drawn anew) and writes OUT/autopsy-CELL.csv, one row for each seed and update of the actor:

    update              updates of the actor so far
    preactivation       mean absolute output before tanh
    saturation          share of action components of at least 0.99
    gradient            largest absolute entry of the actor's gradient at this update
    step                mean absolute change of the actor's parameters at this update, in units of its learning rate
    agreement           1 if the critic wants to move each action component the same way in every state, 0 if as often
                        one way as the other: mean over components of |mean over states of the sign of its slope|
    action_slope        mean norm of the critic's gradient in the action

All are taken on the update's own batch; the last two at the actions of the actor before it.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from credo import networks
from credo.config import RunConfig
from credo.gradients import gradient_metrics
from credo.learners import targets
from credo.preparation import prepare
from credo.random import Purpose
from credo.studies.shipped import find_study
from credo.studies.study import load_study
from credo.training.evaluate import divided
from credo.training.seed import Recorder, Seed, draw_experience, make_seed, random_actions
from credo.training.state import Constants, Parts, TrainState, initial_state, make_parts
from credo.training.step import SATURATED, learned_from
from credo.types import Array, Transition

COLUMNS = ("preactivation", "saturation", "gradient", "step", "agreement", "action_slope")


def look(settings: Any, before: Any, after: Any, batch: Transition) -> dict[str, jax.Array]:
    """One row: the actor before and after an update, on the update's batch."""

    def value(action: Array) -> Array:
        return jnp.sum(networks.q_value(after.critics[0], batch.observation, action))

    output = networks.apply(after.actor, batch.observation)
    gradient = jax.grad(targets.actor_loss)(before.actor, after.critics[0], batch, settings)
    moved = jnp.concatenate(
        [jnp.ravel(jnp.abs(a - b)) for a, b in zip(*map(jax.tree.leaves, (after.actor, before.actor)), strict=True)]
    )
    slope = jax.grad(value)(targets.policy(before.actor, batch.observation))
    return {
        "preactivation": jnp.mean(jnp.abs(output)),
        "saturation": jnp.mean((jnp.abs(jnp.tanh(output)) >= SATURATED).astype(jnp.float32)),
        "gradient": gradient_metrics("actor", gradient)["actor_gradient_max"],
        "step": jnp.mean(moved) / settings.actor_learning_rate,
        "agreement": jnp.mean(jnp.abs(jnp.mean(jnp.sign(slope), axis=0))),
        "action_slope": jnp.mean(jnp.linalg.norm(slope, axis=-1)),
    }


def rows_of(
    parts: Parts, constants: Constants, seed: Seed, rounds: int, compiled: dict[str, Callable[..., Any]]
) -> Iterator[dict[str, float]]:
    config, state, done = parts.config, initial_state(parts, seed.number), 0
    delay = getattr(getattr(config, config.learner), "actor_delay", 1)
    for number in range(rounds):
        recorder = Recorder(config, seed)
        for index, action in enumerate(random_actions(config, seed, number)):
            recorder.take(seed, index, action)
        seed.replay.add(recorder.steps, recorder.ended)
        experience = draw_experience(config, seed, recorder.fresh, number)
        key = seed.key(Purpose.DISCRIMINATOR, number)
        discriminator, batches, _ = compiled["batches"](state, constants, experience, key)
        learner = state.learner
        for first in range(0, config.updates_per_round, delay):
            few = jax.tree.map(lambda x: x[first : first + delay], batches)  # noqa: B023
            key = jax.random.fold_in(seed.key(Purpose.LEARNER, number), first)
            after, _ = compiled["update"](learner, few, key)
            found = compiled["look"](learner, after, jax.tree.map(lambda x: x[-1], few))
            done, learner = done + 1, after
            yield {"seed": seed.number, "update": done} | {name: float(found[name]) for name in COLUMNS}
        state = TrainState(learner, discriminator)


def autopsy(config: RunConfig, rounds: int, seeds: int) -> Iterator[dict[str, float]]:
    """Rows of all seeds; every action of these rounds is one that the run draws at random."""
    if config.learner not in ("ddpg", "td3"):
        raise SystemExit(f"learner: {config.learner} has no single deterministic actor to look at; ddpg and td3 have")
    if config.warm_start != "none":
        raise SystemExit(f"warm_start: {config.warm_start} is not gone through; only runs without one are")
    if config.learning_starts > config.steps_per_round:
        raise SystemExit(f"learning_starts: {config.learning_starts} is past the first round, which is looked at")
    if rounds * config.steps_per_round > config.random_steps:
        raise SystemExit(f"rounds: {rounds} is past the run's random steps; at most "
                         f"{config.random_steps // config.steps_per_round}")  # fmt: skip
    prepared = prepare(config)
    parts = make_parts(config, prepared.spec)
    constants, _ = divided(parts, prepared.demonstrations)
    compiled = {
        "batches": jax.jit(lambda *arguments: learned_from(parts, *arguments)),
        "update": jax.jit(parts.learner.update),
        "look": jax.jit(lambda *arguments: look(getattr(config, config.learner), *arguments)),
    }
    for number in range(seeds):
        seed = make_seed(config, prepared.source, number, None)
        yield from rows_of(parts, constants, seed, rounds, compiled)
        print(f"seed {number} done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cell", nargs="+", help="names of cells, by their method")
    parser.add_argument("--study", default="stability-early")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("results/stability"))
    options = parser.parse_args()
    cells = {cell.method: cell for cell in load_study(find_study(options.study)).cells}
    for name in options.cell:
        if name not in cells:
            parser.error(f"cell {name!r} is not in {options.study}; it has {', '.join(cells)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.cell:
        rows = list(autopsy(cells[name].config, options.rounds, options.seeds))
        path = options.out / f"autopsy-{name}.csv"
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("seed", "update", *COLUMNS))
            writer.writerows([row["seed"], row["update"], *(f"{row[c]:.4g}" for c in COLUMNS)] for row in rows)
        print(f"written: {path}")


if __name__ == "__main__":
    main()
