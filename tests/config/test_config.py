"""Settings: JSON round trip, wrong names and types, and the names of the tables."""

import dataclasses
import json
import types
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import one_line
from credo import config as settings_module
from credo.config import (
    RunConfig,
    from_dict,
    to_dict,
    validate,
)
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
        # A comma begins arguments, which not every text has.
        str: st.text(st.characters(exclude_categories=["Cs"], exclude_characters=","), max_size=20),
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
