"""Files from strangers: one line that names the file and the field, nothing executed, nothing large allocated."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credo.demonstrations import ReadOptions, load_demonstrations, read_file, write_file
from credo.demonstrations.formats import recording
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


BAD_FLAT = {
    "dtype": (put("actions", np.zeros((6, 2), complex)), "actions?: (dtype|holds) complex"),
    "text": (put("observations", np.full((6, 3), b"a")), "observations?: "),
    "axes": (put("actions", np.zeros(6, np.float32)), r"actions?: shape \(6,\)"),
    "no width": (put("actions", np.zeros((6, 0), np.float32)), r"actions?: shape \(6, 0\)"),
    "rows": (put("actions", np.zeros((5, 2), np.float32)), "action: 5 rows found, 6 expected"),
    "successors": (put("next_observations", np.zeros((6, 4), np.float32)), "next_observation: shape"),
    "flags": (put("terminals", np.full(6, 0.5)), "terminals|terminated"),
    "no rows": (lambda a: a.update({name: array[:0] for name, array in a.items()}), "empty"),
    "missing": (lambda a: a.pop("terminals"), "terminated|terminals"),
    "nan": (setting("observations", (4, 1), np.nan), "observation: episode 1, step 1, dimension 1 is nan"),
    "infinite reward": (setting("rewards", 1, np.inf), "reward: episode 0, step 1 is inf"),
    "action": (setting("actions", (2, 0), 5), r"action: episode 0, step 2, dimension 0 is 1\.25, -1 to 1 expected"),
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
    with hdf5_file("inflating", "inflates to more") as file:  # a chunk that is larger than it says
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
        (put("action_space", "[" * 100_000), "action_space: nested too deeply|not valid JSON"),
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
    with pytest.raises(CredoError, match=r"metadata\.json: nested too deeply"):
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


def test_what_is_no_dataset(tmp_path):
    for content, message in (
        (b"", "the file is empty"),
        (b"garbage", "credo-demonstrations"),
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


# --- fuzzing: damaged files either say so in one line or give data that passes every check

_BYTES = st.tuples(st.floats(0, 1, exclude_max=True), st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 127, 255])))
_DAMAGE = st.tuples(st.lists(_BYTES, min_size=1, max_size=4), st.one_of(st.none(), st.floats(0, 1)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory, make_demonstrations):
    """Name to (dataset, the file in it to damage)."""
    folder = tmp_path_factory.mktemp("sound")
    d = make_demonstrations([4, 3])
    files = {}
    for format, name, file in (
        ("credo", "a.safetensors", ""),
        ("npz", "a.npz", ""),
        ("minari", "a-v0", "data/main_data.hdf5"),
        ("minari", "m-v0", "data/metadata.json"),
        ("minari-arrow", "b-v0", "data/1/part-0.arrow"),
        ("minari-parquet", "c-v0", "data/1/part-0.parquet"),
    ):
        write_file(folder / name, d, format)
        files[f"{format} {file}"] = (folder / name, file)
    files["d4rl"] = (write_flat(folder / "d.hdf5"), "")
    for file in ("data-00000-of-00001.arrow", "state.json"):
        name = f"imitation-{len(files)}"
        files[f"imitation {file}"] = (shutil.copytree(FIXTURES / "imitation", folder / name), file)
    files["lerobot"] = (folder / "lerobot", "data/chunk-000/file-000.parquet")
    table = {
        "observation.state": list(np.ones((5, 3))),
        "action": list(np.zeros((5, 2))),
        "episode_index": [0, 0, 1, 1, 1],
    }
    (folder / "lerobot/meta").mkdir(parents=True)
    (folder / "lerobot/data/chunk-000").mkdir(parents=True)
    description = {"codebase_version": "v3.0", "features": {key: {} for key in table}}
    (folder / "lerobot/meta/info.json").write_text(json.dumps(description))
    pq.write_table(pa.table(table), folder / "lerobot/data/chunk-000/file-000.parquet")
    files["robomimic"] = (folder / "r.hdf5", "")
    with h5py.File(folder / "r.hdf5", "w") as file:
        file.create_group("data").attrs["env_args"] = '{"env_name": "Lift"}'
        file.create_dataset("data/demo_0/obs/state", data=np.ones((4, 3)), compression="gzip", chunks=(2, 3))
        file["data/demo_0/actions"] = np.zeros((4, 2))
    files["sb3"] = (Path(shutil.copy(FIXTURES / "ppo.zip", folder)), "")
    return files


NAMES = (
    "credo ",
    "npz ",
    "minari data/main_data.hdf5",
    "minari data/metadata.json",
    "minari-arrow data/1/part-0.arrow",
    "minari-parquet data/1/part-0.parquet",
    "d4rl",
    "imitation data-00000-of-00001.arrow",
    "imitation state.json",
    "lerobot",
    "robomimic",
    "sb3",
)


@pytest.mark.parametrize("name", NAMES)
def test_sound_files_are_read(name, sound):
    if name != "sb3":
        assert load_demonstrations(sound[name][0], fitting=SPEC).observation_size == 3


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(name, sound):
    from credo.demonstrations.formats.stable_baselines3 import load_stable_baselines3

    dataset, file = sound[name]
    damaged = dataset / file if file else dataset
    content = damaged.read_bytes()
    pendulum = EnvironmentSpec("Pendulum-v1", 3, 1, np.full(1, -2, np.float32), np.full(1, 2, np.float32), 200)

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(_DAMAGE)
    def damage(how):
        changes, cut = how
        raw = bytearray(content)
        for place, value in changes:
            raw[int(place * len(raw))] = value
        damaged.write_bytes(raw if cut is None else raw[: int(cut * len(raw))])
        error = None
        try:
            if name == "sb3":
                load_stable_baselines3(damaged, pendulum)
            else:
                found = load_demonstrations(dataset, fitting=SPEC)
                assert np.isfinite(found.observation).all()
        except CredoError as raised:
            error = str(raised)
        assert error is None or (dataset.name in error and "\n" not in error)

    try:
        damage()
    finally:
        damaged.write_bytes(content)
