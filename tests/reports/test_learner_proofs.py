"""The table, curves and picture of learners alone, from made-up runs whose numbers are known."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from credo import run_folder
from credo.types import CredoError

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def proofs(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import learner_proofs

    yield learner_proofs
    for name in ("learner_proofs", "keep_results"):
        sys.modules.pop(name, None)


@pytest.fixture
def hopper(make_run):
    """Ten evaluations, 1,280 steps apart, that rise in a line to 2,900 and to 800."""
    return make_run("sac-hopper", ("healthy", "weak"), reward="environment", learner="sac")


def cells(page, start):
    (row,) = (line for line in page.splitlines() if line.startswith(start))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_numbers_of_a_run(proofs, hopper):
    # The last two evaluations are 90% and 100% of the level.
    found = cells(proofs.report([proofs.read(hopper)], 2, "x.png"), "| sac |")
    assert found[:4] == ["sac", "Hopper-v5", "12,800 of 12,800", "2"]
    assert found[4] == "1,758 ± 1,411 (760 to 2,755)"
    assert found[5] == "1,850 at 12,800"
    assert found[6] == "", "the reference lies beyond the run"
    assert found[7].startswith("3,400 at 250,000")


def test_a_run_that_goes_further_is_compared_where_the_reference_lies(proofs, hopper, monkeypatch):
    near = proofs.Reference(1_000, 3_000, "return", "nobody")
    monkeypatch.setitem(proofs.REFERENCES, ("sac", "Hopper"), near)
    found = cells(proofs.report([proofs.read(hopper)], 2, "x.png"), "| sac |")
    # 10% and 20% of the levels: the evaluation at 3,840 is past it.
    assert found[6] == "278 ± 223 (120 to 435)"


def test_failed_evaluations_are_left_out_and_told(proofs, make_run):
    run = make_run("broken", ("broken",), reward="environment", learner="ddpg")
    page = proofs.report([proofs.read(run)], 2, "x.png")
    assert cells(page, "| ddpg |")[4] == "1,300 (1,300 to 1,300)"
    assert "broken, seed 0: 3 evaluations failed and are left out." in page


def test_no_path_of_the_machine_is_written(proofs, hopper, tmp_path, monkeypatch):
    stored = json.loads((hopper / run_folder.CONFIG).read_text())
    stored["command"] = "/opt/venv/bin/credo expert --env Hopper-v5 --out /somewhere/else/sac-hopper"
    (hopper / run_folder.CONFIG).write_text(json.dumps(stored))
    out = tmp_path / "kept"
    monkeypatch.setattr(sys, "argv", ["learner_proofs.py", str(hopper), "--out", str(out)])
    proofs.main()
    assert (out / "learners.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "learners.md").read_text()
    assert "`credo expert --env Hopper-v5 --out runs/sac-hopper`" in page
    rows = list(csv.DictReader((out / "sac-hopper.csv").read_text().splitlines()))
    assert len(rows) == 20
    assert (rows[-1]["seed"], rows[-1]["step"], rows[-1]["return_mean"]) == ("1", "12800", "800")
    for file in (out / "learners.md", out / "sac-hopper.csv"):
        assert str(tmp_path) not in file.read_text()
        assert "/somewhere" not in file.read_text()


def test_a_run_that_has_nothing_yet_is_a_row(proofs, make_run):
    run = make_run("empty", (), reward="environment", learner="ppo")
    page = proofs.report([proofs.read(run)], 5, "x.png")
    assert "no evaluation yet" in page
    assert proofs.figure([proofs.read(run)])["concat"]


def test_a_run_with_a_discriminator_is_refused(proofs, make_run):
    with pytest.raises(CredoError, match="reward plr"):
        proofs.read(make_run("gail", ("healthy",)))
