"""A run's rows to TensorBoard, Weights & Biases or trackio while it trains.

They follow the run's own files: what is logged is what was written, and training knows nothing of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from credo import run_folder, run_rows
from credo.files import read_json
from credo.types import CredoError

LoggerName = Literal["tensorboard", "wandb", "trackio"]
FOLDER = "logs"
_MODULES = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}
_PACKAGES = {"tensorboard": "tensorboardX"}
_KINDS = (run_folder.METRICS, run_folder.EVALUATIONS)
_NO_VALUES = ("seed", "round", "step")

Values = dict[str, float]


class Sink(Protocol):
    """Where values go."""

    def write(self, seed: int, step: int, values: Values) -> None:
        """The values of one row, by "metrics/NAME" or "evaluations/NAME"."""

    def close(self) -> None: ...


class Follower:
    """Gives a sink what a run has written since the last time; of a run that goes on only what was not given before."""

    def __init__(self, folder: Path, name: LoggerName, open_sink: Callable[[Path], Sink]):
        self.folder, self.name, self.open_sink = folder, name, open_sink
        self.sink: Sink | None = None
        self.given: dict[str, dict[str, int]] = {kind: {} for kind in _KINDS}
        """By kind and seed, the last step given."""
        self.seen: set[Path] = set()

    def poll(self) -> None:
        """Write all new rows."""
        self._give("part-*.parquet")

    def _give(self, pattern: str) -> None:
        for kind in _KINDS:
            for path in sorted((self.folder / kind).glob(pattern)):
                if path not in self.seen:
                    self._start()
                    self.seen.add(path)
                    self._write(kind, run_rows.read_part(path))

    def close(self) -> None:
        """Write the last rows, those that a longer run would not have among them, and close the sink."""
        self.poll()
        self._give("final-*.parquet")
        if self.sink is not None:
            self.sink.close()

    @property
    def _state(self) -> Path:
        return self.folder / FOLDER / f"{self.name}.json"

    def _start(self) -> None:
        if self.sink is None:
            (self.folder / FOLDER).mkdir(exist_ok=True)
            if self._state.exists():
                stored = read_json(self._state)
                self.given |= {kind: dict(stored[kind]) for kind in _KINDS if isinstance(stored.get(kind), dict)}
            self.sink = self.open_sink(self.folder)

    def _write(self, kind: str, columns: dict[str, np.ndarray]) -> None:
        assert self.sink is not None
        if not {"seed", "step"} <= set(columns) or not len(columns["step"]):
            return
        # A run that was killed does its last rounds again, with the same numbers: they are given once.
        given = self.given[kind]
        before = np.array([given.get(str(seed), -1) for seed in columns["seed"]])
        for row in np.flatnonzero(columns["step"] > before):
            values = {
                f"{kind}/{name}": float(column[row])
                for name, column in columns.items()
                if name not in _NO_VALUES and np.isfinite(column[row])
            }
            seed, step = int(columns["seed"][row]), int(columns["step"][row])
            self.sink.write(seed, step, values)
            given[str(seed)] = max(step, given.get(str(seed), -1))
        run_folder.write_json(self._state, dict(self.given))


@contextlib.contextmanager
def logging_to(name: LoggerName | None, folder: Path) -> Iterator[Callable[[], None]]:
    """A function to call after each round; None logs nothing.

    Raises:
        CredoError: the library is not installed; before anything is written.
    """
    if name is None:
        yield lambda: None
        return
    module = load(name)
    follower = Follower(folder, name, lambda run: _SINKS[name](module, run))
    polled = refused = False

    def poll() -> None:
        nonlocal polled
        polled = True
        follower.poll()

    try:
        yield poll
    except CredoError:
        # Where nothing was trained the folder may be another run's, or another process's.
        refused = not polled
        raise
    finally:
        if not refused:
            follower.close()


def load(name: LoggerName) -> Any:
    """The library of a logger; CredoError names the package that brings it."""
    try:
        return importlib.import_module(_MODULES[name])
    except ImportError as error:
        raise CredoError(
            f"log: {name} needs a package that is not here ({error}); pip install {_PACKAGES.get(name, name)}"
        ) from None


class TensorBoard:
    """One folder of event files for each seed, so that TensorBoard draws seeds as runs."""

    def __init__(self, module: Any, folder: Path):
        self.module, self.folder = module, folder
        self.writers: dict[int, Any] = {}

    def write(self, seed: int, step: int, values: Values) -> None:
        if seed not in self.writers:
            place = self.folder / FOLDER / "tensorboard" / f"seed-{seed}"
            # Files are named by the second and read in the order of names: one that goes on at once must neither take
            # the place of the one before nor stand before it.
            self.writers[seed] = self.module.SummaryWriter(str(place), filename_suffix=f".{step:012d}")
        for name, value in values.items():
            self.writers[seed].add_scalar(name, value, step)

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()


def _begin(module: Any, folder: Path, **more: Any) -> Any:
    """A run of a tracking service: one for all seeds, which stand before the names of its values."""
    config, name = run_folder.read_config(folder)[1].get("config", {}), folder.resolve().name
    return module.init(project="credo", name=name, config=config, resume="allow", **more)


def _named(seed: int, values: Values) -> Values:
    return {f"seed-{seed}/{name}": value for name, value in values.items()}


class WeightsAndBiases:
    """Its own step must never fall, which it does from seed to seed: the environment step is a value."""

    def __init__(self, module: Any, folder: Path):
        # Weights & Biases goes on with the run of this id.
        self.run = _begin(module, folder, id=hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16])
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")

    def write(self, seed: int, step: int, values: Values) -> None:
        self.run.log(_named(seed, values) | {"step": step})

    def close(self) -> None:
        self.run.finish()


class Trackio:
    """Its own step is the environment step."""

    def __init__(self, module: Any, folder: Path):
        self.run = _begin(module, folder)

    def write(self, seed: int, step: int, values: Values) -> None:
        self.run.log(_named(seed, values), step=step)

    def close(self) -> None:
        self.run.finish()


_SINKS: dict[str, Callable[[Any, Path], Sink]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "trackio": Trackio,
}
