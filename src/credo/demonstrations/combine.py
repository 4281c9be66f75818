"""Several sets of demonstrations as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from credo.demonstrations.dataset import Demonstrations, check_type
from credo.types import CredoError, EnvironmentSpec, same_bounds


def merge(parts: Sequence[Demonstrations]) -> Demonstrations:
    """All episodes of ``parts``, in order.

    Rewards and returns are kept where all parts have them. A part that does not name its environment is taken to be of
    the others'. CredoError where sizes, action bounds or environments differ, or a part is no ``Demonstrations``.
    """
    if not isinstance(parts, Sequence):
        raise CredoError(f"merge: {type(parts).__name__} found; a list of Demonstrations expected")
    for k, part in enumerate(parts):
        check_type(f"merge: part {k}", part)
    if not parts:
        raise CredoError("merge: nothing given, at least one set of demonstrations is needed")
    first = parts[0]
    known, environment = next(((k, part.environment) for k, part in enumerate(parts) if part.environment), (0, ""))
    for k, part in enumerate(parts):
        for name in ("observation_size", "action_size"):
            if getattr(part, name) != getattr(first, name):
                raise CredoError(f"merge: part {k} has {name} {getattr(part, name)}, part 0 has {getattr(first, name)}")
        if part.environment and part.environment != environment:
            raise CredoError(
                f"merge: part {k} ({part.source or 'unknown'}) is of {part.environment}, part {known} of "
                f"{environment}; if they are the same, --env names it for all"
            )
        _check_bounds(k, part, first)
    row_shift = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    rewarded = all(part.reward is not None and part.returns is not None for part in parts)
    shifted = list(zip(parts, row_shift, strict=False))
    return Demonstrations(
        observation=np.concatenate([part.observation for part in parts]),
        action=np.concatenate([part.action for part in parts]),
        terminated=np.concatenate([part.terminated for part in parts]),
        truncated=np.concatenate([part.truncated for part in parts]),
        episode_start=np.concatenate([[0], *(part.episode_start[1:] + shift for part, shift in shifted)]),
        successor_row=np.concatenate([part.successor_row + shift for part, shift in shifted]),
        successor=np.concatenate([part.successor for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        reward=np.concatenate([_or_empty(part.reward) for part in parts]) if rewarded else None,
        returns=np.concatenate([_or_empty(part.returns) for part in parts]) if rewarded else None,
        action_bounds=first.action_bounds,
        environment=environment,
        source=" + ".join(part.source or "unknown" for part in parts)[:1000],
    )


def with_bounds(demonstrations: Demonstrations, spec: EnvironmentSpec) -> Demonstrations:
    """The same, scaled from the environment's action box where they do not say theirs: actions are in [-1, 1]."""
    if demonstrations.action_bounds is not None or not demonstrations.has_actions:
        return demonstrations
    return dataclasses.replace(demonstrations, action_bounds=np.stack([spec.action_low, spec.action_high]))


def ended_early(demonstrations: Demonstrations, limit: int | None) -> tuple[Demonstrations, int]:
    """The same with every episode that is shorter than ``limit`` steps (None: every one) terminated at its last row,
    for files that do not say so; and how many these are. Of an episode that was subsampled, whose last row may be one
    in its midst, no row is: without either flag it counts as one that fell (``Demonstrations.fell``)."""
    d = demonstrations
    early = np.ones(d.episodes, bool) if limit is None else d.lengths < limit
    terminated, truncated = d.terminated.copy(), d.truncated.copy()
    terminated[d.last_row[early & d.whole]] = True
    truncated[d.last_row[early]] = False
    return dataclasses.replace(d, terminated=terminated, truncated=truncated), int(early.sum())


def _check_bounds(k: int, part: Demonstrations, first: Demonstrations) -> None:
    """CredoError where part ``k`` and the first one do not say the same action box."""
    if part.action_bounds is None and first.action_bounds is None:
        return
    for index, one in ((0, first), (k, part)):
        if one.action_bounds is None:
            raise CredoError(
                f"merge: part {index} ({one.source or 'unknown'}) does not say its action box, part {k - index} does; "
                "--env names the environment whose box it is"
            )
    if not same_bounds(_or_empty(part.action_bounds), _or_empty(first.action_bounds)).all():
        raise CredoError(f"merge: the actions of part {k} were scaled from another action box than those of part 0")


def _or_empty(array: np.ndarray | None) -> np.ndarray:
    return np.zeros(0) if array is None else array
