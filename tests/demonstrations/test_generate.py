from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import credo
from credo.demonstrations import generate_demonstrations
from credo.demonstrations.generate import LANES
from credo.environments.probes import PointMass, point_mass_expert
from credo.policies import Layer, Policy
from credo.types import CredoError


def short_policy(size: int = 64) -> Policy:
    """Falls at once on Hopper-v5: short episodes of different lengths."""
    generator = np.random.default_rng(0)
    sizes = [11, size, size, 3]
    return Policy(
        layers=tuple(
            Layer(generator.normal(size=(rows, columns)) * 0.2, np.zeros(columns))
            for rows, columns in itertools.pairwise(sizes)
        ),
        activation="relu",
        observation_mean=np.zeros(11),
        observation_std=np.ones(11),
        action_low=-np.ones(3),
        action_high=np.ones(3),
        environment="Hopper-v5",
    )


@pytest.fixture(scope="module")
def hopper_20():
    return generate_demonstrations("Hopper-v5", short_policy(), episodes=20, seed=4)


def test_episodes_and_action_noise(hopper_20):
    policy = short_policy()
    assert hopper_20.episodes == 20
    assert hopper_20.environment == "Hopper-v5"
    assert hopper_20.terminated.sum() == 20
    assert len(set(hopper_20.returns.tolist())) == 20
    clean = policy.normalised_action(hopper_20.observation)
    inside = np.abs(clean) < 0.95
    noise = (hopper_20.action - clean)[inside]
    assert noise.std() == pytest.approx(0.01, rel=0.2)
    assert abs(noise.mean()) < 0.003
    np.testing.assert_array_equal(hopper_20.action_bounds, [[-1, -1, -1], [1, 1, 1]])
    silent = generate_demonstrations("Hopper-v5", policy, episodes=2, noise=0.0)
    np.testing.assert_allclose(silent.action, policy.normalised_action(silent.observation), atol=1e-6)


def test_a_shorter_request_is_the_beginning_of_a_longer_one(hopper_20):
    for episodes in (3, LANES, 17):
        part = generate_demonstrations("Hopper-v5", short_policy(), episodes=episodes, seed=4)
        assert part.sha256 == hopper_20.select_episodes(range(episodes)).sha256
    assert generate_demonstrations("Hopper-v5", short_policy(), episodes=3, seed=5).sha256 != part.sha256
    numpys = generate_demonstrations("Hopper-v5", short_policy(), episodes=np.int16(3), seed=np.int16(4))
    assert numpys.sha256 == hopper_20.select_episodes(range(3)).sha256


def test_exact_transitions(hopper_20):
    count = int(hopper_20.episode_start[18]) - 1
    part = generate_demonstrations("Hopper-v5", short_policy(), transitions=count, seed=4)
    assert len(part) == count
    assert part.sha256 == hopper_20.first_transitions(count).sha256
    assert (part.truncated[-1], part.terminated[-1]) == (True, False)
    np.testing.assert_array_equal(part.returns, hopper_20.returns[:18])


def test_number_of_processes_changes_nothing():
    # 256 wide: a product of this size is what the linear algebra library might divide among threads.
    policy, done = short_policy(256), []
    alone = generate_demonstrations("Hopper-v5", policy, episodes=50, processes=1)
    for processes in (2, 3):
        together = generate_demonstrations(
            "Hopper-v5", policy, episodes=50, processes=processes, on_progress=lambda *a: done.append(a)
        )
        assert together.sha256 == alone.sha256
    assert done == [(16, 50), (32, 50), (48, 50), (50, 50)] * 2
    count = len(alone) - 1
    cut = generate_demonstrations("Hopper-v5", policy, transitions=count, processes=2)
    assert cut.sha256 == alone.first_transitions(count).sha256


def test_progress_in_transitions():
    done: list[tuple[int, int]] = []
    generate_demonstrations("Hopper-v5", short_policy(), transitions=400, on_progress=lambda *a: done.append(a))
    assert done[-1] == (400, 400)
    assert done == sorted(set(done))


