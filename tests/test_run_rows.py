"""Parts of rows that memory has no room for are refused before they are read."""

import pytest

from credo import run_rows
from credo.types import CredoError

MEASURES = [f"measure_{k}" for k in range(40)]
ROWS = 1000
NARROW = 2 * ROWS * (4 + 8)
"""Bytes of a part's seeds and steps, as they are read and as they are sorted."""


@pytest.fixture
def parts(tmp_path):
    (tmp_path / "metrics").mkdir()
    for part in range(3):
        rows = [dict.fromkeys(MEASURES, 0.5) | {"seed": 0, "step": ROWS * part + k} for k in range(ROWS)]
        run_rows.write_part(tmp_path, "metrics", part, rows)
    return tmp_path


def free(monkeypatch, size):
    monkeypatch.setattr(run_rows, "available_memory", lambda: size / run_rows.MEMORY_SHARE)


def test_a_part_larger_than_memory(parts, monkeypatch):
    free(monkeypatch, 4 * NARROW)
    message = r"part-000000\.parquet: 1000 rows of 42 columns need 0\.0 GiB; 0\.0 GiB are left of the memory"
    with pytest.raises(CredoError, match=message):
        run_rows.read_parts(parts, "metrics")
    with pytest.raises(CredoError, match=message):
        run_rows.read_part(run_rows.part_paths(parts, "metrics")[0])


def test_of_a_wide_part_only_the_columns_that_are_read_count(parts, monkeypatch):
    free(monkeypatch, 4 * NARROW)
    found = run_rows.read_parts(parts, "metrics", ["seed", "step"])
    assert found["step"].tolist() == list(range(3 * ROWS))


def test_parts_that_fit_each_but_not_together(parts, monkeypatch):
    free(monkeypatch, 2.5 * NARROW)
    problems = []
    found = run_rows.read_parts(parts, "metrics", ["seed", "step"], problems)
    assert found["step"].tolist() == list(range(2 * ROWS))
    (line,) = problems
    assert "part-000002.parquet: 1000 rows of 2 columns need" in line
