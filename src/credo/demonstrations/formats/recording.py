"""What every reader gives: episodes one at a time, with their lengths known beforehand; and how they are gathered.

A reader checks what its file declares (``check_declared``) before it reads, says how long each episode is, and then
gives one episode after another. So no more than the result and one episode is in memory, and a file larger than
memory can be read with a subsampling stride.
"""

from __future__ import annotations

import itertools
import logging
import shlex
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from credo.action_box import from_unit, to_unit
from credo.demonstrations import validate
from credo.demonstrations.dataset import Demonstrations
from credo.demonstrations.rows import subsampled
from credo.machine import MEMORY_SHARE, available_memory
from credo.types import CredoError, EnvironmentSpec, one_line

_logger = logging.getLogger(__name__)
_FAR = 3.0
"""In units of the action box: hardly a controller that went a little beyond it."""
PLAIN_BYTES = 256 << 20
"""A field may declare this much whatever its file's size: all-zero rewards compress a thousandfold."""
_UNASKED = 1 << 20
"""To ask how much memory is free takes longer than to read this much."""
LARGEST_RATIO = 100
"""Beyond ``PLAIN_BYTES``, a field may declare at most so many times the bytes that are stored."""


NOT_READ = "; not read: "
"""Before the names of unread fields in what says where demonstrations are from."""


@dataclass(frozen=True)
class ReadOptions:
    """How a file is to be read."""

    spec: EnvironmentSpec | None = None
    """The environment they are for: its action box scales actions, its time limit ends episodes, where the file says
    neither. None: unknown."""
    keys: tuple[str, ...] = ()
    """Names of the observations to join, in this order, where a format has several; empty: the format's default."""
    mask: str = ""
    """Which of the named parts that a format's episodes may be divided into; empty: all episodes."""
    stride: int = 1
    """Keep every ``stride``-th transition, as ``Demonstrations.subsample``."""
    seed: int = 0
    """Of the subsampling offsets."""
    clip: bool = False
    """Clip actions that lie beyond the action box instead of refusing them."""

    def chosen(self, place: Path, present: Container[str], default: Sequence[str]) -> tuple[str, ...]:
        """The observations to join, of those that are ``present`` at ``place``: those asked for, else those that the
        environment's policy sees, in its order, else ``default``, the format's own choice.

        CredoError where ``default`` joins several and the policy's are not all there: their order would be a guess.
        """
        seen = self.spec.observation_keys if self.spec is not None else ()
        if self.keys and self.keys != seen and sorted(self.keys) == sorted(seen):
            raise CredoError(
                f"demonstrations: @keys={','.join(self.keys)} is another order than that of the policy's observations, "
                f"{' '.join(seen)}; leave @keys out, and the file's are taken in that order"
            )
        lacking = [key for key in seen if key not in present]
        if not self.keys and lacking and len(default) > 1:
            raise CredoError(
                f"{place}: keys: has no {lacking[0][:60]!r}, one of the policy's observations ({' '.join(seen)}); "
                f"say with @keys which of {', '.join(default)[:200]} those are, in the same order"
            )
        return self.keys or (seen if seen and not lacking else tuple(default))


class RecordedEpisode(NamedTuple):
    """One episode of T transitions as a file has it."""

    observation: np.ndarray
    """[T, O]."""
    action: np.ndarray
    """[T, A] in the environment's own units, unless ``Recording.scaled``."""
    next_observation: np.ndarray
    """[T, O]: the true successors."""
    reward: np.ndarray | None
    """[T], or None if unknown."""
    terminated: bool
    truncated: bool
    length: int | None = None
    """Steps as recorded, where more than T."""
    total: float | None = None
    """Undiscounted return as recorded, where it is not the sum of ``reward``."""


