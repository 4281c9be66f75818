"""The thresholds by which a seed's curves are judged. They can change without a rerun."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Criteria:
    """The thresholds of a verdict."""

    low_share: float = 0.1
    """An outcome is low below this share of the expert's return. Dead actors on Hopper stay below 0.015."""
    healthy_share: float = 0.5
    """The end is healthy from this share of the expert's return on."""
    low_distance: float = 0.8
    """Without a return: low from this share of the farthest occupancy distance on ..."""
    healthy_distance: float = 0.5
    """... and healthy up to this share ..."""
    near_distance: float = 0.25
    """... or up to this occupancy distance, however far the seed has been ..."""
    near_demonstrations: float = 1.25
    """... or up to this many times the distance between the demonstrations themselves. Where that is beyond what would
    be low, the distance tells nothing."""
    late_evaluations: int = 3
    """The end is the median over this many last evaluations; with fewer, only clear cases are decided."""
    failed_evaluations: int = 10
    """Low evaluations at the end before a seed that still learns counts as failed."""
    recovered_evaluations: int = 1
    """Dead evaluations in a row, at least, for a seed that came back to count as recovered."""
    vanishing_gradient: float = 1e-9
    """The actor is inactive in a round if its largest absolute gradient is at most this: Adam (epsilon 1e-8)
    hardly moves."""
    saturation: float = 0.99
    """It is inactive too if at least this share of its actions is at +-1 ..."""
    saturated_gradient: float = 1e-2
    """... and its largest absolute gradient at most this. Saturated actors on Hopper had 0 to 1e-4 and did not
    learn, or 0.1 and did; actors that learn have 0.1 to 1."""
    activity_rounds: int = 20
    """It is inactive at an evaluation if it is in most of this many rounds before; never after fewer than 20."""
    dead_share: float = 0.9
    """It is dead from the first round on from which it is inactive in this share of the rounds to the end."""
    explosion_factor: float = 100.0
    """Explosion: the largest absolute actor gradient is beyond this many times its running median ..."""
    explosion_floor: float = 10.0
    """... and beyond this absolute value."""
    explosion_window: int = 200
    """Rounds in the running median; inactive ones do not count. The first window is its own reference."""
