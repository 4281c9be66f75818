"""Evaluations: measures where actions are not in [-1, 1], and what an unfinished episode counts as."""

import numpy as np

from credo.config import DiscriminatorConfig, RunConfig, TD3Config
from credo.demonstrations import from_episodes
from credo.environments import environment_spec, make_environment, rollout_episodes
from credo.training.evaluate import divided, evaluate, expert_probability
from credo.training.seed import make_seed
from credo.training.state import initial_state, make_parts, policy_of
from credo.training.stopping import Stop

CONFIG = RunConfig(
    environment="Pendulum-v1",
    steps=64,
    evaluation_episodes=2,
    held_out=0.0,
    td3=TD3Config(hidden=(8,)),
    discriminator=DiscriminatorConfig(hidden=(8,)),
)


def made(episodes):
    environment = make_environment("Pendulum-v1")
    spec = environment_spec(environment, "Pendulum-v1")
    environment.close()
    parts = make_parts(CONFIG, spec)
    demonstrations = from_episodes(episodes, environment="Pendulum-v1", source="test")
    return parts, *divided(parts, demonstrations)


def test_a_policy_judged_by_its_own_episodes_makes_no_error():
    start = rollout_episodes("Pendulum-v1", lambda o: np.zeros((len(o), 1), np.float32), 2, seed=0)
    parts, constants, _ = made(start)
    state = initial_state(parts, 0)
    policy = policy_of(parts, constants, state, {})
    assert policy.action_high[0] == 2.0
    own = rollout_episodes("Pendulum-v1", policy.normalised_action, 2, seed=0)
    held_out = made(own)[2]
    seed = make_seed(CONFIG, "Pendulum-v1", 0, state)
    row = evaluate(parts, constants, seed, state, policy, held_out, expert_probability(parts), Stop())
    assert row["action_error"] < 1e-5
    assert row["occupancy_distance"] < 0.05
    assert row["length_mean"] == 200
    assert 0 < row["expert_probability_held_out"] < 1


def test_an_episode_that_was_cut_does_not_count_as_a_fall():
    whole = rollout_episodes("Pendulum-v1", lambda o: np.zeros((len(o), 1), np.float32), 2, seed=0)
    cut = whole[0]._replace(
        observation=whole[0].observation[:51], action=whole[0].action[:50], reward=whole[0].reward[:50]
    )
    assert made([cut, whole[1]])[2].lengths.tolist() == [200, 200]
    fallen = cut._replace(terminated=True, truncated=False)
    assert made([fallen, whole[1]])[2].lengths.tolist() == [50, 200]


def test_a_subsampled_episode_that_ended_early_still_counts_as_a_fall():
    """Its last row, which said so, may be among those left out."""
    whole = rollout_episodes("Pendulum-v1", lambda o: np.zeros((len(o), 1), np.float32), 2, seed=0)
    fallen = (
        whole[0]
        ._replace(observation=whole[0].observation[:51], action=whole[0].action[:50], reward=whole[0].reward[:50])
        ._replace(terminated=True, truncated=False)
    )
    parts = made(whole)[0]
    thin = from_episodes([fallen, whole[1]], environment="Pendulum-v1", source="test").subsample(7, seed=0)
    assert not thin.terminated.any()
    assert divided(parts, thin)[1].lengths.tolist() == [50, 200]
    # One that was only cut off counts as whole, whichever rows are left of it.
    cut = fallen._replace(terminated=False, truncated=True)
    thin = from_episodes([cut, whole[1]], environment="Pendulum-v1", source="test").subsample(7, seed=0)
    assert divided(parts, thin)[1].lengths.tolist() == [200, 200]
    assert divided(parts, thin)[1].rows.tolist() == thin.rows_per_episode.tolist()