class Recording(NamedTuple):
    """An opened file of demonstrations."""

    lengths: np.ndarray
    """[E] int64: the transitions that each episode will give, all at least 1."""
    episode: Callable[[int], RecordedEpisode]
    """Reads one episode."""
    observation_size: int
    action_size: int
    action_bounds: np.ndarray | None = None
    """[2, A]: the action box if the file says so; else ``ReadOptions.spec`` is used."""
    environment: str = ""
    scaled: bool = False
    """True where actions are in [-1, 1] already, whatever the action box."""
    joined: tuple[str, ...] = ()
    """Names of the observations that were joined, in their order, where a format has them by name."""
    unread: tuple[str, ...] = ()
    """Fields of the file that nothing is made of, where a misspelt one may be among them."""


def gather(recording: Recording, path: Path, options: ReadOptions, source: str) -> Demonstrations:
    """All episodes of a recording as ``Demonstrations``.

    CredoError, naming the file, where the result does not fit in memory, or an episode is not of the announced size.
    """
    counts = recording.lengths
    if counts.size == 0:
        raise CredoError(f"{path}: empty: at least one episode is needed")
    if (counts < 1).any():
        raise CredoError(f"{path}: episode {int(np.argmax(counts < 1))}: empty: every episode needs at least one step")
    if options.stride < 1:
        raise CredoError(f"{path}: subsample={options.stride}: 1 or more expected")
    offsets, start = subsampled(counts, options.stride, options.seed)
    rows, bounds = int(start[-1]), _bounds(recording, options)
    _check_memory(path, rows, recording, int(counts.max()))
    observation = np.empty((rows, recording.observation_size), np.float32)
    action = np.empty((rows, recording.action_size), np.float32)
    flags, lengths = np.zeros((2, rows), bool), counts.copy()
    reward: np.ndarray | None = None
    returns: np.ndarray | None = None
    clipped, farthest = 0, 0.0
    successor_rows: list[np.ndarray] = []
    successors: list[np.ndarray] = []
    for k in range(len(counts)):
        episode = recording.episode(k)
        _check_episode(path, k, episode, recording)
        chosen, place = slice(int(offsets[k]), None, options.stride), slice(int(start[k]), int(start[k + 1]))
        with np.errstate(over="ignore"):  # what overflows is reported as infinite
            observation[place] = episode.observation[chosen]
            following = episode.next_observation[chosen].astype(np.float32)
        action[place] = _scaled(episode.action[chosen], None if recording.scaled else bounds)
        if options.clip:
            size = np.abs(action[place])
            clipped += int((size > 1 + validate.ACTION_TOLERANCE).sum())
            farthest = max(farthest, float(size.max(initial=0.0)))
            action[place] = np.clip(action[place], -1, 1)
        jumps = np.ones(len(following), bool)
        if options.stride == 1:
            jumps[:-1] = (following[:-1] != observation[place][1:]).any(axis=1)
        successor_rows.append(np.flatnonzero(jumps) + start[k])
        successors.append(following[jumps])
        flags[0, place.stop - 1] = episode.terminated and _keeps_last(offsets[k], counts[k], options.stride)
        flags[1, place.stop - 1] = episode.truncated
        if episode.length is not None:
            lengths[k] = episode.length
        if k == 0 and episode.reward is not None:
            reward, returns = np.empty(rows, np.float32), np.empty(len(counts))
        if (episode.reward is None) != (reward is None):
            raise CredoError(f"{path}: episode {k}: reward is known in some episodes only; all or none expected")
        if episode.reward is not None and reward is not None and returns is not None:
            with np.errstate(over="ignore"):
                full = episode.reward.astype(np.float32)
            reward[place] = full[chosen]
            returns[k] = full.sum(dtype=np.float64) if episode.total is None else episode.total
    if clipped:
        _logger.warning(
            "note: %s: %.2g%% of the action components were clipped, of which the farthest was at %.3g in units of the "
            "box (-1 to 1)%s",
            *(path, 100 * clipped / action.size, farthest),
            ": are these the environment's units?" if farthest > _FAR else "",
        )
    try:
        return Demonstrations(
            observation=observation,
            action=action,
            terminated=flags[0],
            truncated=flags[1],
            episode_start=start,
            successor_row=np.concatenate(successor_rows),
            successor=np.concatenate(successors),
            lengths=lengths,
            reward=reward,
            returns=returns,
            action_bounds=bounds,
            environment=recording.environment or (options.spec.name if options.spec else ""),
            source=source,
        )
    except validate.ActionRangeError as error:
        raise CredoError(f"{path}: {_beyond(error, bounds, path, recording, options)}") from None
    except CredoError as error:
        raise CredoError(f"{path}: {error}") from None


