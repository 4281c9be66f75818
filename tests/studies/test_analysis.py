"""Whole tables from made-up studies, also with what goes wrong in real ones."""

import numpy as np
import pytest
from made_up_curves import curve, digests, group

from credo.diagnostics.criteria import Criteria
from credo.diagnostics.divergence import Verdict, verdict
from credo.studies.analysis import analyse_digests
from credo.studies.association import signs, together
from credo.studies.counts import holm
from credo.studies.curves import RETURN, final_score


def tables(curves, **options):
    return {table.name: table for table in analyse_digests(digests(curves), **options)}


def column(table, name):
    return [row[table.columns.index(name)] for row in table.rows]


@pytest.fixture(scope="module")
def study():
    curves = group("plain", "Hopper", healthy=7, dead=4) + group("plain", "Walker", healthy=8, dead=3)
    return curves + group("credo", "Hopper", healthy=11) + group("credo", "Walker", healthy=11)


@pytest.fixture(scope="module")
def found(study):
    return tables(study)


def test_rates_and_intervals(found):
    table = found["verdicts"]
    assert [row[:3] for row in table.rows] == [
        ("plain", "Hopper", 11),
        ("plain", "Walker", 11),
        ("plain", "all", 22),
        ("credo", "Hopper", 11),
        ("credo", "Walker", 11),
        ("credo", "all", 22),
    ]
    assert column(table, "diverged") == [4, 3, 7, 0, 0, 0]
    assert column(table, "dead") == [4, 3, 7, 0, 0, 0]
    assert column(table, "rate")[0] == pytest.approx(4 / 11)
    assert column(table, "high")[3] == pytest.approx(1 - 0.025 ** (1 / 11))


def test_the_stratified_test_sees_what_one_environment_cannot(study, found):
    (row,) = found["divergence-tests"].rows
    assert row[:5] == ("plain", "7 of 22", "credo", "0 of 22", 2)
    # All failures on one side in both strata, and as unlikely the other way round.
    chance = 330 / 7315 * (165 / 1540)
    assert row[5] == pytest.approx(2 * chance)
    assert row[7] == "differ"
    (alone,) = tables([c for c in study if c.environment == "Hopper"])["divergence-tests"].rows
    assert alone[5] == pytest.approx(0.0902, abs=1e-4)
    assert alone[7] == "not shown to differ"


def test_samples_to_the_expert_keep_failures_as_never(found):
    table = found["sample-efficiency"]
    rows = {row[:3]: row[3:] for row in table.rows}
    # 450 of 1,000 are passed at step 11,112; the median of three evaluations follows one later.
    assert rows["plain", "Hopper", 0.5][:3] == (11, 7, 13_000)
    assert rows["plain", "Hopper", 0.5][4] == "never"
    assert rows["credo", "Hopper", 0.5] == (11, 11, 13_000, 13_000, 13_000)
    assert rows["credo", "Hopper", 0.95] == (11, 0, "never", "never", "never")


def test_a_clone_takes_no_environment_steps():
    learners, clones = group("plain", "Hopper", healthy=3), group("clone", "Hopper", healthy=3)
    clones = [c._replace(clone=True, evaluations={k: v[-1:] for k, v in c.evaluations.items()}) for c in clones]
    found = tables(learners + clones)
    assert {row[0] for row in found["sample-efficiency"].rows} == {"plain"}
    assert "Cloning takes no environment steps" in found["sample-efficiency"].note
    assert column(found["verdicts"], "seeds") == [3, 3]
    assert "sample-efficiency" not in tables(clones)


def test_scores_of_unfinished_seeds_say_so(study, found):
    names = ("scores", "improvement", "profiles")
    going_on = tables([c._replace(finished=c.seed != 0) for c in study])
    assert all("4 of 44 seeds have not done all of their steps" in going_on[name].note for name in names)
    assert not any("have not done" in found[name].note for name in names)


def test_scores_and_improvement(found):
    scores = {row[:2]: row[2:] for row in found["scores"].rows}
    assert scores["credo", "all"][:2] == (22, pytest.approx(0.9))
    assert scores["plain", "Hopper"][4] == pytest.approx((7 * 0.9 + 4 * 0.005) / 11)
    (row,) = found["improvement"].rows
    # credo wins against the dead, ties with the rest.
    assert row[3] == pytest.approx(1 - (1 + (4 + 3) / 22) / 2)
    profile = {row[:2]: row[2] for row in found["profiles"].rows}
    assert profile["plain", 0.5] == pytest.approx(15 / 22)
    assert profile["credo", 0.0] == 1


