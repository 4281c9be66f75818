"""``credo theory``: measure everything, draw the figures, write the page of findings."""

from __future__ import annotations

import csv
import io
import json
import platform
import shlex
import time
import zlib
from dataclasses import dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credo.files import as_path
from credo.machine import MEMORY_SHARE, available_memory
from credo.theory.folder import RECORD, earlier_files, make_folders, write_findings
from credo.types import CredoError

if TYPE_CHECKING:
    from credo.theory.measure import Sizes

TITLE = "Exploding gradients in adversarial imitation: the theory, computed exactly"
VERSIONED = ("credo-imitation", "numpy", "scipy", "altair", "vl-convert-python", "pyarrow")


_POSSIBLE = {
    "seed": (0, 2**31 - 1),
    # Of more states the Gram matrix is near-singular on some seeds, and its coefficients no longer give the means.
    "states": (2, 20),
    "grid": (1001, 10_000_001),
    "samples": (100, 10_000_000),
    "training_steps": (10, 1_000_000),
}


@dataclass(frozen=True)
class TheoryOptions:
    """Compute the paper's theory exactly on finite MDPs and write figures, tables and a page of findings."""

    out: Path = Path("theory")
    """Folder to write to, empty, new, or of an earlier ``credo theory``, whose files are then replaced: findings.md,
    findings.html, findings.json, data/*.csv, figures/*.png."""
    seed: int = 0
    """Seed of the random MDPs, samples and discriminators."""
    states: int = 5
    """States of the random MDPs, 2 to 20."""
    grid: int = 100_001
    """Grid points of the action in the limits Sigma -> 0; the smallest standard deviation is four spacings."""
    samples: int = 20_000
    """Monte Carlo samples per probability."""
    training_steps: int = 3_000
    """Training steps of the small discriminators whose e1 and e2 are estimated."""
    quick: bool = False
    """Coarse grids and short training, at most 4,001 grid points, 500 samples and 30 training steps: a check that
    everything works, in seconds; its numbers are rough."""
    runs: tuple[Path, ...] = field(default_factory=tuple)
    """Run folders whose recorded metrics are set beside the theory."""


def _sizes(options: TheoryOptions) -> Sizes:
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


def bytes_needed(sizes: Sizes) -> int:
    """About the most memory that the measurements hold at once, a little more than was seen."""
    squared, states = sizes.states**2, sizes.states
    # While transitions are made their softmax holds four arrays of them; later there is one, and norms by the pair.
    return 8 * (sizes.fine_grid * max(4 * squared, squared + 20 * states) + 8 * sizes.samples)


def _check_memory(sizes: Sizes) -> None:
    needed, available = bytes_needed(sizes), available_memory()
    if needed > MEMORY_SHARE * available:
        raise CredoError(
            f"grid: {sizes.states} states on {sizes.fine_grid:,} grid points and {sizes.samples:,} samples need "
            f"{needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free; lower --grid, --states or --samples"
        )


def _told(value: Any) -> str:
    """A value as it is told; of a folder that was given from the root on only its name, since where it lay is of no use
    to anyone who repeats the command."""
    return value.name if isinstance(value, Path) and value.is_absolute() else str(value)


def _command(options: TheoryOptions) -> str:
    """The command line of these options, without those that are at their default."""
    words = ["credo", "theory"]
    for option in fields(options):
        value = getattr(options, option.name)
        if value != getattr(TheoryOptions(), option.name):
            words.append(f"--{option.name.replace('_', '-')}")
            words += [] if value is True else map(_told, value) if isinstance(value, tuple) else [_told(value)]
    return shlex.join(words)


def _used(options: TheoryOptions, sizes: Sizes) -> dict[str, Any]:
    """The options as they were used: ``quick`` lowers some."""
    return {
        "out": _told(options.out),
        "seed": sizes.seed,
        "states": sizes.states,
        "grid": sizes.fine_grid,
        "samples": sizes.samples,
        "training_steps": sizes.training_steps,
        "quick": options.quick,
        "runs": [_told(folder) for folder in options.runs],
    }


def run(options: TheoryOptions) -> Path:
    """Measure, draw and write; returns the folder. Raises CredoError for options or run folders that do not do."""
    # Imported here, so that the command line's help does not wait for SciPy and Altair.
    import vl_convert

    from credo.theory import contents, recorded
    from credo.theory.measure import measure_all
    from credo.theory.page import markdown, page
    from credo.theory.verdicts import all_verdicts

    started = time.process_time()
    runs = tuple(as_path("runs", folder) for folder in options.runs)
    options = replace(options, out=as_path("out", options.out), runs=runs)
    sizes, out = _sizes(options), options.out
    _check_memory(sizes)
    earlier = earlier_files(out)
    # What may be wrong comes before what takes long.
    rows = [row | {"run": folder.resolve().name} for folder in options.runs for row in recorded.compare_run(folder)]
    make_folders(out)
    tables = measure_all(sizes)
    if rows:
        tables["recorded"] = rows
    verdicts = all_verdicts(tables)
    files = {f"data/{name}.csv": csv_text(table).encode() for name, table in tables.items()}
    drawings = {}
    for name, chart in contents.charts(tables).items():
        drawing = chart.to_json()
        files[f"figures/{name}.png"] = small_png(vl_convert.vegalite_to_png(drawing, ppi=72))
        drawings[name] = vl_convert.vegalite_to_svg(drawing)
    pages = ("findings.md", "findings.html", RECORD)
    record = {
        "command": _command(options),
        "options": _used(options, sizes),
        "versions": _versions(),
        "processor_seconds": round(time.process_time() - started, 1),
        "findings": [v._asdict() for v in verdicts],
        "files": sorted([*files, *pages]),
    }
    blocks = contents.blocks(tables, verdicts, record)
    texts = (
        markdown(TITLE, blocks),
        page(TITLE, blocks, drawings),
        f"{json.dumps(record, indent=2, ensure_ascii=False)}\n",
    )
    write_findings(out, files | {name: text.encode() for name, text in zip(pages, texts, strict=True)}, earlier)
    return out


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


def csv_text(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV with every key of any row as a column; floats to eight digits, None empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _number(v) for k, v in row.items()} for row in rows)
    return text.getvalue()
