import csv
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_theory_recorded import write_run

from credo.theory import command, findings_limits, limits, measure, page
from credo.theory.command import TheoryOptions, run
from credo.theory.discriminators import REWARDS
from credo.theory.events import exact_probability
from credo.types import CredoError


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """(folder of a quick run, windows in which the exponents of curves were fitted)."""
    folder, windows = tmp_path_factory.mktemp("theory"), []
    recorded = write_run(folder / "some-run")
    # As text: a path may be given so from Python.
    options = TheoryOptions(
        out=str(folder / "out"), grid=1201, samples=200, training_steps=10, quick=True, runs=(recorded,)
    )
    fit = findings_limits.fitted_exponents
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            findings_limits, "fitted_exponents", lambda rows, window: windows.append(window) or fit(rows, window)
        )
        assert run(options) == folder / "out"
    return folder / "out", windows


@pytest.fixture
def unmeasured(monkeypatch):
    """A run that is not refused before it measures fails at once."""
    monkeypatch.setattr(measure, "measure_all", lambda sizes: pytest.fail("it was not refused"))


def rows_of(folder, name):
    with (folder / "data" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_quick_run_writes_a_page_that_opens_offline(quick):
    folder, _ = quick
    html = (folder / "findings.html").read_text()
    text = (folder / "findings.md").read_text()
    record = json.loads((folder / "findings.json").read_text())
    # Nothing is fetched: no scripts, no links, no images but the inline drawings.
    assert not re.search(r"<script|<link|<img|src=|@import|url\((?!#)", html)
    assert html.count("<svg") == len(list((folder / "figures").glob("*.png"))) == 12
    assert record["versions"]["numpy"]
    assert record["processor_seconds"] > 0
    for figure in re.findall(r"\((figures/[^)]+)\)", text):
        assert (folder / figure).stat().st_size > 3000
    assert [r["run"] for r in rows_of(folder, "recorded")] == ["some-run", "some-run"]
    assert "some-run" in html
    assert str(folder.parent) not in html


def test_verdicts_even_of_a_quick_run_are_those_of_the_documentation(quick):
    record = json.loads((quick[0] / "findings.json").read_text())
    found = {v["name"]: v["agrees"] for v in record["findings"]}
    assert found == {
        "Theorem 1": "no", "Corollary 1": "no", "Remark 1": "in part", "Eq. 12 and Definition 1": "in part",
        "Remark 2": "in part", "Proposition 1": "in part", "Proposition 2": "in part",
        "Property E.2 (CREDO)": "in part",
    }  # fmt: skip
    documented = Path(__file__).parents[2].joinpath("docs", "theory.md").read_text(encoding="utf-8")
    for name, word in found.items():
        (row,) = re.findall(rf"^\| \*\*{re.escape(name)}\*\*: .*$", documented, re.MULTILINE)
        assert f" | {word} | " in row


def test_each_table_is_measured_at_what_it_is_named_for(quick):
    folder, windows = quick
    assert {r["expert_deviation"] for r in rows_of(folder, "limits")} == {"0.3"}
    assert {r["expert_deviation"] for r in rows_of(folder, "narrow_expert_limits")} == {"0.01"}
    assert {r["norm"] for r in rows_of(folder, "exponents")} == {"rkhs"}
    assert {r["norm"] for r in rows_of(folder, "exponents_coefficient_norm")} == {"coefficients"}
    smallest = min(float(r["sigma"]) for r in rows_of(folder, "limits"))
    # Both norms on one grid and in one window, or their exponents could not be compared.
    assert windows == [pytest.approx(60 * smallest, rel=1e-6)] * 2
    # A grid of 1,201 points does not resolve 0.003 and 0.001.
    assert {r["sigma"] for r in rows_of(folder, "distribution")} == {"0.1", "0.03", "0.01"}
    # Each reward grows as its slope, and as a power of the steepness besides: e^(1.25 tau) for r6 that wins.
    fits = {(r["sign"], r["reward"], r["of"]): float(r["rate"]) for r in rows_of(folder, "steepness_fits")}
    assert fits["-1", "r6", "direct"] == pytest.approx(1.25, abs=0.05)
    assert len(rows_of(folder, "credo_effect")) == 2 * 6 * len(REWARDS)
    task = limits.make_task(0, 5, 501)
    policy = limits.isotropic(task, task.policy_means, 0.1)
    exact = exact_probability("xi", task.mdp, policy, limits.expert_occupancy(task, 0.15), np.array([30.0]))[0]
    (row,) = (r for r in rows_of(folder, "events") if (r["event"], r["sigma"], r["c"]) == ("xi", "0.1", "30"))
    assert float(row["exact"]) == pytest.approx(exact, rel=1e-6)


def test_defaults_are_those_of_the_published_run():
    assert TheoryOptions() == TheoryOptions(
        out=Path("theory"), seed=0, states=5, grid=100_001, samples=20_000, training_steps=3_000, quick=False, runs=()
    )


def test_options_become_sizes():
    options = TheoryOptions(seed=7, states=6, grid=3001, samples=300, training_steps=40)
    full = command._sizes(options)
    assert full == measure.Sizes(7, 6, 3001, 2001, 14, 300, 40, 5, 151)
    quick = command._sizes(replace(options, quick=True, grid=9001))
    assert quick == measure.Sizes(7, 6, 4001, 501, 8, 300, 30, 1, 16)


def test_the_command_is_that_of_the_options_and_tells_of_folders_only_the_name():
    assert command._command(TheoryOptions()) == "credo theory"
    options = TheoryOptions(
        out=Path("/home/me/my theory"), training_steps=40, quick=True, runs=(Path("/home/me/a=b/mine"), Path("runs/b"))
    )
    assert command._command(options) == "credo theory --out 'my theory' --training-steps 40 --quick --runs mine runs/b"


def test_the_record_holds_the_options_as_they_were_used(quick):
    record = json.loads((quick[0] / "findings.json").read_text())
    assert record["options"] == {
        "out": "out", "seed": 0, "states": 5, "grid": 1201, "samples": 200, "training_steps": 10, "quick": True,
        "runs": ["some-run"],
    }  # fmt: skip
    lowered = TheoryOptions(quick=True)
    used = command._used(lowered, command._sizes(lowered))
    assert (used["grid"], used["samples"], used["training_steps"]) == (4001, 500, 30)
    assert "Used: seed 0, 5 states, 1,201 grid points, 200 samples, 10 training steps (quick" in (
        quick[0] / "findings.md"
    ).read_text(encoding="utf-8")


def test_the_record_lists_every_file(quick):
    folder, _ = quick
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(json.loads((folder / "findings.json").read_text())["files"]) == there


def test_more_than_the_memory_that_is_free_is_refused_with_the_options_that_cost_it(monkeypatch, tmp_path, unmeasured):
    monkeypatch.setattr(command, "available_memory", lambda: 2**30)
    options = TheoryOptions(out=tmp_path / "out", grid=10_000_001)
    message = r"grid: 5 states on 10,000,001 grid points .* need 9\.3 GiB, 1\.0 GiB are free; lower --grid, --states"
    with pytest.raises(CredoError, match=message):
        run(options)
    assert not (tmp_path / "out").exists()
    command._check_memory(command._sizes(TheoryOptions()))


def test_options_that_do_not_do_are_named(tmp_path, unmeasured):
    with pytest.raises(CredoError, match="grid is 10; at least 1001"):
        run(TheoryOptions(out=tmp_path, grid=10))
    for states in (1, 21):
        with pytest.raises(CredoError, match=f"states is {states}; at least 2 and at most 20"):
            run(TheoryOptions(out=tmp_path, states=states))
    with pytest.raises(CredoError, match="samples is 99; at least 100"):
        command._sizes(TheoryOptions(samples=99))
    with pytest.raises(CredoError, match="training_steps is 9; at least 10"):
        command._sizes(TheoryOptions(training_steps=9))


def test_page_escapes_and_tables():
    blocks = [
        page.Block("heading", "a < b"),
        page.Block("table", header=("x|y", "&"), rows=(("1|2", "<b>"),)),
        page.Block("figure", "caption & more", figure="one"),
    ]
    html = page.page("p < q", blocks, {"one": "<svg></svg>"})
    assert html.startswith('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>p &lt; q</title>')
    assert "<h1>p &lt; q</h1>" in html
    assert "<th>x|y</th><th>&amp;</th>" in html
    assert "a &lt; b" in html
    assert "<td>&lt;b&gt;</td>" in html
    assert "<svg></svg><figcaption>caption &amp; more" in html
    assert "| 1\\|2 | <b> |" in page.markdown("t", blocks)


def test_a_smaller_png_holds_the_same_pixels():
    header = b"\x89PNG\r\n\x1a\n"

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    pixels = bytes(range(256)) * 200
    fast = zlib.compress(pixels, 0)
    before, after = chunk(b"IHDR", b"x" * 13), chunk(b"IEND", b"")
    png = header + before + chunk(b"IDAT", fast[:1000]) + chunk(b"IDAT", fast[1000:]) + after
    small = command.small_png(png)
    assert len(small) < len(png) / 10
    assert small.startswith(header + before)
    assert small.endswith(after)
    size = int.from_bytes(small[33:37], "big")
    assert small[37:41] == b"IDAT"
    assert zlib.decompress(small[41 : 41 + size]) == pixels
    assert zlib.crc32(small[37 : 41 + size]).to_bytes(4, "big") == small[41 + size : 45 + size]


def test_csv_holds_every_column():
    rows = [{"a": 1, "b": 0.1234567891}, {"a": None, "c": "s"}]
    assert command.csv_text(rows) == "a,b,c\n1,0.12345679,\n,,s\n"
