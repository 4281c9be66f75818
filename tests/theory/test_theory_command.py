import csv
import json
import re
import zlib

import pytest
from test_theory_recorded import write_run

from credo.theory import command, page
from credo.theory.command import TheoryOptions, run
from credo.types import CredoError


def test_a_quick_run_writes_a_page_that_opens_offline(tmp_path):
    recorded = write_run(tmp_path / "some-run")
    options = TheoryOptions(
        out=tmp_path / "out", grid=1201, samples=200, training_steps=10, quick=True, runs=(recorded,)
    )
    assert run(options) == tmp_path / "out"
    html = (tmp_path / "out" / "findings.html").read_text()
    text = (tmp_path / "out" / "findings.md").read_text()
    record = json.loads((tmp_path / "out" / "findings.json").read_text())
    # Nothing is fetched: no scripts, no links, no images but the inline drawings.
    assert not re.search(r"<script|<link|<img|src=|@import|url\((?!#)", html)
    assert html.count("<svg") == len(list((tmp_path / "out" / "figures").glob("*.png"))) == 12
    names = [v["name"] for v in record["findings"]]
    assert names[:3] == ["Theorem 1", "Corollary 1", "Remark 1"]
    assert {"Remark 2", "Proposition 1", "Proposition 2", "Property E.2 (CREDO)"} <= set(names)
    assert {v["agrees"] for v in record["findings"]} <= {"yes", "no", "in part"}
    assert record["findings"][0]["agrees"] == "no"
    assert record["versions"]["numpy"]
    for figure in re.findall(r"\((figures/[^)]+)\)", text):
        assert (tmp_path / "out" / figure).stat().st_size > 3000
    with (tmp_path / "out" / "data" / "recorded.csv").open() as file:
        assert [r["run"] for r in csv.DictReader(file)] == ["some-run", "some-run"]
    assert "some-run" in html
    assert str(tmp_path) not in html


def test_options_that_do_not_do_are_named(tmp_path):
    with pytest.raises(CredoError, match="grid is 10; at least 1001"):
        run(TheoryOptions(out=tmp_path, grid=10))
    with pytest.raises(CredoError, match="states is 1"):
        run(TheoryOptions(out=tmp_path, states=1))


def test_page_escapes_and_tables():
    blocks = [
        page.Block("heading", "a < b"),
        page.Block("table", header=("x|y", "z"), rows=(("1|2", "<b>"),)),
        page.Block("figure", "caption & more", figure="one"),
    ]
    html = page.page("t", blocks, {"one": "<svg></svg>"})
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


def test_csv_holds_every_column(tmp_path):
    command.write_csv(tmp_path / "x.csv", [{"a": 1, "b": 0.1234567891}, {"a": None, "c": "s"}])
    assert (tmp_path / "x.csv").read_text() == "a,b,c\n1,0.12345679,\n,,s\n"
