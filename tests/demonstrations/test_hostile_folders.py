"""HDF5 files and datasets' folders from strangers: one line that names the file and the field, nothing followed."""

from __future__ import annotations

import json
import os
import shutil

import h5py
import numpy as np
import pyarrow as pa
import pytest

from credo.demonstrations import ReadOptions, read_file, write_file
from credo.types import CredoError
from demonstrations.hostile_files import FIXTURES, SPEC, put, refused, write_flat

# --- HDF5


def soft(file):
    del file["rewards"]
    file["rewards"] = h5py.SoftLink("/observations")


def external_link(file):
    del file["rewards"]
    file["rewards"] = h5py.ExternalLink("/etc/passwd", "/x")


def external_data(file):
    del file["rewards"]
    file.create_dataset("rewards", (6,), "f4", external=[("/etc/passwd", 0, 24)])


def virtual(file):
    del file["rewards"]
    layout = h5py.VirtualLayout((6,), "f4")
    layout[:] = h5py.VirtualSource("other.hdf5", "x", (6,))
    file.create_virtual_dataset("rewards", layout)


def references(file):
    del file["rewards"]
    file.create_dataset("rewards", (6,), h5py.ref_dtype)


def variable_length(file):
    del file["rewards"]
    file.create_dataset("rewards", (6,), h5py.vlen_dtype(np.float32))


def group(file):
    del file["rewards"]
    file.create_group("rewards")


def nothing(file):
    del file["rewards"]
    file["rewards"] = h5py.Empty("f4")


def dangling(file):
    del file["observations"]
    file["observations"] = h5py.SoftLink("/nowhere")


def scale_offset(file):
    del file["rewards"]
    file.create_dataset("rewards", data=np.zeros(6, np.int32), scaleoffset=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (soft, "/rewards: is a SoftLink, which is not followed"),
        (external_link, "/rewards: is a ExternalLink"),
        (external_data, "/rewards: its data lie in other files"),
        (virtual, "/rewards: its data lie in other files"),
        (references, "/rewards: dtype object"),
        (variable_length, "/rewards: dtype object"),
        (group, "/rewards: a dataset expected"),
        (nothing, "/rewards: is empty"),
        (dangling, "/observations: is a SoftLink"),
        (scale_offset, "/rewards: filters"),
    ],
)
def test_hdf5_that_leads_elsewhere(change, message, tmp_path):
    path = write_flat(tmp_path / "bad.hdf5")
    with h5py.File(path, "a") as file:
        change(file)
    refused(path, message)


def test_robomimic_without_demonstrations(tmp_path):
    path = tmp_path / "bad.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group("data/mask")
    refused(path, "no group demo_N")
    with h5py.File(path, "a") as file:
        demo = file.create_group("data/demo_0")
        demo["obs/image"] = np.zeros((4, 2, 2, 3))
        demo["actions"] = np.zeros((4, 2))
    refused(path, "no low-dimensional observation among image")


# --- folders


@pytest.fixture
def minari(tmp_path):
    return shutil.copytree(FIXTURES / "minari-hdf5-v0", tmp_path / "bad-v0")


def metadata(folder, change):
    path = folder / "data" / "metadata.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("total_episodes", 10**12), "3 episodes found, metadata.json says 1000000000000"),
        (put("total_episodes", "3"), "total_episodes"),
        (put("data_format", "pickle"), "data_format: 'pickle'"),
        (put("observation_space", 3), "observation_space: missing"),
        (put("observation_space", '{"type": "Discrete", "n": 3}'), "Discrete found; Box"),
        (put("observation_space", '{"type": "Box", "shape": [99999999999999], "low": 0, "high": 1}'), "shape"),
        (
            put("observation_space", '{"type": "Box", "shape": [4], "low": 0, "high": 1}'),
            r"observations: shape \(5, 3\)",
        ),
        (put("action_space", "[" * 100_000), "action_space: not readable as JSON"),
        (put("action_space", '{"type": "Box", "shape": [2], "low": [0, 0], "high": [0, 1]}'), "low is not below high"),
        (put("action_space", '{"type": "Box", "shape": [2], "low": [0], "high": [1]}'), "low and high of 2 numbers"),
    ],
)
def test_minari_metadata(change, message, minari):
    metadata(minari, change)
    with pytest.raises(CredoError, match=message) as caught:
        read_file(minari)
    assert "bad-v0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unbounded_actions_are_not_scaled(minari):
    """JSON as Python writes it, with bare Infinity."""
    space = {"type": "Box", "dtype": "float32", "shape": [2], "low": [-np.inf] * 2, "high": [np.inf] * 2}
    metadata(minari, put("action_space", json.dumps(space)))
    assert "Infinity" in (minari / "data" / "metadata.json").read_text()
    with pytest.raises(CredoError, match="--env"):
        read_file(minari)
    assert read_file(minari, ReadOptions(SPEC)).action_bounds.tolist() == [[-4, -4], [4, 4]]


