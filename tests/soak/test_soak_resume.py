"""Every learner on every environment: killed and gone on with in a new process, it is the run never stopped."""

import dataclasses
import typing

import pytest

from credo.config import LearnerName, RunConfig
from training.training_runs import assert_same_seed

ENVIRONMENTS = ("Pendulum-v1", "Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
SMALL_PARTS = {"hidden": [8], "batch_size": 8}
CUTS = (2, 9, 21)
"""Rounds of 16 steps: right after the first update, and in the middle of episodes, with a replay that has wrapped."""


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


@pytest.mark.parametrize("learner", typing.get_args(LearnerName))
@pytest.mark.parametrize("environment_name", ENVIRONMENTS)
def test_resume_is_exact(learner, environment_name, train, say, tmp_path):
    config = config_of(learner, environment_name)
    assert train(tmp_path / "straight", config) == (0, 28)
    for cut in CUTS:
        status, reached = train(tmp_path / "run", config, kill_after_round=cut)
        assert (status, reached) == (-9, cut)
    assert train(tmp_path / "run", config)[0] == 0
    assert_same_seed(tmp_path / "run", tmp_path / "straight", 0)
    say(f"{learner} on {environment_name}: killed after rounds {CUTS}, equal in every array and metric")
