"""CREDO-TD3-GAIL imitates on a point mass, told nothing of the reward."""

import dataclasses

import numpy as np
import pytest
from training.training_runs import run

from credo import run_folder
from credo.config import CredoConfig, DiscriminatorConfig, RunConfig, SACConfig, TD3Config
from credo.demonstrations import from_episodes
from credo.environments import rollout_episodes
from credo.environments.probes import PointMass, point_mass_expert
from credo.learners import LEARNERS
from credo.policies import load_policy
from credo.random import Purpose

CONFIG = RunConfig(
    environment="PointMass",
    demonstrations="given",
    steps=4096,
    random_steps=512,
    learning_starts=512,
    evaluation_interval=1024,
    evaluation_episodes=5,
    checkpoint_interval=10**9,
    execution="threads",
    credo=CredoConfig(mode="filter", threshold=5.0, reading="resample"),
    discriminator=DiscriminatorConfig(hidden=(64,), batch_size=64, updates_per_round=32),
    td3=TD3Config(
        hidden=(64, 64), actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=64, discount=0.95
    ),
    sac=SACConfig(hidden=(64, 64), actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=64, discount=0.95),
)
MARGIN = 0.5
"""Share of the way from the random policy's return to the expert's that the imitator must have gone."""


def mean_return(policy, episodes=20):
    played = rollout_episodes(PointMass, policy, episodes, seed=11, purpose=Purpose.EVALUATION)
    return np.mean([episode.reward.sum() for episode in played])


@pytest.mark.parametrize("mode", ["filter", "both"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_the_imitator_is_far_better_than_chance(learner, mode, tmp_path):
    if mode == "both" and learner != "td3":
        pytest.skip("the modes are told apart by one learner")
    episodes = rollout_episodes(
        PointMass, point_mass_expert, 10, seed=0, purpose=Purpose.DEMONSTRATIONS
    )
    config = dataclasses.replace(CONFIG, learner=learner, credo=dataclasses.replace(CONFIG.credo, mode=mode))
    assert run(tmp_path / "run", config, PointMass, from_episodes(episodes, "PointMass")) == "done"
    policy = load_policy(run_folder.policy_path(tmp_path / "run", 0))
    generator = np.random.default_rng(0)
    chance = mean_return(lambda observation: generator.uniform(-1, 1, (len(observation), 2)))
    expert = mean_return(point_mass_expert)
    imitator = mean_return(policy.normalised_action)
    assert imitator > chance + MARGIN * (expert - chance), (chance, imitator, expert)
    last = run_folder.read_parts(tmp_path / "run", run_folder.EVALUATIONS)
    assert last["success_rate"].max() > 0
