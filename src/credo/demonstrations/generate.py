"""Demonstrations rolled out of an expert policy, in one process or several.

Episodes are made in chunks of ``LANES``, each side by side in one batch and from the seed of its chunk. A
chunk is a pure function of (source, expert, noise, seed, chunk), so the result depends neither on the number
of processes nor on how many episodes are asked for: a shorter request is the beginning of a longer one.
"""

from __future__ import annotations

import math
import multiprocessing
import numbers
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.reduction import ForkingPickler

import numpy as np

from credo.demonstrations.build import from_episodes
from credo.demonstrations.dataset import Demonstrations
from credo.environments import (
    EnvironmentFaultError,
    Episode,
    EpisodeRunner,
    NonFiniteActionError,
    source_name,
)
from credo.environments.source import EnvironmentSource
from credo.machine import end_with_parent, usable_cores
from credo.policies import Policy, fitted_policy
from credo.random import Purpose
from credo.types import CredoError, check_whole, one_line

Expert = Policy | Callable[[np.ndarray], np.ndarray]
"""A ``Policy``, or any function from [B, O] float32 to [B, A] in [-1, 1]."""
Progress = Callable[[int, int], None]
"""Called with (done, total), in episodes or transitions, whichever were asked for."""
Chunk = Callable[[], list[Episode]]

ACTION_NOISE = 0.01
LANES = 16
CHUNKS = 1 << 20
"""Upper bound on the chunks of one seed; keeps the seeds of chunks apart from one another."""
MANY_EPISODES = 100
MOST_PROCESSES = 8
MANY_TRANSITIONS = 100_000
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def generate_demonstrations(
    source: EnvironmentSource,
    expert: Expert,
    *,
    episodes: int | None = None,
    transitions: int | None = None,
    noise: float = ACTION_NOISE,
    seed: int = 0,
    processes: int | None = None,
    on_progress: Progress | None = None,
    description: str = "",
) -> Demonstrations:
    """Roll ``expert`` out in ``source`` for a number of episodes, or for an exact number of transitions.

    Args:
        source: the environment, see ``credo.environments.make_environment``.
        expert: a deterministic policy.
        episodes: how many whole episodes; give this or ``transitions``.
        transitions: how many transitions; the last episode is cut to that (and marked truncated there).
        noise: standard deviation of Gaussian noise on the action, in units of [-1, 1]; the noisy action is
        clipped to [-1, 1], taken and stored.
        seed: of the resets and the noise, at least 0.
        processes: worker processes; None is up to eight for a large request and one otherwise. With more than
        one, a script must call this under ``if __name__ == "__main__":``, as Python's multiprocessing needs.
        on_progress: called with (done, total) as chunks of episodes end.
        description: kept as the demonstrations' ``source``; "" is one made from the arguments.

    Raises:
        CredoError: a bad argument, an unusable environment, an expert whose sizes or bounds do not fit it, a non-finite
            action or observation, an action beyond [-1, 1], an expert that raises, or worker processes that
            could not run.
    """
    amount = _check_request(episodes, transitions, noise, seed, processes)
    seed = int(seed)  # NumPy's could overflow in the seeds of chunks
    if isinstance(expert, type):
        raise CredoError(f"generate: the expert {expert.__name__} is a class; a function, or one made of it, expected")
    runner = EpisodeRunner(source, LANES)
    try:
        spec = runner.spec
        policy = fitted_policy(expert, spec).normalised_action if isinstance(expert, Policy) else expert
        count = _process_count(processes, episodes, transitions, (source, policy, noise))
        with _workers(runner, source, policy, noise, count) as submit:
            collected = _collect(submit, 2 * count if count > 1 else 1, episodes, transitions, seed, on_progress)
    finally:
        runner.close()
    unit = "episodes" if transitions is None else "transitions"
    demonstrations = from_episodes(
        collected,
        environment=source_name(source),
        source=description or f"{amount} {unit} of an expert, action noise {noise:g}, seed {seed}",
        action_bounds=np.stack([spec.action_low, spec.action_high]),
    )
    return demonstrations if transitions is None else demonstrations.first_transitions(transitions)


def _check_request(
    episodes: int | None, transitions: int | None, noise: float, seed: int, processes: int | None
) -> int:
    if (episodes is None) == (transitions is None):
        raise CredoError("generate: give the number of episodes or of transitions, one of the two")
    amount = episodes if episodes is not None else transitions
    assert amount is not None
    check_whole(f"generate: field {'episodes' if transitions is None else 'transitions'}", amount, 1)
    check_whole("generate: field seed", seed, 0)
    if processes is not None:
        check_whole("generate: field processes", processes, 1)
    number = isinstance(noise, numbers.Real) and not isinstance(noise, bool)
    if not (number and math.isfinite(noise) and noise >= 0):
        raise CredoError(f"generate: field noise: {noise!r} is not possible; it must be a number of 0 or more")
    return amount


