"""Settings of the learners, one dataclass each; the field of RunConfig that holds one is the learner's name."""

from __future__ import annotations

from dataclasses import dataclass

from credo.config.limits import Count, Discount, Finite, NotNegative, Positive, Rate, Widths


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
