"""What the page of findings says and shows: numbers from the tables of the run or from what it was asked to measure,
and what docs/theory.md derives, whatever the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from credo.theory import figures, figures_rewards
from credo.theory.discriminators import REWARDS
from credo.theory.findings_limits import LIKELY
from credo.theory.measure import (
    EFFECT_RESOLUTION,
    EXPERT_DEVIATION,
    NARROW_DEVIATION,
    PROPERTY_DEVIATION,
    PROPERTY_DISTANCE,
)
from credo.theory.page import Block
from credo.theory.verdicts import Tables, Verdict, curve, find

RECORDED_COLUMNS = (
    "run",
    "seed",
    "expert_logit_growth_per_1000_steps",
    "discriminator_action_slope_max",
    "predicted_direct_slope_max",
    "q_action_slope_max",
    "critic_over_direct_median",
    "peak_gradient",
    "peak_step",
    "non_finite_rounds",
    "expert_probability_expert_at_peak",
    "final_saturation",
    "rank_correlation_q_action_slope",
    "rank_correlation_predicted_direct_slope",
    "rank_correlation_expert_probability_expert",
)


def charts(tables: Tables) -> dict[str, Any]:
    """Every figure by file name."""
    return {
        "gradient_against_sigma": figures.gradient_against_sigma(
            tables["limits"], tables["exponents"], EXPERT_DEVIATION
        ),
        "bound_against_estimator": figures.exceedance(tables["limits"], EXPERT_DEVIATION),
        "phase_diagram": figures.phase_diagram(tables["phase"]),
        "estimator_distribution": figures.estimator_distribution(tables["distribution"]),
        "outlier_intervals": figures.outlier_intervals(tables["outliers"]),
        "rewards_and_slopes": figures_rewards.rewards_and_slopes(tables["rewards"]),
        "steepness": figures_rewards.steepness(tables["steepness"]),
        "narrow_expert": figures_rewards.narrow_expert(tables["narrow_expert"]),
        "exploration_noise": figures_rewards.exploration_noise(tables["noise"]),
        "credo_density_ratio": figures_rewards.density_ratio_bound(tables["outliers"], tables["property"]),
        "credo_effect": figures_rewards.credo_effect(
            tables["credo_effect"], max(r["threshold_logit"] for r in tables["credo_effect"])
        ),
        "discriminator_errors": figures_rewards.discriminator_errors(tables["discriminators"]),
    }


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Block:
    return Block("table", header=header, rows=tuple(rows))


def _figure(name: str, caption: str) -> Block:
    return Block("figure", caption, figure=name)


def _heading(text: str) -> Block:
    return Block("heading", text)


def _text(text: str) -> Block:
    return Block("text", text)


def blocks(tables: Tables, verdicts: list[Verdict], record: dict[str, Any]) -> list[Block]:
    """The page, top to bottom."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    used = record["options"]
    page = [
        _text(
            "Exact occupancies on finite MDPs with finely discretised actions; a Gaussian policy in an RKHS; norms "
            "of gradients are RKHS norms unless said otherwise. Derivations: docs/theory.md. Fits are least "
            "squares; their standard errors measure departure from the fitted form, since exact numbers carry no "
            "noise."
        ),
        _text(
            f"Command: {record['command']}. Used: seed {used['seed']}, {used['states']} states, {used['grid']:,} grid "
            f"points, {used['samples']:,} samples, {used['training_steps']:,} training steps"
            f"{' (quick: rough numbers)' if used['quick'] else ''}. Versions: {versions}. Processor time: "
            f"{record['processor_seconds']} s."
        ),
        _heading("What is claimed and what the numbers show"),
        _table(
            ("statement", "claimed", "exact numbers", "agree?", "correct statement"),
            [(v.name, v.claimed, v.measured, v.agrees, v.correct) for v in verdicts],
        ),
        _heading("Theorem 1 and Corollary 1 as Σ → 0"),
        _figure(
            "gradient_against_sigma",
            f"One task, expert of standard deviation {EXPERT_DEVIATION:g}. Left: at fixed disparity the estimator "
            "vanishes while the bound's quantity (one curve shown) grows like σ⁻²; the label gives the fitted "
            "coefficient of 1/σ², -|a-h|²/2 is predicted. Middle: at a disparity proportional to σ it grows. "
            "Right: averages over expert samples.",
        ),
        _figure(
            "bound_against_estimator",
            "Theorem 1 says that the solid and dashed events go together. By docs/theory.md, as σ → 0 the bound's "
            "probability tends to 1 and that of a large estimator to 0.",
        ),
        _figure("phase_diagram", "Norms over standard deviation and disparity. Values beyond ±8 decades are cut."),
        _figure(
            "estimator_distribution",
            "As σ falls, the tail reaches further and holds fewer samples: a score-function estimator of growing "
            "variance.",
        ),
        *_by_task(tables),
        *_narrow(tables),
        *_printed_jacobian(tables),
        _heading("Rewards, outliers and CREDO"),
        _figure(
            "outlier_intervals", "Definition 2 and Proposition 2: β - α is the square of α's own width to first order."
        ),
        _figure(
            "rewards_and_slopes", "All eight rewards of Table 1 rise with the logit; only r6 has an unbounded slope."
        ),
        _figure(
            "credo_density_ratio",
            f"E.2 at Eq. 9's optimum, and what the filter leaves for a policy of σ = {PROPERTY_DEVIATION:g} and "
            f"disparity distance {PROPERTY_DISTANCE:g}.",
        ),
        _heading("The deterministic policy gradient"),
        *_deterministic(tables),
        _heading("Real discriminators"),
        *_discriminators(tables),
    ]
    if "recorded" in tables:
        page += _recorded(tables)
    return page


