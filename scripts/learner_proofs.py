"""Keep the learning curves of learners on the environment's own reward: a CSV for each run, one table, one picture.

python scripts/learner_proofs.py RUN... --out results/learners

Runs may be going on; a run's name is its folder's.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import vl_convert
from keep_results import command_of

from credo.reports.curves import PNG_SCALE, STYLE, vega_lite_version
from credo.reports.load import LoadedRun, load_run
from credo.reports.style import SHORT_NUMBER, colours
from credo.types import CredoError

KEPT = ("step", "return_mean", "return_std", "return_min", "length_mean")
WINDOW = 5
"""Evaluations at the end of a curve over which its mean is taken."""
PANEL_WIDTH, PANEL_HEIGHT, PER_ROW = 460, 260, 2


class Reference(NamedTuple):
    """What others report of a learner on an environment."""

    value: float
    steps: int
    """Environment steps after which, or within which, it was reached."""
    what: str
    source: str


AUTHORS_SD3 = "the authors' curves (Pan et al. 2020), -v2"
TD3_PAPER = "Fujimoto et al. 2018, -v1"
HIGHEST = "the highest mean over seeds"
REFERENCES: dict[tuple[str, str], Reference] = {
    ("sd3", "HalfCheetah"): Reference(8_240, 200_000, "mean return", AUTHORS_SD3),
    ("sd3", "Hopper"): Reference(2_400, 200_000, "mean return, about", AUTHORS_SD3),
    ("td3", "HalfCheetah"): Reference(9_600, 1_000_000, f"{HIGHEST}, about", TD3_PAPER),
    ("td3", "Hopper"): Reference(3_560, 1_000_000, HIGHEST, TD3_PAPER),
    ("td3", "InvertedDoublePendulum"): Reference(9_337, 1_000_000, HIGHEST, TD3_PAPER),
    ("ddpg", "InvertedDoublePendulum"): Reference(
        9_356, 1_000_000, f"{HIGHEST} (8,370 with TD3's networks)", TD3_PAPER
    ),
    ("sac", "InvertedDoublePendulum"): Reference(8_487, 1_000_000, HIGHEST, TD3_PAPER),
    ("ppo", "InvertedDoublePendulum"): Reference(8_978, 1_000_000, HIGHEST, TD3_PAPER),
    ("sac", "Hopper"): Reference(3_400, 250_000, "return", "what this project aims at; no published curve is named"),
}
"""By learner and the environment's name without its version, which none shares with the runs here."""


class Curve(NamedTuple):
    """Evaluations of one seed in rising steps."""

    seed: int
    step: np.ndarray
    value: np.ndarray
    """Mean return of an evaluation's episodes."""

    def until(self, step: int) -> Curve:
        return Curve(self.seed, self.step[self.step <= step], self.value[self.step <= step])

    def last(self, window: int) -> float:
        """Mean over the last ``window`` evaluations, or over all where there are fewer; NaN where there is none."""
        return float(np.mean(self.value[-window:])) if len(self.value) else float("nan")


class Proof(NamedTuple):
    """What is kept of a run."""

    name: str
    run: LoadedRun
    curves: tuple[Curve, ...]
    reference: Reference | None

    @property
    def title(self) -> str:
        return f"{self.run.config.learner} on {self.run.config.environment}"


def read(folder: Path) -> Proof:
    """A run's proof; CredoError where it learns from something else than the environment's reward."""
    run = load_run(folder)
    config = run.config
    if config.reward != "environment":
        raise CredoError(f"{folder}: reward {config.reward}; a learner alone has reward environment")
    curves = []
    for seed, columns in run.evaluations.items():
        known = np.isfinite(columns.get("return_mean", np.empty(0)))
        if known.any():
            curves.append(Curve(seed, columns["step"][known].astype(int), columns["return_mean"][known].astype(float)))
    return Proof(
        folder.name, run, tuple(curves), REFERENCES.get((config.learner, config.environment.rpartition("-v")[0]))
    )


