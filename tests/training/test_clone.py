"""Behavioural cloning: it learns, stops by held-out episodes, and starts any learner."""

import dataclasses
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import run_folder, run_rows
from credo.config import BCConfig, DDPGConfig, PPOConfig, RunConfig, SACConfig, SD3Config, TD3Config
from credo.demonstrations import from_episodes
from credo.environments import environment_spec, rollout_episodes
from credo.environments.probes import PointMass, point_mass_expert
from credo.files import read_json
from credo.learners import LEARNERS
from credo.policies import load_policy
from credo.random import Purpose, episode_seed
from credo.reports.load import load_run
from credo.storage import read_tensors
from credo.training import clone as clone_training
from credo.training import faults, loop
from credo.training.clone import make_data, make_state_cloner
from credo.training.state import initial_state, make_constants, make_parts
from credo.types import CredoError
from training.training_runs import assert_same_arrays, rows, run, unwatched

CLONE = RunConfig(
    environment="PointMass",
    demonstrations="given",
    learner="bc",
    seeds=2,
    evaluation_episodes=5,
    held_out=0.25,
    bc=BCConfig(hidden=(32,), batch_size=32, epochs=30, learning_rate=5e-3),
    ddpg=DDPGConfig(hidden=(8,)),
    td3=TD3Config(hidden=(8,)),
    sd3=SD3Config(hidden=(8,), noise_samples=2),
    sac=SACConfig(hidden=(8,)),
    ppo=PPOConfig(hidden=(8,)),
)


@pytest.fixture(scope="module")
def demonstrations():
    episodes = rollout_episodes(PointMass, point_mass_expert, 8, seed=0, purpose=Purpose.DEMONSTRATIONS)
    return from_episodes(episodes, "PointMass")


