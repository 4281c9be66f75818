"""What isolates a learner of whole rollouts, and a task that it learns from the environment's own reward."""

import functools

import numpy as np
import pytest

from credo import run_folder, run_rows
from credo.config import PPOConfig, RunConfig
from credo.environments import rollout_episodes
from credo.environments.probes import PointMass, TimeLimitProbe, point_mass_expert
from credo.policies import load_policy
from credo.random import Purpose
from learning.learned import DISCOUNT, learn
from training.training_runs import run


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(("terminates", "right", "leaking"), [(False, 3.12, 2.0), (True, 0.82, 0.71)])
def test_no_advantage_passes_from_one_episode_to_the_one_before(terminates, right, leaking, lanes, tmp_path):
    """The reward comes at an episode's last step. A recursion that runs on over the end, whether the episode was cut or
    terminated, finds the second number."""
    probe = functools.partial(TimeLimitProbe, 5, terminates, late=True)
    learned = learn(tmp_path / "run", "ppo", probe, steps=2560, lanes=lanes, gae_lambda=1.0)
    value = learned.value([0.0])[0]
    assert probe().value(DISCOUNT, 1.0) == pytest.approx(right, abs=0.01)
    assert probe().value(DISCOUNT, 0.0) == pytest.approx(leaking, abs=0.01)
    assert abs(value - right) < 0.3 * abs(right - leaking)


def test_a_point_mass_is_brought_to_rest(tmp_path):
    config = RunConfig(
        environment="PointMass",
        demonstrations="",
        reward="environment",
        learner="ppo",
        steps=40_960,
        steps_per_round=1024,
        environments_per_seed=8,
        evaluation_interval=10_240,
        checkpoint_interval=10**9,
        execution="threads",
        ppo=PPOConfig(actor_learning_rate=1e-3, critic_learning_rate=3e-3, discount=0.95, normalise_rewards=True),
    )
    assert run(tmp_path / "run", config, PointMass) == "done"
    policy = load_policy(run_folder.policy_path(tmp_path / "run", 0, "last"))

    def mean_return(policy):
        played = rollout_episodes(PointMass, policy, 20, seed=11, purpose=Purpose.EVALUATION)
        return np.mean([episode.reward.sum() for episode in played])

    generator = np.random.default_rng(0)
    chance = mean_return(lambda observation: generator.uniform(-1, 1, (len(observation), 2)))
    expert, found = mean_return(point_mass_expert), mean_return(policy.normalised_action)
    assert found > chance + 0.7 * (expert - chance), (chance, found, expert)
    metrics = run_rows.read_parts(tmp_path / "run", run_folder.METRICS)
    assert np.mean(metrics["explained_variance"][-5:]) > 0.5
