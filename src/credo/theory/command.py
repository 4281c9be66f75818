"""``credo theory``: measure everything, draw the figures, write the page of findings."""

from __future__ import annotations

import csv
import io
import json
import platform
import sys
import time
import zlib
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from credo.files import write_atomically
from credo.types import CredoError

TITLE = "Exploding gradients in adversarial imitation: the theory, computed exactly"
VERSIONED = ("credo-imitation", "numpy", "scipy", "altair", "vl-convert-python", "pyarrow")


_POSSIBLE = {
    "seed": (0, 2**31 - 1),
    "states": (2, 200),
    "grid": (1001, 10_000_001),
    "samples": (100, 10_000_000),
    "training_steps": (10, 1_000_000),
}
_WRITTEN = ("findings.md", "findings.html", "findings.json", "data", "figures")


@dataclass(frozen=True)
class TheoryOptions:
    """Compute the paper's theory exactly on finite MDPs and write figures, tables and a page of findings."""

    out: Path = Path("theory")
    """Folder to write to: findings.md, findings.html, findings.json, data/*.csv, figures/*.png."""
    seed: int = 0
    """Seed of the random MDPs, samples and discriminators."""
    states: int = 5
    """States of the random MDPs."""
    grid: int = 100_001
    """Grid points of the action in the limits Sigma -> 0; the smallest standard deviation is four spacings."""
    samples: int = 20_000
    """Monte Carlo samples per probability."""
    training_steps: int = 3_000
    """Training steps of the small discriminators whose e1 and e2 are estimated."""
    quick: bool = False
    """Coarse grids and short training: a check that everything works, in seconds; its numbers are rough."""
    runs: tuple[Path, ...] = field(default_factory=tuple)
    """Run folders whose recorded metrics are set beside the theory."""


def _sizes(options: TheoryOptions) -> Any:
    from credo.theory.measure import Sizes

    for name, (smallest, largest) in _POSSIBLE.items():
        if not smallest <= getattr(options, name) <= largest:
            raise CredoError(
                f"{name} is {getattr(options, name)}; at least {smallest} and at most {largest:,} is possible"
            )
    if options.quick:
        grid, samples = min(options.grid, 4001), min(options.samples, 500)
        return Sizes(options.seed, options.states, grid, 501, 8, samples, min(options.training_steps, 30), 1, 16)
    return Sizes(options.seed, options.states, options.grid, 2001, 14, options.samples, options.training_steps, 5, 151)


def _command() -> str:
    """The command line; of folders only their names, since where they lay is of no use to anyone who repeats it."""
    words = sys.argv[1:]
    return " ".join(["credo theory", *map(_told, words[1:] if words[:1] == ["theory"] else words)])


def _told(word: str) -> str:
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if Path(value).is_absolute() else word


def run(options: TheoryOptions) -> Path:
    """Measure, draw and write; returns the folder. Raises CredoError for options or run folders that do not do."""
    # Imported here, so that the command line's help does not wait for SciPy and Altair.
    import vl_convert

    from credo.theory import contents, recorded
    from credo.theory.measure import measure_all
    from credo.theory.page import markdown, page
    from credo.theory.verdicts import all_verdicts

    started = time.process_time()
    sizes = _sizes(options)
    there = sorted(path.name for path in options.out.iterdir()) if options.out.is_dir() else []
    if strange := [name for name in there if name not in _WRITTEN and not name.startswith(".")]:
        raise CredoError(f"out: {options.out} holds {strange[0]!r}, which is no finding; give another folder")
    # What may be wrong comes before what takes long.
    rows = [row | {"run": folder.name} for folder in options.runs for row in recorded.compare_run(folder)]
    for folder in (options.out, options.out / "data", options.out / "figures"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CredoError(f"out: {folder} cannot be made ({error.strerror})") from None
    tables = measure_all(sizes)
    if rows:
        tables["recorded"] = rows
    verdicts = all_verdicts(tables)
    charts = contents.charts(tables)
    for name, table in tables.items():
        write_csv(options.out / "data" / f"{name}.csv", table)
    drawings = {}
    for name, chart in charts.items():
        drawing = chart.to_json()
        picture = small_png(vl_convert.vegalite_to_png(drawing, ppi=72))
        write_atomically(options.out / "figures" / f"{name}.png", picture)
        drawings[name] = vl_convert.vegalite_to_svg(drawing)
    record = {
        "command": _command(),
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items() if k != "runs"},
        "versions": _versions(),
        "processor_seconds": round(time.process_time() - started, 1),
        "findings": [v._asdict() for v in verdicts],
    }
    blocks = contents.blocks(tables, verdicts, record)
    write_atomically(options.out / "findings.md", markdown(TITLE, blocks).encode())
    write_atomically(options.out / "findings.html", page(TITLE, blocks, drawings).encode())
    write_atomically(options.out / "findings.json", f"{json.dumps(record, indent=2, ensure_ascii=False)}\n".encode())
    return options.out


def small_png(png: bytes) -> bytes:
    """The same PNG with its pixel data compressed harder: the renderer compresses for speed."""
    at, pixels = 8, b""
    before: list[bytes] = [png[:8]]
    after: list[bytes] = []
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        chunk = png[at : at + 12 + size]
        if chunk[4:8] == b"IDAT":
            pixels += chunk[8 : 8 + size]
        else:
            (after if pixels else before).append(chunk)
        at += 12 + size
    data = b"IDAT" + zlib.compress(zlib.decompress(pixels), 9)
    body = (len(data) - 4).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    return b"".join([*before, body, *after])


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _number(value: Any) -> Any:
    return f"{value:.8g}" if isinstance(value, float) else value


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as CSV with every key of any row as a column; floats to eight digits, None empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _number(v) for k, v in row.items()} for row in rows)
    write_atomically(path, text.getvalue().encode())
