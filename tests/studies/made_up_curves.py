"""Made-up curves of seeds, so that every expected number of a table is known."""

import numpy as np

from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import verdict
from credo.studies.curves import SeedCurve
from credo.studies.digest import digest

EXPERT = 1000.0
STEPS, INTERVAL = 40_000, 1_000


def curve(fate="healthy", method="one", environment="Hopper", seed=0, level=900.0, criteria=Criteria(), **changes):
    """healthy: rises to ``level`` at half of the steps; dead: no gradient from step 8,000, saturated from 4,000."""
    generator = np.random.default_rng(seed)
    step = np.arange(100, STEPS + 1, 100)
    gradient = generator.uniform(0.2, 2, len(step))
    saturation = generator.uniform(0.1, 0.3, len(step))
    if fate == "dead":
        gradient[step >= 8_000] = 0
        saturation[step >= 4_000] = 0.9
    if fate == "exploded":
        gradient[step == 20_000] = 1e6
    metrics = {
        "step": step,
        "actor_gradient_max": gradient,
        "action_saturation": saturation,
        "expert_probability_expert": np.full(len(step), 0.7 if fate == "healthy" else 0.995),
    }
    at = np.arange(INTERVAL, STEPS + 1, INTERVAL)
    returns = level * np.minimum(at / (STEPS / 2), 1)
    returns = np.where(at >= 8_000, 5.0, returns) if fate == "dead" else returns
    returns = np.where(at >= 20_000, 5.0, returns) if fate == "exploded" else returns
    evaluations = {"step": at, "return_mean": returns}
    told = {"expert_return": EXPERT, "finished": True} | changes
    judged = verdict(metrics, evaluations, told["expert_return"], criteria)
    return SeedCurve(method, environment, seed, metrics, evaluations, verdict=judged, **told)


def digests(curves, criteria=Criteria()):
    return [digest(each, criteria) for each in curves]


def group(method, environment, healthy, dead=0, **changes):
    fates = ["healthy"] * healthy + ["dead"] * dead
    return [curve(fate, method, environment, seed, **changes) for seed, fate in enumerate(fates)]
