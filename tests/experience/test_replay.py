"""The ring buffer against a plain list, over any sequence of chunks, with wrap-around and full capacity."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credo.experience import Replay, bytes_needed
from credo.types import Transition


def chunks_of(lengths, lanes, end_chance, seed):
    """Streams of numbered observations: successor = +1 inside an episode, true last observation = -number."""
    rng = np.random.default_rng(seed)
    current = np.arange(lanes) * 1e4
    for length in lengths:
        observation, following, ended, terminated = (np.zeros((length, lanes)) for _ in range(4))
        for t in range(length):
            observation[t] = current
            ended[t] = rng.random(lanes) < end_chance
            terminated[t] = ended[t] * (rng.random(lanes) < 0.5)
            following[t] = np.where(ended[t], -current - 1, current + 1)
            current = np.where(ended[t], current + 10, current + 1)
        yield (
            Transition(
                observation[..., None].astype(np.float32),
                -observation[..., None].astype(np.float32),
                observation.astype(np.float32) * 2,
                following[..., None].astype(np.float32),
                terminated.astype(bool),
            ),
            ended.astype(bool),
        )


def model_rows(history, lanes, length):
    """The newest ``length`` steps of every lane as a set of tuples."""
    rows = set()
    for lane in range(lanes):
        steps = [
            tuple(float(np.ravel(field[t, lane])[0]) for field in jax.tree.leaves(chunk))
            for chunk, _ in history
            for t in range(chunk.reward.shape[0])
        ]
        rows.update(steps[-length:])
    return rows


def held_rows(replay):
    batch = replay.gather(replay._slots_of(replay.oldest, replay.written).ravel())
    return [tuple(float(np.ravel(field[i])[0]) for field in jax.tree.leaves(batch)) for i in range(len(replay))]


def take_over(replay, other, pieces=1):
    """Bring ``replay`` to the state of ``other`` through what a checkpoint keeps of it."""
    cuts = np.linspace(other.oldest, other.written, pieces + 1).astype(int)
    rows = [(start, other.rows(start, stop)) for start, stop in itertools.pairwise(cuts)]
    replay.restore(other.written, rows, other.newest())


@settings(deadline=None, max_examples=150)
@given(
    lanes=st.integers(1, 3),
    length=st.integers(1, 9),
    lengths=st.lists(st.integers(1, 23), min_size=1, max_size=8),
    end_chance=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 100),
)
def test_holds_exactly_the_newest_transitions_with_their_true_successors(lanes, length, lengths, end_chance, seed):
    replay = Replay(lanes * length, 1, 1, lanes)
    history = []
    for chunk, ended in chunks_of(lengths, lanes, end_chance, seed):
        history.append((chunk, ended))
        replay.add(chunk, ended)
        rows = held_rows(replay)
        assert len(rows) == len(set(rows)) == lanes * min(length, sum(lengths[: len(history)]))
        assert set(rows) == model_rows(history, lanes, length)
    used = replay.side.shape[0] - len(replay.side_free)
    assert used == np.sum(replay.side_index != -1), "side rows leak"

    copy = Replay(lanes * length, 1, 1, lanes)
    take_over(copy, replay, pieces=2)
    more, ended = next(chunks_of([5], lanes, end_chance, seed + 1))
    replay.add(more, ended)
    copy.add(more, ended)
    assert held_rows(copy) == held_rows(replay)


def test_samples_uniformly_over_lanes_and_slots():
    replay = Replay(8, 1, 1, 2)
    for chunk, ended in chunks_of([3], 2, 0.0, 0):
        replay.add(chunk, ended)
    slots = replay.sample_slots(np.random.default_rng(0), (6000,))
    values, counts = np.unique(slots, return_counts=True)
    assert values.tolist() == [0, 1, 2, 4, 5, 6]
    assert counts.min() > 850  # 1000 expected, standard deviation 29


def test_a_longer_buffer_takes_over_one_that_never_wrapped():
    short, long = Replay(8, 1, 1), Replay(100, 1, 1)
    for chunk, ended in chunks_of([6], 1, 0.3, 0):
        short.add(chunk, ended)
    take_over(long, short)
    assert held_rows(long) == held_rows(short)


def test_a_wrapped_buffer_is_not_taken_over_by_another_length():
    short, long = Replay(8, 1, 1), Replay(100, 1, 1)
    for chunk, ended in chunks_of([12], 1, 0.3, 0):
        short.add(chunk, ended)
    with pytest.raises(ValueError, match="do not fit"):
        take_over(long, short)


def test_memory_estimate_is_what_the_arrays_take():
    replay = Replay(1000, 11, 3)
    arrays = [
        replay.observation,
        replay.action,
        replay.reward,
        replay.terminated,
        replay.ended,
        replay.side_index,
    ]
    assert bytes_needed(1000, 11, 3) == sum(array.nbytes for array in arrays)


def test_a_step_whose_episode_was_ended_for_it_keeps_its_own_successor():
    """Where a resumed run cannot restore an episode, the next step begins another."""
    replay = Replay(8, 1, 1)
    for number in (1.0, 50.0):
        one = np.full((1, 1, 1), number, np.float32)
        ends = np.zeros((1, 1), bool)
        replay.add(Transition(one, one, one[..., 0], one + 1, ends), ends)
        replay.end_episode(0)
    np.testing.assert_array_equal(replay.gather(np.array([0, 1])).next_observation, [[2.0], [51.0]])
