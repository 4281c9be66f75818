"""Learners of a replay swing a pendulum up, from the environment's own reward: a Gymnasium task whose every episode is
cut off by its time limit."""

import numpy as np
import pytest

from credo import run_folder
from credo.config import DDPGConfig, RunConfig, SACConfig, SD3Config, TD3Config
from credo.environments import rollout_episodes
from credo.policies import load_policy
from credo.random import Purpose
from training.training_runs import run

RATES = {"hidden": (64, 64), "actor_learning_rate": 1e-3, "critic_learning_rate": 1e-3, "batch_size": 128}
SWINGING = -250.0
"""Mean return of an episode: what does nothing, or moves at random, gets about -1,200; the best known about -150."""


@pytest.mark.parametrize("learner", ["ddpg", "td3", "sd3", "sac"])
def test_the_pendulum_is_swung_up(learner, tmp_path):
    config = RunConfig(
        environment="Pendulum-v1",
        demonstrations="",
        reward="environment",
        learner=learner,
        steps=8_192,
        random_steps=1_000,
        evaluation_interval=8_192,
        evaluation_episodes=1,
        checkpoint_interval=10**9,
        execution="threads",
        ddpg=DDPGConfig(**RATES),
        td3=TD3Config(**RATES),
        sd3=SD3Config(**RATES, noise="sobol", noise_samples=8),
        sac=SACConfig(**RATES),
    )
    assert run(tmp_path / "run", config, "Pendulum-v1") == "done"
    policy = load_policy(run_folder.policy_path(tmp_path / "run", 0, "last"))
    episodes = rollout_episodes("Pendulum-v1", policy.normalised_action, 20, seed=11, purpose=Purpose.EVALUATION)
    found = np.mean([episode.reward.sum() for episode in episodes])
    assert found > SWINGING
