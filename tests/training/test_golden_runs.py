"""Run folders of every format that was ever written are gone on with, or refused in one line."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from credo import run_folder
from credo.environments.probes import PointMass
from credo.files import read_json
from credo.reports.load import load_run
from credo.training import checkpoint
from credo.types import CredoError
from golden.make import CONFIG, FOLDER, ROUNDS
from training.training_runs import assert_same_seed, changed, rows, run

GOLDEN = sorted(path.name for path in FOLDER.iterdir() if (path / run_folder.CONFIG).is_file())


def test_there_is_a_golden_run_of_every_format():
    versions = range(1, checkpoint.VERSION + 1)
    assert {f"run-{run_folder.FORMAT}-checkpoint-{version}" for version in versions} <= set(GOLDEN)
    for name in GOLDEN:
        _, run_format, _, version = name.split("-")
        assert read_json(FOLDER / name / run_folder.CONFIG)["format"] == int(run_format)
        for path in checkpoint.all_checkpoints(FOLDER / name):
            assert read_json(path / checkpoint.MANIFEST)["version"] == int(version)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Every golden run, gone on with to its end; and the lines that it told."""
    made = {}
    for name in GOLDEN:
        folder = shutil.copytree(FOLDER / name, tmp_path_factory.mktemp("golden") / name)
        lines = []
        assert run(folder, CONFIG, PointMass, lines=lines) == "done"
        made[name] = folder, lines
    return made


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_run_is_read_and_gone_on_with(name, ended):
    assert load_run(FOLDER / name).problems == ()
    folder, lines = ended[name]
    assert not [line for line in lines if "damaged" in line]
    size = CONFIG.steps_per_round
    for seed in range(CONFIG.seeds):
        steps = rows(folder, run_folder.METRICS, seed)["step"]
        assert steps.tolist() == list(range(size, CONFIG.steps + 1, size))
        before = rows(FOLDER / name, run_folder.METRICS, seed)
        again = rows(folder, run_folder.METRICS, seed, last_step=ROUNDS * size)
        assert before.keys() == again.keys()
        for column in before:
            np.testing.assert_array_equal(before[column], again[column], err_msg=column)


@pytest.mark.parametrize("name", GOLDEN)
def test_all_formats_hold_the_same_run(name, ended):
    """They were made by the same settings: were a replay put back in another order, other batches would be drawn.

    Not bit by bit: the machines that made them round differently.
    """
    for seed in range(CONFIG.seeds):
        assert_same_seed(ended[name][0], ended[GOLDEN[-1]][0], seed, tolerance=1e-5)


def test_a_part_of_the_seeds_of_an_older_format_is_refused(tmp_path):
    folder = shutil.copytree(FOLDER / "run-1-checkpoint-1", tmp_path / "run")
    with pytest.raises(CredoError, match="seeds 1 are in format 1"):
        run(folder, changed(CONFIG, seeds=1), PointMass)
    assert sorted(Path(folder, "checkpoints").iterdir()) == checkpoint.all_checkpoints(folder)


def test_a_newer_run_folder_is_refused(tmp_path):
    folder = shutil.copytree(FOLDER / GOLDEN[-1], tmp_path / "run")
    stored = read_json(folder / run_folder.CONFIG)
    run_folder.write_json(folder / run_folder.CONFIG, stored | {"format": run_folder.FORMAT + 1})
    for read in (lambda: run(folder, CONFIG, PointMass), lambda: load_run(folder)):
        with pytest.raises(CredoError, match="is newer than"):
            read()
