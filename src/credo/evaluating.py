"""Trained policies by name, and the episodes that they play by themselves."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from credo import experts, run_folder
from credo.api import Run, check_which, only_policy
from credo.environment_name import needs_trust, parse_name
from credo.environments import (
    EnvironmentFaultError,
    EnvironmentSource,
    NonFiniteActionError,
    rollout_episodes,
    specification,
    viewed,
)
from credo.policies import Policy, fitted_policy, load_policy
from credo.policies.view import described_view
from credo.random import EVALUATION_SEED
from credo.types import CredoError, check_whole, one_line


class Evaluation(NamedTuple):
    """E episodes."""

    returns: np.ndarray
    """[E] float64: the undiscounted sum of the environment's own rewards."""
    lengths: np.ndarray
    """[E] int64: steps."""
    successes: np.ndarray | None
    """[E] bool: whether ``info`` told of success; None where it says nothing of it."""


def evaluate(
    source: Run | Policy | str | os.PathLike[str],
    episodes: int = 10,
    *,
    environment: EnvironmentSource | None = None,
    seed: int | None = None,
    policy: Literal["best", "last"] = "best",
    evaluation_seed: int = EVALUATION_SEED,
) -> Evaluation:
    """Play a policy for ``episodes`` episodes, without noise, from initial states that training does not evaluate on.

    Args:
        source: a run or its folder, a policy, a policy file, or a shipped expert's name.
        episodes: how many.
        environment: where; None: the one that the policy names, unless that would import a module. It is shown as the
            policy's file says; ``credo.environments.viewed`` says so of one without (observation keys, stacked frames).
        seed: of the run; None: the seed nearest to the demonstrations.
        policy: "best", kept by the reward-free measures, or "last".
        evaluation_seed: of the initial states; the same gives the same episodes.

    Raises:
        CredoError: there is no such policy, it does not fit the environment, an action is not finite, or the
            environment fails.
    """
    check_whole("episodes", episodes, 1)
    check_whole("evaluation_seed", evaluation_seed, 0)
    check_which("policy", policy)
    if isinstance(source, Run):
        chosen = source.policy(seed, policy)
    elif isinstance(source, Policy):
        only_policy("this", seed, policy)
        chosen = source
    elif isinstance(source, str | os.PathLike):
        chosen = find_policy(Path(source), seed, policy)
    else:
        kind = type(source).__name__
        raise CredoError(f"policy: {kind} found; a run, a policy, the path of one or a shipped expert's name expected")
    where = own_environment(chosen) if environment is None else environment
    return play(chosen, shown(chosen, where), int(episodes), int(evaluation_seed))


def play(policy: Policy, environment: EnvironmentSource, episodes: int, evaluation_seed: int) -> Evaluation:
    """Episodes of a policy in an environment that is shown as the policy was shown it; see ``fitted_policy``."""
    policy = fitted_policy(policy, specification(environment))
    try:
        played = list(rollout_episodes(environment, policy.normalised_action, episodes, evaluation_seed))
    except EnvironmentFaultError as error:
        raise CredoError(f"environment: {error}") from None
    except NonFiniteActionError as error:  # a network that a stranger made, or one that was trained to death
        raise CredoError(f"policy: {one_line(error, 300)}") from None
    told = any(episode.success is not None for episode in played)
    return Evaluation(
        np.array([episode.reward.sum(dtype=np.float64) for episode in played]),
        np.array([len(episode.action) for episode in played]),
        np.array([bool(episode.success) for episode in played]) if told else None,
    )


def find_policy(name: str | Path, seed: int | None = None, which: str = "best") -> Policy:
    """A policy by run folder, file, or shipped expert's name; CredoError says what was looked for."""
    path = Path(name)
    if is_run(name):
        return Run(path).policy(seed, which)
    expert = str(name) in experts.expert_names()
    if path.is_file() or expert:
        only_policy(str(name), seed, which)
    if path.is_file():
        return load_policy(path)
    if expert:
        return experts.load_expert(str(name))[0]
    known = ", ".join(experts.expert_names()) or "none"
    raise CredoError(f"policy: {str(name)!r} is neither a run folder, a policy file nor a shipped expert ({known})")


def is_run(name: str | Path) -> bool:
    """Whether a name is taken as a run folder's; a folder that only has a shipped expert's name is not."""
    path = Path(name)
    return path.is_dir() and ((path / run_folder.CONFIG).exists() or str(name) not in experts.expert_names())


def own_environment(policy: Policy) -> str:
    """The environment that a policy names; CredoError where that would import code, or is not registered."""
    doubt = needs_trust(policy.environment)
    if doubt is not None:
        raise CredoError(
            f"env: the policy names {policy.environment!r}, which {doubt}; if you trust it, "
            f"give --env {shlex.quote(policy.environment)} (environment= in Python)"
        )
    import gymnasium

    try:
        gymnasium.spec(parse_name(policy.environment).identifier)
    except gymnasium.error.Error:
        raise CredoError(
            f"env: the policy names {policy.environment!r}, which is not registered here; give --env module:Id "
            "(in Python environment=, or the class)"
        ) from None
    return policy.environment


def shown(policy: Policy, environment: EnvironmentSource) -> EnvironmentSource:
    """An environment with the observations that the policy was shown, as its file says."""
    return viewed(environment, *described_view(policy.metadata))
