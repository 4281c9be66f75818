"""Named sets of settings: the default, what it is compared with, and what reproduces others' work."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from credo.config import (
    CredoConfig,
    DDPGConfig,
    DeterministicConfig,
    DiscriminatorConfig,
    PPOConfig,
    RunConfig,
    SACConfig,
    SD3Config,
    TD3Config,
)
from credo.types import CredoError

Deterministic = TypeVar("Deterministic", bound=DeterministicConfig)
Learning = TypeVar("Learning", bound=DeterministicConfig | SACConfig)


def _at_the_papers_rates(settings: Deterministic) -> Deterministic:
    return replace(
        settings,
        hidden=(400, 300),
        actor_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        batch_size=128,
        exploration_noise=0.1,
        preactivation_penalty=0.0,
    )


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
    credo=CredoConfig(mode="off", threshold=5.0, reading="resample"),
    discriminator=DiscriminatorConfig(
        hidden=(100, 100),
        activation="tanh",
        learning_rate=3e-4,
        batch_size=128,
        updates_per_round=1,
        regularisers=(),
    ),
    ddpg=_at_the_papers_rates(DDPGConfig()),
    td3=_at_the_papers_rates(TD3Config()),
    sd3=_at_the_papers_rates(SD3Config()),
    sac=SACConfig(hidden=(256, 256), actor_learning_rate=3e-4, critic_learning_rate=3e-4, batch_size=256),
)
"""TD3-GAIL; the paper's other learners are one field away."""

_CREDO = replace(_PAPER.credo, mode="filter")
_SAM = replace(
    _PAPER,
    learner="ddpg",
    steps=1_000_000,
    seeds=5,
    # The authors' code searches the batch size and the discount at random: these lie in its ranges.
    ddpg=DDPGConfig(
        hidden=(64, 64),
        actor_learning_rate=1e-4,
        critic_learning_rate=1e-3,
        batch_size=128,
        discount=0.99,
        target_rate=0.01,
        exploration_noise=0.2,
        preactivation_penalty=0.0,
        actor_gradient_clip=5.0,
        layer_norm="both",
    ),
    discriminator=replace(
        _PAPER.discriminator, hidden=(64, 64), regularisers=("gradient-penalty",), gradient_penalty=10.0
    ),
)

_PAPER_PPO = replace(
    _PAPER,
    learner="ppo",
    environments_per_seed=8,
    steps_per_round=2048,
    credo=CredoConfig(mode="off"),
    discriminator=replace(_PAPER.discriminator, updates_per_round=32),
    ppo=PPOConfig(hidden=(100, 100), minibatch_size=128, normalise_rewards=True),
    # Unused: as at the start, so that no line is spent on them.
    replay_capacity=RunConfig.replay_capacity,
    updates_per_round=RunConfig.updates_per_round,
    random_steps=RunConfig.random_steps,
    learning_starts=RunConfig.learning_starts,
)

_HUNDREDTH = 0.0173
"""Our last layers begin uniform within +- 1 / sqrt(inputs); this makes their standard deviation 0.01 / sqrt(inputs)."""

