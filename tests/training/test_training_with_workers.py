"""A run whose environments are in worker processes is the run without them; a hang freezes one seed."""

import functools

import pytest

from credo import run_folder
from credo.environments.probes import Fragile
from credo.random import Purpose, episode_seed
from training.training_runs import REWARDED, KilledError, assert_same_seed, changed, crash_after, run

CONFIG = changed(REWARDED, environment="InvertedPendulum-v5", steps=96, seeds=2, checkpoint_interval=32)


class HangsForOne(Fragile):
    """Hangs in the second training episode of seed 0, told by the reset seed."""

    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed, options=options)
        self._fail_episode = self._episode if seed == episode_seed(0, Purpose.ENVIRONMENT, 0, 1) else -1
        return result


def test_a_run_with_workers_that_goes_on_without_them_is_the_same(tmp_path):
    assert run(tmp_path / "straight", CONFIG) == "done"
    with pytest.raises(KilledError):
        run(tmp_path / "run", changed(CONFIG, environment_workers=1), on_round=crash_after(3))
    assert run(tmp_path / "run", CONFIG) == "done"
    for seed in range(2):
        assert_same_seed(tmp_path / "run", tmp_path / "straight", seed)


def test_a_hang_freezes_its_seed_and_the_run_ends(tmp_path):
    config = changed(CONFIG, environment="fragile", environment_workers=1, environment_timeout=2.0)
    lines = []
    source = functools.partial(HangsForOne, how="hang", fail_at=6)
    assert run(tmp_path / "run", config, source, lines=lines) == "done"
    seeds = run_folder.read_summary(tmp_path / "run")["seeds"]
    assert "of seed 0, at step 6 of episode 1: did not answer within 2 s" in seeds["0"]["frozen"]["cause"]
    assert seeds["1"]["frozen"] is None
    assert any(line.startswith("seed 0 is frozen at step 15") for line in lines)
    assert run(tmp_path / "run", changed(config, steps=112), source) == "done", "its checkpoint loads"
