"""The figures of a report: what each shows and how its axis runs."""

from __future__ import annotations

from typing import Literal, NamedTuple

from credo.diagnostics.criteria import Criteria
from credo.diagnostics.critics import OVER_REFERENCE

Scale = Literal["linear", "log", "share"]
"""log: log(x + 1), mirrored for negative values; share: from 0 to 1."""

VANISHING = Criteria().vanishing_gradient


class Figure(NamedTuple):
    """Curves of every seed, one panel a method; left out where no run has a finite value of it."""

    key: str
    """File name and anchor."""
    title: str
    axis: str
    kind: Literal["metrics", "evaluations"]
    column: str
    scale: Scale
    about: str
    """One or two sentences on how to read it."""
    paper: str = ""
    """Which of the paper's figures show the same."""
    smallest: float | None = None
    """Of a second logarithmic axis, on which values that vanish are told apart down to this one; None for none."""


RETURN = Figure(
    "return",
    "Return",
    "mean return of an evaluation",
    "evaluations",
    "return_mean",
    "linear",
    "Every seed's undiscounted return in the environment's own reward. The dashed line is the expert.",
    "Figures 2, 6, 7, 10 and 11",
)
DISTANCE = Figure(
    "distance",
    "Distance to the expert",
    "distance (standard deviations)",
    "evaluations",
    "occupancy_distance",
    "linear",
    "Sliced Wasserstein distance between the policy's states and actions and held-out demonstrations; it needs no "
    "reward. Lower is better.",
)
SUCCESS = Figure(
    "success",
    "Success",
    "share of evaluation episodes",
    "evaluations",
    "success_rate",
    "share",
    "Share of the evaluation episodes that the environment calls a success.",
)
FIGURES = (
    RETURN,
    DISTANCE,
    SUCCESS,
    Figure(
        "action-error",
        "Action error on expert states",
        "root mean squared error",
        "evaluations",
        "action_error",
        "linear",
        "How far the policy's actions in [-1, 1] are from the expert's on held-out states; it needs no reward.",
    ),
    *(
        Figure(
            f"{network}-gradient",
            f"Largest absolute {network} gradient",
            "gradient",
            "metrics",
            f"{network}_gradient_max",
            "log",
            f"The largest absolute entry of the {network}'s gradient in each round, before any clipping. Peaks survive "
            "the thinning of the curve. On the log axis from 1e-9 on, 0 lies at the bottom; an actor with 1e-9 or less "
            "hardly moves.",
            paper,
            VANISHING,
        )
        for network, paper in (("actor", "Figures 3 and 8"), ("critic", ""), ("discriminator", ""))
    ),
    Figure(
        "q-over-reference",
        "Mean Q over its reference",
        "mean Q / reference",
        "metrics",
        OVER_REFERENCE,
        "log",
        "The reference is the Q that a critic without error, with the same target network, would reach if every step "
        "earned the mean reward of the learner's batches and no episode ended. A policy better than those batches may "
        "rightly exceed it a few times; ten times or more at low returns is overestimation.",
    ),
    Figure(
        "expert-probability",
        "P(expert) of expert samples",
        "probability",
        "metrics",
        "expert_probability_expert",
        "share",
        "The discriminator's mean probability that expert samples are the expert's. Near 1 it can no longer be fooled.",
        "Figures 4 and 9",
    ),
    Figure(
        "policy-probability",
        "P(expert) of policy samples",
        "probability",
        "metrics",
        "expert_probability_policy",
        "share",
        "The discriminator's mean probability that replayed samples of the policy are the expert's.",
        "Figures 4 and 9",
    ),
    Figure(
        "outliers",
        "Expert samples past the outlier threshold",
        "share",
        "metrics",
        "outlier_share",
        "share",
        "Share of the expert samples whose reward is past CREDO's threshold, also where CREDO is off.",
    ),
    Figure(
        "filtered",
        "Expert samples filtered by CREDO",
        "share",
        "metrics",
        "filtered_share",
        "share",
        "Share of the scored expert samples that CREDO kept out of the discriminator's loss.",
    ),
)

PHASES = ("first quarter", "second quarter", "third quarter", "last quarter")
"""Stretches of the training that the box plots compare."""
BOXES_KEY = "phases"
BOXES_PAPER = "Figure 5"
