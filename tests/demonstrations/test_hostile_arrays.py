"""Flat arrays and archives from strangers: one line that names the file and the field, nothing executed, nothing large
allocated."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest

from credo.demonstrations import ReadOptions, read_file, write_file
from credo.demonstrations.formats import recording
from credo.demonstrations.formats.flat import Flat, flat_recording
from credo.types import CredoError
from demonstrations.hostile_files import SPEC, put, refused, setting, write_flat

BAD_FLAT = {
    "dtype": (put("actions", np.zeros((6, 2), complex)), "actions?: (dtype|holds) complex"),
    "text": (put("observations", np.full((6, 3), b"a")), "observations?: "),
    "axes": (put("actions", np.zeros(6, np.float32)), r"actions?: shape \(6,\)"),
    "no width": (put("observations", np.zeros((6, 0), np.float32)), r"observations?: shape \(6, 0\)"),
    "rows": (put("actions", np.zeros((5, 2), np.float32)), "action: 5 rows found, 6 expected"),
    "successors": (put("next_observations", np.zeros((6, 4), np.float32)), "next_observation: shape"),
    "flags": (put("terminals", np.full(6, 0.5)), "terminals|terminated"),
    "no rows": (lambda a: a.update({name: array[:0] for name, array in a.items()}), "empty"),
    "missing": (lambda a: a.pop("terminals"), "terminated|terminals"),
    "nan": (setting("observations", (4, 1), np.nan), "observation: episode 1, step 1, dimension 1 is nan"),
    "infinite reward": (setting("rewards", 1, np.inf), "reward: episode 0, step 1 is inf"),
    "action": (
        setting("actions", (2, 0), 5),
        r"action: episode 0, step 2, dimension 0 is 5; the action box is -4 to 4",
    ),
    "huge": (put("observations", np.full((6, 3), 1e300)), "observation: episode 0, step 0, dimension 0 is inf"),
}


@pytest.mark.parametrize("ending", ["npz", "hdf5"])
@pytest.mark.parametrize("case", BAD_FLAT)
def test_flat_arrays(case, ending, tmp_path):
    change, message = BAD_FLAT[case]
    refused(write_flat(tmp_path / f"bad.{ending}", change), message)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([0, 4, 2, 6], "episode 1 goes from row 4 to 2"),
        ([0, 3, 3, 6], "episode 1 goes from row 3 to 3"),
        ([0, 3], "ends at 3"),
        ([1, 6], "starts at 1"),
        ([0, 6], "terminated: episode 0, step 2 is not the episode's last step"),
        (np.full(1_000_001, 6), "episode_start"),
    ],
)
def test_episodes_that_overlap_or_are_empty(start, message, tmp_path):
    refused(write_flat(tmp_path / "bad.npz", put("episode_start", np.array(start))), message)


# --- archives


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("it was executed",))


def test_pickles_inside_an_archive_are_not_loaded(tmp_path):
    objects = np.array([Trap()] * 6, dtype=object)
    refused(write_flat(tmp_path / "bad.npz", put("rewards", objects)), r"rewards: holds Python objects \(a pickle\)")
    path = tmp_path / "raw.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("observations.npy", pickle.dumps(Trap()))
    refused(path, "raw.npz")


def test_infos_are_not_looked_at(tmp_path):
    """The archives of ``imitation`` hold pickled infos beside the arrays."""
    infos = np.array([Trap()] * 6, dtype=object)
    assert read_file(write_flat(tmp_path / "good.npz", put("infos", infos)), ReadOptions(SPEC)).episodes == 2


@pytest.mark.parametrize("name", ["../actions.npy", "/actions.npy", "a/../../b.npy", "C:\\a.npy", "..\\a.npy"])
def test_members_that_point_outside(name, tmp_path):
    path = write_flat(tmp_path / "bad.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    refused(path, "points outside the archive")
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.npz"]


def npy(shape, dtype="<f4", data=b""):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    return header.getvalue() + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy((10**12, 3)), "are stored"),
        (npy((-1, 3)), "are stored"),
        (npy((2, 3), data=b"1234"), "are stored"),
        (npy((1, 3), data=b"1" * 24), "are stored"),
        (npy((2, 3))[:20], "not a readable NumPy"),
        (b"\x93NUMPY\x09\x00" + b" " * 99, "array format"),
        (b"", "not a readable NumPy"),
        (npy((1, 3)).replace(b"'shape'", b"'shapx'"), "not a readable NumPy"),
        (npy((1, 3)).replace(b"'<f4'", b"'|O8'"), "pickle"),
        (npy((1, 3)).replace(b"(1, 3)", b"((((("), "not a readable NumPy"),
    ],
)
def test_arrays_that_lie(content, message, tmp_path):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("observations.npy", content)
    refused(path, message)


def test_too_many_members(tmp_path):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(100):
            archive.writestr(f"{k}.npy", b"")
    refused(path, "100 members")


BOMBS = """
import resource, sys, zipfile
from pathlib import Path
import numpy as np
from credo.demonstrations import read_file
from credo.demonstrations.formats import hdf5, imitation, lerobot, robomimic, torch_tensors
from credo.types import CredoError
hdf5.library()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), used + (200 << 20)))
for path in map(Path, sys.argv[1:]):
    try:
        read_file(path)
    except CredoError as error:
        print(error)
    else:
        print("was read")
