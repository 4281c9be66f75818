"""Which learners' updates are timed alone, and how each is set."""

from __future__ import annotations

from typing import Any

from benchmarks import sizes

LEARNERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "ddpg": ("ddpg", {}, 16),
    "td3": ("td3", {"actor_delay": sizes.ACTOR_DELAY}, 16),
    "sac": ("sac", {}, 16),
    "sd3": ("sd3", {"noise_samples": 50, "noise": "independent"}, 4),
    "sd3-sobol-8": ("sd3", {"noise_samples": 8, "noise": "sobol"}, 4),
}
"""By the name in the results: the learner, what is set beside the benchmark's sizes, and updates in one call."""
