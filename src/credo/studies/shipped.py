"""The study files that come with Credo."""

from __future__ import annotations

from pathlib import Path

from credo.studies.settings import nearest
from credo.types import CredoError

FOLDER = Path(__file__).parent / "shipped"


def shipped_names() -> list[str]:
    """Names of the shipped studies, figures in the order of the paper."""

    def order(name: str) -> tuple[str, int, str]:
        word, _, rest = name.partition("-")
        number = rest.split("-")[0]
        return word, int(number) if number.isdigit() else 0, rest

    return sorted((path.stem for path in FOLDER.glob("*.toml")), key=order)


def find_study(name: str) -> Path:
    """A study file by path, or a shipped one by name; CredoError with the nearest name."""
    path = Path(name)
    if path.is_file() or path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if name in shipped_names():
        return FOLDER / f"{name}.toml"
    near = nearest(name, shipped_names(), "credo study list")
    raise CredoError(f"study: {name!r} is neither a file nor a shipped study; {near}")
