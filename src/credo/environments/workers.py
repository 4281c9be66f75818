"""Environments in worker processes: the same numbers, and a simulator that hangs or crashes takes one seed alone.

A worker holds the ``Lanes`` of several seeds and does what it is told over a pipe, one request at a time. What it runs
is the very code that runs in-process, with the same reset seeds, so the numbers are the same bit for bit.

Processes are **spawned**, not forked: JAX keeps threads with locks that a forked child would inherit in whatever state
they are in, and a fork server would save only the second or two that a worker takes to import its environment. What
travels over the pipe is pickled, between processes of one user and one program.

A worker that does not answer in time is killed with all that it started. The seed whose request it was gets the error;
the others' episodes are brought back in a new process by their reset seeds and actions, each when it is next asked for:
one that is over never is.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from functools import partial
from multiprocessing import connection, util
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple, NoReturn

import numpy as np

from credo.environments.errors import (
    EnvironmentFaultError,
    HungEnvironmentError,
    LostEnvironmentError,
    Place,
)
from credo.environments.lane import EpisodeStart, LaneStep, Sums
from credo.environments.lanes import Lanes, Running
from credo.environments.source import EnvironmentSource, source_name
from credo.machine import end_with_parent
from credo.types import CredoError, EnvironmentSpec

START_SECONDS = 120.0
"""What starting a process and building an environment in it may take at least, where there is a time-out."""
CLOSE_SECONDS = 5.0
"""What a worker may take to close its environments before it is killed."""
_SETTING = ("reset", "restore")
"""Requests after which it does not matter what an environment was at."""
_REQUESTS = ("open", "reset", "step", "running", "capture", "restore", "seeding_note", "close")


class Workers:
    """Worker processes, started when first used. Close them when done; the end of the program does it too."""

    def __init__(self, count: int, timeout: float | None = None) -> None:
        """``count`` processes share the seeds; ``timeout``: seconds for one step or reset, None for no limit."""
        if count < 1:
            raise CredoError(f"environment_workers: {count} is not a number of processes; it must be at least 1")
        self._workers = [_Worker(timeout) for _ in range(count)]

    def of_seed(self, run_seed: int) -> _Worker:
        return self._workers[run_seed % len(self._workers)]

    @property
    def process_ids(self) -> list[int]:
        """Of the processes that run now."""
        return [worker.process.pid for worker in self._workers if worker.process is not None and worker.process.pid]

    def close(self) -> None:
        """End the processes; safe to call twice."""
        for worker in self._workers:
            worker.close()


def open_lanes(source: EnvironmentSource, workers: Workers | None, run_seed: int) -> Lanes | RemoteLanes:
    """The environments of one source: in this process, or in the one of ``workers`` that has this seed.

    CredoError as for ``make_environment``, or where the source cannot be sent to another process.
    """
    return Lanes(source) if workers is None else RemoteLanes(source, workers.of_seed(run_seed), run_seed)


class _Log(NamedTuple):
    """What brings a lane back: how it was last set, and the actions since."""

    running: Running
    simulation: dict[str, Any] | None
    before: np.ndarray | None
    """Actions that the restored episode had had."""
    actions: list[np.ndarray]


class RemoteLanes:
    """``Lanes`` in a worker process, brought back there where the process had to be ended through another seed."""

    def __init__(self, source: EnvironmentSource, worker: _Worker, run_seed: int) -> None:
        try:
            ForkingPickler.dumps(source)
        except Exception as error:  # closures, lambdas and open handles fail in many ways
            raise CredoError(
                f"environment: '{source_name(source)}' cannot be sent to a worker process ({type(error).__name__}); "
                "give an id, 'module:Id' or a function of a module, or leave out --environment-workers"
            ) from None
        self._source = source
        self._worker = worker
        self._run_seed = run_seed
        self._closed = False
        self._logs: dict[int, _Log] = {}
        self._gone: set[int] = set()
        """Environments whose episodes are in ``_logs`` and not in the process that runs now."""
        self._last: dict[int, bytes] = {}
        self._opened = 1
        self.spec: EnvironmentSpec
        self.has_simulation_state: bool
        with worker.lock:
            self._build()

    def open(self, count: int) -> None:
        self._opened = max(self._opened, count)
        self._ask("open", count, building=True)

    def reset(self, index: int, start: EpisodeStart) -> np.ndarray:
        self._logs[index] = _Log(Running(start, Sums()), None, None, [])
        self._last.pop(index, None)
        observation = self._ask("reset", index, start, at=[index])
        self._last[index] = observation.tobytes()
        return observation

    def step(self, indices: list[int], action: np.ndarray) -> LaneStep:
        outcome = self._ask("step", indices, action, at=indices)
        for row, index in enumerate(indices):
            self._logs[index].actions.append(action[row])
            self._last[index] = outcome.next_observation[row].tobytes()
        return outcome

    def running(self, index: int) -> Running:
        return self._ask("running", index, at=[index])

    def capture(self, index: int) -> dict[str, Any]:
        return self._ask("capture", index, at=[index])

    def restore(
        self, index: int, running: Running, simulation: dict[str, Any] | None, actions: np.ndarray | None
    ) -> np.ndarray | None:
        # A replay may be as long as an episode: the time-out is for one step.
        observation = self._ask("restore", index, running, simulation, actions, building=True, at=[index])
        if observation is not None:
            self._logs[index] = _Log(running, simulation, actions, [])
            self._last[index] = observation.tobytes()
        return observation

    def seeding_note(self) -> str | None:
        return self._ask("seeding_note", building=True)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._worker.lock, contextlib.suppress(_WorkerGoneError, CredoError, EnvironmentFaultError):
            if self._worker.holds(self):
                self._worker.ask(self, "close", (), CLOSE_SECONDS)

    def _ask(self, request: str, *arguments: Any, at: list[int] | None = None, building: bool = False) -> Any:
        """One request's answer; ``at`` are the environments that it is about."""
        with self._worker.lock:
            if self._closed:
                raise RuntimeError("the environments are closed")
            # A process that died while idle was this seed's to find: the next request is what tells.
            try:
                if not self._worker.holds(self):
                    self._open_again()
                if request not in _SETTING:
                    self._bring_back(self._gone.intersection(at or ()))
                self._gone.difference_update(at or ())
                return self._worker.ask(self, request, arguments, self._worker.patience(building))
            except _WorkerGoneError as gone:
                self._fault(gone, at)

    def _fault(self, gone: _WorkerGoneError, at: list[int] | None) -> NoReturn:
        """This seed's environments are not stepped again; the other seeds of the worker go on in a new process."""
        self._closed = True
        place = self._place(at or [0])
        if gone.seconds is not None:
            complaint = f"did not answer within {gone.seconds:g} s; its worker process was ended"
            raise HungEnvironmentError(place, "hang", complaint) from None
        raise LostEnvironmentError(place, "worker", f"its worker process died ({gone})") from None

    def _place(self, at: list[int]) -> Place:
        log = self._logs.get(at[0])
        if log is None:
            return Place(self.spec.name, at[0], self._run_seed, 0, 0)
        done = log.running.sums.length + len(log.actions)
        fresh = at[0] not in self._last
        index = at[0] if len(at) == 1 else None
        return Place(self.spec.name, index, self._run_seed, log.running.start.episode, 0 if fresh else done + 1)

    def _build(self) -> None:
        try:
            answer = self._worker.ask(self, "build", (self._source,), self._worker.patience(True))
        except _WorkerGoneError as gone:
            name = source_name(self._source)
            if gone.seconds is not None:
                raise CredoError(f"environment: '{name}' was not built within {gone.seconds:g} s") from None
            raise CredoError(
                f"environment: '{name}': its worker process did not start ({gone}); a script must train under "
                'if __name__ == "__main__":, or leave out --environment-workers'
            ) from None
        self.spec, self.has_simulation_state = answer

    def _open_again(self) -> None:
        """Open the environments in the worker's new process, which has none of their episodes."""
        self._build()
        self._worker.ask(self, "open", (self._opened,), self._worker.patience(True))
        self._gone = set(self._logs)

    def _bring_back(self, indices: set[int]) -> None:
        """Repeat the episodes of these environments."""
        for index in sorted(indices):
            observation = self._repeat(index, self._logs[index])
            if index in self._last and (observation is None or observation.tobytes() != self._last[index]):
                complaint = "its worker process was ended through another seed, and its episode could not be repeated"
                raise LostEnvironmentError(self._place([index]), "worker", complaint)

    def _repeat(self, index: int, log: _Log) -> np.ndarray | None:
        def ask(request: str, *arguments: Any) -> Any:
            return self._worker.ask(self, request, arguments, self._worker.patience(True))

        if log.simulation is None and log.before is None:
            observation = ask("reset", index, log.running.start)
        else:
            observation = ask("restore", index, log.running, log.simulation, log.before)
        for action in log.actions:
            observation = ask("step", [index], action[None]).next_observation[0]
        return observation


