"""Why normalised observations cost seeds: is it that the states of a beginner lie off the mean of the expert's?

    python scripts/input_offset.py [--only SETTING/ENVIRONMENT ...] [--store runs] [--out OUT] [--keep]

On top of an earlier policy and robust's discriminator (stability-two-parts) normalised observations left 16 of 33 seeds
dead, 15 of them from the first rounds of learning on. They are normalised by mean and deviation of the *expert's*
states. A beginner's states lie elsewhere: a large part of what its networks see is then the same in all of them, and an
actor can leave for a corner of the action box in all of them at once. The cells two-parts of that study to step 2,560,
on seeds 11 to 21, which have not been run in it, with observations x of the environment and of the demonstrations
changed beforehand (m and s: mean and deviation of the expert's states; m' and s' of 1,024 random steps of a seed that
no run has):

    raw          x
    divided      x / s
    centred      x - m
    normalised   (x - m) / s      what normalise_observations does
    shifted      (x - m') / s     the same without the part that a beginner's states have in common
    own          (x - m') / s'    what normalising by the policy's own states begins with

Fixed beforehand: of the actors inactive at the end, normalised against shifted, own and raw, exact, 33 seeds a side in
three strata (the environments), with Holm's correction for the three. Asked besides, without a test: does the number of
inactive actors follow the common part, |mean of the changed x|^2 / mean of |changed x|^2 over these random steps, over
the 18 cells (the explanation foretells harm from divided and from centred only where it is large)?

Finished runs (in STORE/input-offset) are not run again, stopped ones go on. Writes OUT/stability-input-offset-*.csv and
.json as keep_study.py does, of the runs that have ended, and the common parts as -inputs.csv. --keep writes these and
trains nothing.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from keep_study import keep
from separate_runs import ended, folder, script_parser

from credo.demonstrations import Demonstrations, load_demonstrations
from credo.reports.load import load_run
from credo.studies.shipped import find_study
from credo.studies.study import Cell, load_study
from credo.training.state import SPLIT_SEED

STUDY, NAME, KEPT = "stability-two-parts", "input-offset", "stability-input-offset"
STEPS, EVALUATION_INTERVAL = 2_560, 640
FIRST_SEED, SEEDS = 11, 11
RANDOM_STEPS, RANDOM_SEED = 1_024, 10_000


class Known(NamedTuple):
    """Of an environment of the bed."""

    demonstrations: Demonstrations
    expert: tuple[np.ndarray, np.ndarray]
    """Mean and deviation [O] of the states of the demonstrations that are not held out."""
    random: np.ndarray
    """[RANDOM_STEPS, O]"""


Changed = Callable[[np.ndarray], np.ndarray]
SETTINGS: dict[str, Callable[[Known], tuple[Any, Any]]] = {
    "raw": lambda known: (0.0, 1.0),
    "divided": lambda known: (0.0, known.expert[1]),
    "centred": lambda known: (known.expert[0], 1.0),
    "normalised": lambda known: known.expert,
    "shifted": lambda known: (known.random.mean(axis=0), known.expert[1]),
    "own": lambda known: (known.random.mean(axis=0), known.random.std(axis=0)),
}
"""What is taken away, and what the rest is divided by."""


def cells() -> list[Cell]:
    """One for each setting and environment, named SETTING/ENVIRONMENT."""
    return [
        Cell(
            f"{setting}/{cell.environment}",
            setting,
            cell.environment,
            dataclasses.replace(
                cell.config,
                steps=STEPS,
                evaluation_interval=EVALUATION_INTERVAL,
                first_seed=FIRST_SEED,
                seeds=SEEDS,
            ),
        )
        for setting in SETTINGS
        for cell in load_study(find_study(STUDY)).cells
        if cell.method == "two-parts"
    ]


@cache
def known_of(environment: str, demonstrations: str, held_out: float) -> Known:
    loaded = load_demonstrations(demonstrations)
    training = loaded.split_held_out(held_out, SPLIT_SEED).training if held_out > 0 else loaded
    statistics = training.statistics()
    return Known(loaded, (statistics.mean, statistics.std), random_observations(environment))


def random_observations(environment: str) -> np.ndarray:
    """[RANDOM_STEPS, O] float32: what uniformly random actions see."""
    random = np.random.default_rng(RANDOM_SEED)
    seen = []
    with gymnasium.make(environment) as made:
        space = made.action_space
        assert isinstance(space, gymnasium.spaces.Box)
        observation, _ = made.reset(seed=RANDOM_SEED)
        for _ in range(RANDOM_STEPS):
            seen.append(observation)
            observation, _, terminated, truncated, _ = made.step(random.uniform(space.low, space.high))
            if terminated or truncated:
                observation, _ = made.reset()
    return np.asarray(seen, np.float32)


def change(setting: str, known: Known) -> Changed:
    centre, scale = SETTINGS[setting](known)
    return lambda observation: np.asarray((observation - centre) / scale, np.float32)


def common_part(changed: np.ndarray) -> float:
    """Of changed observations [n, O]: the share of their mean square that is the same in all of them."""
    return float(
        np.sum(np.square(changed.mean(axis=0, dtype=np.float64))) / np.mean(np.sum(np.square(changed), axis=1))
    )


def given(cell: Cell) -> dict[str, Any]:
    """The environment and the demonstrations as the networks of a cell see them."""
    name = cell.config.environment
    known = known_of(name, cell.config.demonstrations, cell.config.held_out)
    changed = change(cell.method, known)

    def make(**keywords: Any) -> gymnasium.Env:
        made = gymnasium.make(name, **keywords)
        size = made.observation_space.shape
        return gymnasium.wrappers.TransformObservation(
            made, changed, gymnasium.spaces.Box(-np.inf, np.inf, size, np.float32)
        )

    seen = known.demonstrations
    demonstrations = dataclasses.replace(seen, observation=changed(seen.observation), successor=changed(seen.successor))
    return {"environment": make, "demonstrations": demonstrations}


def write_inputs(out: Path, wanted: list[Cell]) -> None:
    path = out / f"{KEPT}-inputs.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "environment", "common_part"))
        for cell in wanted:
            known = known_of(cell.config.environment, cell.config.demonstrations, cell.config.held_out)
            share = common_part(change(cell.method, known)(known.random))
            writer.writerow((cell.method, cell.environment, f"{share:.3f}"))
    print(f"written: {path}")


def main() -> None:
    parser = script_parser(__doc__, "SETTING/ENVIRONMENT")
    options = parser.parse_args()
    wanted = cells()
    done = ended(wanted, options, NAME, given)
    if not done:
        parser.error(f"no run has ended under {options.store}")
    options.out.mkdir(parents=True, exist_ok=True)
    keep(options.out, KEPT, [(cell, load_run(folder(cell, options.store, NAME))) for cell in done], None)
    write_inputs(options.out, wanted)


if __name__ == "__main__":
    main()