def test_the_association_is_tested_within_methods(study):
    seeds = digests(study)
    found = together(seeds, [signs(seed, RETURN, Criteria()) for seed in seeds])
    pair = found["P(expert) near 1", "return near 0"]
    assert pair[:4] == (7, 0, 0, 37)
    # Within plain alone: 1 / C(11, 4) and 1 / C(11, 3); credo says nothing.
    assert pair.p_value == pytest.approx(1 / 330 / 165)
    assert found["gradient exploded", "return near 0"].p_value is None


def test_an_explosion_is_a_sign():
    exploded, healthy = digests([curve("exploded"), curve("healthy")])
    assert signs(exploded, RETURN, Criteria()) == (True, True, True)
    assert signs(healthy, RETURN, Criteria()) == (False, False, False)


def test_power_names_what_the_seeds_can_show(found):
    table = found["power"]
    assert set(column(table, "seeds a method")) == {11, 22}
    assert table.rows[0][3:] == ("0 of 11", "5 of 11")
    assert "28%" in table.note


def test_moving_a_criterion_is_counted(found):
    table = found["criteria"]
    assert table.rows[0] == ("as used", None, 0, 7, 0)
    assert len(table.rows) == 35
    weak = tables([*group("one", "Hopper", healthy=3, level=600.0), curve("dead", "other")])["criteria"]
    rows = {row[:2]: row[2:] for row in weak.rows}
    assert rows["healthy_share", 0.7] == (3, 0, 1)
    assert rows["vanishing_gradient", 1e-12] == (0, 0, 1)


def test_early_warning_is_of_methods_with_both_fates(found):
    table = found["early-warning"]
    assert set(column(table, "seeds at risk")) == {22}
    assert set(column(table, "fail later")) == {7}


def test_a_missing_cell_leaves_its_environment_out_of_totals(study):
    curves = [c for c in study if (c.method, c.environment) != ("credo", "Walker")]
    found = tables(curves)
    assert "left out: Walker" in found["profiles"].note
    assert found["divergence-tests"].rows[0][4] == 1
    assert ("credo", "Walker") not in {row[:2] for row in found["verdicts"].rows}


def test_half_done_and_empty_seeds_are_told():
    empty = {"step": np.zeros(0, np.int64)}
    nothing = curve(seed=1)._replace(metrics=empty, evaluations=empty, finished=False)
    found = tables([curve(), nothing])
    assert "1 of 2 seeds have not done" in found["verdicts"].note
    assert column(found["sample-efficiency"], "reached") == [1, 1, 0]
    assert column(found["scores"], "seeds") == [1]
    assert analyse_digests([]) == ()


def test_without_a_true_reward_the_tables_stand_on_the_distance():
    def unrewarded(method, level, seed):
        one = curve(method=method, seed=seed, expert_return=None)
        distance = np.linspace(1, level, 40)
        return one._replace(evaluations={"step": one.evaluations["step"], "occupancy_distance": distance})

    found = tables([unrewarded("near", 0.1, s) for s in range(3)] + [unrewarded("far", 0.9, s) for s in range(3)])
    assert "sample-efficiency" not in found
    assert "distance" in found["scores"].title
    assert found["improvement"].rows[0][:4] == ("near", "far", 1, 1.0)
    assert column(found["association-seeds"], "return near 0") == [None] * 6


def test_every_row_has_a_cell_for_every_column(found):
    for table in found.values():
        assert all(len(row) == len(table.columns) for row in table.rows), table.name
        assert all(cell is None or isinstance(cell, str | int | float) for row in table.rows for cell in row)
        numbers = [cell for row in table.rows for cell in row if isinstance(cell, float)]
        assert np.isfinite(numbers).all(), table.name
        assert table.note


@pytest.mark.parametrize("late", [1, 2, 3])
def test_a_seed_that_is_frozen_at_the_very_end_scores_nothing(late):
    seed = curve()
    failed = np.zeros(len(seed.evaluations["step"]))
    failed[-late:] = 1
    returns = np.where(failed > 0, np.nan, seed.evaluations["return_mean"])
    (frozen,) = digests([seed._replace(evaluations=seed.evaluations | {"return_mean": returns, "failed": failed})])
    assert final_score(frozen, RETURN) == 0


