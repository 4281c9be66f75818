"""Make tests/demonstrations/fixtures with the libraries whose formats they are.

    python scripts/make_format_fixtures.py

Needs h5py, minari (0.5.4 made those that are kept), imitation (1.0.1, with datasets 5.2.0 and jsonpickle 4.1.4) and
stable-baselines3 (2.9.2, with torch 2.13.0). expected.npz holds the numbers that went in.
"""

import shutil
import zipfile
from pathlib import Path

import gymnasium
import minari
import numpy as np
import torch
from imitation.data import serialize, types
from minari.data_collector import EpisodeBuffer
from stable_baselines3 import PPO, SAC, TD3

FOLDER = Path(__file__).parents[1] / "tests" / "demonstrations" / "fixtures"
LENGTHS = (4, 6, 3)
LOW, HIGH = np.array([-2, -1], np.float32), np.array([2, 3], np.float32)


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    generator = np.random.default_rng(0)
    observations = [generator.normal(size=(n + 1, 3)).astype(np.float32) for n in LENGTHS]
    actions = [generator.uniform(LOW, HIGH, (n, 2)).astype(np.float32) for n in LENGTHS]
    rewards = [generator.normal(size=n) for n in LENGTHS]
    make_minari(observations, actions, rewards)
    make_imitation(observations, actions, rewards)
    predictions = make_stable_baselines3(generator)
    np.savez_compressed(
        FOLDER / "expected.npz",
        observations=np.concatenate(observations),
        actions=np.concatenate(actions),
        rewards=np.concatenate(rewards),
        **predictions,
    )


def make_minari(observations, actions, rewards) -> None:
    """The first episode terminates, the second is truncated, the third has neither flag."""
    flags = [[np.arange(n) == (n - 1 if k == which else -1) for k, n in enumerate(LENGTHS)] for which in (0, 1)]
    arrays = zip(observations, actions, rewards, *flags, strict=True)
    buffers = [EpisodeBuffer(k, k, None, *values, {}) for k, values in enumerate(arrays)]
    box = gymnasium.spaces.Box
    for layout in ("hdf5", "arrow"):
        folder = minari.storage.get_dataset_path(f"fixture/{layout}-v0")
        shutil.rmtree(folder, ignore_errors=True)
        minari.create_dataset_from_buffers(
            f"fixture/{layout}-v0",
            buffers,
            observation_space=box(-np.inf, np.inf, (3,), np.float32),
            action_space=box(LOW, HIGH),
            data_format=layout,
            author="Credo",
            author_email="none",
            code_permalink="none",
            algorithm_name="random",
        )
        shutil.move(folder, FOLDER / f"minari-{layout}-v0")


def make_imitation(observations, actions, rewards) -> None:
    """The first trajectory terminates, the second reaches a time limit, the third is a fragment."""
    trajectories = []
    for k, (observation, action, reward) in enumerate(zip(observations, actions, rewards, strict=True)):
        infos = np.array([{} for _ in action], dtype=object)
        infos[-1] = {"TimeLimit.truncated": k == 1, "terminal_observation": observation[-1]}
        trajectories.append(types.TrajectoryWithRew(observation, action, infos, k < 2, reward))
    serialize.save(FOLDER / "imitation", trajectories)
    np.savez(
        FOLDER / "imitation-legacy.npz",
        obs=np.concatenate(observations),
        acts=np.concatenate(actions),
        rews=np.concatenate(rewards),
        infos=np.concatenate([trajectory.infos for trajectory in trajectories]),
        terminal=np.array([True, True, False]),
        indices=np.cumsum(LENGTHS[:-1]),
    )


def make_stable_baselines3(generator) -> dict[str, np.ndarray]:
    observation = generator.normal(size=(5, 3)).astype(np.float32)
    predictions = {"policy_observations": observation}
    small = {"net_arch": [4, 4]}
    critics = {"n_critics": 1}
    for name, algorithm, settings, options in (
        ("sac", SAC, small | critics, {}),
        ("td3", TD3, small | critics | {"activation_fn": torch.nn.Tanh}, {}),
        ("ppo", PPO, small | {"log_std_init": -1.0}, {"n_steps": 64}),
    ):
        model = algorithm("MlpPolicy", "Pendulum-v1", policy_kwargs=settings, seed=0, device="cpu", **options)
        with torch.no_grad():
            for parameter in model.policy.parameters():  # fresh heads are nearly zero
                parameter.add_(0.5 * torch.randn_like(parameter))
        model.save(FOLDER / "whole.zip")
        with zipfile.ZipFile(FOLDER / "whole.zip") as whole, zipfile.ZipFile(FOLDER / f"{name}.zip", "w") as kept:
            for member in whole.namelist():
                if member != "system_info.txt":  # says on what machine it was made
                    kept.writestr(member, whole.read(member))
        (FOLDER / "whole.zip").unlink()
        predictions[name] = model.predict(observation, deterministic=True)[0]
    return predictions


if __name__ == "__main__":
    main()
