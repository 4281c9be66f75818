"""The policy's side of the discriminator: of this round or of the replay, as asked, and drawn anew for every update."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from credo.environments.probes import TimeLimitProbe
from credo.training.seed import draw_experience, make_seed
from credo.types import Transition
from training.linear_discriminator import settings


@pytest.mark.parametrize("inputs", ["sa", "ss"])
@pytest.mark.parametrize("samples", ["fresh", "replay"])
def test_samples_are_of_the_round_or_of_the_replay_and_each_update_has_its_own(samples, inputs):
    config = settings(updates_per_round=3, batch_size=20, policy_samples=samples, inputs=inputs)
    config = dataclasses.replace(config, steps=4096)
    seed = make_seed(config, functools.partial(TimeLimitProbe, 4, True), 0, None)
    seed.environments.close()
    seed.evaluator.close()
    numbers = np.arange(16, dtype=np.float32)[:, None]
    fresh = Transition(numbers[..., None], numbers[..., None], numbers, numbers[..., None], np.zeros((16, 1), bool))
    seed.replay.add(jax.tree.map(lambda x: 100 + x, fresh)._replace(terminated=fresh.terminated), fresh.terminated)
    found = draw_experience(config, seed, fresh, 3).policy_observation[..., 0]
    assert (found >= 100).all() == (samples == "replay")
    assert (found < 100).all() == (samples == "fresh")
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
