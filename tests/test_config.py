"""Settings: JSON round trip, refusals in one line, and what makes up a run's identity."""

import dataclasses
import json
import math
import types
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credo import config as settings_module
from credo.config import (
    CredoConfig,
    DiscriminatorConfig,
    LearnerName,
    RunConfig,
    TD3Config,
    check_action_free,
    from_dict,
    identity,
    idle_settings,
    run_id,
    to_dict,
    validate,
)
from credo.config.discriminator import REGULARISER_SETTINGS
from credo.config.discriminator import unused_settings as idle
from credo.config.names import Names
from credo.presets import PRESETS, preset
from credo.types import CredoError


def values_of(hint):
    """Any value of a type of the settings."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        names = [extra for extra in arguments[1:] if isinstance(extra, Names)]
        return st.sampled_from(names[0].known) if names else values_of(arguments[0])
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        fields = {field.name: values_of(hints[field.name]) for field in dataclasses.fields(hint)}
        return st.builds(hint, **fields)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin in (types.UnionType, typing.Union):
        return st.none() | values_of(arguments[0])
    return {
        bool: st.booleans(),
        int: st.integers(-(2**40), 2**40),
        float: st.floats(allow_nan=False),
        str: st.text(max_size=20),
    }[hint]


@settings(deadline=None, max_examples=60)
@given(values_of(RunConfig))
def test_json_round_trip(config):
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_possible_and_survive_the_round_trip(name):
    validate(preset(name))
    assert from_dict(to_dict(preset(name))) == preset(name)
    assert hash(preset(name)) == hash(preset(name))


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().steps = 5


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text, text


@pytest.mark.parametrize(
    ("tree", "parts"),
    [
        ({"stepz": 5}, ["stepz", "steps"]),
        ({"td3": {"hiden": [5]}}, ["td3.hiden", "hidden"]),
        ({"steps": "many"}, ["steps", "'many'", "int"]),
        ({"steps": 5.5}, ["steps", "5.5"]),
        ({"steps": True}, ["steps", "True"]),
        ({"steps": None}, ["steps", "None"]),
        ({"held_out": "0.1"}, ["held_out", "float"]),
        ({"held_out": True}, ["held_out", "True"]),
        ({"normalise_observations": 1}, ["normalise_observations", "bool"]),
        ({"reward": "gail"}, ["reward", "gail", "plr"]),
        ({"reward": ["plr"]}, ["reward"]),
        ({"learner": "ppo2"}, ["learner", "td3"]),
        ({"td3": {"hidden": 256}}, ["td3.hidden", "256"]),
        ({"td3": {"hidden": [256, "x"]}}, ["td3.hidden", "'x'"]),
        ({"td3": 5}, ["td3", "5"]),
        ({"sac": {"target_entropy": "low"}}, ["sac.target_entropy", "low"]),
        ({"discriminator": {"regularisers": ["drop"]}}, ["regularisers", "drop", "gradient-penalty"]),
        ([], ["config"]),
    ],
)
def test_unknown_names_and_wrong_types_are_refused_in_one_line(tree, parts):
    with pytest.raises(CredoError) as error:
        from_dict(tree)
    one_line(error, *parts)


def test_whole_numbers_stand_for_floats():
    assert from_dict({"credo": {"threshold": 5}}).credo.threshold == 5.0
    assert isinstance(from_dict({"sac": {"target_entropy": -1}}).sac.target_entropy, float)


def changed(**changes):
    """A run with changed settings; ``part__name`` reaches into a part."""
    config = RunConfig()
    for name, value in changes.items():
        part, _, inner = name.partition("__")
        value = dataclasses.replace(getattr(config, part), **{inner: value}) if inner else value
        config = dataclasses.replace(config, **{part: value})
    return config


AT_LEAST = {
    "seeds": 1,
    "first_seed": 0,
    "environments_per_seed": 1,
    "steps_per_round": 1,
    "updates_per_round": 0,
    "replay_capacity": 1,
    "random_steps": 0,
    "learning_starts": 0,
    "evaluation_interval": 1,
    "evaluation_episodes": 1,
    "checkpoint_interval": 1,
    "environment_workers": 0,
    "frame_stack": 1,
}
REFUSED = [
    *({name: low - 1} for name, low in AT_LEAST.items()),
    {"steps": 63},
    {"first_seed": 2**31},
    {"environment_timeout": 0.0},
    {"environment_timeout": 5.0},
    {"environments_per_seed": 3},
    {"replay_capacity": 63},
    {"held_out": -0.1},
    {"held_out": 1.0},
    {"held_out": math.nan},
    {"credo__threshold": 0.0},
    {"credo__threshold": -5.0},
    {"credo__threshold": math.nan},
    {"credo__threshold": math.inf},
    {"credo__candidates": 0},
    {"discriminator__hidden": ()},
    {"discriminator__hidden": (5, 0)},
    {"discriminator__learning_rate": 0.0},
    {"discriminator__batch_size": 0},
    {"discriminator__updates_per_round": 0},
    {"discriminator__gradient_penalty": -1.0},
    {"td3__hidden": ()},
    {"td3__actor_learning_rate": math.inf},
    {"td3__discount": 1.0},
    {"td3__discount": 0.0},
    {"td3__target_rate": 1.5},
    {"td3__exploration_noise": -0.1},
    {"td3__actor_delay": 0},
    {"td3__actor_delay": 3},
    {"updates_per_round": 7},
]


@pytest.mark.parametrize("changes", REFUSED, ids=str)
def test_refused_in_one_line_that_names_field_and_value(changes):
    ((name, value),) = changes.items()
    with pytest.raises(CredoError) as error:
        validate(changed(**changes))
    if name == "td3__actor_delay" and value == 3:
        one_line(error, "td3.actor_delay", 3)
    else:
        one_line(error, name.partition("__")[2] or name, value[-1] if isinstance(value, tuple) and value else value)


@pytest.mark.parametrize(
    "changes",
    [
        {"credo__threshold_unit": "probability"},  # the default of 5 is no probability
        {"credo__threshold_unit": "probability", "credo__mode": "off"},
        {"learner": "sac", "sac__target_entropy": math.nan},
        {"learner": "sac", "sac__initial_temperature": 0.0},
        {"learner": "ppo", "ppo__minibatch_size": 48},
        {"learner": "ppo", "ppo__gae_lambda": 1.1},
        {"learner": "sd3", "sd3__noise": "antithetic", "sd3__noise_samples": 7},
        {"learner": "sd3", "sd3__noise": "sobol", "sd3__noise_samples": 1},
        {"learner": "sd3", "sd3__beta": 0.0},
        {"learner": "ddpg", "ddpg__last_layer_scale": 0.0},
        {"learner": "bc", "reward": "environment"},
        {"warm_start": "bc", "reward": "environment"},
        {"warm_start": "bc", "held_out": 0.0},
        {"learner": "bc", "warm_start": "bc"},
        {"warm_start": "bc", "bc__patience": 0},
    ],
    ids=str,
)
def test_refused_together(changes):
    with pytest.raises(CredoError) as error:
        validate(changed(**changes))
    one_line(error, "not possible")


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 64},
        {"updates_per_round": 0},
        {"credo__threshold_unit": "probability", "credo__threshold": 0.9933},
        {"credo__threshold_unit": "logit", "credo__threshold": -2.0},
        {"td3__exploration_noise": 0.0},
        {"td3__target_rate": 1.0},
        {"discriminator__gradient_penalty": 0.0},
        {"discriminator__regularisers": ()},
        {"learner": "sac", "sac__target_entropy": -3.0},
        {"learner": "sac", "td3__actor_delay": 3},
        {"learner": "ppo", "replay_capacity": 1, "updates_per_round": 7},
        {"learner": "sd3", "updates_per_round": 7},
        {"learner": "sd3", "sd3__noise": "antithetic", "sd3__noise_samples": 8},
        {"learner": "sd3", "sd3__noise_samples": 1},
        {"sd3__noise": "sobol", "sd3__noise_samples": 1},
        {"held_out": 0.0},
        {"learner": "bc"},
        {"warm_start": "bc"},
        {"learner": "ppo", "warm_start": "bc"},
        {"learning_starts": 0, "random_steps": 0},
    ],
    ids=str,
)
def test_possible(changes):
    validate(changed(**changes))


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
        assert idle_settings(changed(**chosen).discriminator) is None
        without = changed(discriminator__regularisers=(), **{f"discriminator__{setting}": value + 1})
        assert run_id(without) == run_id(changed(discriminator__regularisers=()))
        assert setting in idle_settings(without.discriminator)


AIRL = {"discriminator__kind": "airl-state"}
FAIRL = {"reward": "fairl"}
UNITS = {"credo__threshold_unit": "logit"}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (AIRL, ["airl-state", "--reward cr", "deterministic"]),
        ({**AIRL, "learner": "sac", "discriminator__absorbing_states": True}, ["absorbing_states", "AIRL"]),
        ({"discriminator__regularisers": ("r1", "r1")}, ["r1", "once"]),
        ({"discriminator__regularisers": ("positive-unlabelled", "mixup")}, ["mixup", "positive-unlabelled"]),
        ({"discriminator__class_prior": 1.0}, ["class_prior"]),
        ({"discriminator__dropout": 1.0}, ["dropout"]),
        ({"discriminator__reward_clip": 0.0}, ["reward_clip"]),
        (FAIRL, ["threshold_unit", "fairl", "logit"]),
        ({**FAIRL, "credo__mode": "both"}, ["threshold_unit", "fairl"]),
        ({**FAIRL, **UNITS, "credo__mode": "clip"}, ["threshold_unit", "fairl"]),
    ],
    ids=str,
)
def test_bad_combinations_of_the_discriminator_are_refused(changes, parts):
    with pytest.raises(CredoError) as error:
        validate(changed(**changes))
    one_line(error, *parts)


@pytest.mark.parametrize(
    "changes",
    [
        {**AIRL, "learner": "sac"},
        {**AIRL, "learner": "ppo"},
        {**FAIRL, **UNITS},
        {**FAIRL, "credo__mode": "clip"},
        {**FAIRL, "credo__mode": "off"},
        {"discriminator__regularisers": ("mixup", "label-smoothing", "gradient-penalty", "r1")},
    ],
    ids=str,
)
def test_combinations_of_the_discriminator_that_work(changes):
    validate(changed(**changes))


def test_without_actions_the_discriminator_may_look_at_states_alone():
    for inputs in ("s", "ss"):
        check_action_free(changed(discriminator__inputs=inputs))
    for changes, name in (({"discriminator__inputs": "sas"}, "inputs"), (AIRL, "kind"), ({}, "inputs")):
        with pytest.raises(CredoError) as error:
            check_action_free(changed(**changes))
        one_line(error, f"discriminator.{name}", "no actions")


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


def test_rounds_and_seeds():
    config = RunConfig(steps=200, seeds=3, first_seed=5)
    assert config.rounds == 3
    assert config.seed_numbers == (5, 6, 7)
    assert config.learner_config == config.td3
    assert config.adversarial
    assert not RunConfig(reward="environment").adversarial


def test_the_names_of_the_settings_are_the_names_of_the_tables():
    from credo.discriminator.regularisers import REGULARISERS
    from credo.discriminator.rewards import REWARDS
    from credo.learners import LEARNERS
    from credo.networks import ACTIVATIONS

    assert set(typing.get_args(settings_module.RewardName)) == {*REWARDS, "environment"}
    assert set(typing.get_args(settings_module.LearnerName)) == {*LEARNERS, "bc"}
    assert set(typing.get_args(settings_module.RegulariserName)) == set(REGULARISERS)
    assert set(typing.get_args(settings_module.Activation)) == set(ACTIVATIONS)
