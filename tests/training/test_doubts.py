"""What a run says of settings that work but probably not as meant, where demonstrations are what tells."""

import dataclasses

import numpy as np

from credo.config import DiscriminatorConfig, RunConfig
from credo.demonstrations import from_episodes
from credo.environments import Episode
from credo.preparation import prepare
from credo.training.checks import doubts
from credo.training.evaluate import distance_between_demonstrations, separated
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
        lines = doubts(RunConfig(held_out=held_out), HOPPER, played(places))
        return [line for line in lines if not line.startswith("demonstrations: next observations")]

    (line,) = told(0.2, [-2.0, -1.0, 0.0, 1.0, 2.0])
    assert line.startswith("distance: the demonstrations themselves are ")
    apart = float(line.split(" are ")[1].split(" apart")[0])
    assert 0.25 < apart < 2
    assert told(0.2, [1.0] * 5) == []
    assert told(0.0, [-2.0, -1.0, 0.0, 1.0, 2.0]) == []


def test_a_steady_expert_is_near_himself():
    prepared = prepare(RunConfig(demonstrations="hopper-expert:5", seeds=1))
    training, held_out = separated(prepared.config, prepared.spec, prepared.demonstrations)
    assert 0.01 < distance_between_demonstrations(held_out, training, 5) < 0.1
    assert doubts(prepared.config, prepared.spec, prepared.demonstrations) == []