# Kostrikov et al. 2019, Discriminator-Actor-Critic (arXiv 1809.02925), and the authors' code (google-research/dac:
# gail.py, ddpg_td3.py, common.py, lfd_training_worker.py): networks, learning rates, batch of 100, penalty 10, reward
# "airl" (the logit), absorbing states, the actor's gradient cut at 40 and its first update after 1,000 of the critics',
# every 20th transition of a few trajectories (4 here).
# The actor's last layer begins a hundredth of an orthogonal matrix, which is what last_layer_scale gives in size.
# Differs: rounds of 64 steps with as many updates of either side, where theirs are whole episodes; the other initial
# weights; the value of the absorbing state is its closed form; subsampling may drop the stays of demonstrations, which
# theirs keeps and weighs; the actor's learning rate is not halved every 100,000 steps; 1,000 random steps everywhere,
# where theirs are 10,000 on HalfCheetah and Ant.
_DAC = RunConfig(
    learner="td3",
    reward="cr",
    steps=1_000_000,
    seeds=5,
    demonstrations="hopper-expert:4@subsample=20",
    normalise_observations=False,
    steps_per_round=64,
    updates_per_round=64,
    random_steps=1_000,
    learning_starts=1_000,
    evaluation_interval=5_000,
    evaluation_episodes=10,
    credo=CredoConfig(mode="off"),
    discriminator=DiscriminatorConfig(
        hidden=(256, 256),
        activation="tanh",
        learning_rate=1e-3,
        batch_size=100,
        updates_per_round=64,
        regularisers=("gradient-penalty",),
        gradient_penalty=10.0,
        absorbing_states=True,
    ),
    td3=TD3Config(
        hidden=(400, 300),
        actor_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        batch_size=100,
        exploration_noise=0.1,
        preactivation_penalty=0.0,
        actor_gradient_clip=40.0,
        actor_starts=1_000,
        last_layer_scale=_HUNDREDTH,
    ),
)

# Hoffman et al. 2020, Acme (arXiv 2006.00979), the GAIL baseline of its repository (google-deepmind/acme:
# examples/baselines/imitation/run_gail.py, agents/jax/ail, agents/jax/td3); the discriminator is Orsini et al. 2021's.
# Its classification loss is a mean over both sides, half of ours: coefficient 10 of its penalty is 20 here.
# The actor's last layer begins with a standard deviation of 0.01 / sqrt(inputs), which is what last_layer_scale gives.
# Differs: every hidden layer of actor and critics is normalised and followed by ReLU, where theirs normalises the first
# alone, tanh behind it and ELU behind the second; every layer of the discriminator has exactly its share of the
# spectral norm, where theirs has at most that; rounds of 64 steps with as many updates of either side.
_ACME_GAIL = RunConfig(
    learner="td3",
    reward="plr",
    steps=1_000_000,
    demonstrations="hopper-expert:11",
    normalise_observations=False,
    steps_per_round=64,
    updates_per_round=64,
    random_steps=0,
    learning_starts=1_000,
    evaluation_interval=50_000,
    evaluation_episodes=10,
    credo=CredoConfig(mode="off"),
    discriminator=DiscriminatorConfig(
        hidden=(64,),
        learning_rate=1e-5,
        batch_size=256,
        updates_per_round=64,
        regularisers=("spectral-normalisation", "entropy", "gradient-penalty"),
        spectral_norm=1.0,
        entropy=1e-3,
        gradient_penalty=20.0,
    ),
    td3=TD3Config(
        hidden=(256, 256),
        batch_size=256,
        exploration_noise=0.1,
        preactivation_penalty=0.0,
        last_layer_scale=_HUNDREDTH,
        layer_norm="both",
    ),
)


def _robust(settings: Learning) -> Learning:
    return replace(
        settings,
        actor_learning_rate=1e-3,
        critic_learning_rate=1e-3,
        batch_size=64,
        target_rate=0.01,
        layer_norm="critic",
        cloning_weight=1.0,
    )


# What docs/stability.md arrives at, of each learner one setting for all environments. Against saturation the penalty
# before tanh, for fast and steady critics layer normalisation with larger steps, a steep gradient penalty, and an actor
# that clones too.
_ROBUST = RunConfig(
    discriminator=DiscriminatorConfig(batch_size=64, gradient_penalty=10.0),
    # One critic overestimates, the more the further it looks ahead.
    ddpg=replace(_robust(DDPGConfig()), exploration_noise=0.1, discount=0.95),
    td3=replace(_robust(TD3Config()), exploration_noise=0.1),
    sd3=replace(_robust(SD3Config()), exploration_noise=0.1, noise="sobol", noise_samples=8),
    sac=replace(_robust(SACConfig()), temperature_learning_rate=1e-3),
)

