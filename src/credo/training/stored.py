"""The training state of a seed from a run folder, for whoever reads it and trains nothing."""

from __future__ import annotations

from pathlib import Path

import jax

from credo.storage import read_tensors
from credo.training import replay_files
from credo.training.checkpoint import all_checkpoints, filled, state_name
from credo.training.manifest import FORMAT, VERSION, OtherVersionError, as_written, read_manifest
from credo.training.state import Parts, TrainState, initial_state
from credo.types import CredoError


def newest_state(run: Path, parts: Parts, seed: int) -> tuple[TrainState, int]:
    """The state of ``seed`` in the newest checkpoint of which its part is whole, and the environment steps until then.
    Nothing is mended or written. CredoError where there is none."""
    damage = None
    # Its shapes are enough, and settings in a stranger's folder may ask for more memory than there is; a plug-in may
    # not stand being traced.
    template = (
        initial_state(parts, seed) if parts.config.plugins else jax.eval_shape(lambda: initial_state(parts, seed))
    )
    for path in reversed(all_checkpoints(run)):
        try:
            with as_written(path):
                seeds = read_manifest(path)["seeds"]
                if str(seed) not in seeds:
                    known = ", ".join(sorted(seeds, key=int))
                    raise _UnknownSeedError(f"seed: {seed} is not one of {run}; it has {known}")
                entry = seeds[str(seed)]
                own = [(name, digest) for name, digest in entry.get("files", {}).items() if name == state_name(seed)]
                replay_files.verify(path, own)
                tensors, _ = read_tensors(path / state_name(seed), format=FORMAT, version=VERSION)
                arrays = {name.removeprefix("state/"): array for name, array in tensors.items()}
                return filled(template, arrays), entry["next_round"] * parts.config.steps_per_round
        except (_UnknownSeedError, OtherVersionError):
            raise
        except CredoError as error:
            damage = damage or f"; its newest is damaged ({error})"
    raise CredoError(f"run: {run} has no checkpoint to read{damage or ''}")


class _UnknownSeedError(CredoError):
    """Older checkpoints know no more seeds."""
