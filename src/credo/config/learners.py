"""Settings of the learners, one dataclass each; the field of RunConfig that holds one is the learner's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from credo.config.limits import Count, Discount, Finite, Limit, NotNegative, Positive, Rate, WholeNumber, Widths

LayerNorm = Literal["none", "actor", "critic", "both"]


@dataclass(frozen=True)
class BCConfig:
    """Behavioural cloning, as the learner bc or as a warm start; held_out is the share of episodes that it stops by."""

    loss: Literal["squared-error", "likelihood"] = "squared-error"
    """Of the learner bc. squared-error: a deterministic actor; likelihood: a squashed Gaussian, whose mean acts.
    A warm start takes what fits its learner."""
    hidden: Widths = (256, 256)
    """Hidden layer widths of the actor (units); a warm start has its learner's."""
    learning_rate: Positive = 1e-3
    """Adam learning rate."""
    batch_size: Count = 256
    """Demonstrated transitions in a batch."""
    epochs: Count = 100
    """Passes through the demonstrations, at most."""
    patience: Count = 5
    """Passes without a lower held-out loss after which cloning stops; the best of all is kept."""


@dataclass(frozen=True)
class DeterministicConfig:
    """What the learners of a deterministic policy share."""

    hidden: Widths = (256, 256)
    """Hidden layer widths of actors and critics (units)."""
    actor_learning_rate: Positive = 3e-4
    """Adam learning rate of actors."""
    critic_learning_rate: Positive = 3e-4
    """Adam learning rate of critics."""
    batch_size: Count = 128
    """Transitions in a batch."""
    discount: Discount = 0.99
    """Discount gamma per step."""
    target_rate: Rate = 0.005
    """tau: share by which the target networks move at each of their updates."""
    exploration_noise: NotNegative = 0.3
    """Standard deviation of the exploration noise, of an action in [-1, 1]."""
    preactivation_penalty: NotNegative = 0.01
    """Coefficient of the mean squared output before tanh in the actor's loss, against saturation; 0: none."""
    actor_gradient_clip: NotNegative = 0.0
    """Global norm to which the actor's gradient is cut (40 in DAC); it is recorded uncut; 0: none."""
    cloning_weight: NotNegative = 0.0
    """Weight of the squared error to demonstrated actions in the actor's loss, in units of the mean |Q|; 0: none.
    Unused with --reward environment."""
    actor_starts: WholeNumber = 0
    """Updates of a critic before its actor's first one (1,000 in DAC)."""
    last_layer_scale: Positive = 1.0
    """Factor of the initial weights of the actor's last layer."""
    layer_norm: LayerNorm = "none"
    """Networks whose hidden layers are normalised (Ba et al. 2016) before their activation."""


@dataclass(frozen=True)
class DDPGConfig(DeterministicConfig):
    """Deep deterministic policy gradient (Lillicrap et al. 2016)."""


@dataclass(frozen=True)
class TD3Config(DeterministicConfig):
    """Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018)."""

    target_noise: NotNegative = 0.2
    """Standard deviation of the target policy's smoothing noise, of an action in [-1, 1]."""
    target_noise_clip: NotNegative = 0.5
    """The smoothing noise is clipped to +- this, of an action in [-1, 1]."""
    actor_delay: Count = 2
    """Critic updates per actor update; it must divide the updates per round."""


@dataclass(frozen=True)
class SD3Config(DeterministicConfig):
    """Softmax deep double deterministic policy gradients (Pan et al. 2020). In an update each of the two pairs of actor
    and critic has a batch of its own."""

    target_noise: NotNegative = 0.2
    """Standard deviation of the noise on the target policy's actions, of an action in [-1, 1]."""
    target_noise_clip: NotNegative = 0.5
    """That noise is clipped to +- this, of an action in [-1, 1]."""
    beta: Positive | None = None
    """Inverse temperature of the softmax operator (per unit of value); None: the authors' for the environment's name,
    0.05 where they have none."""
    noise_samples: Count = 50
    """Noisy target actions over which the softmax operator is taken (samples)."""
    noise: Literal["independent", "antithetic", "sobol"] = "independent"
    """How they are drawn. antithetic: half of them, and their mirror images; sobol: evenly, with a random shift."""
    importance_weights: bool = False
    """Divide by the density of the noise, as the paper writes and the authors' code leaves off."""

    minibatches: ClassVar[int] = 2
    """Batches in one update."""


@dataclass(frozen=True)
class SACConfig:
    """Soft actor-critic with automatic temperature (Haarnoja et al. 2018)."""

    hidden: Widths = (256, 256)
    """Hidden layer widths of actor and critics (units)."""
    actor_learning_rate: Positive = 3e-4
    """Adam learning rate of the actor."""
    critic_learning_rate: Positive = 3e-4
    """Adam learning rate of the critics."""
    temperature_learning_rate: Positive = 3e-4
    """Adam learning rate of the log temperature."""
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
    cloning_weight: NotNegative = 0.0
    """Weight of the mean action's squared error to demonstrated ones in the actor's loss, in units of the mean |Q|; 0:
    none. Unused with --reward environment."""
    actor_gradient_clip: NotNegative = 0.0
    """Global norm to which the actor's gradient is cut (40 in DAC); it is recorded uncut; 0: none."""
    layer_norm: LayerNorm = "none"
    """Networks whose hidden layers are normalised (Ba et al. 2016) before their activation."""


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation with a clipped surrogate (Schulman et al. 2017). A rollout is one round:
    --steps-per-round steps, divided among --environments-per-seed environments."""

    hidden: Widths = (64, 64)
    """Hidden layer widths of actor and critic (units)."""
    activation: Literal["relu", "tanh"] = "tanh"
    """Activation of the hidden layers."""
    actor_learning_rate: Positive = 3e-4
    """Adam learning rate of the actor and its log standard deviation."""
    critic_learning_rate: Positive = 3e-4
    """Adam learning rate of the critic."""
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
