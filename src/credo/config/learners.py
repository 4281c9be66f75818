"""Settings of the learners, one dataclass each; the field of RunConfig that holds one is the learner's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from credo.config.limits import Count, Discount, Finite, Limit, NotNegative, Positive, Rate, Widths


@dataclass(frozen=True)
class TD3Config:
    """Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018)."""

    hidden: Widths = (256, 256)
    """Hidden layer widths of actor and critics (units)."""
    actor_learning_rate: Positive = 3e-4
    """Adam step size of the actor."""
    critic_learning_rate: Positive = 3e-4
    """Adam step size of the critics."""
    batch_size: Count = 128
    """Transitions in a batch."""
    discount: Discount = 0.99
    """Discount gamma per step."""
    target_rate: Rate = 0.005
    """tau: share by which the target networks move at each of their updates."""
    exploration_noise: NotNegative = 0.3
    """Standard deviation of the exploration noise, of an action in [-1, 1]."""
    target_noise: NotNegative = 0.2
    """Standard deviation of the target policy's smoothing noise, of an action in [-1, 1]."""
    target_noise_clip: NotNegative = 0.5
    """The smoothing noise is clipped to +- this, of an action in [-1, 1]."""
    actor_delay: Count = 2
    """Critic updates per actor update; it must divide the updates per round."""
    preactivation_penalty: NotNegative = 0.01
    """Coefficient of the mean squared output before tanh in the actor's loss, against saturation; 0: none."""


@dataclass(frozen=True)
class SACConfig:
    """Soft actor-critic with automatic temperature (Haarnoja et al. 2018)."""

    hidden: Widths = (256, 256)
    """Hidden layer widths of actor and critics (units)."""
    actor_learning_rate: Positive = 3e-4
    """Adam step size of the actor."""
    critic_learning_rate: Positive = 3e-4
    """Adam step size of the critics."""
    temperature_learning_rate: Positive = 3e-4
    """Adam step size of the log temperature."""
    batch_size: Count = 256
    """Transitions in a batch."""
    discount: Discount = 0.99
    """Discount gamma per step."""
    target_rate: Rate = 0.005
    """tau: share by which the target critics move at each update."""
    initial_temperature: Positive = 1.0
    """Temperature alpha before the first update."""
    target_entropy: Finite | None = None
    """Entropy that the temperature aims at (nats); None: minus the number of action dimensions."""


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation with a clipped surrogate (Schulman et al. 2017). A rollout is one round:
    --steps-per-round steps, divided among --environments-per-seed environments."""

    hidden: Widths = (64, 64)
    """Hidden layer widths of actor and critic (units)."""
    activation: Literal["relu", "tanh"] = "tanh"
    """Activation of the hidden layers."""
    actor_learning_rate: Positive = 3e-4
    """Adam step size of the actor and its log standard deviation."""
    critic_learning_rate: Positive = 3e-4
    """Adam step size of the critic."""
    epochs: Count = 10
    """Passes over the rollout in a round."""
    minibatch_size: Count = 64
    """Transitions in a minibatch; it must divide the steps per round."""
    discount: Discount = 0.99
    """Discount gamma per step."""
    gae_lambda: Annotated[float, Limit(least=0, most=1)] = 0.95
    """lambda of generalised advantage estimation; 0: one-step advantages, 1: whole returns."""
    clip: Positive = 0.2
    """The surrogate gains nothing from a probability ratio outside 1 +- this."""
    value_clip: Positive | None = None
    """The critic's loss gains nothing from a value further than this from the old one; None: no clipping."""
    entropy_coefficient: NotNegative = 0.0
    """Coefficient of the entropy in the actor's objective (per nat)."""
    initial_log_std: Finite = -0.5
    """Log standard deviation of the actions before the first update, of an action in [-1, 1]."""
    normalise_advantages: bool = True
    """Shift and scale the advantages of each minibatch to mean 0 and standard deviation 1."""
    normalise_rewards: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""
    gradient_clip: Positive | None = 0.5
    """Largest global norm of the actor's and of the critic's gradient; None: no clipping."""
    target_kl: Positive | None = None
    """A round's updates end at the first minibatch whose KL divergence from the old policy is above this (nats);
    None: never."""
