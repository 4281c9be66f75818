"""Every setting of a run, as a tree of frozen dataclasses with a JSON round trip and an identity.

The command line is generated from these classes; the text below a field is its help. Defaults are the ``fast`` setting
(see ``credo.presets``). This module imports no JAX, so that help and usage errors are quick.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from credo.types import CredoError

LearnerName = Literal["td3", "sac"]
RewardName = Literal["plr", "plr-literal", "cr", "r3", "r4", "r5", "r6", "r7", "r8", "environment"]
RegulariserName = Literal["gradient-penalty"]
CredoMode = Literal["off", "filter", "clip", "both"]
CredoReading = Literal["resample", "retained", "batch"]
ThresholdUnit = Literal["reward", "probability", "logit"]
Activation = Literal["relu", "tanh"]

_named = tyro.conf.arg


@dataclass(frozen=True)
class CredoConfig:
    """Clipping the reward of discriminator outliers (Algorithm 1 of the paper)."""

    mode: Annotated[CredoMode, _named(name="credo")] = "filter"
    """filter: expert samples past the threshold leave the discriminator's loss (Algorithm 1); clip: the policy's
    reward is capped at the threshold (Section 3.4); both; off."""
    threshold: float = 5.0
    """Outlier threshold c, in the unit of --threshold-unit."""
    threshold_unit: ThresholdUnit = "reward"
    """reward: r(s, a) >= c is an outlier; probability: an expert probability in (0, 1); logit: a discriminator logit.
    The last two mean the same for every reward."""
    reading: Annotated[CredoReading, _named(name="credo-reading")] = "resample"
    """What an update sees once samples are filtered. resample: a whole batch drawn from the retained samples (the
    literal reading); retained: the mean over what a plain batch retains; batch: the sum over what it retains divided
    by the whole batch, so that the expert term fades."""
    rescore: Annotated[Literal["round", "update"], _named(name="credo-rescore")] = "round"
    """When expert samples are scored for the filter: once a round, or before every discriminator update."""
    candidates: Annotated[int, _named(name="credo-candidates")] = 16384
    """resample only: expert samples scored for each drawing (samples; all of them if there are fewer)."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator: a network that gives a logit, positive for expert."""

    hidden: tuple[int, ...] = (256, 256)
    """Hidden layer widths (units)."""
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    learning_rate: float = 3e-4
    """Adam step size."""
    batch_size: int = 128
    """Samples in each of the expert and the policy batch."""
    updates_per_round: int = 32
    """Discriminator updates per round."""
    policy_samples: Literal["replay", "fresh"] = "replay"
    """Where the policy's side comes from: the replay buffer, or this round's steps alone."""
    regularisers: tuple[RegulariserName, ...] = ("gradient-penalty",)
    """Regularisers of the loss, in order; none: an empty list."""
    gradient_penalty: float = 1.0
    """Coefficient of the gradient penalty (interpolates, target norm 1)."""


@dataclass(frozen=True)
class TD3Config:
    """Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018)."""

    hidden: tuple[int, ...] = (256, 256)
    """Hidden layer widths of actor and critics (units)."""
    actor_learning_rate: float = 3e-4
    """Adam step size of the actor."""
    critic_learning_rate: float = 3e-4
    """Adam step size of the critics."""
    batch_size: int = 128
    """Transitions in a batch."""
    discount: float = 0.99
    """Discount gamma per step."""
    target_rate: float = 0.005
    """tau: share by which the target networks move at each of their updates."""
    exploration_noise: float = 0.3
    """Standard deviation of the exploration noise, of an action in [-1, 1]."""
    target_noise: float = 0.2
    """Standard deviation of the target policy's smoothing noise, of an action in [-1, 1]."""
    target_noise_clip: float = 0.5
    """The smoothing noise is clipped to +- this, of an action in [-1, 1]."""
    actor_delay: int = 2
    """Critic updates per actor update; it must divide the updates per round."""
    preactivation_penalty: float = 0.01
    """Coefficient of the mean squared output before tanh in the actor's loss, against saturation; 0: none."""


