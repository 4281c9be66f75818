"""Everything that a run needs to know, and what of it determines a seed's numbers."""

from __future__ import annotations

import hashlib
import json
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from credo.config.codec import rebuild, to_dict
from credo.config.credo import CredoConfig
from credo.config.discriminator import DiscriminatorConfig
from credo.config.learners import SACConfig, TD3Config
from credo.config.limits import Count, Frames, Positive, Seeds, Share, Steps, WholeNumber

LearnerName = Literal["td3", "sac"]
RewardName = Literal["plr", "plr-literal", "cr", "r3", "r4", "r5", "r6", "r7", "r8", "environment"]

_named = tyro.conf.arg


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run needs to know."""

    environment: Annotated[str, _named(name="env")] = "Hopper-v5"
    """Gymnasium id, or module:Id for an environment of your own."""
    observation_keys: tuple[str, ...] = ()
    """Entries of Dict observations that are shown, flattened and joined in this order. Needed for such environments."""
    frame_stack: Frames = 1
    """Observations shown at once (frames): the last ones, oldest first; an episode's first fills the stack.
    Demonstrations of single frames are stacked too."""
    demonstrations: Annotated[str, _named(name="demos")] = "hopper-expert"
    """A demonstrations file, or a shipped expert: NAME, NAME:EPISODES, with @subsample=N for every Nth transition.
    Unused with --reward environment."""
    learner: LearnerName = "td3"
    """The policy's learner."""
    reward: RewardName = "plr"
    """The policy's reward as a function of the logit; environment: the environment's own, without a discriminator."""
    steps: Steps = 100_000
    """Environment steps per seed."""
    seeds: Seeds = 1
    """Independent seeds trained side by side."""
    first_seed: WholeNumber = 0
    """The seeds are first-seed, first-seed + 1, ..."""
    normalise_observations: bool = True
    """Shift and scale observations by the demonstrations' mean and standard deviation."""
    held_out: Share = 0.1
    """Share of the demonstrations' episodes kept from training, for the reward-free measures."""
    environments_per_seed: Count = 1
    """Environments stepped side by side for each seed."""
    steps_per_round: Count = 64
    """Environment steps per round and seed (the paper's update frequency)."""
    updates_per_round: WholeNumber = 64
    """Policy updates per round; 0: none."""
    replay_capacity: Count = 1_000_000
    """Transitions kept per seed (transitions; never more than the steps)."""
    random_steps: WholeNumber = 1_000
    """Steps with uniformly random actions at the start, per seed."""
    learning_starts: WholeNumber = 1_000
    """Steps before the first update of discriminator and policy, per seed; 0: from the first round."""
    evaluation_interval: Count = 5_000
    """Steps between evaluations, per seed."""
    evaluation_episodes: Count = 5
    """Episodes of the deterministic policy in an evaluation."""
    checkpoint_interval: Count = 25_000
    """Steps between checkpoints, per seed."""
    execution: Literal["auto", "threads", "vmap"] = "auto"
    """How seeds share the machine. threads: one compiled round per seed, seeds on all cores (fastest on a CPU); vmap:
    one compiled round for all seeds (for a GPU); auto: by the device."""
    environment_workers: WholeNumber = 0
    """Worker processes that hold the environments; 0: they run in this process. The numbers are the same. With workers,
    a simulator that hangs or crashes freezes its seed and leaves the others alone."""
    environment_timeout: Positive | None = None
    """Seconds that one step or reset may take before the worker is ended and the seed frozen; needs
    --environment-workers. Default: no limit."""
    seed_replay: str | None = None
    """Demonstrations file of logged transitions that each seed's replay begins with."""
    credo: Annotated[CredoConfig, tyro.conf.arg(name="")] = field(default_factory=CredoConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    td3: TD3Config = field(default_factory=TD3Config)
    sac: SACConfig = field(default_factory=SACConfig)

    @property
    def rounds(self) -> int:
        """Whole rounds in ``steps``."""
        return self.steps // self.steps_per_round

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        return tuple(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def adversarial(self) -> bool:
        """Whether a discriminator gives the reward."""
        return self.reward != "environment"

    @property
    def learner_config(self) -> TD3Config | SACConfig:
        return getattr(self, self.learner)


# Settings that do not change a seed's numbers.
_NOT_IDENTITY = (
    "steps",
    "seeds",
    "first_seed",
    "checkpoint_interval",
    "execution",
    "demonstrations",
    "environment_workers",
    "environment_timeout",
    "seed_replay",
)


def identity(config: RunConfig, demonstrations_sha256: str = "", seed_replay_sha256: str = "") -> dict[str, Any]:
    """The settings that determine a seed's numbers; other learners' settings and unused parts are left out."""
    tree = to_dict(config)
    for name in _NOT_IDENTITY:
        del tree[name]
    for name in typing.get_args(LearnerName):
        if name != config.learner:
            del tree[name]
    if not config.adversarial:
        for name in ("credo", "discriminator", "held_out", "normalise_observations"):
            del tree[name]
    elif config.credo.mode == "off":
        tree["credo"] = {"mode": "off"}
    if not config.observation_keys:
        del tree["observation_keys"]
    if config.frame_stack == 1:
        del tree["frame_stack"]
    tree["demonstrations_sha256"] = demonstrations_sha256
    if seed_replay_sha256:
        tree["seed_replay_sha256"] = seed_replay_sha256
    return tree


def run_id(config: RunConfig, demonstrations_sha256: str = "", seed_replay_sha256: str = "") -> str:
    """Twelve hexadecimal digits that name what determines a run's numbers."""
    text = json.dumps(identity(config, demonstrations_sha256, seed_replay_sha256), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_dict(tree: dict[str, Any], where: str = "config") -> RunConfig:
    """The settings that ``to_dict`` wrote; CredoError on an unknown name or a wrong type."""
    return rebuild(tree, RunConfig, where)
