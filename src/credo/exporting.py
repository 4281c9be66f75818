"""A run's policy as a file to deploy: ONNX, or Credo's own policy file with a card that says where it comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from credo import run_folder
from credo.api import Run, check_which, only_policy
from credo.demonstrations.load import MINARI
from credo.files import as_path, read_json
from credo.policies import Policy, load_credo_policy, onnx_bytes
from credo.storage import check_replaceable, file_sha256, write_bytes, write_text
from credo.types import CredoError

ExportFormat = Literal["onnx", "numpy"]
SUFFIX = {"onnx": ".onnx", "numpy": ".safetensors"}
_PATHS = ("demonstrations", "seed_replay")
"""Settings that may be a file's path."""


def export(
    source: Run | Policy | str | Path,
    format: ExportFormat = "onnx",
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    policy: Literal["best", "last"] = "best",
    overwrite: bool = False,
) -> Path:
    """Write a policy for use without Credo's training, and return the file's path.

    Observation normalisation, action scaling and clipping are inside: it takes the environment's own observations and
    gives its own actions.

    Args:
        source: a run or its folder, a policy, or a policy file.
        format: "onnx", for any ONNX runtime; "numpy": the policy file that ``credo.load_policy`` reads without JAX, and
            beside it a card (JSON) with settings, returns, versions and the file's SHA-256.
        out: the file; None: a name made of the run's, the seed and the policy, in the current folder.
        seed: of the run; None: the seed nearest to the demonstrations.
        policy: "best", kept by the reward-free measures, or "last".
        overwrite: replace what is there; in the card's place only another card.

    Raises:
        CredoError: there is no such policy, it holds NaN or infinity, ``out`` is there or cannot be written, or
            "onnx" is not installed.
    """
    if format not in SUFFIX:
        raise CredoError(f"format: {format!r} is not one of {', '.join(SUFFIX)}")
    check_which("policy", policy)
    chosen, name, card = _chosen(source, seed, policy)
    path = as_path("out", out) if out is not None else Path(f"{name}{SUFFIX[format]}")
    if path.suffix != SUFFIX[format]:
        raise CredoError(f"out: {path} should end in {SUFFIX[format]}, which is what tells the format")
    card_path = path.with_suffix(".json")
    for target in (path, card_path) if format == "numpy" else (path,):
        if target.is_dir() or (os.path.lexists(target) and not overwrite):
            raise CredoError(f"out: {target} exists; give another name or --overwrite")
        check_replaceable(target)
    if format == "numpy" and card_path.exists() and not _is_card(card_path):
        raise CredoError(
            f"out: {card_path}, where the card goes, is no policy's card and is left as it is; choose another name"
        )
    if not path.parent.is_dir():
        raise CredoError(f"out: {path.parent} is not a folder")
    try:
        if format == "onnx":
            write_bytes(path, onnx_bytes(chosen), overwrite=overwrite)
        else:
            from credo.policies import save_policy

            save_policy(path, chosen, overwrite=overwrite)
            text = json.dumps(card | {"weights": path.name, "sha256": file_sha256(path)}, indent=2, sort_keys=True)
            write_text(card_path, text + "\n", overwrite=overwrite)
    except OSError as error:
        raise CredoError(f"out: {path} cannot be written ({error.strerror or error})") from None
    return path


def _is_card(path: Path) -> bool:
    try:
        return read_json(path).keys() >= {"weights", "sha256"}
    except CredoError:
        return False


def _chosen(source: Run | Policy | str | Path, seed: int | None, which: str) -> tuple[Policy, str, dict[str, Any]]:
    """The policy, a name for its file, and its card."""
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_file():
            only_policy(path, seed, which)
            if path.suffix.lower() == ".onnx":
                raise CredoError(f"export: {path} is ONNX already; a run, its folder or a .safetensors policy expected")
            source = load_credo_policy(path)
            return source, path.stem, _about(source)
        if not path.is_dir():
            raise CredoError(f"export: {path} is neither a run folder nor a policy file")
        source = Run(path)
    if isinstance(source, Policy):
        only_policy("this", seed, which)
        return source, "policy", _about(source)
    if not isinstance(source, Run):
        raise CredoError(f"export: {source!r} is neither a run, its folder, a policy nor a policy file")
    number = source.best_seed if seed is None else seed
    chosen = source.policy(number, which)
    _, stored = run_folder.read_config(source.folder)
    told = source.summary.get("seeds", {}).get(str(number), {})
    card = _about(chosen) | {
        "run": stored.get("id"),
        "config": _without_folders(stored.get("config")),
        "versions": stored.get("versions"),
        "demonstrations": stored.get("demonstrations"),
        "seed": number,
        "policy": which,
        "return_mean": told.get("selected_return" if which == "best" else "final_return"),
    }
    return chosen, f"{source.folder.resolve().name}-seed-{number}-{which}", card


def _without_folders(config: Any) -> Any:
    """The settings without the folders of whoever trained: a card is given away."""
    if not isinstance(config, dict):
        return config
    paths = {name: config[name] for name in _PATHS if isinstance(config.get(name), str)}
    return config | {name: Path(text).name for name, text in paths.items() if not text.startswith(MINARI)}


def _about(policy: Policy) -> dict[str, Any]:
    return {
        "environment": policy.environment,
        "observation_size": policy.observation_size,
        "action_size": policy.action_size,
        "action_low": policy.action_low.tolist(),
        "action_high": policy.action_high.tolist(),
        "metadata": policy.metadata,
    }
