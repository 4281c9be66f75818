"""What makes up a run's identity, and what is left out of it."""

import dataclasses
import typing

import pytest

from config.settings import changed
from credo.config import (
    CredoConfig,
    DiscriminatorConfig,
    LearnerName,
    RunConfig,
    TD3Config,
    identity,
    idle_settings,
    run_id,
)
from credo.config.discriminator import REGULARISER_SETTINGS
from credo.config.discriminator import unused_settings as idle

NOT_IDENTITY = {
    "steps": 640,
    "seeds": 4,
    "first_seed": 7,
    "checkpoint_interval": 128,
    "execution": "vmap",
    "demonstrations": "elsewhere",
    "environment_workers": 2,
    "environment_timeout": 5.0,
    "seed_replay": "log.safetensors",
    "learner_settings": ("discount=0.5",),
}


@pytest.mark.parametrize("name", NOT_IDENTITY)
def test_what_does_not_change_a_seeds_numbers_is_no_part_of_the_identity(name):
    assert run_id(changed(**{name: NOT_IDENTITY[name]}), "a") == run_id(RunConfig(), "a")


def other_value(value, hint):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return next(argument for argument in arguments if argument != value)
    if origin is tuple:
        return value[:-1] if value else (5,)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    return 1.5 if value is None else value + 1


def leaves(kind, prefix=""):
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from leaves(hints[field.name], f"{field.name}__")
        else:
            yield prefix + field.name, hints[field.name]


@pytest.mark.parametrize(("name", "hint"), list(leaves(RunConfig)))
def test_every_other_setting_is_part_of_the_identity(name, hint):
    part, _, inner = name.partition("__")
    value = getattr(getattr(RunConfig(), part), inner) if inner else getattr(RunConfig(), part)
    different = changed(**{name: other_value(value, hint)})
    assert different != RunConfig()
    unused = part in typing.get_args(LearnerName) and part != RunConfig().learner
    unused |= part == "discriminator" and inner in idle(RunConfig().discriminator)
    same = run_id(different, "a") == run_id(RunConfig(), "a")
    assert same == (name in NOT_IDENTITY or unused)


@pytest.mark.parametrize("name", REGULARISER_SETTINGS)
def test_a_regularisers_settings_are_part_of_the_identity_where_it_is_chosen(name):
    chosen = {"discriminator__regularisers": (name,)}
    for setting in REGULARISER_SETTINGS[name]:
        value = getattr(RunConfig().discriminator, setting)
        different = changed(**chosen, **{f"discriminator__{setting}": value + 1})
        assert run_id(different, "a") != run_id(changed(**chosen), "a")
        usual = [RunConfig().discriminator]
        assert idle_settings(changed(**chosen).discriminator, usual) is None
        without = changed(discriminator__regularisers=(), **{f"discriminator__{setting}": value + 1})
        assert run_id(without) == run_id(changed(discriminator__regularisers=()))
        assert setting in idle_settings(without.discriminator, usual)
        assert idle_settings(without.discriminator, [*usual, without.discriminator]) is None


def test_a_clones_weight_is_part_of_the_identity_where_there_is_something_to_clone():
    """Runs from before the setting existed keep their identity."""
    assert "cloning_weight" not in identity(RunConfig())["td3"]
    assert identity(changed(td3__cloning_weight=0.5))["td3"]["cloning_weight"] == 0.5
    rewarded = changed(reward="environment", td3__cloning_weight=0.5)
    assert "cloning_weight" not in identity(rewarded)["td3"]


def test_a_rewards_factor_is_part_of_the_identity_where_it_is_not_one():
    """Runs from before the setting existed keep their identity."""
    assert "reward_factor" not in identity(RunConfig())["discriminator"]
    assert identity(changed(discriminator__reward_factor=4.0))["discriminator"]["reward_factor"] == 4.0


def test_an_actions_cost_is_part_of_the_identity_where_there_is_one():
    """Runs from before the setting existed keep their identity."""
    assert "action_cost" not in identity(RunConfig())["discriminator"]
    assert identity(changed(discriminator__action_cost=-0.5))["discriminator"]["action_cost"] == -0.5


def test_the_identity_follows_the_demonstrations_content_and_the_learner():
    assert run_id(RunConfig(), "a") != run_id(RunConfig(), "b")
    sac = identity(RunConfig(learner="sac"))
    assert "sac" in sac
    assert "td3" not in sac


