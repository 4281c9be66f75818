"""D4RL HDF5 files: flat transitions in datasets at the top of the file.

``observations``, ``actions``, ``terminals``, and where present ``rewards``, ``timeouts``, ``next_observations``. The
action box is not in the file. ``terminals`` are terminations, ``timeouts`` truncations; files without ``timeouts`` or
without ``next_observations`` are cut as ``flat_recording`` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from credo.demonstrations.formats import hdf5
from credo.demonstrations.formats.flat import Flat, flat_recording
from credo.demonstrations.formats.recording import ReadOptions, Recording


def is_d4rl(root: Any) -> bool:
    """Whether the file has flat observations and actions at its top."""
    return hdf5.has(root, "observations") and hdf5.has(root, "actions")


@contextmanager
def open_d4rl(path: Path, options: ReadOptions) -> Iterator[Recording]:
    """A recording of a D4RL file, whose rows are read episode by episode."""
    with hdf5.opened(path) as root:

        def column(name: str, axes: int) -> Any:
            return hdf5.column(path, root, name, axes) if hdf5.has(root, name) else None

        flat = Flat(
            observation=hdf5.column(path, root, "observations", 2),
            action=hdf5.column(path, root, "actions", 2),
            terminated=hdf5.flag_column(path, root, "terminals"),
            truncated=hdf5.flag_column(path, root, "timeouts") if hdf5.has(root, "timeouts") else None,
            next_observation=column("next_observations", 2),
            reward=column("rewards", 1),
        )
        yield flat_recording(path, flat, options)
