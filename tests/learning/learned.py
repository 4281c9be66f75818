"""Short trainings on the environment's own reward, and what came of them."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from credo import networks
from credo.config import DDPGConfig, PPOConfig, RunConfig, SACConfig, SD3Config, TD3Config
from credo.learners import make_learner
from training.training_runs import run

SETTINGS = {
    "ddpg": DDPGConfig(
        hidden=(32,),
        actor_learning_rate=2e-3,
        critic_learning_rate=5e-3,
        batch_size=64,
        discount=0.9,
        target_rate=0.05,
        exploration_noise=0.3,
    ),
    "sd3": SD3Config(
        hidden=(32,),
        actor_learning_rate=2e-3,
        critic_learning_rate=5e-3,
        batch_size=64,
        discount=0.9,
        target_rate=0.05,
        exploration_noise=0.3,
        target_noise=0.05,
        noise_samples=8,
    ),
    "td3": TD3Config(
        hidden=(32,),
        actor_learning_rate=2e-3,
        critic_learning_rate=5e-3,
        batch_size=64,
        discount=0.9,
        target_rate=0.05,
        exploration_noise=0.3,
        target_noise=0.0,
    ),
    # Next to no temperature, so that values are the rewards' and not the entropy's.
    "sac": SACConfig(
        hidden=(32,),
        actor_learning_rate=2e-3,
        critic_learning_rate=5e-3,
        temperature_learning_rate=1e-6,
        initial_temperature=1e-3,
        batch_size=64,
        discount=0.9,
        target_rate=0.05,
    ),
    "ppo": PPOConfig(
        hidden=(32,),
        actor_learning_rate=2e-3,
        critic_learning_rate=1e-2,
        epochs=10,
        minibatch_size=16,
        discount=0.9,
        gae_lambda=0.9,
        gradient_clip=None,
    ),
}
TRACE = {"ppo": SETTINGS["ppo"].gae_lambda}
"""lambda of the returns that a learner's values are drawn to, where it is not 0."""
DISCOUNT = 0.9


class Learned(NamedTuple):
    """A trained learner on rows of observations."""

    learner: object
    state: object

    def value(self, observation, action=0.0):
        """The critic's value of each observation (a number or a row), and of the action where it has one."""
        rows = jnp.asarray(np.atleast_2d(np.asarray(observation, np.float32).T).T)
        if self.learner.q_value is None:
            critic = self.state.learner.critic
            return np.asarray(networks.apply(critic, rows, self.learner.activation))[:, 0]
        actions = jnp.full((len(rows), 1), action, jnp.float32)
        return np.asarray(self.learner.q_value(self.state.learner, rows, actions))

    def action(self, observation):
        rows = jnp.asarray(np.atleast_2d(np.asarray(observation, np.float32).T).T)
        return np.asarray(self.learner.mode(self.state.learner, rows))[:, 0]


def learn(folder, learner, source, steps=1536, lanes=1, **changes):
    """Train one seed on a probe's own reward."""
    config = RunConfig(
        environment="probe",
        demonstrations="",
        reward="environment",
        learner=learner,
        steps=steps,
        steps_per_round=64,
        environments_per_seed=lanes,
        updates_per_round=64,
        random_steps=256,
        learning_starts=128,
        evaluation_interval=10**9,
        evaluation_episodes=1,
        checkpoint_interval=10**9,
        execution="threads",
        **{learner: dataclasses.replace(SETTINGS[learner], **changes)},
    )
    kept = []
    ended = run(folder, config, source, on_round=lambda progress: kept.append(progress.seeds))
    assert ended == "done"
    (seed,) = kept[-1]
    assert seed.frozen is None
    spec = seed.environments.spec
    return Learned(make_learner(config, spec.observation_size, spec.action_size), seed.state)