class _WorkerGoneError(Exception):
    """A worker hung for ``seconds`` (None: it died) and is no more."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


class _Worker:
    """One process and the pipe to it; whoever uses it holds ``lock``."""

    def __init__(self, timeout: float | None) -> None:
        self.lock = threading.RLock()
        self.process: Any = None
        self._timeout = timeout
        self._pipe: Any = None
        self._groups: dict[RemoteLanes, int] = {}
        self._numbers = itertools.count()
        self._finalizer: Any = None

    def holds(self, lanes: RemoteLanes) -> bool:
        """Whether the process that runs now, or has just died, has these environments."""
        return lanes in self._groups

    def patience(self, building: bool) -> float | None:
        """Seconds to wait for an answer."""
        return max(self._timeout, START_SECONDS) if building and self._timeout is not None else self._timeout

    def ask(self, lanes: RemoteLanes, request: str, arguments: tuple[Any, ...], seconds: float | None) -> Any:
        """Send a request and wait for its answer; errors of the environment are raised here.

        Raises:
            _WorkerGoneError: the process hung or died; it is no more, and what it held has to be brought back.
        """
        if self.process is None:
            self._start()
        group = self._groups.setdefault(lanes, next(self._numbers)) if request == "build" else self._groups[lanes]
        try:
            self._pipe.send((group, request, arguments))
            ready = connection.wait([self._pipe, self.process.sentinel], seconds)
            if not ready:
                self.kill()
                raise _WorkerGoneError("hung", seconds)
            if self._pipe not in ready and not self._pipe.poll():
                raise EOFError
            kind, answer = self._pipe.recv()
        except (EOFError, OSError):
            self.process.join(CLOSE_SECONDS)
            status = self.process.exitcode
            self.kill()
            raise _WorkerGoneError(f"status {status}") from None
        except BaseException:
            # Interrupted between a request and its answer: the next answer would be taken for the wrong request's.
            if self.process is not None:
                self.kill()
            raise
        if kind == "answer":
            if request == "close":
                del self._groups[lanes]
            return answer
        raise answer if kind == "error" else CredoError(answer)

    def kill(self) -> None:
        """End the process at once, with all that it started."""
        process, self.process = self.process, None
        self._groups.clear()
        if process is None:
            return
        self._finalizer.cancel()
        _kill(process)
        self._pipe.close()

    def close(self) -> None:
        """Let the process end by itself, or kill it where it does not."""
        with self.lock:
            if self.process is not None:
                with contextlib.suppress(OSError):
                    self._pipe.send(None)
                self.process.join(CLOSE_SECONDS)
                self.kill()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # Not a daemon of multiprocessing: an environment may start processes of its own.
        self.process = context.Process(target=_serve, args=(theirs,), name="credo-environments")
        self.process.start()
        theirs.close()
        # Before multiprocessing waits, at the end of the program, for processes that nobody closed.
        self._finalizer = util.Finalize(self, _kill, (self.process,), exitpriority=100)


def _kill(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # The worker leads a group of its own once it serves; before that there is the process alone.
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _serve(pipe: Any) -> None:
    """The worker process: answer requests until the pipe closes."""
    # Ctrl-C and a scheduler's SIGTERM are for the run, which finishes its round and then ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.setsid()
    end_with_parent(partial(os.killpg, 0, signal.SIGKILL))
    groups: dict[int, Lanes] = {}
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            break
        if message is None:
            break
        group, request, arguments = message
        try:
            answer: Any = ("answer", _answer(groups, group, request, arguments))
        except CredoError as error:
            answer = ("refused", str(error))
        except EnvironmentFaultError as error:
            answer = ("error", error.with_traceback(None))
        except Exception as error:  # a factory's own error: its type may not exist in the other process
            answer = (
                "refused",
                f"environment: {type(error).__name__} in a worker process: {' '.join(str(error).split())}",
            )
        try:
            pipe.send(answer)
        except OSError:
            break
    for lanes in groups.values():
        with contextlib.suppress(Exception):
            lanes.close()


def _answer(groups: dict[int, Lanes], group: int, request: str, arguments: tuple[Any, ...]) -> Any:
    if request == "build":
        lanes = groups[group] = Lanes(*arguments)
        return lanes.spec, lanes.has_simulation_state
    assert request in _REQUESTS
    lanes = groups.pop(group) if request == "close" else groups[group]
    return getattr(lanes, request)(*arguments)
