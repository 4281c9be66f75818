"""Vega-Lite specifications as PNG, SVG and PDF files, on all cores.

The converter holds Python's lock while it works, so many figures are drawn by processes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import vl_convert

from credo.files import write_atomically
from credo.machine import usable_cores
from credo.reports.charts import VEGA_LITE
from credo.types import CredoError

KINDS = ("png", "svg", "pdf")
_SCALE = 1.5
_THICKET = 400_000
"""Pixels that a figure's curves go up and down in all, from which on a picture is drawn without smoothing edges: where
curves of many seeds shake nothing of it can be seen, and it costs most of the time (a microsecond a pixel)."""
_JOBS = "figures.jsonl"
_FEW = 12
"""Up to so many figures are drawn here: a process takes a second to start."""


@contextlib.contextmanager
def drawing(folder: Path, figures: Mapping[str, dict[str, Any]]) -> Iterator[None]:
    """Write each specification as ``folder/NAME.png``, ``.svg`` and ``.pdf`` while the block runs; it ends when all are
    written.

    Raises:
        CredoError: a figure could not be drawn.
    """
    cores = min(usable_cores(), 8)
    if cores == 1 or len(figures) <= _FEW:
        for name, specification in figures.items():
            _draw(folder, name, json.dumps(specification))
        yield
        return
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with tempfile.TemporaryDirectory() as jobs:
        processes: list[subprocess.Popen[str]] = []
        try:
            # What holds most takes longest, and goes first.
            lines = sorted((json.dumps([name, figures[name]]) for name in figures), key=len, reverse=True)
            (Path(jobs) / _JOBS).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
            for _ in range(cores):
                command = [sys.executable, "-m", "credo.reports.draw", str(folder), jobs]
                processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
            yield
            said = [process.communicate()[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
                # Waits, and closes its pipe.
                process.__exit__(None, None, None)
    for process, text in zip(processes, said, strict=True):
        if process.returncode:
            last = (text.strip().splitlines() or [f"status {process.returncode}"])[-1]
            raise CredoError(f"report: figures could not be drawn: {last}")


def _draw(folder: Path, name: str, specification: str) -> None:
    try:
        svg = vl_convert.vegalite_to_svg(specification, vl_version=VEGA_LITE)
        contents = (vl_convert.svg_to_png(_quick(svg), scale=_SCALE), svg.encode(), vl_convert.svg_to_pdf(svg))
    except ValueError as error:
        raise CredoError(f"report: {name} cannot be drawn ({' '.join(str(error).split())[:200]})") from None
    for kind, content in zip(KINDS, contents, strict=True):
        write_atomically(folder / f"{name}.{kind}", content)


def _quick(svg: str) -> str:
    """A drawing whose curves are not smoothed where they are a thicket."""
    curves = r'd="M([^"]*)"(?=[^>]* stroke-linejoin="round")'
    travel = 0.0
    for path in re.findall(curves, svg):
        # Of a single point the path is closed ("Z"), and after a gap it begins again ("M").
        heights = [float(height) for height in re.findall(r",([-+.e\d]+)", path)]
        travel += sum(abs(after - before) for before, after in itertools.pairwise(heights))
    if travel < _THICKET:
        return svg
    return svg.replace(' stroke-linejoin="round"', ' stroke-linejoin="round" shape-rendering="crispEdges"')


def _claimed(path: Path) -> bool:
    """Whether this process is the first to want it."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _main() -> None:
    folder, jobs = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        with open(jobs / _JOBS, encoding="utf-8") as file:
            for number, line in enumerate(file):
                if _claimed(jobs / str(number)):
                    name, specification = json.loads(line)
                    _draw(folder, name, json.dumps(specification))
    except (CredoError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main()
