"""``credo imitate`` and ``credo expert``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from credo.cli.parse import find_local_modules, load_plugins, parse, say
from credo.config import RunConfig, other_learners_settings
from credo.config.limits import Count
from credo.config.names import REGISTERED
from credo.config.own import LEARNER_SETTINGS, described
from credo.presets import DEFAULT, EXPERT_NAME, PRESETS, expert_preset, preset
from credo.reports.loggers import LoggerName
from credo.types import CredoError


@dataclass(frozen=True)
class TrainOptions:
    """Options of both training commands, beside the settings."""

    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
    preset: str = DEFAULT
    """A whole set of settings to start from; the other options change it. See credo presets."""
    plugin: tuple[str, ...] = ()
    """Modules to import that register rewards, regularisers or learners of your own; in the current folder, or
    installed."""
    out: Path | None = None
    """Run folder; one that holds the same run is resumed. Default: runs/ and a name from the settings."""
    video: bool = False
    """Record a video of the kept policy at the end."""
    quiet: bool = False
    """No progress, only messages."""
    log: LoggerName | None = None
    """Log to TensorBoard (files in logs/ of the run folder), Weights & Biases or trackio too; each needs the extra of
    its name."""


@dataclass(frozen=True)
class ResumeOptions:
    """What may change where a run goes on; None: as it was asked for before."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    steps: Count | None = None
    """Environment steps per seed, those done included."""
    seeds: Count | None = None
    """Seeds, those that are there included."""
    environment: Annotated[str | None, tyro.conf.arg(name="env")] = None
    """The environment again, where the run names one of a module: a stored name alone imports no code."""
    demonstrations: Annotated[str | None, tyro.conf.arg(name="demos")] = None
    """The demonstrations again, where they have moved."""
    seed_replay: str | None = None
    """The log of transitions that each replay began with again, where it has moved."""
    plugin: tuple[str, ...] = ()
    """Modules to import that register the rewards, regularisers or learners of the run."""
    video: bool = False
    """Record a video of the kept policy at the end."""
    quiet: bool = False
    """No progress, only messages."""
    log: LoggerName | None = None
    """As for credo imitate."""


def resume(words: Sequence[str]) -> None:
    """Go on with a run."""
    from credo import api

    load_plugins(words)
    about = "Go on with a run by its folder alone: to its end, or to more steps or seeds."
    options = parse(ResumeOptions, words, "resume", about)
    again = (options.environment, options.demonstrations, options.seed_replay)
    config = api.going_on(options.run, options.steps, options.seeds, *again)
    told = {name: getattr(options, name) for name in ("plugin", "video", "quiet", "log")}
    _train(TrainOptions(config, out=options.run, **told), config, options.environment, resumed=True)


def imitate(words: Sequence[str]) -> None:
    """Train imitators and say how they did."""
    words = _gathered(words)
    default = TrainOptions(config=preset(_preset_name(words)), preset=_preset_name(words))
    about = f"Train imitators of demonstrations, many seeds side by side. Presets: {', '.join(PRESETS)}."
    _train(parse(TrainOptions, words, "imitate", about + _own_settings(words), default), default.config)


def expert(words: Sequence[str]) -> None:
    """Train from the environment's reward."""
    words = _gathered(words)
    about = "Train an expert from the environment's own reward, in the same loop as imitators."
    default = TrainOptions(config=expert_preset(_preset_name(words, EXPERT_NAME)), preset=EXPERT_NAME)
    options = parse(TrainOptions, words, "expert", about + _own_settings(words), default)
    if options.config.imitates:
        raise CredoError(f"reward: {options.config.reward!r} needs demonstrations; use credo imitate")
    if options.config.demonstrations:
        given = options.config.demonstrations
        raise CredoError(f"demos: {given!r} is not used: an expert learns from the environment's reward alone")
    _train(options, default.config)


