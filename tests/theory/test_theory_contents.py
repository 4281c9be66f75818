"""Tables of the page, from rows made by hand: each number in its place, no row left out."""

import numpy as np

from credo.theory import contents, figures, figures_rewards
from credo.theory.discriminators import REWARDS


def table_of(blocks):
    return next(b for b in blocks if b.kind == "table")


def test_exponents_are_told_as_mean_and_range_per_dimension():
    rows = [
        {"dimensions": d, "quantity": "mean norm", "exponent": e, "predicted": -float(d)}
        for d, e in ((2, -2.5), (2, -1.5), (1, -1.0))
    ]
    assert table_of(contents._by_task({"exponents_by_task": rows})).rows == (
        ("1", "mean norm", "-1.00 (-1.00 to -1.00, 1 tasks)", "-1"),
        ("2", "mean norm", "-2.00 (-2.50 to -1.50, 2 tasks)", "-2"),
    )


def test_the_narrow_experts_table_rises_in_sigma():
    columns = {
        ("theorem 1", "averaged", 1.0): 2.0,
        ("theorem 1, likely pairs", "averaged", 1.0): 3.0,
        ("theorem 1", "exceedance", 1.0): 0.5,
        ("theorem 1", "exceedance", 10.0): 0.25,
    }
    rows = [
        {"quantity": q, "regime": r, "parameter": p, "sigma": sigma, "log_value": np.log(value * sigma)}
        for (q, r, p), value in columns.items()
        for sigma in (1.0, 0.5)
    ]
    found = table_of(contents._narrow({"narrow_expert_limits": rows})).rows
    assert found == (("0.5", "1", "1.5", "0.25"), ("1", "2", "3", "0.5"))


def test_jacobian_errors_stand_under_their_edge_and_gaps_are_empty():
    rows = [
        {"sigma_in_spacings": 0.5, "edge_in_sigmas": np.inf, "relative_error": 0.1},
        {"sigma_in_spacings": 0.5, "edge_in_sigmas": 2.0, "relative_error": 0.2},
        {"sigma_in_spacings": 2.0, "edge_in_sigmas": np.inf, "relative_error": 0.3},
    ]
    found = table_of(contents._printed_jacobian({"printed_jacobian": rows}))
    assert found.header == ("σ / grid spacing", "mean 2σ from the edge", "middle")
    assert found.rows == (("0.5", "2.0e-01", "1.0e-01"), ("2", "", "3.0e-01"))


def test_every_reward_has_its_row_with_the_lost_side_first():
    names = list(REWARDS)
    fits = [
        {"sign": sign, "reward": name, "of": of, "rate": sign * (index + 1), "exponent": 1.0}
        for index, name in enumerate(names)
        for sign in (1.0, -1.0)
        for of in ("direct", "total")
    ]
    narrow = [
        {"reward": name, "of": "total", "rate": 0.5 if name == "r6" else 0.001, "power_law_alone": -2.0}
        for name in names
    ]
    expert = [
        {"reward": "plr", "expert_deviation": deviation, "total_at_policy": value}
        for deviation, value in ((0.2, 0.7), (0.02, 8e-40))
    ]
    limit = [{"sigma": s, "gap": s**2, "single": 1 / s} for s in (0.1, 0.01, 0.05)]
    blocks = contents._deterministic(
        {"steepness_fits": fits, "narrow_expert_fits": narrow, "narrow_expert": expert, "score_function": limit}
    )
    rows = table_of(blocks).rows
    assert [row[0].split(":")[0] for row in rows] == names
    assert rows[1] == ("cr: log D - log(1-D)", "exp(-2.00 τ) τ^1.00", "exp(2.00 τ) τ^1.00", "σ_E^-2.00")
    assert rows[names.index("r6")][3] == "exp(0.5/σ_E²)"
    told = " ".join(b.text for b in blocks)
    assert "PLR's gradient is 8e-40 for σ_E = 0.02" in told
    assert "tends to the deterministic one as σ^2.00" in told
    assert "grows like σ^-1.00" in told


def test_discriminators_are_told_at_the_last_step_on_both_sides():
    def row(side, step):
        columns = {f"shift_q{q}": float(i) for i, q in enumerate(("00", "05", "50", "95", "100"))}
        columns |= {"symmetric_q05": 2.25, "symmetric_q95": 2.75}
        return {
            "case": "wide", "side": side, "step": step, "expert_probability": 0.25,
            "slope_q95": 7.0, "exact_slope_q95": 9.0, **columns,
        }  # fmt: skip

    rows = [row(side, step) for step in (30, 300) for side in ("expert", "policy")]
    found = table_of(contents._discriminators({"discriminators": rows})).rows
    assert [cells[0] for cells in found] == ["wide, expert", "wide, policy"]
    assert found[0][1:] == (
        "0.250", "0 | 1 | 2 | 3 | 4", "2.2500 to 2.7500", "7 (9)",
    )  # fmt: skip


def test_recorded_zeros_are_told_and_only_what_is_missing_is_empty():
    rows = [{"run": "mine", "seed": 0, "peak_gradient": 0.0, "peak_step": 64, "final_saturation": None}]
    block = table_of(contents._recorded({"recorded": rows}))
    told = dict(zip(block.header, block.rows[0], strict=True))
    assert (told["run"], told["seed"], told["peak gradient"], told["peak step"]) == ("mine", "0", "0", "64")
    assert told["final saturation"] == told["q action slope max"] == ""


def test_each_figure_is_drawn_from_its_whole_tables(monkeypatch):
    taken = {
        "gradient_against_sigma": ("limits", "exponents"), "bound_against_estimator": ("limits",),
        "phase_diagram": ("phase",), "estimator_distribution": ("distribution",), "outlier_intervals": ("outliers",),
        "rewards_and_slopes": ("rewards",), "steepness": ("steepness",), "narrow_expert": ("narrow_expert",),
        "exploration_noise": ("noise",), "credo_density_ratio": ("outliers", "property"),
        "credo_effect": ("credo_effect",), "discriminator_errors": ("discriminators",),
    }  # fmt: skip
    functions = {"bound_against_estimator": "exceedance", "credo_density_ratio": "density_ratio_bound"}
    for figure in taken:
        name = functions.get(figure, figure)
        module = figures if hasattr(figures, name) else figures_rewards
        monkeypatch.setattr(module, name, lambda *given: given)
    tables = {name: [{"threshold_logit": t} for t in (2.0, 5.0)] for names in taken.values() for name in names}
    found = contents.charts(tables)
    assert list(found) == list(taken)
    for figure, names in taken.items():
        assert all(a is tables[b] for a, b in zip(found[figure], names, strict=False))
    assert found["credo_effect"][1] == 5.0
    assert found["gradient_against_sigma"][2] == found["bound_against_estimator"][1] == 0.3
