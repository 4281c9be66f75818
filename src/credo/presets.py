"""Named sets of settings. ``fast`` is the default; each other one says what it reproduces."""

from __future__ import annotations

import dataclasses

from credo.config import CredoConfig, DiscriminatorConfig, PPOConfig, RunConfig, TD3Config
from credo.types import CredoError

_PAPER = RunConfig(
    learner="td3",
    reward="plr",
    steps=3_000_000,
    seeds=11,
    normalise_observations=False,
    steps_per_round=64,
    updates_per_round=64,
    replay_capacity=1_000_000,
    random_steps=10_000,
    learning_starts=0,
    evaluation_interval=5_000,
    evaluation_episodes=5,
    demonstrations="hopper-expert:1000",
    credo=CredoConfig(mode="filter", threshold=5.0, reading="resample"),
    discriminator=DiscriminatorConfig(
        hidden=(100, 100),
        activation="tanh",
        learning_rate=3e-4,
        batch_size=128,
        updates_per_round=1,
        regularisers=(),
    ),
    td3=TD3Config(
        hidden=(400, 300),
        actor_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        batch_size=128,
        exploration_noise=0.1,
        preactivation_penalty=0.0,
    ),
)

_PAPER_PPO = dataclasses.replace(
    _PAPER,
    learner="ppo",
    environments_per_seed=8,
    steps_per_round=2048,
    credo=CredoConfig(mode="off"),
    discriminator=dataclasses.replace(_PAPER.discriminator, updates_per_round=32),
    ppo=PPOConfig(hidden=(100, 100), minibatch_size=128, normalise_rewards=True),
    # Unused: as at the start, so that no line is spent on them.
    replay_capacity=RunConfig.replay_capacity,
    updates_per_round=RunConfig.updates_per_round,
    random_steps=RunConfig.random_steps,
    learning_starts=RunConfig.learning_starts,
)

EXPERT = RunConfig(
    demonstrations="",
    learner="sac",
    reward="environment",
    steps=300_000,
    random_steps=5_000,
)
"""What ``credo expert`` starts from."""

PRESETS: dict[str, RunConfig] = {
    "fast": RunConfig(),
    "paper": _PAPER,
    "paper-ppo": _PAPER_PPO,
}

DESCRIPTIONS: dict[str, str] = {
    "fast": "what a new user should run: normalised observations, gradient penalty, wide exploration, no saturation",
    "paper": "the paper's settings (Table 2, and for what it leaves open the same family of code); many seeds die",
    "paper-ppo": "the paper's PPO-GAIL, without CREDO; discriminator as in paper, PPO's own settings the usual ones",
}


def preset(name: str) -> RunConfig:
    """The settings of a preset; CredoError lists the names there are."""
    if name not in PRESETS:
        raise CredoError(f"preset: {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]
