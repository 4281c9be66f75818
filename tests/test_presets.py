"""What presets hold: those of the kept studies as the studies were run, the others as they differ from these."""

import json
from pathlib import Path

import pytest

from credo.config import RunConfig, identity, to_dict
from credo.config.own import leaves
from credo.presets import EXPERT, EXPERT_NAME, PRESETS
from credo.studies.shipped import find_study, shipped_names
from credo.studies.study import load_study

RESULTS = Path(__file__).parents[1] / "results" / "stability"
KEPT = sorted({path.stem for path in RESULTS.glob("*.json")} & set(shipped_names()))
LAST_LAYER = 0.0173
"""Makes a last layer's standard deviation a hundredth of 1 / sqrt(inputs)."""
PLAIN = {"exploration_noise": 0.1, "preactivation_penalty": 0.0}
STEADY = {
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
    "batch_size": 64,
    "target_rate": 0.01,
    "layer_norm": "critic",
    "cloning_weight": 1.0,
}


def of(part, settings):
    return {f"{part}.{name}": value for name, value in settings.items()}


ROBUST = {
    "discriminator.batch_size": 64,
    "discriminator.gradient_penalty": 10.0,
    **of("ddpg", STEADY | {"exploration_noise": 0.1, "discount": 0.95}),
    **of("td3", STEADY | {"exploration_noise": 0.1}),
    **of("sd3", STEADY | {"exploration_noise": 0.1, "noise": "sobol", "noise_samples": 8}),
    **of("sac", STEADY | {"temperature_learning_rate": 1e-3}),
}
AT_THE_PAPERS_RATES = PLAIN | {"hidden": [400, 300], "actor_learning_rate": 1e-3, "critic_learning_rate": 1e-3}
DIFFERENCES = {
    "robust": ("fast", ROBUST),
    "robust-td3": ("robust", {}),
    "robust-ddpg": ("robust", {"learner": "ddpg"}),
    "robust-sd3": ("robust", {"learner": "sd3"}),
    "robust-sac": ("robust", {"learner": "sac"}),
    "paper-td3": (
        "fast",
        {
            "demonstrations": "hopper-expert:1000",
            "steps": 3_000_000,
            "seeds": 11,
            "normalise_observations": False,
            "random_steps": 10_000,
            "learning_starts": 0,
            "credo.mode": "off",
            **of("discriminator", {"hidden": [100, 100], "activation": "tanh"}),
            **of("discriminator", {"updates_per_round": 1, "regularisers": []}),
            **of("ddpg", AT_THE_PAPERS_RATES),
            **of("td3", AT_THE_PAPERS_RATES),
            **of("sd3", AT_THE_PAPERS_RATES),
        },
    ),
    "paper": ("paper-td3", {"credo.mode": "filter"}),
    "paper-ddpg": ("paper-td3", {"learner": "ddpg"}),
    "paper-sd3": ("paper-td3", {"learner": "sd3"}),
    "paper-tssg": ("paper-td3", {"learner": "sac"}),
    "paper-credo": ("paper-sd3", {"credo.mode": "filter"}),
    "paper-ppo": (
        "paper-td3",
        {
            "learner": "ppo",
            "environments_per_seed": 8,
            "steps_per_round": 2048,
            "random_steps": 1_000,
            "learning_starts": 1_000,
            "discriminator.updates_per_round": 32,
            **of("ppo", {"hidden": [100, 100], "minibatch_size": 128, "normalise_rewards": True}),
        },
    ),
    "sam": (
        "paper-ddpg",
        {
            "steps": 1_000_000,
            "seeds": 5,
            **of("discriminator", {"hidden": [64, 64], "regularisers": ["gradient-penalty"], "gradient_penalty": 10.0}),
            **of("ddpg", {"hidden": [64, 64], "actor_learning_rate": 1e-4, "target_rate": 0.01}),
            **of("ddpg", {"exploration_noise": 0.2, "actor_gradient_clip": 5.0, "layer_norm": "both"}),
        },
    ),
    "dgail": ("paper-ddpg", {"reward": "r4"}),
    "dac": (
        "fast",
        {
            "reward": "cr",
            "steps": 1_000_000,
            "seeds": 5,
            "demonstrations": "hopper-expert:4@subsample=20",
            "normalise_observations": False,
            "evaluation_episodes": 10,
            "credo.mode": "off",
            **of("discriminator", {"absorbing_states": True, "activation": "tanh", "learning_rate": 1e-3}),
            **of("discriminator", {"batch_size": 100, "updates_per_round": 64, "gradient_penalty": 10.0}),
            **of("td3", AT_THE_PAPERS_RATES | {"batch_size": 100, "actor_gradient_clip": 40.0}),
            **of("td3", {"actor_starts": 1_000, "last_layer_scale": LAST_LAYER}),
        },
    ),
    "acme-gail": (
        "fast",
        {
            "steps": 1_000_000,
            "demonstrations": "hopper-expert:11",
            "normalise_observations": False,
            "random_steps": 0,
            "evaluation_interval": 50_000,
            "evaluation_episodes": 10,
            "credo.mode": "off",
            **of("discriminator", {"hidden": [64], "learning_rate": 1e-5, "batch_size": 256}),
            **of("discriminator", {"updates_per_round": 64, "gradient_penalty": 20.0}),
            "discriminator.regularisers": ["spectral-normalisation", "entropy", "gradient-penalty"],
            **of("td3", PLAIN | {"batch_size": 256, "last_layer_scale": LAST_LAYER, "layer_norm": "both"}),
        },
    ),
    EXPERT_NAME: (
        "fast",
        {
            "demonstrations": "",
            "learner": "sac",
            "reward": "environment",
            "steps": 300_000,
            "random_steps": 5_000,
        },
    ),
}


def test_every_preset_has_a_row():
    assert set(DIFFERENCES) == {*PRESETS, EXPERT_NAME} - {"fast"}
    assert PRESETS["fast"] == RunConfig()


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_preset_differs_from_another_in_this_alone(name):
    base, expected = DIFFERENCES[name]
    before = dict(leaves(to_dict(PRESETS[base])))
    now = dict(leaves(to_dict((PRESETS | {EXPERT_NAME: EXPERT})[name])))
    assert {key: value for key, value in now.items() if value != before[key]} == expected


def without_hashes(told):
    return {name: value for name, value in told.items() if not name.endswith("sha256")}


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_study_has_the_settings_that_it_was_run_with(name):
    """Whatever of the presets and the defaults its cells are made of."""
    cells = {cell.name: cell.config for cell in load_study(find_study(name)).cells}
    kept = json.loads((RESULTS / f"{name}.json").read_text())
    assert kept
    for cell, told in kept.items():
        now = json.loads(json.dumps(identity(cells[cell])))
        assert without_hashes(now) == without_hashes(told["identity"]), cell
