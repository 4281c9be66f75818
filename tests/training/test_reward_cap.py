"""The cap of modes clip and both, in each unit of the threshold, on the way to the learner."""

import dataclasses

import numpy as np
import pytest

from credo.config import CredoConfig
from credo.training.relabel import relabelled
from credo.training.state import make_parts
from training.linear_discriminator import BATCH, SPEC, linear, settings


@pytest.mark.parametrize("mode", ["clip", "both"])
@pytest.mark.parametrize(
    ("unit", "threshold", "cap"),
    [
        ("reward", 0.5, 0.5),
        # softplus(0.5) = 0.97407698.
        ("logit", 0.5, 0.97407698),
        # -log(1 - 0.25) = 0.28768207.
        ("probability", 0.25, 0.28768207),
    ],
)
def test_the_policys_reward_ends_at_the_threshold_in_its_unit(unit, threshold, cap, mode):
    """Logits of -3, 0.2 and 7: rewards of plr of 0.04858735, 0.79813887 and 7.00091147."""
    credo = CredoConfig(mode=mode, threshold=threshold, threshold_unit=unit)
    parts = make_parts(dataclasses.replace(settings(), reward="plr", credo=credo), SPEC)
    batch = BATCH._replace(observation=np.array([[-3.0], [0.2], [7.0]], np.float32))
    _, reward, _ = relabelled(parts, linear(parts, 1.0, 0.0), batch, None)
    np.testing.assert_allclose(reward, np.minimum([0.04858735, 0.79813887, 7.00091147], cap), rtol=1e-5)
