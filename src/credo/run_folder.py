"""A run is a folder, and its files are the truth: names, atomic writing, reading. Imports no JAX.

config.json            the settings, the identity, the command and the versions
metrics/*.parquet      one row per seed and round
evaluations/*.parquet  one row per seed and evaluation
checkpoints/           whole states to go on from
policies/seed-K/       best.safetensors (by success where that is told, then distance or return) and last.safetensors
frozen/seed-K.*        what a seed that was frozen had before it
summary.json           state, verdict material per seed, wall-clock
curves.png, curves.html, video.mp4
DONE                   present once all steps are done
lock                   held by the process that trains
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import sys
import typing
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from credo.config import LearnerName, RunConfig, from_dict, identity, recorded_identity, run_id, to_dict
from credo.config.codec import UnknownSettingError
from credo.config.limits import MAXIMUM_SEEDS, MAXIMUM_STEPS, check_limits
from credo.config.names import REGISTERED, Kind
from credo.environment_name import parse_name
from credo.files import make_folder, read_json, write_atomically
from credo.run_lock import LOCK, locked
from credo.types import CredoError, check_unicode, is_number, printable

FORMAT = 1
METRICS, EVALUATIONS, CHECKPOINTS, POLICIES = "metrics", "evaluations", "checkpoints", "policies"
FROZEN = "frozen"
# What of a summary are numbers wherever they are known.
_NUMBERS = (
    *("steps", "wall_seconds", "selected_step", "selected_return", "selected_distance", "selected_success"),
    *("selected_badness", "final_return"),  # the former in older versions
)
CONFIG, SUMMARY, DONE = "config.json", "summary.json", "DONE"
_FOLDERS = (METRICS, EVALUATIONS, CHECKPOINTS, POLICIES)
_SOURCE = "credo-source"
_PACKAGE = "credo-imitation"
_VERSIONED = (_PACKAGE, "jax", "jaxlib", "numpy", "gymnasium", "mujoco", "optax")


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed process left half written; call it with the lock held."""
    for path in folder.rglob(".*.tmp"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_json(path: Path, tree: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(tree, indent=2, allow_nan=False) + "\n").encode())


def check_run(folder: Path) -> None:
    """CredoError for a folder that is no run's, which would read like a run that has just begun."""
    if not (folder / CONFIG).is_file():
        raise CredoError(f"run: {folder} is not a run folder (it has no {CONFIG})")


def check_links(folder: Path) -> None:
    """Refuse (CredoError) a run folder that holds a link to something outside it: what is read or written there would
    be somebody else's."""
    inside = os.path.realpath(folder) + os.sep
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            entry = os.path.join(path, name)
            if os.path.islink(entry) and not os.path.realpath(entry).startswith(inside):
                raise CredoError(f"{entry}: is a link out of the run folder; replace it by what it points to")


def versions() -> dict[str, str]:
    """Versions of what determines a run's numbers; in a process that trains, what computes them, too ("cpu")."""
    found = {"python": platform.python_version(), "machine": platform.machine(), _SOURCE: _source()}
    for name in _VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    if "jax" in sys.modules:
        found["device"] = sys.modules["jax"].devices()[0].device_kind
    return found


@functools.cache
def _source() -> str:
    """Twelve hex digits of SHA-256 over Credo's own modules: of a checkout the version number says little."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(repr((path.relative_to(package).as_posix(), path.read_bytes())).encode())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def opened(
    folder: Path, config: RunConfig, demonstrations: dict[str, Any], command: str, resumed: bool = False
) -> Iterator[bool]:
    """``create`` under the run's lock. Who is refused changes nothing; a CredoError before there are rows neither."""
    recognise(folder, config, demonstrations, resumed)
    made = not folder.exists()
    make_folder(folder, "out")
    with locked(folder):
        remove_temporaries(folder)
        before = {name: (folder / name).read_bytes() for name in (CONFIG, SUMMARY) if (folder / name).is_file()}
        known = create(folder, config, demonstrations, command, resumed)
        try:
            yield known
        except CredoError:
            if not known:
                _withdraw(folder, made)
            elif len(before) == 2 and (folder / SUMMARY).read_bytes() == before[SUMMARY]:  # it did not go on
                write_atomically(folder / CONFIG, before[CONFIG])
            raise


def _withdraw(folder: Path, made: bool) -> None:
    """Take back what ``create`` has made where nothing has been added to it."""
    if all(path.name == CONFIG or _is_beginning(path) for path in folder.iterdir()):
        shutil.rmtree(folder) if made else (folder / CONFIG).unlink()


