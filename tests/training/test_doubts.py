"""What a run says of settings that work but probably not as meant, where demonstrations are what tells."""

import dataclasses

import numpy as np
import pytest

from credo.config import DiscriminatorConfig, RunConfig
from credo.demonstrations import from_episodes
from credo.environments import Episode
from credo.preparation import prepare
from credo.training.checks import doubts
from credo.training.evaluate import apart_note, divided
from credo.training.state import make_parts
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


def test_a_reward_for_every_step_is_told_where_demonstrations_end_early():
    plr = RunConfig(reward="plr")
    line, *_ = doubts(plr, HOPPER, demonstrated([40] * 3 + [200]))
    assert line.startswith("reward plr is positive everywhere, so every step before the end of an episode pays")
    assert "3 of 4 demonstrated episodes terminate early" in line
    assert "--discriminator.absorbing-states" in line
    for config, lengths in (
        (plr, [40, 40, 200, 200]),
        (plr, [200] * 4),
        (dataclasses.replace(ABSORBING, reward="plr"), [40] * 4),
        (RunConfig(learner="bc"), [40] * 4),
    ):
        assert not [line for line in doubts(config, HOPPER, demonstrated(lengths)) if "pays" in line]
    cut = demonstrated([40] * 4, terminated=False)
    assert not [line for line in doubts(plr, HOPPER, cut) if "pays" in line]
    assert not [line for line in doubts(RunConfig(reward="cr"), HOPPER, demonstrated([40] * 4)) if "pays" in line]


def test_demonstrations_that_differ_as_much_as_policies_do_are_told():
    def played(places):
        episodes = [
            Episode(
                np.full((41, 3), place, np.float32),
                np.zeros((40, 1), np.float32),
                np.ones(40, np.float32),
                *(False, True, None),
            )
            for place in places
        ]
        return from_episodes(episodes, "Hopper-v5")

    def told(held_out, places):
        parts = make_parts(RunConfig(held_out=held_out), HOPPER)
        _, apart = divided(parts, played(places))
        return apart.apart, apart_note(apart)

    distance, line = told(0.2, [-2.0, -1.0, 0.0, 1.0, 2.0])
    assert 0.25 < distance < 2
    assert line.startswith(f"distance: the demonstrations themselves are {distance:.2f} apart, ")
    assert told(0.2, [1.0] * 5) == (pytest.approx(0), None)
    for held_out, places in ((0.0, [-2.0, -1.0, 0.0, 1.0, 2.0]), (0.2, [1.0])):  # measured by what is learned from
        distance, line = told(held_out, places)
        assert np.isnan(distance)
        assert line is None
    assert apart_note(None) is None


def test_a_steady_expert_is_near_himself():
    prepared = prepare(RunConfig(demonstrations="hopper-expert:5", seeds=1))
    _, held_out = divided(make_parts(prepared.config, prepared.spec), prepared.demonstrations)
    assert 0.01 < held_out.apart < 0.1
    assert apart_note(held_out) is None
    assert doubts(prepared.config, prepared.spec, prepared.demonstrations) == []
