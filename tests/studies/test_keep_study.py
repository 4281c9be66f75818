"""What is kept of a seed, of which every table and figure of docs/stability is made."""

import types

import numpy as np
import pytest
import script_modules

from credo.diagnostics.divergence import Verdict


@pytest.fixture
def scripts(monkeypatch):
    yield from script_modules.loaded(monkeypatch, "keep_study", "kept_policies")


def metrics(gradient, saturation=None):
    gradient = np.asarray(gradient, float)
    saturation = np.full(len(gradient), 0.5) if saturation is None else np.asarray(saturation, float)
    step = 64 * np.arange(1, len(gradient) + 1)
    return {"step": step, "actor_gradient_max": gradient, "action_saturation": saturation}


def test_inactive_at_the_end_are_nine_of_the_last_ten_rounds(scripts):
    inactive = scripts["keep_study"].inactive_at_the_end
    assert inactive(metrics([1] * 5 + [0] * 9 + [1]))
    assert not inactive(metrics([0] * 5 + [0] * 8 + [1] * 2))
    assert not inactive(metrics([0] * 9)), "too few rounds to tell"
    # A small gradient is none where all actions are at their bounds, and only there.
    assert inactive(metrics([1e-3] * 10, [1.0] * 10))
    assert not inactive(metrics([1e-3] * 10, [0.98] * 10))
    assert not inactive(metrics([0.02] * 10, [1.0] * 10))


def test_the_kept_policy_is_the_selected_one(scripts):
    cell = types.SimpleNamespace(method="td3", environment="hopper")

    def kept_policy(told):
        run = types.SimpleNamespace(
            seeds=(3,),
            seed_summary=lambda seed: told,
            metrics={3: metrics([1])},
            evaluations={3: {}},
            expert_return=100.0,
            verdicts={3: Verdict("weak", 640, "", None)},
        )
        (found,) = scripts["keep_study"].kept_of(cell, run)
        assert found.place == ("td3", "hopper", 3)
        return found.policy

    assert kept_policy({"selected_step": 64, "selected_return": 5.25, "steps": 128, "final_return": 9.0}) == (64, "5.2")
    assert kept_policy({}) == ("", "")


def test_windows_grow_by_pairs(scripts):
    widths = [rows.stop - rows.start for rows in scripts["keep_study"].windows(45)]
    assert widths == [1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 13]


def test_a_seeds_row_has_its_best_return_and_the_median_of_the_last_three(scripts):
    """An evaluation that failed is worth nothing among the last three."""
    keep = scripts["keep_study"]
    evaluations = {"return_mean": np.array([1.0, 50.0, 10.0, np.nan, 30.0])}
    told = Verdict("weak", 640, "", None)
    row = keep.seed_row(keep.Kept(("td3", "hopper", 3), metrics([1] * 7), evaluations, 100.0, told, (64, "9.0")))
    assert row == ["weak", 640, 0, 448, "50.0", "10.0", "100.0", 64, "9.0", 0]


def test_windows_keep_the_largest_gradient_and_the_mean_of_all_else(scripts):
    """Four windows of one round, then of two; each has its last step."""
    rows = list(scripts["keep_study"].window_rows(metrics([1, 2, 3, 4, 9, 5], [0, 0, 0, 0, 0.2, 0.4])))
    columns = dict(zip(("step", *scripts["keep_study"].RECORDED), zip(*rows, strict=True), strict=True))
    assert columns["step"] == (64, 128, 192, 256, 384)
    assert columns["actor_gradient_max"] == ("1", "2", "3", "4", "9")
    assert columns["action_saturation"] == ("0", "0", "0", "0", "0.3")
    assert columns["q_mean"] == ("", "", "", "", "")


def test_kept_policies_play_from_starts_of_their_own(scripts, monkeypatch):
    kept, asked = scripts["kept_policies"], []

    def played(environment, policy, episodes, seed):
        asked.append((environment, episodes, seed))
        return [types.SimpleNamespace(reward=np.full(2, value, np.float32)) for value in (10.0, 20.0, 40.0)]

    monkeypatch.setattr(kept, "rollout_episodes", played)
    policy = types.SimpleNamespace(normalised_action=None)
    monkeypatch.setattr(kept, "Run", lambda folder: types.SimpleNamespace(policy=lambda seed: policy))
    config = types.SimpleNamespace(environment="Hopper-v5")
    run = types.SimpleNamespace(
        folder=None, config=config, expert_return=100.0, seed_summary=lambda seed: {"selected_step": 640}
    )
    row = kept.row_of(types.SimpleNamespace(method="td3", environment="hopper"), run, 3, 3)
    assert asked == [("Hopper-v5", 3, kept.FRESH + 3)]
    # Returns 20, 40 and 80 of an expert's 100: the first two are below half.
    assert row == ["td3", "hopper", 3, 640, 3, "46.7", "24.9", "20.0", 2]


def test_seeds_are_kept_beside_those_of_their_cell_unless_its_settings_are_others(scripts, tmp_path, capsys):
    keep = scripts["keep_study"]
    evaluations = {"step": np.array([64]), "return_mean": np.array([5.0])}

    def kept(identity, seeds):
        cell = types.SimpleNamespace(name="td3/hopper", method="td3", environment="hopper")
        stored = {"id": identity, "identity": {}, "demonstrations": {}, "versions": {}}
        run = types.SimpleNamespace(
            stored=stored,
            seeds=seeds,
            metrics={seed: metrics([seed]) for seed in seeds},
            evaluations=dict.fromkeys(seeds, evaluations),
            expert_return=100.0,
            verdicts=dict.fromkeys(seeds, Verdict("weak", 64, "", None)),
            seed_summary=lambda seed: {},
            state="done",
            steps_done=64,
            summary={},
        )
        keep.keep(tmp_path, "study", [(cell, run)], None)
        lines = (tmp_path / "study-rounds.csv").read_text().splitlines()[1:]
        return [line.split(",")[2] for line in lines]

    assert kept("first", (0, 1)) == ["0", "1"]
    assert kept("first", (1, 2)) == ["0", "1", "2"]
    assert kept("other", (5,)) == ["5"]
