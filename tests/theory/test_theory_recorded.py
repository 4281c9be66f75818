import json
import os

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from credo.theory import recorded
from credo.types import CredoError

ROUNDS = 40


def write_run(folder, missing=(), reward="plr", parts=2):
    """Two seeds: 0 healthy, gradient following the critic's slope; 1 blows up at round 10 and saturates."""
    generator = np.random.default_rng(0)
    rows = []
    for seed in (0, 1):
        for number in range(ROUNDS):
            critic = 1.0 + number / 10
            saturated = seed == 1 and number > 10
            rows.append(
                {
                    "seed": seed,
                    "round": number,
                    "step": 1000 * (number + 1),
                    "expert_probability_expert": 0.9 if number != 10 or seed == 0 else 0.8,
                    "expert_probability_policy": 0.25,
                    "expert_logit_q05": 0.1,
                    "expert_logit_q50": 0.5 + 0.02 * number,
                    "expert_logit_q95": 2.0 + 0.05 * number,
                    "actor_gradient_max": 3.0 * critic if not saturated else 0.0,
                    "actor_gradient_norm": (1000.0 if seed == 1 and number == 10 else critic) if not saturated else 0.0,
                    "critic_gradient_max": 1.0,
                    "discriminator_gradient_max": 1.0,
                    "action_saturation": 1.0 if saturated else 0.1 * generator.uniform(),
                    "discriminator_action_slope": 4.0,
                    "q_action_slope": critic,
                }
            )
    (folder / "metrics").mkdir(parents=True)
    # Out of order, as the parts of concurrent seeds may be.
    rows = [rows[i] for i in generator.permutation(len(rows))]
    columns = {k: [r[k] for r in rows] for k in rows[0] if k not in missing}
    size = len(rows) // parts
    for part in range(parts):
        chosen = {k: v[part * size : (part + 1) * size] for k, v in columns.items()}
        parquet.write_table(pa.table(chosen), folder / "metrics" / f"part-{part:06d}.parquet")
    (folder / "config.json").write_text(json.dumps({"config": {"reward": reward, "learner": {"discount": 0.95}}}))
    return folder


def test_a_recorded_run_beside_the_theory(tmp_path):
    healthy, dead = recorded.compare_run(write_run(tmp_path / "run"))
    assert (healthy["seed"], dead["seed"]) == (0, 1)
    assert healthy["rounds"] == ROUNDS
    assert healthy["last_step"] == 1000 * ROUNDS
    # plr: the reward's slope in the logit is D itself, so 0.25 * 4.
    assert healthy["predicted_direct_slope_max"] == pytest.approx(1.0, rel=1e-9)
    assert healthy["critic_over_direct_max"] == pytest.approx(4.9, rel=1e-6)
    assert healthy["horizon"] == pytest.approx(20.0)
    assert healthy["expert_logit_growth_per_1000_steps"] == pytest.approx(0.02, rel=1e-6)
    assert healthy["rank_correlation_q_action_slope"] == pytest.approx(1.0)
    assert healthy["rank_correlation_predicted_direct_slope"] is None
    assert healthy["first_saturated_step"] is None
    assert dead["peak_gradient"] == 1000.0
    assert dead["peak_step"] == 11_000
    assert dead["expert_probability_expert_at_peak"] == pytest.approx(0.8)
    assert dead["peak_past_outlier_threshold"] is False
    assert dead["first_saturated_step"] == 12_000
    assert dead["gradient_median_saturated"] == 0.0
    assert dead["gradient_median_unsaturated"] > 1.0
    assert dead["final_saturation"] == 1.0
    assert dead["rank_correlation_action_saturation"] < -0.5


def test_other_rewards_change_the_prediction(tmp_path):
    folder = write_run(tmp_path / "run", reward="cr")
    assert recorded.compare_run(folder)[0]["predicted_direct_slope_max"] == pytest.approx(4.0, rel=1e-9)
    told = {"reward": "r4", "learner": {"discount": 0.5}}
    (folder / "config.json").write_text(json.dumps(told))
    row = recorded.compare_run(folder)[0]
    assert row["predicted_direct_slope_max"] == pytest.approx(4.0 * 0.25 * 0.75, rel=1e-9)
    assert row["horizon"] == 2.0