@dataclass(frozen=True)
class SACConfig:
    """Soft actor-critic with automatic temperature (Haarnoja et al. 2018)."""

    hidden: tuple[int, ...] = (256, 256)
    """Hidden layer widths of actor and critics (units)."""
    actor_learning_rate: float = 3e-4
    """Adam step size of the actor."""
    critic_learning_rate: float = 3e-4
    """Adam step size of the critics."""
    temperature_learning_rate: float = 3e-4
    """Adam step size of the log temperature."""
    batch_size: int = 256
    """Transitions in a batch."""
    discount: float = 0.99
    """Discount gamma per step."""
    target_rate: float = 0.005
    """tau: share by which the target critics move at each update."""
    initial_temperature: float = 1.0
    """Temperature alpha before the first update."""
    target_entropy: float | None = None
    """Entropy that the temperature aims at (nats); None: minus the number of action dimensions."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run needs to know."""

    environment: Annotated[str, _named(name="env")] = "Hopper-v5"
    """Gymnasium id, or module:Id for an environment of your own."""
    demonstrations: Annotated[str, _named(name="demos")] = "hopper-expert"
    """A demonstrations file, or a shipped expert: NAME, NAME:EPISODES, with @subsample=N for every Nth transition.
    Unused with --reward environment."""
    learner: LearnerName = "td3"
    """The policy's learner."""
    reward: RewardName = "plr"
    """The policy's reward as a function of the logit; environment: the environment's own, without a discriminator."""
    steps: int = 100_000
    """Environment steps per seed."""
    seeds: int = 1
    """Independent seeds trained side by side."""
    first_seed: int = 0
    """The seeds are first-seed, first-seed + 1, ..."""
    normalise_observations: bool = True
    """Shift and scale observations by the demonstrations' mean and standard deviation."""
    held_out: float = 0.1
    """Share of the demonstrations' episodes kept from training, for the reward-free measures."""
    environments_per_seed: int = 1
    """Environments stepped side by side for each seed."""
    steps_per_round: int = 64
    """Environment steps per round and seed (the paper's update frequency)."""
    updates_per_round: int = 64
    """Policy updates per round; 0: none."""
    replay_capacity: int = 1_000_000
    """Transitions kept per seed (transitions; never more than the steps)."""
    random_steps: int = 1_000
    """Steps with uniformly random actions at the start, per seed."""
    learning_starts: int = 1_000
    """Steps before the first update of discriminator and policy, per seed; 0: from the first round."""
    evaluation_interval: int = 5_000
    """Steps between evaluations, per seed."""
    evaluation_episodes: int = 5
    """Episodes of the deterministic policy in an evaluation."""
    checkpoint_interval: int = 25_000
    """Steps between checkpoints, per seed."""
    execution: Literal["auto", "threads", "vmap"] = "auto"
    """How seeds share the machine. threads: one compiled round per seed, seeds on all cores (fastest on a CPU); vmap:
    one compiled round for all seeds (for a GPU); auto: by the device."""
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
_NOT_IDENTITY = ("steps", "seeds", "first_seed", "checkpoint_interval", "execution", "demonstrations")


def identity(config: RunConfig, demonstrations_sha256: str = "") -> dict[str, Any]:
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
    tree["demonstrations_sha256"] = demonstrations_sha256
    return tree


