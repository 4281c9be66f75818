"""Small runs for the tests of training: settings, demonstrations, and what a run left behind."""

import dataclasses

import numpy as np

from credo import run_folder, run_rows
from credo.config import (
    CredoConfig,
    DDPGConfig,
    DiscriminatorConfig,
    PPOConfig,
    RunConfig,
    SACConfig,
    SD3Config,
    TD3Config,
)
from credo.demonstrations import from_episodes
from credo.environments import Episode
from credo.files import read_json
from credo.storage import read_tensors
from credo.training import checkpoint, replay_files
from credo.training.loop import train
from credo.training.watching import Watcher

SMALL = RunConfig(
    environment="Pendulum-v1",
    demonstrations="given",
    steps=256,
    seeds=1,
    steps_per_round=16,
    updates_per_round=2,
    random_steps=24,
    learning_starts=32,
    evaluation_interval=128,
    evaluation_episodes=1,
    checkpoint_interval=64,
    execution="threads",
    # A threshold in the middle of what an untrained discriminator says: samples are filtered.
    credo=CredoConfig(mode="both", threshold=0.0, threshold_unit="logit"),
    discriminator=DiscriminatorConfig(hidden=(8,), batch_size=8, updates_per_round=2),
    ddpg=DDPGConfig(hidden=(8,), batch_size=8),
    td3=TD3Config(hidden=(8,), batch_size=8),
    sd3=SD3Config(hidden=(8,), batch_size=8, noise_samples=4),
    sac=SACConfig(hidden=(8,), batch_size=8),
    ppo=PPOConfig(hidden=(8,), epochs=2, minibatch_size=8, normalise_rewards=True, initial_log_std=0.5),
)
REWARDED = dataclasses.replace(SMALL, learner="sac", reward="environment", demonstrations="")
"""Trained on the environment's own reward, which compiles in a moment."""

ON_POLICY = dataclasses.replace(SMALL, learner="ppo", environments_per_seed=2)


def changed(config=SMALL, **changes):
    return dataclasses.replace(config, **changes)


def demonstrations(observation_size=3, action_size=1, episodes=3, length=40, seed=0):
    generator = np.random.default_rng(seed)

    def episode():
        return Episode(
            observation=generator.standard_normal((length + 1, observation_size)).astype(np.float32),
            action=generator.uniform(-1, 1, (length, action_size)).astype(np.float32),
            reward=np.ones(length, np.float32),
            terminated=False,
            truncated=True,
            success=None,
        )

    return from_episodes([episode() for _ in range(episodes)], "Pendulum-v1")


class KilledError(Exception):
    """Ends a run as a kill would: nothing is written after it."""


def run(folder, config, source=None, data=None, on_round=None, lines=None, on_epoch=None):
    """Train in ``folder`` as the API does; ``on_round`` gets the progress after every round, ``on_epoch`` where
    cloning is after every epoch."""
    told = {"sha256": data.sha256} if data is not None else {}
    run_folder.create(folder, config, told, "test")
    watcher = Watcher(line=(lines if lines is not None else []).append, progress=on_round or (lambda progress: None))
    watcher.cloning = on_epoch or watcher.cloning
    return train(config, source or config.environment, data, folder, watcher)


def crash_after(rounds):
    def on_round(progress):
        if progress.round == rounds:
            raise KilledError

    return on_round


def states(folder):
    """Seed to every array of the newest checkpoint: networks, optimisers, replay, environments."""
    newest = checkpoint.all_checkpoints(folder)[-1]
    found = {}
    for number, told in read_json(newest / checkpoint.MANIFEST)["seeds"].items():
        arrays = read_tensors(
            newest / f"seed-{number}.safetensors", format=checkpoint.FORMAT, version=checkpoint.VERSION
        )[0]
        found[int(number)] = arrays | replay_of(newest.parent, told["replay"])
    return found


def replay_of(folder, told):
    """The steps that a checkpoint's files hold, one after the other, however they are cut into files."""
    files = [
        read_tensors(folder / file["name"], format=replay_files.FORMAT, version=replay_files.VERSION)[0]
        for file in told["files"]
    ]
    joined = {f"replay/{name}": np.concatenate([rows[name] for rows in files]) for name in files[0]} if files else {}
    return joined | {"replay/written": np.array(told["written"])}


def rows(folder, kind, seed, last_step=None):
    """The rows of one seed as columns; columns that other seeds of the run alone have are left out."""
    columns = run_rows.read_parts(folder, kind)
    if not columns:
        return {}
    mine = columns["seed"] == seed
    if last_step is not None:
        mine &= columns["step"] <= last_step
    return {name: values[mine] for name, values in columns.items()}


def assert_same_arrays(found, expected, tolerance=0.0):
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name].shape == expected[name].shape, name
        if tolerance:
            np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, atol=tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def assert_same_seed(found, expected, seed, tolerance=0.0):
    """State arrays, metrics and evaluations of one seed in two run folders."""
    assert_same_arrays(states(found)[seed], states(expected)[seed], tolerance)
    for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
        one, other = rows(found, kind, seed), rows(expected, kind, seed)
        assert len(one["step"]) > 0
        assert_same_arrays(one, other, tolerance)


def unwatched(epoch):
    """Hears of every epoch of a cloning, and does nothing."""
