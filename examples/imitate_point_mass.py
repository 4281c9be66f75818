"""Imitate a hand-written expert on an environment of your own, in well under a minute.

    python examples/imitate_point_mass.py [OUT] [STEPS]

The environment is a factory, the demonstrations are rolled out of a plain function, and the settings are small.
"""

import sys
from pathlib import Path

import numpy as np

import credo
from credo.demonstrations import generate_demonstrations
from credo.environments import rollout_episodes
from credo.environments.probes import PointMass, point_mass_expert


def mean_return(policy) -> float:
    """Mean return of a function from [B, O] observations to [B, A] actions over 20 episodes."""
    episodes = rollout_episodes(PointMass, policy, 20, seed=123)
    return float(np.mean([episode.reward.sum() for episode in episodes]))


def main(out: Path, steps: int = 6_400) -> None:
    demonstrations = generate_demonstrations(PointMass, point_mass_expert, episodes=10)
    run = credo.imitate(
        environment=PointMass,
        demonstrations=demonstrations,
        out=out,
        steps=steps,
        seeds=2,
        random_steps=500,
        learning_starts=500,
        evaluation_interval=1_600,
        td3={"hidden": (64, 64)},
        discriminator={"hidden": (64, 64), "updates_per_round": 32},
    )
    random = np.random.default_rng(0)
    print(
        f"random    {mean_return(lambda o: random.uniform(-1, 1, (len(o), 2))[:, : demonstrations.action_size]):8.1f}"
    )
    print(f"expert    {mean_return(point_mass_expert):8.1f}")
    for seed in run.config.seed_numbers:
        print(f"imitator {seed} {mean_return(run.policy(seed).normalised_action):8.1f}")
    print(f"curves: {run.folder / 'curves.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/point-mass"), *map(int, sys.argv[2:3]))
