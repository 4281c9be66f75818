from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credo.demonstrations import check_fits, from_episodes, from_transitions
from credo.demonstrations.dataset import tensors
from credo.types import CredoError, EnvironmentSpec

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def same(first, second) -> bool:
    left, right = tensors(first), tensors(second)
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


@given(lengths=LENGTHS)
@settings(max_examples=50, deadline=None)
def test_arrays_are_those_of_the_episodes(make_episodes, make_demonstrations, lengths):
    episodes, demonstrations = make_episodes(lengths), make_demonstrations(lengths)
    assert (demonstrations.episodes, len(demonstrations)) == (len(lengths), sum(lengths))
    np.testing.assert_array_equal(
        demonstrations.next_observation, np.concatenate([episode.observation[1:] for episode in episodes])
    )
    np.testing.assert_array_equal(demonstrations.lengths, lengths)
    np.testing.assert_allclose(demonstrations.returns, [episode.reward.sum(dtype=np.float64) for episode in episodes])
    for k, episode in enumerate(episodes):
        held = demonstrations.episode(k)
        np.testing.assert_array_equal(held.observation, episode.observation[:-1])
        np.testing.assert_array_equal(held.next_observation, episode.observation[1:])
        np.testing.assert_array_equal(held.action, episode.action)
        np.testing.assert_array_equal(held.reward, episode.reward)
        assert (held.terminated, held.truncated) == (episode.terminated, episode.truncated)
    ends = demonstrations.episode_start[1:] - 1
    terminated = (len(lengths) + 1) // 2
    assert demonstrations.terminated.sum() == demonstrations.terminated[ends].sum() == terminated


@given(lengths=LENGTHS, data=st.data())
@settings(max_examples=50, deadline=None)
def test_flat_transitions_give_the_same(make_demonstrations, lengths, data):
    d = make_demonstrations(lengths)
    arguments = (d.observation, d.action, d.next_observation, d.terminated, d.truncated, d.reward)
    again = from_transitions(*arguments, d.environment, "elsewhere", d.action_bounds)
    assert same(d, again)
    assert d.sha256 == again.sha256
    rows = np.array(data.draw(st.lists(st.integers(0, len(d) - 1), max_size=5)), dtype=int)
    batch = d.transitions(rows)
    for name in ("observation", "action", "next_observation", "terminated", "reward"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(d, name)[rows])


@given(lengths=LENGTHS, data=st.data())
@settings(max_examples=50, deadline=None)
def test_selected_episodes(make_demonstrations, lengths, data):
    d = make_demonstrations(lengths).subsample(data.draw(st.integers(1, 4)), 0)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=5))
    selected = d.select_episodes(chosen)
    for k, index in enumerate(chosen):
        for before, after in zip(d.episode(index), selected.episode(k), strict=True):
            np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(selected.returns, d.returns[chosen])
    assert same(d.select_episodes(range(d.episodes)), d)


