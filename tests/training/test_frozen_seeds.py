"""A seed that turns non-finite stands still at its first bad step; the others do not notice."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from credo import run_folder
from credo.diagnostics.divergence import ENVIRONMENT_FAILED, NUMBERS_FAILED
from credo.environments import EnvironmentBatch, LostEnvironmentError
from credo.environments.errors import Place
from credo.environments.probes import Fragile
from credo.files import read_json
from credo.random import Purpose, episode_seed
from credo.reports.load import load_run
from credo.storage import read_tensors
from credo.studies.read import read_curves
from credo.training import checkpoint, faults, loop, rounds
from credo.training.seed import Recorder, draw_experience
from credo.types import CredoError
from training.training_runs import (
    REWARDED,
    assert_same_arrays,
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
    assert evaluations["failed"].tolist() == [ENVIRONMENT_FAILED] * 3
    assert np.isnan(evaluations["return_mean"]).all()
    if execution == "threads":
        assert_others_untouched(tmp_path / "run", clean)
    else:
        assert rows(tmp_path / "run", run_folder.EVALUATIONS, 0)["failed"].tolist() == [0, 0, 0]
        assert len(rows(tmp_path / "run", run_folder.METRICS, 2)["step"]) == 6


def test_an_environment_that_raises(clean, tmp_path):
    lines = []
    assert run(tmp_path / "run", PROBE, source(how="raise"), lines=lines) == "done"
    (line,) = [line for line in lines if "frozen" in line]
    for part in (f"seed {BAD}", "step 15", "FragileForOne", "RuntimeError", "the simulator failed at step 6"):
        assert part in line
    assert_others_untouched(tmp_path / "run", clean)
    verdict = load_run(tmp_path / "run").verdicts[BAD]
    assert (verdict.kind, verdict.diverged) == ("faulted", False)


class NeverBegins(FragileForOne):
    licensed = False

    def reset(self, *, seed=None, options=None):
        self.refused = getattr(self, "refused", False) or seed == episode_seed(BAD, Purpose.ENVIRONMENT, 0, 0)
        if self.refused and not self.licensed:
            raise OSError("no licence")
        return super().reset(seed=seed, options=options)


def test_an_environment_that_never_begins(clean, tmp_path):
    lines = []
    never = functools.partial(NeverBegins, only=None)
    assert run(tmp_path / "run", PROBE, never, lines=lines) == "done"
    (line,) = [line for line in lines if "frozen" in line]
    for part in (f"seed {BAD}", "step 0", "first reset", "OSError", "no licence"):
        assert part in line
    assert rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)["failed"].tolist() == [ENVIRONMENT_FAILED] * 3
    assert_others_untouched(tmp_path / "run", clean)
    alone = changed(PROBE, seeds=1, first_seed=BAD)
    with pytest.raises(CredoError, match=r"no seed can begin; at the first reset: environment 0 .*no licence") as told:
        run(tmp_path / "alone", alone, never)
    assert "CredoError" not in str(told.value)


def test_a_seed_with_a_checkpoint_is_not_frozen_because_its_environment_cannot_begin_today(tmp_path, monkeypatch):
    config, never = changed(PROBE, seeds=2, steps=48), functools.partial(NeverBegins, only=None)
    with monkeypatch.context() as today:
        today.setattr(NeverBegins, "licensed", True)
        run(tmp_path / "run", config, never)
    before = states(tmp_path / "run")
    with pytest.raises(CredoError, match=r"seed 1 cannot go on: .*no licence"):
        run(tmp_path / "run", changed(config, steps=96), never)
    assert_same_arrays(states(tmp_path / "run")[BAD], before[BAD])


def test_an_environment_that_fails_in_an_evaluation(clean, tmp_path):
    assert run(tmp_path / "run", PROBE, source(purpose=Purpose.EVALUATION)) == "done"
    frozen = run_folder.read_summary(tmp_path / "run")["seeds"][str(BAD)]["frozen"]
    assert frozen["step"] == 32
    assert frozen["cause"].endswith(", in an evaluation")
    assert rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)["failed"].tolist() == [ENVIRONMENT_FAILED] * 3
    assert_others_untouched(tmp_path / "run", clean)


def test_environments_that_are_lost_before_a_checkpoint(clean, tmp_path, monkeypatch):
    """A process of environments that dies with nothing to do is found when a checkpoint asks for their state."""
    asked, lines, state = [], [], EnvironmentBatch.state

    def lost(batch):
        asked.append(batch._run_seed)
        if batch._run_seed == BAD and asked.count(BAD) == 2:
            raise LostEnvironmentError(Place("probe", 0, BAD, 3, 2), "worker", "its worker process died (status -9)")
        return state(batch)

    monkeypatch.setattr(EnvironmentBatch, "state", lost)
    assert run(tmp_path / "run", PROBE, source(only=None), lines=lines) == "done"
    assert asked.count(BAD) == 2
    (line,) = [line for line in lines if "frozen" in line]
    for part in (f"seed {BAD} is frozen at step 64", "of episode 3: its worker process died", "the others go on"):
        assert part in line
    told, _ = evidence(tmp_path / "run")
    assert told["step"] == 64
    evaluations = rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)
    assert evaluations["failed"].tolist() == [0, 0, ENVIRONMENT_FAILED]
    assert_others_untouched(tmp_path / "run", clean)
    manifest = read_json(checkpoint.all_checkpoints(tmp_path / "run")[-2] / "state.json")
    assert manifest["round"] == 4
    assert manifest["seeds"][str(BAD)]["frozen"]["step"] == 64
    assert run(tmp_path / "run", changed(PROBE, steps=112), source(only=None)) == "done", "its checkpoint loads"


def evidence(folder):
    """What was kept of the frozen seed: arrays and the description."""
    told = read_json(folder / run_folder.FROZEN / f"seed-{BAD}.json")
    summary = run_folder.read_summary(folder)["seeds"][str(BAD)]["frozen"]
    assert (told["step"], told["cause"]) == (summary["step"], summary["cause"])
    path = folder / run_folder.FROZEN / f"seed-{BAD}.safetensors"
    arrays, _ = read_tensors(path, format=faults.FORMAT, version=faults.VERSION)
    state = {name: array for name, array in arrays.items() if name.startswith("state/")}
    assert state
    return told, arrays


@pytest.mark.parametrize(
    ("execution", "name"),
    [("threads", "observation"), ("threads", "action"), ("threads", "reward"), ("vmap", "observation")],
)
def test_nan_in_the_replay(execution, name, clean, tmp_path, monkeypatch):
    """Found in the round that draws it: here the first that learns, whose replay is spoilt."""

    def spoilt(config, seed, fresh, round_number):
        if seed.number == BAD and round_number == 3:
            getattr(seed.replay, name)[:] = np.nan
        return draw_experience(config, seed, fresh, round_number)

    monkeypatch.setattr(rounds, "draw_experience", spoilt)
    assert run(tmp_path / "run", changed(PROBE, execution=execution), source(only=None)) == "done"
    told, arrays = evidence(tmp_path / "run")
    assert told["step"] == 64
    assert name in told["cause"]
    assert "replay" in told["cause"]
    assert np.isnan(arrays[f"experience.batches.{name}"]).all()
    if execution == "threads":
        assert_others_untouched(tmp_path / "run", clean)


def test_nan_in_an_action(clean, tmp_path, monkeypatch):
    take = Recorder.take

    def spoilt(self, seed, index, action):
        bad = seed.number == BAD and seed.next_round == 4 and index == 7
        take(self, seed, index, action * np.float32(np.nan) if bad else action)

    monkeypatch.setattr(Recorder, "take", spoilt)
    assert run(tmp_path / "run", PROBE, source(only=None)) == "done"
    told, arrays = evidence(tmp_path / "run")
    assert told["step"] == 4 * 16 + 7
    assert told["cause"].startswith("non-finite action: ")
    # Its rows were written at the evaluation and checkpoint just before, and its last metrics are kept all the same.
    assert [row["step"] for row in told["metrics"]] == [16, 32, 48, 64]
    # The seed's own numbers failed, not its environment: it has diverged.
    assert set(rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)["failed"][2:].tolist()) == {NUMBERS_FAILED}
    # Its first evaluation that is marked so is at step 96.
    for judged in (load_run(tmp_path / "run").verdicts[BAD], read_curves(("", "", tmp_path / "run"))[BAD].verdict):
        assert judged[:2] == ("non-finite", 71)
    assert np.isnan(arrays["action"]).all()
    assert arrays["observation"].shape == (8, 1, 1)
    assert_others_untouched(tmp_path / "run", clean)


def infinite_logits(state):
    """Weights that are finite and whose logits are not."""
    network = jax.tree.map(lambda x: jnp.full_like(x, 1e30), state.discriminator.network)
    return state._replace(discriminator=state.discriminator._replace(network=network))


def test_a_logit_that_is_not_finite_is_found_though_the_reward_is_clipped(tmp_path, monkeypatch):
    config = changed(learner="sac", seeds=2, steps=64, environment="probe", normalise_observations=False)
    poisoned(monkeypatch, infinite_logits)
    lines = []
    run(tmp_path / "run", config, source(only=None), demonstrations(1, 1), lines=lines)
    told, _ = evidence(tmp_path / "run")
    assert told["step"] == 32
    assert "logit" in told["cause"]
    # The file names all that was not finite; what is said names three, and how many more.
    (line,) = [line for line in lines if "is frozen at step 32" in line]
    assert f"and {told['cause'].count(',') - 2} more" in line
    assert line.count(",") == 2
    healthy = run_folder.read_summary(tmp_path / "run")["seeds"]["0"]
    assert healthy["frozen"] is None
    assert healthy["selected_distance"] > 0


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
    told, arrays = evidence(tmp_path / "run")
    assert told["metrics"][-1]["critic_loss"] == "nan"
    assert np.isfinite(arrays["experience.batches.observation"]).all()
    assert rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)["failed"].tolist() == [NUMBERS_FAILED] * 3
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
    assert evaluations["failed"].tolist() == [ENVIRONMENT_FAILED] * 3
    assert len(rows(tmp_path / "run", run_folder.METRICS, BAD)["step"]) == 0
    run(tmp_path / "straight", PROBE, source())
    for seed in range(3):
        for kind in (run_folder.METRICS, run_folder.EVALUATIONS):
            one, other = rows(tmp_path / "run", kind, seed), rows(tmp_path / "straight", kind, seed)
            for name, values in other.items():
                np.testing.assert_array_equal(one[name], values, err_msg=name)


def test_a_run_whose_seeds_are_all_frozen_ends_and_is_done(tmp_path):
    config = changed(PROBE, seeds=1, first_seed=BAD, steps=80)
    assert run(tmp_path / "run", config, source()) == "done"
    evaluations = rows(tmp_path / "run", run_folder.EVALUATIONS, BAD)
    assert evaluations["step"].tolist() == [32, 64, 80]
    assert evaluations["failed"].tolist() == [ENVIRONMENT_FAILED] * 3
    assert run_folder.read_summary(tmp_path / "run")["state"] == "done"
    again = []
    assert run(tmp_path / "run", config, source(), on_round=again.append) == "done"
    assert again == []
