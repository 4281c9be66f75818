"""Small made-up demonstrations."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from credo import experts
from credo.demonstrations import Demonstrations, from_episodes
from credo.environments import Episode
from credo.experts import ExpertCard, write_expert
from credo.policies import Layer, Policy


def _episodes(lengths: list[int], seed: int = 0, observation_size: int = 3, action_size: int = 2) -> list[Episode]:
    generator = np.random.default_rng(seed)
    return [
        Episode(
            observation=generator.normal(size=(length + 1, observation_size)).astype(np.float32),
            action=generator.uniform(-1, 1, (length, action_size)).astype(np.float32),
            reward=generator.normal(size=length).astype(np.float32),
            terminated=k % 2 == 0,
            truncated=k % 2 == 1,
            success=None,
        )
        for k, length in enumerate(lengths)
    ]


@pytest.fixture(scope="session")
def make_episodes() -> Callable[..., list[Episode]]:
    return _episodes


@pytest.fixture(scope="session")
def make_demonstrations() -> Callable[..., Demonstrations]:
    def make(lengths: list[int], seed: int = 0) -> Demonstrations:
        bounds = np.array([[-2, -1], [2, 3]], np.float32)
        return from_episodes(_episodes(lengths, seed), "Probe-v0", "made up", bounds)

    return make


@pytest.fixture(scope="session")
def pendulum_policy() -> Policy:
    generator = np.random.default_rng(5)
    sizes = [3, 32, 32, 1]
    return Policy(
        layers=tuple(
            Layer(generator.normal(size=(rows, columns)) * 0.4, generator.normal(size=columns) * 0.1)
            for rows, columns in itertools.pairwise(sizes)
        ),
        activation="relu",
        observation_mean=np.zeros(3),
        observation_std=np.ones(3),
        action_low=np.array([-2.0]),
        action_high=np.array([2.0]),
        environment="Pendulum-v1",
    )


@pytest.fixture
def fake_expert(tmp_path, monkeypatch, pendulum_policy) -> ExpertCard:
    """The one shipped expert is "pendulum-expert", and the cache is an empty folder."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(experts, "FOLDER", folder)
    monkeypatch.setenv("CREDO_CACHE", str(tmp_path / "cache"))
    card = ExpertCard(
        name="pendulum-expert",
        environment="Pendulum-v1",
        algorithm="sac",
        config={"hidden": [32, 32]},
        seed=3,
        steps=1000,
        versions={"numpy": np.__version__},
        return_mean=-1200.0,
        return_std=300.0,
        return_min=-1700.0,
        episodes=2,
    )
    return write_expert(pendulum_policy, card, folder)
