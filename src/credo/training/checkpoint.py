"""Checkpoints of whole runs: safetensors and JSON in a folder that appears at once, or not at all.

checkpoints/round-N/state.json             what each seed stands at, and the SHA-256 of every file it needs
checkpoints/round-N/state.sha256           that of state.json
checkpoints/round-N/seed-K.safetensors     arrays of the training state and of the environments
checkpoints/round-N/seed-K-best.safetensors  the policy kept so far
checkpoints/replay/seed-K/*.safetensors    steps of the replay, each written once (``credo.training.replay_files``)
checkpoints/replay/seed-K/*.parity         what brings one of them back (``credo.training.parity``)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from credo.environments import EnvironmentBatch
from credo.files import sync_folder, write_atomically
from credo.policies import load_policy, save_policy
from credo.run_folder import (
    CHECKPOINTS,
    DONE,
    METRICS,
    policy_path,
    read_summary,
)
from credo.run_rows import part_paths
from credo.storage import file_sha256, read_tensors, write_tensors
from credo.training import replay_files
from credo.training.faults import LONGEST
from credo.training.manifest import (
    FORMAT,
    MANIFEST,
    VERSION,
    OtherVersionError,
    as_written,
    read_manifest,
    with_nan,
    write_manifest,
)
from credo.training.seed import Frozen, Seed
from credo.training.state import TrainState
from credo.types import CredoError, one_line

KEPT = 2
_ARRAY = "__array__"


class Checkpoints:
    """The checkpoints of one run folder, whose lock this process holds.

    Seeds that the run has but that are not trained now stay in every checkpoint as they were.
    """

    def __init__(self, folder: Path):
        self._run = folder
        self._folder = folder / CHECKPOINTS
        self._known: dict[str, dict[str, Any]] = {}
        """By seed, what the checkpoint gone on from, or the newest written, says of it."""
        self._newest: Path | None = None
        """The checkpoint that ``_known`` is of."""
        self._damaged: list[Path] = []

    @property
    def seeds(self) -> set[int]:
        """Those that the checkpoint gone on from, or the newest written, knows."""
        return {int(number) for number in self._known}

    def load(self, seeds: Sequence[Seed], rounds: int) -> tuple[dict[str, Any], list[str]] | None:
        """Bring the seeds to the newest checkpoint that is whole.

        Returns the run's position and lines about what is damaged or could not be restored exactly; None where there is
        no checkpoint. Seeds that it does not know start from the beginning. CredoError where none is whole or left,
        where one is of a newer version, or where a seed has done more than ``rounds`` already.
        """
        notes: list[str] = []
        for path in reversed(all_checkpoints(self._run)):
            try:
                with as_written(path):
                    described, mended = _read(path)
            except OtherVersionError:
                raise
            except CredoError as error:
                notes.append(f"checkpoint {path.name} is damaged ({error}); going back to the one before")
                self._damaged.append(path)
                continue
            with as_written(path):
                notes += mended + self._go_on_from(path, described, seeds, rounds)
                return described["position"], notes
        if notes:
            raise CredoError(f"{self._folder}: no checkpoint is whole: {notes[0]}; move the folder away to begin again")
        # A run that ends, or is stopped, leaves one: without it, going on would begin anew over what the run has left.
        if (self._run / DONE).exists() or (
            read_summary(self._run).get("state") in ("done", "interrupted") and part_paths(self._run, METRICS)
        ):
            raise CredoError(
                f"out: {self._run} has been trained and its checkpoints are gone, without which it cannot go on; "
                "move the folder away to begin again"
            )
        return None

    def _go_on_from(self, path: Path, described: dict[str, Any], seeds: Sequence[Seed], rounds: int) -> list[str]:
        self._newest, self._known = path, described["seeds"]
        wanted = [seed for seed in seeds if str(seed.number) in self._known]
        done = max((self._known[str(seed.number)]["next_round"] for seed in wanted), default=0)
        if done > rounds:
            raise CredoError(
                f"steps: {self._run} has done {done} rounds already, and {rounds} are asked for; raise --steps"
            )
        left = sorted(self._known.keys() - {str(seed.number) for seed in seeds}, key=int)
        if described["version"] == 1 and left:
            raise CredoError(
                f"{path}: seeds {', '.join(left)} are in format 1, which changes when they go on; train them, too"
            )
        return [line for seed in wanted for line in self._restore(seed, path)]

    def save(
        self,
        round_number: int,
        seeds: Sequence[Seed],
        state_of: Callable[[Seed], TrainState],
        environments: dict[int, dict[str, Any]],
        position: dict[str, Any],
    ) -> None:
        """Write the checkpoint of a run after ``round_number`` rounds; the newest two are kept.

        ``environments`` is the state of those of each seed that is not frozen, ``position`` plain JSON of the run's own
        (counts of metric parts, time so far). CredoError where it cannot be written: those before it are as they were.
        """
        numbers = [int(path.name.split("-")[1]) for path in all_checkpoints(self._run)]
        newest = max(numbers, default=-1)
        # Seeds added to a longer run begin at round 0, and their checkpoint is the newest all the same.
        target = self._folder / f"round-{round_number if round_number > newest else newest + 1:08d}"
        temporary = self._folder / f".{target.name}.tmp"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            described = self._carried(temporary, {str(seed.number) for seed in seeds})
            for seed in seeds:
                described[str(seed.number)] = self._write_seed(
                    temporary, seed, state_of(seed), environments.get(seed.number)
                )
            write_manifest(temporary, round_number, position, described)
            sync_folder(temporary)
            os.replace(temporary, target)
            sync_folder(self._folder)
            self._known, self._newest = described, target
            self._remove_old()
        except OSError as error:
            reason = error.strerror or str(error)
            raise CredoError(f"{target}: cannot be written ({reason}); the checkpoint before it is whole") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _write_seed(
        self, folder: Path, seed: Seed, state: TrainState, environments: dict[str, Any] | None
    ) -> dict[str, Any]:
        replay = replay_files.append(
            self._folder, seed.number, seed.replay, self._known.get(str(seed.number), {}).get("replay")
        )
        tensors = {f"state/{name}": array for name, array in named(state).items()}
        tensors["replay/newest"] = seed.replay.newest()
        placed = _split(environments, tensors, "environments")
        _write_tensors(folder / state_name(seed.number), tensors)
        files = {state_name(seed.number): file_sha256(folder / state_name(seed.number))}
        if seed.best_policy is not None:
            save_policy(folder / _best_name(seed.number), seed.best_policy)
            files[_best_name(seed.number)] = file_sha256(folder / _best_name(seed.number))
        return {
            "next_round": seed.next_round,
            "unevaluated": seed.unevaluated,
            "frozen": seed.frozen and seed.frozen._asdict(),
            "best": _plain(seed.best),
            "last": _plain(seed.last),
            "environments": placed,
            "files": files,
            "replay": replay,
        }

    def _carried(self, folder: Path, trained: set[str]) -> dict[str, dict[str, Any]]:
        """Put the files of the seeds that are not trained now into a new checkpoint's folder."""
        carried = {number: entry for number, entry in self._known.items() if number not in trained}
        for entry in carried.values():
            for name in entry["files"]:
                assert self._newest is not None
                # Not a link: what damages one checkpoint must leave the other whole.
                write_atomically(folder / name, (self._newest / name).read_bytes())
        return carried

    def _restore(self, seed: Seed, path: Path) -> list[str]:
        assert seed.state is not None
        entry = self._known[str(seed.number)]
        tensors, _ = read_tensors(path / state_name(seed.number), format=FORMAT, version=VERSION)
        groups: dict[str, dict[str, np.ndarray]] = {"state": {}, "replay": {}, "environments": {}}
        for name, array in tensors.items():
            group, rest = name.split("/", 1)
            groups[group][rest] = array
        unable = seed.frozen
        seed.state = filled(seed.state, groups["state"])
        seed.next_round, seed.unevaluated = entry["next_round"], entry.get("unevaluated")
        seed.frozen = Frozen(**entry["frozen"]) if entry["frozen"] else None
        seed.best, seed.last = with_nan(entry["best"]), with_nan(entry["last"])
        if "replay" in entry:
            replay_files.restore(self._folder, seed.replay, entry["replay"], groups["replay"]["newest"])
        else:
            replay_files.restore_version_1(seed.replay, groups["replay"])
        best = path / _best_name(seed.number) if "files" in entry else policy_path(self._run, seed.number)
        seed.best_policy = load_policy(best) if seed.best is not None and best.exists() else None
        if seed.frozen is not None:
            return []
        if unable is not None:
            raise CredoError(f"seed {seed.number} cannot go on: {unable.cause}; its checkpoint is kept")
        assert isinstance(seed.environments, EnvironmentBatch)
        try:
            lines = seed.environments.restore(_joined(entry["environments"], tensors))
        except CredoError:
            raise
        except Exception as error:
            raise CredoError(
                f"seed {seed.number} cannot go on: its environments failed while their episodes were brought back "
                f"({one_line(error, LONGEST)}); its checkpoint is kept"
            ) from error
        if lines:
            self._end_broken_episodes(seed)
        return [f"seed {seed.number}: {line}" for line in lines]

    def _end_broken_episodes(self, seed: Seed) -> None:
        """An environment that goes on from another episode does not go on from the replay's newest step."""
        newest = seed.replay.newest()
        for lane in range(len(newest)):
            if newest[lane].tobytes() != seed.environments.observation[lane].tobytes():
                seed.replay.end_episode(lane)
        entry = self._known[str(seed.number)]
        if "replay" in entry:
            self._known[str(seed.number)] = entry | {"replay": replay_files.without_newest(entry["replay"])}

    def _remove_old(self) -> None:
        """Remove checkpoints beyond the newest two that are whole, and the steps of replays that no other needs."""
        whole = [path for path in all_checkpoints(self._run) if path not in self._damaged]
        for path in [*whole[:-KEPT], *self._damaged]:
            shutil.rmtree(path, ignore_errors=True)
        self._damaged.clear()
        try:
            needed = {name for path in whole[-KEPT:] for name in _replay_files(path)}
        except CredoError:
            return  # what a checkpoint that cannot be read needs is not known
        replay_files.remove_others(self._folder, needed)


