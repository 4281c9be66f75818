"""Every setting of a run, as a tree of frozen dataclasses with a JSON round trip and an identity.

The command line is generated from these classes; the text below a field is its help. Defaults are the ``fast`` setting
(see ``credo.presets``). This package imports no JAX, so that help and usage errors are quick.
"""

from credo.config.codec import to_dict
from credo.config.credo import CredoConfig, CredoMode, CredoReading, ThresholdUnit
from credo.config.discriminator import Activation, DiscriminatorConfig, RegulariserName, idle_settings, needs_density
from credo.config.learners import (
    BCConfig,
    DDPGConfig,
    DeterministicConfig,
    PPOConfig,
    SACConfig,
    SD3Config,
    TD3Config,
)
from credo.config.run import LearnerName, RewardName, RunConfig, from_dict, identity, recorded_identity, run_id, typed
from credo.config.validate import check_action_free, late_notes, on_policy_notes, other_learners_settings, validate

__all__ = [
    "Activation",
    "BCConfig",
    "CredoConfig",
    "CredoMode",
    "CredoReading",
    "DDPGConfig",
    "DeterministicConfig",
    "DiscriminatorConfig",
    "LearnerName",
    "PPOConfig",
    "RegulariserName",
    "RewardName",
    "RunConfig",
    "SACConfig",
    "SD3Config",
    "TD3Config",
    "ThresholdUnit",
    "check_action_free",
    "from_dict",
    "identity",
    "idle_settings",
    "late_notes",
    "needs_density",
    "on_policy_notes",
    "other_learners_settings",
    "recorded_identity",
    "run_id",
    "to_dict",
    "typed",
    "validate",
]
