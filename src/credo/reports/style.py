"""Colours, fonts and axes that all figures share. Every palette can be told apart with any colour vision."""

from __future__ import annotations

import numpy as np

EIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
ELEVEN = (
    *("#332288", "#CC6677", "#117733", "#DDAA33", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499"),
    *("#000000", "#888888"),
)
VERDICTS = {
    "light": {
        "healthy": "#0072B2",
        "recovered": "#2E9C9C",
        "weak": "#B07C00",
        "undecided": "#7A7A7A",
        "faulted": "#6B4E2E",
        "failed": "#8A3FA0",
        "exploded": "#D55E00",
        "dead": "#1A1A1A",
        "non-finite": "#C2185B",
    },
    "dark": {
        "healthy": "#5AB4F0",
        "recovered": "#5FD0C5",
        "weak": "#E3B341",
        "undecided": "#9AA0A6",
        "faulted": "#C8A27A",
        "failed": "#CE93D8",
        "exploded": "#FF8A4C",
        "dead": "#F2F2F2",
        "non-finite": "#FF6FA5",
    },
}
DASHES = {"recovered": [7, 3], "weak": [2, 2], "undecided": [1, 3], "failed": [8, 3, 2, 3]}
"""Verdicts are told apart without colour too; the others are solid, and a broken seed's end is marked."""
EVENTS = {
    "dead": "cross",
    "came back": "triangle-up",
    "exploded": "diamond",
    "non-finite": "square",
    "faulted": "triangle-down",
}
"""Marks on a curve, and their shapes."""
INK = {"light": "#1F2328", "dark": "#E6EDF3"}
SOFT = {"light": "#57606A", "dark": "#A8B3BF"}
GRID = {"light": "#E4E7EB", "dark": "#2C333B"}
SURFACE = {"light": "#FFFFFF", "dark": "#161B22"}
FONT = "Liberation Sans, Helvetica, Arial, sans-serif"

# 20k for 20,000, 0.2 for 0.2 and 1e-6 for 0.000001: the axis' own format would say 0.1k, or 200m.
SHORT_NUMBER = (
    "abs(datum.value) >= 1000 ? format(datum.value, '~s') : "
    "datum.value !== 0 && abs(datum.value) < 1e-3 ? format(datum.value, '~e') : format(datum.value, '~g')"
)


def colours(count: int, theme: str = "light") -> list[str]:
    """So many colours; they repeat after eleven."""
    palette = list(EIGHT if count <= len(EIGHT) else ELEVEN)
    if theme == "dark":
        palette = [{"#000000": "#FFFFFF", "#332288": "#8D86E0", "#882255": "#D9679C"}.get(c, c) for c in palette]
    return [palette[i % len(palette)] for i in range(count)]


def log_ticks(top: float) -> list[float]:
    """0 and the powers of ten up to ``top``, with the steps between where there is room for them."""
    if top <= 0:
        return [0.0]
    if top < 5:
        # The axis is nearly linear there: 1, 2 and 5 of the highest power of ten, and of the one below what does not
        # stand on 0.
        power = int(np.floor(np.log10(top)))
        ticks = [float(f"{base}e{k}") for k in (power - 1, power) for base in (1, 2, 5)]
        return [0.0, *(tick for tick in ticks if 0.1 * min(top, 2) <= tick <= top)]
    powers = [10.0**k for k in range(int(np.floor(np.log10(top))) + 1)]
    if len(powers) <= 3:
        powers = [base * power for power in powers for base in (1, 2, 5)]
    elif len(powers) > 7:
        powers = powers[::2]
    return [0.0, *(tick for tick in powers if tick <= top)]


def ticks_from(smallest: float, top: float) -> list[float]:
    """0 and at most seven powers of ten up to ``top``, ``smallest`` not among them: its label would touch that of 0."""
    lowest, highest = round(np.log10(smallest)) + 1, int(np.floor(np.log10(top)))
    return [0.0, *(10.0**k for k in range(lowest, highest + 1, 1 + max(highest - lowest, 0) // 6))]


def symmetric_log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a log(x + 1) axis that is mirrored for negative values."""
    below = [-tick for tick in log_ticks(-low) if tick > 0] if low < 0 else []
    above = log_ticks(high) if high > 0 else [0.0]
    if low < 0 < high:
        # Small ticks on both sides of 0 would stand in each other's way.
        largest = max(-low, high)
        nearest = largest**0.25 if largest >= 5 else 0.1 * largest
        below, above = ([tick for tick in ticks if not 0 < abs(tick) < nearest] for ticks in (below, above))
    return sorted({*below, *above})
