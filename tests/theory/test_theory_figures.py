"""What the figures draw, from rows made by hand: units, sides, cuts."""

import pytest

from credo.theory import figures, figures_rewards
from credo.theory.discriminators import REWARDS

LOG_HUNDRED = 4.605170185988092


def drawn(chart):
    """Every row in any data set of the chart."""
    found = []

    def walk(node):
        if isinstance(node, dict):
            if isinstance(node.get("values"), list):
                found.extend(row for row in node["values"] if isinstance(row, dict))
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(chart.to_dict())
    return found


def test_norms_are_drawn_as_decimal_logarithms_with_their_fits():
    rows = [
        {"quantity": "theorem 1", "regime": "fixed", "parameter": gap, "sigma": sigma, "log_value": LOG_HUNDRED}
        | {"expert_deviation": deviation}
        for gap in (0.05, 0.1, 0.2)
        for sigma in (0.1, 0.2)
        for deviation in (0.3, 0.01)
    ]
    fit = {"quantity": "theorem 1", "regime": "fixed", "parameter": 0.1, "expert_deviation": 0.3}
    fit |= {"slope_in_inverse_variance": -0.005, "exponent": -5.0, "standard_error": 0.1}
    found = drawn(figures.gradient_against_sigma(rows, [fit], 0.3))
    assert [r["value"] for r in found] == [pytest.approx(2.0)] * 6
    assert {r["curve"] for r in found} == {"|a - h| = 0.05", "|a - h| = 0.1: exp(-0.005/σ²)", "|a - h| = 0.2"}


def test_the_phase_diagram_is_cut_and_its_cells_meet_at_geometric_means():
    rows = [
        {"sigma": sigma, "disparity": 0.1, "log10_estimator": -300.0, "log10_bound": 3.0}
        for sigma in (0.01, 0.04, 0.16)
    ]
    rows.append({"sigma": 0.01, "disparity": 0.2, "log10_estimator": float("nan"), "log10_bound": 30.0})
    cells = [r for r in drawn(figures.phase_diagram(rows)) if "panel" in r]
    assert sorted(r["value"] for r in cells) == [-8.0, -8.0, -8.0, 3.0, 3.0, 3.0, 8.0]
    middle = [r for r in cells if r["panel"] == "estimator"][1]
    assert (middle["x"], middle["x2"]) == (pytest.approx(0.02), pytest.approx(0.08))


def test_the_bounds_probability_is_the_dashed_curve():
    rows = [
        {"regime": "exceedance", "expert_deviation": 0.3, "quantity": name, "sigma": 0.1, "parameter": 10.0}
        | {"log_value": value}
        for name, value in (("theorem 1", -LOG_HUNDRED), ("bound", 0.0), ("corollary 1", -1.0))
    ]
    found = {r["what"][:4]: r["value"] for r in drawn(figures.exceedance(rows, 0.3))}
    assert found == {"norm": pytest.approx(0.01), "||Σ⁻": 1.0}


def test_a_distribution_leaves_out_what_has_no_logarithm():
    rows = [{"sigma": 0.1, "log10_norm": x, "probability": p} for x, p in ((0.0, 0.5), (1.0, 0.0))]
    assert [r["probability"] for r in drawn(figures.estimator_distribution(rows))] == [0.5]


def test_each_outlier_interval_has_its_end_and_its_width():
    row = {"c": 5.0, "alpha": 0.9, "beta": 0.95, "width_alpha": 0.1, "width_beta": 0.05, "difference": 0.01}
    found = [(r["end"][:5], r["value"]) for r in drawn(figures.outlier_intervals([row]))]
    assert found == [("α (pl", 0.9), ("β (cr", 0.95), ("α (pl", 0.1), ("β (cr", 0.05), ("β - α", 0.01)]


def test_rewards_are_cut_at_six_and_slopes_at_their_decades():
    rows = [
        {"reward": "cr", "logit": x, "value": x, "slope": slope}
        for x, slope in ((-7.0, 1.0), (-6.0, 1e-7), (5.0, 1e3), (6.5, 1e4))
    ]
    chart = figures_rewards.rewards_and_slopes(rows).to_dict()
    values, slopes = (panel["data"]["values"] for panel in chart["hconcat"])
    assert [r["value"] for r in values] == [-6.0, 5.0]
    assert [r["slope"] for r in slopes] == [1.0, 1e3]


def test_the_discriminator_wins_where_the_logit_is_negative():
    rows = [{"reward": "plr", "sign": sign, "steepness": 2.0, "total": 1.0} for sign in (-1.0, 1.0)]
    panels = {r["sign"]: r["panel"] for r in drawn(figures_rewards.steepness(rows))}
    assert "wins" in panels[-1.0]
    assert "fooled" in panels[1.0]


def test_noise_is_drawn_once_and_not_per_reward():
    keys = ("noisy_slope", "slope_at_mean", "theorem1_mean_norm", "total", "exact_js_gradient")
    rows = [{"reward": name, "sigma": 0.1} | dict(zip(keys, range(1, 6), strict=True)) for name in REWARDS]
    assert [r["value"] for r in drawn(figures_rewards.exploration_noise(rows))] == [1, 2, 3, 4, 5]


def test_measured_ratios_share_the_bounds_unit():
    interval = {"c": 5.0, "log_ratio_bound_plr": -LOG_HUNDRED, "log_ratio_bound_cr": -2 * LOG_HUNDRED}
    row = {"c": 5.0, "smallest_log_ratio": LOG_HUNDRED, "retained_mass": 0.6, "past_threshold_after": 0.1}
    row |= {"share_of_mean_norm_kept": 0.9, "disparity_retained": 0.2}
    none = {**row, "reward": "plr", "smallest_log_ratio": float("inf")}
    chart = figures_rewards.density_ratio_bound([interval], [{**row, "reward": "plr"}, {**row, "reward": "cr"}, none])
    found = drawn(chart)
    assert [r["value"] for r in found if "reward" in r] == [pytest.approx(v) for v in (-2.0, -4.0, 2.0, 2.0)]
    assert [r["value"] for r in found if "what" in r] == [0.6, 0.1, 0.9, 0.2] * 2


def test_credos_effect_is_drawn_at_one_threshold():
    rows = [
        {"threshold_logit": t, "reward": name, "variant": "none", "largest": t, "towards": 0.5}
        for t in (2.0, 5.0)
        for name in ("plr", "r8")
    ]
    found = drawn(figures_rewards.credo_effect(rows, 5.0))
    assert {(r["threshold_logit"], r["reward"]) for r in found} == {(5.0, "plr")}


def test_errors_keep_their_sign_on_the_logarithmic_scale():
    row = {"case": "wide", "step": 30, "side": "expert", "shift_q05": -99.0, "shift_q50": 0.0, "shift_q95": 9.0}
    (found,) = drawn(figures_rewards.discriminator_errors([row]))[:1]
    assert (found["low"], found["middle"], found["high"]) == (pytest.approx(-2.0), 0.0, pytest.approx(1.0))
