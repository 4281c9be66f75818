from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from credo.demonstrations import read_demonstrations, save_demonstrations
from credo.demonstrations.dataset import tensors
from credo.policies import load_policy
from credo.storage import content_sha256
from credo.types import CredoError


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    stride=st.integers(1, 4),
    optional=st.sets(st.sampled_from(["reward", "returns", "action_bounds"])),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
)
@settings(max_examples=60, deadline=None)
def test_round_trip_is_exact(tmp_path_factory, make_demonstrations, lengths, stride, optional, text):
    path = tmp_path_factory.getbasetemp() / "round-trip.safetensors"
    before = make_demonstrations(lengths).subsample(stride, 0)
    before = replace(before, environment=text, source=text + "x", **dict.fromkeys(optional))
    save_demonstrations(path, before, overwrite=True)
    after = read_demonstrations(path)
    left, right = tensors(before), tensors(after)
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].tobytes() == right[name].tobytes()
    assert (after.environment, after.source, after.sha256) == (
        before.environment,
        before.source,
        before.sha256,
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory, make_demonstrations):
    path = tmp_path_factory.mktemp("good") / "good.safetensors"
    save_demonstrations(path, make_demonstrations([3, 1, 4]))
    return path.read_bytes()


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_flipped_bits_are_always_refused(tmp_path_factory, good, data):
    bad = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    content = bytearray(good)
    for position in data.draw(st.sets(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    bad.write_bytes(content)
    with pytest.raises(CredoError) as caught:
        read_demonstrations(bad)
    assert "\n" not in str(caught.value)


def test_every_bit_of_the_header_matters(tmp_path, good):
    bad = tmp_path / "bad"
    header = 8 + int.from_bytes(good[:8], "little")
    for position in range(header):
        content = bytearray(good)
        content[position] ^= 1 << position % 8
        bad.write_bytes(content)
        with pytest.raises(CredoError):
            read_demonstrations(bad)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_truncated_or_grown_files_are_refused(tmp_path_factory, good, data):
    bad = tmp_path_factory.getbasetemp() / "cut.safetensors"
    size = data.draw(st.integers(0, len(good) - 1))
    bad.write_bytes(data.draw(st.sampled_from([good[:size], good + b"\0" * (size + 1), good[size + 1 :]])))
    with pytest.raises(CredoError):
        read_demonstrations(bad)


def forge(path, change, **header) -> None:
    """Change arrays or metadata of a file and make its hash right again."""
    with safe_open(str(path), framework="numpy") as file:
        metadata = {**file.metadata(), **header}
    arrays = {name: array for name, array in {**load_file(path), **change}.items() if array is not None}
    del metadata["sha256"]
    metadata["sha256"] = content_sha256(arrays, metadata)
    save_file(arrays, path, metadata=metadata)


@pytest.mark.parametrize(
    ("change", "header", "message"),
    [
        ({"observation": np.zeros((8, 3))}, {}, "observation: dtype float64 found, float32"),
        ({"terminated": np.zeros(8, np.uint8)}, {}, "terminated: dtype uint8 found, bool"),
        ({"terminated": np.full(8, 2, np.uint8).view(bool)}, {}, "terminated: holds bytes"),
        ({"episode_start": np.array([0, 8], np.int32)}, {}, "episode_start: dtype int32"),
        ({"observation": np.zeros((0, 2**50), np.float32)}, {}, "empty|shape"),
        ({"observation": np.zeros((8, 0), np.float32)}, {}, "0 dimensions"),
        ({"observation": None}, {}, "'observation': missing"),
        ({"observation": np.full((8, 3), np.nan, np.float32)}, {}, "observation: episode 0, step 0"),
        ({"action": np.full((8, 2), 7, np.float32)}, {}, "-1 to 1 expected"),
        ({"extra": np.zeros(1)}, {}, "'extra': unknown"),
        ({"episode_start": np.array([0, 5, 3, 8])}, {}, "episode 1 goes from row 5 to 3"),
        ({}, {"format_version": "2"}, "newer than 1"),
        ({}, {"format": "credo-policy"}, "'credo-policy' found, 'credo-demonstrations' expected"),
    ],
)
def test_wrong_but_undamaged_file_is_refused(tmp_path, good, change, header, message):
    path = tmp_path / "d.safetensors"
    path.write_bytes(good)
    forge(path, {})
    read_demonstrations(path)
    forge(path, change, **header)
    with pytest.raises(CredoError, match=message) as caught:
        read_demonstrations(path)
    assert str(path) in str(caught.value)


def test_not_our_file(tmp_path, good):
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text").write_text("hello, this is no such file at all")
    for name in ("other.safetensors", "other.npz", "text"):
        with pytest.raises(CredoError, match=r"not a|format"):
            read_demonstrations(tmp_path / name)
    (tmp_path / "d").write_bytes(good)
    with pytest.raises(CredoError, match="'credo-demonstrations' found, 'credo-policy' expected"):
        load_policy(tmp_path / "d")


def test_nothing_is_overwritten_unless_asked(tmp_path, make_demonstrations):
    first, second = make_demonstrations([2]), make_demonstrations([3])
    path = tmp_path / "d.safetensors"
    save_demonstrations(path, first)
    with pytest.raises(CredoError, match="exists already"):
        save_demonstrations(path, second)
    assert read_demonstrations(path).sha256 == first.sha256
    save_demonstrations(path, second, overwrite=True)
    assert read_demonstrations(path).sha256 == second.sha256
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_that_appears_while_writing_is_kept(tmp_path, monkeypatch, make_demonstrations):
    path = tmp_path / "d.safetensors"
    synchronise = os.fsync

    def appear(descriptor):
        path.write_text("mine")
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", appear)
    with pytest.raises(CredoError, match="exists already"):
        save_demonstrations(path, make_demonstrations([2]))
    assert path.read_text() == "mine"