"""


def test_bombs_are_refused_before_they_are_allocated(tmp_path):
    """Under a limit of memory that any of them would pass, in one process of their own."""
    zeros = tmp_path / "zeros.npz"
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("observations.npy", npy((1 << 31, 3), data=bytes(1 << 20)))
        archive.getinfo("observations.npy").file_size = 24 << 30  # what the directory of the archive will say
    paths, expected = [zeros], ["observations: declares"]

    def hdf5_file(name, message):
        paths.append(tmp_path / f"{name}.hdf5")
        expected.append(message)
        return h5py.File(paths[-1], "w")

    with hdf5_file("unwritten", "observations: declares") as file:
        file.create_dataset("observations", (1 << 40, 3), "f4", chunks=(1 << 12, 3))
        file["actions"] = np.zeros((3, 2))
        file["terminals"] = np.zeros(3, bool)
    with hdf5_file("compressed", "observations: declares") as file:
        file.create_dataset("observations", (1 << 26, 3), "f4", chunks=(1 << 18, 3), compression="gzip")
        file["observations"][-1] = 0
        file["actions"] = np.zeros((3, 2))
    if h5py.version.hdf5_version_tuple >= (2,):  # older ones write no chunk that is larger than it says
        with hdf5_file("inflating", "inflates to more") as file:
            data = file.create_dataset("observations", (4, 3), "f4", chunks=(4, 3), compression="gzip")
            data.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 27), 1))
            file["actions"] = np.zeros((4, 2))
            file["terminals"] = np.zeros(4, bool)
    limited = subprocess.run([sys.executable, "-c", BOMBS, *map(str, paths)], capture_output=True, text=True)
    assert limited.returncode == 0, limited.stderr[-500:]
    lines = limited.stdout.splitlines()
    for path, message, line in zip(paths, expected, lines, strict=True):
        assert path.name in line
        assert message in line


def test_what_does_not_fit_in_memory_is_said_beforehand(tmp_path, monkeypatch):
    path = write_flat(tmp_path / "large.hdf5")
    monkeypatch.setattr(recording, "available_memory", lambda: 500)
    refused(path, r"6 transitions need 0\.0 GiB.*subsample=STRIDE")


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(recording, "available_memory", lambda: 3 << 20)


@pytest.mark.parametrize("timeouts", [True, False])
def test_a_file_larger_than_memory_is_read_in_part(timeouts, tmp_path, request):
    """D4RL: each field is larger than what is free, and so is what thinning leaves out."""
    rows, path = 60_000, tmp_path / "large.hdf5"
    observation = np.random.default_rng(0).normal(size=(rows + 1, 20)).astype(np.float32)
    ends = np.arange(rows) % 100 == 99
    following = observation[1:].copy()
    following[ends] += 1
    with h5py.File(path, "w") as file:
        file["observations"], file["next_observations"] = observation[:-1], following
        file["actions"] = np.zeros((rows, 2), np.float32)
        file["terminals"] = np.zeros(rows, bool)
        if timeouts:
            file["timeouts"] = ends
    thinned = ReadOptions(SPEC._replace(observation_size=20), stride=50)
    expected = read_file(path, thinned)
    request.getfixturevalue("little_memory")
    refused(path, "60,000 transitions need")
    found = read_file(path, thinned)
    assert found.lengths.tolist() == [100] * 600
    assert found.sha256 == expected.sha256


def test_no_more_rows_are_compared_at_once_than_memory_has_room_for(tmp_path, little_memory):
    path = write_flat(tmp_path / "wide.hdf5", lambda arrays: arrays.pop("timeouts"))
    with h5py.File(path, "a") as file:
        for name in ("observations", "next_observations"):
            del file[name]
            file.create_dataset(name, (6, 1 << 19), "f4", chunks=(1, 1 << 16), compression="gzip")
    refused(path, r"/observations: 0\.0 GiB do not fit")

    class Wide:
        shape, dtype, largest = (10_000, 1000), np.dtype("f4"), 0

        def __getitem__(self, rows):
            count = (rows.stop - rows.start) * self.shape[1]
            self.largest = max(self.largest, count)
            return np.broadcast_to(np.float32(0), (rows.stop - rows.start, self.shape[1]))

    wide, none = Wide(), np.zeros(10_000, bool)
    found = flat_recording(path, Flat(wide, np.zeros((10_000, 1)), none, None, wide, None), ReadOptions())
    assert found.lengths.tolist() == [10_000]
    assert 500_000 < wide.largest <= 1 << 20


def robomimic(folder):
    path = folder / "long.hdf5"
    with h5py.File(path, "w") as file:
        file["data/demo_0/actions"] = np.zeros((4, 2))
        file["data/demo_0/obs/state"] = np.zeros((4, 3))
    return path, path, "data/demo_0/obs/state"


def minari(folder, make_demonstrations):
    write_file(folder / "long-v0", make_demonstrations([4]), "minari")
    return folder / "long-v0", folder / "long-v0" / "data" / "main_data.hdf5", "episode_0/observations"


@pytest.mark.parametrize("format", ["robomimic", "minari"])
def test_an_episode_that_is_read_whole_must_fit_in_memory(format, make_demonstrations, tmp_path, little_memory):
    """Whatever its other fields say of its length."""
    dataset, path, field = robomimic(tmp_path) if format == "robomimic" else minari(tmp_path, make_demonstrations)
    with h5py.File(path, "a") as file:
        del file[field]
        file.create_dataset(field, (400_000, 3), "f4", chunks=(1000, 3), compression="gzip")
    with pytest.raises(CredoError, match=rf"\.hdf5: field /{field}: 0\.0 GiB do not fit in the 0\.0 GiB"):
        read_file(dataset, ReadOptions(SPEC))