def create(
    folder: Path, config: RunConfig, demonstrations: dict[str, Any], command: str, resumed: bool = False
) -> bool:
    """Make the folder of a run, or recognise it; True where it is to be resumed.

    ``demonstrations`` is what is recorded of them (sha256, return_mean, ...). Refuses (CredoError) a folder that holds
    something else, or a run whose identity differs, naming the settings that do; nothing in it is touched then.
    ``resumed``: the command names the folder alone, so that what the run began with stays its command.
    """
    stored = recognise(folder, config, demonstrations, resumed)
    for place in (folder, *(folder / name for name in _FOLDERS)):
        make_folder(place, "out")
    if stored is not None:
        told = {"resumed": command} if resumed else {"command": command}
        kept = stored if resumed else {name: value for name, value in stored.items() if name != "resumed"}
        write_json(folder / CONFIG, kept | {"config": to_dict(config)} | told)
        return True
    hashes = _hashes(demonstrations)
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            "id": run_id(config, *hashes),
            "config": to_dict(config),
            "identity": identity(config, *hashes),
            "demonstrations": demonstrations,
            "command": command,
            "versions": versions(),
        }
        | ({"plugin_code": code} if (code := plugin_code(config)) else {}),
    )
    return False


def plugin_code(config: RunConfig) -> dict[str, str]:
    """kind.name of the plug-ins of a run to the SHA-256 of the file that each stands in, where there is one."""
    named = ((used, *used.split(".", 1)) for used in config.plugins)
    entries = {used: REGISTERED[typing.cast(Kind, kind)][name] for used, kind, name in named}
    return {used: entry.code_sha256 for used, entry in entries.items() if entry.code_sha256}


def changed_plugins(folder: Path, config: RunConfig) -> list[str]:
    """The plug-ins of a run whose file has changed since the run began."""
    before, now = read_json(folder / CONFIG).get("plugin_code"), plugin_code(config)
    return [name for name, code in now.items() if isinstance(before, dict) and before.get(name, code) != code]


def recognise(
    folder: Path, config: RunConfig, demonstrations: dict[str, Any], resumed: bool = False
) -> dict[str, Any] | None:
    """config.json of the run that is there; None for a new one; CredoError for what is not to be touched."""
    if (folder / CONFIG).exists():
        stored_config, stored = read_config(folder)
        kept = stored.get("identity", {})
        before = [str(kept.get(name, "")) for name in ("demonstrations_sha256", "seed_replay_sha256")]
        then = recorded_identity(stored_config, kept, *before)
        now = identity(config, *_hashes(demonstrations))
        if parse_name(then["environment"]) == parse_name(now["environment"]):  # 1 and 1.0 are spelt as they are given
            now["environment"] = then["environment"]
        changed = differences(then, now)
        if changed:
            if resumed and all(line.startswith("demonstrations_sha256") for line in changed):
                told = _with_sources(changed[0], stored.get("demonstrations"), demonstrations).partition(": ")[2]
                raise CredoError(
                    f"demonstrations: not what {folder} was trained on ({told}); give those again (--demos)"
                )
            if resumed and all(line.startswith("seed_replay_sha256") for line in changed):
                hashes = ", not ".join(each[:12] or "none" for each in (before[1], _hashes(demonstrations)[1]))
                raise CredoError(
                    f"seed_replay: not what the replay of {folder} began with ({hashes}); give that (--seed-replay)"
                )
            named = [_with_sources(line, stored.get("demonstrations"), demonstrations) for line in changed]
            raise CredoError(
                f"out: {folder} holds another run ({'; '.join(named)}); choose another folder "
                f"(credo resume {folder} goes on with the one that is there)"
            )
        return stored
    if folder.exists() and not (folder.is_dir() and is_beginning(folder)):
        raise CredoError(f"out: {folder} exists and is not a run; choose another folder")
    check_unicode("out", folder)
    return None


def _with_sources(line: str, *demonstrations: Any) -> str:
    """A line of ``differences``; that of demonstrations with where they are from, and their hashes short."""
    if not line.startswith("demonstrations_sha256"):
        return line
    told = [
        f"{str(each.get('sha256'))[:12]} ({printable(each.get('source') or 'of no name')})"
        for each in demonstrations
        if isinstance(each, dict)
    ]
    return f"demonstrations_sha256: {', not '.join(told)}"


def _hashes(demonstrations: dict[str, Any]) -> list[str]:
    """Of the demonstrations and of the logged transitions, empty where there are none."""
    return [str(demonstrations.get(name, "")) for name in ("sha256", "seed_replay_sha256")]


def is_beginning(folder: Path) -> bool:
    """Whether all that a folder holds is what a run that ended before it had a config.json may have left."""
    return all(_is_beginning(path) for path in folder.iterdir())


