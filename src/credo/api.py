"""What the command line does, in Python."""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import signal
import sys
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from credo import plugins, run_folder, run_rows
from credo.config import RunConfig, other_learners_settings
from credo.config.changed import changed
from credo.demonstrations import Demonstrations
from credo.demonstrations.load import parse_request
from credo.diagnostics.frozen import cause_in_short
from credo.diagnostics.selection import selected_badness
from credo.environment_name import needs_trust, same_environment
from credo.environments import EnvironmentSource, source_name
from credo.files import as_path
from credo.policies import Policy, load_policy
from credo.preparation import Prepared, prepare
from credo.presets import DEFAULT, EXPERT_NAME, expert_preset, preset
from credo.types import CredoError, check_whole, is_number, printable

if TYPE_CHECKING:
    from credo.reports.loggers import LoggerName
    from credo.rewarding import LearnedReward
    from credo.training.watching import Watcher

_logger = logging.getLogger("credo")


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not; everything is read from its files. CredoError where the folder is no run's."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", as_path("run", self.folder))  # text is taken too
        run_folder.check_run(self.folder)

    @property
    def config(self) -> RunConfig:
        return run_folder.read_config(self.folder)[0]

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: state, steps, wall_seconds, and per seed what was selected and how it ended."""
        return run_folder.read_summary(self._checked())

    def metrics(self) -> dict[str, np.ndarray]:
        """Diagnostics as columns, one row per seed and round; before the first ``seed``, ``round`` and ``step`` alone,
        without a row."""
        return run_rows.read_rows(self._checked(), run_folder.METRICS)

    def evaluations(self) -> dict[str, np.ndarray]:
        """Evaluations as columns, one row per seed and evaluation; before the first as ``metrics``."""
        return run_rows.read_rows(self._checked(), run_folder.EVALUATIONS)

    @property
    def best_seed(self) -> int:
        """The seed whose kept policy succeeds most, where that is told, and is nearest to the demonstrations (or,
        without any, earns most)."""
        seeds = self.summary.get("seeds") or {}
        kept = {seed: selected_badness(told) for seed, told in seeds.items()}
        scores = {int(seed): badness for seed, badness in kept.items() if badness is not None}
        if not scores:
            frozen = [(n, told["frozen"]) for n, told in seeds.items() if isinstance(told.get("frozen"), dict)]
            causes = "; ".join(
                f"seed {n} was frozen at step {f.get('step')}: {cause_in_short(f.get('cause'))}" for n, f in frozen
            )
            why = f" ({causes})" if causes else " yet"
            raise CredoError(printable(f"run: {self.folder} has no evaluated policy{why}"))
        return min(scores, key=lambda seed: scores[seed])

    def policy(self, seed: int | None = None, which: str = "best") -> Policy:
        """A policy of one seed (the best seed's if None): ``best`` by the reward-free measures, or ``last``."""
        check_which("which", which)
        number = self.best_seed if seed is None else seed
        path = run_folder.policy_path(self._checked(), number, which)
        if not path.exists():
            begun = any((self.folder / run_folder.POLICIES).glob("*/*.safetensors"))
            missing = f"{which} policy of seed {number}" if begun else "evaluated policy yet"
            others = ", ".join(map(str, run_folder.seeds_with_policy(self.folder, which)))
            raise CredoError(f"run: {self.folder} has no {missing}{f'; seeds with one: {others}' if others else ''}")
        return load_policy(path)

    def reward(self, seed: int | None = None) -> LearnedReward:
        """The reward that the discriminator of one seed (the best seed's if None) has learned, at the end of the run or
        its last checkpoint."""
        from credo.rewarding import learned_reward

        return learned_reward(self._checked(), self.best_seed if seed is None else seed)

    def _checked(self) -> Path:
        """The folder; CredoError where it is no run's any more, or has links out of it."""
        run_folder.check_run(self.folder)
        run_folder.check_links(self.folder)
        return self.folder


def check_which(name: str, which: object) -> None:
    """CredoError, which begins with ``name``, unless ``which`` is one of a seed's policies."""
    if which not in ("best", "last"):
        raise CredoError(f"{name}: {which!r} is not best or last")


def only_policy(name: object, seed: int | None, which: str) -> None:
    """CredoError where one of a run's policies is asked for of what is a policy itself."""
    if seed is not None or which != "best":
        option = f"policy: {which}" if seed is None else f"seed: {seed}"
        raise CredoError(f"{option}: {name} is one policy; only of a run folder's policies one can be chosen")


def imitate(
    config: RunConfig | str | None = None,
    *,
    environment: EnvironmentSource | None = None,
    demonstrations: Demonstrations | str | Path | None = None,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    log: LoggerName | None = None,
    **settings: Any,
) -> Run:
    """Train imitators of demonstrations, many seeds side by side, and return their run.

    ``config`` is a whole set of settings or a preset's name ("paper"; None: the default preset); ``settings`` replace
    its fields (``steps=...``, ``seeds=...``, ``learner=...``), and those of its parts where a mapping is given
    (``td3={"batch_size": 256}`` leaves all else of ``td3`` as it is). ``environment`` is a Gymnasium id, "module:Id"
    or a factory. ``out`` names the run folder (None: runs/ and a name from the settings); a folder that holds the
    same run is resumed. ``watcher`` is told what happens; without one, messages go to the logger ``credo``. ``log``
    sends diagnostics and evaluations to "tensorboard", "wandb" or "trackio" as well.

    Raises:
        CredoError: in one line, for whatever cannot work, before anything is written.
        KeyboardInterrupt: Ctrl-C, after the round under way; its checkpoint is kept, and the same call goes on from it.
        SystemExit: 143 after SIGTERM, likewise.
    """
    _check_log(log)
    if config is None or isinstance(config, str):
        config = preset(DEFAULT if config is None else config)
    if not isinstance(config, RunConfig):
        raise CredoError(f"config: {type(config).__name__} found; a preset's name or credo.preset(NAME) expected")
    begun_from, config = config, _merged(config, environment, settings)
    if isinstance(demonstrations, str | Path):
        config = dataclasses.replace(config, demonstrations=str(demonstrations))
    elif demonstrations is not None:
        if not isinstance(demonstrations, Demonstrations):
            raise CredoError(
                f"demonstrations: {type(demonstrations).__name__} found; a name, a path or Demonstrations expected, "
                "which credo.demonstrations.from_transitions and from_episodes make of arrays"
            )
        config = dataclasses.replace(config, demonstrations=demonstrations.source)
    given = None if isinstance(demonstrations, str | Path) else demonstrations
    prepared = prepare(config, environment, given)
    if line := other_learners_settings(prepared.config, begun_from):
        (_logger.warning if watcher is None else watcher.line)(f"note: {line}")
    return _finished(*_logged(prepared, out, watcher, log))


def train_expert(
    environment: EnvironmentSource | None = None,
    *,
    config: RunConfig | str | None = None,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Run:
    """Train from the environment's own reward, in the same loop; SAC unless ``learner`` says otherwise.

    A preset's name stands for its settings on that reward. The rest is as for ``imitate``; CredoError for another
    reward, and for demonstrations, of which an expert has no use.
    """
    if config is None or isinstance(config, str):
        config = expert_preset(EXPERT_NAME if config is None else config)
    reward = settings.get("reward", getattr(config, "reward", None))
    if isinstance(reward, str) and reward != "environment":
        raise CredoError(f"reward: {reward!r} needs demonstrations; use credo.imitate")
    if (given := settings.get("demonstrations")) is not None and not (isinstance(given, str) and given == ""):
        told = repr(given) if isinstance(given, str | Path) else type(given).__name__
        raise CredoError(f"demonstrations: {told} is not used: an expert learns from the environment's reward alone")
    return imitate(config, environment=environment, out=out, watcher=watcher, **settings)


def resume(
    folder: str | Path,
    *,
    steps: int | None = None,
    seeds: int | None = None,
    environment: EnvironmentSource | None = None,
    demonstrations: Demonstrations | str | Path | None = None,
    seed_replay: str | Path | None = None,
    watcher: Watcher | None = None,
    log: LoggerName | None = None,
) -> Run:
    """Go on with a run by its folder alone, to ``steps`` steps and with ``seeds`` seeds (None: as it was asked for).

    ``environment`` and ``demonstrations`` are those that it began with, where its settings do not say enough: a
    factory, an environment of a module (a stored name alone imports no code), arrays, or a file that has moved;
    ``seed_replay`` is its log of transitions, where that has. Errors as ``imitate``.
    """
    _check_log(log)
    given = None if isinstance(demonstrations, str | Path) else demonstrations
    named = None if given is demonstrations else str(demonstrations)
    folder = as_path("folder", folder)
    logged = None if seed_replay is None else str(as_path("seed_replay", seed_replay))
    config = going_on(folder, steps, seeds, environment, named, logged, arrays=given is not None)
    return _finished(*_logged(prepare(config, environment, given), folder, watcher, log, resumed=True))


def going_on(
    folder: str | Path,
    steps: int | None,
    seeds: int | None,
    environment: EnvironmentSource | None,
    demonstrations: str | None,
    seed_replay: str | None = None,
    arrays: bool = False,
) -> RunConfig:
    """The settings that a run goes on with; CredoError where they need what is not given. ``arrays``: its
    demonstrations are."""
    folder = Path(folder)
    for name, value in (("steps", steps), ("seeds", seeds)):
        if value is not None:
            check_whole(name, value, 1)
    if folder.is_dir() and not (folder / run_folder.CONFIG).exists() and run_folder.is_beginning(folder):
        raise CredoError(f"run: {folder} holds nothing to go on with yet; give the whole command once more")
    config, _ = run_folder.read_config(folder)
    if config.imitates and demonstrations is None and not arrays:
        _check_there("demonstrations", config.demonstrations, "the run learns from", "--demos")
    if config.seed_replay is not None and seed_replay is None:
        _check_there("seed_replay", config.seed_replay, "its replay begins with", "--seed-replay")
    doubt = needs_trust(config.environment) if environment is None else None
    if doubt is not None:
        raise CredoError(
            f"env: the run names {config.environment!r}, which {doubt}; if you trust it, "
            f"give --env {shlex.quote(config.environment)}"
        )
    if environment is not None and not same_environment(source_name(environment), config.environment):
        raise CredoError(
            f"environment: {source_name(environment)} given, but the run in {folder} is of {config.environment}"
        )
    done = 0 if config.clones else run_folder.read_summary(folder).get("steps")
    if steps is not None and is_number(done) and steps < done:
        raise CredoError(f"steps: {steps:,} asked for, but the run in {folder} has done {done:,} already; give more")
    changes: dict[str, Any] = {
        "steps": steps,
        "seeds": seeds,
        "demonstrations": demonstrations,
        "seed_replay": seed_replay,
    }
    return dataclasses.replace(config, **{name: value for name, value in changes.items() if value is not None})


def _check_there(setting: str, named: str, use: str, option: str) -> None:
    """CredoError where the file that a run names is not there any more."""
    file = parse_request(named).name
    if Path(file).suffix and not os.path.lexists(file):
        raise CredoError(
            f"{setting}: {named}, which {use}, is not there (from this folder); "
            f"say where it is with {option}, or {setting}= in Python"
        )


def _finished(run: Run, state: str) -> Run:
    """The run, where it was not stopped."""
    if state == "interrupted":
        raise KeyboardInterrupt(f"{run.folder}: stopped; the same call goes on from here")
    if state == "terminated":
        raise SystemExit(128 + signal.SIGTERM)
    return run


def _command() -> str:
    """The command line of this process, without the folders that the program lies in."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])


def _merged(config: RunConfig, environment: EnvironmentSource | None, settings: dict[str, Any]) -> RunConfig:
    if environment is not None:
        settings = settings | {"environment": source_name(environment)}
    return changed(config, settings)


def start(
    prepared: Prepared,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    command: str | None = None,
    resumed: bool = False,
) -> Run:
    """Train what was prepared in the folder ``out`` (None: a name from the settings), or until it is stopped.

    ``command`` is remembered as what trained the run; None: this process's own. ``resumed``: it goes on with one by its
    folder, and is remembered beside the command that the run began with.
    """
    return _trained(prepared, out, watcher, command, resumed)[0]


def _check_log(log: object) -> None:
    from credo.reports.loggers import LoggerName

    if log is not None and not (isinstance(log, str) and log in typing.get_args(LoggerName)):
        raise CredoError(f"log: {log!r} is not one of {', '.join(typing.get_args(LoggerName))}")


def _logged(
    prepared: Prepared,
    out: str | Path | None,
    watcher: Watcher | None,
    log: LoggerName | None,
    resumed: bool = False,
) -> tuple[Run, str]:
    """As ``_trained``, with what is written sent elsewhere as well."""
    from credo.reports.loggers import logging_to
    from credo.training.watching import Watcher, followed

    if log is None or not isinstance(out, str | Path | None):
        return _trained(prepared, out, watcher, resumed=resumed)
    folder = prepared.default_folder if out is None else Path(out)
    with logging_to(log, folder) as poll:
        return _trained(prepared, folder, followed(watcher or Watcher(line=_logger.warning), poll), resumed=resumed)


def _trained(
    prepared: Prepared,
    out: str | Path | None,
    watcher: Watcher | None,
    command: str | None = None,
    resumed: bool = False,
) -> tuple[Run, str]:
    """The run, and how its training ended, as ``training.loop.train`` says."""
    from credo.reports.curves import write_curves
    from credo.training.checks import check_start, doubts
    from credo.training.loop import train
    from credo.training.watching import Watcher

    watcher = watcher or Watcher(line=_logger.warning)
    if not isinstance(out, str | Path | None):
        raise CredoError(f"out: {type(out).__name__} found; the path of a folder expected")
    config, spec, logged = prepared.config, prepared.spec, prepared.logged
    check_start(config, spec, logged)
    folder = Path(out) if out is not None else prepared.default_folder
    with run_folder.opened(folder, config, prepared.described, command or _command(), resumed) as known:
        if known:
            watcher.line(f"{folder}: going on with a run that is there already")
            changed = run_folder.changed_versions(folder)
            if changed:
                watcher.line(
                    "note: the run began with other versions or on another device, so its numbers may differ: "
                    + "; ".join(changed)
                )
            if own := run_folder.changed_plugins(folder, config):
                watcher.line(
                    f"note: the code of {', '.join(own)} has changed since the run began; if its numbers have, this "
                    "run is of both, and another folder begins anew"
                )
        for doubt in doubts(config, spec, prepared.demonstrations):
            watcher.line(f"note: {doubt}")
        try:
            state = train(config, prepared.source, prepared.demonstrations, folder, watcher, spec, logged)
        except CredoError:
            raise
        except Exception as error:
            if not plugins.used_by(config):
                raise
            raise plugins.failure(config, error) from error
        if state == "interrupted":
            watcher.line("stopped; its curves are drawn (Ctrl-C again leaves them out)")
        if state != "terminated":
            write_curves(folder)
    return Run(folder), state
