"""Use a trained policy without JAX: it is a plain function on NumPy arrays.

    python examples/use_policy.py POLICY.safetensors ENVIRONMENT

for instance runs/demo/policies/seed-0/best.safetensors and Hopper-v5. The file names its environment, too, but a
stranger's file is not to say what is made here. Observation normalisation and action scaling are inside; a batch of
observations gives a batch of actions.
"""

import sys

import gymnasium
import numpy as np

import credo


def main(path: str, environment_id: str) -> None:
    policy = credo.load_policy(path)
    environment = gymnasium.make(environment_id)
    observation, _ = environment.reset(seed=0)
    total, ended = 0.0, False
    while not ended:
        observation, reward, terminated, truncated, _ = environment.step(policy(observation))
        total += float(reward)
        ended = terminated or truncated
    batch = policy(np.stack([observation, observation]))
    print(f"{environment_id}: return {total:.1f}; a batch of two gives actions {batch.shape}")
    assert "jax" not in sys.modules


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/use_policy.py POLICY.safetensors ENVIRONMENT")
    main(sys.argv[1], sys.argv[2])
