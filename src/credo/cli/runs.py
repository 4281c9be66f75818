"""``credo evaluate``, ``video`` and ``list``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from credo.cli.display import busy, number, share
from credo.cli.parse import find_local_modules, parse, say
from credo.config.limits import Count, WholeNumber
from credo.environment_name import same_environment
from credo.policies import Policy
from credo.random import EVALUATION_SEED
from credo.storage import check_replaceable
from credo.types import CredoError, printable

if TYPE_CHECKING:
    from credo.api import Run
    from credo.environments import EnvironmentSource
    from credo.evaluating import Evaluation

_NO_REWARD = "no reward here; distance: to held-out demonstrations, in the evaluation that chose the policy"


@dataclass(frozen=True)
class EvaluateOptions:
    run: Annotated[str, tyro.conf.Positional]
    """A run folder, a policy file, or a shipped expert's name."""
    episodes: Count = 10
    """Episodes per policy."""
    seed: int | None = None
    """One seed of the run alone; default: every seed."""
    policy: Literal["best", "last"] = "best"
    """best: the policy kept by the reward-free measures; last: the one training ended with."""
    environment: Annotated[str | None, tyro.conf.arg(name="env")] = None
    """Gymnasium id or module:Id (with arguments: Id,argument=value,...); default: the policy's own."""
    evaluation_seed: WholeNumber = EVALUATION_SEED
    """Seed of the initial states; not one that training evaluates on."""


@dataclass(frozen=True)
class VideoOptions:
    run: Annotated[str, tyro.conf.Positional]
    """A run folder, a policy file, or a shipped expert's name."""
    out: Path | None = None
    """File to write (.mp4); default: video.mp4 in the run folder (video-seed-K-WHICH.mp4 where --seed or --policy is
    given), or NAME.mp4 here."""
    seed: int | None = None
    """The run's seed to show; default: the one nearest to the demonstrations."""
    policy: Literal["best", "last"] = "best"
    """best: the policy kept by the reward-free measures; last: the one training ended with."""
    overwrite: bool = False
    """Replace a file that is there; a video that the run folder has by default always is."""
    environment: Annotated[str | None, tyro.conf.arg(name="env")] = None
    """Gymnasium id or module:Id (with arguments: Id,argument=value,...); default: the policy's own."""


@dataclass(frozen=True)
class ListOptions:
    folder: Annotated[Path, tyro.conf.Positional] = Path("runs")
    """The folder to search for runs, at any depth."""
    json: bool = False
    """Print a JSON array of the runs in place of the table."""


def source_of(policy: Policy, given: str | None) -> EnvironmentSource:
    """Where to run a policy, as its file says that it is shown it; see ``environment_of``."""
    from credo.evaluating import shown

    return shown(policy, environment_of(policy, given))


def environment_of(policy: Policy, given: str | None) -> str:
    """Where to run a policy: what the command line says, else what its file names, unless that would import code."""
    from credo.evaluating import own_environment

    if given is None:
        return own_environment(policy)
    find_local_modules(given)
    return given


def evaluate(words: Sequence[str]) -> None:
    """Returns of trained policies."""
    about = "Run trained policies, deterministically, and report their returns."
    options = parse(EvaluateOptions, words, "evaluate", about)
    from credo import run_folder
    from credo.evaluating import find_policy, is_run, play
    from credo.studies.read import expert_return_of

    policies: dict[str, Policy] = {}
    expert_return, lacking, distances = None, list[int](), dict[str, float]()
    if is_run(options.run):
        config, stored = run_folder.read_config(Path(options.run))
        expert_return = expert_return_of(stored)
        # The folder may hold seeds of an earlier command too.
        summaries = run_folder.read_summary(Path(options.run)).get("seeds") or {}
        every = sorted({*config.seed_numbers, *map(int, summaries)})
        for seed in every if options.seed is None else (options.seed,):
            # A seed that was frozen before its first evaluation has none; the others have.
            if options.seed is None and not run_folder.policy_path(Path(options.run), seed, options.policy).exists():
                lacking.append(seed)
                continue
            policies[f"seed {seed}"] = find_policy(options.run, seed, options.policy)
            distance = summaries.get(str(seed), {}).get("selected_distance")
            if options.policy == "best" and distance is not None:
                distances[f"seed {seed}"] = distance
        if not policies:
            find_policy(options.run, every[0], options.policy)
    else:
        name = Path(options.run).name
        policies[name] = find_policy(options.run, options.seed, options.policy)
    console = Console()
    if options.environment is not None:
        for other in sorted({p.environment for p in policies.values() if p.environment} - {options.environment}):
            if not same_environment(other, options.environment):
                say(console, f"note: trained in {other}, played in {options.environment}")
                expert_return = None  # it is of the other environment, as the distances are
                distances.clear()
    for seed in lacking:
        say(console, f"note: seed {seed} has no {options.policy} policy")
    played = {}
    with busy(console) as tell:
        for name, policy in policies.items():
            tell(f"evaluating {name}")
            source = source_of(policy, options.environment)
            played[name] = play(policy, source, options.episodes, options.evaluation_seed)
    console.print(_evaluated(played, options.episodes, expert_return, distances))


