"""The table of formats, and which one a file has."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credo.demonstrations.dataset import Demonstrations, check_type
from credo.demonstrations.files import SUFFIX, read_demonstrations, save_demonstrations
from credo.demonstrations.formats import d4rl, hdf5, imitation, lerobot, minari, npz, robomimic
from credo.demonstrations.formats.recording import NOT_READ, ReadOptions, Recording, gather, reading
from credo.files import as_path
from credo.storage import already_there
from credo.types import CredoError

Opener = Callable[[Path, ReadOptions], AbstractContextManager[Recording]]
Writer = Callable[[Path, Demonstrations, bool], None]


@dataclass(frozen=True)
class Format:
    """One way to keep demonstrations."""

    label: str
    """For people to read."""
    open: Opener | None
    """Opens a file; None for Credo's own, which comes whole."""
    write: Writer | None = None
    """Writes (path, demonstrations, overwrite); None where it is only read."""
    keyed: bool = False
    """Whether it may hold several observations by name."""
    masked: bool = False
    """Whether its episodes may be divided into parts by name."""


def _write_credo(path: Path, demonstrations: Demonstrations, overwrite: bool) -> None:
    save_demonstrations(path, demonstrations, overwrite=overwrite)


@contextmanager
def _opened_npz(path: Path, options: ReadOptions) -> Any:
    yield npz.open_npz(path, options)


def _minari_writer(layout: str) -> Writer:
    return lambda path, demonstrations, overwrite: minari.write_minari(path, demonstrations, overwrite, layout)


FORMATS: dict[str, Format] = {
    "credo": Format("Credo safetensors", None, _write_credo),
    "npz": Format("NumPy .npz", _opened_npz, npz.write_npz),
    "minari": Format("Minari", minari.open_minari, _minari_writer("hdf5"), keyed=True),
    "minari-arrow": Format("Minari (Arrow)", minari.open_minari, _minari_writer("arrow"), keyed=True),
    "minari-parquet": Format("Minari (Parquet)", minari.open_minari, _minari_writer("parquet"), keyed=True),
    "d4rl": Format("D4RL HDF5", d4rl.open_d4rl),
    "imitation": Format("trajectories of imitation", imitation.open_imitation),
    "lerobot": Format("LeRobot", lerobot.open_lerobot, keyed=True),
    "robomimic": Format("robomimic HDF5", robomimic.open_robomimic, keyed=True, masked=True),
}
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HDF5_OFFSETS = (0, 512, 1024, 2048)


