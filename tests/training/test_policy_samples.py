"""The policy's side of the discriminator: of this round or of the replay, as asked, and drawn anew for every update."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from credo.config import RunConfig
from credo.environments.probes import PointMass, TimeLimitProbe
from credo.training.seed import Recorder, draw_experience, make_seed, shape_of_experience
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


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"inputs": "ss", "policy_samples": "fresh"},
        {"inputs": "sas", "absorbing_states": True},
        {"learner": "ppo"},
        {"learner": "ppo", "inputs": "ss", "absorbing_states": True},
        {"learner": "sac", "reward": "environment", "demonstrations": ""},
    ],
)
def test_the_shape_of_experience_is_that_of_what_is_drawn(changes):
    outer = {name: changes[name] for name in changes if name in ("learner", "reward", "demonstrations")}
    judged = {name: changes[name] for name in changes if name not in outer}
    discriminator = dataclasses.replace(RunConfig().discriminator, updates_per_round=3, batch_size=20, **judged)
    config = RunConfig(**outer, steps=256, environments_per_seed=2, updates_per_round=5, discriminator=discriminator)
    seed = make_seed(config, PointMass, 0, None)
    recorder = Recorder(config, seed)
    for index in range(config.steps_per_round // 2):
        recorder.take(seed, index, np.zeros((2, 2), np.float32))
    seed.replay.add(recorder.steps, recorder.ended)
    drawn = draw_experience(config, seed, recorder.fresh, 0)
    seed.environments.close()
    seed.evaluator.close()
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), drawn)
    assert shape_of_experience(config, seed.evaluator.spec) == shapes
