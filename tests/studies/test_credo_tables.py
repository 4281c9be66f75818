"""Tables of credo_table.py: settings of CREDO against none, on the same seeds."""

import itertools

import numpy as np
import pytest
import script_modules

BEGINS = {
    "credo-early": "td3 ",
    "credo": "td3 over-trained ",
    "credo-paper": "td3 paper ",
    "credo-alive": "",
}


@pytest.fixture
def credo(monkeypatch):
    for modules in script_modules.loaded(monkeypatch, "credo_table"):
        yield modules["credo_table"]


def exact_p(first, second):
    """Mann and Whitney's: of all ways to choose as many, how many have a sum of ranks as far from its mean."""
    ranks = np.array([np.mean([other < one for other in [*first, *second]]) for one in [*first, *second]])
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, len(first))]
    seen = abs(ranks[: len(first)].sum() - np.mean(sums))
    return np.mean(abs(np.array(sums) - np.mean(sums)) >= seen - 1e-9)


def test_a_diagnostic_is_taken_over_windows_of_the_second_half_by_their_length(credo) -> None:
    """A window that begins before half of the steps and ends behind it is of the second half; one that ends at half is
    not. A seed that was frozen before has no such window."""
    curves = {
        0: ((100, 9.0), (500, 9.0), (600, 1.0), (1_000, 6.0)),
        3: ((100, 9.0), (450, 9.0), (550, 4.0), (1_000, 4.0)),
        1: ((100, 9.0), (400, 9.0)),
        2: ((250, 9.0), (1_000, 33.0)),
    }
    rows = [{"seed": seed, "step": step, "share": value} for seed, windows in curves.items() for step, value in windows]
    # (100 + 400 * 6) / 500, 4 and 33.
    assert credo.late(rows, "share") == pytest.approx((5 + 4 + 33) / 3)


def test_evaluations_after_half_of_the_steps_are_told_by_their_mean(credo) -> None:
    evaluations = [
        {"seed": seed, "step": step, "return": value}
        for seed, returns in ((4, (9, 9, 1, 2, 9)), (1, (9, 9, 5, "", "")))
        for step, value in zip((100, 250, 300, 400, 500), returns, strict=True)
    ]
    # 250 is half.
    assert credo.second_half(evaluations) == pytest.approx([4, 5 / 3])
    assert credo.last_evaluations(evaluations) == [9, 0]


def kept(folder, study, cells):
    """Of (method, environment) the seeds from 11 on: verdict, inactive at the end, return at the end, and the returns
    of the evaluations at 400, 800, 900 and 1,000 steps. Beyond half of the steps filtered, outliers and the two
    P(expert) are 1% to 4% times the number of the cell. A seed 30 of each cell has not gone to the end."""
    columns = ("filtered_share", "outlier_share", "expert_probability_expert", "expert_probability_policy")
    files = {"seeds": [], "evaluations": [], "rounds": []}
    for index, ((method, environment), seeds) in enumerate(cells.items()):
        numbered = {**dict(enumerate(seeds, 11)), 30: ("dead", 1, -99, ())}
        for number, (verdict, inactive, last, returns) in numbered.items():
            place = {"method": method, "environment": environment, "seed": number}
            told = {"verdict": verdict, "inactive": inactive, "steps": 1_000 if returns else 600}
            told |= {"last_return": last, "best_return": 200, "expert_return": 1_000}
            files["seeds"].append(place | told)
            steps = (400, 800, 900, 1_000)[: len(returns)] or (100,)
            for step, value in zip(steps, returns or (-50,), strict=True):
                files["evaluations"].append(place | {"step": step, "return": value})
            for step in (100, 500, 1_000) if returns else (400, 600):
                shares = [share * (index + 1) if step > 600 else 9.0 for share in (0.01, 0.02, 0.03, 0.04)]
                files["rounds"].append(place | {"step": step} | dict(zip(columns, shares, strict=True)))
    for kind, rows in files.items():
        script_modules.write(folder / f"{study}-{kind}.csv", rows)


