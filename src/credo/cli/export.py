"""``credo export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from credo.cli.parse import parse, say


@dataclass(frozen=True)
class ExportOptions:
    run: Annotated[Path, tyro.conf.Positional]
    """A run folder, or a policy file."""
    format: Literal["onnx", "numpy"] = "onnx"
    """onnx: for any ONNX runtime, with normalisation, scaling and clipping inside; numpy: the policy file that
    credo.load_policy reads without JAX, with a card (JSON) beside it."""
    seed: int | None = None
    """The run's seed; default: the one nearest to the demonstrations."""
    policy: Literal["best", "last"] = "best"
    """best: the policy kept by the reward-free measures; last: the one training ended with."""
    out: Path | None = None
    """File to write (.onnx or .safetensors); default: a name from the run's, here."""
    overwrite: bool = False
    """Replace an existing policy and its card."""


def export(words: Sequence[str]) -> None:
    """Write a policy as a file to deploy."""
    options = parse(ExportOptions, words, "export", "Write a trained policy as ONNX, or as a NumPy policy.")
    from credo.exporting import export as write

    path = write(
        options.run,
        options.format,
        out=options.out,
        seed=options.seed,
        policy=options.policy,
        overwrite=options.overwrite,
    )
    say(Console(), f"written to {path}")
