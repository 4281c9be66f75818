"""The reward that a run has learned, to look at it, to score other data or to train something else with it."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from credo import plugins, run_folder
from credo.action_box import to_unit
from credo.config import RunConfig, typed, validate
from credo.discriminator.logits import perceptron
from credo.discriminator.regularisers import chosen_regularisers, regularised_network
from credo.policies import load_policy
from credo.precision import in_full_precision
from credo.training.relabel import divisor, minus_action_cost, reward_of_logit
from credo.training.state import Constants, make_parts
from credo.training.stored import newest_state
from credo.types import Array, CredoError, EnvironmentSpec, number_array

_BEYOND = 1e-3
"""What an action may be outside its bounds, half of their width being 1: rounding."""


@dataclass(frozen=True, eq=False, repr=False)
class LearnedReward:
    """What the discriminator of one seed makes of transitions, as it was at its run's end (or last checkpoint).

    All methods take ``observation`` [n, O] or [O] as the run's policy is shown it, ``action`` [n, A] or [A] in the
    environment's units where ``needs_action``, and, where ``needs_next``, ``next_observation`` and ``terminated`` [n]
    (whether the episode ended there; None: it did not), and give [n] or a scalar, float64. CredoError names what does
    not fit.
    """

    config: RunConfig
    step: int
    """Environment steps of its run until then."""
    needs_next: bool
    """Whether it looks at what a step led to: AIRL, and discriminators of (s, s') or (s, a, s')."""
    needs_action: bool
    """False where it looks at states alone."""
    observation_size: int
    action_low: np.ndarray
    """[A]: the environment's action that -1 stands for."""
    action_high: np.ndarray
    _compiled: Callable[..., dict[str, Array]]

    def __call__(
        self, observation: Any, action: Any = None, next_observation: Any = None, terminated: Any = None
    ) -> np.ndarray:
        """The reward that the learner is given for a step: CREDO's cap, clip, factor, normalisation and the cost of the
        action are in it; what absorbing states add to an episode's last step is not."""
        return self._of("reward", observation, action, next_observation, terminated)

    def logit(
        self, observation: Any, action: Any = None, next_observation: Any = None, terminated: Any = None
    ) -> np.ndarray:
        """The discriminator's logit; positive means expert."""
        return self._of("logit", observation, action, next_observation, terminated)

    def expert_probability(
        self, observation: Any, action: Any = None, next_observation: Any = None, terminated: Any = None
    ) -> np.ndarray:
        """The sigmoid of the logit."""
        return self._of("probability", observation, action, next_observation, terminated)

    def without_shaping(self, observation: Any, action: Any = None) -> np.ndarray:
        """AIRL's g alone, of s or (s, a): the part of its reward that is meant to carry over to other dynamics (Fu et
        al. 2018). CredoError for another kind."""
        if self.config.discriminator.kind == "gail":
            raise CredoError(
                "discriminator.kind: 'gail' has no shaping to leave out; airl-state or airl-state-action has"
            )
        if action is None and self.config.discriminator.kind == "airl-state":
            action = np.broadcast_to(self.action_low, (*np.shape(observation)[:-1], len(self.action_low)))
        return self._of("g", observation, action, observation, None)

    def _of(self, name: str, observation: Any, action: Any, following: Any, terminated: Any) -> np.ndarray:
        observed = _numbers("observation", observation)
        single = observed.ndim == 1
        observed = np.atleast_2d(observed)
        rows = len(observed)
        if action is None:
            if self.needs_action:
                raise CredoError("action: none given, and this discriminator looks at it")
            action = np.tile(self.action_low, (rows, 1))
        acted = np.atleast_2d(_numbers("action", action))
        _check("observation", observed, (rows, self.observation_size))
        _check("action", acted, (rows, len(self.action_low)))
        if self.needs_next and following is None:
            raise CredoError("next_observation: none given, and this discriminator looks at it")
        after = observed if following is None else np.atleast_2d(_numbers("next_observation", following))
        _check("next_observation", after, observed.shape)
        ended = np.zeros(rows, bool) if terminated is None else np.atleast_1d(number_array("terminated", terminated))
        _check("terminated", ended, (rows,))
        if not np.isin(ended, (0, 1)).all():
            raise CredoError("terminated: True and False (or 1 and 0) expected")
        unit = to_unit(acted, self.action_low, self.action_high)
        if (np.abs(unit) > 1.0 + _BEYOND).any():
            raise CredoError(
                f"action: {acted.min():.6g} to {acted.max():.6g} is outside the bounds that the run had, "
                f"{self.action_low.tolist()} to {self.action_high.tolist()}; clip it"
            )
        unit = np.clip(unit, -1.0, 1.0)
        found = np.asarray(
            self._compiled(observed, unit.astype(np.float32), after, ended.astype(bool))[name], np.float64
        )
        return found[0] if single else found