def all_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run folder, oldest first."""
    found = (run / CHECKPOINTS).glob("round-*")
    return sorted(path for path in found if path.name[6:].isdecimal() and not path.is_symlink())


def named(state: TrainState) -> dict[str, np.ndarray]:
    """The arrays of a state by their paths in it."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def state_name(seed: int) -> str:
    return f"seed-{seed}.safetensors"


def _best_name(seed: int) -> str:
    return f"seed-{seed}-best.safetensors"


def _write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    write_tensors(path, format=FORMAT, version=VERSION, tensors=tensors, metadata={}, overwrite=True)


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """A checkpoint's manifest, once every file that it needs has been found whole, and lines about those that had to be
    made again; CredoError names one that cannot be."""
    described, mended = read_manifest(path), []
    if described["version"] == 1:
        for number in described["seeds"]:
            read_tensors(path / state_name(int(number)), format=FORMAT, version=1)
        return described, []
    for number, entry in described["seeds"].items():
        if not entry["files"].keys() <= {state_name(int(number)), _best_name(int(number))}:
            raise CredoError(f"{MANIFEST} names files of its own")
        replay_files.verify(path, entry["files"].items())
        mended += replay_files.mend(path.parent, entry["replay"], int(number))
    return described, mended


def _replay_files(path: Path) -> Iterable[str]:
    with as_written(path):
        for number, entry in read_manifest(path)["seeds"].items():
            if "replay" in entry:
                yield from (name for name, _ in replay_files.named_in(entry["replay"], int(number)))


