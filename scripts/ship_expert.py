"""Put a trained policy among the shipped experts, with a card measured here.

    python scripts/ship_expert.py NAME RUN --seed 1 [--policy FILE] [--also Hopper-v4] [--episodes 100]
    python scripts/ship_expert.py NAME [--also Hopper-v4] [--episodes 100]

FILE: a policy that the run kept at some time, such as one of early training; default: the best of the run. The run's
evaluations and exact command are kept in results/experts/NAME/. Without RUN a shipped expert's card is measured anew.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from keep_results import keep

from credo import experts, run_folder
from credo.api import Run
from credo.config import identity
from credo.environments import rollout_episodes
from credo.policies import Policy, load_policy

RESULTS = Path(__file__).parents[1] / "results" / "experts"
EVALUATION_SEED = 2_000_000


def measured(policy: Policy, environment: str, episodes: int) -> dict:
    """Undiscounted returns of the deterministic policy, as a card has them."""
    found = rollout_episodes(environment, policy.normalised_action, episodes, EVALUATION_SEED)
    returns = np.array([episode.reward.sum(dtype=np.float64) for episode in found])
    numbers = {"return_mean": returns.mean(), "return_std": returns.std(), "return_min": returns.min()}
    return {name: float(value) for name, value in numbers.items()} | {"episodes": episodes}


def of_run(name: str, run: Path, seed: int, policy: Policy) -> experts.ExpertCard:
    """A card without its measurements."""
    config, stored = run_folder.read_config(run)
    return experts.ExpertCard(
        name=name,
        environment=config.environment,
        algorithm=config.learner,
        config=identity(config),
        seed=seed,
        steps=int(policy.metadata["steps"]),
        versions=stored["versions"],
        **dict.fromkeys(("return_mean", "return_std", "return_min"), 0.0),
        episodes=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--also", nargs="*", default=[], help="environments with the same observations")
    parser.add_argument("--episodes", type=int, default=100)
    options = parser.parse_args()

    if options.run is None:
        policy, card = experts.load_expert(options.name)
    else:
        if options.seed is None:
            parser.error("--seed is needed with a run")
        policy = load_policy(options.policy) if options.policy else Run(options.run).policy(options.seed, "best")
        card = of_run(options.name, options.run, options.seed, policy)
        keep(options.run, RESULTS / options.name)
    elsewhere = {environment: measured(policy, environment, options.episodes) for environment in options.also}
    card = replace(card, **measured(policy, card.environment, options.episodes), elsewhere=elsewhere)
    if options.run is None:
        experts.write_card(card, experts.FOLDER)
    else:
        card = experts.write_expert(policy, card, experts.FOLDER)
    print(json.dumps({name: getattr(card, name) for name in ("return_mean", "return_std", "return_min", "elsewhere")}))


if __name__ == "__main__":
    main()