def learned_reward(folder: Path, seed: int) -> LearnedReward:
    """That of a seed of the run in ``folder``.

    Raises:
        CredoError: the run has no discriminator, no evaluated policy (whose file tells what networks are shown) or no
            checkpoint, or a plug-in of it has not been imported.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise CredoError(f"seed: {seed!r} is not possible; a whole number expected")
    seed = int(seed)
    config = run_folder.read_config(folder)[0]
    plugins.load_needed(config)
    config = typed(config)
    validate(config)
    if not config.adversarial:
        raise CredoError(
            f"run: {folder} has learned no reward: its learner is {config.learner}, its reward {config.reward}"
        )
    # Both hold what networks are shown and the bounds of actions; a run that goes on has no last one yet.
    paths = [run_folder.policy_path(folder, seed, which) for which in ("last", "best")]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise CredoError(f"run: {folder} has no evaluated policy of seed {seed} yet")
    policy = load_policy(path)
    size, actions = len(policy.observation_mean), len(policy.action_low)
    spec = EnvironmentSpec(config.environment, size, actions, policy.action_low, policy.action_high, None)
    parts = make_parts(config, spec)
    state, step = newest_state(folder, parts, seed)
    discriminator = parts.discriminator
    assert discriminator is not None
    settings, layout = config.discriminator, discriminator.layout
    chosen = chosen_regularisers(settings)
    constants = Constants(
        jnp.asarray(policy.observation_mean), jnp.asarray(policy.observation_std), jnp.zeros((0, layout.size))
    )

    def values(observation: Array, action: Array, following: Array, terminated: Array) -> dict[str, Array]:
        seen, after = constants.normalise(observation), constants.normalise(following)
        inputs = layout.join(seen, action, after, terminated)
        logit = discriminator.logit(state.discriminator.network, inputs, state.learner)
        reward = reward_of_logit(parts, logit) / divisor(parts, state.discriminator)
        found = {
            "logit": logit,
            "probability": jax.nn.sigmoid(logit),
            "reward": minus_action_cost(settings, reward, action),
        }
        if settings.kind != "gail":
            known = seen if settings.kind == "airl-state" else jnp.concatenate([seen, action], axis=-1)
            network = regularised_network(state.discriminator.network, chosen, settings)
            found["g"] = perceptron(network.reward, known, settings)
        return found

    return LearnedReward(
        config=config,
        step=step,
        needs_next=layout.next_state or layout.continues,
        needs_action=layout.action or bool(settings.action_cost),
        observation_size=size,
        action_low=policy.action_low,
        action_high=policy.action_high,
        _compiled=jax.jit(in_full_precision(values)),
    )


def _numbers(name: str, value: Any) -> np.ndarray:
    found = number_array(name, value)
    if found.ndim not in (1, 2):
        raise CredoError(f"{name}: shape {list(found.shape)}; [n, size] or [size] expected")
    if not (np.abs(found) <= np.finfo(np.float32).max).all():
        raise CredoError(f"{name}: not finite")
    return found.astype(np.float32)


def _check(name: str, found: np.ndarray, shape: tuple[int, ...]) -> None:
    if found.shape != shape:
        raise CredoError(f"{name}: shape {list(found.shape)} does not fit; {list(shape)} expected")
