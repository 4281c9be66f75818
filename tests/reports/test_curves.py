"""The figure's specification, panel by panel, and the two files."""

from __future__ import annotations

import json
import re
import struct

import numpy as np
import pytest
from made_runs import cut

from credo import run_folder, run_rows
from credo.reports.curves import PANELS, POINTS, figure, write_curves
from credo.reports.headings import headings
from credo.reports.load import load_run

ADVERSARIAL = {
    *("occupancy_distance", "expert_probability_expert", "expert_probability_policy"),
    *("outlier_share", "filtered_share"),
}
ALWAYS = {"return_mean", "actor_gradient_max", "action_saturation", "critic_loss", "q_mean"}


def panels(specification: dict) -> set[str]:
    return {name for name in specification["datasets"] if name in {panel.column for panel in PANELS}}


def titles(specification: dict) -> list[str]:
    return [chart["title"] for chart in specification["concat"]]


def test_panels_are_those_with_data(make_run):
    run = figure(load_run(make_run("imitation", ("healthy", "dead"))), interactive=False)
    assert panels(run) == ALWAYS | ADVERSARIAL
    assert len(run["concat"]) == 10
    expert = figure(load_run(make_run("expert", ("healthy",), reward="environment")), interactive=False)
    assert panels(expert) == ALWAYS
    assert not any("expert" in title for title in titles(expert))


@pytest.mark.parametrize("seeds", [1, 11, 25])
def test_every_seed_is_drawn_in_a_colour_and_named_with_its_verdict(make_run, seeds):
    specification = figure(load_run(make_run("run", ("healthy", "dead", "weak", "broken", "weak")[:1] * seeds)), True)
    scale = specification["concat"][0]["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == [f"{seed} healthy" for seed in range(seeds)]
    assert len(scale["range"]) == seeds
    assert len(set(scale["range"])) == min(seeds, 11)
    assert {row["seed"] for row in specification["datasets"]["q_mean"]} == set(scale["domain"])


def test_deaths_failures_and_the_expert_are_marked(make_run):
    specification = figure(load_run(make_run("run", ("healthy", "dead", "broken"))), True)
    marks = specification["datasets"]["return_mean events"]
    assert [(row["seed"], row["event"], row["step"]) for row in marks] == [
        ("1 dead", "dead", 2_048),
        ("2 non-finite", "non-finite", 9_600),
    ]
    assert marks[1]["value"] == 1400
    assert specification["datasets"]["expert"] == [{"value": 3000.0, "label": "expert 3,000"}]
    assert specification["datasets"]["apart"] == [{"value": 0.0625, "label": "between demonstrations 0.062"}]
    unknown = figure(load_run(make_run("unknown", ("healthy",), expert=None)), True)
    assert "expert" not in unknown["datasets"]


def test_thinned_lines_keep_the_largest_gradient_at_its_step(make_run):
    folder = make_run("run", ("healthy",))
    others = {"action_saturation": 0.2, "critic_loss": 2.0, "q_mean": 1.0}
    more = [{"seed": 0, "round": i, "step": 20_000 + i, "actor_gradient_max": 1.0} | others for i in range(5_000)]
    more[3_333]["actor_gradient_max"] = 5e4
    run_rows.write_part(folder, run_folder.METRICS, 1, more)
    rows = figure(load_run(folder), False)["datasets"]["actor_gradient_max"]
    assert len(rows) == POINTS
    assert max(rows, key=lambda row: row["value"]) == {"seed": "0 healthy", "step": 23_333, "value": 5e4}


def test_infinite_and_missing_values_do_not_reach_the_page(make_run):
    folder = make_run("run", ("healthy",))
    run_rows.write_part(
        folder, run_folder.METRICS, 1, [{"seed": 0, "round": 200, "step": 12_864, "critic_loss": float("inf")}]
    )
    json.dumps(figure(load_run(folder), True), allow_nan=False)


def test_ratios_below_0_have_ticks_too(make_run):
    run = load_run(make_run("run", ("healthy",), qs=(-300.0,)))
    (panel,) = (p for p in figure(run, False)["concat"] if p["title"] == "Mean Q over its reference")
    ticks = panel["layer"][0]["encoding"]["y"]["axis"]["values"]
    assert min(ticks) < -5


def test_what_is_not_done_by_every_seed_is_not_said_of_each(make_run):
    folder = make_run("run", ("healthy", "healthy"))
    cut(folder, 1, 6_400)
    assert headings(load_run(folder))[1][1].startswith("2 seeds, 6,400 to 12,800 of 12,800 steps (running): ")


def test_of_a_clone_minibatches_are_shown(make_run):
    run = load_run(make_run("clone", ("healthy",), learner="bc", steps=100_000))
    assert headings(run)[1][1].startswith("1 seed, 12,800 minibatches each (running): ")
    assert "steps" not in headings(run)[1][0]
    titles = {p["layer"][0]["encoding"]["x"]["title"] for p in figure(run, False)["concat"]}
    assert titles == {"minibatches"}


def test_nothing_recorded_is_said(make_run):
    specification = figure(load_run(make_run("run", ())), True)
    assert specification["datasets"] == {"nothing": [{"text": "Nothing is recorded yet"}]}
    title, lines = headings(load_run(make_run("other", ())))
    assert title == "TD3 imitates an expert on Hopper-v5"
    assert lines[0].startswith("hopper-expert; reward plr; CREDO filter at 5 (reward, resample)")


def test_the_files_are_an_image_and_a_page_that_needs_no_network(make_run, tmp_path):
    folder = make_run("run</script>", ("healthy", "dead"), environment="</script><b>x-v1")
    png, page = write_curves(folder, tmp_path / "out")
    assert [path.name for path in (png, page)] == ["curves.png", "curves.html"]
    content = png.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert 1_600 < width < 2_000
    assert height > 1_500
    text = page.read_text()
    # Nothing is fetched: outside of its scripts the page names no file and no address.
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"src=|href=|http|@import|url\(", outside)
    assert text.count("</script>") == 2
    assert "\\u003c/script>\\u003cb>x-v1" in text
    assert text.count("<script>") >= 2
    assert np.all([name in text for name in ADVERSARIAL])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["curves.html", "curves.png"]
