"""Every format is read as its own library wrote it, and what is written comes back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from credo.demonstrations import (
    FORMATS,
    ReadOptions,
    from_transitions,
    load_demonstrations,
    read_file,
    write_file,
)
from credo.types import CredoError
from demonstrations.written_files import BOUNDS, LENGTHS, flat, scaled, spec, write_flat, write_lerobot, write_robomimic

FIXTURES = Path(__file__).parent / "fixtures"  # made by scripts/make_format_fixtures.py
WRITTEN = {
    "credo": "d.safetensors",
    "npz": "d.npz",
    "minari": "hdf5-v0",
    "minari-arrow": "arrow-v0",
    "minari-parquet": "parquet-v0",
}


@pytest.fixture(scope="module")
def expected():
    with np.load(FIXTURES / "expected.npz") as arrays:
        return dict(arrays)


def check_episodes(found, expected, terminated, truncated):
    """Observations with their successors, actions and rewards of the three episodes that the libraries were given."""
    assert found.lengths.tolist() == LENGTHS
    np.testing.assert_allclose(found.action, scaled(expected["actions"]), atol=1e-6)
    np.testing.assert_array_equal(found.reward, expected["rewards"].astype(np.float32))
    first = 0
    for k, length in enumerate(LENGTHS):
        episode = found.episode(k)
        observation = expected["observations"][first : first + length + 1]
        np.testing.assert_array_equal(episode.observation, observation[:-1])
        np.testing.assert_array_equal(episode.next_observation, observation[1:])
        assert (episode.terminated, episode.truncated) == (terminated[k], truncated[k])
        first += length + 1


@pytest.mark.parametrize("layout", ["hdf5", "arrow"])
def test_minari_wrote_it(layout, expected, tmp_path, monkeypatch):
    folder = FIXTURES / f"minari-{layout}-v0"
    found = read_file(folder)
    # The last one has neither flag: it was being recorded when the recording ended.
    check_episodes(found, expected, [True, False, False], [False, True, True])
    np.testing.assert_array_equal(found.action_bounds, BOUNDS)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(FIXTURES))
    for name in (str(folder / "data"), f"minari:minari-{layout}-v0"):
        assert load_demonstrations(name).sha256 == found.sha256


def test_imitation_wrote_it(expected):
    """Its "terminal" is set at a time limit too; the text of the infos, or the environment's limit, tells."""
    found = read_file(FIXTURES / "imitation", ReadOptions(spec()))
    check_episodes(found, expected, [True, False, False], [False, True, True])
    legacy = FIXTURES / "imitation-legacy.npz"
    check_episodes(read_file(legacy, ReadOptions(spec())), expected, [True, True, False], [False, False, True])
    check_episodes(read_file(legacy, ReadOptions(spec(6))), expected, [True, False, False], [False, True, True])


