"""``credo demos``: generate, inspect, convert, merge, split, subsample."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from credo.cli.parse import find_local_modules, parse, say
from credo.config.limits import Count, NotNegative, WholeNumber
from credo.storage import check_replaceable
from credo.types import CredoError, printable

if TYPE_CHECKING:
    from credo.demonstrations import Demonstrations
    from credo.demonstrations.generate import Expert
    from credo.environments import EnvironmentSource
    from credo.types import EnvironmentSpec


@dataclass(frozen=True)
class GenerateOptions:
    expert: str
    """A shipped expert's name, a policy file, a run folder (its kept policy), a stable-baselines3 .zip, or
    module:function, a function from observations [B, O] to actions [B, A] in [-1, 1]; the last two need --env."""
    out: Path
    """The file to write, .safetensors or .npz; an existing one is refused unless --overwrite."""
    environment: Annotated[str | None, tyro.conf.arg(name="env")] = None
    """Gymnasium id or module:Id (with arguments: Id,argument=value,...); default: the expert's own."""
    observation_keys: tuple[str, ...] = ()
    """Entries of the environment's Dict observations, flattened and joined in this order."""
    episodes: Count | None = None
    """Whole episodes to roll out (default 25, unless --transitions is given)."""
    transitions: Count | None = None
    """Transitions to roll out; the last episode is cut to that."""
    noise: NotNegative = 0.01
    """Standard deviation of Gaussian noise on the action in [-1, 1]; the noisy action is stored."""
    seed: WholeNumber = 0
    """Seed of resets and noise."""
    processes: Count | None = None
    """Worker processes; default: up to eight, as there are cores, for a large request."""
    overwrite: bool = False
    """Replace an existing file."""


@dataclass(frozen=True)
class InspectOptions:
    demonstrations: Annotated[str, tyro.conf.Positional]
    """A demonstrations file or folder of any format, minari:ID, or a shipped expert: NAME, NAME:EPISODES; with
    @subsample=N."""
    environment: Annotated[str | None, tyro.conf.arg(name="env")] = None
    """Gymnasium id or module:Id (with arguments: Id,argument=value,...) whose action box and time limit a file is
    read with that does not say its own."""
    observation_keys: tuple[str, ...] = ()
    """Entries of the environment's Dict observations, flattened and joined in this order."""
    picture: Path | None = None
    """Draw the returns, episode lengths, ranges and saturation into this .png or .svg file."""
    overwrite: bool = False
    """Replace an existing picture."""


@dataclass(frozen=True)
class _Reading:
    environment: Annotated[str | None, tyro.conf.arg(name="env")] = None
    """Gymnasium id or module:Id (with arguments: Id,argument=value,...) whose action box and time limit a file is
    read with that does not say its own."""
    observation_keys: tuple[str, ...] = ()
    """Entries of the environment's Dict observations, flattened and joined in this order."""
    clip: bool = False
    """Clip actions that lie beyond the action box instead of refusing them."""
    to: str | None = None
    """Format: credo, npz, minari, minari-arrow, minari-parquet; default: by the ending (.safetensors, .npz)."""
    overwrite: bool = False
    """Replace what exists."""


@dataclass(frozen=True)
class ConvertOptions(_Reading):
    demonstrations: Annotated[str, tyro.conf.Positional] = tyro.MISSING
    """What to read: any format, minari:ID, or a shipped expert; with @subsample=N."""
    out: Annotated[Path, tyro.conf.Positional] = tyro.MISSING
    """What to write."""
    terminated: bool = False
    """Count every episode that is shorter than the time limit of --env as terminated: for files that do not say it."""


@dataclass(frozen=True)
class MergeOptions(_Reading):
    demonstrations: Annotated[tuple[str, ...], tyro.conf.Positional] = tyro.MISSING
    """What to join, in this order; any formats."""
    out: Path = tyro.MISSING
    """What to write."""


@dataclass(frozen=True)
class SplitOptions(_Reading):
    demonstrations: Annotated[str, tyro.conf.Positional] = tyro.MISSING
    """What to divide."""
    out: Annotated[tuple[Path, Path], tyro.conf.Positional] = tyro.MISSING
    """Where the two parts go; the second gets about FRACTION of the episodes."""
    fraction: float = 0.1
    """Share of the episodes in the second part, above 0 and below 1."""
    seed: WholeNumber = 0
    """Of the choice of episodes."""


@dataclass(frozen=True)
class SubsampleOptions(_Reading):
    demonstrations: Annotated[str, tyro.conf.Positional] = tyro.MISSING
    """What to thin."""
    out: Annotated[Path, tyro.conf.Positional] = tyro.MISSING
    """What to write."""
    every: int | None = None
    """Keep every so many-th transition of each episode, with its true next observation."""
    episodes: int | None = None
    """Keep the first so many episodes."""
    transitions: int | None = None
    """Keep the first so many transitions; the last episode is cut to that."""
    seed: WholeNumber = 0
    """Of the offsets at which --every begins."""


