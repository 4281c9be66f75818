"""Use a trained policy without JAX: it is a plain function on NumPy arrays.

    python examples/use_policy.py POLICY.safetensors

Observation normalisation and action scaling are inside; a batch of observations gives a batch of actions.
"""

import sys

import gymnasium
import numpy as np

import credo


def main(path: str) -> None:
    policy = credo.load_policy(path)
    environment = gymnasium.make(policy.environment)
    observation, _ = environment.reset(seed=0)
    total, ended = 0.0, False
    while not ended:
        observation, reward, terminated, truncated, _ = environment.step(policy(observation))
        total += float(reward)
        ended = terminated or truncated
    batch = policy(np.stack([observation, observation]))
    print(f"{policy.environment}: return {total:.1f}; a batch of two gives actions {batch.shape}")
    assert "jax" not in sys.modules


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/use_policy.py POLICY.safetensors")
    main(sys.argv[1])