def without_lone_rows(path: Path, rows: np.ndarray) -> np.ndarray:
    """[K] the episodes, of ``rows`` [E] rows each, that have others than the last one, whose successor a file does not
    hold. How many have none is logged; CredoError where none has."""
    kept = np.flatnonzero(rows > 1)
    if not kept.size:
        raise CredoError(
            f"{path}: next observations: there are none, and no episode has two rows; two or more expected in one"
        )
    if kept.size < len(rows):
        _logger.warning(
            "note: %s: %d of %d episodes are left out: of their only row the next observation is not there",
            *(path, len(rows) - kept.size, len(rows)),
        )
    return kept


def unscaled_action(demonstrations: Demonstrations) -> np.ndarray:
    """[N, A] float64: the actions in the environment's own units; as they are where its action box is unknown."""
    action = demonstrations.action.astype(np.float64)
    if demonstrations.action_bounds is None:
        return action
    low, high = demonstrations.action_bounds.astype(np.float64)
    return from_unit(action, low, high)


def gapless_episodes(demonstrations: Demonstrations, path: Path, format: str) -> Iterator[tuple[int, int, np.ndarray]]:
    """(first row, end row, [T + 1, O] observations) of every episode, for formats that store those.

    CredoError where transitions were left out, which such a format cannot say.
    """
    d = demonstrations
    inside = np.setdiff1d(d.successor_row, d.last_row)
    if inside.size:
        raise CredoError(
            f"{path}: {validate.place(d.episode_start, int(inside[0]))} is not followed by the next step "
            f"(transitions were left out), which {format} cannot hold; .safetensors and .npz can"
        )
    for k, (start, stop) in enumerate(itertools.pairwise(d.episode_start.tolist())):
        yield start, stop, np.concatenate([d.observation[start:stop], d.successor[k : k + 1]])


def check_declared(path: Path, field: str, declared: int, stored: int) -> None:
    """Refuse, before it is allocated, a field whose declared bytes its stored bytes cannot honestly hold, or memory has
    no room for."""
    check_ratio(path, field, declared, stored)
    check_room(path, field, declared)


def check_ratio(path: Path, field: str, declared: int, stored: int) -> None:
    """Of ``check_declared`` what a field must keep to that is read in parts."""
    if declared > PLAIN_BYTES + LARGEST_RATIO * stored:
        raise CredoError(
            f"{path}: field {field}: declares {declared:,} bytes but stores {stored:,}; "
            f"at most {LARGEST_RATIO} times as much is read"
        )


def check_room(path: Path, field: str, size: int) -> None:
    """Refuse to read so many bytes of a field at once where they do not fit in memory."""
    if size > _UNASKED and size > (available := available_memory()) * MEMORY_SHARE:
        raise CredoError(
            f"{path}: field {field}: {size / 2**30:.1f} GiB do not fit in the {available / 2**30:.1f} GiB that are free"
        )


def check_numeric(
    path: Path, field: str, dtype: np.dtype, shape: tuple[int, ...], axes: int, empty: bool = False
) -> None:
    """CredoError unless the dtype is of real numbers and the shape has ``axes`` axes, none of size 0 but the first;
    with ``empty`` any may be."""
    if dtype.kind not in "fiu":
        raise CredoError(f"{path}: field {field}: dtype {str(dtype)[:40]} found, numbers expected")
    if len(shape) != axes or (0 in shape[1:] and not empty):
        rows = " (one row a step, episodes one after the other)" if len(shape) > axes else ""
        raise CredoError(f"{path}: field {field}: shape {shape} found, {axes} axes expected{rows}")


