"""A checkpoint comes back bit for bit or is seen to be damaged, whatever happened while it was written."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from credo.storage import file_sha256, write_tensors
from credo.training import checkpoint, manifest, parity, replay_files
from credo.training.checkpoint import Checkpoints, all_checkpoints
from credo.types import CredoError
from training import stored_seeds
from training.stored_seeds import advance, arrays_of, expected, fresh_seeds, loaded, save, saved_run


def files_of(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """After four rounds, of which the ring holds the newest two and some of the one before."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    saved_run(folder, 4)
    return folder


@pytest.fixture
def run(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


@pytest.mark.parametrize("least", [1, 3 * stored_seeds.STEPS * stored_seeds.LANES, replay_files.LEAST])
@pytest.mark.parametrize("length", [9, stored_seeds.LENGTH, 1000])
def test_every_round_comes_back_bit_for_bit(least, length, tmp_path, monkeypatch):
    """Rings longer and shorter than a round and than the run; a file for each round, and files that are joined."""
    monkeypatch.setattr(replay_files, "LEAST", least)
    monkeypatch.setattr(replay_files, "MOST", 2 * 10)
    (tmp_path / "checkpoints").mkdir()
    store, seeds = Checkpoints(tmp_path), fresh_seeds(length=length)
    for round_number in range(1, 7):
        advance(seeds)
        save(store, seeds)
        other = fresh_seeds(length=length)
        store = Checkpoints(tmp_path)
        assert store.load(other, 100) == (stored_seeds.POSITION, [])
        assert [arrays_of(seed) for seed in other] == [arrays_of(seed) for seed in seeds]
        if round_number % 2:
            seeds = other  # as if the process had ended here
    _, again, _ = loaded(tmp_path, length=length)
    assert [arrays_of(seed) for seed in again] == [arrays_of(seed) for seed in seeds]


def test_each_step_is_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_files, "LEAST", stored_seeds.STEPS * stored_seeds.LANES)
    written = []
    original = replay_files._write
    monkeypatch.setattr(replay_files, "_write", lambda *told: written.append(told[3:]) or original(*told))
    saved_run(tmp_path / "run", 5, numbers=(0,))
    steps = stored_seeds.STEPS
    assert written == [(start, start + steps) for start in range(0, 5 * steps, steps)]
    # Of 70 steps the ring of 40 holds those from 30 on, and the checkpoint before it those from 16 on.
    left = sorted(path.name[:25] for path in (tmp_path / "run").rglob("replay/*/*.safetensors"))
    assert left == [f"{start:012d}-{start + steps:012d}" for start in range(steps, 5 * steps, steps)]


def test_seeds_that_are_not_trained_now_stay(run):
    store, seeds, _ = loaded(run, numbers=(1,))
    for _ in range(3):
        advance(seeds)
        save(store, seeds)
    _, both, _ = loaded(run)
    assert arrays_of(both[0]) == expected(4)[0]
    assert arrays_of(both[1]) == expected(7)[1]


def test_a_broken_episode_is_not_joined_to_the_next(run):
    """Where an environment goes on from another episode, the newest step keeps the successor it had."""
    store, seeds, _ = loaded(run)
    newest = seeds[0].replay.newest()
    seeds[0].environments.observation = seeds[0].environments.observation + np.float32(1)
    store._end_broken_episodes(seeds[0])
    advance(seeds)
    save(store, seeds)
    _, again, _ = loaded(run)
    last = again[0].replay.written - stored_seeds.STEPS - 1
    slots = again[0].replay._slots_of(last, last + 1)[0]
    np.testing.assert_array_equal(again[0].replay.gather(slots).next_observation, newest)