def run_id(config: RunConfig, demonstrations_sha256: str = "") -> str:
    """Twelve hexadecimal digits that name what determines a run's numbers."""
    text = json.dumps(identity(config, demonstrations_sha256), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain JSON types."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(tree: dict[str, Any], kind: type = RunConfig, where: str = "config") -> Any:
    """Rebuild a dataclass from ``to_dict``'s form; unknown names and wrong types raise CredoError."""
    if not isinstance(tree, dict):
        raise CredoError(f"{where}: expected a table of settings, not {tree!r}")
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    for name in tree:
        if name not in names:
            raise CredoError(f"{where}.{name}: no such setting; known are {', '.join(names)}")
    values = {name: _convert(value, hints[name], f"{where}.{name}") for name, value in tree.items()}
    return kind(**values)


def _convert(value: Any, hint: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(value, typing.cast(type, hint), where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise CredoError(f"{where}: {value!r} is not one of {', '.join(map(str, arguments))}")
        return value
    if origin is types.UnionType:
        return None if value is None else _convert(value, arguments[0], where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise CredoError(f"{where}: {value!r} is not a list")
        return tuple(_convert(item, arguments[0], where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise CredoError(f"{where}: {value!r} is not of type {hint.__name__}")
    return value


def validate(config: RunConfig) -> None:
    """Refuse what cannot work, one line each (CredoError naming field, value and what would be right)."""

    def need(condition: bool, name: str, value: Any, right: str) -> None:
        if not condition:
            raise CredoError(f"{name}: {value!r} is not possible; {right}")

    for name, low in (
        ("seeds", 1),
        ("first_seed", 0),
        ("environments_per_seed", 1),
        ("steps_per_round", 1),
        ("updates_per_round", 0),
        ("replay_capacity", 1),
        ("random_steps", 0),
        ("learning_starts", 0),
        ("evaluation_interval", 1),
        ("evaluation_episodes", 1),
        ("checkpoint_interval", 1),
    ):
        need(getattr(config, name) >= low, name, getattr(config, name), f"it must be at least {low}")
    last_seed = config.first_seed + config.seeds - 1
    need(last_seed < 2**31, "first_seed", config.first_seed, "every seed must be below 2**31, or two would share keys")
    need(
        config.steps >= config.steps_per_round,
        "steps",
        config.steps,
        f"it must be at least one round of {config.steps_per_round} steps",
    )
    need(
        config.steps_per_round % config.environments_per_seed == 0,
        "environments_per_seed",
        config.environments_per_seed,
        f"it must divide steps_per_round ({config.steps_per_round})",
    )
    need(
        config.replay_capacity >= config.steps_per_round,
        "replay_capacity",
        config.replay_capacity,
        f"it must hold at least one round of {config.steps_per_round} steps",
    )
    need(0 <= config.held_out < 1, "held_out", config.held_out, "it must be a share in [0, 1)")
    _validate_credo(config, need)
    for prefix, part in (("discriminator", config.discriminator), (config.learner, config.learner_config)):
        for part_field in dataclasses.fields(part):
            value = getattr(part, part_field.name)
            name = f"{prefix}.{part_field.name}"
            if part_field.name == "hidden":
                need(bool(value) and min(value) >= 1, name, value, "it must be a list of widths of at least 1")
            elif isinstance(value, float):
                zero_is_fine = "noise" in part_field.name or "penalty" in part_field.name
                if part_field.name == "target_entropy":
                    need(math.isfinite(value), name, value, "it must be a finite number")
                    continue
                good = math.isfinite(value) and (value >= 0 if zero_is_fine else value > 0)
                right = "it must be a finite number of at least 0" if zero_is_fine else "it must be a positive number"
                need(good, name, value, right)
            elif isinstance(value, int):
                need(value >= 1, name, value, "it must be at least 1")
        for share in ("discount", "target_rate"):
            if hasattr(part, share):
                value = getattr(part, share)
                need(
                    value <= 1 and (share != "discount" or value < 1),
                    f"{prefix}.{share}",
                    value,
                    "it must be below 1",
                )
    if isinstance(config.learner_config, TD3Config):
        delay = config.learner_config.actor_delay
        need(
            config.updates_per_round % delay == 0,
            "updates_per_round",
            config.updates_per_round,
            f"it must be a multiple of td3.actor_delay ({delay})",
        )


def _validate_credo(config: RunConfig, need: Any) -> None:
    # Also where the mode is off: the share of outliers is measured all the same.
    credo = config.credo
    value = credo.threshold
    need(math.isfinite(value), "threshold", value, "it must be a finite number")
    if credo.threshold_unit == "reward":
        need(
            value > 0,
            "threshold",
            value,
            "a reward threshold c must be > 0 (see --threshold-unit for the others)",
        )
    if credo.threshold_unit == "probability":
        need(0 < value < 1, "threshold", value, "an expert probability must be in (0, 1)")
    need(credo.candidates >= 1, "credo.candidates", credo.candidates, "it must be at least 1")
