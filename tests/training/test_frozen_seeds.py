"""A seed that turns non-finite stands still at its first bad step; the others do not notice."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import run_folder
from credo.environments.probes import Fragile
from credo.random import Purpose, episode_seed
from credo.training import loop
from training.training_runs import (
    REWARDED,
    assert_same_seed,
    changed,
    demonstrations,
    rows,
    run,
    states,
)

BAD = 1
PROBE = changed(REWARDED, environment="probe", steps=96, seeds=3, evaluation_interval=32, checkpoint_interval=32)


class FragileForOne(Fragile):
    """Fails in the second episode of one seed's training or evaluation, told by the reset seed."""

    def __init__(self, purpose=Purpose.ENVIRONMENT, how="observation", only=BAD):
        super().__init__(fail_at=6, how=how, fail_episode=-1)
        self._bad_resets = (
            {episode_seed(only, purpose, 0, 1 if purpose == Purpose.ENVIRONMENT else 0)} if only is not None else set()
        )

    def reset(self, *, seed=None, options=None):
        self._bad = seed in self._bad_resets
        return super().reset(seed=seed, options=options)

    def _start(self):
        observation = super()._start()
        self._fail_episode = self._episode if self._bad else -1
        return observation


def source(**options):
    return functools.partial(FragileForOne, **options)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean") / "run"
    run(folder, changed(PROBE), source(only=None))
    return folder


def assert_others_untouched(folder, clean):
    for seed in range(3):
        if seed != BAD:
            assert_same_seed(folder, clean, seed)


@pytest.mark.parametrize("execution", ["threads", "vmap"])
@pytest.mark.parametrize("how", ["observation", "reward"])
def test_an_environment_that_returns_nan(how, execution, clean, tmp_path):
    lines = []
    config = changed(PROBE, execution=execution)
    assert run(tmp_path / "run", config, source(how=how), lines=lines) == "done"
    # Episodes take 10 steps: step 6 of the second is the sixteenth, of index 15.
    frozen = run_folder.read_summary(tmp_path / "run")["seeds"][str(BAD)]["frozen"]
    assert frozen["step"] == 15
    assert how in frozen["cause"]
    assert [line for line in lines if f"seed {BAD} is frozen at step 15" in line]
    assert (tmp_path / "run" / run_folder.DONE).exists()
    evaluations = rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)
    assert evaluations["step"].tolist() == [32, 64, 96]
    assert evaluations["failed"].tolist() == [1, 1, 1]
    assert np.isnan(evaluations["return_mean"]).all()
    if execution == "threads":
        assert_others_untouched(tmp_path / "run", clean)
    else:
        assert rows(tmp_path / "run", run_folder.EVALUATIONS, 0)["failed"].tolist() == [0, 0, 0]
        assert len(rows(tmp_path / "run", run_folder.METRICS, 2)["step"]) == 6


def test_an_environment_that_fails_in_an_evaluation(clean, tmp_path):
    assert run(tmp_path / "run", PROBE, source(purpose=Purpose.EVALUATION)) == "done"
    frozen = run_folder.read_summary(tmp_path / "run")["seeds"][str(BAD)]["frozen"]
    assert frozen["step"] == 32
    assert "evaluation" in frozen["cause"]
    assert rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)["failed"].tolist() == [1, 1, 1]
    assert_others_untouched(tmp_path / "run", clean)


def poisoned(monkeypatch, poison):
    """Let one seed start from a state that ``poison`` has been at."""
    original = loop.initial_state

    def initial_state(parts, seed):
        state = original(parts, seed)
        return poison(state) if seed == BAD else state

    monkeypatch.setattr(loop, "initial_state", initial_state)


def nan_in_a_critic(state):
    critics = jax.tree.map(lambda x: x, state.learner.critics)
    spoilt = critics[1][0]._replace(bias=critics[1][0].bias.at[0].set(jnp.nan))
    critics = (critics[0], (spoilt, *critics[1][1:]))
    return state._replace(learner=state.learner._replace(critics=critics))


