"""The figures in docs/theory.md are those of results/theory."""

import csv
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT.joinpath("docs", "theory.md").read_text(encoding="utf-8")
KEPT = ROOT / "results" / "theory"


def rows_of(name):
    with (KEPT / "data" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def table_under(title):
    """The rows of the page's table whose heading begins with this cell."""
    lines = PAGE.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {title} |"))
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return [cells(line) for line in lines[start + 2 : end]]


def test_the_table_of_claims_is_that_of_the_kept_findings():
    findings = json.loads((KEPT / "findings.json").read_text(encoding="utf-8"))["findings"]
    told = [[cell.replace("\\|", "|") for cell in row] for row in table_under("claim")]
    assert told == [[f"**{v['name']}**: {v['claimed']}", v["measured"], v["agrees"], v["correct"]] for v in findings]


def test_growth_as_the_expert_narrows_is_that_of_the_kept_fits():
    fits = {r["reward"]: r for r in rows_of("narrow_expert_fits") if r["of"] == "total"}
    told = table_under("reward")
    assert len(told) == len(fits) == 8
    for row in told:
        fit = fits[row[0].split(":")[0]]
        power = f"σ_E^({float(fit['power_law_alone']):.3f} ± {float(fit['power_law_error']):.3f})"
        exponential = f"exp({float(fit['rate']):.4f}/σ_E²)"
        assert row[-1] == (exponential if float(fit["rate"]) > 0.01 else power)


def test_the_filters_slope_is_that_of_the_kept_table():
    rows = {r["variant"]: r for r in rows_of("credo_effect") if r["threshold_logit"] == "5"}
    with_it, without = (float(rows[variant]["rough"]) for variant in ("filter, retained", "none"))
    assert f"(slope {with_it:.0f} against {without:.0f} at a threshold of logit 5)" in PAGE
    assert all(float(r["share_of_largest"]) <= 1.0 for r in rows.values())


def test_the_trained_discriminators_are_those_of_the_kept_table():
    rows = {f"{r['case']}, {r['side']}": r for r in rows_of("discriminators") if r["step"] == "3000"}
    told = table_under("case, samples")
    assert [row[0] for row in told] == list(rows)
    for name, shift, errors, slope in told:
        row = {key: value if key in ("case", "side") else float(value) for key, value in rows[name].items()}
        assert shift == f"{row['shift_q05']:.3g} to {row['shift_q95']:.3g}"
        assert errors == f"{row['symmetric_q05']:.3f} to {row['symmetric_q95']:.3f}"
        assert slope == f"{row['slope_q95']:.3g} ({row['exact_slope_q95']:.3g})"
    below = {name: float(r["exact_slope_q95"]) / float(r["slope_q95"]) for name, r in rows.items()}
    narrow = [ratio for name, ratio in below.items() if name.startswith("narrow")]
    wide = [ratio for name, ratio in below.items() if name.startswith("wide")]
    told = (
        f"is {min(narrow):.0f} to {max(narrow):.0f} times below Eq. 9's with a narrow expert, and from {max(wide):.1f}"
    )
    assert f"{told} times below to {1 / min(wide):.1f} times above" in PAGE.replace("\n", " ")


def test_what_is_said_of_recorded_runs_is_in_their_table():
    rows = rows_of("recorded")
    paper = [r for r in rows if r["run"] != "robust"]
    assert (len(rows), len(paper), {r["first_saturated_step"] for r in paper}) == (33, 22, {"64"})
    assert {r["first_saturated_step"] for r in rows if r["run"] == "robust"} == {""}
    flat = re.sub(r"\s+", " ", PAGE)
    final = [float(r["final_saturation"]) for r in paper if float(r["final_saturation"]) < 0.9]
    assert f"{len(final)} of 22 end below 0.9 (at {min(final):.2f} to {max(final):.2f})" in flat
    at_peak = [float(r["action_saturation_at_peak"]) for r in paper]
    saturated = sum(s >= 0.9 for s in at_peak)
    told = f"in {saturated} of 22 the largest gradient of the run falls in a saturated round, in {at_peak.count(1.0)}"
    assert f"{told} of them with every component at a bound" in flat
    both = [
        (float(r["gradient_median_saturated"]), float(r["gradient_median_unsaturated"]))
        for r in paper
        if r["gradient_median_unsaturated"]
    ]
    lower = sum(inside < outside for inside, outside in both)
    assert f"lower in {lower} of the {len(both)} seeds that have rounds of both kinds" in flat
    always = [float(r["gradient_median_saturated"]) for r in paper if not r["gradient_median_unsaturated"]]
    assert max(always) < 2e-7
    assert f"or below 2e-7 in the {len(always)} that have no others" in flat
    assert sum(float(r["critic_over_direct_median"]) > float(r["horizon"]) for r in rows) == 1
    slopes = {run: [r for r in rows if r["run"] == run] for run in ("paper-off", "paper-filter", "robust")}
    highest, ranges = [], []
    for of_run in slopes.values():
        names = [name for name in of_run[0] if name.startswith("rank_correlation_")]
        best = [max((float(r[name]), name) for name in names if r[name])[1] for r in of_run]
        highest.append(best.count("rank_correlation_q_action_slope"))
        values = [float(r["rank_correlation_q_action_slope"]) for r in of_run]
        ranges.append(f"{min(values):.2f} and {max(values):.2f}")
    assert f"in {highest[0]}, {highest[1]} and {highest[2]} of 11 seeds" in flat
    assert f"it lies between {', '.join(ranges)}, and is negative in 5 of the paper's 22" in flat
    assert sum(float(r["rank_correlation_q_action_slope"]) < 0 for r in paper) == 5


def test_both_norms_have_the_same_exponents():
    def key(row):
        return row["quantity"], row["regime"], row["parameter"]

    of_coefficients = {key(r): r for r in rows_of("exponents_coefficient_norm")}
    rows = rows_of("exponents")
    assert len(rows) == len(of_coefficients)
    apart = [abs(float(r["exponent"]) - float(of_coefficients[key(r)]["exponent"])) for r in rows]
    assert f"they agree to {max(apart):.3f}" in PAGE
    windows = {(r["smallest_sigma"], r["largest_sigma"], r["points"]) for r in rows if r["regime"] == "averaged"}
    assert {
        (r["smallest_sigma"], r["largest_sigma"], r["points"])
        for r in of_coefficients.values()
        if r["regime"] == "averaged"
    } == windows