def _gathered(words: Sequence[str]) -> list[str]:
    """The words with all that --learner-settings is given at several places in one, and their plug-ins loaded."""
    load_plugins(words)
    option, kept, given = f"--{LEARNER_SETTINGS.replace('_', '-')}", list[str](), list[str]()
    inside = False
    for word in words:
        inside = word == option or (inside and not word.startswith("-"))
        if word.startswith(f"{option}="):
            given.append(word.removeprefix(f"{option}="))
        elif not inside:
            kept.append(word)
        elif word != option:
            given.append(word)
    return kept + ([option, *given] if given or option in words else [])


def _own_settings(words: Sequence[str]) -> str:
    """For the help: what may be changed of the learners, rewards and regularisers that plug-ins have registered."""
    if not {"-h", "--help"} & set(words):
        return ""
    lines = [
        f"--learner-settings of {name}: {described(entry.settings)}" for name, entry in REGISTERED["learner"].items()
    ]
    for kind in ("reward", "regulariser"):
        entries = [(name, entry.settings) for name, entry in REGISTERED[kind].items() if entry.settings is not None]
        lines += [f"{kind} {name}: {name},{described(own).replace(' ', ',')}" for name, own in entries]
    return "".join(f"\n\n{line}" for line in lines)


def _preset_name(words: Sequence[str], default: str = DEFAULT) -> str:
    """The preset that the words ask for: the other options are parsed on top of it."""
    name = default
    for index, word in enumerate(words):
        if word == "--preset" and index + 1 < len(words):
            name = words[index + 1]
        elif word.startswith("--preset="):
            name = word.removeprefix("--preset=")
    return name


def _train(options: TrainOptions, default: RunConfig, environment: str | None = None, resumed: bool = False) -> None:
    """Train as the options say; ``default`` is what they were parsed on top of, ``environment`` where to look for the
    settings' own."""
    from credo.training.stopping import interrupts_remembered

    with interrupts_remembered():
        _trained(options, default, environment, resumed)


def _trained(options: TrainOptions, default: RunConfig, environment: str | None, resumed: bool) -> None:
    from credo import api
    from credo.cli.display import clock, watching
    from credo.reports.loggers import logging_to
    from credo.training.watching import followed

    console = Console()
    config = options.config
    if line := other_learners_settings(config, default):
        say(console, f"note: {line}")
    find_local_modules(environment or config.environment)
    told = config.imitates and not options.quiet
    reading = partial(say, console, f"reading {config.demonstrations}") if told else lambda: None
    prepared = api.prepare(config, environment, reading=reading)
    expert_return = prepared.described.get("return_mean") or None
    out = options.out or prepared.default_folder
    with (
        watching(console, expert_return, options.quiet) as watcher,
        logging_to(options.log, out) as log,
    ):
        run = api.start(prepared, out, followed(watcher, log), resumed=resumed)
    finish(console, run, environment or config.environment, options.video)
    if run.summary["state"] == "interrupted":
        console.print("stopped; the same command goes on from here", highlight=False)
        sys.exit(130)
    seconds = run.summary["wall_seconds"]
    say(console, f"trained in {clock(seconds)}; everything is in {run.folder}")
    if all(seed.get("frozen") for seed in run.summary["seeds"].values()):
        raise SystemExit("credo: every seed was frozen before its end; why stands above")


def finish(console: Console, run, environment: str, with_video: bool) -> None:
    """The closing table, the curves' names, and the video where it was asked for."""
    from credo.reports.tables import summary_table

    console.print(summary_table(run.folder, console.width))
    if with_video and run.summary["state"] == "done":
        from credo.cli.runs import record

        try:
            result = record(run, None, None, environment)
            say(console, f"video: {result.path}")
        except CredoError as error:
            say(console, f"no video: {str(error).removeprefix('video: ')}")
    if (run.folder / "curves.html").exists():
        say(console, f"curves: {run.folder / 'curves.html'}")
