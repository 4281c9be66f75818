"""A checkpoint whose checksum is right and whose manifest is a stranger's: refused in one line, or gone on without."""

import json

import pytest

from credo.config import RunConfig
from credo.training import manifest
from credo.training.checkpoint import all_checkpoints
from credo.training.record import Record
from credo.types import CredoError
from training import stored_seeds

ROW = {"step": 16, "return_mean": 1.0, "occupancy_distance": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "run"
    stored_seeds.saved_run(folder, 1, numbers=(0,))
    return folder


@pytest.fixture
def told(run):
    """The manifest, and what puts another one there."""
    original = (all_checkpoints(run)[-1] / manifest.MANIFEST).read_bytes()
    yield json.loads(original), lambda tree: put(run, tree)
    put(run, json.loads(original))


def put(folder, tree):
    """Another manifest, with the right checksum, for the newest checkpoint."""
    newest, content = all_checkpoints(folder)[-1], json.dumps(tree).encode()
    (newest / manifest.MANIFEST).write_bytes(content)
    (newest / manifest.CHECKSUM).write_bytes(manifest.checksum_line(content))


def refused(folder):
    with pytest.raises(CredoError, match=f"{manifest.MANIFEST}: is not as Credo writes it") as caught:
        stored_seeds.loaded(folder, numbers=(0,))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"next_round": -1}, "next_round: -1 found"),
        ({"next_round": True}, "next_round: True found"),
        ({"unevaluated": "x"}, "unevaluated: 'x' found"),
        ({"unevaluated": 1}, "unevaluated: 1 found"),
        ({"unevaluated": -1}, "unevaluated: -1 found"),
        ({"frozen": {"step": 16, "cause": ["no"]}}, "seeds.0.frozen: a step and the text of a cause"),
        ({"frozen": {"step": 16}}, "seeds.0.frozen: a step and the text of a cause"),
        ({"frozen": {"step": "x", "cause": "no"}}, "frozen.step: 'x' found"),
        ({"best": {}}, "best: a step and a return_mean expected"),
        ({"best": ROW | {"return_mean": None}}, "best.return_mean: None found"),
        ({"best": ROW | {"occupancy_distance": "x"}}, "best.occupancy_distance: 'x' found"),
        ({"best": ROW | {"occupancy_distance": 0, "success_rate": 1e308}}, "best: a distance or a return"),
        ({"best": {name: value for name, value in ROW.items() if name != "occupancy_distance"}}, "occupancy_distance"),
        ({"last": ROW | {"step": 10**400}}, "last.step: 1000"),
        ({"last": [1]}, "AttributeError"),
        ({"environments": None}, "environments: None found"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_field_of_a_seed_that_makes_no_sense(change, field, run, told):
    tree, write = told
    tree["seeds"]["0"].update(change)
    write(tree)
    assert field in refused(run)


@pytest.mark.parametrize(
    "change", [{"written": 14.0}, {"files": [{"start": 9, "stop": 9}]}, {"parity": [{"files": [{}]}]}]
)
def test_a_record_of_a_replay_that_makes_no_sense(change, run, told):
    tree, write = told
    tree["seeds"]["0"]["replay"].update(change)
    write(tree)
    refused(run)


def test_an_episode_that_has_ended_with_a_reward_that_is_none(run, told):
    tree, write = told
    episode = {"environment_index": 0, "total_reward": "much", "length": 5, "terminated": True, "success": None}
    tree["seeds"]["0"]["environments"]["finished"] = {"0": episode}
    write(tree)
    with pytest.raises(CredoError, match=r"seed 0 cannot go on: .*'much'.*its checkpoint is kept"):
        stored_seeds.loaded(run, numbers=(0,))


@pytest.mark.parametrize("number", ["x", "-1", "00", "9" * 5000])
def test_a_name_of_a_seed_that_is_none(number, run, told):
    tree, write = told
    tree["seeds"][number] = tree["seeds"]["0"]
    write(tree)
    assert len(refused(run)) < 1000


@pytest.mark.parametrize(
    "position",
    [
        {"parts": {"metrics": 0}, "seconds": 0.0},
        {"parts": {"metrics": -1, "evaluations": 0}, "seconds": 0.0},
        {"parts": {"metrics": 0.0, "evaluations": 0}, "seconds": 0.0},
        {"parts": stored_seeds.POSITION["parts"], "seconds": float("nan")},
        {"parts": stored_seeds.POSITION["parts"], "seconds": "long"},
        {"parts": stored_seeds.POSITION["parts"]},
    ],
)
def test_a_position_that_makes_no_sense(position, run, told):
    tree, write = told
    write(tree | {"position": position})
    refused(run)


def test_no_folder_that_a_checkpoint_names_is_emptied(run, told, tmp_path):
    """Parts beyond those that a checkpoint counts are removed when a run goes on: those of the run alone."""
    tree, write = told
    (tmp_path / "part-000000.parquet").write_text("mine")
    parts = stored_seeds.POSITION["parts"] | {str(tmp_path): 0}
    write(tree | {"position": {"parts": parts, "seconds": 0.0}})
    refused(run)
    Record(run, RunConfig()).go_on(parts, [])
    assert (tmp_path / "part-000000.parquet").read_text() == "mine"


def test_an_older_checkpoint_that_makes_no_sense_stops_no_newer(told, tmp_path):
    """Which files of the replay it needs is not known: none is removed, and the new checkpoint is written."""
    store, seeds = stored_seeds.saved_run(tmp_path / "run", 1, numbers=(0,))
    tree, _ = told
    tree["seeds"]["0"]["replay"]["files"][0]["name"] = 3
    put(tmp_path / "run", tree)
    stored_seeds.advance(seeds)
    stored_seeds.save(store, seeds)
    assert len(all_checkpoints(tmp_path / "run")) == 2