def generate(words: Sequence[str]) -> None:
    """Roll an expert out into a file."""
    options = parse(GenerateOptions, words, "demos generate", "Roll an expert out into a demonstrations file.")
    from credo.demonstrations import generate_demonstrations, write_file
    from credo.demonstrations.load import DEFAULT_EPISODES

    if options.episodes is not None and options.transitions is not None:
        raise CredoError("demos generate: --episodes and --transitions given; one of the two expected")
    if os.path.lexists(options.out) and not options.overwrite:
        raise CredoError(f"out: {options.out} exists; give another name or --overwrite")
    if options.out.is_dir():
        raise CredoError(f"out: {options.out} is a folder; a file's name expected")
    if options.out.suffix not in (".safetensors", ".npz"):
        raise CredoError(f"out: {options.out} is neither .safetensors nor .npz (others: credo demos convert)")
    check_replaceable(options.out)
    if not options.out.parent.is_dir():
        raise CredoError(f"out: {options.out.parent} is not a folder")
    policy, environment = _expert(options.expert, options.environment, options.observation_keys)
    episodes = options.episodes
    if episodes is None and options.transitions is None:
        episodes = DEFAULT_EPISODES
    console = Console()
    columns = (TextColumn("rolling out"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=options.transitions or episodes)
        data = generate_demonstrations(
            environment,
            policy,
            episodes=episodes,
            transitions=options.transitions,
            noise=options.noise,
            seed=options.seed,
            processes=options.processes,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    write_file(options.out, data, overwrite=options.overwrite)
    _show(console, data)
    say(console, f"written to {options.out}")


def _expert(name: str, environment: str | None, keys: Sequence[str]) -> tuple[Expert, EnvironmentSource]:
    """What to roll out, and where."""
    from credo.cli.runs import environment_of, source_of
    from credo.demonstrations.formats.stable_baselines3 import is_policy, load_stable_baselines3
    from credo.environments import viewed
    from credo.evaluating import find_policy
    from credo.policies.view import described_view

    archive = Path(name).is_file() and is_policy(Path(name))
    if not archive and (":" not in name or Path(name).exists()):
        policy = find_policy(name)
        if keys and described_view(policy.metadata) == ((), 1):
            return policy, viewed(environment_of(policy, environment), keys)
        if keys:
            raise CredoError(f"observation-keys: {name} says itself what it is shown; leave --observation-keys out")
        return policy, source_of(policy, environment)
    if environment is None:
        raise CredoError(f"env: {name} does not say its environment; give --env")
    found = load_stable_baselines3(Path(name), _spec(environment, keys)) if archive else _function(name)
    return found, viewed(environment, keys)


def _function(name: str) -> Expert:
    """``module:function``, which the user names and so trusts."""
    module, _, attribute = name.partition(":")
    find_local_modules(name)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # the module is the user's, and may fail in any way
        raise CredoError(f"expert: {name!r} cannot be imported ({' '.join(str(error).split())})") from None
    if not callable(found):
        raise CredoError(f"expert: {name!r} is a {type(found).__name__}, a function expected")
    return found


def inspect(words: Sequence[str]) -> None:
    """Say what a demonstrations file holds."""
    about = "Say what demonstrations hold: episodes, transitions, returns, ranges, problems found."
    options = parse(InspectOptions, words, "demos inspect", about)
    if options.picture is not None:
        from credo.reports.demonstrations import check_picture, write_picture

        check_picture(options.picture)
        if options.picture.exists() and not options.overwrite:
            raise CredoError(f"picture: {options.picture} exists; give another name or --overwrite")
        check_replaceable(options.picture)
    environment = options.environment
    spec = None if environment is None else _spec(environment, options.observation_keys)
    data = _read(options.demonstrations, options, spec=spec)
    console = Console()
    _show(console, data, spec)
    if options.picture is not None:
        write_picture(options.picture, data)
        say(console, f"written to {options.picture}")


def convert(words: Sequence[str]) -> None:
    """Write demonstrations in another format."""
    options = parse(ConvertOptions, words, "demos convert", "Write demonstrations in another format.")
    data = _read(options.demonstrations, options, options.clip)
    if options.terminated:
        from credo.demonstrations.combine import ended_early

        if options.environment is None:
            raise CredoError("terminated: needs --env, whose time limit tells which episodes ended before it")
        data, count = ended_early(data, _spec(options.environment, options.observation_keys).max_episode_steps)
        say(Console(), f"{count} of {data.episodes} episodes end early and count as terminated")
    _write(options.out, data, options)


def merge(words: Sequence[str]) -> None:
    """Join several sets of demonstrations."""
    options = parse(MergeOptions, words, "demos merge", "Join several sets of demonstrations into one.")
    from credo.demonstrations import merge

    parts = [_read(part, options, options.clip) for part in options.demonstrations]
    if options.environment is not None:
        parts = [dataclasses.replace(part, environment=options.environment) for part in parts]
    _write(options.out, merge(parts), options)


def split(words: Sequence[str]) -> None:
    """Divide demonstrations by episode."""
    about = "Divide demonstrations by episode, at random, into two."
    options = parse(SplitOptions, words, "demos split", about)
    from credo.demonstrations.load import parse_request

    data = _read(options.demonstrations, options, options.clip)
    if data.episodes == 1:
        raise CredoError("demos split: there is one episode only; two or more are needed to divide")
    if len({path.resolve() for path in options.out}) < len(options.out):
        raise CredoError(f"demos split: {options.out[0]} is given twice; two files expected")
    for path in options.out:  # all of them before the first is written
        _target(path, options)
    parts = data.split_held_out(options.fraction, options.seed)
    # The half that could not be made again from the other is written first, and the source's own file last: should one
    # fail, nothing is lost.
    source = Path(parse_request(options.demonstrations).name).resolve()
    halves = zip(options.out, (parts.training, parts.held_out), strict=True)
    for path, part in sorted(halves, key=lambda half: half[0].resolve() == source):
        _write(path, part, options)


def subsample(words: Sequence[str]) -> None:
    """Keep a part of demonstrations."""
    options = parse(SubsampleOptions, words, "demos subsample", "Keep a part of demonstrations.")
    given = [name for name in ("every", "episodes", "transitions") if getattr(options, name) is not None]
    if len(given) != 1:
        raise CredoError(
            f"demos subsample: {' and '.join(given) or 'nothing'} given; "
            "--every, --episodes or --transitions, one of the three expected"
        )
    data = _read(options.demonstrations, options, options.clip)
    if options.every is not None:
        data = data.subsample(options.every, options.seed)
    elif options.transitions is not None:
        data = data.first_transitions(options.transitions)
    elif options.episodes is not None:
        if options.episodes < 1 or options.episodes > data.episodes:
            raise CredoError(f"episodes: {options.episodes} asked for, 1 to {data.episodes} are there")
        data = data.select_episodes(range(options.episodes))
    _write(options.out, data, options)


def _read(
    demonstrations: str, options: _Reading | InspectOptions, clip: bool = False, spec: EnvironmentSpec | None = None
) -> Demonstrations:
    """Demonstrations of any kind, that fit the environment if one is named; ``spec`` is it where it is known."""
    from credo.demonstrations import check_fits, load_demonstrations
    from credo.demonstrations.combine import with_bounds

    if options.environment is None:
        return load_demonstrations(demonstrations, clip=clip)
    spec = spec or _spec(options.environment, options.observation_keys)
    data = load_demonstrations(demonstrations, options.environment, fitting=spec, clip=clip)
    check_fits(data, spec)
    return with_bounds(data, spec) if isinstance(options, _Reading) else data


def _spec(environment: str, keys: Sequence[str]) -> EnvironmentSpec:
    from credo.environments import specification, viewed

    find_local_modules(environment)
    return specification(viewed(environment, keys))


def _target(out: Path, options: _Reading) -> tuple[Path, str]:
    """Where demonstrations go, and in which format; ``minari:ID`` is a dataset in minari's own folder. CredoError where
    they cannot."""
    from credo.demonstrations import check_writable
    from credo.demonstrations.formats import minari
    from credo.demonstrations.load import MINARI

    format = options.to
    if str(out).startswith(MINARI):
        out, format = minari.folder_of(str(out).removeprefix(MINARI)), format or "minari"
        out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists() and not options.overwrite:
        raise CredoError(f"out: {out} exists; give another name or --overwrite")
    if not out.is_dir():  # a Minari dataset is one
        check_replaceable(out)
    return out, check_writable(out, format, options.overwrite)


def _write(out: Path, data: Demonstrations, options: _Reading) -> None:
    from credo.demonstrations import write_file

    out, format = _target(out, options)
    label = write_file(out, data, format, options.overwrite)
    console = Console()
    if data.action_bounds is None and data.has_actions:
        say(
            console,
            "note: the demonstrations do not say their action box; their actions are taken to be in [-1, 1] already, "
            "unless --env names an environment",
        )
    absent = int(data.lengths.sum()) - len(data)
    if absent and format.startswith("minari"):
        say(
            console,
            f"note: {absent} steps of the episodes are not in the data (left out, or last ones without a successor); "
            "lengths and returns of a Minari dataset are without them",
        )
    say(console, f"{data.episodes} episodes, {len(data)} transitions written to {out} ({label})")


def _show(console: Console, data: Demonstrations, spec: EnvironmentSpec | None = None) -> None:
    from credo.demonstrations.inspect import inspect, lines

    found = inspect(data, spec=spec)
    table = Table(show_header=False, title=Text(printable(found.environment)), title_justify="left")
    table.add_column(justify="right", style="bold")
    table.add_column()
    for name, text in lines(found):
        table.add_row(name, Text(printable(text)))
    console.print(table)