def _is_beginning(path: Path) -> bool:
    """Whether a file or folder is what a run killed before it had a config.json may have left."""
    if path.name in _FOLDERS:
        return path.is_dir() and not any(path.iterdir())
    return path.name == LOCK or (path.name.startswith(f".{CONFIG}.") and path.name.endswith(".tmp"))


def differences(stored: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines "name: stored, not wanted" for every leaf that differs between two trees of settings."""
    lines = []
    for name in sorted(stored.keys() | wanted.keys()):
        old, new = stored.get(name), wanted.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            # What is left out of an identity is switched off, or has no use.
            was, now = (json.dumps(tree[name]) if name in tree else "unused" for tree in (stored, wanted))
            lines.append(f"{prefix}{name}: {was}, not {now}")
    return lines


def check_version(path: Path, found: Any, newest: int) -> None:
    """CredoError unless a file's format version is one that this version of Credo reads."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise CredoError(f"{path}: format {found!r} is not a version number; it must be {newest}")
    if found > newest:
        raise CredoError(
            f"{path}: format {found} is newer than {newest}, the newest that this Credo reads; update Credo"
        )


def changed_versions(folder: Path) -> list[str]:
    """Lines "jax: 0.9, not 0.10" for what determines numbers and is not as it was when the run began."""
    stored, now = read_json(folder / CONFIG).get("versions", {}), versions()
    for name in ("device", _SOURCE):  # which runs of older versions do not tell
        if name not in stored:
            now.pop(name, None)
    return differences(stored, now)


def read_config(folder: Path) -> tuple[RunConfig, dict[str, Any]]:
    """The settings of a run and the whole of its config.json; CredoError where the folder is not a run."""
    check_run(folder)
    check_links(folder)
    stored = read_json(folder / CONFIG)
    check_version(folder / CONFIG, stored.get("format"), FORMAT)
    for name in ("identity", "versions"):
        if not isinstance(stored.get(name, {}), dict):
            raise CredoError(f"{folder / CONFIG}: field {name}: an object expected")
    config = config_of(stored, str(folder / CONFIG))
    if config.seeds > MAXIMUM_SEEDS or abs(config.steps) > MAXIMUM_STEPS or abs(config.first_seed) > 2**31:
        raise CredoError(f"{folder / CONFIG}: seeds or steps beyond anything that Credo runs")
    try:
        check_limits(config, also=_plugin_names(stored))
        if config.learner in typing.get_args(LearnerName):  # a plug-in's settings are not here
            check_limits(getattr(config, config.learner), f"{config.learner}.")
    except CredoError as error:
        raise CredoError(f"{folder / CONFIG}: {error}") from None
    return config, stored


def config_of(stored: dict[str, Any], where: str) -> RunConfig:
    """The settings in a config.json. What a plug-in gave the run is named there; reading needs the name alone."""
    try:
        return from_dict(stored.get("config", {}), where=where, also=_plugin_names(stored))
    except UnknownSettingError as error:
        version = stored.get("versions", {}).get(_PACKAGE)
        told = f" (the run began with {str(version)[:40]})" if version else ""
        raise CredoError(f"{error.setting}: no such setting; perhaps of a newer Credo{told}: update Credo") from None


def _plugin_names(stored: dict[str, Any]) -> frozenset[str]:
    plugins = stored.get("identity", {}).get("plugins", {})
    return frozenset(name.partition(".")[2] for name in plugins) if isinstance(plugins, dict) else frozenset()


def read_summary(folder: Path) -> dict[str, Any]:
    """summary.json without numbers and seeds that make no sense; an empty one where the run has not got that far."""
    if not (folder / SUMMARY).exists():
        return {}
    summary = _sensible(read_json(folder / SUMMARY))
    seeds = told if isinstance(told := summary.get("seeds"), dict) else {}
    named = {number: seed for number, seed in seeds.items() if number.isdecimal() and len(number) < 11}
    return summary | {"seeds": {number: _sensible(seed) for number, seed in named.items() if isinstance(seed, dict)}}


def _sensible(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in _NUMBERS or value is None or is_number(value)}


def policy_path(folder: Path, seed: int, which: str = "best") -> Path:
    return folder / POLICIES / f"seed-{seed}" / f"{which}.safetensors"


def seeds_with_policy(folder: Path, which: str = "best") -> list[int]:
    """The seeds of which a run has this policy."""
    names = [path.parent.name.removeprefix("seed-") for path in (folder / POLICIES).glob(f"seed-*/{which}.safetensors")]
    return sorted(int(name) for name in names if name.isdecimal() and len(name) < 11)
