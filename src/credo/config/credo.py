"""Settings of CREDO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from credo.config.limits import Count, Finite

CredoMode = Literal["off", "filter", "clip", "both"]
CredoReading = Literal["resample", "retained", "batch"]
ThresholdUnit = Literal["reward", "probability", "logit"]

_named = tyro.conf.arg


@dataclass(frozen=True)
class CredoConfig:
    """Clipping the reward of discriminator outliers (Algorithm 1 of the paper)."""

    mode: Annotated[CredoMode, _named(name="credo")] = "filter"
    """filter: expert samples past the threshold leave the discriminator's loss (Algorithm 1); clip: the policy's
    reward is capped at the threshold (Section 3.4); both; off."""
    threshold: Finite = 5.0
    """Outlier threshold c, in the unit of --threshold-unit."""
    threshold_unit: ThresholdUnit = "reward"
    """reward: r(s, a) >= c is an outlier; probability: an expert probability in (0, 1); logit: a discriminator logit.
    The last two mean the same for every reward."""
    reading: Annotated[CredoReading, _named(name="credo-reading")] = "resample"
    """What an update sees once samples are filtered. resample: a whole batch drawn from the retained samples (the
    literal reading); retained: the mean over what a plain batch retains; batch: the sum over what it retains divided
    by the whole batch, so that the expert term fades."""
    rescore: Annotated[Literal["round", "update"], _named(name="credo-rescore")] = "round"
    """When expert samples are scored for the filter: once a round, or before every discriminator update."""
    candidates: Annotated[Count, _named(name="credo-candidates")] = 16384
    """resample only: most expert samples scored for each drawing, which stops once it has what it needs (samples; from
    512 on in whole blocks of 512)."""
