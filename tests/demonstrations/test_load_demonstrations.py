from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from credo import experts
from credo.demonstrations import load, load_demonstrations, save_demonstrations, write_file
from credo.demonstrations.load import cache_folder, parse_request
from credo.types import CredoError


def test_demonstrations_come_back_as_they_are(make_demonstrations):
    demonstrations = make_demonstrations([3])
    assert load_demonstrations(demonstrations) is demonstrations


def test_file_with_and_without_subsampling(tmp_path, make_demonstrations):
    d = make_demonstrations([40, 50])
    path = tmp_path / "d.safetensors"
    save_demonstrations(path, d)
    assert load_demonstrations(path).sha256 == load_demonstrations(str(path)).sha256 == d.sha256
    assert load_demonstrations(f"{path}@subsample=20", seed=3).sha256 == d.subsample(20, 3).sha256


def test_file_names_may_look_like_requests(tmp_path, monkeypatch, make_demonstrations):
    d = make_demonstrations([4])
    monkeypatch.chdir(tmp_path)
    for name in ("a@subsample=2", "name:3", "plain"):
        save_demonstrations(name, d)
        assert load_demonstrations(name).sha256 == d.sha256


def test_expert_is_rolled_out_once_and_cached(fake_expert, monkeypatch):
    first = load_demonstrations("pendulum-expert:3")
    assert (first.episodes, first.environment, len(first)) == (3, "Pendulum-v1", 600)
    (path,) = cache_folder().iterdir()
    assert path.name.startswith("pendulum-expert_Pendulum-v1_3-episodes_noise-0.01_")
    monkeypatch.setattr("credo.demonstrations.generate.generate_demonstrations", None)
    assert load_demonstrations("pendulum-expert:3").sha256 == first.sha256
    thin = load_demonstrations("pendulum-expert:3@subsample=20", seed=1)
    assert thin.sha256 == first.subsample(20, 1).sha256
    assert thin.rows_per_episode.tolist() == [10, 10, 10]


def test_twenty_five_episodes_unless_told(fake_expert):
    assert load_demonstrations("pendulum-expert").episodes == 25


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_cache_is_made_again(fake_expert, make_demonstrations, damage):
    first = load_demonstrations("pendulum-expert:2")
    (path,) = cache_folder().iterdir()
    if damage is None:  # sound in itself, but another thing than was asked for
        save_demonstrations(path, make_demonstrations([5]), overwrite=True)
    else:
        path.write_bytes(damage)
    assert load_demonstrations("pendulum-expert:2").sha256 == first.sha256
    assert list(cache_folder().iterdir()) == [path]
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)
    assert load_demonstrations("pendulum-expert:2").sha256 == first.sha256


def test_other_weights_are_another_cache_file(fake_expert, pendulum_policy):
    first = load_demonstrations("pendulum-expert:1")
    weights = [(w * 0.5, b) for w, b in pendulum_policy.layers]
    policy = type(pendulum_policy)(**{**vars(pendulum_policy), "layers": weights})
    experts.write_expert(policy, fake_expert, experts.FOLDER)
    assert load_demonstrations("pendulum-expert:1").sha256 != first.sha256
    assert len(list(cache_folder().iterdir())) == 2


def test_cache_that_cannot_be_written(fake_expert, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CREDO_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(load, "_unsaved", {})
    with caplog.at_level(logging.WARNING):
        first = load_demonstrations("pendulum-expert:2")
        assert load_demonstrations("pendulum-expert:2") is first
    (record,) = caplog.records
    assert "memory only" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_cache_folder(monkeypatch, tmp_path):
    for name in ("CREDO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "credo"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "credo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "credo"
    monkeypatch.setenv("CREDO_CACHE", str(tmp_path / "c"))
    assert cache_folder() == tmp_path / "c"


def test_another_environment(fake_expert):
    with pytest.raises(CredoError, match=r"observation has 3 dimensions, but MountainCarContinuous-v0 has 2$"):
        load_demonstrations("pendulum-expert:1", "MountainCarContinuous-v0")
    assert not cache_folder().exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pendulum-exprt", "neither a file nor a shipped expert; nearest: pendulum-expert"),
        ("pendulum-exprt:4", "nearest: pendulum-expert"),
        ("zzz", "neither a file nor a shipped expert; known: pendulum-expert"),
        ("", "neither a file"),
        ("no/such/file", "no such file"),
        ("missing.safetensors", "no such file"),
        ("pendulum-expert:0", "episodes is '0', a whole number of 1 or more"),
        ("pendulum-expert:", "episodes is ''"),
        ("pendulum-expert:2.5", "episodes is '2.5'"),
        ("pendulum-expert:٣", "episodes is"),
        ("pendulum-expert@subsample=0", "subsample is '0'"),
        ("pendulum-expert@subsample=-1", "subsample is '-1'"),
        ("pendulum-expert:1@keys=a,b", "keys: a,b: pendulum-expert holds one observation"),
        ("pendulum-expert@mask=train", "mask: train: pendulum-expert has no parts by name"),
        ("pendulum-expert@every=2", "option 'every' is unknown"),
    ],
)
def test_bad_requests(fake_expert, spec, message):
    with pytest.raises(CredoError, match=message) as caught:
        load_demonstrations(spec)
    assert "\n" not in str(caught.value)


def test_paths_are_never_experts(fake_expert):
    with pytest.raises(CredoError, match="neither a file"):
        load_demonstrations(Path("pendulum-expert"))


