"""How verdicts move: what is skipped as irrelevant must be what judging again would give."""

import dataclasses

import numpy as np
from made_up_curves import curve

from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import verdict
from credo.studies.sensitivity import ALTERNATIVES, alternatives, moved_verdicts


def flickering(seed):
    """A seed whose actor stops now and then, and whose return comes and goes."""
    one = curve("healthy", seed=seed)
    generator = np.random.default_rng(100 + seed)
    blocks = np.repeat(generator.uniform(size=8) < 0.5, 50)
    gradient = np.where(blocks, 10.0 ** generator.uniform(-13, -1, 400), one.metrics["actor_gradient_max"])
    gradient[generator.integers(400)] *= 10.0 ** generator.uniform(0, 5)
    saturation = np.where(blocks, generator.uniform(0.94, 1, 400), one.metrics["action_saturation"])
    metrics = one.metrics | {"actor_gradient_max": gradient, "action_saturation": saturation}
    returns = 10.0 ** np.repeat(generator.uniform(0, 3, 8), 5)
    evaluations = one.evaluations | {"return_mean": returns}
    return one._replace(metrics=metrics, evaluations=evaluations, verdict=verdict(metrics, evaluations, 1000.0))


def test_every_criterion_has_a_value_below_and_one_above_where_there_is_room():
    for field in dataclasses.fields(Criteria):
        below, above = ALTERNATIVES[field.name]
        assert below < above
        # One evaluation is the least there is.
        assert below < field.default < above or field.name == "recovered_evaluations"
    assert len(ALTERNATIVES) == len(dataclasses.fields(Criteria))


def test_what_is_skipped_would_not_have_moved():
    broken = curve("healthy", seed=3)
    metrics = broken.metrics | {"critic_loss": np.full(400, np.inf)}
    broken = broken._replace(metrics=metrics, verdict=verdict(metrics, broken.evaluations, 1000.0))
    nothing = curve("dead", seed=4, expert_return=None)
    curves = [curve(fate, seed=1) for fate in ("healthy", "dead", "exploded")]
    curves += [broken, nothing, *(flickering(seed) for seed in range(12))]
    criteria, moved = Criteria(), 0
    for one in curves:
        found = moved_verdicts(one, criteria)
        for (name, _, other), new in zip(alternatives(criteria), found, strict=True):
            assert new == verdict(one.metrics, one.evaluations, one.expert_return, other), name
            moved += new.kind != one.verdict.kind
    assert moved > 5


def test_a_lower_bar_for_low_lets_a_seed_off():
    seed = curve("dead")
    seed.evaluations["return_mean"][7:] = 80.0
    seed = seed._replace(verdict=verdict(seed.metrics, seed.evaluations, 1000.0))
    assert seed.verdict.kind == "dead"
    tried = alternatives(Criteria())
    found = moved_verdicts(seed, Criteria())
    assert [new.kind for (*which, _), new in zip(tried, found, strict=True) if which == ["low_share", 0.05]] == ["weak"]
