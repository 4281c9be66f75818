"""The parts that a robomimic file divides its episodes into, read by name."""

import h5py
import numpy as np
import pytest

from credo.demonstrations import load_demonstrations
from credo.types import CredoError
from demonstrations.hostile_files import FIXTURES
from demonstrations.test_formats import LENGTHS, spec, write_robomimic


def test_a_part_of_the_episodes_is_read_by_its_name(tmp_path):
    with np.load(FIXTURES / "expected.npz") as arrays:
        expected = dict(arrays)
    path = tmp_path / "low_dim.hdf5"
    write_robomimic(path, expected)
    with h5py.File(path, "a") as file:
        file.create_dataset("mask/train", data=[b"demo_9"])
        file.create_dataset("mask/valid", data=["demo_11", "demo_10"], dtype=h5py.string_dtype())
        file.create_dataset("mask/strange", data=[b"demo_9", b"demo_8"])
        file.create_dataset("mask/none", data=np.array([], "S8"))
        file.create_dataset("mask/numbers", data=[9])
        file["mask/soft"] = h5py.SoftLink("/data")
    train, valid = (load_demonstrations(f"{path}@mask={name}", fitting=spec()) for name in ("train", "valid"))
    assert (train.rows_per_episode.tolist(), valid.rows_per_episode.tolist()) == (LENGTHS[:1], LENGTHS[1:])
    np.testing.assert_array_equal(valid.episode(0).observation, expected["observations"][5:11, [2, 0, 1]])
    assert "not read" not in train.source
    for name, message in {
        "test": "/mask/test: missing; there are none, numbers, soft, strange, train, valid",
        "strange": "/mask/strange: 'demo_8' is no demonstration of the file",
        "none": "/mask/none: no demonstrations in it",
        "numbers": "/mask/numbers: a list of at most 3 names expected",
        "soft": "is a SoftLink, which is not followed",
    }.items():
        with pytest.raises(CredoError, match=message):
            load_demonstrations(f"{path}@mask={name}", fitting=spec())
    plain = path.with_suffix(".npz")
    np.savez(plain, observations=np.zeros((3, 1)), actions=np.zeros((3, 1)))
    for name in ("hopper-expert", plain):
        with pytest.raises(CredoError, match="mask: train: "):
            load_demonstrations(f"{name}@mask=train")