def _by_task(tables: Tables) -> list[Block]:
    rows = tables["exponents_by_task"]
    lines = []
    for dimensions in sorted({r["dimensions"] for r in rows}):
        for quantity in dict.fromkeys(r["quantity"] for r in rows):
            chosen = [r for r in rows if (r["dimensions"], r["quantity"]) == (dimensions, quantity)]
            values = [r["exponent"] for r in chosen]
            lines.append(
                (
                    str(dimensions),
                    quantity,
                    f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f}, {len(values)} tasks)",
                    f"{chosen[0]['predicted']:g}",
                )
            )
    return [
        _text(
            "Exponents in σ on several random tasks, over the smallest factor of four in σ that the grid resolves; "
            "'scaling' leaves out logarithms, which at these σ still show in the slower ones."
        ),
        _table(("action dimensions", "quantity", "fitted exponent: mean (range)", "scaling"), lines),
    ]


def _narrow(tables: Tables) -> list[Block]:
    rows = tables["narrow_expert_limits"]
    sigma, mean = curve(rows, "theorem 1", "averaged", 1.0)
    _, likely = curve(rows, "theorem 1, likely pairs", "averaged", 1.0)
    _, above = curve(rows, "theorem 1", "exceedance", 1.0)
    lines = [
        (f"{s:.2g}", f"{np.exp(m):.3g}", f"{np.exp(v):.2g}", f"{np.exp(a):.2g}")
        for s, m, v, a in zip(sigma, mean, likely, above, strict=True)
    ]
    return [
        _text(
            f"With the paper's expert noise of {NARROW_DEVIATION:g} the mean norm still grows like 1/σ, but on paper "
            "only: it is carried by pairs whose expert probability no data set reaches. The third column is without "
            f"the pairs below 1e{LIKELY}."
        ),
        _table(("σ", "mean norm", f"mean norm over pairs likelier than 1e{LIKELY}", "Pr(norm ≥ 1)"), lines),
    ]


def _printed_jacobian(tables: Tables) -> list[Block]:
    rows = tables["printed_jacobian"]
    edges = sorted({r["edge_in_sigmas"] for r in rows})
    lines = []
    for ratio in sorted({r["sigma_in_spacings"] for r in rows}):
        errors = {r["edge_in_sigmas"]: r["relative_error"] for r in rows if r["sigma_in_spacings"] == ratio}
        lines.append((f"{ratio:g}", *(f"{errors[e]:.1e}" if e in errors else "" for e in edges)))
    header = ("σ / grid spacing", *("middle" if np.isinf(e) else f"mean {e:g}σ from the edge" for e in edges))
    return [
        _text(
            "The printed H_h against the grid's own Jacobian, relative error. In the middle it falls like "
            "exp(-2π²(σ/spacing)²), down to round-off; near the edge the lost tail decides."
        ),
        _table(header, lines),
    ]


