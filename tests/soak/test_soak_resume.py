"""Every learner on every environment: killed and gone on with in a new process, it is the run never stopped."""

import dataclasses
import typing

import pytest

from credo import run_folder
from credo.config import LearnerName, RunConfig
from credo.policies import FORMAT, VERSION
from credo.storage import read_tensors
from training.training_runs import assert_same_arrays, assert_same_seed, rows

ENVIRONMENTS = ("Pendulum-v1", "Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
SMALL_PARTS = {"hidden": [8], "batch_size": 8, "epochs": 2}
CUTS = (2, 9, 21)
"""Rounds of 16 steps: right after the first update, and in the middle of episodes, with a replay that has wrapped."""
CLONING = (3, 20, 35)
"""File operations in the run folder before which behavioural cloning is killed: it has no rounds."""


def config_of(learner, environment):
    fields = {field.name for field in dataclasses.fields(getattr(RunConfig(), learner))}
    return {
        "learner": learner,
        "environment": environment,
        "steps": 448,
        "replay_capacity": 200,
        "checkpoint_interval": 32,
        learner: {name: value for name, value in SMALL_PARTS.items() if name in fields},
    }


@pytest.mark.parametrize("environment_name", ENVIRONMENTS)
@pytest.mark.parametrize("learner", [name for name in typing.get_args(LearnerName) if name != "bc"])
def test_resume_is_exact(learner, environment_name, train, say, tmp_path):
    config = config_of(learner, environment_name)
    assert train(tmp_path / "straight", config)[:2] == (0, 28)
    for cut in CUTS:
        assert train(tmp_path / "run", config, kill_after_round=cut)[:2] == (-9, cut)
    assert train(tmp_path / "run", config).status == 0
    assert_same_seed(tmp_path / "run", tmp_path / "straight", 0)
    say(f"{learner} on {environment_name}: killed after rounds {CUTS}, equal in every array and metric")


@pytest.mark.parametrize("environment_name", ENVIRONMENTS)
def test_cloning_that_was_killed_is_done_again(environment_name, train, say, tmp_path):
    config = config_of("bc", environment_name)
    assert train(tmp_path / "straight", config).status == 0
    for cut in CLONING:
        assert train(tmp_path / "run", config, kill_at_operation=cut).status == -9
    assert train(tmp_path / "run", config).status == 0
    for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
        assert_same_arrays(*(rows(tmp_path / name, kind, 0) for name in ("run", "straight")))
    for which in ("best", "last"):
        paths = [run_folder.policy_path(tmp_path / name, 0, which) for name in ("run", "straight")]
        assert_same_arrays(*(read_tensors(path, format=FORMAT, version=VERSION)[0] for path in paths))
    say(f"bc on {environment_name}: killed before file operations {CLONING}, equal in policies and metrics")
