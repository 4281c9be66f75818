"""Files that look like another kind, and archives that lack something."""

from dataclasses import replace

import numpy as np
import pytest

from credo.demonstrations import read_file, write_file
from credo.types import CredoError


@pytest.mark.parametrize("header", [0x480, 0x580])
def test_a_header_as_long_as_a_pickle_looks_is_none(header, make_demonstrations, tmp_path):
    """A safetensors file begins with the length of its header: 80 02 to 80 05 are a pickle's first bytes, too."""
    path, d = tmp_path / "a.safetensors", make_demonstrations([3])
    write_file(path, replace(d, source="x"))
    shortest = int.from_bytes(path.read_bytes()[:8], "little")
    source = "x" * (1 + header - shortest)
    write_file(path, replace(d, source=source), overwrite=True)
    assert path.read_bytes()[:2] == header.to_bytes(2, "little")
    assert read_file(path).source == source


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (
            {"obs": (4, 3), "act": (4, 2), "rew": (4,)},
            ["field actions: missing", "actions or action or acts", "act, obs, rew"],
        ),
        ({"obs": (4, 3), "acts": (4, 2), "dones": (4,)}, ["field terminated: missing", "'dones' does not say which"]),
        ({"obs": (2, 4, 3), "acts": (2, 4, 2), "terminated": (4,)}, ["shape (2, 4, 3)", "one row a step"]),
    ],
)
def test_what_an_archive_lacks_is_told_with_what_it_has(arrays, expected, tmp_path):
    np.savez(tmp_path / "a.npz", **{name: np.zeros(shape) for name, shape in arrays.items()})
    with pytest.raises(CredoError) as refusal:
        read_file(tmp_path / "a.npz")
    for part in expected:
        assert part in str(refusal.value)
