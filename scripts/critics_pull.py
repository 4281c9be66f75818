"""Which way do critic and discriminator pull an actor that is saturated? Of cells of a study, at a step.

    python scripts/critics_pull.py STUDY --at STEP [--only CELL ...] [--seeds 11 33] [--store runs] [--out FOLDER]

Trains each cell to STEP (where a run was broken off, the same command goes on) and looks at every state of a seed's
replay, with the actor's own action there. Writes OUT/STUDY-pull-STEP.csv, one row a seed:

    saturation             share of action components of at least 0.99
    critic_inwards         share of components that the critic wants nearer to 0
    discriminator_inwards  the same of the discriminator's logit
    reward_inwards         the same of the reward, its factor and the action cost in it (not its normalisation)
    critic_contrast        its mean slope in the action as a share of its standard deviation over states
    discriminator_contrast the same of the logit
"""

from __future__ import annotations

import csv
import dataclasses
import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from keep_study import study_parser

from credo import api, networks, run_folder
from credo.learners import targets
from credo.preparation import Prepared, prepare
from credo.studies.shipped import find_study
from credo.studies.study import load_study
from credo.training.checkpoint import Checkpoints
from credo.training.evaluate import divided
from credo.training.relabel import minus_action_cost, reward_of_logit
from credo.training.seed import make_seed
from credo.training.state import initial_state, make_parts
from credo.training.step import SATURATED
from credo.training.watching import Watcher
from credo.types import Array

COLUMNS = (
    "saturation",
    "critic_inwards",
    "discriminator_inwards",
    "reward_inwards",
    "critic_contrast",
    "discriminator_contrast",
)


def trained(prepared: Prepared, folder: Path) -> Path:
    """The run in ``folder``, to its end."""
    if not (folder / run_folder.DONE).exists():
        print(f"training {folder.name}", flush=True)
        api.start(prepared, folder, Watcher(line=print))
    return folder


def pull(value: Callable[[Array], Array], action: Array) -> tuple[Array, Array]:
    """Of a value [states] of actions [states, components]: the share of components whose slope points to 0, and the
    mean slope as a share of the value's standard deviation over states."""
    slope = jax.grad(lambda action: jnp.sum(value(action)))(action)
    inwards = jnp.mean((slope * jnp.sign(action) < 0).astype(jnp.float32))
    return inwards, jnp.mean(jnp.linalg.norm(slope, axis=-1)) / jnp.std(value(action))


def rows_of(prepared: Prepared, folder: Path) -> list[dict[str, float]]:
    """One row a seed of a run that is done."""
    config = prepared.config
    parts = make_parts(config, prepared.spec)
    constants, _ = divided(parts, prepared.demonstrations)
    discriminator = parts.discriminator
    assert discriminator is not None

    @jax.jit
    def look(state: Any, observation: Array) -> dict[str, Array]:
        action = targets.policy(state.learner.actor, observation)
        critic = pull(lambda a: networks.q_value(state.learner.critics[0], observation, a), action)

        def logit(action: Array) -> Array:
            inputs = discriminator.layout.join(observation, action, observation, jnp.zeros(len(action), bool))
            return discriminator.logit(state.discriminator.network, inputs, state.learner)

        def reward(action: Array) -> Array:
            scaled = config.discriminator.reward_factor * reward_of_logit(parts, logit(action))
            return minus_action_cost(config.discriminator, scaled, action)

        wanted, rewarded = pull(logit, action), pull(reward, action)
        saturation = jnp.mean((jnp.abs(action) >= SATURATED).astype(jnp.float32))
        values = (saturation, critic[0], wanted[0], rewarded[0], critic[1], wanted[1])
        return dict(zip(COLUMNS, values, strict=True))

    rows = []
    for number in config.seed_numbers:
        seed = make_seed(config, prepared.source, number, initial_state(parts, number))
        Checkpoints(folder).load([seed], config.rounds)
        visited = jnp.asarray(seed.replay.observation[: len(seed.replay)])
        found = look(seed.state, constants.normalise(visited))
        rows.append({"seed": number} | {name: float(found[name]) for name in COLUMNS})
    return rows


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--at", type=int, required=True, help="the step, a whole number of rounds")
    parser.add_argument("--seeds", type=int, nargs=2, metavar=("FIRST", "END"), help="default: the study's")
    options = parser.parse_args()
    study = load_study(find_study(options.study))
    cells = [cell for cell in study.cells if any(fnmatch.fnmatchcase(cell.name, only) for only in options.only)]
    if not cells:
        parser.error(
            f"--only: no cell of {study.name} is called so; it has {', '.join(cell.name for cell in study.cells)}"
        )
    rows = []
    for cell in cells:
        config = cell.config
        if options.at % config.steps_per_round or not 0 < options.at < config.steps:
            parser.error(f"--at {options.at}: a multiple of {config.steps_per_round} below {config.steps:,} expected")
        first, end = options.seeds or (config.first_seed, config.first_seed + config.seeds)
        prepared = prepare(dataclasses.replace(config, steps=options.at, first_seed=first, seeds=end - first))
        folder = options.store / "pulls" / f"{study.name}-{cell.name.replace('/', '-')}-{options.at}"
        for row in rows_of(prepared, trained(prepared, folder)):
            rows.append([cell.method, cell.environment, row["seed"], *(f"{row[c]:.4g}" for c in COLUMNS)])
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{study.name}-pull-{options.at}.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "environment", "seed", *COLUMNS))
        writer.writerows(rows)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
