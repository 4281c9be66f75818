"""How long a study will take: from the speed of what has run, else from documented measurements."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from credo.config import BCConfig, PPOConfig, RunConfig
from credo.studies.store import DONE, RUNNING, Placed, Progress

MEASURED = 1.58e10
"""``work`` done per second over all seeds on two cores. Fitted to what one core was measured to do a second: 187
environment steps of ``fast``, 147 of ``paper``, 577 with the small studies' networks. Used until something has run."""
HOST = 5.5e6
"""Work that stepping an environment and drawing the batches comes to, for each environment step (0.7 ms of a core)."""

START_UP = 11.0
"""Seconds that a run takes to start and to compile (results/benchmark)."""
CLONE = 1_000
"""Minibatches that a clone is taken to learn from, which takes no environment steps."""


def work(config: RunConfig) -> float:
    """What one environment step of one seed costs: weights times samples learned from, a rough proxy of the time, and
    the host's part."""
    learner = config.learner_config
    if isinstance(learner, BCConfig):
        return 3 * _weights(learner.hidden) * learner.batch_size * CLONE / config.steps
    # A learner that smooths its targets over many samples goes forward once for each of them: whole cells of SD3 with
    # 8 take some 3.2 to 3.5 times as long as TD3's.
    passes = (3 + 0.7 * _count(learner, "noise_samples", 0)) * _count(learner, "minibatches", 1)
    if isinstance(learner, PPOConfig) or config.on_policy:
        samples = _count(learner, "epochs", 1) * config.steps_per_round
    else:
        samples = learner.batch_size * config.updates_per_round
    # A plug-in's learner may say nothing of its networks, or other things by these names.
    hidden = getattr(learner, "hidden", None)
    widths = isinstance(hidden, tuple) and all(isinstance(width, int) for width in hidden)
    policy = _weights(hidden if widths and hidden else config.discriminator.hidden) * passes * samples
    judge = 0.0
    if config.adversarial:
        judge = _weights(config.discriminator.hidden) * 2 * config.discriminator.batch_size
    return (policy + judge * config.discriminator.updates_per_round) / config.steps_per_round + HOST


def _count(learner: Any, name: str, default: int) -> int:
    """A learner's setting, where it has one of that name and it is a number of something."""
    value = getattr(learner, name, default)
    return value if isinstance(value, int) else default


def seconds_left(placed: Sequence[Placed], progress: Sequence[Progress]) -> tuple[float, bool]:
    """(seconds until all cells are done, whether any of it rests on the documented speed alone).

    The speed of a cell is its own so far, else that of the cells that have run, scaled by ``work``, else the documented
    one. Cells that run side by side on one machine share its cores, and are no faster together. Of cells that share a
    run the one that has most left counts.
    """
    pairs = list(zip(placed, progress, strict=True))
    measured = [(p.cell.config, now) for p, now in pairs if now.seconds > 0 and now.run_steps > 0]
    rates = sorted(now.run_steps / now.seconds * work(config) for config, now in measured)
    typical = rates[len(rates) // 2] if rates else None
    left: dict[str, float] = {}
    guessed = False
    for p, now in pairs:
        if now.state == DONE or p.problem:
            continue
        if now.seconds > 0 and now.run_steps > 0:
            rate = now.run_steps / now.seconds
        elif typical is not None:
            rate = typical / work(p.cell.config)
        else:
            rate, guessed = MEASURED / work(p.cell.config), True
        seconds = (0.0 if now.state == RUNNING else START_UP) + (now.steps_wanted - now.steps) / rate
        run = p.run or p.cell.name
        left[run] = max(left.get(run, 0.0), seconds)
    return sum(left.values(), 0.0), guessed


def _weights(hidden: Sequence[int]) -> float:
    """Weights of a network, roughly: its hidden layers, and inputs and outputs of some 20."""
    widths = (20, *hidden, 1)
    return float(sum(a * b for a, b in pairwise(widths)))