def filled(template: TrainState, arrays: dict[str, np.ndarray]) -> TrainState:
    """``template`` with its arrays replaced; CredoError where names, shapes or types differ."""

    def fill(path: Any, leaf: Any) -> Any:
        name = jax.tree_util.keystr(path)
        stored = arrays.get(name)
        if stored is None or stored.shape != leaf.shape or stored.dtype != leaf.dtype:
            raise CredoError(f"checkpoint: {name} is missing or not {leaf.dtype}{list(leaf.shape)}")
        return jnp.asarray(stored)

    return jax.tree_util.tree_map_with_path(fill, template)


def _split(tree: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """A tree as JSON, its arrays put into ``arrays`` under path-like names."""
    if isinstance(tree, dict):
        return {key: _split(value, arrays, f"{name}/{key}") for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_split(value, arrays, f"{name}/{index}") for index, value in enumerate(tree)]
    if isinstance(tree, np.ndarray):
        arrays[name] = tree
        return {_ARRAY: name}
    return tree.item() if isinstance(tree, np.generic) else tree


def _joined(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(tree, dict):
        if set(tree) == {_ARRAY}:
            return arrays[tree[_ARRAY]]
        return {key: _joined(value, arrays) for key, value in tree.items()}
    return [_joined(value, arrays) for value in tree] if isinstance(tree, list) else tree


def _plain(row: dict[str, float] | None) -> dict[str, float | None] | None:
    """NaN has no place in JSON."""
    if row is None:
        return None
    return {name: value if np.isfinite(value) else None for name, value in row.items()}
