"""Put a trained policy among the shipped experts, with a card measured here.

    python scripts/ship_expert.py RUN --name hopper-expert --seed 1 [--which best] [--episodes 50]

Also keeps the run's evaluations and exact command in results/experts/NAME/.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from keep_results import keep

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

    keep(options.run, RESULTS / options.name)
    print(json.dumps({"mean": card.return_mean, "std": card.return_std, "min": card.return_min}), card.weights)


if __name__ == "__main__":
    main()
