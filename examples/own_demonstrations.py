"""Your own recordings as demonstrations: from arrays, to a file, looked at.

    python examples/own_demonstrations.py [FOLDER]

The arrays stand for whatever a recorder gives: here a controller drives a pendulum. The actions are in the
environment's own units (torques of -2 to 2). The file is then ready for
``credo imitate --env Pendulum-v1 --demos FILE``.
"""

import sys
import tempfile
from pathlib import Path

import gymnasium
import numpy as np

from credo.cli import main as credo
from credo.demonstrations import check_fits, load_demonstrations, write_file
from credo.environments import environment_spec


def controller(angle: float, speed: float) -> float:
    """Pumps energy until the pendulum is nearly upright, then balances it."""
    if abs(angle) < 0.3:
        return -12 * angle - 3 * speed
    missing = 15 - (speed**2 / 2 + 15 * np.cos(angle))
    return missing * (speed if speed else 1)


def record(environment: gymnasium.Env, episodes: int) -> dict[str, np.ndarray]:
    """Flat transitions, one row a step."""
    rows: dict[str, list] = {
        name: [] for name in ("observations", "actions", "next_observations", "rewards", "terminated", "truncated")
    }
    for episode in range(episodes):
        observation, _ = environment.reset(seed=episode)
        ended = False
        while not ended:
            torque = controller(np.arctan2(observation[1], observation[0]), observation[2])
            action = np.clip([torque], -2, 2).astype(np.float32)
            following, reward, terminated, truncated, _ = environment.step(action)
            for values, value in zip(
                rows.values(), (observation, action, following, reward, terminated, truncated), strict=True
            ):
                values.append(value)
            observation, ended = following, terminated or truncated
    return {name: np.array(values) for name, values in rows.items()}


def main(folder: Path) -> None:
    environment = gymnasium.make("Pendulum-v1")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "recorded.npz", **record(environment, episodes=5))

    spec = environment_spec(environment, "Pendulum-v1")
    demonstrations = load_demonstrations(folder / "recorded.npz", fitting=spec)  # its action box scales the actions
    check_fits(demonstrations, spec)
    write_file(folder / "pendulum.safetensors", demonstrations)

    # The same from a shell: credo demos convert recorded.npz pendulum.safetensors --env Pendulum-v1
    credo(["demos", "inspect", str(folder / "pendulum.safetensors"), "--picture", str(folder / "pendulum.png")])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