def cells_of(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


OFF = [
    ("dead", 1, 1, (90, 5, 6, 1)),
    ("weak", 1, 2, (90, 1, 2, 3)),
    ("dead", 1, 3, (90, 1, 1, 4)),
    ("failed", 1, 30, (90, 8, 10, 6)),
]
BETTER = [
    ("weak", 0, 20, (0, 30, 30, 30)),
    ("weak", 0, 8, (0, 20, 30, 5)),
    ("dead", 0, 70, (0, 90, 90, 90)),
    ("weak", 0, 40, (0, 40, "", 60)),
]
SAME = [
    ("weak", 0, 5, (0, 7, 7, 7)),
    ("weak", 0, 6, (0, 7, 7, 8)),
    ("weak", 0, 6.5, (0, 7, 7, 8)),
    ("weak", 1, 7, (0, 7, 7, 9)),
    ("failed", 1, 8, (0, 7, 7, 2)),
]
# Returns at the end, and of each seed the mean of three; filtered, outliers and the two probabilities.
TOLD_OFF = ["off", "1,000", "2 of 4", "4 of 4", "2 (1 to 30)", "3", "1.0%", "2.0%", "0.030, 0.040"]
TOLD_BETTER = ["`filter`, c = 5", "1,000", "1 of 4", "0 of 4", "30 (8 to 70)", "32", "2.0%", "4.0%", "0.060, 0.080"]
TOLD_SAME = ["`clip`, c = 0.5", "1,000", "0 of 5", "2 of 5", "6 (5 to 8)", "7", "3.0%", "6.0%", "0.090, 0.120"]


@pytest.mark.parametrize("name", BEGINS)
def test_settings_are_explored_with_two_tests_each_corrected_for_all(credo, tmp_path, name) -> None:
    begins = BEGINS[name]
    cells = {
        (f"{begins}off", "Hopper-v5"): OFF,
        (f"{begins}resample-5", "Hopper-v5"): BETTER,
        (f"{begins}clip-0.5", "hopper"): SAME,
        (f"{begins}resample-5", "walker2d"): OFF,
    }
    if begins:
        cells["ddpg off", "Hopper-v5"] = OFF
    kept(tmp_path, f"stability-{'credo' if name == 'credo-paper' else name}", cells)
    header, _, *rows = cells_of(credo.table(tmp_path, name))
    assert header == [*credo.HEADER, credo.EXPLORED]
    assert [row[:-1] for row in rows] == [TOLD_OFF, TOLD_BETTER, TOLD_SAME]
    # Inactive: 0 of 4 and 2 of 5 against all of 4. 2 of 70 choices are as far out, and count twice; 14 of 84.
    better, same = (exact_p([seed[2] for seed in seeds], [seed[2] for seed in OFF]) for seeds in (BETTER, SAME))
    assert 2 * better < same
    assert [row[-1] for row in rows] == ["", f"0.057, {2 * better:.2g}", f"0.17, {same:.2g}"]


def test_runs_that_another_study_has_kept_are_cells_of_this_one(credo, tmp_path) -> None:
    """The bed's two of TD3 on Hopper, and no others of it."""
    bed = {("td3 plain", "hopper"): OFF, ("td3 credo", "hopper"): BETTER}
    kept(tmp_path, "stability-bed", {**bed, ("td3 plain", "walker2d"): SAME, ("sd3 credo", "hopper"): SAME})
    kept(
        tmp_path,
        "stability-credo",
        {("td3 paper clip-0.5", "Hopper-v5"): SAME, ("td3 over-trained off", "hopper"): SAME},
    )
    _, _, *rows = cells_of(credo.table(tmp_path, "credo-paper"))
    # The numbers beyond half of the steps are those of the first cell of its file.
    assert [row[:-1] for row in rows] == [TOLD_OFF, TOLD_BETTER, [*TOLD_SAME[:6], *TOLD_OFF[6:]]]


def test_two_tests_that_were_fixed_are_told_before_that_of_the_study_before(credo, tmp_path) -> None:
    """Of the seeds from 11 on: seed 10, which would change everything, was another study's."""
    name = "credo-33"
    study = f"stability-{name}"
    kept(tmp_path, study, {("off", "Hopper-v5"): OFF, ("resample-5", "Hopper-v5"): BETTER})
    for kind in ("seeds", "evaluations", "rounds"):
        path = tmp_path / f"{study}-{kind}.csv"
        header, *lines = path.read_text().splitlines()
        earlier = [line.replace(",11,", ",10,").replace(",0.06", ",7") for line in lines if ",11," in line]
        path.write_text("\n".join([header, *earlier, *lines]) + "\n")
    header, _, *rows = cells_of(credo.table(tmp_path, name))
    assert header == [*credo.HEADER, credo.FIXED]
    assert [row[:-1] for row in rows] == [TOLD_OFF, TOLD_BETTER]
    # 1 and 2 of 4 are dead: no table is likelier.
    ends = exact_p([seed[2] for seed in BETTER], [seed[2] for seed in OFF])
    last = exact_p([seed[3][-1] for seed in BETTER], [seed[3][-1] for seed in OFF])
    assert last != ends
    assert rows[1][-1] == f"1, {last:.2g}; {ends:.2g}"
    assert rows[0][-1] == ""
    # Three of three against one of five: 5 of 70 choices, and as many are as far out on the other side.
    fates = [[{"verdict": kind} for kind in kinds] for kinds in (["dead"] * 3, ["dead"] + ["failed"] * 4)]
    assert credo.of_dead(*fates) == pytest.approx(10 / 70)
