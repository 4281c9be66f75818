"""Verdicts on tables made by hand: the same code must say otherwise when the numbers do."""

import pytest

from credo.theory import verdicts


def point(quantity, sigma, log_value, parameter, regime="exceedance"):
    return {
        "quantity": quantity, "regime": regime, "parameter": parameter, "sigma": sigma, "log_value": log_value,
    }  # fmt: skip


ALMOST_SURE, RARE = -0.01, -5.0
NEARLY_NONE = {"largest_estimator_norm": 1e-12, "probability_gaussian": 0.5, "probability_bound": 0.5}


def limits_table(estimator, level, small_bound=ALMOST_SURE, small_large=RARE):
    """Only the smaller sigma, given second, is to be judged; at the larger one everything is the other way round."""
    return [
        point("bound", 0.3, RARE, level),
        point("bound", 0.01, small_bound, level),
        point(estimator, 0.3, ALMOST_SURE, level),
        point(estimator, 0.01, small_large, level),
    ]


@pytest.mark.parametrize(
    ("bound", "large", "word"), [(ALMOST_SURE, RARE, "no"), (ALMOST_SURE, ALMOST_SURE, "yes"), (RARE, RARE, "yes")]
)
def test_theorem_1_and_its_corollary_are_refuted_by_a_likely_bound_and_a_rare_estimator(bound, large, word):
    perfect = [{"largest_estimator_norm": 3e-11, "probability_gaussian": 0.75, "probability_bound": 0.625}]
    tables = {
        "limits": limits_table("theorem 1", 100.0, bound, large),
        "exponents": [],
        "perfect_imitator": [*perfect, NEARLY_NONE],
    }
    found = verdicts.theorem1(tables)
    assert found.agrees == word
    assert "At σ = 0.01 " in found.measured
    assert "largest norm is 3e-11 (round-off) and the probability up to 0.625 on the grid" in found.measured
    assert "up to 0.7500 by the Gaussian's closed form" in found.measured
    tables["limits"] = limits_table("corollary 1", 10.0, bound, large)
    tables["relation"] = [{"largest_relative_gap": 1e-16}, {"largest_relative_gap": 2e-15}]
    found = verdicts.corollary1(tables)
    assert found.agrees == word
    assert "to a relative 2e-15" in found.measured


def test_fits_are_told_with_their_errors():
    fit = {
        "exponent": -1.5, "standard_error": 0.25,
        "slope_in_inverse_variance": None, "slope_standard_error": None, "predicted_slope": None,
    }  # fmt: skip
    rows = [fit | {"quantity": "theorem 1", "regime": "averaged", "parameter": 1.0}]
    rows.append(
        {"quantity": "theorem 1", "regime": "fixed", "parameter": 0.1}
        | {"exponent": -5.0, "standard_error": 0.1, "slope_in_inverse_variance": -0.004, "predicted_slope": -0.005}
    )
    tables = {
        "limits": limits_table("theorem 1", 100.0),
        "exponents": rows,
        "perfect_imitator": [NEARLY_NONE],
    }
    told = verdicts.theorem1(tables).measured
    assert "Mean norm over expert samples σ^(-1.50 ± 0.25)" in told
    assert "exp(-0.00400/σ²) (predicted -0.00500)" in told


@pytest.mark.parametrize(("largest", "word"), [(7.0, "in part"), (5.0, "yes")])
def test_remark_1_holds_in_part_where_the_narrow_experts_norm_passes_a_million(largest, word):
    def row(deviation, log10):
        return {
            "sigma": 0.2, "expert_deviation": deviation, "log10_largest_theorem1": log10,
            "log10_largest_corollary1": 1.0, "exact_gradient_norm": 0.1, "gradient_bound": 2.0,
        }  # fmt: skip

    found = verdicts.remark1({"remark1": [row(0.05, largest), row(0.5, 0.0)]})
    assert found.agrees == word
    assert "spread 0.5 to 0.05" in found.measured


def event_rows(bound):
    """Two values of C: the bound's probability at the second is given, that of the other events is 0.5."""
    return [
        {"event": e, "sigma": 0.1, "c": c, "exact": p, "low": p - 0.1, "high": p + 0.1}
        for c, last in ((1.0, 0.5), (10.0, bound))
        for e, p in (("xi", 0.5), ("xi1", 0.5), ("bound", last))
    ]


@pytest.mark.parametrize(
    ("bound", "full", "word"), [(0.5, 0.7, "in part"), (0.9, 0.7, "in part"), (0.4, 0.7, "no"), (0.9, 0.2, "no")]
)
def test_equation_12_must_hold_at_every_point_of_either_covariance(bound, full, word):
    tables = {"events": event_rows(bound)}
    tables["events_full_covariance"] = [{"sigma": 0.1, "c": c, "xi": 0.3, "bound": b} for c, b in ((1, full), (2, 0.3))]
    found = verdicts.events(tables)
    assert found.agrees == word
    assert ("holds at all" if word == "in part" else "fails at some of") + " 4 points (C, Σ): 2 of Σ" in found.measured
    if full == 0.7:
        assert "and 2 of a full covariance in two dimensions, where they differ at 1, by up to 0.40." in found.measured
    assert "in 100% of cases" in found.measured