@given(lengths=LENGTHS, stride=st.integers(1, 15), seed=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_subsample_keeps_true_successors(make_demonstrations, lengths, stride, seed):
    d = make_demonstrations(lengths)
    thin = d.subsample(stride, seed)
    for k in range(d.episodes):
        whole, part = d.episode(k), thin.episode(k)
        first = int(np.flatnonzero((whole.observation == part.observation[0]).all(axis=1))[0])
        assert first < stride
        for before, after in zip(whole[:4], part[:4], strict=True):
            np.testing.assert_array_equal(before[first::stride], after)
        assert part.terminated == (whole.terminated and (lengths[k] - 1 - first) % stride == 0)
        assert part.truncated == whole.truncated
    np.testing.assert_array_equal(thin.lengths, lengths)
    np.testing.assert_array_equal(thin.returns, d.returns)
    assert same(thin, d.subsample(stride, seed))
    if stride == 1:
        assert same(thin, d)


@given(lengths=LENGTHS, count=st.integers(1, 5), stride=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_a_subsampled_set_can_be_cut_and_subsampled_again(make_demonstrations, lengths, count, stride):
    d = make_demonstrations(lengths)
    thin = d.subsample(2, 0)
    part = thin.first_transitions(min(count, len(thin)))
    np.testing.assert_array_equal(part.next_observation, thin.next_observation[: len(part)])
    twice = thin.subsample(stride, 1)
    successor = {tuple(row): tuple(after) for row, after in zip(d.observation, d.next_observation, strict=True)}
    for row, after in zip(twice.observation, twice.next_observation, strict=True):
        assert successor[tuple(row)] == tuple(after)


def test_subsample_offsets_vary_by_episode_and_seed(make_demonstrations):
    d = make_demonstrations([40] * 8)
    thinned = [d.subsample(20, seed) for seed in (0, 1)]
    first = [thin.observation[thin.episode_start[:-1], 0].tolist() for thin in thinned]
    assert first[0] != first[1]
    offsets = {int(np.flatnonzero(d.episode(k).observation[:, 0] == first[0][k])[0]) for k in range(8)}
    assert len(offsets) > 3


@given(lengths=LENGTHS, data=st.data())
@settings(max_examples=50, deadline=None)
def test_first_transitions_cut_the_last_episode(make_demonstrations, lengths, data):
    d = make_demonstrations(lengths)
    count = data.draw(st.integers(1, len(d)))
    part = d.first_transitions(count)
    for name in ("observation", "action", "next_observation", "terminated", "reward"):
        np.testing.assert_array_equal(getattr(part, name), getattr(d, name)[:count])
    whole = count in d.episode_start
    np.testing.assert_array_equal(part.truncated[:-1], d.truncated[: count - 1])
    assert part.truncated[-1] == (d.truncated[count - 1] if whole else True)
    np.testing.assert_array_equal(part.returns, d.returns[: part.episodes])
    assert part.rows_per_episode.sum() == count


def test_split_by_episode(make_demonstrations):
    d = make_demonstrations([3, 5, 2, 7, 4])
    for fraction, held in [(0.01, 1), (0.4, 2), (0.99, 4)]:
        split = d.split_held_out(fraction, seed=0)
        assert (split.held_out.episodes, split.training.episodes, split.shared) == (held, 5 - held, False)
        assert sorted([*split.training.returns, *split.held_out.returns]) == sorted(d.returns)
    assert same(d.split_held_out(0.4, 0).held_out, d.split_held_out(0.4, 0).held_out)
    chosen = {tuple(d.split_held_out(0.4, seed).held_out.returns) for seed in range(10)}
    assert len(chosen) > 2
    single = make_demonstrations([3]).split_held_out(0.1, seed=0)
    assert single.shared
    assert same(single.training, single.held_out)
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(CredoError, match="fraction"):
            d.split_held_out(fraction, 0)


def test_statistics_against_numpy(make_demonstrations):
    d = make_demonstrations([70_000, 5])
    observation = np.array(d.observation)
    observation[:, 1] = 0.1  # constant, and no float32 sum of it is exact
    observation[:, 2] = 5 + 1e-5 * observation[:, 2]
    statistics = replace(d, observation=observation).statistics()
    np.testing.assert_allclose(statistics.mean, observation.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(statistics.std[0], observation[:, 0].std(dtype=np.float64), rtol=1e-6)
    assert statistics.std[1] == 1
    assert ((observation[:, 1] - statistics.mean[1]) / statistics.std[1] == 0).all()
    assert statistics.std[2] == np.float32(1e-3)
    assert statistics.mean.dtype == statistics.std.dtype == np.float32


def test_it_is_shown_in_a_line(make_demonstrations):
    text = repr(make_demonstrations([4, 5]))
    assert text.startswith("<Demonstrations of ")
    assert "2 episodes, 9 transitions" in text


def test_sha256_is_of_the_content(make_demonstrations):
    d = make_demonstrations([4, 2])
    # Fixed here: the run id holds it, so it must not change with platforms or releases.
    observation, flags = np.arange(8).reshape(4, 2), np.zeros(3, bool)
    simple = from_transitions(observation[:-1], np.zeros((3, 1)), observation[1:], flags, flags)
    simple = replace(simple, truncated=flags)
    assert simple.sha256 == "e57df24259a6706edba7a32ad237afe63d132ccac8ec745b00c265f58b5719b8"
    assert replace(d, source="another").sha256 == d.sha256
    changed = np.array(d.action)
    changed[3, 1] += 1e-3
    others = [
        replace(d, action=np.clip(changed, -1, 1)),
        replace(d, environment="Other-v0"),
        replace(d, reward=None),
        replace(d, action_bounds=None),
        d.select_episodes([1, 0]),
    ]
    assert len({d.sha256, *(other.sha256 for other in others)}) == 6


def test_arrays_are_read_only_and_the_callers_stay_writeable(make_episodes):
    episode = make_episodes([4])[0]
    d = from_episodes([episode], "Probe-v0")
    with pytest.raises(ValueError, match="read-only"):
        d.action[0] = 0
    observation = np.zeros((2, 1), np.float32)
    from_transitions(observation, observation, observation, np.zeros(2, bool), np.zeros(2, bool))
    observation[0] = 1


def test_an_episode_with_neither_flag_was_cut_off_and_did_not_fall(make_episodes):
    d = from_episodes([one._replace(terminated=False, truncated=False) for one in make_episodes([4, 6])], "Probe-v0")
    assert np.flatnonzero(d.truncated).tolist() == [3, 9]
    assert not d.fell(1000).any()


def test_other_number_types_become_float32(make_episodes):
    episode = make_episodes([4])[0]
    d = from_episodes([episode._replace(observation=episode.observation.astype(np.float64), reward=None)], "")
    assert d.observation.dtype == d.successor.dtype == d.action.dtype == np.float32
    assert d.returns is None
    assert np.isnan(d.transitions(np.arange(2)).reward).all()


def test_rounded_action_is_stored_within_the_box(make_demonstrations):
    d = make_demonstrations([4])
    action = np.array(d.action)
    action[1, 0] = np.nextafter(np.float32(1), np.float32(2))
    assert replace(d, action=action).action.max() == 1


def put(array, index, value):
    changed = np.array(array)
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: {"observation": put(d.observation, (5, 1), np.nan)},
            "observation: episode 1, step 2, dimension 1 is nan",
        ),
        (
            lambda d: {"action": put(d.action, (0, 0), -np.inf)},
            "action: episode 0, step 0, dimension 0 is -inf",
        ),
        (lambda d: {"reward": put(d.reward, 6, np.inf)}, "reward: episode 1, step 3 is inf"),
        (
            lambda d: {"successor": put(d.successor, (1, 2), np.nan)},
            "successor: episode 1, step 3, dimension 2 is nan",
        ),
        (lambda d: {"returns": put(d.returns, 0, np.nan)}, "returns: holds NaN"),
        (lambda d: {"environment": int}, "environment: type found, text expected"),
        (lambda d: {"action_bounds": d.action_bounds[::-1]}, "action_bounds: dimension 0 is .*; the lower first"),
        (
            lambda d: {"observation": d.observation.astype(np.float64) * 1e300},
            "observation: episode 0, step 0.*inf",
        ),
        (
            lambda d: {"action": put(d.action, (6, 1), 1.00001)},
            "action: episode 1, step 3, dimension 1 is 1.00001, -1 to 1",
        ),
        (lambda d: {"action": put(d.action, (6, 1), -3)}, "dimension 1 is -3, -1 to 1 expected"),
        (lambda d: {"action": d.action[:-1]}, r"action: shape \(6, 2\) found, \(7, 2\) expected"),
        (lambda d: {"action": np.zeros(7)}, "action: shape .* 2 axes"),
        (lambda d: {"action": np.full((7, 2), "a")}, "action: dtype"),
        (lambda d: {"observation": np.full((7, 3), None)}, "observation: dtype object"),
        (lambda d: {"observation": d.observation.astype(complex)}, "observation: dtype complex"),
        (lambda d: {"terminated": d.terminated.astype(float)}, "terminated: dtype float64 found, bool"),
        (lambda d: {"terminated": d.terminated[1:]}, "terminated: shape"),
        (
            lambda d: {"terminated": put(d.terminated, 4, True)},
            "terminated: episode 1, step 1 is not the episode's last",
        ),
        (lambda d: {"truncated": put(d.truncated, 0, True)}, "truncated: episode 0, step 0"),
        (lambda d: {"reward": d.reward[1:]}, "reward: shape"),
        (lambda d: {"episode_start": [0, 3, 3, 7]}, "episode 1 goes from row 3 to 3"),
        (lambda d: {"episode_start": [0, 5, 3, 7]}, "episode 1 goes from row 5 to 3"),
        (lambda d: {"episode_start": [1, 3, 7]}, "starts at 1, 0 expected"),
        (lambda d: {"episode_start": [0, 3, 6]}, r"ends at 6, the number of rows \(7\)"),
        (lambda d: {"episode_start": [0, 3, 8]}, "ends at 8"),
        (lambda d: {"episode_start": [0]}, "1 offsets found"),
        (lambda d: {"episode_start": np.array([0.0, 3.0, 7.0])}, "episode_start: dtype float64 found, int64"),
        (lambda d: {"episode_start": np.array([0, 2**64 - 1], np.uint64)}, "too large"),
        (lambda d: {"successor_row": [2]}, "successor: shape"),
        (lambda d: {"successor_row": [1, 6]}, "last observation of episode 0 is missing"),
        (lambda d: {"successor_row": [6, 2]}, "successor_row"),
        (lambda d: {"successor_row": [2, 9]}, "0 to 6 expected"),
        (lambda d: {"lengths": [3, 3]}, "episode 1 has more rows than steps"),
        (lambda d: {"lengths": [3, 4, 5]}, "lengths: shape"),
        (lambda d: {"action_bounds": np.zeros((2, 5))}, "action_bounds: shape"),
    ],
)
def test_bad_fields_are_named(make_demonstrations, change, message):
    d = make_demonstrations([3, 4])
    with pytest.raises(CredoError, match=message) as caught:
        replace(d, **change(d))
    assert "\n" not in str(caught.value)


