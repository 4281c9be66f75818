"""What keep_results.py keeps of a run, and what dead_seeds.py keeps of runs that go further than they were judged."""

import csv
import json
import sys
import types

import numpy as np
import pytest
import script_modules

from credo import run_folder, run_rows
from credo.diagnostics.divergence import Verdict

EVALUATIONS = {
    "step": np.array([192, 384]),
    "return_mean": np.array([12.25, 1234567.0], np.float32),
    "return_std": np.array([1.0, 2.0], np.float32),
    "return_min": np.array([3.0, 4.0], np.float32),
    "length_mean": np.array([5.0, 6.0], np.float32),
    "occupancy_distance": np.array([0.5, np.nan], np.float32),
}
METRICS = {
    "step": 64 * np.arange(1, 8),
    "actor_gradient_max": np.array([1, 2, 50, 3, 4, 1 / 3, 99], np.float32),
    "action_saturation": np.array([0.0, 0.0, 0.75, 0.5, np.nan, 1.0, 9.0], np.float32),
    "filtered_share": np.array([np.nan, np.nan, np.nan, 0.1, 0.2, 0.6, 9.0], np.float32),
}


@pytest.fixture
def scripts(monkeypatch):
    yield from script_modules.loaded(monkeypatch, "keep_results", "dead_seeds", "kept_files")


