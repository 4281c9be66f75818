"""What the discriminator looks at, as one vector made of a transition."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from credo.config import DiscriminatorConfig
from credo.types import Array


class Layout(NamedTuple):
    """Which parts of a transition a discriminator's input holds, in this order, and how wide they are.

    With absorbing states every state has an indicator behind it: 1 in the absorbing state, whose other entries are 0
    (Kostrikov et al. 2019, Section 4.2).
    """

    state_size: int
    """Of one state, the indicator included."""
    action_size: int
    action: bool
    next_state: bool
    continues: bool
    """A last entry: 0 where the episode terminated in the next state, else 1."""
    absorbing: bool

    @property
    def size(self) -> int:
        """D."""
        return self.state_size * (1 + self.next_state) + self.action_size * self.action + self.continues

    def join(
        self,
        observation: Array,
        action: Array,
        next_observation: Array | None = None,
        terminated: Array | None = None,
        absorbing: Array | None = None,
    ) -> Array:
        """[..., D] from observations [..., O] as networks see them, actions [..., A] in [-1, 1] and flags [...].

        What the layout does not hold may be None. ``absorbing`` marks stays in the absorbing state, whatever the other
        arguments say there; None: none is.
        """
        stays = jnp.zeros(observation.shape[:-1], bool) if absorbing is None else jnp.asarray(absorbing)
        parts = [self._state(observation, stays)]
        if self.action:
            parts.append(jnp.where(stays[..., None], 0.0, action) if self.absorbing else action)
        if self.next_state:
            assert next_observation is not None
            gone = stays if terminated is None else stays | jnp.asarray(terminated)
            parts.append(self._state(next_observation, gone))
        if self.continues:
            assert terminated is not None
            parts.append(1.0 - jnp.asarray(terminated)[..., None].astype(jnp.float32))
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)

    def _state(self, observation: Array, gone: Array) -> Array:
        if not self.absorbing:
            return observation
        indicator = gone[..., None].astype(jnp.float32)
        return jnp.concatenate([jnp.where(gone[..., None], 0.0, observation), indicator], axis=-1)

    def absorbed(self) -> Array:
        """[D]: the input of a stay in the absorbing state."""
        observation = jnp.zeros((self.state_size - 1,), jnp.float32)
        action = jnp.zeros((self.action_size,), jnp.float32)
        flag = jnp.ones((), bool)
        return self.join(observation, action, observation, flag, flag)


def ends_in_continues(config: DiscriminatorConfig) -> bool:
    """Whether the last entry of an input says if the episode goes on: a factor in AIRL's logit, no network's input."""
    return config.kind != "gail"


def make_layout(config: DiscriminatorConfig, observation_size: int, action_size: int) -> Layout:
    """The layout of a kind and its inputs; AIRL sees whole transitions, of which its networks take what is theirs."""
    airl = config.kind != "gail"
    return Layout(
        state_size=observation_size + config.absorbing_states,
        action_size=action_size,
        action=airl or config.inputs in ("sa", "sas"),
        next_state=airl or config.inputs in ("ss", "sas"),
        continues=ends_in_continues(config),
        absorbing=config.absorbing_states,
    )
