"""Advice on settings that work but probably not as meant: one line each, or None where there is nothing to say."""

from __future__ import annotations

import math

from credo.config import CredoConfig, DiscriminatorConfig
from credo.discriminator.outliers import BLOCK, blocks_of, filters, threshold_logit
from credo.discriminator.rewards import find_reward
from credo.environment_name import plain_id

_NEVER_TERMINATE = ("HalfCheetah-", "Swimmer-", "Reacher-", "Pusher-", "Pendulum-", "HumanoidStandup-")


def never_terminates(environment: str) -> bool:
    """Whether an environment's episodes are known to end by their time limit alone."""
    return plain_id(environment).startswith(_NEVER_TERMINATE)


def absorbing_warning(environment: str) -> str | None:
    """One line where absorbing states do nothing; else None."""
    if not never_terminates(environment):
        return None
    return f"absorbing_states: no episode of {environment} terminates, so the setting does nothing"


def sign_warning(name: str, environment: str, absorbing: bool = True) -> str | None:
    """One line on survival bias, for a reward that can be negative where episodes may end early; else None.
    ``absorbing``: whether absorbing states are possible.

    Rewards that are positive everywhere have the opposite bias, towards staying alive, which most tasks that terminate
    share; those that end in success do not, and no environment says which kind it is: what demonstrations say of it is
    told in ``training.checks``. Absorbing states take either bias away.
    """
    reward = find_reward(name)
    if never_terminates(environment) or reward is None or reward.bounds[0] >= 0:
        return None
    when = "everywhere" if reward.bounds[1] <= 0 else "while the discriminator wins"
    return (
        f"reward {name} is negative {when}, so it rewards an early end of the episode where one is possible "
        f"(as in {environment}, as far as is known); plr is not"
        + (", or --discriminator.absorbing-states takes the bias away" if absorbing else "")
    )


def threshold_warning(credo: CredoConfig, reward: str, most: float = math.inf) -> str | None:
    """One line when the threshold lies outside the reward's range, or beyond the logit that the discriminator has at
    most; None when it does something."""
    found = find_reward(reward)
    if credo.mode == "off" or found is None:
        return None
    if most < (logit := threshold_logit(credo, reward)) < math.inf:
        return (
            f"threshold {credo.threshold:g} is a logit of {logit:.3g}, and logits are clamped to {most:g}: "
            "CREDO is as good as off; give a lower --threshold or a higher --discriminator.logit-clamp"
        )
    if credo.threshold_unit != "reward":
        return None
    low, high = found.bounds
    if credo.threshold >= high:
        return (
            f"threshold {credo.threshold:g} is never reached by reward {reward} (below {high:g}): "
            "CREDO is as good as off; give --threshold-unit probability or logit"
        )
    if credo.threshold <= low:
        return (
            f"threshold {credo.threshold:g} is below every value of reward {reward} (above {low:g}): "
            "every expert sample is an outlier; give --threshold-unit probability or logit"
        )
    return None


def room_warning(credo: CredoConfig, discriminator: DiscriminatorConfig) -> str | None:
    """One line where a round's drawing has no room for as many samples as the round takes; else None."""
    wanted, room = discriminator.updates_per_round * discriminator.batch_size, math.prod(blocks_of(credo.candidates))
    if not filters(credo) or (credo.reading, credo.rescore) != ("resample", "round") or wanted <= room:
        return None
    return (
        f"CREDO draws from {room:,} candidates what a round takes, {wanted:,} expert samples: the rest are repeats, "
        f"even where nothing is filtered; give --credo-candidates {math.ceil(wanted / BLOCK) * BLOCK} or "
        "--credo-rescore update"
    )
