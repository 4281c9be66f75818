"""What the command line does, in Python."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from credo import run_folder
from credo.config import RunConfig, run_id, validate
from credo.demonstrations import Demonstrations, check_actions, check_loggable, fitted, load_demonstrations
from credo.environments import EnvironmentSource, environment_spec, make_environment, source_name, viewed
from credo.policies import Policy, load_policy
from credo.presets import EXPERT
from credo.types import CredoError, EnvironmentSpec

if TYPE_CHECKING:
    from credo.training.loop import Watcher


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not; everything is read from its files."""

    folder: Path

    @property
    def config(self) -> RunConfig:
        return run_folder.read_config(self.folder)[0]

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: state, steps, wall_seconds, and per seed what was selected and how it ended."""
        return run_folder.read_summary(self.folder)

    def metrics(self) -> dict[str, np.ndarray]:
        """Diagnostics as columns, one row per seed and round."""
        return run_folder.read_parts(self.folder, run_folder.METRICS)

    def evaluations(self) -> dict[str, np.ndarray]:
        """Evaluations as columns, one row per seed and evaluation."""
        return run_folder.read_parts(self.folder, run_folder.EVALUATIONS)

    @property
    def best_seed(self) -> int:
        """The seed whose kept policy is nearest to the demonstrations (or, without any, earns most)."""
        scores = {}
        seeds = self.summary.get("seeds")
        for seed, told in seeds.items() if isinstance(seeds, dict) else ():
            badness = told.get("selected_badness") if isinstance(told, dict) else None
            if isinstance(badness, int | float) and seed.isdecimal() and len(seed) < 11:
                scores[int(seed)] = badness
        if not scores:
            raise CredoError(f"run: {self.folder} has no evaluated policy yet")
        return min(scores, key=lambda seed: scores[seed])

    def policy(self, seed: int | None = None, which: str = "best") -> Policy:
        """A policy of one seed (the best seed's if None): ``best`` by the reward-free measures, or ``last``."""
        number = self.best_seed if seed is None else seed
        path = run_folder.policy_path(self.folder, number, which)
        if not path.exists():
            raise CredoError(f"run: {self.folder} has no {which} policy of seed {number}")
        return load_policy(path)


def imitate(
    config: RunConfig | None = None,
    *,
    environment: EnvironmentSource | None = None,
    demonstrations: Demonstrations | str | Path | None = None,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Run:
    """Train imitators of demonstrations, many seeds side by side, and return their run.

    ``config`` is a whole set of settings (``credo.preset("paper")``; None: the defaults); ``settings`` replace its
    fields (``steps=...``, ``seeds=...``, ``learner=...``). ``environment`` is a Gymnasium id, "module:Id" or a factory.
    ``out`` names the run folder (None: runs/ and a name from the settings); a folder that holds the same run is gone on
    with. CredoError, in one line, for whatever cannot work, before anything is written.
    """
    config = _merged(config or RunConfig(), environment, settings)
    if isinstance(demonstrations, str | Path):
        config = dataclasses.replace(config, demonstrations=str(demonstrations))
    elif demonstrations is not None:
        config = dataclasses.replace(config, demonstrations=demonstrations.source)
    validate(config)
    source = viewed(environment or config.environment, config.observation_keys, config.frame_stack)
    spec = _spec(source)
    data = None
    if config.adversarial:
        data = load_demonstrations(config.demonstrations if demonstrations is None else demonstrations)
        data = fitted(data, spec, config.frame_stack)
        check_actions(data, getattr(config.discriminator, "inputs", "sa"))
    logged = None
    if config.seed_replay is not None:
        logged = fitted(load_demonstrations(config.seed_replay), spec, config.frame_stack)
        check_loggable(logged, rewarded=not config.adversarial, lanes=config.environments_per_seed)
    return _train(config, source, data, out, watcher, logged)


def train_expert(
    environment: EnvironmentSource | None = None,
    *,
    config: RunConfig | None = None,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Run:
    """Train from the environment's own reward, in the same loop; SAC unless ``learner`` says otherwise."""
    return imitate(config or EXPERT, environment=environment, out=out, watcher=watcher, **settings)


def default_folder(config: RunConfig, sha256: str, seed_replay_sha256: str = "") -> Path:
    """runs/ENVIRONMENT-LEARNER-CREDO-ID, from what determines the run's numbers."""
    middle = f"credo-{config.credo.mode}" if config.adversarial else "expert"
    environment = config.environment.replace("/", "_").replace(":", "_")
    return Path("runs") / f"{environment}-{config.learner}-{middle}-{run_id(config, sha256, seed_replay_sha256)}"


def describe_demonstrations(data: Demonstrations | None) -> dict[str, Any]:
    """What a run's config.json keeps of its demonstrations."""
    if data is None:
        return {}
    returns = data.returns
    return {
        "source": data.source,
        "sha256": data.sha256,
        "episodes": data.episodes,
        "transitions": len(data),
        "return_mean": None if returns is None else float(np.mean(returns)),
        "return_std": None if returns is None else float(np.std(returns)),
    }


def _command() -> str:
    """The command line of this process, without the folders that the program lies in."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])


def _merged(config: RunConfig, environment: EnvironmentSource | None, settings: dict[str, Any]) -> RunConfig:
    known = {field.name for field in dataclasses.fields(RunConfig)}
    for name in settings:
        if name not in known:
            raise CredoError(f"{name}: no such setting; known are {', '.join(sorted(known))}")
    if environment is not None:
        settings = settings | {"environment": source_name(environment)}
    return dataclasses.replace(config, **settings)


def _spec(source: EnvironmentSource) -> EnvironmentSpec:
    environment = make_environment(source)
    try:
        return environment_spec(environment, source_name(source))
    finally:
        environment.close()


def _train(
    config: RunConfig,
    source: EnvironmentSource,
    data: Demonstrations | None,
    out: str | Path | None,
    watcher: Watcher | None,
    logged: Demonstrations | None,
) -> Run:
    from credo.reports.curves import write_curves
    from credo.training.loop import Watcher, announce, check_memory, train

    watcher = watcher or Watcher()
    check_memory(config, _spec(source), logged=0 if logged is None else len(logged))
    told = describe_demonstrations(data)
    if logged is not None:
        told["seed_replay_sha256"] = logged.sha256
    hashes = [told.get(name, "") for name in ("sha256", "seed_replay_sha256")]
    folder = Path(out) if out is not None else default_folder(config, *hashes)
    known = run_folder.create(folder, config, told, _command())
    with run_folder.locked(folder):
        if known and (folder / run_folder.DONE).exists():
            watcher.line(f"{folder}: going on with a run that is there already")
        announce(config, _spec(source), watcher)
        train(config, source, data, folder, watcher, logged)
        write_curves(folder)
    return Run(folder)