def flags(path: Path, field: str, array: np.ndarray) -> np.ndarray:
    """[N] bool from booleans, or from numbers that are exactly 0 or 1."""
    array = array.reshape(len(array)) if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise CredoError(
            f"{path}: field {field}: shape {array.shape}, {str(array.dtype)[:40]}; one flag a step expected"
        )
    odd = (array != 0) & (array != 1)
    if odd.any():
        raise CredoError(f"{path}: field {field}: {array[odd][0]} at row {int(np.argmax(odd))}, 0 or 1 expected")
    return array.astype(bool)


@contextmanager
def reading(path: Path, format: str) -> Iterator[None]:
    """Turns whatever a parser raises into one line that names the file."""
    try:
        yield
    except CredoError:
        raise
    except Exception as error:  # parsers fail in many ways on a damaged file
        raise CredoError(f"{path}: not a readable {format} file ({one_line(error, 160)})") from None


def _keeps_last(offset: int, count: int, stride: int) -> bool:
    """Whether every ``stride``-th of ``count`` rows, from ``offset`` on, has the last one among them."""
    return (count - 1 - offset) % stride == 0


def _bounds(recording: Recording, options: ReadOptions) -> np.ndarray | None:
    if recording.action_bounds is not None:
        return recording.action_bounds
    spec = options.spec
    if recording.scaled or spec is None or spec.action_size != recording.action_size:
        return None
    return np.stack([spec.action_low, spec.action_high]).astype(np.float32)


def _scaled(action: np.ndarray, bounds: np.ndarray | None) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        if bounds is not None:
            low, high = bounds.astype(np.float64)
            action = to_unit(action, low, high)
        return action.astype(np.float32)


def _beyond(
    error: validate.ActionRangeError, bounds: np.ndarray | None, path: Path, recording: Recording, options: ReadOptions
) -> str:
    """What to say of an action beyond the box, in the units that the file has it in."""
    if recording.scaled:
        return f"{error}; the file says that they are scaled; credo demos convert {path} OUT.safetensors --clip clips"
    if bounds is None:
        return f"{error}; the file does not say its action box: name the environment (--env; in Python environment=)"
    low, high = bounds[:, error.dimension].astype(np.float64)
    named = ""
    if recording.action_bounds is None and options.spec:
        keys = options.spec.observation_keys
        named = f" --env {shlex.quote(options.spec.name)}" + (f" --observation-keys {' '.join(keys)}" if keys else "")
    return (
        f"demonstrations: field action: {error.place}, dimension {error.dimension} is "
        f"{from_unit(error.value, low, high):g}; the action box is {low:g} to {high:g}; "
        f"credo demos convert {path} OUT.safetensors --clip{named} clips"
    )


def _check_memory(path: Path, rows: int, recording: Recording, longest: int) -> None:
    width = 2 * recording.observation_size + recording.action_size + 4
    needed = 4 * width * rows + 24 * width * longest
    if needed > MEMORY_SHARE * (available := available_memory()):
        raise CredoError(
            f"{path}: {rows:,} transitions need {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free; "
            "read a part of them with @subsample=STRIDE"
        )


def _check_episode(path: Path, index: int, episode: RecordedEpisode, recording: Recording) -> None:
    rows = int(recording.lengths[index])
    for name, array, shape in (
        ("observation", episode.observation, (rows, recording.observation_size)),
        ("next_observation", episode.next_observation, (rows, recording.observation_size)),
        ("action", episode.action, (rows, recording.action_size)),
        ("reward", episode.reward, (rows,)),
    ):
        if array is not None and array.shape != shape:
            raise CredoError(f"{path}: episode {index}: {name} has shape {array.shape}, {shape} expected")
        if array is not None and array.dtype.kind not in "fiu":
            raise CredoError(f"{path}: episode {index}: {name}: dtype {str(array.dtype)[:40]} found, numbers expected")
