"""Episodes of one row in files that hold no next observations: no transition can be made of them."""

from __future__ import annotations

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from credo.demonstrations import ReadOptions, read_file
from credo.types import CredoError
from demonstrations.hostile_files import FIXTURES
from demonstrations.written_files import LENGTHS, flat, scaled, spec, write_flat, write_lerobot, write_robomimic


@pytest.fixture(scope="module")
def expected():
    with np.load(FIXTURES / "expected.npz") as arrays:
        return dict(arrays)


def write_lone_rows(path, format, expected, episodes):
    """The three episodes without next observations; of those in ``episodes`` the first row alone."""
    if format in ("npz", "hdf5"):
        arrays = flat(expected)
        del arrays["next_observations"]
        rows = np.concatenate([np.arange(1 if k in episodes else n) + [0, 4, 10][k] for k, n in enumerate(LENGTHS)])
        ends = np.cumsum([1 if k in episodes else n for k, n in enumerate(LENGTHS)]) - 1
        arrays = {name: array[rows] for name, array in arrays.items()} | {"timeouts": np.isin(range(len(rows)), ends)}
        write_flat(path, arrays)
    elif format == "robomimic":
        write_robomimic(path, expected, following=False)
        with h5py.File(path, "a") as file:
            for k in episodes:
                for name in ("obs/a_grip", "obs/b_pos", "actions", "rewards"):
                    group, first = file[f"data/demo_{9 + k}"], file[f"data/demo_{9 + k}/{name}"][:1]
                    del group[name]
                    group[name] = first
    else:
        write_lerobot(path, expected)
        for file in path.glob("data/*/*"):
            table = pq.read_table(file)
            index = table["episode_index"].to_numpy()
            pq.write_table(table.filter((np.diff(index, prepend=-1) > 0) | ~np.isin(index, episodes)), file)


@pytest.mark.parametrize("format", ["npz", "hdf5", "robomimic", "lerobot"])
def test_episodes_of_one_row_without_a_next_observation_are_left_out_and_told(format, expected, tmp_path, caplog):
    write_lone_rows(tmp_path / f"d.{format}", format, expected, [0, 2])
    found = read_file(tmp_path / f"d.{format}", ReadOptions(spec()))
    assert (found.rows_per_episode.tolist(), found.lengths.tolist()) == ([5], [6])
    np.testing.assert_allclose(found.action, scaled(expected["actions"][4:9]), atol=1e-6)
    (told,) = caplog.messages
    assert told.startswith(f"note: {tmp_path / f'd.{format}'}: 2 of 3 episodes are left out")
    write_lone_rows(tmp_path / f"e.{format}", format, expected, [0, 1, 2])
    with pytest.raises(CredoError, match="no episode has two rows") as caught:
        read_file(tmp_path / f"e.{format}", ReadOptions(spec()))
    assert "\n" not in str(caught.value)