def test_killed_or_refused_at_any_file_operation_of_a_save(tmp_path):
    """A sample of the operations and sizes here; ``make soak`` takes them all."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, stored_seeds.__file__, str(tmp_path), "7"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert tally["kill"] >= 6
    assert tally["limit"] >= 5
    assert tally["refused"] >= tally["full"] // 2


def damaged(path, offset=None, length=None):
    content = bytearray(path.read_bytes())
    if length is not None:
        content = content[:length]
    else:
        content[offset] ^= 1 << offset % 8
    path.unlink()  # a file of the checkpoint before may be the same one
    path.write_bytes(bytes(content))


def files_needed(folder):
    """Files that the newest checkpoint needs: its own, and those of the replay, which the one before may need, too."""
    newest = all_checkpoints(folder)[-1]
    return [*sorted(newest.iterdir()), *(newest.parent / name for name in sorted(checkpoint._replay_files(newest)))]


def survives(folder, path, rounds, length=stored_seeds.LENGTH):
    """A damaged file of the newest checkpoint is found: one of the replay is made again, any other is done without."""
    before = files_of(folder / "checkpoints" / "replay")
    _, seeds, (_, notes) = loaded(folder, length=length)
    newest = all_checkpoints(folder)[-1]
    again = path.parent != newest
    word = f"{path.relative_to(newest.parent)} is" if again else f"{newest.name} is damaged"
    (note,) = notes
    assert word in note
    assert "\n" not in note
    assert ("made again" in note) == again
    assert [arrays_of(seed) for seed in seeds] == expected(rounds if again else rounds - 1, length=length)
    if again:
        _, _, (_, notes) = loaded(folder, length=length)
        assert notes == []
        assert files_of(folder / "checkpoints" / "replay").keys() == before.keys() | {path}


def falls_back(folder):
    _, seeds, (_, notes) = loaded(folder)
    newest = all_checkpoints(folder)[-1].name
    assert [line for line in notes if newest in line and "damaged" in line and "\n" not in line], notes
    assert [arrays_of(seed) for seed in seeds] == expected(3)


@pytest.mark.parametrize("number", range(40))
def test_a_flipped_bit_or_a_truncation_is_survived(number, run):
    generator = np.random.default_rng(number)
    path = generator.choice(files_needed(run))
    offset = int(generator.integers(path.stat().st_size))
    damaged(path, **({"offset": offset} if number % 4 else {"length": offset}))
    survives(run, path, 4)


def test_after_a_fallback_the_damaged_checkpoint_goes_when_the_next_is_written(run):
    damaged(all_checkpoints(run)[-1] / manifest.MANIFEST, offset=40)
    store, seeds, _ = loaded(run)
    advance(seeds)
    save(store, seeds)
    assert len(all_checkpoints(run)) == 2
    _, again, (_, notes) = loaded(run)
    assert notes == []
    assert [arrays_of(seed) for seed in again] == expected(4)


LONG = 14
"""Rounds of a run whose replay is in more files than parity has in a group."""


@pytest.fixture(scope="module", params=[400, 9 * stored_seeds.STEPS], ids=["growing", "wrapped"])
def long(request, tmp_path_factory):
    """A run with a file of the replay for each round, and the ring's length: all files are there, or the oldest have
    fallen away again."""
    folder = tmp_path_factory.mktemp("long") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_files, "LEAST", 1)
        saved_run(folder, LONG, length=request.param)
        yield folder, request.param


def groups_of(folder, seed=0):
    newest = all_checkpoints(folder)[-1]
    return json.loads((newest / manifest.MANIFEST).read_text())["seeds"][str(seed)]["replay"]["parity"]


def test_groups_hold_every_file_once(long):
    folder, _ = long
    groups = groups_of(folder)
    names = [name for group in groups for name in group["files"]]
    assert len(groups) == 2
    assert max(len(group["files"]) for group in groups) <= parity.MEMBERS
    assert len(set(names)) == len(names)
    needed = set(checkpoint._replay_files(all_checkpoints(folder)[-1]))
    assert {name for name in needed if "seed-0" in name} == {*names, *(group["name"] for group in groups)}


def test_any_one_file_of_a_group_comes_back(long, tmp_path):
    folder, length = long
    for number, name in enumerate(name for group in groups_of(folder) for name in (group["name"], *group["files"])):
        run = shutil.copytree(folder, tmp_path / str(number))
        path = run / "checkpoints" / name
        content = path.read_bytes()
        if number % 3:
            damaged(path, **({"offset": 300} if number % 3 == 1 else {"length": 20}))
        else:
            path.unlink()
        survives(run, path, LONG, length)
        assert path.read_bytes() == content


def test_all_files_of_a_group_of_one_may_be_lost_but_one(run):
    """Parity of one file is a copy."""
    (group,) = groups_of(run)
    (name,) = group["files"]
    (run / "checkpoints" / name).unlink()
    survives(run, run / "checkpoints" / name, 4)


def test_two_damaged_files_of_a_group_are_refused_and_nothing_is_touched(long, tmp_path):
    folder, length = long
    run = shutil.copytree(folder, tmp_path / "run")
    for name in groups_of(run)[0]["files"][:2]:
        damaged(run / "checkpoints" / name, offset=300)
    present = files_of(run)
    with pytest.raises(CredoError, match="no checkpoint is whole"):
        loaded(run, length=length)
    assert files_of(run) == present


@pytest.mark.parametrize("first", [False, True], ids=["a parity", "a file that leaves"])
def test_damage_while_a_run_goes_on_does_not_spread(first, long, tmp_path):
    """Neither is a damaged parity built upon, nor is a damaged file counted out of one."""
    folder, length = long
    run = shutil.copytree(folder, tmp_path / "run")
    store, seeds, _ = loaded(run, length=length)
    group = groups_of(run)[0 if first else -1]
    spoilt = run / "checkpoints" / (group["files"][0] if first else group["name"])
    damaged(spoilt, offset=300)
    for _ in range(2):
        advance(seeds)
        save(store, seeds)
    if not (first and spoilt.exists()):  # one that is still there is the one of its group that may be damaged
        (run / "checkpoints" / groups_of(run)[0 if first else -1]["files"][-1]).unlink()
    _, again, _ = loaded(run, length=length)
    assert [arrays_of(seed) for seed in again] == expected(LONG + 2, length=length)


def manifest_changed(folder, change):
    """The newest checkpoint with another manifest, whose checksum is right."""
    newest = all_checkpoints(folder)[-1]
    tree = json.loads((newest / manifest.MANIFEST).read_text())
    change(tree)
    content = json.dumps(tree).encode()
    (newest / manifest.MANIFEST).write_bytes(content)
    (newest / manifest.CHECKSUM).write_bytes(manifest.checksum_line(content))


def test_a_newer_version_is_refused_not_taken_for_damage(run):
    manifest_changed(run, lambda tree: tree.update(version=manifest.VERSION + 1))
    with pytest.raises(CredoError, match="newer"):
        loaded(run)


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "/etc/passwd", "replay/seed-0/../../x.safetensors", "replay/seed-1/a"]
)
def test_a_manifest_reaches_no_file_outside_its_folder(name, run):
    manifest_changed(run, lambda tree: tree["seeds"]["0"]["replay"]["files"][0].update(name=name))
    falls_back(run)
    manifest_changed(run, lambda tree: tree["seeds"]["0"].update(files={name: "ab"}))
    falls_back(run)


def test_a_link_is_not_followed(run, tmp_path):
    path = all_checkpoints(run)[-1].parent / groups_of(run, seed=1)[0]["files"][-1]
    shutil.copy(path, tmp_path / "elsewhere")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    falls_back(run)


def test_a_state_of_other_shapes_is_refused(run):
    newest = all_checkpoints(run)[-1]
    tensors = {"state/.learner['weight']": np.zeros((2, 2), np.float32), "replay/newest": np.zeros((2, 4), np.float32)}
    path = newest / "seed-0.safetensors"
    write_tensors(path, format=manifest.FORMAT, version=2, tensors=tensors, metadata={}, overwrite=True)
    manifest_changed(run, lambda tree: tree["seeds"]["0"]["files"].update({path.name: file_sha256(path)}))
    with pytest.raises(CredoError, match=r"weight.*float32\[3, 2\]"):
        loaded(run)


def test_folders_that_others_left_there_are_no_checkpoints(run):
    store, seeds, _ = loaded(run)
    (run / "checkpoints" / "round-00000010.bak").mkdir()
    advance(seeds)
    save(store, seeds)
    assert (run / "checkpoints" / "round-00000010.bak").is_dir()
    assert all(path.name[6:].isdecimal() for path in checkpoint.all_checkpoints(run))