def test_an_evaluation_is_kept_with_the_rounds_since_the_one_before(scripts, tmp_path, monkeypatch, capsys) -> None:
    """Gradients are the largest of these rounds, all else the mean of what is known; what no round has is empty. The
    round behind the last evaluation leads to none."""
    module = scripts["keep_results"]
    command = "/opt/venv/bin/credo imitate --out /some/where/td3 --demonstrations data/of/hopper.npz"
    stored = {"command": command, "id": "an id", "versions": {"jax": "1"}, "demonstrations": {"episodes": 5}}
    verdicts = {
        2: Verdict("dead", 64, "no gradient", None),
        5: Verdict("failed", 64, "low", 128),
        6: Verdict("exploded", 64, "beyond", 64),
    }
    empty = {"step": np.empty(0)}
    run = types.SimpleNamespace(
        stored=stored | {"identity": {"learner": "td3"}},
        seeds=(2, 5, 6),
        metrics={2: METRICS, 5: METRICS | {"actor_gradient_max": np.arange(10, 17)}, 6: empty},
        evaluations={2: EVALUATIONS, 5: {name: column[1:] for name, column in EVALUATIONS.items()}, 6: {}},
        verdicts=verdicts,
        state="interrupted",
        steps_done=448,
        summary={"wall_seconds": 12.5},
        seed_summary=lambda seed: {"selected_step": 100 + seed},
    )
    monkeypatch.setattr(module, "load_run", lambda folder: run)
    monkeypatch.setattr(sys, "argv", ["keep_results", "runs/td3", str(tmp_path / "kept" / "td3")])
    module.main()
    assert capsys.readouterr().out.splitlines()[1] == "seed 5: failed: low"
    with open(tmp_path / "kept" / "td3" / "evaluations.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["seed", *module.EVALUATED, *module.RECORDED]
    assert header[7:11] == ["actor_gradient_max", "action_saturation", "expert_probability_expert", "filtered_share"]
    assert rows == [
        ["2", "192", "12.25", "1", "3", "5", "0.5", "50", "0.25", "", "", "", "", ""],
        ["2", "384", "1.2346e+06", "2", "4", "6", "nan", "4", "0.75", "", "0.3", "", "", ""],
        # The first evaluation of this seed has all rounds behind it.
        ["5", "384", "1.2346e+06", "2", "4", "6", "nan", "15", "0.45", "", "0.3", "", "", ""],
    ]
    told = json.loads((tmp_path / "kept" / "td3" / "run.json").read_text())
    assert told.pop("seeds") == {
        str(seed): {"selected_step": 100 + seed, "verdict": verdict._asdict()} for seed, verdict in verdicts.items()
    }
    assert told == {
        "command": "credo imitate --out runs/td3 --demonstrations data/of/hopper.npz",
        "id": "an id",
        "versions": {"jax": "1"},
        "demonstrations": {"episodes": 5},
        "identity": {"learner": "td3"},
        "state": "interrupted",
        "steps_done": 448,
        "wall_seconds": 12.5,
        "diverged": 2,
    }
    run.stored["command"] = "python -m credo imitate"
    assert module.command_of(run) == "python -m credo imitate"


def test_what_is_told_of_some_rounds_is_told_of_their_finite_numbers(scripts) -> None:
    over_rounds = scripts["keep_results"].over_rounds
    values = np.array([-1.0, -np.inf, -4.0, -4.0])
    metrics = {"actor_gradient_norm": np.array([1.0, np.inf, 3.0, 2.0]), "q_mean": values}
    assert over_rounds(metrics, "actor_gradient_norm", slice(None)) == 3
    assert over_rounds(metrics, "q_mean", slice(None)) == -3
    assert over_rounds(metrics, "q_mean", slice(1, 2)) == ""
    assert over_rounds(metrics, "nothing", slice(None)) == ""


def test_the_dead_run_anew_are_kept_as_they_end_and_as_they_were_when_judged(scripts, tmp_path, monkeypatch) -> None:
    """The one has no gradient from step 6,400 on and comes back at 60,800; the other, which was dead in the study, is
    never so and explodes late. What has not ended is not kept."""
    module, out = scripts["dead_seeds"], tmp_path / "out"
    out.mkdir()
    places = [("ddpg", "hopper", 8), ("ddpg", "walker2d", 3), ("sd3", "walker2d", 4)]
    names = ("method", "environment", "seed", "verdict")
    dead = [dict(zip(names, (f"{learner} plain", *place, "dead"), strict=True)) for learner, *place in places]
    script_modules.write(out / "stability-bed-seeds.csv", dead)
    cells = module.cells(out)
    assert [cell.name for cell in cells] == ["ddpg/hopper/8", "ddpg/walker2d/3", "sd3/walker2d/4"]
    for index, cell in enumerate(cells):
        (seed,) = cell.config.seed_numbers
        metrics, evaluations = [], []
        for step in range(64, 100_000, 64):
            still = index == 0 and 6_400 <= step < 60_800
            gradient = 0.0 if still else 1e6 if index == 1 and step == 51_200 else 1.0
            measured = {"actor_gradient_max": gradient, "action_saturation": 1.0 if still else 0.5}
            metrics.append({"seed": seed, "round": step // 64, "step": step} | measured)
        for step in (4_992, 9_984, 14_976, 19_968, 24_960, 25_024, 49_920, 80_000, 90_048, 99_968):
            low = 1.0 if 6_400 <= step < 60_800 else 800.0
            value = low if index == 0 else 1_000 - step / 100
            evaluations.append({"seed": seed, "round": step // 64, "step": step, "return_mean": value, "failed": 0.0})
        folder = tmp_path / "runs" / "dead-seeds" / cell.name.replace("/", "-")
        run_folder.create(folder, cell.config, {"return_mean": 1_000.0}, "credo imitate")
        run_rows.write_part(folder, run_folder.METRICS, 0, metrics)
        run_rows.write_part(folder, run_folder.EVALUATIONS, 0, evaluations)
        if index < 2:
            (folder / run_folder.DONE).touch()
    monkeypatch.setattr(sys, "argv", ["dead_seeds", "--keep", "--store", str(tmp_path / "runs"), "--out", str(out)])
    module.main()
    read = scripts["kept_files"].read
    columns = ("method", "environment", "seed", "verdict", "steps", "best_return", "last_return", "first_explosion")
    ends, then = (
        [tuple(row[name] for name in columns) for row in read(out / f"stability-bed-dead{when}-seeds.csv")]
        for when in ("", "-at-25000")
    )
    # At 25,000 the evaluation at 25,024 is not yet known: of the last three, the middle one is at 19,968.
    assert then == [
        ("ddpg", "hopper", 8, "dead", 24_960, 800, 1, 0),
        ("ddpg", "walker2d", 3, "healthy", 24_960, 950.1, 800.3, 0),
    ]
    assert ends == [
        ("ddpg", "hopper", 8, "recovered", 99_968, 800, 800, 0),
        ("ddpg", "walker2d", 3, "weak", 99_968, 950.1, 99.5, 51_200),
    ]
    evaluations = read(out / "stability-bed-dead-evaluations.csv")
    assert max(row["step"] for row in evaluations) == 99_968
    assert not list(out.glob("*-at-25000-evaluations.csv"))
