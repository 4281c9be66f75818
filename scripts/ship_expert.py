"""Put a trained policy among the shipped experts, with a card measured here.

    python scripts/ship_expert.py RUN --name hopper-expert --seed 1 [--which best] [--episodes 50]

Also writes the run's evaluations and exact command to results/experts/NAME/.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from credo import experts, run_folder
from credo.api import Run
from credo.config import identity
from credo.environments import rollout_episodes

RESULTS = Path(__file__).parents[1] / "results" / "experts"
EVALUATION_SEED = 2_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--which", default="best")
    parser.add_argument("--episodes", type=int, default=50)
    options = parser.parse_args()

    run = Run(options.run)
    config, stored = run_folder.read_config(options.run)
    policy = run.policy(options.seed, options.which)
    episodes = rollout_episodes(config.environment, policy.normalised_action, options.episodes, EVALUATION_SEED)
    returns = np.array([episode.reward.sum(dtype=np.float64) for episode in episodes])
    card = experts.ExpertCard(
        name=options.name,
        environment=config.environment,
        algorithm=config.learner,
        config=identity(config),
        seed=options.seed,
        steps=int(policy.metadata["steps"]),
        versions=stored["versions"],
        return_mean=float(returns.mean()),
        return_std=float(returns.std()),
        return_min=float(returns.min()),
        episodes=options.episodes,
    )
    experts.FOLDER.mkdir(exist_ok=True)
    card = experts.write_expert(policy, card, experts.FOLDER)

    folder = RESULTS / options.name
    folder.mkdir(parents=True, exist_ok=True)
    evaluations = run.evaluations()
    names = ("seed", "step", "return_mean", "return_std", "return_min", "length_mean")
    with open(folder / "evaluations.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in zip(*[evaluations[name] for name in names], strict=True):
            writer.writerow([f"{value:.1f}" if isinstance(value, float | np.floating) else value for value in row])
    told = {
        "command": f"credo expert --env {config.environment} --steps {config.steps} --seeds {config.seeds}",
        "steps_done": run.summary["steps"],
        "wall_seconds": run.summary["wall_seconds"],
        "versions": stored["versions"],
        "shipped": {"seed": options.seed, "step": card.steps, "episodes": card.episodes},
        "return": {"mean": card.return_mean, "std": card.return_std, "min": card.return_min},
    }
    (folder / "run.json").write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told["return"]), card.weights)


if __name__ == "__main__":
    main()
