"""Named random streams: every number drawn in a run comes from (run seed, purpose, counter) and nothing else.

Keys are folded in, never split from a group's key, so a seed draws the same numbers alone and in a group, and a
resumed run needs no stored generator state. JAX keys serve compiled code, Philox generators serve host code.

The host's counters, by purpose (k, i, n from 0):

    ACT             round                                 a round's random actions, or its noise on policy
    REPLAY          round                                 what a round learns from
    ENVIRONMENT     environment i, episode k              reset seeds (``episode_seed``)
    EVALUATION      0, k                                  reset seeds
    DEMONSTRATIONS  SPLIT; SUBSAMPLE, stride              of a set of demonstrations
                    CLONE_EPOCH, n                        the order of a clone's samples in epoch n
                    0, k; k, 1                            reset seeds and noise of generated episodes
    MEASURE         none                                  what evaluations draw

Generated episodes have a seed of their own, of (demonstrations' seed, chunk). Where that is a run's seed, too (the
first chunk of seed 0), the noise of episode 2 and a clone's epoch 1 are of one stream; it stays, since with other
counters the same settings would make other runs.
"""

from __future__ import annotations

import enum

import numpy as np

EVALUATION_SEED = 1_000_000
"""Of the initial states on which finished policies are played; not one that training evaluates on, since no run has a
seed of this number."""


class Purpose(enum.IntEnum):
    """What a stream is for. Values are part of a run's identity: append, never renumber."""

    INITIALISE = 0
    ACT = 1
    REPLAY = 2
    DISCRIMINATOR = 3
    LEARNER = 4
    ENVIRONMENT = 5
    EVALUATION = 6
    DEMONSTRATIONS = 7
    MEASURE = 8


SPLIT, SUBSAMPLE, CLONE_EPOCH = 0, 1, 2
"""First counters of DEMONSTRATIONS, which tell its uses apart. Part of a run's identity as purposes are."""


def host_generator(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """A NumPy generator for host-side draws, a pure function of its arguments (all >= 0).

    A counter of 0 at the end is as good as none (``SeedSequence`` pads with zeros). MEASURE has no counters: every
    evaluation of a seed measures by the same draws, on purpose.
    """
    sequence = np.random.SeedSequence([seed, int(purpose), *counters])
    return np.random.Generator(np.random.Philox(sequence))


def episode_seed(seed: int, purpose: Purpose, environment_index: int, episode: int) -> int:
    """The reset seed of one episode, in [0, 2**31): every episode of every environment has its own."""
    state = np.random.SeedSequence([seed, int(purpose), environment_index, episode]).generate_state(1)
    return int(state[0]) & 0x7FFFFFFF


def device_key(seed: int, purpose: Purpose):
    """A JAX key for compiled code; fold a counter into it for each use."""
    import jax

    return jax.random.fold_in(jax.random.key(seed), int(purpose))
