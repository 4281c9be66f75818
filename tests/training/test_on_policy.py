"""Rollouts as they are made, and what a run of a learner that learns from them alone promises."""

import functools
import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest

from credo import run_folder, run_rows
from credo.config import DiscriminatorConfig, RunConfig
from credo.environments import environment_spec, make_environment
from credo.environments.probes import AutoresetProbe
from credo.presets import DEFAULT, preset
from credo.training import rounds
from credo.training.checks import check_memory, doubts
from credo.training.seed import draw_experience
from credo.types import CredoError, Rollout
from training.training_runs import ON_POLICY, assert_same_seed, changed, demonstrations, run

SHORT = changed(ON_POLICY, steps=64, seeds=2, checkpoint_interval=64, evaluation_interval=64)
REWARDED = changed(SHORT, reward="environment", demonstrations="")


@pytest.fixture
def drawn(monkeypatch):
    """Every experience that a run learned from: (seed, round) to it."""
    found = {}

    def spy(config, seed, fresh, round_number):
        found[seed.number, round_number] = draw_experience(config, seed, fresh, round_number)
        return found[seed.number, round_number]

    monkeypatch.setattr(rounds, "draw_experience", spy)
    return found


@pytest.mark.parametrize("how", ["threads", "vmap"])
@pytest.mark.parametrize("terminates", [True, False])
def test_a_rollout_is_the_steps_of_a_round_in_order(terminates, how, drawn, tmp_path):
    length = 5  # no divisor of a round's 8 steps in each of 2 environments: episodes cross rounds
    source = functools.partial(AutoresetProbe, length, terminates)
    assert run(tmp_path / "run", changed(REWARDED, environment="probe", execution=how), source) == "done"
    assert drawn.keys() == {(seed, number) for seed in (0, 1) for number in range(4)}
    for (_, number), experience in drawn.items():
        rollout = experience.batches
        assert isinstance(rollout, Rollout)
        assert rollout.raw_action.shape == rollout.action.shape == (8, 2, 1)
        assert experience.policy_action.shape[0] == 0
        counted = np.arange(8 * number, 8 * number + 8)[:, None] + np.zeros((8, 2))
        np.testing.assert_array_equal(rollout.observation[..., 1], counted % length)
        np.testing.assert_array_equal(rollout.next_observation[..., 1], counted % length + 1)
        np.testing.assert_array_equal(rollout.next_observation[..., 0], rollout.observation[..., 0])
        np.testing.assert_array_equal(rollout.reward, counted % length + 1)
        np.testing.assert_array_equal(rollout.ended, counted % length == length - 1)
        np.testing.assert_array_equal(rollout.terminated, rollout.ended & terminates)
        np.testing.assert_array_equal(rollout.action, np.clip(rollout.raw_action, -1, 1))
    # Of each seed, round and environment: with a deviation of 1.6 and a policy near 0, what differs is the noise.
    raw = [actions for key in sorted(drawn) for actions in drawn[key].batches.raw_action[..., 0].T]
    assert np.abs(raw).max() > 1
    for one, other in itertools.combinations(raw, 2):
        assert np.median(np.abs(one - other)) > 0.2


@pytest.mark.parametrize("how", ["threads", "vmap"])
def test_raw_actions_are_draws_from_the_policy_of_the_round(how, drawn, tmp_path):
    """The first policy is next to 0 in every observation, so the actions are its noise."""
    config = changed(REWARDED, steps=512, steps_per_round=512, evaluation_interval=512, execution=how)
    run(tmp_path / "run", config)
    assert len(drawn) == config.seeds * config.rounds
    for experience in drawn.values():
        raw = experience.batches.raw_action
        assert abs(raw.mean()) < 0.25
        assert raw.std() == pytest.approx(np.exp(config.ppo.initial_log_std), rel=0.15)


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group") / "run"
    assert run(folder, SHORT, data=demonstrations()) == "done"
    return folder


def test_alone_as_in_a_group_bitwise(group, tmp_path):
    run(tmp_path / "alone", changed(SHORT, seeds=1, first_seed=1), data=demonstrations())
    assert_same_seed(tmp_path / "alone", group, 1)


def test_vmap_agrees_with_threads(group, tmp_path):
    run(tmp_path / "vmap", changed(SHORT, execution="vmap"), data=demonstrations())
    for seed in range(2):
        assert_same_seed(tmp_path / "vmap", group, seed, tolerance=2e-3)


def test_what_is_recorded(group):
    metrics = run_rows.read_parts(group, run_folder.METRICS)
    for name in ("approx_kl", "clip_fraction", "entropy", "explained_variance", "value_mean", "critic_loss"):
        assert np.isfinite(metrics[name]).all(), name
    for name in ("actor_gradient_max", "actor_gradient_norm", "critic_gradient_max", "discriminator_gradient_max"):
        assert (metrics[name] > 0).all(), name
    assert (metrics["update_share"] == 1).all(), "from the first round on"


def test_nothing_is_kept_where_the_discriminator_sees_fresh_samples(drawn, tmp_path):
    kept = []
    config = changed(SHORT, seeds=1, replay_capacity=10**9, steps=32)
    run(tmp_path / "run", config, data=demonstrations(), on_round=lambda progress: kept.append(progress.seeds))
    replay = kept[-1][0].replay
    assert (replay.capacity, len(replay)) == (2, 0)
    for experience in drawn.values():
        fresh = {row.tobytes() for row in experience.batches.observation.reshape(-1, 3)}
        chosen = experience.policy_observation.reshape(-1, 3)
        assert len(chosen) == 16
        assert {row.tobytes() for row in chosen} <= fresh


