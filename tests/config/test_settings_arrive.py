"""Settings of one learner reach what is made of them, whichever learner it is."""

import pytest

from credo.config import DDPGConfig, DiscriminatorConfig, PPOConfig, RunConfig, SACConfig, SD3Config, TD3Config
from credo.learners import LEARNERS, make_learner
from credo.learners.sd3 import AUTHORS_BETA

KINDS = {"ddpg": DDPGConfig, "td3": TD3Config, "sd3": SD3Config, "sac": SACConfig, "ppo": PPOConfig}


@pytest.fixture
def given(monkeypatch):
    """The arguments with which a learner is made."""
    found = []

    def watched(make):
        def made(*arguments):
            found.append(arguments)
            return make(*arguments)

        return made

    for name, make in LEARNERS.items():
        monkeypatch.setitem(LEARNERS, name, watched(make))
    return found


@pytest.mark.parametrize("name", [name for name in KINDS if name != "ppo"])
def test_the_cloning_weight_is_that_of_the_runs_own_learner(name):
    """By it demonstrations are given to an actor; other learners' weights are none of its business."""
    mine = {name: KINDS[name](cloning_weight=0.5)}
    others = {other: KINDS[other](cloning_weight=0.25) for other in KINDS if other not in (name, "ppo")}
    assert RunConfig(learner=name, **(others | mine)).cloning_weight == 0.5
    assert RunConfig(learner=name, reward="environment", **(others | mine)).cloning_weight == 0.0
    assert RunConfig(learner="ppo", **(others | mine)).cloning_weight == 0.0


@pytest.mark.parametrize("name", KINDS)
def test_the_discount_is_that_of_the_runs_own_learner(name):
    settings = {other: kind(discount=0.8 if other == name else 0.7) for other, kind in KINDS.items()}
    assert RunConfig(learner=name, **settings).discount == 0.8


def test_sd3_has_its_environments_temperature_unless_one_is_given(given):
    small = {"hidden": (2,), "noise_samples": 2}
    for environment, beta, expected in (
        ("Swimmer-v5", None, AUTHORS_BETA["Swimmer"]),
        ("Ant-v5", None, AUTHORS_BETA["Ant"]),
        ("Swimmer-v5", 0.3, 0.3),
    ):
        make_learner(RunConfig(learner="sd3", environment=environment, sd3=SD3Config(beta=beta, **small)), 3, 2)
        assert given.pop()[0].beta == expected


def test_only_a_learner_of_rollouts_is_told_of_its_environments(given):
    for name, expected in (("ppo", (3, 2, 4)), ("sac", (3, 2)), ("td3", (3, 2))):
        make_learner(RunConfig(learner=name, environments_per_seed=4), 3, 2)
        assert given.pop()[1:] == expected


@pytest.mark.parametrize(
    ("changes", "ahead"),
    [
        ({}, False),
        ({"inputs": "s"}, False),
        ({"inputs": "ss"}, True),
        ({"inputs": "sas"}, True),
        ({"kind": "airl-state"}, True),
        ({"absorbing_states": True}, True),
        ({"absorbing_states": True, "inputs": "s"}, True),
    ],
)
def test_successors_are_looked_up_where_the_discriminator_needs_them(changes, ahead):
    config = RunConfig(discriminator=DiscriminatorConfig(**changes))
    assert config.looks_ahead == ahead