def detect(path: Path) -> str:
    """The name in ``FORMATS`` of what lies at ``path``, from its content; CredoError says what is known."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return _detect_folder(path)
        if not stat.S_ISREG(mode):
            raise CredoError(f"{path}: is neither a regular file nor a folder")
        with open(path, "rb") as file:
            start = file.read(max(_HDF5_OFFSETS) + len(_HDF5_MAGIC))
    except FileNotFoundError:
        raise CredoError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise CredoError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not start:
        raise CredoError(f"{path}: the file is empty")
    if any(start[offset:].startswith(_HDF5_MAGIC) for offset in _HDF5_OFFSETS):
        return _detect_hdf5(path)
    if start.startswith(b"PK"):
        return _detect_zip(path)
    # A safetensors file begins with its header's length, which may look like a pickle's first bytes, and a JSON object.
    header = start[8:9] == b"{"
    if not header and len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5:
        raise CredoError(f"{path}: is a Python pickle, which is never loaded: it would run whatever code it names")
    if start.startswith((b"PAR1", b"ARROW1")):
        raise CredoError(f"{path}: is one table of a dataset; give the dataset's folder")
    # One that is damaged is said to be so later.
    if path.suffix != SUFFIX and not header:
        read = ", ".join(format.label for format in FORMATS.values())
        raise CredoError(
            f"{path}: of no format that is read ({read}); arrays go through .npz or "
            "credo.demonstrations.from_transitions"
        )
    return "credo"


def read_file(path: Path, options: ReadOptions = ReadOptions()) -> Demonstrations:
    """Demonstrations from a file or folder of any format.

    CredoError, one line with the file and the field, for whatever is missing, damaged, of another kind, or does not
    fit in memory; nothing in a file is ever executed.
    """
    name = detect(path)
    format = FORMATS[name]
    if options.keys and not format.keyed:
        raise CredoError(
            f"{path}: keys: {','.join(options.keys)[:60]}: {format.label} holds one observation, not several"
        )
    if options.mask and not format.masked:
        raise CredoError(
            f"{path}: mask: {options.mask[:60]}: only robomimic's files are divided so, not {format.label}"
        )
    if format.open is None:
        demonstrations = read_demonstrations(path)
        if options.stride == 1:
            return demonstrations
        return demonstrations.subsample(options.stride, options.seed)
    with reading(path, format.label), format.open(path, options) as recording:
        unread = "".join(f", {name!r}" for name in recording.unread).removeprefix(", ")
        joined = f"; observations: {', '.join(recording.joined)[:200]}" if recording.joined else ""
        told = f"{format.label}{joined}{NOT_READ}{unread}" if unread else f"{format.label}{joined}"
        return gather(recording, path, options, f"{path.name} ({told})")


def write_file(
    path: str | Path, demonstrations: Demonstrations, format: str | None = None, overwrite: bool = False
) -> str:
    """Write demonstrations as ``format``, or as the name's ending says; returns the format.

    CredoError as ``check_writable``, and where the demonstrations are none or do not fit the format.
    """
    path = as_path("path", path)
    check_type("write_file", demonstrations)
    format = check_writable(path, format, overwrite)
    writer = FORMATS[format].write
    assert writer is not None
    writer(path, demonstrations, overwrite)
    return format


def check_writable(path: str | Path, format: str | None = None, overwrite: bool = False) -> str:
    """The format that ``write_file`` would write.

    CredoError where ``path`` is none, where the format is unknown or only read, where something is there and
    ``overwrite`` is False, or where there is no such folder.
    """
    path = as_path("path", path)
    written = [name for name, entry in FORMATS.items() if entry.write is not None]
    if format is None:
        format = {SUFFIX: "credo", ".npz": "npz"}.get(path.suffix)
        if format is None:
            raise CredoError(
                f"{path}: which format? .safetensors and .npz are known by their ending; "
                f"for others give --to, one of {', '.join(written)}"
            )
    if format not in written:
        raise CredoError(f"to: {format!r} is not written; one of {', '.join(written)} expected")
    if not overwrite and os.path.lexists(path):
        raise already_there(path)
    if not path.parent.is_dir():
        raise CredoError(f"{path.parent}: is not a folder")
    return format


def _detect_folder(path: Path) -> str:
    if minari.data_folder(path) is not None:
        return "minari"
    if lerobot.is_lerobot(path):
        return "lerobot"
    if imitation.is_imitation(path):
        return "imitation"
    raise CredoError(
        f"{path}: no dataset is known here: neither data/{minari.METADATA} (Minari) nor {lerobot.INFO} (LeRobot) "
        f"nor {imitation.STATE} (imitation)"
    )


def _detect_hdf5(path: Path) -> str:
    if minari.data_folder(path) is not None:
        return "minari"
    with reading(path, "HDF5"), hdf5.opened(path) as root:
        if d4rl.is_d4rl(root):
            return "d4rl"
        if robomimic.is_robomimic(root):
            return "robomimic"
        names = ", ".join(hdf5.names(root)[:8]) or "nothing"
    raise CredoError(
        f"{path}: HDF5 of no known layout (D4RL, robomimic, Minari with its {minari.METADATA}); it holds {names[:120]}"
    )


def _detect_zip(path: Path) -> str:
    with reading(path, "zip"), zipfile.ZipFile(path) as archive:
        names = {info.filename.removesuffix(".npy") for info in npz.checked_members(path, archive)}
    if "policy.pth" in names:
        raise CredoError(
            f"{path}: is a policy of stable-baselines3, not demonstrations; "
            f"roll it out: credo demos generate --expert {path} --env ID --out FILE"
        )
    return "imitation" if names >= imitation.LEGACY else "npz"