def test_remark_2_falls_with_theorem_1_where_noise_changes_no_probability():
    noise = [
        {"reward": "plr", "sigma": sigma, "slope_at_mean": 3 * sigma, "noisy_slope": 1 / sigma} for sigma in (0.5, 0.1)
    ]
    tables = {
        "limits": limits_table("theorem 1", 100.0),
        "exponents": [],
        "perfect_imitator": [NEARLY_NONE],
        "events": event_rows(0.5),
        "noise": noise,
    }
    found = verdicts.remark2(tables)
    assert found.agrees == "in part"
    assert "by a factor 5 from σ = 0.1 to 0.5; at noisy actions it goes from 10 to 2." in found.measured
    tables["limits"] = limits_table("theorem 1", 100.0, small_large=ALMOST_SURE)
    assert verdicts.remark2(tables).agrees == "yes"
    apart = [row | {"exact": 0.48} if row["event"] == "xi1" else row for row in event_rows(0.5)]
    assert verdicts.remark2(tables | {"events": apart}).agrees == "no"


@pytest.mark.parametrize(
    ("largest", "smallest", "word"), [(-6.0, 3.0, "in part"), (0.5, 3.0, "yes"), (-6.0, -1.0, "yes")]
)
def test_proposition_1_is_judged_by_the_signs_of_both_logits(largest, smallest, word):
    def row(sigma, disparity, largest, smallest):
        return {
            "sigma": sigma, "disparity": disparity, "distance": 1e-4, "in_xi_at_c_1": True,
            "largest_logit": largest, "smallest_logit": smallest, "log10_theorem1": -3.0,
        }  # fmt: skip

    rows = [row(0.3, "C = 1", 9.0, -9.0), row(0.3, "0.1", 9.0, -9.0)]
    rows += [row(0.01, "C = 1", largest, -7.0), row(0.01, "0.1", 4.0, smallest)]
    assert verdicts.proposition1({"proposition1": rows}).agrees == word


@pytest.mark.parametrize(("difference", "word"), [(1e-5, "in part"), (0.0, "no"), (-1e-5, "no")])
def test_proposition_2_is_judged_at_c_5(difference, word):
    # The formula's difference decides nothing: it is positive whatever alpha and beta are.
    outliers = [
        {"c": c, "alpha": 0.9, "beta": 0.9 + d, "difference": 1.0}
        for c, d in ((1.0, 0.5), (5.0, difference), (9.0, 0.5))
    ]
    mass = [{"c": c, "between": b, "past_alpha": 0.25} for c, b in ((2.0, 0.7), (5.0, 0.002), (8.0, 0.001))]
    slopes = [
        {"reward": name, "slope": s, "logit": x}
        for name, s, x in (("plr", 0.001, -7.0), ("plr", 0.9, 3.0), ("cr", 1, 9))
    ]
    found = verdicts.proposition2({"outliers": outliers, "outlier_mass": mass, "rewards": slopes})
    assert found.agrees == word
    assert "at most 0.002 for c ≥ 5, where up to 0.25" in found.measured
    assert "(0.001 to 0.90000 at logits -7 to 3)" in found.measured


@pytest.mark.parametrize(("ratio", "word"), [(-0.9, "in part"), (-1.1, "no")])
def test_property_e2_needs_every_smallest_ratio_above_its_bound(ratio, word):
    def row(reward, smallest):
        return {
            "reward": reward, "c": 5.0, "smallest_log_ratio": smallest, "log_bound": -1.0, "retained_mass": 0.6,
            "share_of_mean_norm_kept": 0.9, "log10_largest_norm_all": 2.0, "log10_largest_norm_kept": 1.0,
            "past_threshold_after": 0.03,
        }  # fmt: skip

    tables = {
        "property": [row("plr", -0.5), row("cr", ratio)],
        "filter_rounds": [
            {"reading": reading, "round": number, "c": 5.0, "mean_reward_on_outliers": value}
            for reading, number, value in (("retained", 1, 12.0), ("batch", 0, 7.0), ("retained", 0, 0.0))
        ],
        "credo_effect": [
            {"variant": variant, "reward": "plr", "threshold_logit": threshold, "rough": threshold * factor}
            for variant, factor in (("none", 1.0), ("filter, retained", 8.0))
            for threshold in (2.0, 5.0)
        ],
    }
    found = verdicts.property_e2(tables)
    assert found.agrees == word
    assert "60% of expert samples are retained; they carry 90.0% of the mean norm" in found.measured
    assert "10^2.00 before and 10^1.00 after" in found.measured
    assert "goes 0 → 12 over rounds" in found.measured
    assert "5 without, 40 with the filter" in found.measured


def test_nothing_is_corrected_where_the_numbers_agree(monkeypatch):
    names = ("theorem1", "corollary1", "remark1", "events", "remark2", "proposition1", "proposition2", "property_e2")
    for index, name in enumerate(names):
        given = verdicts.Verdict(name, "", "", ("yes", "no", "in part")[index % 3], "another statement")
        monkeypatch.setattr(verdicts, name, lambda tables, given=given: given)
    found = [v.correct for v in verdicts.all_verdicts({})]
    assert found[:3] == ["As claimed, by these numbers.", "another statement", "another statement"]
    assert found.count("As claimed, by these numbers.") == 3


def test_a_row_is_found_by_all_its_values():
    rows = [{"a": 1, "b": 1, "x": "first"}, {"a": 1, "b": 2, "x": "second"}]
    assert verdicts.find(rows, a=1, b=2)["x"] == "second"
    with pytest.raises(KeyError):
        verdicts.find(rows, a=2, b=1)