def _collect(
    submit: Callable[[int, int, int], Chunk],
    window: int,
    episodes: int | None,
    transitions: int | None,
    seed: int,
    on_progress: Progress | None,
) -> list[Episode]:
    """Take chunks in order until there is enough, with at most ``window`` of them under way."""
    collected: list[Episode] = []
    pending: deque[Chunk] = deque()
    steps = submitted = 0

    def wanted() -> int:
        """Episodes that the next chunk should have; 0 if those under way are likely to suffice."""
        if episodes is not None:
            return min(LANES, max(0, episodes - submitted * LANES))
        assert transitions is not None
        received = submitted - len(pending)
        expected = steps + len(pending) * (steps / received if received else 1)
        return LANES if expected < transitions else 0

    while True:
        while len(pending) < window and (size := wanted()):
            if submitted == CHUNKS:
                raise CredoError(f"generate: more than {CHUNKS * LANES} episodes are needed, ask for less")
            pending.append(submit(size, seed, submitted))
            submitted += 1
        if not pending:
            return collected
        chunk = pending.popleft()()
        collected += chunk
        steps += sum(len(episode.action) for episode in chunk)
        if transitions is not None and steps >= transitions:
            pending.clear()
        if on_progress is not None:
            if episodes is not None:
                on_progress(len(collected), episodes)
            else:
                assert transitions is not None
                on_progress(min(steps, transitions), transitions)
        if transitions is not None and steps >= transitions:
            return collected


@contextmanager
def _workers(
    runner: EpisodeRunner,
    source: EnvironmentSource,
    policy: Callable[[np.ndarray], np.ndarray],
    noise: float,
    processes: int,
) -> Iterator[Callable[[int, int, int], Chunk]]:
    """A function (episodes, seed, chunk) that starts a chunk and returns how to wait for it."""
    if processes == 1:
        yield lambda size, seed, chunk: lambda: run_chunk(runner, policy, noise, size, seed, chunk)
        return
    with _single_threaded_children():
        pool = ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), _start_worker, (source, policy, noise)
        )
        try:
            yield lambda size, seed, chunk: pool.submit(_run_in_worker, size, seed, chunk).result
        except BrokenProcessPool:
            raise CredoError(
                "generate: a worker process could not start or was killed; call this under "
                'if __name__ == "__main__":, or use processes=1'
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_chunk(
    runner: EpisodeRunner,
    policy: Callable[[np.ndarray], np.ndarray],
    noise: float,
    episodes: int,
    seed: int,
    chunk: int,
) -> list[Episode]:
    """The first ``episodes`` (at most ``LANES``) episodes of a chunk; one a lane, so none waits."""

    def proposed(observation: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(policy(observation), dtype=np.float32)
        except CredoError:
            raise
        except Exception as error:  # the expert is the user's, and may fail in any way
            told = f"{type(error).__name__}: {one_line(error, 300)}"
            raise CredoError(f"generate: the expert raised {told}") from error

    try:
        return runner.run(proposed, episodes, seed * CHUNKS + chunk, Purpose.DEMONSTRATIONS, noise)
    except (NonFiniteActionError, EnvironmentFaultError, ValueError) as error:
        raise CredoError(f"generate: {error}") from None


_worker_runner: EpisodeRunner | None = None
_worker_policy: Callable[[np.ndarray], np.ndarray] | None = None
_worker_noise = 0.0


def _start_worker(source: EnvironmentSource, policy: Callable[[np.ndarray], np.ndarray], noise: float) -> None:
    # Environments take longer to build than a short chunk to run, so each worker process keeps its own.
    global _worker_runner, _worker_policy, _worker_noise
    end_with_parent(partial(os._exit, 1))
    _worker_runner, _worker_policy, _worker_noise = EpisodeRunner(source, LANES), policy, noise


def _run_in_worker(episodes: int, seed: int, chunk: int) -> list[Episode]:
    assert _worker_runner is not None
    assert _worker_policy is not None
    return run_chunk(_worker_runner, _worker_policy, _worker_noise, episodes, seed, chunk)


def _process_count(
    asked: int | None, episodes: int | None, transitions: int | None, arguments: tuple[object, ...]
) -> int:
    if asked == 1 or multiprocessing.current_process().daemon:
        return 1
    main_file = getattr(sys.modules["__main__"], "__file__", None)
    if asked is None and main_file is not None and not os.path.exists(main_file):
        return 1  # a program read from standard input, which worker processes could not import
    if asked is None and (episodes or 0) < MANY_EPISODES and (transitions or 0) < MANY_TRANSITIONS:
        return 1
    try:
        ForkingPickler.dumps(arguments)
    except Exception as error:  # closures and compiled functions cannot travel, and say so in many ways
        if asked is not None:
            raise CredoError(
                f"generate: field processes: {asked}, but the expert or the environment cannot be "
                f"sent to another process ({type(error).__name__}); use processes=1"
            ) from None
        return 1
    return min(MOST_PROCESSES, usable_cores()) if asked is None else asked


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Worker processes share the cores; matrix products that each use all of them would get in the way."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