def test_a_plain_function_as_expert():
    d = generate_demonstrations("Pendulum-v1", lambda observation: observation[:, :1], episodes=2, noise=0.5)
    assert np.abs(d.action).max() == 1
    assert (len(d), d.truncated.sum()) == (400, 2)
    np.testing.assert_array_equal(d.action_bounds, [[-2], [2]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of the two"),
        ({"episodes": 1, "transitions": 1}, "one of the two"),
        ({"episodes": 0}, "episodes: 0 is not possible; it must be a whole number of 1 or more"),
        ({"episodes": 2.5}, "episodes: 2.5 is not possible"),
        ({"episodes": "3"}, "episodes: '3' is not possible"),
        ({"episodes": True}, "episodes: True is not possible"),
        ({"transitions": -3}, "transitions: -3 is not possible"),
        ({"transitions": 3.0}, "transitions: 3.0 is not possible"),
        ({"episodes": 1, "noise": -0.1}, "noise: -0.1 is not possible"),
        ({"episodes": 1, "noise": float("nan")}, "noise: nan is not possible"),
        ({"episodes": 1, "noise": "a"}, "noise: 'a' is not possible"),
        ({"episodes": 1, "seed": -1}, "seed: -1 is not possible; it must be a whole number of 0 or more"),
        ({"episodes": 1, "seed": 1.5}, "seed: 1.5 is not possible"),
        ({"episodes": 1, "processes": 0}, "processes: 0 is not possible"),
        ({"episodes": 1, "processes": "2"}, "processes: '2' is not possible"),
    ],
)
def test_bad_requests(pendulum_policy, arguments, message):
    with pytest.raises(CredoError, match=message):
        generate_demonstrations("Pendulum-v1", pendulum_policy, **arguments)


def test_experts_that_do_not_work(pendulum_policy):
    with pytest.raises(CredoError, match="observation has 3 dimensions, but Hopper-v5 has 11"):
        generate_demonstrations("Hopper-v5", pendulum_policy, episodes=1)
    with pytest.raises(CredoError, match="environment"):
        generate_demonstrations("Hoper-v5", pendulum_policy, episodes=1)
    wide = replace(
        pendulum_policy,
        layers=(Layer(np.zeros((3, 2)), np.zeros(2)),),
        action_low=-np.ones(2),
        action_high=np.ones(2),
    )
    with pytest.raises(CredoError, match="action has 2 dimensions, but Pendulum-v1 has 1"):
        generate_demonstrations("Pendulum-v1", wide, episodes=1)
    with pytest.raises(CredoError, match="not finite"):
        generate_demonstrations("Pendulum-v1", lambda observation: observation[:, :1] * np.nan, episodes=1)
    with pytest.raises(CredoError, match="shape"):
        generate_demonstrations("Pendulum-v1", lambda observation: observation, episodes=1)


class Unmade:
    """An expert that somebody forgot to make."""


def failing(observation: np.ndarray) -> np.ndarray:
    raise KeyError("joint\n3")


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        (failing, "the expert raised KeyError: 'joint.*3'"),
        (lambda: 0, "the expert raised TypeError: .* 0 positional arguments but 1 was given"),
        (lambda observation: {"action": 0}, "the expert raised TypeError"),
        (Unmade, "the expert Unmade is a class; a function"),
        (lambda observation: 2 * np.ones((len(observation), 1)), "the policy's action is 2 "),
    ],
)
def test_an_expert_that_fails_is_one_line(expert, message):
    with pytest.raises(CredoError, match=message) as caught:
        generate_demonstrations("Pendulum-v1", expert, episodes=1)
    assert "\n" not in str(caught.value)


def nan_action(observation: np.ndarray) -> np.ndarray:
    return np.full((len(observation), 1), np.nan)


def test_errors_in_worker_processes_come_back_as_one_line():
    with pytest.raises(CredoError, match="not finite"):
        generate_demonstrations("Pendulum-v1", nan_action, episodes=40, processes=2)
    with pytest.raises(CredoError, match="the expert raised KeyError"):
        generate_demonstrations("Pendulum-v1", failing, episodes=40, processes=2)
    with pytest.raises(CredoError, match="cannot be sent to another process"):
        generate_demonstrations("Pendulum-v1", lambda observation: observation, episodes=40, processes=2)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_no_worker_outlives_a_program_that_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import multiprocessing, os, signal
        from credo.demonstrations import generate_demonstrations

        def still(observation):
            return observation[:, :1] * 0

        def die(done, total):
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        if __name__ == "__main__":
            generate_demonstrations("Pendulum-v1", still, episodes=400, processes=2, on_progress=die)
        """)
    )
    environment = os.environ | {"PYTHONPATH": str(Path(credo.__file__).parents[1])}
    ended = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=120)
    workers = [Path("/proc") / number for number in ended.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 60
    while any(worker.exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sets_of_neighbouring_seeds_share_no_episode():
    """The second chunk of seed 0 is not the first of seed 1."""
    many = generate_demonstrations(PointMass, point_mass_expert, episodes=LANES + 1, seed=0)
    other = generate_demonstrations(PointMass, point_mass_expert, episodes=1, seed=1)
    assert not np.array_equal(many.episode(LANES).observation[0], other.episode(0).observation[0])
