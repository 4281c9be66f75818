"""Runs are trained in float32, and say so where a process computes in float64."""

import pytest

import credo
from credo.demonstrations import generate_demonstrations
from credo.environments.probes import PointMass, point_mass_expert
from credo.training.checks import check_start
from credo.types import CredoError
from training.training_runs import SMALL


def test_a_process_in_float64_is_refused_before_a_folder_is_made(tmp_path, in_float64):
    demonstrations = generate_demonstrations(PointMass, point_mass_expert, episodes=2)
    in_float64()
    refused = r"jax_enable_x64: True in this process, .*; unset JAX_ENABLE_X64, or call jax\.config\.update"
    for train in (
        lambda: credo.imitate(SMALL, environment=PointMass, demonstrations=demonstrations, out=tmp_path / "run"),
        lambda: credo.train_expert(PointMass, steps=64, out=tmp_path / "run"),
        lambda: check_start(SMALL, None),  # where a study's check meets it, too
    ):
        with pytest.raises(CredoError, match=refused) as told:
            train()
        assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()
