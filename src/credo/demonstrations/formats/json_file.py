"""JSON files from strangers: bounded in size and depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from credo.types import CredoError

MAXIMUM_BYTES = 64 << 20
"""Statistics of a large dataset take a few megabytes."""


def read_json(path: Path, raw: bytes | None = None, field: str = "") -> Any:
    """The value of a JSON file, or of ``raw`` (the text of ``field`` in it); bare Infinity and NaN are read.

    An object is expected at the top. CredoError where it is missing, too large, too deep or no JSON.
    """
    where = f"{path}: field {field}" if field else f"{path}"
    try:
        if raw is None:
            with open(path, "rb") as file:
                raw = file.read(MAXIMUM_BYTES + 1)
        if len(raw) > MAXIMUM_BYTES:
            raise CredoError(f"{where}: larger than {MAXIMUM_BYTES:,} bytes")
        value = json.loads(raw)
    except OSError as error:
        raise CredoError(f"{where}: cannot be read ({error.strerror or error})") from None
    except RecursionError:
        raise CredoError(f"{where}: nested too deeply") from None
    except ValueError:
        raise CredoError(f"{where}: not valid JSON") from None
    if not isinstance(value, dict):
        raise CredoError(f"{where}: an object expected at the top")
    return value
