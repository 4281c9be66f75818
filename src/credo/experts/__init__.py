"""The shipped experts: weights as safetensors, each with a card (JSON) that says how it was trained and how
good it is.

Cards are read when asked for, not on import.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from credo.files import read_json
from credo.policies import Policy, load_policy, save_policy
from credo.storage import file_sha256, write_text
from credo.types import CredoError

FOLDER = Path(__file__).parent / "weights"
MAXIMUM_CARD_BYTES = 1 << 20
_KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
_MEASURED = {"return_mean": float, "return_std": float, "return_min": float, "episodes": int}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class ExpertCard:
    """What is known of a shipped expert."""

    name: str
    """Lower-case letters, digits and hyphens, such as "hopper-expert"."""
    environment: str
    algorithm: str
    config: dict[str, Any]
    """The settings it was trained with."""
    seed: int
    steps: int
    """Environment steps of training."""
    versions: dict[str, str]
    """Package name to version."""
    return_mean: float
    """Undiscounted return over ``episodes`` deterministic episodes; so are the next two."""
    return_std: float
    return_min: float
    episodes: int
    elsewhere: dict[str, Any] = field(default_factory=dict)
    """The same elsewhere, where observations agree: environment to return_mean, return_std, return_min, episodes."""
    weights: str = ""
    """File name of the weights beside the card; filled in by ``write_expert``."""
    sha256: str = ""
    """SHA-256 in hex of that file; filled in by ``write_expert``."""


def expert_names() -> list[str]:
    """Names of the shipped experts, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def names_for(environment: str) -> list[str]:
    """Names of the shipped experts that were measured in ``environment``; a damaged card is passed over."""
    found = []
    for name in expert_names():
        with contextlib.suppress(CredoError):
            card = load_card(name)
            if environment == card.environment or environment in card.elsewhere:
                found.append(name)
    return found


def load_card(name: str) -> ExpertCard:
    """The card of an expert; CredoError for an unknown name (lists the nearest) or a damaged card."""
    names = expert_names()
    if name not in names:
        raise CredoError(f"expert: {name!r} is not a shipped expert; {nearest(name, names)}")
    path = FOLDER / f"{name}.json"
    card = _read_card(path)
    if card.name != name:
        raise CredoError(f"{path}: field name: {card.name!r} found, {name!r} expected")
    return card


def load_expert(name: str) -> tuple[Policy, ExpertCard]:
    """An expert's policy and card.

    CredoError for an unknown name (lists the nearest), or where card or weights are missing, damaged, or do
    not belong together.
    """
    card = load_card(name)
    path = FOLDER / card.weights
    actual = file_sha256(path)
    if actual != card.sha256:
        raise CredoError(
            f"{path}: field sha256: the card says {card.sha256[:12]}..., the file has {actual[:12]}...; "
            "install Credo again"
        )
    return load_policy(path), card


def write_expert(policy: Policy, card: ExpertCard, folder: str | Path) -> ExpertCard:
    """Write weights and card into ``folder``, replacing an expert of that name; returns the card written."""
    if not _NAME.fullmatch(card.name):
        raise CredoError(f"expert: field name: {card.name!r}; lower-case letters, digits and hyphens expected")
    folder = Path(folder)
    weights = folder / f"{card.name}.safetensors"
    save_policy(weights, policy, overwrite=True)
    card = replace(card, weights=weights.name, sha256=file_sha256(weights))
    write_card(card, folder)
    return card


def write_card(card: ExpertCard, folder: Path) -> None:
    """Write the card alone, replacing one of that name: the weights stay the same file, byte for byte."""
    text = json.dumps(asdict(card), indent=2, sort_keys=True, allow_nan=False)
    write_text(folder / f"{card.name}.json", text + "\n", overwrite=True)


def nearest(name: str, names: list[str]) -> str:
    """ "nearest: a, b" or, where none is near, "known: ..." for an error line."""
    if not names:
        return "none are installed"
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return f"nearest: {', '.join(close)}" if close else f"known: {', '.join(names)}"


def _read_card(path: Path) -> ExpertCard:
    values = read_json(path, MAXIMUM_CARD_BYTES)
    names = {known.name: str(known.type) for known in fields(ExpertCard)}
    if odd := sorted(set(values) ^ set(names)):
        raise CredoError(f"{path}: fields missing or unknown: {', '.join(odd)[:80]}")
    for name, kind in names.items():
        accepted = _KINDS.get(kind, (dict,))
        if not isinstance(values[name], accepted) or isinstance(values[name], bool):
            raise CredoError(f"{path}: field {name}: {str(values[name])[:40]!r} found, {kind} expected")
    for environment, told in values["elsewhere"].items():
        if not isinstance(told, dict) or {n: type(v) for n, v in told.items()} != _MEASURED:
            raise CredoError(f"{path}: field elsewhere: {environment[:40]!r}: {', '.join(_MEASURED)} expected")
    if values["weights"] != f"{values['name']}.safetensors" or not _NAME.fullmatch(values["name"]):
        raise CredoError(f"{path}: field weights: {values['weights'][:40]!r} found, the name's own file expected")
    return ExpertCard(**values)