def _deterministic(tables: Tables) -> list[Block]:
    fits, narrow = tables["steepness_fits"], tables["narrow_expert_fits"]
    lines = []
    for name in REWARDS:
        lost = find(fits, sign=-1.0, reward=name, of="total")
        fooled = find(fits, sign=1.0, reward=name, of="total")
        tight = next((r for r in narrow if (r["reward"], r["of"]) == (name, "total")), None)
        lines.append(
            (
                f"{name}: {REWARDS[name].formula}",
                f"exp({lost['rate']:.2f} τ) τ^{lost['exponent']:.2f}",
                f"exp({fooled['rate']:.2f} τ) τ^{fooled['exponent']:.2f}",
                ""
                if tight is None
                else f"exp({tight['rate']:.3g}/σ_E²)"
                if abs(tight["rate"]) > 0.01
                else f"σ_E^{tight['power_law_alone']:.2f}",
            )
        )
    smallest = min(r["expert_deviation"] for r in tables["narrow_expert"])
    plr = find(tables["narrow_expert"], reward="plr", expert_deviation=smallest)
    limit = sorted(tables["score_function"], key=lambda r: r["sigma"])
    order = np.polyfit(np.log([r["sigma"] for r in limit]), np.log([r["gap"] for r in limit]), 1)[0]
    single = np.polyfit(np.log([r["sigma"] for r in limit]), np.log([r["single"] for r in limit]), 1)[0]
    return [
        _text(
            "DDPG, TD3 and SD3 differentiate the critic; no covariance and no score function enters. The gradient "
            "is the reward's slope in the logit times the logit's slope in the action, plus a future part. Fitted "
            "growth with a factor τ on the logit (|logit| between 0.75 τ and 1.25 τ), and of the largest gradient "
            "between policy and expert with the expert's spread:"
        ),
        _table(("reward", "logit < 0 at the policy", "logit > 0 at the policy", "expert's spread σ_E → 0"), lines),
        _figure(
            "steepness",
            "Rewards whose slope dies with the logit give no gradient; cr stays linear on both sides, r3 where the "
            "discriminator wins, plr where it is fooled. Curves that coincide hide each other: plr and cr (right), "
            "r3 and cr, plr, r4 and r5 (left).",
        ),
        _figure(
            "narrow_expert",
            f"At the policy itself PLR's gradient is {plr['total_at_policy']:.1g} for σ_E = {smallest:g}: "
            "saturation, not explosion.",
        ),
        _text(
            "At a fixed smooth discriminator the score-function gradient tends to the deterministic one as "
            f"σ^{order:.2f}, while the norm of a single sample of it grows like σ^{single:.2f}: the two routes "
            "share their mean, not their variance."
        ),
        _figure(
            "exploration_noise",
            "With Eq. 9's discriminator for data collected with noise σ. Less noise: Theorem 1's estimator grows "
            "in mean norm, the deterministic gradient at a = h(s) does not; the logit's slope at noisy actions "
            "does.",
        ),
        _figure(
            "credo_effect",
            f"The optimum on what each variant keeps, seen at a resolution of {EFFECT_RESOLUTION:g} in the action, at "
            "points between policy and expert. A filter fixed for the round makes the logit steep at its border and "
            "turns the gradient away from the expert beyond it.",
        ),
    ]


def _discriminators(tables: Tables) -> list[Block]:
    lines = []
    last = max(r["step"] for r in tables["discriminators"])
    for row in tables["discriminators"]:
        if row["step"] == last:
            lines.append(
                (
                    f"{row['case']}, {row['side']}",
                    f"{row['expert_probability']:.3f}",
                    f"{row['shift_q00']:.3g} | {row['shift_q05']:.3g} | {row['shift_q50']:.3g} | "
                    f"{row['shift_q95']:.3g} | {row['shift_q100']:.3g}",
                    f"{row['symmetric_q05']:.4f} to {row['symmetric_q95']:.4f}",
                    f"{row['slope_q95']:.3g} ({row['exact_slope_q95']:.3g})",
                )
            )
    return [
        _text(
            f"Two hidden layers of 100 tanh units, Adam 3e-4, batch 128, {last} steps, on a linear-Gaussian point "
            "mass whose occupancy densities are known. Only the shift of the logit, log((1+e1)/(1-e2)), is "
            "identified; e1 and e2 follow from it by a choice (here e1 = e2)."
        ),
        _table(
            (
                "case, samples",
                "mean D",
                "shift: min | 5% | median | 95% | max",
                "e1 = e2 (5-95%)",
                "|dl/da|, 95% (exact)",
            ),
            lines,
        ),
        _figure(
            "discriminator_errors",
            "The error of the logit over locations. Eq. 13 takes it for one constant.",
        ),
    ]


def _recorded(tables: Tables) -> list[Block]:
    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [tuple(cell(row.get(name)) for name in RECORDED_COLUMNS) for row in tables["recorded"]]
    return [
        _heading("Recorded runs"),
        _text("Per seed, what was recorded beside what the exact deterministic gradient predicts; see docs/theory.md."),
        _table(tuple(name.replace("_", " ") for name in RECORDED_COLUMNS), lines),
    ]
