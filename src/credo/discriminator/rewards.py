"""The policy's reward as a function of the discriminator's logit (Table 1 of the paper, and FAIRL's).

With D = sigmoid(l), every reward of the paper rises with l; one that does not has no inverse. Each is written in the
logit so that nothing overflows; ``plr-literal`` is the formula as it is usually typed, kept because its overflow near
l = 17 is itself one way to explode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from credo.config.names import plain_name
from credo.config.own import named_settings
from credo.types import Array


class Reward(NamedTuple):
    """One entry of the table."""

    function: Callable[[Array], Array]
    """logit [...] -> reward [...]."""
    inverse: Callable[[float], float] | None
    """reward inside ``bounds`` -> logit (host floats); None: the reward does not rise with the logit."""
    bounds: tuple[float, float]
    """Infimum and supremum; neither is reached but by a reward that has no inverse."""
    formula: str
    """In the expert probability D."""
    of: Callable[[Any], Reward] | None = None
    """Made anew of other settings of its own, where a plug-in's has any."""

    def __call__(self, logit: Array) -> Array:
        return self.function(logit)


def logit_of(probability: float) -> float:
    """The logit of an expert probability in (0, 1)."""
    return math.log(probability) - math.log1p(-probability)


def _log_expm1(value: float) -> float:
    """log(exp(value) - 1) for value > 0, without overflow: the inverse of softplus."""
    return value + math.log(-math.expm1(-value))


def _negative_inverse_probability(logit: Array) -> Array:
    # exp(-l) is beyond float32 below l = -88: the reward is held at the largest finite float32.
    return jnp.maximum(-(1.0 + jnp.exp(-logit)), jnp.finfo(jnp.float32).min)


def _fairl(logit: Array) -> Array:
    # exp(l) is beyond float32 above l = 88: the reward is held at the lowest finite float32.
    return jnp.maximum(-logit * jnp.exp(jnp.minimum(logit, 88.0)), jnp.finfo(jnp.float32).min)


REWARDS: dict[str, Reward] = {
    "plr": Reward(jax.nn.softplus, _log_expm1, (0.0, math.inf), "-log(1 - D)"),
    "plr-literal": Reward(
        lambda logit: -jnp.log(1.0 - jax.nn.sigmoid(logit)), _log_expm1, (0.0, math.inf), "-log(1 - D)"
    ),
    "cr": Reward(lambda logit: logit, lambda reward: reward, (-math.inf, math.inf), "log D - log(1 - D)"),
    "r3": Reward(lambda logit: -jax.nn.softplus(-logit), lambda r: -_log_expm1(-r), (-math.inf, 0.0), "log D"),
    "r4": Reward(jax.nn.sigmoid, logit_of, (0.0, 1.0), "D"),
    "r5": Reward(
        lambda logit: jnp.exp(jax.nn.sigmoid(logit)), lambda r: logit_of(math.log(r)), (1.0, math.e), "exp(D)"
    ),
    "r6": Reward(_negative_inverse_probability, lambda r: -math.log(-r - 1.0), (-math.inf, -1.0), "-1 / D"),
    "r7": Reward(lambda logit: jnp.square(jax.nn.sigmoid(logit)), lambda r: logit_of(math.sqrt(r)), (0.0, 1.0), "D^2"),
    "r8": Reward(
        lambda logit: jnp.exp(-0.5 * jax.nn.softplus(-logit)),
        lambda r: 2 * math.log(r) - math.log1p(-r * r),
        (0.0, 1.0),
        "sqrt(D)",
    ),
    "fairl": Reward(_fairl, None, (-math.inf, math.exp(-1.0)), "(log(1 - D) - log D) D / (1 - D)"),
}
"""Name to reward. r1 is ``plr`` (GAIL), r2 is ``cr`` (AIRL and DAC); ``fairl`` is -l exp(l) (Ghasemipour et al. 2019,
A Divergence Minimization Perspective on Imitation Learning Methods): 1 / e at most, at l = -1; negative for l > 0."""


def find_reward(text: str) -> Reward | None:
    """The reward ``name`` or ``name,setting=value``; None where there is none, as for the environment's own. CredoError
    for settings that it has not."""
    reward = REWARDS.get(plain_name(text))
    settings = named_settings("reward", text)
    return reward if reward is None or reward.of is None else reward.of(settings)


def reward_named(text: str) -> Reward:
    """The same of a name that the settings' checks have let pass."""
    reward = find_reward(text)
    assert reward is not None, text
    return reward
