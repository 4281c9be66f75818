"""Files made wrong on purpose, and what reading one must say."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from credo.demonstrations import ReadOptions, read_file
from credo.types import CredoError, EnvironmentSpec

FIXTURES = Path(__file__).parent / "fixtures"
SPEC = EnvironmentSpec("Probe-v0", 3, 2, np.full(2, -4, np.float32), np.full(2, 4, np.float32), None)


def refused(path, message, options=ReadOptions(SPEC)):
    with pytest.raises(CredoError, match=message) as caught:
        read_file(path, options)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    assert len(text) < 600


def flat(rows=6):
    generator = np.random.default_rng(0)
    return {
        "observations": generator.normal(size=(rows, 3)).astype(np.float32),
        "next_observations": generator.normal(size=(rows, 3)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "rewards": np.zeros(rows, np.float32),
        "terminals": np.arange(rows) % 3 == 2,
        "timeouts": np.zeros(rows, bool),
    }


def write_flat(path, change=lambda arrays: None):
    arrays = flat()
    change(arrays)
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    return path


def put(name, value):
    return lambda arrays: arrays.update({name: value})


def setting(name, row, value):
    def change(arrays):
        arrays[name][row] = value

    return change
