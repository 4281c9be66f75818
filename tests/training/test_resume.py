"""A run that stopped and went on is the run that never stopped, bit by bit."""

import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from credo import run_folder
from credo.config import BCConfig
from credo.files import read_json
from credo.policies import FORMAT, VERSION, load_policy
from credo.storage import read_tensors
from credo.training import checkpoint, threads
from credo.training.stopping import Stop
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
    "vmap-sac-Pendulum": (changed(REWARDED, seeds=2, steps=192, evaluation_interval=64, execution="vmap"), None),
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
        ("vmap-sac-Pendulum", 6),
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
    newest = checkpoint.all_checkpoints(tmp_path / "run")[-1]
    assert read_json(newest / "state.json")["round"] * 16 == stopped_at["steps"]
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
    newest = checkpoint.all_checkpoints(tmp_path / "run")[-1]
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
    for path in checkpoint.all_checkpoints(tmp_path / "run"):
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


@pytest.mark.parametrize("steps", [128, 144, 96])
def test_more_steps_for_a_finished_run(steps, rewarded, tmp_path):
    """Ends on the grid of evaluations, between two of them, and before the first."""
    run(tmp_path / "run", changed(REWARDED, steps=steps))
    evaluated = rows(tmp_path / "run", run_folder.EVALUATIONS, 0)["step"].tolist()
    assert evaluated == sorted({128, steps} if steps >= 128 else {steps})
    assert run_folder.policy_path(tmp_path / "run", 0, "best").is_file()
    run(tmp_path / "run", REWARDED)
    assert_same_run(tmp_path / "run", rewarded, 1)


def test_the_policy_kept_at_an_end_between_evaluations_is_given_up_in_a_longer_run(rewarded, tmp_path, monkeypatch):
    """Even where it was the best by far and every later one is worse."""
    from credo.training import loop

    monkeypatch.setattr(loop, "badness", lambda row: {144: -1e9, 128: -1e6}.get(row["step"], row["step"]))
    run(tmp_path / "run", changed(REWARDED, steps=144))
    assert run_folder.read_summary(tmp_path / "run")["seeds"]["0"]["selected_step"] == 144
    run(tmp_path / "run", REWARDED)
    monkeypatch.undo()
    assert run_folder.read_summary(tmp_path / "run")["seeds"]["0"]["selected_step"] == 128
    policy = load_policy(run_folder.policy_path(tmp_path / "run", 0))
    assert policy.metadata["steps"] == "128"


def test_a_seed_that_is_left_out_for_a_while_keeps_its_state_and_its_rows(tmp_path, rewarded):
    two = changed(REWARDED, seeds=2, steps=96, evaluation_interval=64)
    run(tmp_path / "run", two)
    run(tmp_path / "run", changed(two, seeds=1, steps=160))
    assert set(run_folder.read_summary(tmp_path / "run")["seeds"]) == {"0", "1"}
    assert rows(tmp_path / "run", run_folder.EVALUATIONS, 1)["step"].tolist() == [64, 96]
    run(tmp_path / "run", changed(two, steps=256))
    run(tmp_path / "straight", changed(two, steps=256))
    assert_same_run(tmp_path / "run", tmp_path / "straight", 2)


@pytest.mark.parametrize("rounds", [1, 2, 3, 9, 14])
def test_cuts_around_the_first_update_and_in_a_wrapped_replay(rounds, wrapped, tmp_path):
    """The first update is in the second round; the replay holds four rounds, and a file of it is joined or left."""
    folder, config = wrapped
    with pytest.raises(KilledError):
        run(tmp_path / "run", config, data=demonstrations(), on_round=crash_after(rounds))
    assert checkpoint.all_checkpoints(tmp_path / "run")[-1].name == f"round-{rounds:08d}"
    assert run(tmp_path / "run", config, data=demonstrations()) == "done"
    assert_same_run(tmp_path / "run", folder, 1)


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory):
    config = changed(replay_capacity=64, checkpoint_interval=16)
    folder = tmp_path_factory.mktemp("wrapped") / "run"
    run(folder, config, data=demonstrations())
    return folder, config


@pytest.fixture(scope="module")
def rewarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewarded") / "run"
    run(folder, REWARDED)
    return folder


def terminate():
    """SIGTERM, and back when the main thread has heard of it: it gives Ctrl-C its old meaning then."""
    before = signal.getsignal(signal.SIGINT)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
    for _ in range(1000):
        if signal.getsignal(signal.SIGINT) is not before:
            return
        time.sleep(0.01)


