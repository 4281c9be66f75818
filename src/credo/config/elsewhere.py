"""What settings are called in other libraries, for people who try those names first."""

from __future__ import annotations

import dataclasses
from typing import Any

from credo.config.run import RunConfig

_STEPS, _RATE = ("steps",), ("learning_rate", "actor_learning_rate")
OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "seed": ("first_seed",),
    "total_timesteps": _STEPS,
    "total_steps": _STEPS,
    "timesteps": _STEPS,
    "num_steps": _STEPS,
    "max_steps": _STEPS,
    "num_envs": ("environments_per_seed",),
    "n_envs": ("environments_per_seed",),
    "buffer_size": ("replay_capacity",),
    "gamma": ("discount",),
    "lr": _RATE,
    "learning_rate": _RATE,
    "tau": ("target_rate",),
    "net_arch": ("hidden",),
    "hidden_sizes": ("hidden",),
    "policy_delay": ("actor_delay",),
    "policy_freq": ("actor_delay",),
}
"""Name elsewhere to the names here, of which a part of the settings has one."""


def meant(config: RunConfig, name: str) -> str | None:
    """The setting that ``name`` stands for, both dotted where they are a part's: by another library's name, or by the
    learner's own without the learner before it. None: not known."""
    prefix, dot, last = name.replace("-", "_").rpartition(".")
    places = [prefix] if dot else ["", str(config.learner)]
    for place in places:
        part: Any = getattr(config, place, None) if place else config
        known = {field.name for field in dataclasses.fields(part)} if dataclasses.is_dataclass(part) else set()
        for own in OTHER_NAMES.get(last, ()) if not place else (*OTHER_NAMES.get(last, ()), last):
            if own in known:
                return f"{place}.{own}" if place else own
    return None
