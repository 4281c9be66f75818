"""What a run needs before it starts: settings that are possible, an environment, demonstrations that fit it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from credo.config import RunConfig, check_action_free, run_id, typed, validate
from credo.demonstrations import Demonstrations, check_loggable, fitted, load_demonstrations
from credo.environments import EnvironmentSource, specification, viewed
from credo.types import CredoError, EnvironmentSpec


class Prepared(NamedTuple):
    """A run that can start."""

    config: RunConfig
    source: EnvironmentSource
    """The environment as the policy sees it."""
    spec: EnvironmentSpec
    demonstrations: Demonstrations | None
    """None with the environment's own reward."""
    logged: Demonstrations | None
    """What each replay begins with."""

    @property
    def described(self) -> dict[str, Any]:
        """What config.json keeps of the demonstrations and of the logged transitions."""
        told = {} if self.demonstrations is None else _describe(self.demonstrations)
        return told if self.logged is None else told | {"seed_replay_sha256": self.logged.sha256}

    @property
    def identity(self) -> str:
        """``run_id`` of the run."""
        told = self.described
        return run_id(self.config, told.get("sha256", ""), told.get("seed_replay_sha256", ""))

    @property
    def default_folder(self) -> Path:
        """runs/ENVIRONMENT-LEARNER-CREDO-ID, from what determines the run's numbers."""
        config = self.config
        middle = f"credo-{config.credo.mode}" if config.adversarial else "clone" if config.imitates else "expert"
        environment = re.sub(r"""[][/:,'"{}\s]+""", "_", config.environment)[:100]
        return Path("runs") / f"{environment}-{config.learner}-{middle}-{self.identity}"


def prepare(
    config: RunConfig,
    environment: EnvironmentSource | None = None,
    demonstrations: Demonstrations | None = None,
) -> Prepared:
    """Check and load what a run of ``config`` needs; ``environment`` and ``demonstrations`` stand for those that the
    settings name. CredoError, in one line, for whatever cannot work."""
    config = typed(config)
    validate(config)
    source = source_of(config, environment)
    spec = specification(source)
    prepared = Prepared(config, source, spec, read_demonstrations(config, spec, demonstrations), read_log(config, spec))
    check_data(prepared)
    return prepared


def source_of(config: RunConfig, environment: EnvironmentSource | None = None) -> EnvironmentSource:
    """The environment as the policy sees it; ``environment`` stands for the one that the settings name."""
    named = config.environment if environment is None else environment
    return viewed(named, config.observation_keys, config.frame_stack)


def read_demonstrations(
    config: RunConfig, spec: EnvironmentSpec, demonstrations: Demonstrations | None = None
) -> Demonstrations | None:
    """What the run imitates, which fits its environment; None where it imitates nothing. CredoError as ``prepare``."""
    if not config.imitates:
        return None
    given = config.demonstrations if demonstrations is None else demonstrations
    loaded = load_demonstrations(given, fitting=spec)
    try:
        return fitted(loaded, spec, config.frame_stack)
    except CredoError as error:
        if given == RunConfig.demonstrations:
            raise CredoError(
                f"{error} (they are the default: give your own with --demos, or demonstrations= in Python)"
            ) from None
        raise


def read_log(config: RunConfig, spec: EnvironmentSpec) -> Demonstrations | None:
    """What each replay begins with, which fits the environment; None for nothing. CredoError as ``prepare``."""
    if config.seed_replay is None:
        return None
    return fitted(load_demonstrations(config.seed_replay, fitting=spec), spec, config.frame_stack)


def check_data(prepared: Prepared) -> None:
    """Refuse (CredoError) demonstrations, or logged transitions, that lack what the settings need of them."""
    config, data, logged = prepared.config, prepared.demonstrations, prepared.logged
    if data is not None and not data.has_actions:
        check_action_free(config)
    if logged is not None:
        check_loggable(logged, rewarded=not config.adversarial, lanes=config.environments_per_seed)


def _describe(data: Demonstrations) -> dict[str, Any]:
    returns = data.returns
    return {
        "source": data.source,
        "sha256": data.sha256,
        "episodes": data.episodes,
        "transitions": len(data),
        "return_mean": None if returns is None else float(np.mean(returns)),
        "return_std": None if returns is None else float(np.std(returns)),
    }
