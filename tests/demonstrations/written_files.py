"""Three episodes in the formats that are only read, as their specifications say."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from credo.types import EnvironmentSpec

LENGTHS = [4, 6, 3]
BOUNDS = np.array([[-2, -1], [2, 3]], np.float32)


def spec(limit=None):
    return EnvironmentSpec("Probe-v0", 3, 2, BOUNDS[0], BOUNDS[1], limit)


def scaled(action):
    return ((action - [0, 1]) / 2).astype(np.float32)  # the box is [-2, 2] x [-1, 3]


def flat(expected):
    """The first episode terminates, the second meets a time limit of 6, the last is cut by the end."""
    rows = np.concatenate([np.arange(n) + s for n, s in zip(LENGTHS, [0, 5, 12], strict=True)])
    arrays = {
        "observations": expected["observations"][rows],
        "next_observations": expected["observations"][rows + 1],
        "actions": expected["actions"],
        "rewards": expected["rewards"],
        "terminals": np.zeros(13, bool),
        "timeouts": np.zeros(13, bool),
    }
    arrays["terminals"][3] = arrays["timeouts"][9] = True
    return arrays


def write_flat(path, arrays, **options):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, **options)


def write_robomimic(path, expected, following=True):
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {}})
        first = step = 0
        for k, length in enumerate(LENGTHS):
            group = data.create_group(f"demo_{9 + k}")  # demo_10 comes after demo_9
            group.attrs["num_samples"] = length
            observation = expected["observations"][first : first + length + 1]
            for name, values in (("obs", observation[:-1]), ("next_obs", observation[1:])):
                if name == "obs" or following:
                    group.create_dataset(f"{name}/b_pos", data=values[:, :2])
                    group.create_dataset(f"{name}/a_grip", data=values[:, 2:])
                    group.create_dataset(f"{name}/image", data=np.zeros((length, 4, 4, 3), np.uint8))
            group.create_dataset("actions", data=expected["actions"][step : step + length].astype(np.float64))
            group.create_dataset("rewards", data=expected["rewards"][step : step + length])
            group.create_dataset("dones", data=np.arange(length) == length - 1)
            first, step = first + length + 1, step + length


def write_lerobot(folder, expected, fixed=True):
    """Two files; the second holds the last episode."""
    rows = np.concatenate([np.arange(n) + s for n, s in zip(LENGTHS, [0, 5, 12], strict=True)])
    observation, index = expected["observations"][rows], np.repeat(np.arange(3), LENGTHS)
    info = {
        "codebase_version": "v3.0",
        "features": {
            "observation.state": {"dtype": "float32", "shape": [3]},
            "observation.images.top": {"dtype": "video", "shape": [4, 4, 3]},
            "action": {"dtype": "float32", "shape": [2]},
            "next.reward": {"dtype": "float32", "shape": [1]},
        },
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    for number, part in enumerate((slice(0, 10), slice(10, 13))):
        table = {
            "observation.state": observation[part],
            "action": expected["actions"][part],
            "next.reward": expected["rewards"][part],
            "episode_index": index[part],
        }
        columns = {
            name: pa.array(list(values), pa.list_(pa.float32(), values.shape[1] if fixed else -1))
            if values.ndim == 2
            else pa.array(values)
            for name, values in table.items()
        }
        file = folder / "data" / "chunk-000" / f"file-{number:03d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
