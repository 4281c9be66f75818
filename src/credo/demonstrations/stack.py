"""Demonstrations of single frames as a policy on stacked frames sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from credo.demonstrations.dataset import Demonstrations
from credo.demonstrations.validate import check_fits
from credo.types import CredoError, EnvironmentSpec


def fitted(demonstrations: Demonstrations, spec: EnvironmentSpec, frames: int = 1) -> Demonstrations:
    """The demonstrations for an environment of stacked frames: stacked where they are of single frames, as they are
    where they are stacked already. CredoError where neither fits, see ``check_fits`` and ``stack_frames``."""
    if frames > 1 and demonstrations.observation_size * frames == spec.observation_size:
        demonstrations = stack_frames(demonstrations, frames)
    check_fits(demonstrations, spec)
    return demonstrations


def stack_frames(demonstrations: Demonstrations, frames: int) -> Demonstrations:
    """Every observation with the ``frames`` - 1 before it in its episode, oldest first, [N, frames * O]; an episode's
    first observation stands for those before it, as in the environment.

    CredoError where transitions were left out, for then the frames before are not known: stack first, then subsample.
    """
    d = demonstrations
    if frames < 1:
        raise CredoError(f"frame_stack: {frames} is not possible; it must be at least 1")
    # A reader that knows no successor of an episode's last step leaves it out, and no frame before it is lost. Of two
    # steps one row may also be what subsampling left.
    whole = d.whole & ((d.lengths == d.rows_per_episode) | (d.lengths > 2))
    if len(d.successor_row) != d.episodes or not whole.all():
        raise CredoError(
            f"demonstrations ({d.source or 'given'}): transitions were left out, so frames cannot be stacked; "
            "give whole episodes (without @subsample)"
        )
    first = np.repeat(d.episode_start[:-1], d.rows_per_episode)
    rows = np.arange(len(d))
    back = range(frames - 1, -1, -1)
    observation = np.concatenate([d.observation[np.maximum(rows - age, first)] for age in back], axis=1)
    ends = d.episode_start[1:]
    older = [d.observation[np.maximum(ends - age, d.episode_start[:-1])] for age in back if age]
    return replace(d, observation=observation, successor=np.concatenate([*older, d.successor], axis=1))
