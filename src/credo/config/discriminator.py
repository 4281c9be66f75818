"""Settings of the discriminator and its regularisers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from credo.config.limits import Count, NotNegative, Positive, Widths

RegulariserName = Literal["gradient-penalty"]
Activation = Literal["relu", "tanh"]


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator: a network that gives a logit, positive for expert."""

    hidden: Widths = (256, 256)
    """Hidden layer widths (units)."""
    activation: Activation = "relu"
    """Activation of the hidden layers."""
    learning_rate: Positive = 3e-4
    """Adam step size."""
    batch_size: Count = 128
    """Samples in each of the expert and the policy batch."""
    updates_per_round: Count = 32
    """Discriminator updates per round."""
    policy_samples: Literal["auto", "fresh", "replay"] = "auto"
    """Where the policy's side comes from. fresh: this round's steps alone; replay: the replay buffer; auto: fresh for
    PPO, replay for every other learner."""
    regularisers: tuple[RegulariserName, ...] = ("gradient-penalty",)
    """Regularisers of the loss, in order; none: an empty list."""
    gradient_penalty: NotNegative = 1.0
    """Coefficient of the gradient penalty (interpolates, target norm 1)."""
