"""What a report leaves in its folder, and what of an earlier one."""

import json
import os

import pytest

from credo.reports import report as report_module
from credo.reports.report import write_report


def test_what_an_earlier_report_wrote_does_not_stay_beside_a_new_one(make_run, tmp_path):
    first, second, out = make_run("a", ("healthy",)), make_run("b", ("dead",), environment="Other-v0"), tmp_path / "out"
    write_report([first, second], out, statistics=False)
    mine = out / "figures" / "return-Mine.csv"
    mine.write_text("mine")
    names = {path.name for path in (out / "figures").iterdir()}
    assert {"return-Hopper-v5.png", "return-Other-v0.png"} <= names
    write_report([first], out, statistics=False)
    left = {path.name for path in (out / "figures").iterdir()}
    assert {"return-Hopper-v5.png", mine.name} <= left
    assert not any("Other-v0" in name for name in left)
    assert not (out / "tables" / "settings.csv").exists()
    (out / "files.json").write_text(json.dumps({"files": ["../a/config.json", "figures/../../a/config.json"]}))
    write_report([first], out, figures=False, statistics=False)
    assert (first / "config.json").exists()
    assert mine.exists()


def test_what_an_interrupted_report_wrote_is_removed_by_the_next(make_run, tmp_path, monkeypatch):
    """And what one writes twice within a tick of the clock stays."""
    first, second, out = make_run("a", ("healthy",)), make_run("b", ("dead",), environment="Other-v0"), tmp_path / "out"
    write_report([first], out, statistics=False)

    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(report_module, "page", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_report([first, second], out, statistics=False)
    assert (out / "figures" / "return-Other-v0.csv").exists()
    for path in out.rglob("*.csv"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
    write_report([first], out, statistics=False)
    names = {path.name for path in out.rglob("*.csv")}
    assert not any("Other-v0" in name for name in names)
    assert {"overview.csv", "seeds.csv", "return-Hopper-v5.csv"} <= names
