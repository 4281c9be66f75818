"""Videos of a report: one episode of the median and of the worst seed of each method."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from credo import run_folder
from credo.diagnostics.divergence import KINDS
from credo.environment_name import canonical, needs_trust
from credo.policies import load_policy
from credo.reports.collect import Cell, Collection, SeedResult
from credo.reports.page import Clip
from credo.reports.stills import VIDEOS, slug_of
from credo.reports.tables import Line
from credo.reports.video import record_video
from credo.types import CredoError


def write_clips(
    collection: Collection, out: Path, line: Line = lambda line: None, trusted: Sequence[str] = ()
) -> tuple[list[Clip], list[str]]:
    """Record the videos to ``out/videos``; they, and why others are missing, one line each. ``trusted``: environments
    module:Id whose modules may be imported."""
    clips: list[Clip] = []
    taken: set[str] = set()
    missing: list[str] = []
    for cell in collection.cells.values():
        for role, seed in chosen_seeds(cell).items():
            title = f"{cell.method} on {cell.environment}: {role} seed {seed.row.seed}"
            line(f"video: {title}")
            # Names are cut where they are long: what tells two videos of a cell apart stands first.
            name = slug_of(f"{role} seed {seed.row.seed} {cell.method} on {cell.environment}")
            while name in taken:
                name += "-"
            taken.add(name)
            try:
                clips.append(_clip(seed, title, out / VIDEOS / f"{name}.mp4", trusted))
            except CredoError as error:
                missing.append(f"no video of {title}: {error}")
                line(missing[-1])
    return clips, missing


def chosen_seeds(cell: Cell) -> dict[str, SeedResult]:
    """The seed in the middle and the worst, by verdict and then by the last success, return or distance."""
    ordered = sorted(cell.seeds.values(), key=_badness)
    if not ordered:
        return {}
    middle, worst = ordered[len(ordered) // 2], ordered[-1]
    return {"worst": worst} if len(ordered) < 3 else {"median": middle, "worst": worst}


def _badness(seed: SeedResult) -> tuple[int, float]:
    kind = KINDS.index(seed.verdict.kind)
    for told in (seed.row.final_success, seed.row.final_return):
        if told is not None:
            return kind, -told
    distance = seed.curves.get("distance")
    return kind, float("inf") if distance is None else float(distance.value[-1])


def _clip(seed: SeedResult, title: str, path: Path, trusted: Sequence[str]) -> Clip:
    environment = seed.environment
    doubt = None if canonical(environment) in map(canonical, trusted) else needs_trust(environment)
    if doubt is not None:
        raise CredoError(f"{environment} {doubt}; if you trust it, give --env {shlex.quote(environment)}")
    number = seed.row.seed
    files = [run_folder.policy_path(seed.folder, number, which) for which in ("last", "best")]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        raise CredoError(f"{seed.folder} has no policy of seed {number}")
    result = record_video(environment, load_policy(found), path, seed=0)
    text = f"{seed.verdict.kind}; {found.stem} policy; return {result.episode_return:,.0f} in {result.length:,} steps"
    return Clip(title, text, path.read_bytes(), f"{VIDEOS}/{path.name}")