def test_the_discriminator_may_see_the_replay(drawn, tmp_path):
    config = changed(SHORT, seeds=1, steps=128, discriminator=changed(SHORT.discriminator, policy_samples="replay"))
    run(tmp_path / "run", config, data=demonstrations())
    first = {row.tobytes() for row in drawn[0, 0].batches.observation.reshape(-1, 3)}
    later = {row.tobytes() for number in (4, 5, 6, 7) for row in drawn[0, number].policy_observation.reshape(-1, 3)}
    assert first & later


@functools.cache
def pendulum():
    environment = make_environment("Pendulum-v1")
    spec = environment_spec(environment, "Pendulum-v1")
    environment.close()
    return spec


def test_only_a_replay_that_is_kept_needs_memory():
    config = changed(ON_POLICY, steps=10**9, replay_capacity=10**9)
    check_memory(config, pendulum(), available=10**6)
    with_replay = changed(config, discriminator=changed(config.discriminator, policy_samples="replay"))
    with pytest.raises(CredoError, match="replay_capacity"):
        check_memory(with_replay, pendulum(), available=10**6)
    # A clone learns from the demonstrations alone.
    paper = changed(preset("paper"), replay_capacity=10**9, steps=10**9)
    with pytest.raises(CredoError, match="replay_capacity"):
        check_memory(paper, pendulum(), available=10**9)
    check_memory(changed(paper, learner="bc"), pendulum(), available=10**9)


def test_networks_that_cannot_fit_are_refused_before_anything_is_allocated():
    config = RunConfig(td3=changed(RunConfig().td3, hidden=(200_000, 200_000)), seeds=3, steps=1000)
    with pytest.raises(CredoError, match=r"hidden: networks of 3 seeds .*lower --td3.hidden, --discriminator.hidden"):
        check_memory(config, pendulum(), available=2**36)
    check_memory(changed(config, td3=RunConfig().td3), pendulum(), available=2**36)


def test_settings_without_meaning_are_told_in_one_line():
    def told(**changes):
        return doubts(RunConfig(reward="environment", **changes), pendulum())

    assert told(learner="ppo", steps_per_round=2048) == told(learner="sac", replay_capacity=500) == []
    assert told(steps=1024, learning_starts=1024, random_steps=1023) == []
    (line,) = told(steps=1024, learning_starts=1025, random_steps=0)
    assert "learning_starts: 1,025 of 1,024" in line
    (line,) = told(steps=300, learning_starts=64, random_steps=64)
    assert line == "steps: 300 are no whole rounds of 64; 256 are trained"
    assert told(steps=100_000) == []
    (line,) = told(learner="ppo", steps=5000, steps_per_round=2048)
    assert "4,096 are trained" in line
    (line,) = told(updates_per_round=0)
    assert "updates_per_round: 0" in line
    (line,) = told(steps=1024, learning_starts=0, random_steps=1024)
    assert "random_steps: 1,024 of 1,024" in line
    (line,) = told(learner="ppo", steps_per_round=2048, replay_capacity=500, random_steps=7)
    assert "replay_capacity, random_steps" in line or "random_steps, replay_capacity" in line
    assert "learning_starts" not in line
    (line,) = told(learner="ppo")
    assert "64 steps" in line


def test_a_presets_own_settings_are_not_told_as_idle():
    """They are the preset's, not the user's."""
    settings = preset(DEFAULT).discriminator
    assert settings.gradient_penalty != RunConfig().discriminator.gradient_penalty
    without = replace(preset(DEFAULT), discriminator=replace(settings, regularisers=("mixup",)))
    assert doubts(without, pendulum()) == []
    chosen = replace(without, discriminator=replace(without.discriminator, gradient_penalty=3.5))
    (line,) = doubts(chosen, pendulum())
    assert "discriminator.gradient_penalty: not used" in line


def test_no_remedy_is_named_that_would_be_refused():
    """AIRL refuses absorbing states."""
    hopper = pendulum()._replace(name="Hopper-v5")
    for kind, named in (("gail", True), ("airl-state", False)):
        config = RunConfig(learner="sac", reward="cr", discriminator=DiscriminatorConfig(kind=kind))
        (line,) = doubts(config, hopper)
        assert ("absorbing-states" in line) == named


def test_the_policy_of_the_run_folder_is_the_mode_of_the_learner(group):
    """A tanh network is exported as one."""
    from credo.policies import load_policy
    from credo.training.checkpoint import all_checkpoints
    from credo.training.state import initial_state, make_parts
    from training.training_runs import states

    policy = load_policy(run_folder.policy_path(group, 0, "last"))
    assert all_checkpoints(group)
    parts = make_parts(SHORT, pendulum())
    learner_state = initial_state(parts, 0).learner
    arrays = states(group)[0]

    def stored(path, leaf):
        return arrays[f"state/.learner{jax.tree_util.keystr(path)}"]

    learner_state = jax.tree_util.tree_map_with_path(stored, learner_state)
    observation = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    seen = (observation - policy.observation_mean) / policy.observation_std
    expected = parts.learner.mode(learner_state, seen)
    np.testing.assert_allclose(policy.normalised_action(observation), expected, rtol=1e-5, atol=1e-6)
