"""Random streams: functions of seed, purpose and counters, all different."""

import itertools
import subprocess
import sys

import jax
import numpy as np
import pytest

from credo.random import Purpose, device_key, episode_seed, host_generator


def test_host_streams_repeat_and_differ_by_seed_purpose_and_counter():
    def draw(*name):
        return host_generator(*name).integers(0, 2**62, 4).tobytes()

    names = list(itertools.product((0, 1, 2, 10_007), Purpose, range(1, 5)))
    drawn = {draw(*name) for name in names}
    assert len(drawn) == len(names)
    assert draw(3, Purpose.REPLAY, 5) == draw(3, Purpose.REPLAY, 5)
    assert draw(1, Purpose.ACT, 2) != draw(2, Purpose.ACT, 1)


def test_a_last_counter_of_zero_is_as_good_as_none():
    """So a purpose must not be drawn from with and without a counter; were NumPy to change it, runs would change."""
    assert host_generator(3, Purpose.MEASURE).random() == host_generator(3, Purpose.MEASURE, 0).random()
    assert host_generator(3, Purpose.MEASURE).random() != host_generator(3, Purpose.MEASURE, 1).random()


def test_device_keys_differ_by_seed_and_purpose():
    keys = {
        np.asarray(jax.random.key_data(device_key(seed, purpose))).tobytes()
        for seed, purpose in itertools.product(range(6), Purpose)
    }
    assert len(keys) == 6 * len(Purpose)
    np.testing.assert_array_equal(
        jax.random.key_data(device_key(4, Purpose.ACT)),
        jax.random.key_data(jax.random.fold_in(jax.random.key(4), int(Purpose.ACT))),
    )


def test_every_episode_of_every_environment_has_a_seed_of_its_own():
    seeds = [
        episode_seed(seed, purpose, index, episode)
        for seed in range(4)
        for purpose in (Purpose.ENVIRONMENT, Purpose.EVALUATION)
        for index in range(4)
        for episode in range(50)
    ]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds) <= max(seeds) < 2**31


@pytest.mark.parametrize(
    ("purpose", "value"),
    [
        ("INITIALISE", 0),
        ("ACT", 1),
        ("REPLAY", 2),
        ("DISCRIMINATOR", 3),
        ("LEARNER", 4),
        ("ENVIRONMENT", 5),
        ("EVALUATION", 6),
        ("DEMONSTRATIONS", 7),
        ("MEASURE", 8),
    ],
)
def test_purposes_keep_their_numbers(purpose, value):
    assert Purpose[purpose] == value


def test_streams_are_the_same_in_another_process():
    script = (
        "from credo.random import *\n"
        "print(host_generator(5, Purpose.REPLAY, 7).integers(0, 10**9, 3).tolist(),"
        " episode_seed(5, Purpose.ENVIRONMENT, 1, 2))"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{script}"],
        check=True,
        capture_output=True,
        text=True,
    )
    expected = host_generator(5, Purpose.REPLAY, 7).integers(0, 10**9, 3).tolist()
    assert result.stdout.strip() == f"{expected} {episode_seed(5, Purpose.ENVIRONMENT, 1, 2)}"
