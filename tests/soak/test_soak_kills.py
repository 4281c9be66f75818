"""kill -9 at random moments, a quarter of them inside a save."""

import numpy as np

from credo.training.checkpoint import all_checkpoints
from soak.amount import trials
from training.training_runs import assert_same_seed

CONFIG = {
    "seeds": 2,
    "steps": 16 * 500,
    "replay_capacity": 2_000,
    "checkpoint_interval": 320,
    "evaluation_interval": 1_600,
}
INTERVAL = 20
"""Rounds between checkpoints."""


def newest_round(folder):
    found = all_checkpoints(folder)
    return int(found[-1].name.split("-")[1]) if found else 0


def test_killed_at_random(train, say, tmp_path):
    wanted = trials(200)
    generator = np.random.default_rng(0)
    assert train(tmp_path / "straight", CONFIG) == (0, 500)
    kills, inside, runs, lost = 0, 0, 0, []
    while kills < wanted:
        folder = tmp_path / f"run-{runs}"
        while True:
            in_save = inside * 4 <= kills
            moment = (
                {"kill_at_operation": int(generator.integers(1, 300))}
                if in_save
                else {"kill_after_seconds": float(generator.uniform(0, 1.5))}
            )
            status, reached = train(folder, CONFIG, **(moment if kills < wanted else {}))
            if status == 0:
                break
            kills += 1
            inside += in_save
            if reached is not None:
                lost.append(reached - newest_round(folder))
        for seed in range(CONFIG["seeds"]):
            assert_same_seed(folder, tmp_path / "straight", seed)
        runs += 1
    assert max(lost, default=0) <= INTERVAL
    say(
        f"{kills} kills, {inside} of them inside a save, over {runs} runs: every run ended as the one never killed; "
        f"at most {max(lost, default=0)} rounds were lost (the interval is {INTERVAL})"
    )
