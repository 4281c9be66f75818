"""What a run says of settings that work but probably not as meant, where demonstrations are what tells."""

import dataclasses

import numpy as np

from credo.config import DiscriminatorConfig, RunConfig
from credo.demonstrations import from_episodes
from credo.environments import Episode
from credo.training.checks import doubts
from credo.types import EnvironmentSpec

HOPPER = EnvironmentSpec("Hopper-v5", 3, 1, np.full(1, -1.0), np.full(1, 1.0), 200)
ABSORBING = RunConfig(reward="cr", discriminator=DiscriminatorConfig(absorbing_states=True))


def demonstrated(lengths, terminated=True):
    def episode(length):
        observation, action = np.zeros((length + 1, 3), np.float32), np.zeros((length, 1), np.float32)
        return Episode(observation, action, np.ones(length, np.float32), terminated, not terminated, None)

    return from_episodes([episode(length) for length in lengths], "Hopper-v5")


def test_stays_that_subsampling_loses_are_told():
    whole = demonstrated([40] * 4)
    (seed,) = [seed for seed in range(20) if not whole.subsample(20, seed).terminated.any()][:1]
    (line,) = doubts(ABSORBING, HOPPER, whole.subsample(20, seed))
    assert line.startswith("absorbing states: 4 of 4 demonstrated episodes terminate, and subsampling left none")
    assert doubts(ABSORBING, HOPPER, whole) == []
    # Cut off after as many steps as there may be, no episode has ended.
    assert doubts(ABSORBING, HOPPER, demonstrated([200] * 4, terminated=False).subsample(20, 0)) == []
    plain = dataclasses.replace(ABSORBING, reward="plr", discriminator=DiscriminatorConfig())
    told = doubts(plain, HOPPER, whole.subsample(20, seed))
    assert not [line for line in told if "subsampling" in line]


def test_a_single_episode_is_told_to_be_on_both_sides():
    (line,) = doubts(ABSORBING, HOPPER, demonstrated([40]))
    assert line.startswith("one demonstrated episode:")
    assert doubts(dataclasses.replace(ABSORBING, held_out=0.0), HOPPER, demonstrated([40])) == []
    assert doubts(ABSORBING, HOPPER, demonstrated([40] * 2)) == []