@pytest.fixture(scope="module")
def cloned(demonstrations, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "run"
    lines = []
    assert run(folder, CLONE, PointMass, demonstrations, lines=lines) == "done"
    assert sum("least held-out loss" in line for line in lines) == 2
    return folder


def mean_return(policy):
    played = rollout_episodes(PointMass, policy, 10, seed=11, purpose=Purpose.EVALUATION)
    return np.mean([episode.reward.sum() for episode in played])


def test_a_clone_does_as_the_expert(cloned):
    expert = mean_return(point_mass_expert)
    for seed in range(2):
        for which in ("best", "last"):
            policy = load_policy(run_folder.policy_path(cloned, seed, which))
            assert mean_return(policy.normalised_action) > 0.9 * expert
            assert mean_return(lambda observation: np.zeros((len(observation), 2))) < 0.8 * expert


def test_the_run_folder_is_a_runs(cloned, demonstrations):
    assert (cloned / run_folder.DONE).exists()
    summary = run_folder.read_summary(cloned)
    assert summary["state"] == "done"
    for seed in range(2):
        evaluations, metrics = (rows(cloned, kind, seed) for kind in (run_folder.EVALUATIONS, run_folder.METRICS))
        best = int(np.argmin(metrics["held_out_loss"]))
        assert evaluations["step"].tolist() == [metrics["step"][best]]
        assert evaluations["action_error"][0] < 0.2
        assert np.isnan(evaluations["expert_probability_policy"][0]), "there is no discriminator"
        assert summary["seeds"][str(seed)]["steps"] == metrics["step"][best]
        assert (metrics["actor_gradient_norm"] >= metrics["actor_gradient_max"]).all()
        batches = int(0.75 * len(demonstrations)) // 32
        np.testing.assert_array_equal(metrics["step"], batches * (1 + metrics["round"]))
    policies = [load_policy(run_folder.policy_path(cloned, seed)) for seed in range(2)]
    assert not np.array_equal(policies[0].layers[0].weight, policies[1].layers[0].weight)


def test_a_clone_is_made_once_and_the_same_again(cloned, demonstrations, tmp_path):
    lines = []
    assert run(cloned, CLONE, PointMass, demonstrations, lines=lines) == "done"
    assert lines == []
    alone = dataclasses.replace(CLONE, seeds=1, first_seed=1)
    run(tmp_path / "again", alone, PointMass, demonstrations)
    for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
        assert_same_arrays(rows(tmp_path / "again", kind, 1), rows(cloned, kind, 1))


def test_other_seeds_join_a_folder_of_clones_and_those_there_stay(demonstrations, tmp_path):
    few = dataclasses.replace(CLONE, bc=dataclasses.replace(CLONE.bc, epochs=2), evaluation_episodes=1)
    more = dataclasses.replace(few, first_seed=2)
    folder = tmp_path / "run"
    run(folder, few, PointMass, demonstrations)
    before = {(kind, seed): rows(folder, kind, seed) for kind in ("metrics", "evaluations") for seed in range(2)}
    lines = []
    run(folder, more, PointMass, demonstrations, lines=lines)
    assert [line.split(":")[0] for line in lines] == ["seed 2", "seed 3"]
    for (kind, seed), kept in before.items():
        assert len(kept["step"]) > 0
        assert_same_arrays(rows(folder, kind, seed), kept)
    lines.clear()
    run(folder, dataclasses.replace(few, seeds=5), PointMass, demonstrations, lines=lines)
    assert [line.split(":")[0] for line in lines] == ["seed 4"]
    assert (folder / run_folder.DONE).exists()
    evaluations = run_rows.read_parts(folder, run_folder.EVALUATIONS)
    assert evaluations["seed"].tolist() == [0, 1, 2, 3, 4]
    assert list(run_folder.read_summary(folder)["seeds"]) == ["0", "1", "2", "3", "4"]


def test_clones_whose_end_was_not_written_are_made_again(demonstrations, tmp_path):
    """Killed between the rows of the second seed and the summary."""
    few = dataclasses.replace(CLONE, bc=dataclasses.replace(CLONE.bc, epochs=2), evaluation_episodes=1, seeds=1)
    folder = tmp_path / "run"
    run(folder, few, PointMass, demonstrations)
    summary = run_folder.read_summary(folder)
    run(folder, dataclasses.replace(few, seeds=2), PointMass, demonstrations)
    whole = {kind: run_rows.read_parts(folder, kind) for kind in (run_folder.METRICS, run_folder.EVALUATIONS)}
    run_folder.write_json(folder / run_folder.SUMMARY, summary)
    (folder / run_folder.DONE).unlink()
    lines = []
    run(folder, dataclasses.replace(few, seeds=2), PointMass, demonstrations, lines=lines)
    assert [line.split(":")[0] for line in lines] == ["seed 1"]
    for kind, rows_before in whole.items():
        assert_same_arrays(run_rows.read_parts(folder, kind), rows_before)


def test_a_warm_start_that_is_stopped_is_made_once_and_whole(demonstrations, tmp_path, monkeypatch):
    """The clone's clone would be another actor."""
    settings = dataclasses.replace(CLONE.bc, epochs=2)
    config = dataclasses.replace(CLONE, learner="td3", warm_start="bc", bc=settings, steps=64, random_steps=64)
    config = dataclasses.replace(config, evaluation_interval=64, evaluation_episodes=1, learning_starts=64)
    run(tmp_path / "whole", config, PointMass, demonstrations)
    make = loop.make_state_cloner

    def stopping_at(number):
        def made(*arguments):
            clone = make(*arguments)

            def cloner(state, seed, on_epoch):
                if seed == number:
                    signal.raise_signal(signal.SIGINT)
                return clone(state, seed, on_epoch)

            return cloner

        monkeypatch.setattr(loop, "make_state_cloner", made)

    for number in (0, 1):
        stopping_at(number)
        assert run(tmp_path / "stopped", config, PointMass, demonstrations) == "interrupted"
    monkeypatch.setattr(loop, "make_state_cloner", make)
    assert run(tmp_path / "stopped", config, PointMass, demonstrations) == "done"
    for seed in range(2):
        for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
            assert_same_arrays(rows(tmp_path / "stopped", kind, seed), rows(tmp_path / "whole", kind, seed))


def at_draw(monkeypatch, number, act):
    """Call ``act`` as the so-maniest epoch from now on begins, counted from 1; returns the list of them all."""
    drawn, make = [], clone_training.host_generator

    def spied(seed, *name):
        drawn.append((seed, name[-1] + 1))
        if len(drawn) == number:
            act()
        return make(seed, *name)

    monkeypatch.setattr(clone_training, "host_generator", spied)
    return drawn


FEW = dataclasses.replace(CLONE, bc=dataclasses.replace(CLONE.bc, epochs=6, patience=6), evaluation_episodes=1)
WARM = dataclasses.replace(
    FEW, learner="td3", warm_start="bc", steps=64, random_steps=64, evaluation_interval=64, learning_starts=64
)


@pytest.mark.parametrize("config", [FEW, WARM], ids=["alone", "warm start"])
@pytest.mark.parametrize(
    ("sent", "told"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_stop_ends_cloning_after_the_epoch_under_way(config, sent, told, demonstrations, tmp_path, monkeypatch):
    """In the second seed's third of six epochs; the same call goes on to the numbers of a run never stopped."""
    run(tmp_path / "whole", config, PointMass, demonstrations)
    with monkeypatch.context() as patched:
        drawn = at_draw(patched, 9, lambda: signal.raise_signal(sent))
        assert run(tmp_path / "stopped", config, PointMass, demonstrations) == told
    assert drawn == [(0, epoch) for epoch in range(1, 7)] + [(1, epoch) for epoch in range(1, 4)]
    assert not (tmp_path / "stopped" / run_folder.DONE).exists()
    assert run_folder.read_summary(tmp_path / "stopped")["state"] == "interrupted"
    kept = run_rows.read_parts(tmp_path / "stopped", run_folder.METRICS)
    assert set(kept["seed"].tolist() if kept else []) == ({0} if config.clones else set())
    lines = []
    assert run(tmp_path / "stopped", config, PointMass, demonstrations, lines=lines) == "done"
    assert [line.split(":")[0] for line in lines if "cloned" in line] == ["seed 0", "seed 1"][config.clones :]
    for seed in range(2):
        for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
            assert_same_arrays(rows(tmp_path / "stopped", kind, seed), rows(tmp_path / "whole", kind, seed))
        for which in ("best", "last"):
            one, other = (run_folder.policy_path(tmp_path / name, seed, which) for name in ("stopped", "whole"))
            for mine, theirs in zip(load_policy(one).layers, load_policy(other).layers, strict=True):
                np.testing.assert_array_equal(mine.weight, theirs.weight)
                np.testing.assert_array_equal(mine.bias, theirs.bias)


def test_sigterm_ends_the_process_at_once_while_cloning_compiles_alone(demonstrations, tmp_path, monkeypatch):
    before, handlers = signal.getsignal(signal.SIGTERM), []

    def spied(*name):
        handlers.append(signal.getsignal(signal.SIGTERM))
        return make(*name)

    make = clone_training.host_generator
    monkeypatch.setattr(clone_training, "host_generator", spied)
    run(tmp_path / "run", FEW, PointMass, demonstrations)
    assert [handler is before for handler in handlers] == [True] + [False] * 11


def test_a_stop_in_the_cloning_of_a_seed_whose_environment_cannot_begin(demonstrations, tmp_path, monkeypatch):
    """It has no evaluation yet, so that the run is not done."""
    with monkeypatch.context() as patched:
        at_draw(patched, 9, lambda: signal.raise_signal(signal.SIGINT))
        assert run(tmp_path / "run", FEW, NeverBegins, demonstrations) == "interrupted"
    assert not (tmp_path / "run" / run_folder.DONE).exists()
    assert run(tmp_path / "run", FEW, NeverBegins, demonstrations) == "done"
    assert rows(tmp_path / "run", run_folder.EVALUATIONS, 1)["failed"].tolist() == [2.0]


@pytest.mark.parametrize("config", [FEW, WARM], ids=["alone", "warm start"])
def test_every_epoch_of_cloning_is_told_and_its_end(config, demonstrations, tmp_path):
    told = []
    run(tmp_path / "run", config, PointMass, demonstrations, on_epoch=told.append)
    expected = [(seed, epoch) for seed in range(2) for epoch in (*range(1, 7), None)]
    assert [at and (at.seed, at.epoch) for at in told] == [at if at[1] else None for at in expected]
    assert {at.epochs for at in told if at} == {6}
    if config.clones:
        for seed in range(2):
            losses = [at.held_out_loss for at in told if at and at.seed == seed]
            np.testing.assert_array_equal(losses, rows(tmp_path / "run", run_folder.METRICS, seed)["held_out_loss"])


@pytest.mark.parametrize("name", [name for name in LEARNERS if hasattr(CLONE, name)])
def test_any_learner_starts_as_a_clone_targets_included(name, demonstrations):
    settings = dataclasses.replace(CLONE.bc, epochs=2)
    config = dataclasses.replace(CLONE, learner=name, warm_start="bc", bc=settings)
    environment = PointMass()
    parts = make_parts(config, environment_spec(environment, "PointMass"))
    assert parts.learner.cloning is not None
    constants = make_constants(parts, demonstrations.statistics(), demonstrations.observation, demonstrations.action)
    state = initial_state(parts, 0)
    warm, found = make_state_cloner(parts, constants, demonstrations)(state, 0, unwatched)
    data = make_data(parts, constants, demonstrations)
    losses = [
        float(parts.learner.cloning.loss(parts.learner.cloning.get(each.learner), data.observation, data.action))
        for each in (state, warm)
    ]
    assert losses[1] < losses[0]
    assert len(found.epochs) == 2
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(warm.learner)]
    assert len(pointers) == len(set(pointers))
    for online, target in (("actor", "target_actor"), ("actors", "target_actors")):
        if hasattr(warm.learner, target):
            pairs = zip(
                jax.tree.leaves(getattr(warm.learner, online)),
                jax.tree.leaves(getattr(warm.learner, target)),
                strict=True,
            )
            for one, other in pairs:
                np.testing.assert_array_equal(one, other)
    own = "critic" if hasattr(state.learner, "critic") else "critics"
    old, new = (jax.tree.leaves(getattr(each.learner, own)) for each in (state, warm))
    for one, other in zip(old, new, strict=True):
        np.testing.assert_array_equal(one, other)
    if name != "sac":
        played = parts.learner.mode(warm.learner, data.observation)
        assert float(jnp.mean(jnp.square(played - data.action))) == pytest.approx(losses[1], rel=1e-5)


def test_training_and_held_out_samples_are_of_different_episodes(demonstrations):
    parts = make_parts(CLONE, environment_spec(PointMass(), "PointMass"))
    constants = make_constants(parts, None, demonstrations.observation, demonstrations.action)
    data = make_data(parts, constants, demonstrations)
    assert len(data.action) == 6 * 50
    assert len(data.held_action) == 2 * 50
    seen = {row.tobytes() for row in np.asarray(data.observation)}
    assert not any(row.tobytes() in seen for row in np.asarray(data.held_observation))


@pytest.mark.parametrize("learner", ["bc", "td3"])
def test_a_clone_that_is_not_finite_is_frozen_and_its_run_ends(learner, demonstrations, tmp_path, monkeypatch):
    """The other seed goes on; the bad one keeps the actor it had, and counts as diverged."""
    make = loop.make_state_cloner

    def poisoned(*arguments):
        cloner = make(*arguments)

        def cloned(state, seed, on_epoch):
            if seed == 1:
                spoilt = jax.tree.map(lambda x: x * jnp.nan if x.dtype == jnp.float32 else x, state.learner)
                state = state._replace(learner=spoilt)
            return cloner(state, seed, on_epoch)

        return cloned

    monkeypatch.setattr(loop, "make_state_cloner", poisoned)
    config = dataclasses.replace(CLONE, bc=dataclasses.replace(CLONE.bc, epochs=2))
    if learner != "bc":
        few = {"steps": 96, "steps_per_round": 32, "random_steps": 0, "learning_starts": 32, "updates_per_round": 2}
        config = dataclasses.replace(config, learner=learner, warm_start="bc", evaluation_interval=32, **few)
    lines = []
    assert run(tmp_path / "run", config, PointMass, demonstrations, lines=lines) == "done"
    assert any("seed 1: its clone is not finite" in line for line in lines)
    assert (tmp_path / "run" / run_folder.DONE).exists()
    told = run_folder.read_summary(tmp_path / "run")["seeds"]
    assert told["0"]["frozen"] is None
    assert told["1"]["frozen"]["cause"].startswith("non-finite clone")
    (line,) = [line for line in lines if "is frozen" in line]
    assert line.startswith("seed 1 is frozen at step ")
    kept = read_json(tmp_path / "run" / run_folder.FROZEN / "seed-1.json")
    assert {name: kept[name] for name in ("step", "cause")} == told["1"]["frozen"]
    if learner == "bc":
        assert [row["held_out_loss"] for row in kept["metrics"]] == ["nan"] * 2
    verdicts = load_run(tmp_path / "run").verdicts
    assert verdicts[1].kind == "non-finite"
    assert not verdicts[0].diverged
    policy = load_policy(run_folder.policy_path(tmp_path / "run", 1, "last"))
    assert np.isfinite(policy.normalised_action(np.zeros((1, 4), np.float32))).all()


class NeverBegins(PointMass):
    """For these seeds."""

    seeds = (1,)

    def reset(self, *, seed=None, options=None):
        first = {episode_seed(number, Purpose.ENVIRONMENT, 0, 0) for number in self.seeds}
        self.refused = getattr(self, "refused", False) or seed in first
        if self.refused:
            raise OSError("no licence")
        return super().reset(seed=seed, options=options)


def test_a_clone_whose_environment_cannot_begin_is_told_and_kept(demonstrations, tmp_path, monkeypatch):
    config = dataclasses.replace(CLONE, bc=dataclasses.replace(CLONE.bc, epochs=2), evaluation_episodes=1)
    lines = []
    assert run(tmp_path / "run", config, NeverBegins, demonstrations, lines=lines) == "done"
    (line,) = [line for line in lines if "is frozen" in line]
    for part in ("seed 1 is frozen at step 0", "first reset", "no licence", "the others go on"):
        assert part in line
    kept = tmp_path / "run" / run_folder.FROZEN
    assert read_json(kept / "seed-1.json")["cause"] in line
    arrays, _ = read_tensors(kept / "seed-1.safetensors", format=faults.FORMAT, version=faults.VERSION)
    assert any(name.startswith("state/.learner.actor") for name in arrays)
    monkeypatch.setattr(NeverBegins, "seeds", (0, 1))
    with pytest.raises(CredoError, match=r"environment: no seed can begin; at the first reset: .*no licence"):
        run(tmp_path / "none", config, NeverBegins, demonstrations)
    assert not any((tmp_path / "none" / run_folder.POLICIES).iterdir())
