"""What a run's summary says of a frozen seed: the date of its verdict, and its cause in short."""

import numpy as np
import pytest
from hand_made_curves import EXPERT, RISING, curves

from credo.diagnostics.divergence import ENVIRONMENT_FAILED, NUMBERS_FAILED, Verdict, verdict
from credo.diagnostics.frozen import cause_in_short, dated


def summary(**frozen):
    return {"seeds": {"3": {"frozen": frozen}}}


@pytest.mark.parametrize(("mark", "kind"), [(NUMBERS_FAILED, "non-finite"), (ENVIRONMENT_FAILED, "faulted")])
def test_a_frozen_seed_is_dated_where_its_run_froze_it(mark, kind):
    metrics, evaluations = curves(RISING)
    judged = verdict(metrics, evaluations | {"failed": np.full(len(RISING), mark)}, EXPERT)
    assert (judged.kind, judged.step) == (kind, int(evaluations["step"][0]))
    told = dated(judged, summary(step=128, cause="non-finite q_mean"), 3)
    assert told == Verdict(kind, 128, "frozen at step 128: non-finite q_mean", None)
    for other in ({}, {"seeds": []}, summary(step="soon"), summary(step=-1), summary(step=1e300)):
        assert dated(judged, other, 3) == judged, "nothing that makes sense is told"
    assert dated(judged, summary(step=128, cause="x"), 4) == judged, "another seed's"


def test_what_was_not_frozen_in_the_curves_stays_as_it_is():
    healthy = verdict(*curves(RISING), EXPERT)
    assert dated(healthy, summary(step=128, cause="x"), 3) == healthy


@pytest.mark.parametrize(
    ("cause", "short"),
    [
        ("non-finite q_mean, reward_max, critic_loss", "non-finite q_mean, reward_max, critic_loss"),
        (
            "non-finite q_mean, actor_gradient_max, reward_max, critic_loss, entropy",
            "non-finite actor_gradient_max, critic_loss, q_mean and 2 more",
        ),
        ("non-finite a, b, c, d in the replay", "non-finite a, b, c and 1 more in the replay"),
        ("non-finite action: of a, b, c, d, e", "non-finite action: of a, b, c, d, e"),
        ("environment 0, of a, b, c, d: raised", "environment 0, of a, b, c, d: raised"),
        ("\x1b[31m", "\\x1b[31m"),
        (None, "None"),
    ],
)
def test_a_cause_names_three_quantities_gradients_and_losses_first(cause, short):
    assert cause_in_short(cause) == short


def test_a_cause_of_any_length_is_short():
    assert len(cause_in_short("x" * 10_000)) == 400