def test_minari_reads_what_is_written(make_demonstrations, tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    d = replace(make_demonstrations([5, 9, 4]), environment="Hopper-v5")
    (tmp_path / "group").mkdir()
    for format, name in (("minari", "a-v0"), ("minari-arrow", "group/b-v1"), ("minari-parquet", "c-v0")):
        write_file(tmp_path / name, d, format)
        dataset = minari.load_dataset(name)
        assert (dataset.total_episodes, dataset.total_steps, dataset.id) == (3, 18, name)
        assert dataset.spec.env_spec.id == "Hopper-v5"
        np.testing.assert_array_equal(dataset.action_space.low, BOUNDS[0])
        for k, episode in enumerate(dataset):
            own = d.episode(k)
            observation = np.concatenate([own.observation, own.next_observation[-1:]])
            np.testing.assert_array_equal(episode.observations, observation)
            np.testing.assert_allclose(scaled(episode.actions), own.action, atol=1e-6)
            np.testing.assert_array_equal(episode.rewards, own.reward)
            assert (episode.terminations[-1], episode.truncations[-1]) == (own.terminated, own.truncated)
            assert len(episode.terminations) == len(own.action)
        assert set(minari.list_local_datasets()) >= {name}


@pytest.mark.parametrize("format", WRITTEN)
def test_what_is_written_comes_back(format, make_demonstrations, tmp_path):
    d = make_demonstrations([5, 9, 4])
    path = tmp_path / WRITTEN[format]
    assert write_file(path, d, format) == format
    found = read_file(path)
    for name in ("observation", "successor", "terminated", "truncated", "episode_start", "reward", "lengths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(d, name))
    np.testing.assert_allclose(found.action, d.action, atol=1e-6)
    np.testing.assert_allclose(found.returns, d.returns)
    np.testing.assert_array_equal(found.action_bounds, BOUNDS)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    if format in ("credo", "npz"):
        assert found.sha256 == replace(d, environment=found.environment).sha256
    with pytest.raises(CredoError, match="exists"):
        write_file(path, d, format)
    write_file(path, d.select_episodes([1]), format, overwrite=True)
    assert read_file(path).episodes == 1


@pytest.mark.parametrize("format", [name for name in WRITTEN if name != "credo"])
def test_reading_thinned_is_thinning_what_was_read(format, make_demonstrations, tmp_path):
    path = tmp_path / WRITTEN[format]
    d = make_demonstrations([50, 9, 4])
    # Observations that do not change: a row's successor then equals the next row kept, and is its successor no more.
    write_file(path, replace(d, observation=0 * d.observation, successor=0 * d.successor), format)
    thin = load_demonstrations(f"{path}@subsample=7", seed=3)
    assert thin.sha256 == read_file(path).subsample(7, 3).sha256
    assert thin.lengths.tolist() == [50, 9, 4]


def test_what_a_format_cannot_hold(make_demonstrations, tmp_path):
    d = make_demonstrations([5, 9])
    thin = d.subsample(2, 0)
    write_file(tmp_path / "thin.npz", thin)
    assert read_file(tmp_path / "thin.npz").sha256 == thin.sha256
    with pytest.raises(CredoError, match=r"episode 0, step 0 .*left out"):
        write_file(tmp_path / "thin-v0", thin, "minari")
    with pytest.raises(CredoError, match="NAME-vN"):
        write_file(tmp_path / "noversion", d, "minari")
    with pytest.raises(CredoError, match="which format"):
        write_file(tmp_path / "noending", d)
    with pytest.raises(CredoError, match="'d4rl' is not written"):
        write_file(tmp_path / "d.hdf5", d, "d4rl")
    (tmp_path / "precious-v0").mkdir()
    with pytest.raises(CredoError, match="not a Minari dataset"):
        write_file(tmp_path / "precious-v0", d, "minari", overwrite=True)
    assert (tmp_path / "precious-v0").is_dir()
    assert len(list(tmp_path.iterdir())) == 2


def test_unknown_rewards_stay_unknown(make_demonstrations, tmp_path):
    d = replace(make_demonstrations([5, 9]), reward=None, returns=None, action_bounds=None, environment="")
    for format, name in WRITTEN.items():
        write_file(tmp_path / name, d, format)
        found = read_file(tmp_path / name)
        assert found.reward is None
        np.testing.assert_array_equal(found.action, d.action)
    # A box that is unknown stays so, and fits any.
    for name in ("credo", "npz"):
        assert read_file(tmp_path / WRITTEN[name], ReadOptions(spec())).action_bounds is None


# --- D4RL and other flat files


@pytest.mark.parametrize("ending", ["hdf5", "npz"])
@pytest.mark.parametrize("timeouts", [True, False])
def test_flat_with_next_observations(ending, timeouts, expected, tmp_path):
    """Without timeouts, a next observation that is not the next row's tells where an episode ended."""
    arrays = flat(expected)
    if not timeouts:
        del arrays["timeouts"]
    options = {"compression": "gzip", "shuffle": True} if ending == "hdf5" else {}
    write_flat(tmp_path / f"d.{ending}", arrays, **options)
    found = read_file(tmp_path / f"d.{ending}", ReadOptions(spec()))
    check_episodes(found, expected, [True, False, False], [False, True, True])


@pytest.mark.parametrize("limit", [None, 6])
def test_flat_without_next_observations(limit, expected, tmp_path):
    """An episode's last row has no successor: it is dropped, with its termination."""
    arrays = flat(expected)
    del arrays["next_observations"]
    if limit is not None:
        del arrays["timeouts"]
    write_flat(tmp_path / "d.hdf5", arrays)
    found = read_file(tmp_path / "d.hdf5", ReadOptions(spec(limit)))
    assert found.rows_per_episode.tolist() == [3, 5, 2]
    assert found.lengths.tolist() == LENGTHS
    assert not found.terminated.any()
    assert found.truncated.sum() == 3
    np.testing.assert_array_equal(found.episode(1).next_observation, expected["observations"][6:11])
    np.testing.assert_allclose(found.returns[0], expected["rewards"][:4].sum(), rtol=1e-6)


def test_action_box_is_asked_for(expected, tmp_path):
    write_flat(tmp_path / "d.hdf5", flat(expected))
    with pytest.raises(CredoError, match=r"d\.hdf5: .*field action.*--env"):
        read_file(tmp_path / "d.hdf5")
    narrow = spec()._replace(action_low=BOUNDS[0] / 2, action_high=BOUNDS[1] / 2)
    beyond = r"field action: episode \d+, step \d+, dimension \d is (\S+); the action box is (\S+) to (\S+); .* --clip"
    with pytest.raises(CredoError, match=beyond) as caught:
        read_file(tmp_path / "d.hdf5", ReadOptions(narrow))
    value, low, high = map(float, re.search(beyond, str(caught.value)).groups())
    assert np.abs(expected["actions"] - value).min() < 1e-3, "in the file's own units"
    assert not low <= value <= high
    assert f"--env {narrow.name}" in str(caught.value)
    assert np.abs(read_file(tmp_path / "d.hdf5", ReadOptions(narrow, clip=True)).action).max() == 1


# --- robomimic and LeRobot, as their specifications say


def test_robomimic(expected, tmp_path):
    path = tmp_path / "low_dim.hdf5"
    write_robomimic(path, expected)
    check_episodes(load_demonstrations(f"{path}@keys=b_pos,a_grip", fitting=spec()), expected, [False] * 3, [True] * 3)
    # Where the policy sees both, they are joined as it sees them; where the file has not all, only @keys can tell.
    found = load_demonstrations(path, fitting=spec()._replace(observation_keys=("b_pos", "a_grip")))
    np.testing.assert_array_equal(found.episode(0).observation, expected["observations"][:4])
    assert found.source == "low_dim.hdf5 (robomimic HDF5; observations: b_pos, a_grip)"
    other = spec()._replace(observation_keys=("b_pos", "goal"))
    with pytest.raises(
        CredoError, match=r"low_dim.hdf5: keys: has no 'goal', .* \(b_pos goal\); .* a_grip, b_pos those"
    ):
        load_demonstrations(path, fitting=other)
    found = load_demonstrations(f"{path}@keys=b_pos,a_grip", fitting=other)
    np.testing.assert_array_equal(found.episode(0).observation, expected["observations"][:4])
    # Of the environment's own entries another order can only be a mistake.
    sees = spec()._replace(observation_keys=("b_pos", "a_grip"))
    assert len(load_demonstrations(f"{path}@keys=b_pos,a_grip", fitting=sees)) == sum(LENGTHS)
    with pytest.raises(CredoError, match=r"@keys=a_grip,b_pos is another order than .* b_pos a_grip; leave @keys out"):
        load_demonstrations(f"{path}@keys=a_grip,b_pos", fitting=sees)
    found = read_file(path, ReadOptions(spec()))
    assert found.environment == "Lift"
    np.testing.assert_array_equal(found.episode(0).observation, expected["observations"][:4, [2, 0, 1]])
    with h5py.File(path, "a") as file:
        file.create_dataset("mask/train", data=[b"demo_9"])
    assert read_file(path, ReadOptions(spec())).source.endswith("; not read: 'mask')")
    write_robomimic(path, expected, following=False)
    found = read_file(path, ReadOptions(spec()))
    assert (found.rows_per_episode.tolist(), found.lengths.tolist()) == ([3, 5, 2], LENGTHS)
    np.testing.assert_array_equal(found.episode(2).next_observation, expected["observations"][13:15, [2, 0, 1]])
    with pytest.raises(CredoError, match="/obs/nothing: missing; there are a_grip, b_pos"):
        read_file(path, ReadOptions(spec(), keys=("nothing",)))


@pytest.mark.parametrize("fixed", [True, False])
def test_lerobot(fixed, expected, tmp_path):
    write_lerobot(tmp_path / "set", expected, fixed)
    found = read_file(tmp_path / "set", ReadOptions(spec()))
    assert (found.rows_per_episode.tolist(), found.lengths.tolist()) == ([3, 5, 2], LENGTHS)
    for k, first in enumerate([0, 5, 12]):
        rows = found.rows_per_episode[k]
        episode = found.episode(k)
        np.testing.assert_array_equal(episode.observation, expected["observations"][first : first + rows])
        np.testing.assert_array_equal(episode.next_observation, expected["observations"][first + 1 : first + rows + 1])
        assert (episode.terminated, episode.truncated) == (False, True)
    np.testing.assert_allclose(found.action[:3], scaled(expected["actions"][:3]), atol=1e-6)
    np.testing.assert_allclose(found.returns[2], expected["rewards"][10:].sum(), rtol=1e-6)


def test_table_of_formats_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "demonstrations.md").read_text()
    for name in FORMATS:
        assert f"`{name}`" in page


@pytest.mark.parametrize("name", ["demo.csv", "demo.json", "demo.npy"])
def test_other_files_name_the_formats_that_are_read(name, tmp_path):
    numbers = np.zeros((3, 2))
    if name.endswith("npy"):
        np.save(tmp_path / name, numbers)
    else:
        (tmp_path / name).write_text(json.dumps({"observations": numbers.tolist()}) if "json" in name else "a,b\n0,0\n")
    with pytest.raises(CredoError, match=rf"{name}: of no format that is read") as caught:
        load_demonstrations(tmp_path / name)
    for word in ("NumPy .npz", "LeRobot", "from_transitions"):
        assert word in str(caught.value)


def test_a_format_of_one_observation_takes_no_keys(tmp_path):
    d = from_transitions(
        observation=np.zeros((4, 2)),
        action=np.full((4, 1), 0.8),
        next_observation=np.zeros((4, 2)),
        terminated=np.arange(4) == 3,
        truncated=np.zeros(4, bool),
    )
    for name in ("a.npz", "a.safetensors"):
        write_file(tmp_path / name, d)
        with pytest.raises(CredoError, match=r"keys: joint: .* holds one observation"):
            load_demonstrations(f"{tmp_path / name}@keys=joint")


def test_actions_without_a_box_mean_the_same_in_every_file(tmp_path):
    """In [-1, 1], as they are kept: never of the environment's own units."""
    d = from_transitions(
        observation=np.zeros((4, 3)),
        action=np.full((4, 1), 0.8),
        next_observation=np.zeros((4, 3)),
        terminated=np.zeros(4, bool),
        truncated=np.arange(4) == 3,
    )
    for name in ("a.npz", "a.safetensors"):
        write_file(tmp_path / name, d)
        np.testing.assert_allclose(load_demonstrations(str(tmp_path / name)).action, 0.8, atol=1e-6)
