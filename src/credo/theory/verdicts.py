"""The paper's statements beside the exact numbers: whether they agree is decided here by the numbers of the run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Rows = list[dict[str, Any]]
Tables = dict[str, Rows]


class Verdict(NamedTuple):
    """One row of the table of findings."""

    name: str
    claimed: str
    measured: str
    agrees: str
    """yes, no or in part."""
    correct: str
    """What holds in its place; where the numbers agree, that there is nothing to correct."""


def find(rows: Rows, **wanted: Any) -> dict[str, Any]:
    """The one row with these values; KeyError if there is none."""
    for row in rows:
        if all(row[key] == value for key, value in wanted.items()):
            return row
    raise KeyError(str(wanted))


def curve(rows: Rows, quantity: str, regime: str, parameter: float) -> tuple[np.ndarray, np.ndarray]:
    """(sigma, natural logarithm of the value) of one curve, sigma ascending."""
    chosen = [r for r in rows if (r["quantity"], r["regime"], r["parameter"]) == (quantity, regime, parameter)]
    chosen.sort(key=lambda r: r["sigma"])
    return np.array([r["sigma"] for r in chosen]), np.array([r["log_value"] for r in chosen])


def _fit(rows: Rows, quantity: str, regime: str, parameter: float) -> dict[str, Any]:
    """The fit of a curve; a coarse grid can leave too few points for one, which is then NaN."""
    try:
        return find(rows, quantity=quantity, regime=regime, parameter=parameter)
    except KeyError:
        return dict.fromkeys(
            ("exponent", "standard_error", "slope_in_inverse_variance", "slope_standard_error", "predicted_slope"),
            np.nan,
        )


def _power(fit: dict[str, Any]) -> str:
    return f"σ^({fit['exponent']:.2f} ± {fit['standard_error']:.2f})"


def theorem1(tables: Tables) -> Verdict:
    curves, fits = tables["limits"], tables["exponents"]
    level = 100.0
    _, bound = curve(curves, "bound", "exceedance", level)
    sigma, large = curve(curves, "theorem 1", "exceedance", level)
    decay = _fit(fits, "theorem 1", "exceedance", level)
    fixed = _fit(fits, "theorem 1", "fixed", 0.1)
    perfect = max(r["largest_estimator_norm"] for r in tables["perfect_imitator"])
    perfect_sum = max(r["probability_bound"] for r in tables["perfect_imitator"])
    perfect_gaussian = max(r["probability_gaussian"] for r in tables["perfect_imitator"])
    mean = _fit(fits, "theorem 1", "averaged", 1.0)
    exact = _fit(fits, "exact gradient", "averaged", 1.0)
    at_one = _fit(fits, "theorem 1", "proportional", 1.0)
    refuted = np.exp(bound[0]) > 0.5 and np.exp(large[0]) < 0.5
    return Verdict(
        "Theorem 1",
        "As Σ → 0 the norm of the gradient estimator goes to infinity with probability at least "
        "Pr(||Σ⁻¹(a - h(s))|| ≥ C).",
        f"At σ = {sigma[0]:.2g} that probability is {np.exp(bound[0]):.3f} for C = {level:g}; the estimator's norm "
        f"is at least {level:g} with probability {np.exp(large[0]):.2g}, falling like {_power(decay)}. At fixed "
        f"disparity 0.1 the norm falls like exp({fixed['slope_in_inverse_variance']:.5f}/σ²) (predicted "
        f"{fixed['predicted_slope']:.5f}); at a disparity of one σ it grows like {_power(at_one)}. Mean norm over "
        f"expert samples {_power(mean)}; the mean itself, the exact gradient, {_power(exact)}. Where expert and "
        f"policy are the same the estimator's largest norm is {perfect:.1g} (round-off) and the probability up to "
        f"{perfect_sum:.3f} on the grid, which holds a = h(s) itself, and up to {perfect_gaussian:.4f} by the "
        "Gaussian's closed form.",
        "no" if refuted else "yes",
        "With u = ρ_h/ρ_E the estimator is ½ u log(2u/(1+u)) ∇log ρ_h. At any fixed a ≠ h(s) it tends to 0 as Σ → "
        "0, so it tends to 0 with probability 1 over expert samples of a fixed continuous distribution. In "
        "expectation its norm diverges like 1/σ, carried by samples within a few σ of h(s) whose probability "
        "vanishes like σ^A; the expectation itself, the gradient of D_JS, stays bounded and vanishes for an expert "
        "of fixed spread. It grows like 1/σ only if the expert narrows with the policy.",
    )


def corollary1(tables: Tables) -> Verdict:
    fits = tables["exponents"]
    rows = [
        (
            _fit(fits, name, "averaged", 1.0),
            _fit(fits, name, "proportional", 1.0),
            _fit(fits, name, "exceedance", 100.0),
        )
        for name in ("corollary 1", "corollary 1, imperfect")
    ]
    gap = max(r["largest_relative_gap"] for r in tables["relation"])
    text = "; ".join(
        f"{label}: mean norm {_power(mean)}, at one σ {_power(one)}, Pr(norm ≥ 100) {_power(rare)}"
        for label, (mean, one, rare) in zip(("e1 = e2 = 0", "e1 = 0.5, e2 = -0.3"), rows, strict=True)
    )
    sigma, log_large = curve(tables["limits"], "corollary 1", "exceedance", 10.0)
    _, log_bound = curve(tables["limits"], "bound", "exceedance", 10.0)
    refuted = np.exp(log_bound[0]) > 0.5 and np.exp(log_large[0]) < 0.5
    return Verdict(
        "Corollary 1",
        "The same for an imperfect discriminator with constants e1, e2.",
        f"{text}. At σ = {sigma[0]:.2g}, Pr(norm ≥ 10) is {np.exp(log_large[0]):.2g}. At e1 = e2 = 0 it equals 2 × "
        f"Theorem 1's - log 2 · ∇ρ_h/ρ_E to a relative {gap:.1g}.",
        "no" if refuted else "yes",
        "The weight of ∇log ρ_h depends on (e1, e2) only through k = (1+e1)/(1-e2) and tends to -1 as u → ∞, to 0 "
        "as u → 0, for every k: the norm is at most of order ||∇log ρ_h|| ~ 1/σ, reached with probability of order "
        "σ^A. In one dimension the mean norm grows only logarithmically. The 1/σ of Theorem 1's mean norm comes "
        "from its constant log 2, a missing baseline. Differentiating through Eq. 13 (the e1 + e2 term) is also "
        "not what training does: there the discriminator is held fixed.",
    )


def remark1(tables: Tables) -> Verdict:
    rows = sorted(tables["remark1"], key=lambda r: r["expert_deviation"])
    narrow, wide = rows[0], rows[-1]
    unbounded = narrow["log10_largest_theorem1"] > 6
    return Verdict(
        "Remark 1",
        "For a Gaussian policy with fixed Σ the gradient norm is bounded.",
        f"At σ = {narrow['sigma']:g}, experts of spread {wide['expert_deviation']:g} to "
        f"{narrow['expert_deviation']:g}: exact gradient {wide['exact_gradient_norm']:.2g} to "
        f"{narrow['exact_gradient_norm']:.2g}; largest single-sample norm 10^{wide['log10_largest_theorem1']:.1f} "
        f"to 10^{narrow['log10_largest_theorem1']:.0f} for Theorem 1, {10 ** wide['log10_largest_corollary1']:.2g} "
        f"to {10 ** narrow['log10_largest_corollary1']:.2g} for Corollary 1. Bound on the exact gradient over all "
        f"experts: {narrow['gradient_bound']:.3g}.",
        "in part" if unbounded else "yes",
        "At fixed Σ the exact gradient is bounded over all experts, by ½ (E||∇log ρ_h||²)^½, and so is Corollary "
        "1's estimator wherever ∇log ρ_h is, by max(1, k) ||∇log ρ_h||. Theorem 1's estimator is bounded only "
        "where ρ_h/ρ_E is: an expert narrower than the policy makes it as large as one likes. The bound is of "
        "order 1/σ: the argument compares a limit with a fixed value, and says nothing special of deterministic "
        "policies.",
    )


def events(tables: Tables) -> Verdict:
    rows = tables["events"]
    pairs = {(r["event"], r["sigma"], r["c"]): r["exact"] for r in rows}
    full = [(r["xi"], r["bound"]) for r in tables["events_full_covariance"]]
    both = full + [(p, pairs[("bound", s, c)]) for (e, s, c), p in pairs.items() if e == "xi"]
    ordered = all(bound >= xi - 1e-12 for xi, bound in both)
    apart = sum(bound > xi + 1e-6 for xi, bound in full)
    inside = np.mean([r["low"] <= r["exact"] <= r["high"] for r in rows])
    sigma = min(r["sigma"] for r in rows)
    lowest = min(r["exact"] for r in rows if r["sigma"] == sigma and r["event"] == "xi")
    return Verdict(
        "Eq. 12 and Definition 1",
        "Pr(bound) ≥ Pr(Ξ), and Pr(Ξ) is nontrivial as Σ → 0; the events hold 'for any C'.",
        f"The inequality {'holds at all' if ordered else 'fails at some of'} {len(both)} points (C, Σ): "
        f"{len(both) - len(full)} of Σ = σ² I, where both sides are one event, and {len(full)} of a full covariance in "
        f"two dimensions, where they differ at {apart}, by up to {max(bound - xi for xi, bound in full):.2f}. At "
        f"σ = {sigma:.2g} and Σ = σ² I, Pr(Ξ) ≥ {lowest:.4f} for every C up to {max(r['c'] for r in rows):g}. Exact "
        f"sums lie in the 95% Monte Carlo interval in {100 * inside:.0f}% of cases.",
        "in part" if ordered else "no",
        "The inequality holds. But Ξ compares a length with C||Σ||, which falls like σ²: as Σ → 0 every expert, "
        "the imitator itself included, meets it with probability tending to 1 for each C, so it says nothing about "
        "disparity; and 'for any C' at once is met by no finite disparity. A scale-free event would be "
        "||Σ^(-1/2)(a - h(s))|| ≥ C.",
    )


def remark2(tables: Tables) -> Verdict:
    rows = {(r["event"], r["sigma"], r["c"]): r["exact"] for r in tables["events"]}
    smallest = min(s for _, s, _ in rows)
    difference = max(abs(p - rows[("xi1", s, c)]) for (e, s, c), p in rows.items() if e == "xi" and s == smallest)
    noise = sorted((r for r in tables["noise"] if r["reward"] == "plr"), key=lambda r: r["sigma"])
    slope = noise[-1]["slope_at_mean"] / noise[0]["slope_at_mean"]
    return Verdict(
        "Remark 2",
        "With exploration noise N(0, Σ) the results hold for Ξ₁ as for Ξ, regardless of the noise.",
        f"At σ = {smallest:.2g} the probabilities of Ξ and Ξ₁ differ by at most {difference:.2g}. The logit's slope "
        f"at a = h(s) changes by a factor {slope:.3g} from σ = {noise[0]['sigma']:.2g} to {noise[-1]['sigma']:.2g}; "
        f"at noisy actions it goes from {noise[0]['noisy_slope']:.3g} to {noise[-1]['noisy_slope']:.3g}.",
        "no" if difference >= 0.01 else "in part" if theorem1(tables).agrees == "no" else "yes",
        "Both probabilities tend to 1 together, but what they were to imply (Theorem 1) fails for both. For a "
        "deterministic learner the noise matters elsewhere: it sets the discriminator's slope round h(s), of order "
        "1/σ at noisy actions, while at h(s) itself Eq. 9's slope is (m_E - h)/σ_E², whatever the noise.",
    )


def proposition1(tables: Tables) -> Verdict:
    rows = tables["proposition1"]
    smallest = min(r["sigma"] for r in rows)
    small = find(rows, sigma=smallest, disparity="C = 1")
    fixed = find(rows, sigma=smallest, disparity="0.1")
    return Verdict(
        "Proposition 1",
        "D*(s, a) ≈ 1 if and only if h(s) differs from a under Ξ.",
        f"At σ = {smallest:.2g} and a disparity of {small['distance']:.1g} (Ξ holds with C = 1: "
        f"{small['in_xi_at_c_1']}) the logit is at most {small['largest_logit']:.2f}, D ≤ "
        f"{1 / (1 + np.exp(-small['largest_logit'])):.2g}. At disparity 0.1 it is {fixed['smallest_logit']:.3g} (D "
        f"≈ 1), and there the estimator's norm is 10^{fixed['log10_theorem1']:.0f}.",
        "in part" if small["largest_logit"] < 0 < fixed["smallest_logit"] else "yes",
        "At fixed a ≠ h(s), D* → 1 as Σ → 0, with 1 - D* ~ exp(-|a - h|²/2σ²)/σ^A. Under Ξ alone D* may tend to 0, "
        "and D* ≈ 1 can also mean a state the policy rarely visits. And D* ≈ 1 is where the estimator vanishes: "
        "its weight is ½ (1-D)/D · log(2(1-D)), up to sign.",
    )


def proposition2(tables: Tables) -> Verdict:
    row = min(tables["outliers"], key=lambda r: abs(r["c"] - 5.0))
    difference = row["beta"] - row["alpha"]
    mass = max(r["between"] for r in tables["outlier_mass"] if r["c"] >= 5.0)
    past = max(r["past_alpha"] for r in tables["outlier_mass"] if r["c"] >= 5.0)
    slopes = [r for r in tables["rewards"] if r["reward"] == "plr"]
    smallest, largest = min(r["slope"] for r in slopes), max(r["slope"] for r in slopes)
    logits = sorted(r["logit"] for r in slopes)
    return Verdict(
        "Proposition 2",
        "β > α, so CR has a smaller outlier interval and a smaller probability of explosion than PLR.",
        f"β - α = {difference:.3g} at c = {row['c']:.3g} (α = {row['alpha']:.6f}, β = {row['beta']:.6f}). "
        f"Expert probability between them at most {mass:.2g} for c ≥ 5, where up to {past:.2f} lies past α. Slope "
        f"of PLR in the logit below 1 ({smallest:.2g} to {largest:.5f} at logits {logits[0]:g} to {logits[-1]:g}), of "
        "CR 1 everywhere.",
        "in part" if difference > 0 else "no",
        "β > α holds. Its consequence does not follow: the difference is (1-α)²/(2-α), of order e^-2c, and in the "
        "deterministic policy gradient CR's slope is never below PLR's, at every logit.",
    )


def property_e2(tables: Tables) -> Verdict:
    rows = [r for r in tables["property"] if r["reward"] == "plr"]
    holds = all(r["smallest_log_ratio"] > r["log_bound"] for r in tables["property"])
    row = min(rows, key=lambda r: abs(r["c"] - 5.0))
    rounds = [r for r in tables["filter_rounds"] if r["reading"] == "retained"]
    effect = tables["credo_effect"]
    threshold = max(r["threshold_logit"] for r in effect)
    none = find(effect, variant="none", reward="plr", threshold_logit=threshold)
    kept = find(effect, variant="filter, retained", reward="plr", threshold_logit=threshold)
    return Verdict(
        "Property E.2 (CREDO)",
        "Retained samples have ρ_h/ρ_E > e^-c/(1 - e^-c), so disparity is less probable and explosion is mitigated.",
        f"The ratio bound holds at Eq. 9's optimum: {holds}. At c = 5, {100 * row['retained_mass']:.0f}% of expert "
        f"samples are retained; they carry {100 * row['share_of_mean_norm_kept']:.1f}% of the mean norm of Theorem "
        f"1's estimator, and its largest norm is 10^{row['log10_largest_norm_all']:.2f} before and "
        f"10^{row['log10_largest_norm_kept']:.2f} after. Trained to its optimum on them, the discriminator puts "
        f"{100 * row['past_threshold_after']:.1f}% of them past c again, and the mean PLR on the filtered samples "
        f"goes {_sequence(rounds)} over rounds (c = {rounds[0]['c']:g}). Steepest logit between policy and expert: "
        f"{none['rough']:.3g} without, {kept['rough']:.3g} with the filter.",
        "in part" if holds else "no",
        "The ratio bound holds for the samples retained by Eq. 9's discriminator, and only for it. Filtering "
        "chooses which samples are looked at; it does not change ||a - h(s)||. It leaves the samples that carry "
        "Theorem 1's estimator, since those have large ρ_h/ρ_E. With D_clip fixed for a round, the optimum on what "
        "is left gives the filtered region the lowest reward, and the next round the reverse; re-scored at each "
        "step, the logit stops at the threshold, which is a clip of the logit.",
    )


def _sequence(rounds: Rows) -> str:
    return " → ".join(f"{r['mean_reward_on_outliers']:.3g}" for r in sorted(rounds, key=lambda r: r["round"]))


def all_verdicts(tables: Tables) -> list[Verdict]:
    """Every statement of the paper that is checked, in its order."""
    found = [
        check(tables)
        for check in (
            theorem1,
            corollary1,
            remark1,
            events,
            remark2,
            proposition1,
            proposition2,
            property_e2,
        )
    ]
    return [v._replace(correct="As claimed, by these numbers.") if v.agrees == "yes" else v for v in found]