def test_a_stop_in_the_middle_of_an_evaluation_leaves_it_for_later(rewarded, tmp_path):
    """A run on a slow environment must not wait for its evaluations to end before it stops."""

    class Stopping(gymnasium.envs.classic_control.PendulumEnv):
        steps = 0

        def step(self, action):
            Stopping.steps += 1
            if Stopping.steps == 128 + 30:  # the training's steps until then, and some of the evaluation's
                terminate()
                time.sleep(3)  # the handler, in the main thread, may not be through
            return super().step(action)

    def pendulum():
        return gymnasium.wrappers.TimeLimit(Stopping(), 200)

    assert run(tmp_path / "run", REWARDED, pendulum) == "terminated"
    assert Stopping.steps < 128 + 40
    assert not (tmp_path / "run" / run_folder.EVALUATIONS / "part-000000.parquet").exists()
    assert run(tmp_path / "run", REWARDED, pendulum) == "done"
    for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
        assert_same_arrays(rows(tmp_path / "run", kind, 0), rows(rewarded, kind, 0))


def test_a_stop_in_a_round_leaves_the_seeds_whose_turn_has_not_come(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 1)
    config = changed(REWARDED, seeds=3, steps=160)
    run(tmp_path / "straight", config)

    class Stopping(gymnasium.envs.classic_control.PendulumEnv):
        steps = 0

        def step(self, action):
            Stopping.steps += 1
            if Stopping.steps == 3 * 16 * 5 + 3:  # the first seed's turn in the sixth round
                terminate()
            return super().step(action)

    def pendulum():
        return gymnasium.wrappers.TimeLimit(Stopping(), 200)

    assert run(tmp_path / "run", config, pendulum) == "terminated"
    newest = read_json(checkpoint.all_checkpoints(tmp_path / "run")[-1] / checkpoint.MANIFEST)
    assert [newest["seeds"][str(seed)]["next_round"] for seed in range(3)] == [6, 5, 5]
    assert run(tmp_path / "run", config, pendulum) == "done"
    for seed in range(3):
        for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
            assert_same_arrays(rows(tmp_path / "run", kind, seed), rows(tmp_path / "straight", kind, seed))


def test_while_a_program_compiles_a_signal_is_not_waited_with():
    stop = Stop()
    before = signal.getsignal(signal.SIGTERM)
    with stop.listening():
        assert signal.getsignal(signal.SIGTERM) != before
        with stop.at_once():
            assert signal.getsignal(signal.SIGTERM) == before
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_clock_that_jumps_back_changes_nothing(rewarded, tmp_path, monkeypatch):
    now = itertools.count(2_000_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    with pytest.raises(KilledError):
        run(tmp_path / "run", REWARDED, on_round=crash_after(6))
    run(tmp_path / "run", REWARDED)
    assert_same_run(tmp_path / "run", rewarded, 1)
    assert run_folder.read_summary(tmp_path / "run")["wall_seconds"] >= 0


GO_ON = """
import sys
from pathlib import Path
import conftest  # as strict as the tests, and compiled as they are
from training.training_runs import REWARDED, run
kill = len(sys.argv) > 2
def on_round(progress):
    if kill and progress.round == 11:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
sys.exit(run(Path(sys.argv[1]), REWARDED, on_round=on_round) != "done")
"""


def test_a_run_killed_in_one_process_goes_on_in_another(rewarded, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    words = [sys.executable, "-c", GO_ON, str(tmp_path / "run")]
    killed = subprocess.run([*words, "kill"], env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run(tmp_path / "run", REWARDED) == "done"
    assert_same_run(tmp_path / "run", rewarded, 1)


def test_going_on_with_a_finished_run_changes_nothing(straight):
    folder = straight("sac-Hopper")
    config, data = CASES["sac-Hopper"]
    before, metrics = states(folder)[0], rows(folder, run_folder.METRICS, 0)
    assert run(folder, config, data=data) == "done"
    assert_same_arrays(states(folder)[0], before)
    assert_same_arrays(rows(folder, run_folder.METRICS, 0), metrics)


@pytest.mark.parametrize("more", [{}, {"steps": 2 * REWARDED.steps}, {"seeds": REWARDED.seeds + 1}])
def test_a_finished_run_without_its_checkpoints_is_not_begun_anew(more, rewarded, tmp_path):
    shutil.copytree(rewarded, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / run_folder.CHECKPOINTS)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(CredoError, match="its checkpoints are gone"):
        run(tmp_path / "run", changed(REWARDED, **more))
    after = {path: path.read_bytes() for path in before if path.name != run_folder.CONFIG}
    assert after == {path: content for path, content in before.items() if path.name != run_folder.CONFIG}


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