def write_evaluations(proof: Proof, path: Path) -> None:
    """One row per seed and evaluation."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("seed", *KEPT))
        for seed, columns in proof.run.evaluations.items():
            for index, step in enumerate(columns.get("step", ())):
                values = (columns[name][index] if name in columns else np.nan for name in KEPT[1:])
                writer.writerow((seed, int(step), *(f"{value:.6g}" for value in values)))


def over_seeds(curves: tuple[Curve, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The steps at which every seed was evaluated, and the mean over seeds there."""
    if not curves:
        return np.empty(0, int), np.empty(0)
    shared = sorted(set.intersection(*(set(curve.step.tolist()) for curve in curves)))
    values = [curve.value[np.isin(curve.step, shared)] for curve in curves]
    return np.array(shared, int), np.mean(values, axis=0)


def spread(values: list[float]) -> str:
    """Mean, standard deviation and range of one number per seed."""
    deviation = f" ± {np.std(values, ddof=1):,.0f}" if len(values) > 1 else ""
    return f"{np.mean(values):,.0f}{deviation} ({min(values):,.0f} to {max(values):,.0f})"


def table_row(proof: Proof, window: int) -> list[str]:
    """The cells of one run."""
    config, reference = proof.run.config, proof.reference
    steps = f"{proof.run.steps_done:,}" + ("" if proof.run.state == "done" else f" of {config.steps:,}")
    told = [config.learner, config.environment, steps, str(len(proof.curves))]
    shared, mean = over_seeds(proof.curves)
    if not len(shared):
        return [*told, "no evaluation yet", "", "", ""]
    top = int(np.argmax(mean))
    highest = f"{mean[top]:,.0f} at {shared[top]:,}"
    then = aimed = ""
    if reference is not None:
        aimed = f"{reference.value:,.0f} at {reference.steps:,}: {reference.what}; {reference.source}"
        if shared[-1] >= reference.steps:
            then = spread([curve.until(reference.steps).last(window) for curve in proof.curves])
    return [*told, spread([curve.last(window) for curve in proof.curves]), highest, then, aimed]


def report(proofs: list[Proof], window: int, picture: str) -> str:
    """The page, Markdown."""
    header = (
        *("learner", "environment", "steps", "seeds", f"last {window} evaluations", "highest mean over seeds"),
        *(f"last {window} evaluations at the reference's steps", "reference"),
    )
    lines = [
        "# Learners alone, on the environment's own reward",
        "",
        "Made by `python scripts/learner_proofs.py RUN... --out results/learners`. An evaluation is the mean return of",
        f"{_shared(str(p.run.config.evaluation_episodes) for p in proofs)} episodes of the deterministic policy. "
        f"*Last {window} evaluations*: the mean over them for each seed, then mean ± standard",
        "deviation over seeds and, in brackets, the lowest and the highest seed. *Highest mean over seeds*: over all",
        "evaluations, a maximum and therefore biased upwards. The references are on older versions of the",
        "environments, whose returns need not be the same, and with other numbers of seeds.",
        "",
        f"![Learning curves]({picture})",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(table_row(proof, window)) + " |" for proof in proofs),
        "",
        "| run | command |",
        "|---|---|",
        *(f"| [{p.name}]({p.name}.csv) | `{command_of(p.run)}` |" for p in proofs),
        "",
    ]
    for versions in sorted({_versions(p.run) for p in proofs}):
        lines += [f"Versions of {', '.join(p.name for p in proofs if _versions(p.run) == versions)}: {versions}.", ""]
    lines += [f"{p.name}, seed {seed}: {told}." for p in proofs for seed, told in _broken(p.run)]
    return "\n".join(lines).rstrip() + "\n"


def _shared(values: Any) -> str:
    return " or ".join(sorted(set(values)))


def _versions(run: LoadedRun) -> str:
    return ", ".join(f"{name} {version}" for name, version in run.stored["versions"].items())


