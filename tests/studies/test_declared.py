"""Comparisons that a study file declares: what is read, what is refused, and the tests by hand."""

from itertools import product

import numpy as np
import pytest
from made_up_curves import curve, digests, group
from scipy import stats

from credo.studies.analysis import analyse_digests
from credo.studies.comparisons import Comparison
from credo.studies.curves import RETURN, mean_score
from credo.studies.paired import mean_difference, signed_rank_test
from credo.studies.study import load_study
from credo.types import CredoError

STUDY = """\
[study]
seeds = 2

[axes.method]
plain = {}
penalty = { td3.preactivation_penalty = 0.02 }
sac = { preset = "robust-sac" }

[axes.environment]
hopper = { environment = "Hopper-v5", demonstrations = "hopper-expert:5" }
walker = { environment = "Walker2d-v5", demonstrations = "walker2d-expert-2:5" }

[[exclude]]
method = "sac"
environment = "walker"
"""
BOTH = ("hopper", "walker")


def load(tmp_path, text):
    (tmp_path / "s.toml").write_text(STUDY + text)
    return load_study(tmp_path / "s.toml")


def test_every_other_method_is_compared_where_both_are(tmp_path):
    study = load(tmp_path, '[[compare]]\nagainst = "plain"\n')
    assert study.comparisons == (
        Comparison("penalty", "plain", "diverged", BOTH),
        Comparison("sac", "plain", "diverged", ("hopper",)),
    )


def test_a_comparison_is_what_its_table_says(tmp_path):
    text = '[[compare]]\nagainst = "sac"\nmethod = "penalty"\nmeasure = "mean-score"\nenvironments = ["hopper"]\n'
    study = load(tmp_path, text + '[[compare]]\nagainst = "plain"\nmethod = ["penalty"]\nmeasure = "final-score"\n')
    assert study.comparisons == (
        Comparison("penalty", "sac", "mean-score", ("hopper",)),
        Comparison("penalty", "plain", "final-score", BOTH),
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[[compare]]\nmethod = "sac"', 16, "compare: no method to compare with"),
        ('[[compare]]\nagainst = "plan"', 17, "compare.against: 'plan' is unknown here; did you mean 'plain'"),
        ('[[compare]]\nagainst = "plain"\n[[compare]]\nagainst = "sac"\nmethod = "penal"', 20, "'penalty'"),
        ('[[compare]]\nagainst = "plain"\nmethod = ["plain"]', 16, "compare: 'plain' has no other method"),
        ('[[compare]]\nagainst = "plain"\nmethod = []', 18, "compare.method: []; each once"),
        ('[[compare]]\nagainst = ["plain"]', 17, "compare.against: ['plain'] is a list"),
        ('[[compare]]\nagainst = "plain"\nmeasure = "score"', 18, "did you mean 'mean-score'"),
        ('[[compare]]\nagainst = "plain"\nmesure = "diverged"', 18, "compare.mesure: unknown; did you mean 'measure'"),
        ('[[compare]]\nagainst = "sac"\nenvironments = "walker"', 16, "share no environment"),
        ('[[compare]]\nagainst = "plain"\n[[compare]]\nagainst = "plain"\nmethod = "sac"', 18, "stands there twice"),
        (
            '[[compare]]\nagainst = "plain"\nmethod = "sac"\n[[compare]]\nagainst = "sac"\nmethod = "plain"',
            19,
            "stands there twice",
        ),
        ("[compare]\nagainst = 'plain'", 16, "compare: must be tables, [[compare]]"),
    ],
)
def test_what_the_study_does_not_have_is_refused_with_its_line(tmp_path, text, line, message):
    with pytest.raises(CredoError) as refused:
        load(tmp_path, text)
    told = str(refused.value)
    assert f"s.toml:{line}: " in told
    assert message in told


def test_environments_stand_in_the_order_of_the_study(tmp_path):
    text = '[[compare]]\nagainst = "plain"\nmethod = "penalty"\nenvironments = ["walker", "hopper"]\n'
    assert load(tmp_path, text).comparisons == (Comparison("penalty", "plain", "diverged", BOTH),)


def of_differences(differences):
    return signed_rank_test(differences, np.zeros(len(differences)))


def test_signed_ranks_by_hand():
    # Ranks 1, 2, 3: all above 0 in one of eight ways, and as unlikely below.
    assert of_differences(np.array([1.0, 2.0, 3.0])) == 0.25
    assert of_differences(np.array([1.0, -2.0, 3.0, 0.0])) == 0.75
    assert of_differences(np.zeros(4)) == 1.0
    assert of_differences(np.array([-1.0, 1.0])) == 1.0