def test_json_bombs(minari):
    (minari / "data" / "metadata.json").write_text('{"a":' * 200_000)
    with pytest.raises(CredoError, match=r"metadata\.json: not readable as JSON \(nested too deeply"):
        read_file(minari)


def test_a_million_empty_episodes(tmp_path):
    """They stop at the first."""
    folder = tmp_path / "bad-v0" / "data"
    shutil.copytree(FIXTURES / "minari-arrow-v0" / "data", folder)
    metadata(folder.parent, put("total_episodes", 1_000_000))
    with pytest.raises(CredoError, match=r"3: no \.arrow file"):
        read_file(folder.parent)
    empty = pa.table({name: pa.array([0.0]) for name in ("observations", "actions", "rewards")})
    with pa.OSFile(str(folder / "0" / "part-0.arrow"), "wb") as sink, pa.ipc.new_file(sink, empty.schema) as writer:
        writer.write_table(empty)
    with pytest.raises(CredoError, match="episode 0: empty"):
        read_file(folder.parent)


def test_steps_that_disagree(minari):
    with h5py.File(minari / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/terminations"]
        file["episode_1/terminations"] = np.zeros(4, bool)
    with pytest.raises(CredoError, match="episode 1: terminations has 4 rows, 6 expected"):
        read_file(minari)


def test_compressed_arrow_is_refused(tmp_path):
    folder = shutil.copytree(FIXTURES / "imitation", tmp_path / "bad")
    (file,) = folder.glob("*.arrow")
    with pa.memory_map(str(file)) as source:
        table = pa.ipc.open_stream(source).read_all()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    with pytest.raises(CredoError, match=r"\.arrow: is compressed"):
        read_file(folder)


@pytest.mark.parametrize("name", ["../../data.arrow", "/etc/passwd", "", "..", 3])
def test_imitation_files_lie_in_the_folder(name, tmp_path):
    folder = shutil.copytree(FIXTURES / "imitation", tmp_path / "bad")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(CredoError, match="a file of this folder expected"):
        read_file(folder)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a-v0/data/main_data.hdf5", "minari"),
        ("b-v0/data/0/part-0.arrow", "minari-arrow"),
        ("c-v0/data/0/part-0.parquet", "minari-parquet"),
        ("imitation/data-00000-of-00001.arrow", "imitation"),
        ("lerobot/data/chunk-000/episode_000000.parquet", "lerobot"),
    ],
)
def test_a_pipe_in_a_folder_is_not_waited_for(name, kind, make_demonstrations, tmp_path):
    path = tmp_path / name
    folder = tmp_path / name.partition("/")[0]
    if kind == "imitation":
        shutil.copytree(FIXTURES / "imitation", folder)
    elif kind == "lerobot":
        path.parent.mkdir(parents=True)
        (folder / "meta").mkdir()
        description = {"codebase_version": "v3.0", "features": {"observation.state": {}, "action": {}}}
        (folder / "meta" / "info.json").write_text(json.dumps(description))
    else:
        write_file(folder, make_demonstrations([4, 3]), kind)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(CredoError, match=f"{path.name}: is not a regular file") as caught:
        read_file(folder)
    assert "\n" not in str(caught.value)


def test_what_is_no_dataset(tmp_path):
    for content, message in (
        (b"", "the file is empty"),
        (b"garbage", "of no format that is read"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"PK\x03\x04", "zip"),
        (b"\x80\x04.", "pickle"),
        (b"PAR1", "folder"),
    ):
        path = tmp_path / "bad"
        path.write_bytes(content)
        refused(path, message)
    refused(tmp_path, "no dataset is known here")
    refused(tmp_path / "missing", "no such file")