def test_one_cheap_evaluation_does_not_outweigh_the_rest():
    """Costs of 13, 1,300 and 1,300 where the expert has 130: 130 over their mean, not the mean of 10, 0.1 and 0.1."""
    seed = curve()
    returns = np.full(len(seed.evaluations["step"]), -1300.0)
    returns[-1] = -13
    (cheap,) = digests([seed._replace(evaluations=seed.evaluations | {"return_mean": returns}, expert_return=-130.0)])
    assert final_score(cheap, RETURN) == pytest.approx(130 * 3 / (13 + 1300 + 1300))


def test_no_frozen_seed_beats_one_that_goes_on():
    """Where returns are below 0 a score of 0 would be the best of all."""
    failed = np.zeros(40)
    failed[-5:] = 1
    gone = curve(seed=1)
    gone = gone._replace(evaluations=gone.evaluations | {"failed": failed})
    scores = {row[:2]: row[3] for row in tables([curve(level=-500.0, method="slow"), gone])["scores"].rows}
    assert scores["slow", "Hopper"] == scores["one", "Hopper"] == pytest.approx(-0.5)


def test_methods_differ_by_corrected_p():
    """5 of 11 against none: p = 0.035 alone, 0.11 of three."""
    three = group("a", "H", healthy=6, dead=5) + group("b", "H", healthy=11) + group("c", "H", healthy=8, dead=3)
    table = tables(three)["divergence-tests"]
    p, adjusted = column(table, "p"), column(table, "p (Holm)")
    assert min(p) < 0.05 < min(adjusted)
    assert adjusted == holm(p)
    assert set(column(table, "at 0.05")) == {"not shown to differ"}


def test_what_goes_together_has_corrected_p():
    exploded = [curve("exploded", "plain", "Hopper", seed=20 + number) for number in range(3)]
    table = tables(group("plain", "Hopper", healthy=7, dead=4) + exploded)["association"]
    p = column(table, "p")
    assert None not in p
    assert column(table, "p (Holm)") == holm(p) != p


def test_power_is_that_of_the_method_with_fewest_seeds():
    table = tables(group("a", "Hopper", healthy=11) + group("b", "Hopper", healthy=5))["power"]
    assert set(column(table, "seeds a method")) == {5}


def test_the_share_that_fails_is_of_all_at_risk():
    table = tables(group("plain", "Hopper", healthy=8, dead=3))["early-warning"]
    at_risk, later, share = (column(table, name) for name in ("seeds at risk", "fail later", "share that fail"))
    assert share == [failing / all_seeds for failing, all_seeds in zip(later, at_risk, strict=True)]
    assert any(failing != warned for failing, warned in zip(later, column(table, "warned"), strict=True))


def test_signs_have_their_boundaries_and_criteria():
    (seed,) = digests([curve()])
    assert signs(seed._replace(expert_probability=0.99), RETURN, Criteria()).sure
    assert not signs(seed._replace(expert_probability=0.9899), RETURN, Criteria()).sure
    one = curve()
    metrics = one.metrics | {"critic_loss": np.full(400, np.inf)}
    (seed,) = digests([one._replace(metrics=metrics, verdict=verdict(metrics, one.evaluations, 1000.0))])
    assert (seed.verdict.kind, signs(seed, RETURN, Criteria()).exploded) == ("non-finite", True)
    one.evaluations["return_mean"][-1] = 0
    (seed,) = digests([one])
    assert not signs(seed, RETURN, Criteria()).low
    assert signs(seed, RETURN, Criteria(late_evaluations=1)).low


def test_seeds_that_are_not_decided_count_on_neither_side():
    """Two of two dead against two that have not begun, and one that is healthy."""
    open_seeds = [
        curve(method="other", seed=seed, finished=False)._replace(verdict=Verdict(kind, None, "", None))
        for seed, kind in ((0, "undecided"), (1, "faulted"))
    ]
    dead = group("one", "Hopper", 0, 2)
    alone = tables([*dead, *open_seeds])
    assert "divergence-tests" not in alone
    assert column(alone["verdicts"], "rate") == [1.0, None]
    found = tables([*dead, *open_seeds, curve(method="other", seed=2)])
    [row] = found["divergence-tests"].rows
    assert row[:5] == ("one", "2 of 2", "other", "0 of 1", 1)
    assert row[5] == pytest.approx(1 / 3)
    assert "2 seeds that are undecided or faulted are left out. 2 seeds have not done" in found["divergence-tests"].note
    assert column(found["verdicts"], "rate") == [1.0, 0.0]
