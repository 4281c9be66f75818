"""Play the policies that a study's runs have kept from starts that none was chosen by, and keep what they return.

    python scripts/kept_policies.py STUDY [--store runs] [--out results/stability] [--only CELL ...] [--episodes 20]

A run's own number of its kept policy is that of the evaluation it was chosen in, on the same few starts every time: of
many evaluations on five starts the best is better than the policy is. Writes OUT/STUDY-kept.csv, one row a seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keep_study import Files, chosen_runs, study_parser, write

from credo.api import Run
from credo.cli.runs import EvaluateOptions
from credo.environments import rollout_episodes
from credo.reports.load import LoadedRun
from credo.studies.study import Cell

FRESH = EvaluateOptions.evaluation_seed
"""The first seed of the starts: beyond any that a run is trained or evaluated with."""
COLUMNS = ("kept_step", "episodes", "mean", "std", "least", "below_half")


def row_of(cell: Cell, run: LoadedRun, seed: int, episodes: int) -> list[Any]:
    """Returns of a seed's kept policy; below_half: episodes below half of the expert's mean return. Nothing where the
    run's policy is of later steps than the study's."""
    place, step = [cell.method, cell.environment, seed], run.seed_summary(seed).get("selected_step")
    if step is None:
        return [*place, "", 0, "", "", "", ""]
    policy = Run(run.folder).policy(seed)
    played = rollout_episodes(run.config.environment, policy.normalised_action, episodes, FRESH + seed)
    returns = np.array([episode.reward.sum(dtype=np.float64) for episode in played])
    low = "" if run.expert_return is None else int((returns < run.expert_return / 2).sum())
    return [*place, step, episodes, *(f"{f(returns):.1f}" for f in (np.mean, np.std, np.min)), low]


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--episodes", type=int, default=20)
    options = parser.parse_args()
    study, runs = chosen_runs(parser, options)
    for cell, run in runs:
        rows = [row_of(cell, run, seed, options.episodes) for seed in run.seeds]
        write(Files(options.out, study.name, {(cell.method, cell.environment)}), "kept", COLUMNS, rows)


if __name__ == "__main__":
    main()