def test_what_differs_by_rounding_alone_is_equal():
    one, other = np.array([0.1, 0.2, 0.3]).mean(), np.array([0.3, 0.2, 0.1]).mean()
    assert one != other
    assert signed_rank_test(np.full(6, one), np.full(6, other)) == 1.0
    # 0.3 - 0.2 and 0.8 - 0.7 are one size: ranks 2, 2, 2 and 4, not 1 to 4.
    first, second = np.array([0.3, 0.8, 0.1, 0.9]), np.array([0.2, 0.7, 0.2, 0.5])
    whole = np.rint(10 * first), np.rint(10 * second)
    assert len(set(np.abs(first - second))) > len(set(np.abs(whole[0] - whole[1])))
    assert signed_rank_test(first, second) == signed_rank_test(*whole) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_signed_ranks_are_scipys_and_with_ties_those_of_every_sign(seed):
    differences = np.random.default_rng(seed).normal(0.4, 1, 10)
    assert of_differences(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
    tied = np.round(differences)
    left = tied[tied != 0]
    ranks = stats.rankdata(np.abs(left))
    sums = np.array([np.sum(ranks[list(signs)]) for signs in product((False, True), repeat=len(left))])
    seen = ranks[left > 0].sum()
    expected = min(2 * min(np.mean(sums <= seen + 1e-9), np.mean(sums >= seen - 1e-9)), 1)
    assert of_differences(tied) == pytest.approx(expected)


def test_many_differences_take_the_normal_form():
    differences = np.random.default_rng(0).normal(0.1, 1, 301)
    assert of_differences(differences) == pytest.approx(stats.wilcoxon(differences, method="asymptotic").pvalue)
    assert of_differences(differences[:300]) == pytest.approx(
        stats.wilcoxon(differences[:300], method="asymptotic").pvalue, abs=1e-3
    )


def test_pairs_are_drawn_within_their_environment():
    """Two environments that do not vary: no resample differs from the mean of all."""
    assert mean_difference([np.full(3, 1.0), np.full(1, 5.0)]) == (2.0, 2.0, 2.0)
    value, low, high = mean_difference([np.array([0.0, 0.0, 0.0, 4.0])])
    assert (value, low, high) == (1.0, 0.0, 2.0 + 1.0)


def test_a_mean_score_stops_where_it_is_told_and_a_frozen_seed_counts_on():
    (rising,) = digests([curve("healthy", level=1000.0)])
    # 1/20, 2/20, ... of the expert to step 20,000.
    assert mean_score(rising, RETURN, 4_000) == pytest.approx(np.mean([1, 2, 3, 4]) / 20)
    assert mean_score(rising, RETURN, 500) is None
    evaluations = dict(rising.evaluations) | {"failed": np.where(rising.evaluations["step"] > 2_000, 1.0, 0.0)}
    evaluations["return_mean"] = np.where(evaluations["failed"] > 0, np.nan, evaluations["return_mean"])
    frozen = rising._replace(evaluations=evaluations)
    assert mean_score(frozen, RETURN, 4_000) == pytest.approx((1 / 20 + 2 / 20) / 4)
    costs = dict(rising.evaluations) | {"return_mean": -evaluations["step"]}
    paid = rising._replace(expert_return=-200.0, evaluations=costs)
    # The ratio of costs of the mean: 200 / 1,500.
    assert mean_score(paid, RETURN, 2_000) == pytest.approx(200 / 1_500)


def table(curves, comparisons, **options):
    found = analyse_digests(digests(curves), declared=comparisons, **options)
    return next((each for each in found if each.name == "declared"), None)


def test_declared_tests_are_corrected_for_themselves_alone():
    curves = group("plain", "hopper", healthy=7, dead=4) + group("plain", "walker", healthy=8, dead=3)
    curves += group("penalty", "hopper", healthy=11, level=800.0) + group("penalty", "walker", healthy=11)
    curves += group("sac", "hopper", healthy=11)
    made = table(
        curves,
        {
            Comparison("penalty", "plain", "diverged", BOTH): 0,
            Comparison("penalty", "sac", "final-score", ("hopper",)): 12_000,
            Comparison("sac", "plain", "mean-score", ("hopper",)): None,
        },
    )
    rows = [dict(zip(made.columns, row, strict=True)) for row in made.rows]
    first, second, third = rows
    assert [row["fixed"] for row in rows] == ["beforehand", "after 12,000 steps", "after the last run"]
    assert (first["environments"], first["pairs"], first["value"]) == ("hopper, walker", 22, 0.0)
    assert first["other"] == pytest.approx(7 / 22)
    assert first["low"] is None
    assert first["p"] == pytest.approx(2 * 330 / 7315 * (165 / 1540))
    assert first["p (Holm)"] == pytest.approx(2 * first["p"])
    assert first["at 0.05"] == "differ"
    # Eleven seeds with one and the same difference: 1 of 2,048 on each side.
    assert (second["value"], second["other"]) == pytest.approx((0.8, 0.9))
    assert (second["difference"], second["low"], second["high"]) == pytest.approx((-0.1, -0.1, -0.1))
    assert second["p"] == pytest.approx(2 / 2**11)
    assert second["p (Holm)"] == pytest.approx(6 / 2**11)
    # Four of eleven differ, all in one direction; seven pairs are equal.
    assert third["pairs"] == 11
    assert third["p"] == pytest.approx(2 / 2**4)
    assert third["at 0.05"] == "not shown to differ"
    assert "over all 3 that are declared" in made.note
    assert "final." not in made.note


def test_pairs_are_of_one_seed_and_what_is_missing_is_told():
    curves = group("plain", "hopper", healthy=4) + [curve("healthy", "penalty", "hopper", seed) for seed in (2, 3, 9)]
    curves[0] = curves[0]._replace(finished=False)
    curves[-2] = curves[-2]._replace(finished=False)
    made = table(
        curves,
        {
            Comparison("penalty", "plain", "final-score", BOTH): 0,
            Comparison("penalty", "plain", "final-score", ("walker",)): 0,
        },
    )
    (row,) = made.rows
    assert row[3:5] == ("hopper, walker", 2)
    # What has no seeds yet is one of the two that are corrected for, with p = 1.
    assert dict(zip(made.columns, row, strict=True))["p (Holm)"] == 1.0
    assert "(p counts as 1): penalty against plain by final-score in walker." in made.note
    assert "Of 2 not all seeds have done all of their steps" in made.note


def test_what_has_no_seeds_yet_is_corrected_for():
    curves = group("plain", "hopper", healthy=11) + group("penalty", "hopper", healthy=11, level=800.0)
    here, elsewhere = (Comparison("penalty", "plain", "final-score", (name,)) for name in ("hopper", "walker"))
    row = dict(zip((made := table(curves, {here: 0, elsewhere: 0})).columns, made.rows[0], strict=True))
    assert row["p (Holm)"] == 2 * row["p"] == pytest.approx(4 / 2**11)


def frozen_at(seed, step, until=40_000, **about):
    """A seed whose numbers failed at a step, in a run that has got to ``until``."""
    whole = curve("healthy", seed=seed, **about)
    at = whole.evaluations["step"][whole.evaluations["step"] <= until]
    failed = at > step
    returns = np.where(failed, np.nan, whole.evaluations["return_mean"][: len(at)])
    evaluations = {"step": at, "return_mean": returns, "failed": failed.astype(float)}
    metrics = {name: values[whole.metrics["step"] <= step] for name, values in whole.metrics.items()}
    return whole._replace(metrics=metrics, evaluations=evaluations, finished=until == 40_000)


def test_a_frozen_seed_is_no_better_than_the_worst_that_lives():
    """Those that live are below 0 of the expert: a frozen seed has what the table of scores gives it."""
    curves = [frozen_at(seed, 3_000, method="frozen", environment="hopper", level=100.0) for seed in range(8)]
    curves += [curve("healthy", "alive", "hopper", seed, level=-100.0 - seed) for seed in range(8)]
    found = {each.name: each for each in analyse_digests(digests(curves), declared={MEANS: 0, FINALS: 0})}
    scores = {row[0]: row[6] for row in found["scores"].rows}
    mean, final = (dict(zip(found["declared"].columns, row, strict=True)) for row in found["declared"].rows)
    assert (final["value"], final["other"]) == pytest.approx((scores["frozen"], scores["alive"]))
    assert final["value"] == pytest.approx(-0.107)
    assert final["difference"] < 0
    assert mean["value"] == pytest.approx((0.01 * (1 + 2 + 3) / 2 - 0.107 * 37) / 40)


MEANS, FINALS = (Comparison("frozen", "alive", measure, ("hopper",)) for measure in ("mean-score", "final-score"))


def test_a_frozen_seed_counts_on_to_the_end_of_the_other():
    """However far its own run has got."""
    alive = [curve("healthy", "alive", "hopper", 0, level=400.0)]
    short, long = (
        table([frozen_at(0, 4_000, until, method="frozen", environment="hopper"), *alive], {MEANS: 0}).rows[0][5:7]
        for until in (6_000, 40_000)
    )
    assert short == pytest.approx(long)
    assert short[0] == pytest.approx(900 / 1000 * (1 + 2 + 3 + 4) / 20 / 40)


def test_pairs_of_who_diverged_are_of_seeds_decided_on_both_sides():
    undecided = {"verdict": curve().verdict._replace(kind="undecided")}
    curves = [curve("healthy", "plain", "hopper", seed) for seed in range(4)]
    curves += [curve("healthy", "penalty", "hopper", seed) for seed in range(4)]
    for index in (0, 1, 6):
        curves[index] = curves[index]._replace(**undecided)
    made = table(curves, {Comparison("penalty", "plain", "diverged", ("hopper",)): 0})
    assert made.rows[0][4] == 1


def test_seeds_of_unequal_length_are_compared_up_to_where_both_are():
    short = curve("healthy", "penalty", "hopper", 0, level=1000.0, finished=False)
    cut = short._replace(
        metrics={name: values[:80] for name, values in short.metrics.items()},
        evaluations={name: values[:8] for name, values in short.evaluations.items()},
    )
    made = table(
        [cut, curve("healthy", "plain", "hopper", 0, level=500.0)],
        {Comparison("penalty", "plain", "mean-score", ("hopper",)): 0},
    )
    mean = np.mean(np.arange(1, 9) / 20)
    assert made.rows[0][5:8] == pytest.approx((mean, mean / 2, mean / 2))


def test_without_declared_comparisons_there_is_no_table():
    assert table(group("plain", "hopper", healthy=2), None) is None
