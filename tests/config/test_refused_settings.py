"""Settings that cannot work are refused in one line, alone and together; those that can are not."""

import math

import pytest

from config.settings import changed, one_line
from credo.config import (
    check_action_free,
    validate,
)
from credo.types import CredoError

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
        {"learner": "ppo", "ppo__minibatch_size": 1},
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
        {"first_seed": 1_000_001, "seeds": 2},
        {"first_seed": 999_998, "seeds": 2},
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
        {"learner": "ppo", "ppo__minibatch_size": 1, "ppo__normalise_advantages": False},
        {"learning_starts": 0, "random_steps": 0},
        {"learner": "sac", "sac__cloning_weight": 1.0},
        {"reward": "environment", "sac__cloning_weight": 1.0},
    ],
    ids=str,
)
def test_possible(changes):
    validate(changed(**changes))


@pytest.mark.parametrize(("first", "seeds"), [(1_000_000, 1), (999_990, 11)])
def test_no_seed_is_the_one_that_finished_policies_are_played_from(first, seeds):
    with pytest.raises(CredoError) as error:
        validate(changed(first_seed=first, seeds=seeds))
    one_line(error, "first_seed", first)


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
    with pytest.raises(CredoError) as error:
        check_action_free(changed(discriminator__inputs="s", td3__cloning_weight=0.5))
    one_line(error, "td3.cloning_weight", 0.5)
