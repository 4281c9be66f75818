"""A run that stopped and went on is the run that never stopped, bit by bit."""

import dataclasses
import shutil
import signal

import numpy as np
import pytest

from credo import run_folder
from credo.config import BCConfig
from credo.policies import FORMAT, VERSION
from credo.storage import read_tensors
from credo.training.checkpoint import all_checkpoints
from credo.types import CredoError
from training.training_runs import (
    ON_POLICY,
    REWARDED,
    SMALL,
    KilledError,
    assert_same_arrays,
    assert_same_seed,
    changed,
    crash_after,
    demonstrations,
    rows,
    run,
    states,
)

CASES = {
    "adversarial-td3-Pendulum": (changed(seeds=2), demonstrations()),
    "sac-Hopper": (
        changed(REWARDED, environment="Hopper-v5", steps=192, environments_per_seed=2, evaluation_interval=64),
        None,
    ),
    "adversarial-ppo-Pendulum": (changed(ON_POLICY, steps=192, evaluation_interval=64), demonstrations()),
    "sd3-Pendulum": (
        # The actors wait beyond the round that is gone on from.
        changed(
            REWARDED, learner="sd3", steps=192, sd3=dataclasses.replace(SMALL.sd3, actor_starts=9, layer_norm="both")
        ),
        None,
    ),
    "warm-sac-Pendulum": (
        changed(learner="sac", warm_start="bc", steps=128, bc=BCConfig(batch_size=16, epochs=2)),
        demonstrations(),
    ),
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run of a case without a stop; made once."""
    made = {}

    def folder(case):
        if case not in made:
            made[case] = tmp_path_factory.mktemp("straight") / "run"
            config, data = CASES[case]
            assert run(made[case], config, data=data) == "done"
        return made[case]

    return folder


def assert_same_run(found, expected, seeds):
    for seed in range(seeds):
        assert_same_seed(found, expected, seed)
    for path in sorted(expected.glob("policies/*/*")):
        paths = found / path.relative_to(expected), path
        (one, about_one), (other, about_other) = (read_tensors(p, format=FORMAT, version=VERSION) for p in paths)
        assert_same_arrays(one, other)
        assert about_one == about_other, path.name


@pytest.mark.parametrize(
    ("case", "rounds"),
    [
        ("adversarial-td3-Pendulum", 3),
        ("adversarial-td3-Pendulum", 6),
        ("sac-Hopper", 6),
        ("sd3-Pendulum", 6),
        ("adversarial-ppo-Pendulum", 6),
        ("warm-sac-Pendulum", 3),
        ("warm-sac-Pendulum", 6),
    ],
)
def test_a_killed_run_goes_on_bitwise(case, rounds, straight, tmp_path):
    """At round 3 there is no checkpoint yet, at 6 there is one of round 4, and rows after it are on disk."""
    config, data = CASES[case]
    with pytest.raises(KilledError):
        run(tmp_path / "run", config, data=data, on_round=crash_after(rounds))
    assert not (tmp_path / "run" / run_folder.DONE).exists()
    assert run(tmp_path / "run", config, data=data) == "done"
    assert (tmp_path / "run" / run_folder.DONE).exists()
    assert_same_run(tmp_path / "run", straight(case), config.seeds)


def test_an_interrupted_run_keeps_a_checkpoint_of_the_round_it_stopped_after(tmp_path):
    def interrupt(progress):
        if progress.round == 5:
            signal.raise_signal(signal.SIGINT)

    config = changed(REWARDED)
    assert run(tmp_path / "run", config, on_round=interrupt) == "interrupted"
    stopped_at = run_folder.read_summary(tmp_path / "run")
    assert stopped_at["state"] == "interrupted"
    newest = all_checkpoints(tmp_path / "run")[-1]
    assert run_folder.read_json(newest / "state.json")["round"] * 16 == stopped_at["steps"]
    assert len(rows(tmp_path / "run", run_folder.METRICS, 0)["step"]) * 16 == stopped_at["steps"]
    begun = []
    run(tmp_path / "run", config, on_round=lambda progress: begun.append(progress.round))
    assert begun[0] * 16 == stopped_at["steps"] + 16
    run(tmp_path / "straight", config)
    assert_same_run(tmp_path / "run", tmp_path / "straight", 1)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed after round 10, with checkpoints of rounds 4 and 8."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    config, data = CASES["sac-Hopper"]
    with pytest.raises(KilledError):
        run(folder, config, data=data, on_round=crash_after(10))
    return folder


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "json"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(damage, straight, killed, tmp_path):
    config, data = CASES["sac-Hopper"]
    shutil.copytree(killed, tmp_path / "run")
    newest = all_checkpoints(tmp_path / "run")[-1]
    assert newest.name.endswith("8")
    tensors = newest / "seed-0.safetensors"
    if damage == "flip":
        content = bytearray(tensors.read_bytes())
        content[-5] ^= 1
        tensors.write_bytes(bytes(content))
    elif damage == "truncate":
        tensors.write_bytes(tensors.read_bytes()[:-100])
    elif damage == "remove":
        tensors.unlink()
    else:
        (newest / "state.json").write_text("{")
    lines = []
    assert run(tmp_path / "run", config, data=data, lines=lines) == "done"
    assert any("damaged" in line and newest.name in line and "\n" not in line for line in lines)
    assert_same_run(tmp_path / "run", straight("sac-Hopper"), 1)


def test_where_no_checkpoint_is_whole_nothing_is_overwritten(killed, tmp_path):
    config, data = CASES["sac-Hopper"]
    shutil.copytree(killed, tmp_path / "run")
    for path in all_checkpoints(tmp_path / "run"):
        (path / "state.json").unlink()
    before = rows(tmp_path / "run", run_folder.METRICS, 0)
    with pytest.raises(CredoError, match="no checkpoint is whole"):
        run(tmp_path / "run", config, data=data)
    assert_same_arrays(rows(tmp_path / "run", run_folder.METRICS, 0), before)


def test_two_checkpoints_are_kept_and_nothing_temporary(straight):
    folder = straight("adversarial-td3-Pendulum")
    kept = sorted(path.name for path in (folder / run_folder.CHECKPOINTS).iterdir())
    assert kept == ["replay", "round-00000012", "round-00000016"]
    files = (folder / run_folder.CHECKPOINTS / "replay").rglob("*.safetensors")
    assert sorted(path.name[:25] for path in files) == [f"{0:012d}-{stop:012d}" for stop in (192, 192, 256, 256)]
    assert not list(folder.rglob("*.tmp"))


def test_a_seed_added_to_a_finished_run(straight, tmp_path):
    case = "adversarial-td3-Pendulum"
    config, data = CASES[case]
    run(tmp_path / "run", changed(seeds=1), data=data)
    before = states(tmp_path / "run")[0]
    with pytest.raises(KilledError):
        run(tmp_path / "run", config, data=data, on_round=crash_after(6))
    begun = []
    run(tmp_path / "run", config, data=data, on_round=lambda progress: begun.append(progress.round))
    assert begun[0] == 5, "the added seed goes on from a checkpoint of its own"
    assert_same_arrays(states(tmp_path / "run")[0], before)
    assert_same_run(tmp_path / "run", straight(case), 2)


def test_more_steps_for_a_finished_run(tmp_path):
    """The straight run's steps are a multiple of the evaluation interval, else the shorter run's end adds a row."""
    run(tmp_path / "run", changed(REWARDED, steps=128))
    run(tmp_path / "run", REWARDED)
    run(tmp_path / "straight", REWARDED)
    assert_same_run(tmp_path / "run", tmp_path / "straight", 1)


def test_going_on_with_a_finished_run_changes_nothing(straight):
    folder = straight("sac-Hopper")
    config, data = CASES["sac-Hopper"]
    before, metrics = states(folder)[0], rows(folder, run_folder.METRICS, 0)
    assert run(folder, config, data=data) == "done"
    assert_same_arrays(states(folder)[0], before)
    assert_same_arrays(rows(folder, run_folder.METRICS, 0), metrics)


def test_fewer_steps_than_were_done_are_refused(tmp_path):
    run(tmp_path / "run", changed(REWARDED, steps=128))
    with pytest.raises(CredoError, match=r"steps: .*8 rounds"):
        run(tmp_path / "run", changed(REWARDED, steps=64))


def test_the_checkpoint_holds_optimisers_and_replay(straight):
    arrays = states(straight("adversarial-td3-Pendulum"))[0]
    names = " ".join(arrays)
    for part in ("actor_optimiser", "critic_optimiser", "discriminator.optimiser", "target_critics", "replay/written"):
        assert part in names, part
    assert arrays["replay/written"] == SMALL.steps
    assert len(arrays["replay/reward"]) == SMALL.steps
    counts = [value for name, value in arrays.items() if name.endswith("count")]
    assert counts
    assert all(np.all(count > 0) for count in counts)
