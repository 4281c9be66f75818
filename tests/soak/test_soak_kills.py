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


def moment(generator, kills, in_save):
    """When to kill: inside a save until a quarter of the kills were, else while it starts or while it trains."""
    if in_save * 4 <= kills:
        return {"kill_at_operation": int(generator.integers(1, 300)), "since": "save"}
    if kills % 3 == 0:
        return {"kill_after_seconds": float(generator.uniform(0, 3))}
    return {"kill_after_seconds": float(generator.uniform(0, 1.5)), "since": "training"}


def test_killed_at_random(train, say, tmp_path):
    wanted = trials(200)
    generator = np.random.default_rng(0)
    assert train(tmp_path / "straight", CONFIG)[:2] == (0, 500)
    kills, in_save, in_start, runs, lost = 0, 0, 0, 0, []
    while kills < wanted:
        folder, newest = tmp_path / f"run-{runs}", 0
        while True:
            ended = train(folder, CONFIG, **(moment(generator, kills, in_save) if kills < wanted else {}))
            assert newest_round(folder) >= newest
            newest = newest_round(folder)
            if ended.status == 0:
                break
            kills += 1
            in_save += ended.in_save
            if ended.round is None:
                in_start += 1
            else:
                lost.append(ended.round - newest)
        for seed in range(CONFIG["seeds"]):
            assert_same_seed(folder, tmp_path / "straight", seed)
        runs += 1
    assert in_save * 4 >= kills
    assert max(lost, default=0) <= INTERVAL
    say(
        f"{kills} kills, {in_save} of them inside a save and {in_start} before the first round, over {runs} runs: "
        "every run ended as the one never killed; "
        f"at most {max(lost, default=0)} rounds were lost (the interval is {INTERVAL})"
    )
