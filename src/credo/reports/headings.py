"""What stands above the curves of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from credo.diagnostics.divergence import KINDS
from credo.reports.load import LoadedRun
from credo.types import plural, printable


def headings(run: LoadedRun) -> tuple[str, list[str]]:
    """Title and lines below it: what was run, how far it came, what became of the seeds."""
    # Control characters in a name from a stranger's file would end the process: the converter aborts on them.
    config, environment = run.config, printable(run.config.environment)
    learner = config.learner.upper()
    if config.adversarial:
        title = f"{learner} imitates an expert on {environment}"
        credo = config.credo
        clipping = (
            "off"
            if credo.mode == "off"
            else f"{credo.mode} at {credo.threshold:g} ({credo.threshold_unit}, {credo.reading})"
        )
        settings = f"{printable(Path(config.demonstrations).name)}; reward {config.reward}; CREDO {clipping}"
    elif config.imitates:
        title = f"{learner} imitates an expert on {environment}"
        settings = f"{printable(Path(config.demonstrations).name)}; behavioural cloning"
    else:
        title = f"{learner} on {environment}"
        settings = "the environment's own reward"
    if run.expert_return is not None:
        settings += f"; the expert's mean return is {run.expert_return:,.0f}"
    counts = Counter(verdict.kind for verdict in run.verdicts.values())
    verdicts = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    progress = f"{plural(len(run.seeds), 'seed')}, {_steps(run)} ({printable(run.state)}): {verdicts}"
    return title, [settings, progress]


def _steps(run: LoadedRun) -> str:
    """How far the seeds came."""
    last = [run.curve(seed).last_step for seed in run.seeds]
    alike = min(last) == max(last)
    done = f"{run.steps_done:,}" if alike else f"{min(last):,} to {max(last):,}"
    wanted = "minibatches" if run.config.clones else f"of {run.config.steps:,} steps"
    return f"{done} {wanted}{' each' if alike else ''}"