def test_the_prediction_is_in_the_units_that_the_critic_learns_in(tmp_path):
    """A factor on the reward and its running deviation stretch the reward's slope as they stretch the critic's."""
    folder = write_run(tmp_path / "run")
    told = json.loads((folder / "config.json").read_text())
    told["config"]["discriminator"] = {"reward_factor": 0.5}
    (folder / "config.json").write_text(json.dumps(told))
    assert recorded.compare_run(folder)[0]["predicted_direct_slope_max"] == pytest.approx(0.5, rel=1e-9)
    for path in (folder / "metrics").iterdir():
        table = parquet.read_table(path)
        parquet.write_table(table.append_column("reward_scale", pa.array([0.125] * len(table))), path)
    assert recorded.compare_run(folder)[0]["predicted_direct_slope_max"] == pytest.approx(4.0, rel=1e-9)


def test_the_discount_is_that_of_the_runs_own_learner(tmp_path):
    folder = write_run(tmp_path / "run")
    told = {"learner": "td3", "reward": "plr", "ddpg": {"discount": 0.5}, "td3": {"discount": 0.9}}
    (folder / "config.json").write_text(json.dumps({"config": told}))
    assert recorded.compare_run(folder)[0]["horizon"] == pytest.approx(10.0)
    told["td3"]["discount"] = 1.0
    (folder / "config.json").write_text(json.dumps({"config": told}))
    with pytest.raises(CredoError, match=r"a discount of 1\.0 is not possible"):
        recorded.compare_run(folder)


def test_whole_numbers_count_and_truths_do_not(tmp_path):
    folder = write_run(tmp_path / "run")
    told = {"reward": "plr", "learner": "td3", "td3": {"discount": 0}, "discriminator": {"reward_factor": 2}}
    (folder / "config.json").write_text(json.dumps({"config": told}))
    assert recorded.recorded_settings(folder) == ("plr", 0, 2)
    row = recorded.compare_run(folder)[0]
    assert (row["horizon"], row["predicted_direct_slope_max"]) == (1.0, pytest.approx(2.0, rel=1e-9))
    told["td3"]["discount"] = told["discriminator"]["reward_factor"] = True
    (folder / "config.json").write_text(json.dumps({"config": told}))
    assert recorded.recorded_settings(folder) == ("plr", None, None)


def test_rounds_beyond_the_horizon_are_those_of_a_larger_ratio(tmp_path):
    folder = write_run(tmp_path / "run")
    assert recorded.compare_run(folder)[0]["share_of_rounds_beyond_horizon"] == 0.0
    # The ratio is 1 + n/10 in round n of 40: past 1/(1 - 0.55) = 2.22 from round 13 on.
    (folder / "config.json").write_text(json.dumps({"reward": "plr", "learner": {"discount": 0.55}}))
    assert recorded.compare_run(folder)[0]["share_of_rounds_beyond_horizon"] == pytest.approx(27 / 40)


def test_the_literal_reward_has_the_slope_of_plr(tmp_path):
    (row, _) = recorded.compare_run(write_run(tmp_path / "run", reward="plr-literal"))
    assert row["reward"] == "plr"
    assert row["predicted_direct_slope_max"] == pytest.approx(1.0, rel=1e-9)


def test_a_sure_discriminator_gives_a_finite_prediction():
    columns = {"seed": np.zeros(2), "expert_probability_policy": np.array([0.0, 1.0])}
    columns["discriminator_action_slope"] = np.full(2, 4.0)
    # r6 has the slope (1 - D)/D, and D is held 1e-12 away from both ends.
    found = recorded.predicted_direct_slope(columns, "r6")
    np.testing.assert_allclose(found, [4e12, 4e-12], rtol=1e-3)


def with_gradients(folder, given):
    """A run in one part whose seed 0 has these gradients (step: value)."""
    path = write_run(folder, parts=1) / "metrics" / "part-000000.parquet"
    table = parquet.read_table(path)
    values = table["actor_gradient_norm"].to_numpy().copy()
    for step, value in given.items():
        values[(table["seed"].to_numpy() == 0) & (table["step"].to_numpy() == step)] = value
    index = table.column_names.index("actor_gradient_norm")
    parquet.write_table(table.set_column(index, "actor_gradient_norm", pa.array(values)), path)
    return folder


