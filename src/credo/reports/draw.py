"""Vega-Lite specifications as PNG, SVG and PDF files, on all cores.

The converter holds Python's lock while it works, so many figures are drawn by processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vl_convert

from credo.reports.charts import VEGA_LITE
from credo.run_folder import write_atomically
from credo.types import CredoError

KINDS = ("png", "svg", "pdf")
_SCALE = 1.5
_FEW = 12
"""Up to so many figures are drawn here: a process takes a second to start."""


def draw(folder: Path, figures: Mapping[str, dict[str, Any]]) -> None:
    """Write each specification as ``folder/NAME.png``, ``.svg`` and ``.pdf``.

    Raises:
        CredoError: a figure could not be drawn.
    """
    cores = min(os.cpu_count() or 1, 8)
    if cores == 1 or len(figures) <= _FEW:
        for name, specification in figures.items():
            _draw(folder, name, json.dumps(specification))
        return
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with tempfile.TemporaryDirectory() as jobs:
        processes = []
        for index in range(cores):
            path = Path(jobs) / f"{index}.jsonl"
            with open(path, "w") as file:
                for name in list(figures)[index::cores]:
                    file.write(json.dumps([name, figures[name]]) + "\n")
            command = [sys.executable, "-m", "credo.reports.draw", str(folder), str(path)]
            processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        said = [process.communicate()[1] for process in processes]
    for process, text in zip(processes, said, strict=True):
        if process.returncode:
            last = (text.strip().splitlines() or [f"status {process.returncode}"])[-1]
            raise CredoError(f"report: figures could not be drawn: {last}")


def _draw(folder: Path, name: str, specification: str) -> None:
    try:
        svg = vl_convert.vegalite_to_svg(specification, vl_version=VEGA_LITE)
        contents = (vl_convert.svg_to_png(svg, scale=_SCALE), svg.encode(), vl_convert.svg_to_pdf(svg))
    except ValueError as error:
        raise CredoError(f"report: {name} cannot be drawn ({' '.join(str(error).split())[:200]})") from None
    for kind, content in zip(KINDS, contents, strict=True):
        write_atomically(folder / f"{name}.{kind}", content)


def _main() -> None:
    folder, jobs = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        with open(jobs) as file:
            for line in file:
                name, specification = json.loads(line)
                _draw(folder, name, json.dumps(specification))
    except (CredoError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main()