EXPERT = RunConfig(
    demonstrations="",
    learner="sac",
    reward="environment",
    steps=300_000,
    random_steps=5_000,
)
"""What ``credo expert`` and ``credo.train_expert`` start from."""
EXPERT_NAME = "expert"
"""Its name, as a preset of these alone."""

DEFAULT = "robust"
"""What ``credo imitate``, ``credo.imitate`` and studies start from."""

PRESETS: dict[str, RunConfig] = {
    "robust": _ROBUST,
    "robust-ddpg": replace(_ROBUST, learner="ddpg"),
    "robust-td3": _ROBUST,
    "robust-sd3": replace(_ROBUST, learner="sd3"),
    "robust-sac": replace(_ROBUST, learner="sac"),
    "fast": RunConfig(),
    "paper": replace(_PAPER, credo=_CREDO),
    "paper-ddpg": replace(_PAPER, learner="ddpg"),
    "paper-td3": _PAPER,
    "paper-sd3": replace(_PAPER, learner="sd3"),
    "paper-ppo": _PAPER_PPO,
    "paper-tssg": replace(_PAPER, learner="sac"),
    "paper-credo": replace(_PAPER, learner="sd3", credo=_CREDO),
    "sam": _SAM,
    "dgail": replace(_PAPER, learner="ddpg", reward="r4"),
    "dac": _DAC,
    "acme-gail": _ACME_GAIL,
}

DESCRIPTIONS: dict[str, str] = {
    "robust": "robust-td3: normalised critics, gradient penalty 10, no saturation, an actor that clones besides",
    "robust-ddpg": "the same with DDPG and, for its one critic, a discount of 0.95",
    "robust-td3": "the same as robust",
    "robust-sd3": "the same with SD3 (8 Sobol samples)",
    "robust-sac": "the same stabilisers with SAC, which has no output before tanh to penalise",
    "fast": "RunConfig() in Python: normalised observations, gradient penalty 1, wide exploration, no saturation",
    "paper": "paper-td3 with CREDO (filter, c = 5), the cheapest learner on which to see it act; many seeds die",
    "paper-ddpg": "the paper's DDPG-GAIL (Table 2, and for what it leaves open the same family of code)",
    "paper-td3": "the paper's TD3-GAIL, the same way",
    "paper-sd3": "the paper's SD3-GAIL, the same way",
    "paper-ppo": "the paper's PPO-GAIL, without CREDO; discriminator as in paper, PPO's own settings the usual ones",
    "paper-tssg": "the paper's TSSG: SAC inside GAIL, 64 steps per round, rewards from the newest discriminator",
    "paper-credo": "the paper's CREDO (Algorithm 1, c = 5) on SD3-GAIL, as in its Figures 5, 6, 10 and 11",
    "sam": "SAM (Blonde and Kalousis 2019): DDPG, gradient penalty; of its exploration and returns the plain kind "
    "(noise on actions, one step)",
    "dgail": "DGAIL (Zuo et al. 2020): DDPG with reward D (r4); what it leaves open as paper-ddpg",
    "dac": "discriminator-actor-critic: TD3 on the logit, gradient penalty 10, absorbing states",
    "acme-gail": "Acme's GAIL: TD3, a small discriminator with spectral normalisation, entropy bonus and penalty",
}


def preset(name: str) -> RunConfig:
    """The settings of a preset; CredoError lists the names there are."""
    if not isinstance(name, str) or name not in PRESETS:
        raise CredoError(f"preset: {name!r} is not one of {', '.join(PRESETS)}")
    return PRESETS[name]


def expert_preset(name: str) -> RunConfig:
    """What an expert is trained by: ``EXPERT`` by its name, or a preset's settings on the environment's reward."""
    return EXPERT if name == EXPERT_NAME else replace(preset(name), demonstrations="", reward="environment")
