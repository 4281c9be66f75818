"""What a run itself says of a seed that it has frozen: when, and why. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from credo.diagnostics.divergence import FROZEN, Verdict
from credo.types import is_number, printable

NON_FINITE = "non-finite"
"""How the cause of a seed begins whose own numbers failed."""
_NAMED = 3
_TELLING = ("gradient", "loss")
_LONGEST = 400


def cause_in_short(cause: object) -> str:
    """A cause in which at most three of the quantities that were not finite are named, gradients and losses first; the
    run's files name all. Other causes stay as they are, up to 400 characters."""
    text = printable(cause)
    words = text.removeprefix(f"{NON_FINITE} ").split(", ")
    last, space, end = words[-1].partition(" ")
    names = [*words[:-1], last]
    if text.startswith(f"{NON_FINITE} ") and len(names) > _NAMED and not any(" " in name for name in names):
        names.sort(key=lambda name: not any(word in name for word in _TELLING))
        text = f"{NON_FINITE} {', '.join(names[:_NAMED])} and {len(names) - _NAMED} more{space}{end}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def dated(verdict: Verdict, summary: Mapping[str, Any], seed: int) -> Verdict:
    """The verdict on a frozen seed with the step and the cause that the run's summary has: curves show no more than
    the evaluation or the round by which it was frozen. Any other verdict, or one without that, as it is."""
    seeds = summary.get("seeds")
    told = seeds.get(str(seed)) if isinstance(seeds, dict) else None
    frozen = told.get("frozen") if isinstance(told, dict) else None
    if verdict.kind not in FROZEN or not isinstance(frozen, dict):
        return verdict
    step = frozen.get("step")
    if not is_number(step) or step < 0 or (verdict.step is not None and step > verdict.step):
        return verdict
    reason = f"frozen at step {int(step):,}: {cause_in_short(frozen.get('cause'))}"
    return verdict._replace(step=int(step), reason=reason)
