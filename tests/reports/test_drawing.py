"""Figures as files: here or by processes, and how a thicket of curves is drawn."""

from __future__ import annotations

import pytest

from credo.reports import draw
from credo.types import CredoError


@pytest.mark.parametrize("few", [0, 12], ids=["processes", "here"])
def test_figures_are_drawn_here_or_by_processes(tmp_path, monkeypatch, few):
    monkeypatch.setattr(draw, "_FEW", few)
    monkeypatch.setattr(draw, "usable_cores", lambda: 2)
    bar = {"data": {"values": [{"x": 1}]}, "mark": "bar", "encoding": {"x": {"field": "x", "type": "quantitative"}}}
    with draw.drawing(tmp_path, {"one": bar, "two": bar}):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{kind}" for name in ("one", "two") for kind in ("png", "svg", "pdf")
    }
    broken = {"one": bar, "broken": bar | {"data": {"values": 7}, "mark": {"type": "no such mark"}}}
    with (
        pytest.raises(CredoError, match=r"report: .*broken cannot be drawn") as told,
        draw.drawing(tmp_path, broken),
    ):
        pass
    assert "\n" not in str(told.value)


def test_processes_that_draw_end_with_a_failure_beside_them(tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "_FEW", 0)
    monkeypatch.setattr(draw, "usable_cores", lambda: 2)
    started, popen = [], draw.subprocess.Popen
    monkeypatch.setattr(draw.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    with pytest.raises(ZeroDivisionError), draw.drawing(tmp_path, {"one": {}}):
        raise ZeroDivisionError
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_only_a_thicket_of_curves_is_drawn_without_smoothing(monkeypatch):
    svg = '<path d="M0,0L1,100L2,0" stroke-linejoin="round" opacity="1"/><path d="M0,0L9,900"/>'
    monkeypatch.setattr(draw, "_THICKET", 201)
    assert draw._quick(svg) == svg
    monkeypatch.setattr(draw, "_THICKET", 200)
    assert draw._quick(svg).count('shape-rendering="crispEdges"') == 1
    # A curve of a single point, and one with a gap, as Vega writes them.
    for path, travel in (("M3,39.78Z", 0), ("M0,1e2L1,0M2,0L3,50", 150)):
        svg = f'<path d="{path}" stroke-linejoin="round" opacity="1"/>'
        monkeypatch.setattr(draw, "_THICKET", travel + 1)
        assert draw._quick(svg) == svg
        monkeypatch.setattr(draw, "_THICKET", travel)
        assert draw._quick(svg).count('shape-rendering="crispEdges"') == 1