def test_a_gradient_past_every_number_is_no_peak_and_is_told(tmp_path):
    # Before learning starts there is no gradient: that NaN is no explosion.
    given = {1000: np.nan, 2000: np.nan, 5000: np.inf, 6000: np.nan}
    row, other = recorded.compare_run(with_gradients(tmp_path / "run", given))
    assert row["peak_gradient"] == pytest.approx(4.9)
    assert row["peak_step"] == 40_000
    assert (row["first_non_finite_step"], row["non_finite_rounds"]) == (5000, 2)
    assert (other["first_non_finite_step"], other["non_finite_rounds"]) == (None, 0)
    every = dict.fromkeys(range(1000, 1000 * (ROUNDS + 1), 1000), np.inf)
    row = recorded.compare_run(with_gradients(tmp_path / "all", every))[0]
    assert (row["first_non_finite_step"], row["non_finite_rounds"]) == (1000, ROUNDS)
    assert "peak_gradient" not in row
    bare = recorded.compare_run(write_run(tmp_path / "bare", missing={"actor_gradient_norm", "actor_gradient_max"}))[0]
    assert (bare["first_non_finite_step"], bare["non_finite_rounds"]) == (None, None)


def test_missing_columns_are_tolerated(tmp_path):
    everything = {
        "expert_probability_expert", "expert_probability_policy", "expert_logit_q05", "expert_logit_q50",
        "expert_logit_q95", "actor_gradient_max", "actor_gradient_norm", "critic_gradient_max",
        "discriminator_gradient_max", "action_saturation", "discriminator_action_slope", "q_action_slope",
    }  # fmt: skip
    bare = recorded.compare_run(write_run(tmp_path / "bare", missing=everything))[0]
    assert bare["discriminator_action_slope_max"] is None
    assert bare["final_saturation"] is None
    assert bare["rank_correlation_q_action_slope"] is None
    for number, column in enumerate(sorted(everything)):
        rows = recorded.compare_run(write_run(tmp_path / str(number), missing={column}))
        assert len(rows) == 2
    no_norm = recorded.compare_run(write_run(tmp_path / "no-norm", missing={"actor_gradient_norm"}))[0]
    assert no_norm["peak_gradient"] == pytest.approx(3 * 4.9)


def test_not_numbers_in_a_run_are_tolerated(tmp_path):
    folder = write_run(tmp_path / "run", parts=1)
    path = folder / "metrics" / "part-000000.parquet"
    table = parquet.read_table(path)
    values = table["q_action_slope"].to_numpy().copy()
    healthy = np.flatnonzero((table["seed"].to_numpy() == 0) & (table["step"].to_numpy() < 10_000))
    values[healthy[0]], values[healthy[1]] = np.nan, np.inf
    parquet.write_table(
        table.set_column(table.column_names.index("q_action_slope"), "q_action_slope", pa.array(values)), path
    )
    row = recorded.compare_run(folder)[0]
    assert row["q_action_slope_max"] == pytest.approx(4.9)


def test_folders_that_are_no_runs(tmp_path):
    with pytest.raises(CredoError, match=r"runs: .*absent does not exist; the folder of a run is needed"):
        recorded.compare_run(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(CredoError, match=r"runs: .*file is not a folder"):
        recorded.compare_run(tmp_path / "file")
    with pytest.raises(CredoError, match=r"runs: .* has no metrics/\*\.parquet"):
        recorded.compare_run(tmp_path)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "part-000000.parquet").write_bytes(b"not parquet")
    with pytest.raises(CredoError, match="not a readable Parquet file"):
        recorded.compare_run(tmp_path)
    parquet.write_table(pa.table({"round": [1]}), tmp_path / "metrics" / "part-000000.parquet")
    with pytest.raises(CredoError, match="has no column 'seed'"):
        recorded.compare_run(tmp_path)


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "config.json").unlink(missing_ok=True)
    os.mkfifo(folder / "config.json")
    with pytest.raises(CredoError, match="is not a regular file"):
        recorded.compare_run(folder)


@pytest.mark.parametrize("reward", ["fairl", "environment"])
def test_a_reward_without_a_known_slope_is_named_with_its_run(tmp_path, reward):
    folder = write_run(tmp_path / "run", reward=reward)
    with pytest.raises(CredoError, match=f"runs: {folder}: no slope is known of reward '{reward}'; one of plr"):
        recorded.compare_run(folder)