def test_parse_request():
    assert parse_request("hopper-expert") == ("hopper-expert", None, 1, (), "")
    assert parse_request("hopper-expert:25@subsample=20") == ("hopper-expert", 25, 20, (), "")
    assert parse_request("/a/b@c/d.safetensors") == ("/a/b@c/d.safetensors", None, 1, (), "")
    assert parse_request("a.hdf5@keys=x,y@subsample=3") == ("a.hdf5", None, 3, ("x", "y"), "")
    assert parse_request("a.hdf5@subsample=3@keys=x") == ("a.hdf5", None, 3, ("x",), "")
    assert parse_request("a.hdf5@mask=train@subsample=3") == ("a.hdf5", None, 3, (), "train")


def test_minari_datasets_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert parse_request("minari:mujoco/hopper/expert-v0@subsample=2")[:3] == (
        str(tmp_path / "mujoco/hopper/expert-v0"),
        None,
        2,
    )
    for name in ("../../etc-v0", "hopper", "/hopper-v0", "a/../b-v0", ""):
        with pytest.raises(CredoError, match="NAME-vN expected"):
            parse_request(f"minari:{name}")


def _load(folder: str, cache: str, queue) -> None:
    os.environ["CREDO_CACHE"] = cache
    experts.FOLDER = Path(folder)
    queue.put(load_demonstrations("pendulum-expert:2").sha256)


def test_two_processes_at_once(fake_expert):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (str(experts.FOLDER), os.environ["CREDO_CACHE"], queue)
    processes = [context.Process(target=_load, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    hashes = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert hashes == {load_demonstrations("pendulum-expert:2").sha256}
    assert len(list(cache_folder().iterdir())) == 1


def test_many_writers_of_one_file(tmp_path, make_demonstrations):
    versions = [make_demonstrations([30], seed) for seed in range(4)]
    path = tmp_path / "d.safetensors"
    save_demonstrations(path, versions[0])

    def write(demonstrations) -> None:
        for _ in range(10):
            save_demonstrations(path, demonstrations, overwrite=True)

    writers = [threading.Thread(target=write, args=(version,)) for version in versions]
    for writer in writers:
        writer.start()
    hashes = {version.sha256 for version in versions}
    while any(writer.is_alive() for writer in writers):
        assert load_demonstrations(path).sha256 in hashes
    for writer in writers:
        writer.join()
    assert [entry.name for entry in tmp_path.iterdir()] == ["d.safetensors"]
    assert np.isfinite(load_demonstrations(path).returns).all()


@pytest.mark.parametrize("bounds", [None, [[-2.0], [6.0]]])
def test_actions_that_are_said_to_be_scaled_stay_as_they_are(bounds, tmp_path):
    rows, actions = 5, np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    columns = {
        "observations": np.arange(rows, dtype=np.float32)[:, None],
        "next_observations": np.arange(1, rows + 1, dtype=np.float32)[:, None],
        "actions": actions,
        "terminated": np.arange(rows) == rows - 1,
        "truncated": np.zeros(rows, bool),
        "scaled": True,
    }
    if bounds is not None:
        columns["action_bounds"] = np.array(bounds)
    np.savez(tmp_path / "a.npz", **columns)
    data = load_demonstrations(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.action, actions)
    assert (None if data.action_bounds is None else data.action_bounds.tolist()) == bounds
    # Its own units are another file's.
    write_file(tmp_path / "b.npz", data)
    np.testing.assert_allclose(load_demonstrations(tmp_path / "b.npz").action, actions, atol=1e-6)
    np.savez(tmp_path / "c.npz", **columns | {"actions": 2 * actions})
    with pytest.raises(CredoError, match=r"the file says that they are scaled; credo demos convert .* --clip clips"):
        load_demonstrations(tmp_path / "c.npz")
    assert load_demonstrations(tmp_path / "c.npz", clip=True).action[:, 0].tolist() == [-1, -1, 0, 1, 1]


def test_a_file_in_the_environments_units_is_read_by_its_name(tmp_path):
    """And what is clipped is told, with how much."""
    action = np.array([[0.0], [2.0], [-1.0], [1.0]], np.float32)
    arrays = {"observations": np.ones((4, 3), np.float32), "actions": action, "terminals": np.arange(4) == 3}
    np.savez(tmp_path / "own.npz", **arrays)
    found = load_demonstrations(tmp_path / "own.npz", environment="Pendulum-v1")
    np.testing.assert_array_equal(found.action, action[: len(found)] / 2)
    assert found.action_bounds.tolist() == [[-2], [2]]


def test_what_is_clipped_is_told(tmp_path, caplog):
    action = np.array([[0.0], [2.1], [-1.0], [20.0], [0.0]], np.float32)
    arrays = {"observations": np.ones((5, 3), np.float32), "terminals": np.arange(5) == 4}
    np.savez(tmp_path / "own.npz", **arrays, actions=action)
    with pytest.raises(CredoError, match=r"dimension 0 is 2.1; .* OUT.safetensors --clip --env Pendulum-v1 clips"):
        load_demonstrations(tmp_path / "own.npz", environment="Pendulum-v1")
    with caplog.at_level(logging.WARNING, "credo"):
        found = load_demonstrations(tmp_path / "own.npz", environment="Pendulum-v1", clip=True)
    assert np.abs(found.action).max() == 1
    (record,) = caplog.records
    share = 100 * 2 / len(found)
    assert f"{share:.2g}% of the action components were clipped, of which the farthest was at 10 in" in record.message
    assert record.message.endswith(": are these the environment's units?")
    caplog.clear()
    np.savez(tmp_path / "near.npz", **arrays, actions=np.float32([[0], [2.1], [0], [0], [0]]))
    load_demonstrations(tmp_path / "near.npz", environment="Pendulum-v1", clip=True)
    assert caplog.records[0].message.endswith("in units of the box (-1 to 1)")
