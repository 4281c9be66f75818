"""What freezes a seed, and what is kept of it for inspection."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from credo.diagnostics.frozen import NON_FINITE
from credo.environments import EnvironmentFaultError, NonFiniteActionError
from credo.run_folder import FROZEN, write_json
from credo.storage import write_tensors
from credo.types import CredoError, EnvironmentSpec, one_line

if TYPE_CHECKING:
    from credo.training.seed import Seed

FORMAT = "credo-frozen-seed"
VERSION = 1
LONGEST = 300


class Fault(Exception):  # noqa: N818 (it stops a seed, not the program)
    """What stops one seed and not the others.

    Attributes:
        cause: one line.
        evidence: what is kept of it, name to array.
    """

    def __init__(self, cause: str, evidence: dict[str, np.ndarray] | None = None):
        super().__init__(cause)
        self.cause = cause
        self.evidence = evidence or {}


def environment_fault(error: Exception, name: str, **evidence: np.ndarray) -> Fault:
    """The fault of a seed whose environment ``name``, or the action it was given, raised ``error``."""
    if isinstance(error, NonFiniteActionError):
        return Fault(f"{NON_FINITE} action: {one_line(error, LONGEST)}", evidence)
    if isinstance(error, EnvironmentFaultError):  # its text names the environment
        return Fault(one_line(error, LONGEST), evidence)
    if isinstance(error, CredoError):  # of a first reset: what it says is of the environment already
        return Fault(one_line(error, LONGEST).removeprefix("environment: "), evidence)
    return Fault(f"environment {name} raised {type(error).__name__}: {one_line(error, LONGEST)}", evidence)


def evidence_of(experience: Any) -> dict[str, np.ndarray]:
    """The arrays of a round's experience by their paths in it."""
    leaves = jax.tree_util.tree_flatten_with_path(experience)[0]
    return {f"experience{jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves}


def check_experience(experience: Any) -> None:
    """Fault where what a round is to learn from holds NaN or infinity."""
    arrays = evidence_of(experience)
    bad = [name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
    if bad:
        raise Fault(f"{NON_FINITE} {', '.join(name.removeprefix('experience.') for name in bad)} in the replay", arrays)


class NoEnvironments:
    """Stands for the environments of a seed that could not begin; it is frozen, so they are never stepped."""

    def __init__(self, spec: EnvironmentSpec, count: int):
        self.spec = spec
        self.observation = np.zeros((count, spec.observation_size), np.float32)
        self.notes: list[str] = []

    def seeding_note(self) -> None:
        return None

    def close(self) -> None:
        pass


def keep_evidence(folder: Path, seed: Seed, arrays: dict[str, np.ndarray]) -> None:
    """Write frozen/seed-K.safetensors (``arrays``: the seed's last good state; and what its fault left) and
    frozen/seed-K.json (step, cause, the last rows of metrics) into the run folder."""
    assert seed.frozen is not None
    home = folder / FROZEN
    try:
        home.mkdir(exist_ok=True)
        write_tensors(
            home / f"seed-{seed.number}.safetensors",
            format=FORMAT,
            version=VERSION,
            tensors=arrays | seed.evidence,
            metadata={},
            overwrite=True,
        )
    except OSError as error:
        raise CredoError(f"{home}: cannot be written ({error.strerror})") from None
    write_json(
        home / f"seed-{seed.number}.json",
        {
            "format": FORMAT,
            "version": VERSION,
            "seed": seed.number,
            "step": seed.frozen.step,
            "cause": seed.frozen.cause,
            "metrics": _readable(seed.recent),
        },
    )


def _readable(rows: Iterable[dict[str, float]]) -> list[dict[str, float | str]]:
    """Rows for JSON, which knows no NaN and no infinity."""
    return [{name: value if np.isfinite(value) else str(value) for name, value in row.items()} for row in rows]
