"""Credo's own demonstrations file: one safetensors file.

Why safetensors and not Parquet with JSON: the arrays come back bit for bit; the header is the only thing to
parse and the data must fill the file exactly, so a hostile file cannot make the reader allocate more than its
own size (compressed Parquet pages can); one field, or some rows of it, can be read without the rest
(``safe_open``); NumPy, PyTorch, JAX and Rust read it without Credo; and one file cannot lose its metadata. It
is not compressed: control data hardly compresses.

The arrays are those of ``Demonstrations`` by field name, those that are None left out. A SHA-256 over arrays
and metadata is checked on loading.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from credo.demonstrations.dataset import ARRAYS, Demonstrations, tensors
from credo.storage import read_tensors, write_tensors
from credo.types import CredoError

FORMAT = "credo-demonstrations"
VERSION = 1
SUFFIX = ".safetensors"

_DTYPES = {
    "terminated": np.dtype(bool),
    "truncated": np.dtype(bool),
    "episode_start": np.dtype(np.int64),
    "successor_row": np.dtype(np.int64),
    "lengths": np.dtype(np.int64),
    "returns": np.dtype(np.float64),
}
_OPTIONAL = {"reward", "returns", "action_bounds"}


def save_demonstrations(path: str | Path, demonstrations: Demonstrations, *, overwrite: bool = False) -> None:
    """Write the demonstrations atomically to ``path``.

    CredoError where it cannot be written, or where something is there and ``overwrite`` is False.
    """
    write_tensors(
        path,
        format=FORMAT,
        version=VERSION,
        tensors=tensors(demonstrations),
        metadata={"environment": demonstrations.environment, "source": demonstrations.source},
        overwrite=overwrite,
    )


def read_demonstrations(path: str | Path) -> Demonstrations:
    """Read a file that ``save_demonstrations`` wrote.

    CredoError, one line with file and field, for a file that is missing, empty, truncated, damaged, of
    another format or newer version, or whose arrays are no valid ``Demonstrations``.
    """
    arrays, metadata = read_tensors(path, format=FORMAT, version=VERSION)
    for name in sorted(set(arrays) ^ set(ARRAYS) - (_OPTIONAL - set(arrays))):
        raise CredoError(f"{path}: field {name[:60]!r}: {'unknown' if name in arrays else 'missing'}")
    for name, array in arrays.items():
        expected = _DTYPES.get(name, np.dtype(np.float32))
        if array.dtype != expected:
            raise CredoError(f"{path}: field {name}: dtype {array.dtype} found, {expected} expected")
        if array.dtype == bool and (array.view(np.uint8) > 1).any():
            raise CredoError(f"{path}: field {name}: holds bytes other than 0 and 1")
    try:
        return Demonstrations(**arrays, environment=metadata.get("environment", ""), source=metadata.get("source", ""))
    except CredoError as error:
        raise CredoError(f"{path}: {error}") from None
