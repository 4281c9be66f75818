"""What a policy is shown, as its metadata says it: chosen entries of a Dict observation, and the last frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from credo.types import CredoError, number_array

MAXIMUM_FRAMES = 1_000
KEYS, FRAMES = "observation_keys", "frame_stack"
"""Names in a policy's metadata."""


def describe_view(keys: Sequence[str], frames: int) -> dict[str, str]:
    """A policy's metadata on what it is shown; empty for the plain observation."""
    return ({KEYS: json.dumps(list(keys))} if keys else {}) | ({FRAMES: str(frames)} if frames > 1 else {})


def described_view(metadata: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    """Keys and frames from a policy's metadata; CredoError where a file says nonsense."""
    text, count = metadata.get(KEYS, "[]"), metadata.get(FRAMES, "1")
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError):
        keys = None
    if not isinstance(keys, list) or len(keys) > MAXIMUM_FRAMES or not all(isinstance(key, str) for key in keys):
        raise CredoError(f"policy: field metadata.{KEYS}: {text[:40]!r} found, a list of names expected")
    if not (count.isascii() and count.isdecimal() and len(count) < 6 and 1 <= int(count) <= MAXIMUM_FRAMES):
        raise CredoError(f"policy: field metadata.{FRAMES}: {count[:40]!r} found, 1 to {MAXIMUM_FRAMES} expected")
    return tuple(keys), int(count)


def joined(observation: Mapping[str, Any], metadata: Mapping[str, str], environment: str) -> np.ndarray:
    """[O] of a Dict observation, its entries flattened and joined as the policy was shown them.

    CredoError where the policy was shown no entries, or an entry is missing or not of numbers, or it sees stacked
    frames.
    """
    keys, frames = described_view(metadata)
    if not keys:
        raise CredoError(f"policy: a Dict observation given; this {environment} policy takes an array")
    if frames > 1:
        raise CredoError(
            f"policy: a Dict observation given; this {environment} policy takes the last {frames} observations as one "
            "array, which credo.environments.viewed makes"
        )
    for key in keys:
        if key not in observation:
            raise CredoError(
                f"policy: no observation {key!r}; {', '.join(keys)} are what this {environment} policy takes"
            )
    return np.concatenate([number_array(f"policy: observation {key!r}", observation[key]).ravel() for key in keys])
