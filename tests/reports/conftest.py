"""Made-up run folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import make_run_at

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(name: str, fates: tuple[str, ...], expert: float | None = 3000.0, **settings) -> Path:
        return make_run_at(tmp_path / name, fates, expert, **settings)

    return make