def test_a_bad_row_late_in_a_large_set_is_found(make_demonstrations):
    d = make_demonstrations([70_000, 70_000])
    with pytest.raises(CredoError, match="action: episode 1, step 69999, dimension 0 is 2"):
        replace(d, action=put(d.action, (139_999, 0), 2))
    with pytest.raises(CredoError, match="observation: episode 1, step 69999, dimension 2 is nan"):
        replace(d, observation=put(d.observation, (139_999, 2), np.nan))


def test_a_million_empty_episodes_are_refused_at_once(make_demonstrations):
    with pytest.raises(CredoError, match="episode 0 goes from row 0 to 0"):
        replace(make_demonstrations([3]), episode_start=np.zeros(1_000_001, np.int64))


def test_empty_input(make_demonstrations, make_episodes):
    nothing, flags = np.zeros((0, 2), np.float32), np.zeros(0, bool)
    with pytest.raises(CredoError, match="empty"):
        from_episodes([], "Probe-v0")
    with pytest.raises(CredoError, match="empty"):
        from_transitions(nothing, nothing, nothing, flags, flags)
    with pytest.raises(CredoError, match="episode 1: empty"):
        from_episodes([*make_episodes([2]), *make_episodes([0])], "Probe-v0")
    with pytest.raises(CredoError, match="no episodes chosen"):
        make_demonstrations([2]).select_episodes([])