def _evaluated(
    played: dict[str, Evaluation], episodes: int, expert_return: float | None, distances: dict[str, float]
) -> Table:
    """A policy a row; of a run's kept policies, where neither a reward nor success is told, the ``distances`` that
    chose them."""
    expert = "" if expert_return is None else f"; the expert's mean return is {expert_return:,.1f}"
    table = Table(title=f"{episodes} episodes{expert}", title_justify="left")
    tells_success = any(found.successes is not None for found in played.values())
    # An environment that tells success, or in which a policy was chosen by its distance, need have no reward.
    rewarded = any(found.returns.any() for found in played.values()) or not (tells_success or distances)
    by_distance = not (rewarded or tells_success)
    known = rewarded and expert_return is not None and expert_return > 0
    columns = (
        *("policy", *(("return", "std", "least", "most") if rewarded else ()), "length"),
        *(["success"] if tells_success else []),
        *(["distance"] if by_distance else []),
        *(["of expert"] if known else []),
    )
    for name in columns:
        table.add_column(name, justify="right")
    for name, (returns, lengths, successes) in played.items():
        values = (returns.mean(), returns.std(), returns.min(), returns.max()) if rewarded else ()
        cells = [f"{value:,.1f}" for value in (*values, lengths.mean())]
        if tells_success:
            cells.append(share(None if successes is None else successes.mean()))
        if by_distance:
            cells.append(number(distances.get(name), 3))
        if known:
            # As in the report: a ratio of negative returns, which are costs, is not told.
            cells.append(share(returns.mean() / expert_return))
        table.add_row(Text(printable(name)), *cells)
    if by_distance:
        table.caption, table.caption_justify, table.min_width = _NO_REWARD, "left", 60
    return table


def video(words: Sequence[str]) -> None:
    """A video of one episode."""
    options = parse(VideoOptions, words, "video", "Record a video of one episode of a trained policy.")
    from credo.api import Run
    from credo.evaluating import find_policy, is_run
    from credo.reports.video import record_video

    console = Console()
    shown = ""
    with busy(console) as tell:
        tell("rendering")
        path = Path(options.run)
        if is_run(options.run):
            if options.out is not None:
                _check_video(options.out, options.overwrite)
            run = Run(path)
            number = run.best_seed if options.seed is None else options.seed
            chosen = options.seed is not None or options.policy != "best"
            name = f"video-seed-{number}-{options.policy}.mp4" if chosen else "video.mp4"
            result = record(run, number, options.out or path / name, options.environment, options.policy)
            shown = f"seed {number}, {'kept' if options.policy == 'best' else 'last'} policy, "
        else:
            policy = find_policy(options.run, options.seed, options.policy)
            out = options.out or Path(f"{path.stem}.mp4")
            _check_video(out, options.overwrite)
            # The process that draws reads the policy from a file: the one there is, or one written for it.
            given = path if path.is_file() else policy
            result = record_video(environment_of(policy, options.environment), given, out)
    end = {None: "", True: ", success", False: ", no success"}[result.success]
    say(console, f"{result.path}: {shown}{result.length} steps, return {result.episode_return:,.1f}{end}")


def _check_video(out: Path, overwrite: bool) -> None:
    if out.suffix.lower() != ".mp4":
        raise CredoError(f"out: {out} is no name of a video; it must end in .mp4")
    check_replaceable(out)
    if out.exists() and not overwrite:
        raise CredoError(f"out: {out} exists; give another name, or --overwrite")


def record(run: Run, seed: int | None, out: Path | None, environment: str | None, which: str = "best") -> Any:
    """Record a run's policy into its folder, or to ``out``."""
    from credo.reports.video import record_video

    policy = run.policy(seed, which)
    return record_video(environment_of(policy, environment), policy, out or run.folder / "video.mp4")


def list_runs(words: Sequence[str]) -> None:
    """The runs in a folder."""
    options = parse(ListOptions, words, "list", "List the runs in a folder, with state, returns and verdicts.")
    from credo.reports.tables import list_json, list_table

    if not options.folder.is_dir():
        raise CredoError(f"folder: {options.folder} is not a folder")
    # What it is at does not belong to the list, which may go into a file.
    with busy(Console(stderr=True)) as tell:
        listed = list_json(options.folder, tell) if options.json else list_table(options.folder, tell)
    if isinstance(listed, str):
        print(listed)
    else:
        Console().print(listed)