def _broken(run: LoadedRun) -> list[tuple[int, str]]:
    """Seeds that a mean over evaluations does not tell all of."""
    found = []
    for seed, columns in run.evaluations.items():
        failed = int(np.sum(~np.isfinite(columns.get("return_mean", np.empty(0)))))
        if failed:
            found.append((seed, f"{failed} evaluations failed and are left out"))
        if frozen := run.seed_summary(seed).get("frozen"):
            found.append((seed, f"frozen ({json.dumps(frozen)})"))
    return found


def figure(proofs: list[Proof]) -> dict[str, Any]:
    """One panel for each environment: a thin line for each seed, a thick one for their mean, a cross where the
    reference lies, or at the runs' last step where that is further on."""
    learners = sorted({proof.run.config.learner for proof in proofs})
    colour = alt.Color(
        "learner:N",
        title="learner",
        scale=alt.Scale(domain=learners, range=colours(len(learners))),
        legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=4, symbolOpacity=1, symbolSize=260),
    )
    panels = [
        _panel(environment, [p for p in proofs if p.run.config.environment == environment], colour)
        for environment in sorted({proof.run.config.environment for proof in proofs})
    ]
    title = alt.TitleParams(
        "Learners alone, on the environment's own reward",
        subtitle=[
            "thin: one seed; thick: mean over seeds; cross: the table's reference, at the edge if it took longer"
        ],
        fontSize=18,
        subtitleFontSize=13,
        offset=14,
    )
    chart = alt.concat(*panels, columns=PER_ROW, spacing=40).resolve_scale(x="independent").properties(title=title)
    return chart.to_dict() | {"config": STYLE}


def _panel(environment: str, proofs: list[Proof], colour: alt.Color) -> Any:
    seeds, means, marks = [], [], []
    furthest = max((int(curve.step[-1]) for proof in proofs for curve in proof.curves), default=0)
    for proof in proofs:
        told = {"learner": proof.run.config.learner, "run": proof.name}
        for curve in proof.curves:
            line = told | {"line": f"{proof.name} {curve.seed}"}
            seeds += [line | {"step": int(s), "value": float(v)} for s, v in zip(curve.step, curve.value, strict=True)]
        means += [told | {"step": int(s), "value": float(v)} for s, v in zip(*over_seeds(proof.curves), strict=True)]
        if proof.reference is not None:
            marks.append(told | {"step": min(proof.reference.steps, furthest), "value": proof.reference.value})
    x = alt.X(
        "step:Q",
        title="environment steps per seed",
        axis=alt.Axis(labelExpr=SHORT_NUMBER, tickCount=6),
        scale=alt.Scale(zero=True),
    )
    y = alt.Y("value:Q", title="mean return of an evaluation", axis=alt.Axis(labelExpr=SHORT_NUMBER))
    thin = alt.Chart(alt.InlineData(seeds)).mark_line(strokeWidth=1, opacity=0.45).encode(x, y, colour, detail="line:N")
    # The points show a curve of one evaluation, too.
    thick = alt.Chart(alt.InlineData(means)).mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=14))
    thick = thick.encode(x, y, colour, detail="run:N")
    cross = alt.Chart(alt.InlineData(marks)).mark_point(shape="cross", size=120, filled=True).encode(x, y, colour)
    return alt.layer(thin, thick, cross).properties(title=environment, width=PANEL_WIDTH, height=PANEL_HEIGHT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("results/learners"))
    parser.add_argument("--last", type=int, default=WINDOW, help="evaluations of the window (default: %(default)s)")
    options = parser.parse_args()
    proofs = [read(folder) for folder in options.runs]
    proofs.sort(key=lambda proof: (proof.run.config.environment, proof.run.config.learner, proof.name))
    options.out.mkdir(parents=True, exist_ok=True)
    for proof in proofs:
        write_evaluations(proof, options.out / f"{proof.name}.csv")
    specification = json.dumps(figure(proofs))
    png = vl_convert.vegalite_to_png(specification, vl_version=vega_lite_version(), scale=PNG_SCALE)
    (options.out / "learners.png").write_bytes(png)
    (options.out / "learners.md").write_text(report(proofs, options.last, "learners.png"))


if __name__ == "__main__":
    main()