def test_logged_transitions_are_told_apart_by_their_content():
    logged = changed(seed_replay="log.safetensors")
    assert run_id(logged, "a", "b") != run_id(logged, "a", "c") != run_id(RunConfig(), "a")
    assert "observation_keys" not in identity(RunConfig())
    assert "frame_stack" not in identity(RunConfig())


def test_unused_settings_are_left_out():
    off = CredoConfig(mode="off")
    assert run_id(RunConfig(credo=off)) == run_id(RunConfig(credo=dataclasses.replace(off, candidates=7)))
    # The share of outliers is measured by the threshold whatever the mode is.
    assert run_id(RunConfig(credo=off)) != run_id(RunConfig(credo=dataclasses.replace(off, threshold=7.0)))
    for mode, reading, candidates_used in [
        ("clip", "resample", False),
        ("filter", "batch", False),
        ("both", "resample", True),
    ]:
        rule = CredoConfig(mode=mode, reading=reading)
        other = dataclasses.replace(rule, candidates=7)
        assert (run_id(RunConfig(credo=rule)) != run_id(RunConfig(credo=other))) == candidates_used
    plain = DiscriminatorConfig(regularisers=())
    without = RunConfig(discriminator=plain)
    assert run_id(without) == run_id(
        dataclasses.replace(without, discriminator=dataclasses.replace(plain, gradient_penalty=7.0))
    )
    rewarded = RunConfig(reward="environment")
    others = dataclasses.replace(rewarded, credo=off, discriminator=DiscriminatorConfig(hidden=(3,)), held_out=0.5)
    assert run_id(rewarded) == run_id(others)
    assert run_id(rewarded) != run_id(dataclasses.replace(rewarded, td3=TD3Config(discount=0.9)))


def test_a_clones_identity_is_its_own_settings_and_a_warm_starts_both():
    clone = RunConfig(learner="bc")
    for same in ({"reward": "cr"}, {"replay_capacity": 64}, {"td3__hidden": (3,)}, {"discriminator__hidden": (3,)}):
        assert run_id(dataclasses.replace(changed(**same), learner="bc")) == run_id(clone), same
    for other in ({"bc__hidden": (3,)}, {"bc__patience": 9}, {"held_out": 0.5}, {"environment": "Ant-v5"}):
        assert run_id(dataclasses.replace(changed(**other), learner="bc")) != run_id(clone), other
    warm = RunConfig(warm_start="bc")
    assert run_id(warm) != run_id(RunConfig())
    assert run_id(changed(warm_start="bc", bc__patience=9)) != run_id(warm)
    assert run_id(changed(warm_start="bc", bc__hidden=(3,))) == run_id(warm), "the actor has its learner's widths"
    assert run_id(changed(warm_start="bc", td3__hidden=(3,))) != run_id(warm)


def test_identities_are_short_and_stable():
    name = run_id(RunConfig(), "a")
    assert len(name) == 12
    assert int(name, 16) >= 0
    assert name == run_id(RunConfig(), "a")


def test_what_a_rollout_learner_has_no_use_for_is_left_out():
    ppo = RunConfig(learner="ppo")
    for name in ("updates_per_round", "random_steps", "learning_starts", "replay_capacity"):
        assert run_id(ppo) == run_id(dataclasses.replace(ppo, **{name: 128})), name
        assert run_id(RunConfig()) != run_id(dataclasses.replace(RunConfig(), **{name: 128})), name
    replayed = dataclasses.replace(ppo, discriminator=DiscriminatorConfig(policy_samples="replay"))
    assert run_id(replayed) != run_id(dataclasses.replace(replayed, replay_capacity=128))
    assert run_id(replayed) == run_id(dataclasses.replace(replayed, random_steps=128))


@pytest.mark.parametrize(("learner", "meant"), [("td3", "replay"), ("sac", "replay"), ("ppo", "fresh")])
def test_policy_samples_are_what_they_resolve_to(learner, meant):
    auto = RunConfig(learner=learner)
    assert auto.policy_samples == meant
    assert identity(auto)["discriminator"]["policy_samples"] == meant
    for name in ("fresh", "replay"):
        explicit = dataclasses.replace(auto, discriminator=DiscriminatorConfig(policy_samples=name))
        assert explicit.policy_samples == name
        assert (run_id(explicit) == run_id(auto)) == (name == meant)
