"""What else in files of demonstrations is refused: one line that names the file and the field."""

from __future__ import annotations

import json
import shutil
import zipfile

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from credo.demonstrations.formats import recording
from credo.types import CredoError
from demonstrations.hostile_files import FIXTURES, refused, write_flat


def stored_twice(folder):
    path = write_flat(folder / "bad.npz")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("observations.npy", archive.read("observations.npy"))
    return path


def chunk_larger_than_declared(folder):
    """Its compression is marked as left out, so that nothing inflates."""
    if h5py.version.hdf5_version_tuple < (2,):
        pytest.skip("older libraries write no chunk that is larger than it says")
    path = write_flat(folder / "bad.hdf5", lambda arrays: arrays.pop("observations"))
    with h5py.File(path, "a") as file:
        data = file.create_dataset("observations", (6, 3), "f4", chunks=(6, 3), compression="gzip")
        data.id.write_direct_chunk((0, 0), bytes(1 << 18), filter_mask=1)
    return path


def several_actions(folder):
    path = shutil.copytree(FIXTURES / "minari-hdf5-v0", folder / "bad-v0")
    description = path / "data" / "metadata.json"
    told = json.loads(description.read_text())
    box = json.loads(told["action_space"])
    told["action_space"] = json.dumps({"type": "Dict", "subspaces": {"arm": box, "hand": box}})
    description.write_text(json.dumps(told))
    return path


def lerobot(**columns):
    """A maker of two episodes of three frames, with these columns in place of the sound ones."""

    def make(folder):
        sound = {"observation.state": [[1.0, 2.0, 3.0]] * 6, "action": [[0.0, 0.0]] * 6, "next.reward": [0.0] * 6}
        table = sound | {"episode_index": [0, 0, 0, 1, 1, 1]} | {k.replace("__", "."): v for k, v in columns.items()}
        (folder / "bad/meta").mkdir(parents=True)
        (folder / "bad/data/chunk-000").mkdir(parents=True)
        told = {"codebase_version": "v3.0", "features": {name: {} for name in table}}
        (folder / "bad/meta/info.json").write_text(json.dumps(told))
        pq.write_table(pa.table(table), folder / "bad/data/chunk-000/file-000.parquet")
        return folder / "bad"

    return make


STATE = [1.0, 2.0, 3.0]
REFUSED = {
    "stored twice": (stored_twice, "field observations: stored twice"),
    "chunk larger than declared": (chunk_larger_than_declared, "a chunk of 72 bytes is stored in 262,144"),
    "actions of several parts": (several_actions, "field action_space: Dict found; Box"),
    "no reward": (lerobot(next__reward=[0.0, None, 0, 0, 0, 0]), "field next.reward: 1 values are missing"),
    "no row": (
        lerobot(observation__state=[STATE, None, *[STATE] * 4]),
        "field observation.state: 1 values are missing",
    ),
    "no number in a row": (lerobot(action=[[0.0, 0.0]] * 5 + [[None, 0.0]]), "field action: 1 values are missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_line(case, tmp_path):
    make, message = REFUSED[case]
    refused(make(tmp_path), message)


@pytest.mark.parametrize(("declared", "fits"), [(9_000_000, True), (9_000_001, False)])
def test_of_the_free_memory_nine_tenths_may_be_asked_for(declared, fits, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "available_memory", lambda: 10_000_000)
    if fits:
        recording.check_declared(tmp_path, "x", declared, 0)
    else:
        with pytest.raises(CredoError, match="do not fit"):
            recording.check_declared(tmp_path, "x", declared, 0)
