"""Everything that a run needs to know, and what of it determines a seed's numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from credo.config.codec import rebuild, to_dict
from credo.config.credo import CredoConfig
from credo.config.discriminator import DiscriminatorConfig, unused_settings
from credo.config.learners import BCConfig, DDPGConfig, PPOConfig, SACConfig, SD3Config, TD3Config
from credo.config.limits import Count, Frames, Positive, Seeds, Share, Steps, WholeNumber
from credo.config.names import REGISTERED, Choice, Kind, Names, plain_name
from credo.config.own import applied, named_settings, one_spelling
from credo.environment_name import canonical
from credo.types import CredoError, is_number

LearnerName = Literal["ddpg", "td3", "sd3", "sac", "ppo", "bc"]
ON_POLICY: tuple[LearnerName, ...] = ("ppo",)
"""Learners that learn from the steps of the round alone."""
UNUSED_ON_POLICY = ("updates_per_round", "random_steps", "learning_starts")
"""Settings that such a learner has no use for; nor for a replay, where its discriminator has none."""
RewardName = Literal["plr", "plr-literal", "cr", "r3", "r4", "r5", "r6", "r7", "r8", "fairl", "environment"]

_LEARNERS = Names("learner", typing.get_args(LearnerName))
_REWARDS = Names("reward", typing.get_args(RewardName))
_named = tyro.conf.arg


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run needs to know."""

    environment: Annotated[str, _named(name="env")] = "Hopper-v5"
    """Gymnasium id, or module:Id for an environment of your own; with its arguments: Id,argument=value,..."""
    observation_keys: tuple[str, ...] = ()
    """Entries of Dict observations that are shown, flattened and joined in this order. Needed for such environments."""
    frame_stack: Frames = 1
    """Observations shown at once (frames): the last ones, oldest first; an episode's first fills the stack.
    Demonstrations of single frames are stacked too."""
    demonstrations: Annotated[str, _named(name="demos")] = "hopper-expert"
    """A demonstrations file or folder of any format, minari:ID, or a shipped expert: NAME, NAME:EPISODES; with
    @subsample=N for every Nth transition, @keys=NAME,NAME where a format has several observations, @mask=NAME for one
    of the parts that robomimic divides episodes into.
    Unused with --reward environment."""
    learner: Annotated[str, _LEARNERS, Choice(_LEARNERS)] = "td3"
    """The policy's learner; bc: behavioural cloning alone, which takes no environment steps."""
    learner_settings: tuple[str, ...] = ()
    """Settings of a plug-in's learner, NAME=VALUE, that change those it is registered with; --help with --plugin lists
    them. Quote lists: 'hidden=[64,64]'."""
    warm_start: Literal["none", "bc"] = "none"
    """What the actor starts as. none: random weights; bc: a clone of the demonstrations (see the settings of bc)."""
    reward: Annotated[str, _REWARDS, Choice(_REWARDS)] = "plr"
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
    ddpg: DDPGConfig = field(default_factory=DDPGConfig)
    td3: TD3Config = field(default_factory=TD3Config)
    sd3: SD3Config = field(default_factory=SD3Config)
    sac: SACConfig = field(default_factory=SACConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    bc: BCConfig = field(default_factory=BCConfig)

    @property
    def rounds(self) -> int:
        """Whole rounds in ``steps``."""
        return self.steps // self.steps_per_round

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        return tuple(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def imitates(self) -> bool:
        """Whether it learns from demonstrations."""
        return self.reward != "environment"

    @property
    def adversarial(self) -> bool:
        """Whether a discriminator gives the reward."""
        return self.imitates and not self.clones

    @property
    def clones(self) -> bool:
        """Whether it is behavioural cloning alone, whose steps are minibatches."""
        return self.learner == "bc"

    @property
    def needs_clone(self) -> bool:
        """Whether the demonstrations are cloned: alone, or as a warm start."""
        return self.clones or self.warm_start == "bc"

    @property
    def cloning_weight(self) -> float:
        """Weight of the cloning loss in the actor's; 0 for a learner without one, and without demonstrations. A
        plug-in's may have one, too (``credo.plugins.register_learner``)."""
        weight = getattr(self.learner_config, "cloning_weight", 0.0) if self.imitates and not self.on_policy else 0.0
        return weight if is_number(weight) else 0.0

    @property
    def on_policy(self) -> bool:
        """Whether the learner learns from the steps of the round alone."""
        registered = REGISTERED["learner"].get(self.learner)
        return self.learner in ON_POLICY if registered is None else registered.on_policy

    @property
    def policy_samples(self) -> Literal["replay", "fresh"]:
        """Where the policy's side of the discriminator comes from, ``auto`` resolved."""
        chosen = self.discriminator.policy_samples
        if chosen == "auto":
            return "fresh" if self.on_policy else "replay"
        return chosen

    @property
    def looks_ahead(self) -> bool:
        """Whether the discriminator needs to know what a step led to."""
        settings = self.discriminator
        return self.adversarial and (
            settings.kind != "gail" or settings.inputs in ("ss", "sas") or settings.absorbing_states
        )

    @property
    def keeps_replay(self) -> bool:
        """Whether anything reads the replay."""
        if self.clones:
            return False
        return not self.on_policy or (self.adversarial and self.policy_samples == "replay")

    @property
    def unused(self) -> tuple[str, ...]:
        """Settings of this class that this run's learner has no use for."""
        if not self.on_policy:
            return ()
        return UNUSED_ON_POLICY if self.keeps_replay else (*UNUSED_ON_POLICY, "replay_capacity")

    @property
    def learner_config(self) -> DDPGConfig | TD3Config | SD3Config | SACConfig | PPOConfig | BCConfig:
        registered = REGISTERED["learner"].get(self.learner)
        if registered is None:
            return getattr(self, self.learner)
        return applied(registered.settings, self.learner_settings, f"learner {self.learner}")

    @property
    def plugins(self) -> dict[str, str]:
        """What of plug-ins this run uses: kind.name to module:name."""
        return {
            f"{kind}.{name}": REGISTERED[kind][name].source
            for kind, text in self._names()
            if (name := plain_name(text)) in REGISTERED[kind]
        }

    @property
    def plugin_settings(self) -> dict[str, Any]:
        """The own settings of its rewards and regularisers that have any: kind.name to a dataclass."""
        found = [(f"{kind}.{plain_name(text)}", kind, text) for kind, text in self._names() if kind != "learner"]
        return {name: own for name, kind, text in found if (own := named_settings(kind, text)) is not None}

    def _names(self) -> list[tuple[Kind, str]]:
        regularisers = self.discriminator.regularisers if self.adversarial else ()
        found: list[tuple[Kind, str]] = [("learner", self.learner), ("reward", self.reward)]
        return [*found, *(("regulariser", text) for text in regularisers)]

    @property
    def discount(self) -> float:
        """The learner's discount gamma per step."""
        settings = self.learner_config
        assert not isinstance(settings, BCConfig), "a clone discounts nothing"
        return settings.discount

    @property
    def view(self) -> tuple[str, ...]:
        """Settings of how observations are shown that are not at their defaults."""
        chosen = {"observation_keys": bool(self.observation_keys), "frame_stack": self.frame_stack > 1}
        return tuple(name for name, is_chosen in chosen.items() if is_chosen)

    @property
    def transitions_per_update(self) -> int:
        """Replayed transitions that one update of the learner sees."""
        settings = self.learner_config
        assert not self.on_policy, "such a learner replays nothing"
        assert not isinstance(settings, PPOConfig)
        # A plug-in's may have settings of that name that mean something else.
        return settings.batch_size * (settings.minibatches if isinstance(settings, SD3Config) else 1)


# Settings that do not change a seed's numbers, or stand elsewhere: learner_settings in what they make of the learner's.
_NOT_IDENTITY = (
    "steps",
    "seeds",
    "first_seed",
    "learner_settings",
    "checkpoint_interval",
    "execution",
    "demonstrations",
    "environment_workers",
    "environment_timeout",
    "seed_replay",
)

# All that determines the numbers of a behavioural clone.
_CLONES = ("environment", "learner", "bc", "held_out", "normalise_observations", "evaluation_episodes")


def identity(config: RunConfig, demonstrations_sha256: str = "", seed_replay_sha256: str = "") -> dict[str, Any]:
    """The settings that determine a seed's numbers; other learners' settings and unused parts are left out."""
    tree = to_dict(config)
    if config.clones:
        view = {name: tree[name] for name in config.view}
        return {name: tree[name] for name in _CLONES} | view | {"demonstrations_sha256": demonstrations_sha256}
    for name in (*_NOT_IDENTITY, *config.unused):
        del tree[name]
    tree["discriminator"]["policy_samples"] = config.policy_samples
    for name in typing.get_args(LearnerName):
        if name not in (config.learner, config.warm_start):
            del tree[name]
    settings = tree.get(config.learner, {})
    if settings.get("cloning_weight") == 0 or not config.imitates:
        settings.pop("cloning_weight", None)
    if config.warm_start == "none":
        del tree["warm_start"]
    else:
        del tree["bc"]["loss"], tree["bc"]["hidden"]
    if not config.adversarial:
        for name in ("credo", "discriminator", "held_out", "normalise_observations"):
            del tree[name]
    else:
        tree["credo"] = {name: tree["credo"][name] for name in _used_by_credo(config.credo)}
        for name in unused_settings(config.discriminator):
            del tree["discriminator"][name]
        for name, nothing in (("reward_factor", 1.0), ("action_cost", 0.0)):
            if tree["discriminator"][name] == nothing:
                del tree["discriminator"][name]
    tree["reward"] = plain_name(config.reward)
    if config.adversarial:
        tree["discriminator"]["regularisers"] = [plain_name(text) for text in config.discriminator.regularisers]
    if config.plugins:
        tree["plugins"] = config.plugins
        if own := config.plugin_settings:
            tree["plugin_settings"] = {name: to_dict(settings) for name, settings in own.items()}
        if config.learner in REGISTERED["learner"]:
            tree[config.learner] = to_dict(config.learner_config)
    for name in {"observation_keys", "frame_stack"} - set(config.view):
        del tree[name]
    tree["demonstrations_sha256"] = demonstrations_sha256
    if seed_replay_sha256:
        tree["seed_replay_sha256"] = seed_replay_sha256
    return tree


def recorded_identity(config: RunConfig, kept: dict[str, Any], *hashes: str) -> dict[str, Any]:
    """``identity`` of a run that has been, reckoned anew, since a setting that this version has added had its default
    then; but what was a plug-in's is as ``kept``, the identity in its config.json, has it, whatever is registered now.
    """
    regularisers = tuple(plain_name(text) for text in config.discriminator.regularisers)
    plain = dataclasses.replace(
        config,
        learner_settings=(),
        reward=plain_name(config.reward),
        discriminator=dataclasses.replace(config.discriminator, regularisers=regularisers),
    )
    tree = identity(plain, *hashes)
    tree.pop("plugin_settings", None)
    if isinstance(kept.get("plugin_settings"), dict):
        tree["plugin_settings"] = kept["plugin_settings"]
    if config.learner not in typing.get_args(LearnerName) and isinstance(kept.get(config.learner), dict):
        tree[config.learner] = kept[config.learner]
    if isinstance(kept.get("plugins"), dict):
        now = config.plugins
        tree["plugins"] = {
            name: now[name] if _same_code(source, now.get(name)) else source for name, source in kept["plugins"].items()
        }
    return tree


def _same_code(source: Any, other: str | None) -> bool:
    """Whether two names of code are of one function: a script's own module is __main__, and has its name elsewhere."""
    named = [str(each).partition(":") for each in (source, other)]
    return named[0][2] == named[1][2] != "" and "__main__" in (named[0][0], named[1][0])


def _used_by_credo(credo: CredoConfig) -> list[str]:
    """Settings that reach a number: the threshold always does, since the share of outliers is measured by it."""
    used = ["mode", "threshold", "threshold_unit"]
    if credo.mode in ("filter", "both"):
        used += ["reading", "rescore"]
        if credo.reading == "resample":
            used.append("candidates")
    return used


def run_id(config: RunConfig, demonstrations_sha256: str = "", seed_replay_sha256: str = "") -> str:
    """Twelve hexadecimal digits that name what determines a run's numbers."""
    text = json.dumps(identity(config, demonstrations_sha256, seed_replay_sha256), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def typed(config: RunConfig) -> RunConfig:
    """The same settings, each of its own type; CredoError for one of another type or that is none of its choices."""
    try:
        return from_dict(to_dict(config), where="settings")
    except TypeError as error:
        raise CredoError(f"settings: {error}") from None


def from_dict(tree: dict[str, Any], where: str = "config", also: frozenset[str] = frozenset()) -> RunConfig:
    """The settings that ``to_dict`` wrote; CredoError on an unknown name or a wrong type. ``also`` are plug-ins' names
    to let pass, for reading what a run was. Names with arguments come back in their one spelling."""
    config = rebuild(tree, RunConfig, where, also)
    settings = config.discriminator
    regularisers = tuple(one_spelling("regulariser", text) for text in settings.regularisers)
    if regularisers != settings.regularisers:
        settings = dataclasses.replace(settings, regularisers=regularisers)
    environment = canonical(config.environment) if "," in config.environment else config.environment
    reward = one_spelling("reward", config.reward)
    return dataclasses.replace(config, environment=environment, reward=reward, discriminator=settings)
