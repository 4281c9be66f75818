"""Damaged files either say so in one line or give data that passes every check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credo.demonstrations import load_demonstrations, write_file
from credo.demonstrations.formats.stable_baselines3 import load_stable_baselines3
from credo.types import CredoError, EnvironmentSpec
from demonstrations.hostile_files import FIXTURES, SPEC, write_flat

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


PENDULUM = EnvironmentSpec("Pendulum-v1", 3, 1, np.full(1, -2, np.float32), np.full(1, 2, np.float32), 200)


@pytest.mark.parametrize("name", NAMES)
def test_sound_files_are_read(name, sound):
    path = sound[name][0]
    if name == "sb3":
        assert load_stable_baselines3(path, PENDULUM)(np.zeros((2, 3))).shape == (2, 1)
    else:
        assert load_demonstrations(path, fitting=SPEC).observation_size == 3


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(name, sound):
    dataset, file = sound[name]
    damaged = dataset / file if file else dataset
    content = damaged.read_bytes()

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
                load_stable_baselines3(damaged, PENDULUM)
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
