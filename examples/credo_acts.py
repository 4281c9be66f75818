"""A run in which CREDO acts, beside the same run without it (``make demo-credo``).

    python examples/credo_acts.py [OUT] [STEPS]

Without a gradient penalty the discriminator soon tells expert samples apart. CREDO then takes those it is too sure of
(reward >= 5, a probability of 0.9933) out of its loss. The table at the end shows what that does to the discriminator
and to the returns; it makes no claim for either side.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import credo
from credo.cli.display import watching
from credo.demonstrations import load_demonstrations

SEEDS = 2


def main(out: Path, steps: int) -> None:
    console = Console()
    demonstrations = load_demonstrations("hopper-expert")
    config = credo.preset("fast")
    config = replace(
        config,
        steps=steps,
        seeds=SEEDS,
        evaluation_interval=2_500,
        discriminator=replace(config.discriminator, regularisers=()),
    )
    table = Table(title=f"Hopper-v5, {steps:,} steps, no gradient penalty", title_justify="left")
    for name in (
        "CREDO",
        "seed",
        "filtered (mean)",
        "P(expert) expert, late",
        "policy, late",
        "return, kept",
        "return, last",
    ):
        table.add_column(name, justify="right")
    for mode in ("filter", "off"):
        console.print(f"CREDO {mode}", style="bold")
        with watching(console, float(np.mean(demonstrations.returns)), quiet=False) as watcher:
            run = credo.imitate(
                replace(config, credo=replace(config.credo, mode=mode)),
                demonstrations=demonstrations,
                out=out / mode,
                watcher=watcher,
            )
        metrics = run.metrics()
        for seed, told in run.summary["seeds"].items():
            rows = (metrics["seed"] == int(seed)) & np.isfinite(metrics["filtered_share"])
            late = rows & (metrics["step"] > 0.8 * steps)
            table.add_row(
                mode,
                seed,
                f"{metrics['filtered_share'][rows].mean():.0%}",
                f"{metrics['expert_probability_expert'][late].mean():.3f}",
                f"{metrics['expert_probability_policy'][late].mean():.3f}",
                f"{told['selected_return']:,.0f}",
                f"{told['final_return']:,.0f}",
            )
    console.print(table)
    for mode in ("filter", "off"):
        console.print(f"curves: {out / mode / 'curves.html'}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/demo-credo"),
        int(sys.argv[2]) if len(sys.argv) > 2 else 15_000,
    )
