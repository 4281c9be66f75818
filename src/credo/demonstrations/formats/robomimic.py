"""robomimic HDF5 files with low-dimensional observations: ``data/demo_N/{obs/KEY, actions, rewards, next_obs/KEY}``.

Observations are the arrays named by ``@keys=``, else every array of ``obs`` with one axis beside time, in
alphabetical order. ``dones`` marks success or the recording's end, not a termination of the environment, so every
episode counts as truncated. Of the parts that episodes are divided into (``mask/NAME``) ``@mask=NAME`` reads one; else
all are read. Without ``next_obs`` the successor of the last step was not recorded: it is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from credo.demonstrations.formats import hdf5
from credo.demonstrations.formats.recording import ReadOptions, RecordedEpisode, Recording, without_lone_rows
from credo.types import CredoError

_PREFIX = "demo_"


def is_robomimic(root: Any) -> bool:
    """Whether the file has a group ``data`` of demonstrations."""
    return hdf5.has(root, "data") and not hdf5.has(root, "actions")


@contextmanager
def open_robomimic(path: Path, options: ReadOptions) -> Iterator[Recording]:
    """A recording of a robomimic file, in the order of the demonstrations' numbers."""
    with hdf5.opened(path) as root:
        data = hdf5.subgroup(path, root, "data")
        found = [name for name in hdf5.names(data) if name.startswith(_PREFIX) and name[len(_PREFIX) :].isdecimal()]
        names = sorted(found, key=lambda name: int(name[len(_PREFIX) :]))
        if not names:
            raise CredoError(f"{path}: field /data: no group {_PREFIX}N found, a demonstration each expected")
        if options.mask:
            names = _masked(path, root, names, options.mask)
        first = hdf5.subgroup(path, data, names[0])
        keys = _keys(path, hdf5.subgroup(path, first, "obs"), options)
        following = hdf5.has(first, "next_obs")
        rewarded = hdf5.has(first, "rewards")
        dropped = 0 if following else 1
        lengths = []
        for name in names:
            steps = hdf5.column(path, hdf5.subgroup(path, data, name), "actions", 2).shape[0]
            if steps < 1:
                raise CredoError(f"{path}: field /data/{name}: {steps} steps found, 1 or more expected")
            lengths.append(steps - dropped)
        if dropped:
            kept = without_lone_rows(path, np.array(lengths) + dropped)
            names, lengths = [names[k] for k in kept], [lengths[k] for k in kept]

        def joined(group: Any) -> np.ndarray:
            return np.concatenate([hdf5.values(path, group, key, 2) for key in keys], axis=1)

        def episode(index: int) -> RecordedEpisode:
            group, rows = hdf5.subgroup(path, data, names[index]), int(lengths[index])
            observation = joined(hdf5.subgroup(path, group, "obs"))
            reward = hdf5.values(path, group, "rewards", 1) if rewarded else None
            return RecordedEpisode(
                observation=observation[:rows],
                action=hdf5.values(path, group, "actions", 2)[:rows],
                next_observation=joined(hdf5.subgroup(path, group, "next_obs")) if following else observation[1:],
                reward=None if reward is None else reward[:rows],
                terminated=False,
                truncated=True,
                length=rows + dropped,
                total=None if reward is None else float(reward.astype(np.float32).sum(dtype=np.float64)),
            )

        sizes = [hdf5.column(path, hdf5.subgroup(path, first, "obs"), key, 2).shape[1] for key in keys]
        yield Recording(
            lengths=np.array(lengths, dtype=np.int64),
            episode=episode,
            observation_size=sum(sizes),
            action_size=hdf5.column(path, first, "actions", 2).shape[1],
            environment=_environment(hdf5.text_attribute(path, data, "env_args")),
            joined=tuple(keys),
            unread=("mask",) if hdf5.has(root, "mask") and not options.mask else (),
        )


def _masked(path: Path, root: Any, names: list[str], mask: str) -> list[str]:
    """Those of ``names`` that /mask/NAME lists, in their own order."""
    parts = hdf5.subgroup(path, root, "mask") if hdf5.has(root, "mask") else None
    known = [] if parts is None else hdf5.names(parts)
    if parts is None or mask not in known:
        there = f"there are {', '.join(sorted(known))[:200]}" if known else "the file has none"
        raise CredoError(f"{path}: field /mask/{mask[:60]}: missing; {there}")
    listed = hdf5.text_column(path, parts, mask, len(names))
    strange = sorted(set(listed) - set(names))
    if strange or not listed:
        told = f"{strange[0][:60]!r} is no demonstration of the file" if strange else "no demonstrations in it"
        raise CredoError(f"{path}: field /mask/{mask[:60]}: {told}")
    return [name for name in names if name in listed]


def _keys(path: Path, group: Any, options: ReadOptions) -> list[str]:
    present = hdf5.names(group)
    low = [key for key in sorted(present) if len(getattr(hdf5.child(path, group, key), "shape", None) or ()) == 2]
    keys = options.chosen(path, present, low)
    for key in keys:
        if key not in present:
            raise CredoError(f"{path}: field {group.name}/{key[:60]}: missing; there are {', '.join(present)[:200]}")
    if not keys:
        raise CredoError(f"{path}: field {group.name}: no low-dimensional observation among {', '.join(present)[:200]}")
    return list(keys)


def _environment(text: str | None) -> str:
    """The environment's name in ``env_args``, to show; "" where there is none."""
    try:
        name = json.loads(text or "")["env_name"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""
    return name[:200] if isinstance(name, str) else ""
