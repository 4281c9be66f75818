"""CREDO-TD3-GAIL imitates on a point mass, told nothing of the reward."""

import dataclasses

import numpy as np
import pytest

from credo import run_folder, run_rows
from credo.config import (
    CredoConfig,
    DDPGConfig,
    DiscriminatorConfig,
    PPOConfig,
    RunConfig,
    SACConfig,
    SD3Config,
    TD3Config,
)
from credo.demonstrations import from_episodes
from credo.environments import rollout_episodes
from credo.environments.probes import PointMass, point_mass_expert
from credo.learners import LEARNERS
from credo.policies import load_policy
from credo.random import Purpose
from training.training_runs import run

CONFIG = RunConfig(
    environment="PointMass",
    demonstrations="given",
    steps=6144,
    random_steps=512,
    learning_starts=512,
    evaluation_interval=1024,
    evaluation_episodes=5,
    checkpoint_interval=10**9,
    execution="threads",
    # Low enough for samples to be filtered in so short a run.
    credo=CredoConfig(mode="filter", threshold=0.8, threshold_unit="probability", reading="resample"),
    discriminator=DiscriminatorConfig(
        hidden=(32,), learning_rate=3e-3, batch_size=64, updates_per_round=16, gradient_penalty=10.0
    ),
    ddpg=DDPGConfig(hidden=(64, 64), actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=64, discount=0.95),
    sd3=SD3Config(
        hidden=(64, 64),
        actor_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        batch_size=64,
        discount=0.95,
        noise_samples=8,
    ),
    td3=TD3Config(hidden=(64, 64), actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=64, discount=0.95),
    sac=SACConfig(hidden=(64, 64), actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=64, discount=0.95),
)
OF_LEARNER = {
    # It needs about ten times the samples, and rounds of many steps.
    "ppo": {
        "steps": 61_440,
        "steps_per_round": 1024,
        "environments_per_seed": 8,
        "evaluation_interval": 10_240,
        "ppo": PPOConfig(actor_learning_rate=1e-3, critic_learning_rate=3e-3, discount=0.95, normalise_rewards=True),
    }
}
MARGIN = 0.5
"""Share of the way from the random policy's return to the expert's that the imitator must have gone."""


def mean_return(policy, episodes=20):
    played = rollout_episodes(PointMass, policy, episodes, seed=11, purpose=Purpose.EVALUATION)
    return np.mean([episode.reward.sum() for episode in played])


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_imitator_is_far_better_than_chance(learner, tmp_path):
    episodes = rollout_episodes(PointMass, point_mass_expert, 10, seed=0, purpose=Purpose.DEMONSTRATIONS)
    config = dataclasses.replace(CONFIG, learner=learner, **OF_LEARNER.get(learner, {}))
    assert run(tmp_path / "run", config, PointMass, from_episodes(episodes, "PointMass")) == "done"
    policy = load_policy(run_folder.policy_path(tmp_path / "run", 0))
    generator = np.random.default_rng(0)
    chance = mean_return(lambda observation: generator.uniform(-1, 1, (len(observation), 2)))
    expert = mean_return(point_mass_expert)
    imitator = mean_return(policy.normalised_action)
    assert imitator > chance + MARGIN * (expert - chance), (chance, imitator, expert)
    metrics = run_rows.read_parts(tmp_path / "run", run_folder.METRICS)
    assert np.nanmax(metrics["filtered_share"]) > 0, "CREDO acts"
