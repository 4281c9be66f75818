"""Settings of the discriminator and its regularisers."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from credo.config.limits import Count, Finite, Limit, NotNegative, Positive, Share, Widths
from credo.config.names import Choice, Names

RegulariserName = Literal[
    "gradient-penalty",
    "gradient-penalty-one-sided",
    "r1",
    "spectral-normalisation",
    "entropy",
    "mixup",
    "label-smoothing",
    "weight-decay",
    "dropout",
    "positive-unlabelled",
    "controller",
    "logit-clamp",
    "learning-rate-decay",
    "instance-noise",
]
Activation = Literal["relu", "tanh"]
_REGULARISERS = Names("regulariser", typing.get_args(RegulariserName))
DiscriminatorKind = Literal["gail", "airl-state", "airl-state-action"]
DiscriminatorInputs = Literal["s", "sa", "ss", "sas"]

REGULARISER_SETTINGS: dict[str, tuple[str, ...]] = {
    "gradient-penalty": ("gradient_penalty",),
    "gradient-penalty-one-sided": ("gradient_penalty",),
    "r1": ("r1",),
    "spectral-normalisation": ("spectral_norm",),
    "entropy": ("entropy",),
    "mixup": ("mixup",),
    "label-smoothing": ("label_smoothing",),
    "weight-decay": ("weight_decay",),
    "dropout": ("dropout", "input_dropout"),
    "positive-unlabelled": ("class_prior", "unlabelled_slack"),
    "controller": ("controller",),
    "logit-clamp": ("logit_clamp",),
    "learning-rate-decay": ("learning_rate_halving",),
    "instance-noise": ("instance_noise",),
}
"""The settings that a regulariser reads: unused where it is not among ``regularisers``."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator: a network that gives a logit, positive for expert."""

    kind: DiscriminatorKind = "gail"
    """gail: the logit is one network's output. airl-state, airl-state-action: it is g + discount h(s') - h(s) minus the
    policy's log density, with a reward network g of s or of (s, a), for stochastic learners alone."""
    inputs: DiscriminatorInputs = "sa"
    """What kind gail looks at: state s, action a, next state (the second s)."""
    absorbing_states: bool = False
    """A terminated episode stays in an absorbing state for ever, for expert and policy alike, and the reward of staying
    there is learned (DAC)."""
    reward_clip: Positive | None = None
    """The policy's reward is clipped to +- this; None: not."""
    reward_normalisation: bool = False
    """Divide the policy's reward by its running standard deviation (after the clipping)."""
    reward_factor: Positive = 1.0
    """The policy's reward is multiplied by this (after clipping and normalisation)."""
    action_cost: Finite = 0.0
    """Taken from the policy's reward last of all, so neither normalised nor multiplied: this times the mean square of
    the action's components, which are in [-1, 1]. Below 0, large actions are rewarded."""
    hidden: Widths = (256, 256)
    """Hidden layer widths (units)."""
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    learning_rate: Positive = 3e-4
    """Adam learning rate."""
    batch_size: Count = 128
    """Samples in each of the expert and the policy batch."""
    updates_per_round: Count = 32
    """Discriminator updates per round."""
    policy_samples: Literal["auto", "fresh", "replay"] = "auto"
    """Where the policy's side comes from. fresh: this round's steps alone; replay: the replay buffer; auto: fresh for
    PPO, replay for every other learner."""
    regularisers: tuple[Annotated[str, _REGULARISERS, Choice(_REGULARISERS)], ...] = ("gradient-penalty",)
    """Regularisers, in the order in which samples pass through them; none: an empty list. The settings below are used
    by the one that they name."""
    gradient_penalty: NotNegative = 1.0
    """gradient-penalty, gradient-penalty-one-sided: coefficient (interpolates, target norm 1)."""
    r1: NotNegative = 1.0
    """r1: coefficient of half the squared gradient norm at expert samples."""
    spectral_norm: Positive = 1.0
    """spectral-normalisation: the product of all layers' spectral norms, which bounds a network's slope."""
    entropy: NotNegative = 1e-3
    """entropy: coefficient of the entropy of the expert probability (nats)."""
    mixup: Positive = 1.0
    """mixup: alpha of the Beta(alpha, alpha) distribution that shares are drawn from."""
    label_smoothing: Share = 0.1
    """label-smoothing: by how much the expert's label is less than 1."""
    weight_decay: NotNegative = 0.01
    """weight-decay: coefficient of the decoupled decay of weights; biases do not decay."""
    dropout: Share = 0.5
    """dropout: share of hidden units that an update leaves out."""
    input_dropout: Share = 0.0
    """dropout: share of inputs that an update leaves out."""
    class_prior: Annotated[float, Limit(above=0, below=1)] = 0.5
    """positive-unlabelled: share of the policy's samples that are taken to be as good as the expert's."""
    unlabelled_slack: NotNegative = 0.0
    """positive-unlabelled: how far below 0 the estimated loss of the policy's bad samples may fall."""
    controller: NotNegative = 1.0
    """controller: coefficient k of the quadratic pull of the expert probability to 1/2."""
    logit_clamp: Positive = 10.0
    """logit-clamp: the logit is clamped to +- this."""
    learning_rate_halving: Count = 100_000
    """learning-rate-decay: discriminator updates after which the learning rate halves, again and again."""
    instance_noise: NotNegative = 0.1
    """instance-noise: standard deviation of the noise on the network's inputs."""


def unused_settings(config: DiscriminatorConfig) -> set[str]:
    """Settings of regularisers that are not among those chosen, and the inputs where the kind settles them."""
    used = {name for chosen in config.regularisers for name in REGULARISER_SETTINGS.get(chosen, ())}
    unused = {name for names in REGULARISER_SETTINGS.values() for name in names} - used
    return unused if config.kind == "gail" else unused | {"inputs"}


def idle_settings(config: DiscriminatorConfig, usual: Sequence[DiscriminatorConfig]) -> str | None:
    """One line on settings that do nothing and have none of the usual values; None where there are none."""
    idle = sorted(unused_settings(config))
    changed = [name for name in idle if getattr(config, name) not in {getattr(other, name) for other in usual}]
    if not changed:
        return None
    return f"discriminator.{', discriminator.'.join(changed)}: not used with these regularisers and this kind"


def needs_density(kind: str) -> str:
    """The one line on a kind of AIRL with a learner whose actions have no density."""
    return (
        f"discriminator.kind: {kind!r} needs the density of the policy's actions; a deterministic learner has none; "
        "give --learner sac, or --reward cr, which is what the paper calls AIRL's reward with a deterministic learner"
    )
