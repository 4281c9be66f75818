"""Seeds in threads run ahead of one another between evaluations, and end where they would have side by side."""

import contextlib
import threading

import numpy as np
import pytest

from credo.environments import environment_spec, make_environment
from credo.training import execution, threads
from credo.training.seed import make_seed
from credo.training.state import initial_state, make_constants, make_parts
from training.training_runs import changed

ROUNDS = 6
CONFIG = changed(
    reward="environment", random_steps=0, updates_per_round=0, execution="threads", seeds=2, steps=16 * ROUNDS
)


@contextlib.contextmanager
def prepared(monkeypatch, stopped=lambda: False, cores=2):
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    environment = make_environment("Pendulum-v1")
    parts = make_parts(CONFIG, environment_spec(environment, "Pendulum-v1"))
    environment.close()
    constants = make_constants(parts, None, np.zeros((0, 3)), np.zeros((0, 1)))
    seeds = [make_seed(CONFIG, "Pendulum-v1", n, initial_state(parts, n)) for n in range(CONFIG.seeds)]
    made = execution.make_execution(parts, constants, seeds, stopped)
    try:
        yield made, seeds
    finally:
        made.close()
        for seed in seeds:
            seed.environments.close()
            seed.evaluator.close()


def before_each_step(seed, hook):
    step = seed.environments.step

    def hooked(action):
        hook()
        return step(action)

    seed.environments.step = hooked


def actions(seeds):
    return [seed.replay.action[: 16 * ROUNDS].copy() for seed in seeds]


@pytest.fixture
def side_by_side(monkeypatch):
    with prepared(monkeypatch, cores=1) as (made, seeds):
        for number in range(ROUNDS):
            made.advance(seeds, range(number, number + 1), lambda number: None)
        return actions(seeds)


def test_a_seed_that_takes_long_holds_no_other_up(monkeypatch, side_by_side):
    ahead = threading.Event()
    waited, told = [], []
    with prepared(monkeypatch) as (made, seeds):

        def release():
            if seeds[1].next_round == ROUNDS - 1:
                ahead.set()

        before_each_step(seeds[0], lambda: waited.append(all(waited) and ahead.wait(60)))
        before_each_step(seeds[1], release)

        def tell(number):
            told.append(number)
            assert all(seed.next_round > number for seed in seeds)

        made.advance(seeds, range(ROUNDS), tell)
        assert all(waited), "the other seed did not get to its last round while this one was in its first"
        assert told == list(range(ROUNDS))
        np.testing.assert_array_equal(actions(seeds), side_by_side)


def test_no_seed_leaves_the_rounds_asked_for(monkeypatch):
    with prepared(monkeypatch) as (made, seeds):
        made.advance(seeds, range(2), lambda number: None)
        assert [seed.next_round for seed in seeds] == [2, 2]
        made.advance(seeds, range(2), lambda number: None)
        assert [seed.next_round for seed in seeds] == [2, 2]


@pytest.mark.parametrize("cores", [1, 2])
def test_a_stop_leaves_seeds_apart_and_they_go_on_to_the_same_end(monkeypatch, side_by_side, cores):
    stop = threading.Event()
    with prepared(monkeypatch, stop.is_set, cores) as (made, seeds):

        def stop_in_the_third_round():
            if seeds[1].next_round == 2:
                stop.set()

        before_each_step(seeds[1], stop_in_the_third_round)
        told = []
        made.advance(seeds, range(ROUNDS), told.append)
        assert seeds[1].next_round == 3, "the round under way is ended and no other begun"
        assert told == list(range(min(seed.next_round for seed in seeds)))
        stop.clear()
        del seeds[1].environments.step
        made.advance(seeds, range(min(seed.next_round for seed in seeds), ROUNDS), told.append)
        assert told == list(range(ROUNDS))
        np.testing.assert_array_equal(actions(seeds), side_by_side)
