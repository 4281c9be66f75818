"""Checkpoints of whole runs: safetensors and JSON in a folder that appears at once, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from credo.run_folder import CHECKPOINTS, read_json, write_json
from credo.storage import read_tensors, write_tensors
from credo.training.seed import Frozen, Seed
from credo.training.state import TrainState
from credo.types import CredoError

FORMAT = "credo-checkpoint"
VERSION = 1
KEPT = 2
_ARRAY = "__array__"


def save(
    folder: Path,
    round_number: int,
    seeds: Sequence[Seed],
    state_of: Callable[[Seed], TrainState],
    position: dict[str, Any],
) -> None:
    """Write the checkpoint of a run after ``round_number`` rounds; the newest two are kept. ``position`` is plain JSON
    of the run's own (counts of metric parts, time so far)."""
    parent = folder / CHECKPOINTS
    numbers = [int(path.name.split("-")[1]) for path in _all(folder)]
    newest = max(numbers, default=0)
    # Seeds added to a longer run begin at round 0, and their checkpoint is the newest all the same.
    target = parent / f"round-{round_number if round_number >= newest else newest + 1:08d}"
    temporary = parent / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    described: dict[str, Any] = {}
    for seed in seeds:
        tensors = {f"state/{name}": array for name, array in _named(state_of(seed)).items()}
        tensors |= {f"replay/{name}": array for name, array in seed.replay.state().items()}
        environments: dict[str, np.ndarray] = {}
        described[str(seed.number)] = {
            "next_round": seed.next_round,
            "frozen": seed.frozen and seed.frozen._asdict(),
            "best": _plain(seed.best),
            "last": _plain(seed.last),
            "environments": _split(seed.environments.state(), environments, "environments"),
        }
        write_tensors(
            temporary / f"seed-{seed.number}.safetensors",
            format=FORMAT,
            version=VERSION,
            tensors=tensors | environments,
            metadata={},
            overwrite=True,
        )
    write_json(
        temporary / "state.json",
        {
            "format": FORMAT,
            "version": VERSION,
            "round": round_number,
            "position": position,
            "seeds": described,
        },
    )
    _sync(temporary)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    _sync(parent)
    for old in _all(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, seeds: Sequence[Seed], rounds: int) -> tuple[dict[str, Any], list[str]] | None:
    """Bring the seeds to the newest checkpoint that is whole. Returns the run's position and lines about what could not
    be restored exactly; None where there is no checkpoint. Seeds that it does not know start from the beginning.
    CredoError where a seed has done more than ``rounds`` already."""
    notes: list[str] = []
    for path in reversed(_all(folder)):
        try:
            described, tensors = _read(path)
        except CredoError as error:
            notes.append(f"checkpoint {path.name} is damaged ({error}); going back to the one before")
            continue
        known = [seed for seed in seeds if str(seed.number) in described["seeds"]]
        done = max((described["seeds"][str(seed.number)]["next_round"] for seed in known), default=0)
        if done > rounds:
            raise CredoError(f"steps: {folder} has done {done} rounds, more than the {rounds} asked for; raise --steps")
        for seed in known:
            notes += _restore(seed, described["seeds"][str(seed.number)], tensors[seed.number])
        return described["position"], notes
    if notes:
        raise CredoError(f"{folder / CHECKPOINTS}: no checkpoint is whole; remove the folder to begin again")
    return None


def _all(folder: Path) -> list[Path]:
    return sorted((folder / CHECKPOINTS).glob("round-*"))


def _read(path: Path) -> tuple[dict[str, Any], dict[int, dict[str, np.ndarray]]]:
    described = read_json(path / "state.json")
    if (described.get("format"), described.get("version")) != (FORMAT, VERSION):
        raise CredoError(f"{path}: format {described.get('format')} {described.get('version')}, not {FORMAT} {VERSION}")
    tensors = {}
    for number in described["seeds"]:
        tensors[int(number)], _ = read_tensors(path / f"seed-{int(number)}.safetensors", format=FORMAT, version=VERSION)
    return described, tensors


def _restore(seed: Seed, described: dict[str, Any], tensors: dict[str, np.ndarray]) -> list[str]:
    assert seed.state is not None
    groups: dict[str, dict[str, np.ndarray]] = {"state": {}, "replay": {}, "environments": {}}
    for name, array in tensors.items():
        group, rest = name.split("/", 1)
        groups[group][rest] = array
    seed.state = _filled(seed.state, groups["state"])
    seed.replay.restore(groups["replay"])
    seed.next_round = described["next_round"]
    seed.frozen = Frozen(**described["frozen"]) if described["frozen"] else None
    seed.best, seed.last = _with_nan(described["best"]), _with_nan(described["last"])
    if seed.frozen is not None:
        return []  # its environments are not stepped again, and may not bear the replay of what broke them
    lines = seed.environments.restore(_joined(described["environments"], tensors))
    return [f"seed {seed.number}: {line}" for line in lines]


def _named(state: TrainState) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _filled(template: TrainState, arrays: dict[str, np.ndarray]) -> TrainState:
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


def _with_nan(row: dict[str, float | None] | None) -> dict[str, float] | None:
    if row is None:
        return None
    return {name: np.nan if value is None else value for name, value in row.items()}


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