def test_episodes_that_cannot_be_joined(make_episodes):
    good, other = make_episodes([3]), make_episodes([3], observation_size=4)
    for bad, message in [
        (other[0], "episode 1: observation has 4 dimensions, episode 0 has 3"),
        (good[0]._replace(observation=good[0].observation[1:]), r"episode 1: observation has shape \(3, 3\)"),
        (good[0]._replace(reward=None), "episode 1: reward is known in some"),
        (good[0]._replace(reward=np.zeros(2)), "episode 1: reward has shape"),
        (good[0]._replace(action=np.zeros(3)), "episode 1: observation has shape"),
    ]:
        with pytest.raises(CredoError, match=message):
            from_episodes([*good, bad], "Probe-v0")


@pytest.mark.parametrize("index", [-1, 2])
def test_episode_that_does_not_exist(make_demonstrations, index):
    d = make_demonstrations([2, 3])
    for call in (d.episode, lambda k: d.select_episodes([0, k])):
        with pytest.raises(CredoError, match=f"episode {index} asked for, 0 to 1 exist"):
            call(index)


@pytest.mark.parametrize("count", [0, 6])
def test_more_transitions_than_there_are(make_demonstrations, count):
    with pytest.raises(CredoError, match="1 to 5 expected"):
        make_demonstrations([2, 3]).first_transitions(count)


def test_check_fits(make_demonstrations):
    d = make_demonstrations([3])
    low, high = np.array([-2, -1], np.float32), np.array([2, 3], np.float32)
    spec = EnvironmentSpec("Probe-v0", 3, 2, low, high, None)
    check_fits(d, spec)
    for change, message in [
        ({"observation_size": 11}, "observation has 3 dimensions, but Probe-v0 has 11"),
        ({"action_size": 1}, "action has 2 dimensions, but Probe-v0 has 1"),
        (
            {"action_high": np.array([2, 1], np.float32)},
            r"dimension 1 .*\[-1, 3\], but Probe-v0 has \[-1, 1\]",
        ),
    ]:
        with pytest.raises(CredoError, match=message):
            check_fits(d, spec._replace(**change))
    check_fits(replace(d, action_bounds=None), spec._replace(action_high=np.array([2, 1], np.float32)))


def test_an_expert_that_fits_is_named(make_demonstrations):
    high = np.ones(3, np.float32)
    with pytest.raises(CredoError, match="but Hopper-v4 has 11; shipped for it: hopper-expert"):
        check_fits(make_demonstrations([3]), EnvironmentSpec("Hopper-v4", 11, 3, -high, high, None))


def test_an_episode_that_reaches_the_time_limit_has_not_fallen(make_demonstrations):
    episodes = make_demonstrations([4, 4, 3])
    unknown = np.zeros(len(episodes), bool)
    assert replace(episodes, terminated=unknown, truncated=unknown).fell(4).tolist() == [False, False, True]
