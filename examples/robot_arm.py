"""Imitate on an environment as robots have them: Dict observations, positions alone, no velocities.

    python examples/robot_arm.py [OUT] [STEPS]

The observation is a dictionary of which two entries are used (``observation_keys``); since the velocity is not among
them, three frames are shown at once (``frame_stack``). The demonstrations hold single frames and are stacked on
loading. The environment runs in a worker process: should it hang, its seed alone is lost.
"""

import sys
from pathlib import Path

import gymnasium
import numpy as np

import credo
from credo.demonstrations import from_episodes
from credo.environments import Episode, rollout_episodes, viewed

KEYS, FRAMES = ("joint", "target"), 3


class Arm(gymnasium.Env):
    """One joint with inertia, to be turned to a target angle; 40 steps. Reward: 1 - |angle left|, at least 0."""

    max_episode_steps = 40

    def __init__(self):
        angle = gymnasium.spaces.Box(-4, 4, (1,), np.float32)
        camera = gymnasium.spaces.Box(0, 255, (8, 8), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(camera=camera, joint=angle, target=angle)
        self.action_space = gymnasium.spaces.Box(-2, 2, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.angle, self.target = self.np_random.uniform(-1, 1, 2)
        self.velocity, self.steps = 0.0, 0
        return self.observe(), {}

    def step(self, action):
        self.velocity = 0.9 * self.velocity + 0.2 * float(action[0])
        self.angle = float(np.clip(self.angle + 0.2 * self.velocity, -4, 4))
        self.steps += 1
        left = abs(self.target - self.angle)
        return self.observe(), max(0.0, 1 - left), False, self.steps == 40, {"is_success": left < 0.1}

    def observe(self):
        return {
            "camera": np.zeros((8, 8), np.uint8),
            "joint": np.float32([self.angle]),
            "target": np.float32([self.target]),
        }


def demonstrate(episodes: int) -> credo.Demonstrations:
    """A hand-written controller, which knows the velocity; what it saw and did is recorded as by a robot."""
    arm, recorded = Arm(), []
    for number in range(episodes):
        seen, _ = arm.reset(seed=number)
        observations, actions, rewards, ended = [], [], [], False
        while not ended:
            observations.append(np.concatenate([seen[key] for key in KEYS]))
            force = np.clip(3 * (arm.target - arm.angle) - 2.5 * arm.velocity, -2, 2)
            seen, reward, _, ended, _ = arm.step([force])
            actions.append([force / 2])  # demonstrations hold actions in [-1, 1]
            rewards.append(reward)
        observations.append(np.concatenate([seen[key] for key in KEYS]))
        recorded.append(Episode(np.array(observations), np.array(actions), np.array(rewards), False, True, None))
    return from_episodes(recorded, environment="Arm", source="hand-written controller")


def main(out: Path, steps: int) -> None:
    demonstrations = demonstrate(10)
    run = credo.imitate(
        environment=Arm,
        demonstrations=demonstrations,
        observation_keys=KEYS,
        frame_stack=FRAMES,
        environment_workers=1,
        environment_timeout=60.0,
        out=out,
        steps=steps,
        random_steps=400,
        learning_starts=400,
        evaluation_interval=1_000,
    )
    policy = run.policy()
    episodes = rollout_episodes(viewed(Arm, KEYS, FRAMES), policy.normalised_action, 10, seed=123)
    print(f"expert   {np.mean(demonstrations.returns):6.1f}")
    print(f"imitator {np.mean([episode.reward.sum() for episode in episodes]):6.1f}")
    print(f"the policy takes {policy.observation_size} numbers: {policy.metadata}")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/robot-arm"),
        int(sys.argv[2]) if len(sys.argv) > 2 else 4_000,
    )