@pytest.mark.parametrize("execution", ["threads", "vmap"])
def test_a_nan_in_the_parameters(execution, clean, tmp_path, monkeypatch):
    poisoned(monkeypatch, nan_in_a_critic)
    config = changed(PROBE, execution=execution)
    assert run(tmp_path / "run", config, source(only=None)) == "done"
    summary = run_folder.read_summary(tmp_path / "run")["seeds"]
    # Learning starts at step 32, so the first bad round ends there.
    assert summary[str(BAD)]["frozen"]["step"] == 32
    assert "critic" in summary[str(BAD)]["frozen"]["cause"]
    assert summary["0"]["frozen"] is None
    metrics = rows(tmp_path / "run", run_folder.METRICS, BAD)
    assert metrics["step"].tolist() == [16, 32], "the bad round is on record, and none after it"
    assert np.isnan(metrics["critic_loss"][-1])
    assert rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)["failed"].tolist() == [1, 1, 1]
    if execution == "threads":
        assert_others_untouched(tmp_path / "run", clean)


def test_the_literal_reward_explodes_and_the_state_before_it_is_kept(tmp_path, monkeypatch):
    def huge_logits(state):
        network = jax.tree.map(lambda x: 100 * jnp.abs(x), state.discriminator.network)
        return state._replace(discriminator=state.discriminator._replace(network=network))

    config = changed(
        learner="sac", reward="plr-literal", seeds=2, steps=64, environment="probe", normalise_observations=False
    )
    config = changed(config, credo=changed(config.credo, mode="off"))
    data = demonstrations(1, 1)
    run(tmp_path / "clean", config, source(only=None), data)
    poisoned(monkeypatch, huge_logits)
    assert run(tmp_path / "run", config, source(only=None), data) == "done"
    frozen = run_folder.read_summary(tmp_path / "run")["seeds"]
    assert frozen["0"]["frozen"] is None
    assert frozen[str(BAD)]["frozen"]["step"] == 32
    assert "gradient" in frozen[str(BAD)]["frozen"]["cause"]
    metrics = rows(tmp_path / "run", run_folder.METRICS, BAD)
    assert metrics["reward_max"][-1] == np.inf
    kept = {name: value for name, value in states(tmp_path / "run")[BAD].items() if name.startswith("state/")}
    assert all(np.isfinite(value).all() for value in kept.values())
    assert_same_seed(tmp_path / "run", tmp_path / "clean", 0)


def test_a_run_with_a_frozen_seed_goes_on_and_takes_more_seeds(tmp_path):
    """No evaluation is recorded twice, and the frozen seed stays frozen."""
    short = changed(PROBE, steps=64, seeds=2)
    run(tmp_path / "run", short, source())
    run(tmp_path / "run", changed(short, steps=96, seeds=3), source())
    evaluations = rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)
    assert evaluations["step"].tolist() == [32, 64, 96]
    assert evaluations["failed"].tolist() == [1, 1, 1]
    assert len(rows(tmp_path / "run", run_folder.METRICS, BAD)["step"]) == 0
    run(tmp_path / "straight", PROBE, source())
    for seed in range(3):
        for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
            one, other = rows(tmp_path / "run", kind, seed), rows(tmp_path / "straight", kind, seed)
            for name, values in other.items():
                np.testing.assert_array_equal(one[name], values, err_msg=name)


def test_a_run_whose_seeds_are_all_frozen_ends_and_is_done(tmp_path):
    config = changed(PROBE, seeds=1, first_seed=BAD)
    assert run(tmp_path / "run", config, source()) == "done"
    assert run_folder.read_summary(tmp_path / "run")["state"] == "done"
    again = []
    assert run(tmp_path / "run", config, source(), on_round=again.append) == "done"
    assert again == []
