"""Demonstrations by name or path: what ``--demos`` takes."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from credo import experts
from credo.demonstrations.dataset import Demonstrations
from credo.demonstrations.files import SUFFIX, read_demonstrations, save_demonstrations
from credo.demonstrations.formats import ReadOptions, minari, read_file
from credo.files import as_path, home_folder
from credo.types import CredoError, EnvironmentSpec

DEFAULT_EPISODES = 25
SEED = 0
"""Of shipped experts' demonstrations: part of what the name "hopper-expert" means."""
GENERATION = 1
"""Part of the cache file's name; raised when the same request gives other data than before."""

MINARI = "minari:"
"""What the name of a dataset in minari's own folder begins with."""

_logger = logging.getLogger(__name__)
_FEW = 100
"""Episodes of an expert that are rolled out in a few seconds."""
_unsaved: dict[Path, Demonstrations] = {}
"""What could not be written to the cache, so that this process makes it once only."""


class Request(NamedTuple):
    """A parsed ``--demos`` argument."""

    name: str
    """An expert's name, or a path."""
    episodes: int | None
    """None unless given after a colon."""
    subsample: int
    """1 keeps every transition."""
    keys: tuple[str, ...] = ()
    """Observations to join, for formats that have several."""
    mask: str = ""
    """The part of the episodes to read, for formats that name some."""


def load_demonstrations(
    spec: str | Path | Demonstrations,
    environment: str | None = None,
    *,
    seed: int = 0,
    fitting: EnvironmentSpec | None = None,
    clip: bool = False,
    observation_keys: Sequence[str] = (),
) -> Demonstrations:
    """Demonstrations from a file or folder of any format (docs/demonstrations.md), or of a shipped expert.

    Args:
        spec: a path; "minari:ID" for a dataset in minari's own folder; or an expert's name, "hopper-expert" (25
        episodes) or "hopper-expert:50". "@subsample=20" may follow (every 20th transition of each episode, from an
        offset drawn with ``seed``, each with its true next observation), and "@keys=NAME,NAME" (the observations to
        join, where a format has several) and "@mask=NAME" (one of robomimic's parts). ``Demonstrations`` come back as
        they are.
        environment: where a shipped expert is rolled out; None is where it was trained. Of a file the environment that
        it is for, as its name (``fitting`` says more); sizes are not compared with it (``check_fits`` does that).
        seed: of the subsampling offsets.
        fitting: the environment they are for. Many formats hold actions in its units without saying its action box,
        or episodes without saying its time limit: they are read with these.
        clip: clip a file's actions that lie beyond the action box instead of refusing them.
        observation_keys: entries of the Dict observations of ``environment``, joined in this order.

    An expert's demonstrations are made on first use and kept in ``cache_folder()``; a damaged cache file is
    made again, and where nothing can be written they are kept in memory and a warning is logged.

    Raises:
        CredoError: neither a file nor an expert's name (lists the nearest), a bad number, a damaged file, or
        an expert that does not fit the environment.
    """
    if isinstance(spec, Demonstrations):
        return spec
    as_path("demonstrations", spec)
    request = parse_request(os.fspath(spec))
    if request.name in experts.expert_names() and not isinstance(spec, Path):
        if request.keys:
            keys = ",".join(request.keys)[:60]
            raise CredoError(f"demonstrations: keys: {keys}: {request.name} holds one observation, not several")
        if request.mask:
            raise CredoError(f"demonstrations: mask: {request.mask[:60]}: {request.name} has no parts by name")
        demonstrations = _of_expert(request.name, request.episodes or DEFAULT_EPISODES, environment)
    else:
        if fitting is None and environment is not None:
            from credo.environments import specification, viewed

            fitting = specification(viewed(environment, observation_keys))
        return _of_file(request, seed, fitting, clip)
    return demonstrations if request.subsample == 1 else demonstrations.subsample(request.subsample, seed)


def parse_request(text: str) -> Request:
    """Parse "name[:episodes]" or a path, with "@subsample=STRIDE", "@keys=A,B" and "@mask=NAME"; CredoError on a bad
    number."""
    rest, subsample, mask = text, 1, ""
    keys: tuple[str, ...] = ()
    while (match := re.fullmatch(r"(.+)@([a-z_]+)=([^/@]*)", rest, re.DOTALL)) and not os.path.lexists(rest):
        rest, option, value = match.groups()
        if option == "subsample":
            subsample = _count(text, "subsample", value)
        elif option == "keys":
            keys = tuple(value.split(","))
        elif option == "mask":
            mask = value
        else:
            known = "subsample=STRIDE, keys=NAMES and mask=NAME are known"
            raise CredoError(f"demonstrations: {text!r}: option {option!r} is unknown; {known}")
    if rest.startswith(MINARI) and not os.path.lexists(rest):
        return Request(str(minari.folder_of(rest.removeprefix(MINARI))), None, subsample, keys, mask)
    if (match := re.fullmatch(r"([a-z0-9][a-z0-9-]*):(.*)", rest)) and not os.path.lexists(rest):
        return Request(match[1], _count(text, "episodes", match[2]), subsample, keys, mask)
    return Request(rest, None, subsample, keys, mask)


def cache_folder() -> Path:
    """``$CREDO_CACHE``, else ``$XDG_CACHE_HOME/credo``, else ``~/.cache/credo``; it need not exist."""
    if own := os.environ.get("CREDO_CACHE"):
        return Path(own)
    if (shared := os.environ.get("XDG_CACHE_HOME")) and os.path.isabs(shared):
        return Path(shared) / "credo"
    return home_folder() / ".cache" / "credo"


def _count(text: str, what: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 9 and int(value) >= 1):
        raise CredoError(f"demonstrations: {text!r}: {what} is {value!r}, a whole number of 1 or more expected")
    return int(value)


def _of_file(request: Request, seed: int, fitting: EnvironmentSpec | None, clip: bool) -> Demonstrations:
    if request.episodes is None and (os.path.lexists(request.name) or _looks_like_path(request.name)):
        options = ReadOptions(fitting, request.keys, request.mask, request.subsample, seed, clip)
        return read_file(Path(request.name), options)
    file, _, count = request.name.rpartition(":")
    if count.isdecimal() and os.path.lexists(file):
        raise CredoError(
            f"demonstrations: {request.name!r}: a file is taken whole; "
            f"credo demos subsample {file} OUT --episodes {count} keeps its first episodes"
        )
    near = experts.nearest(request.name, experts.expert_names())
    raise CredoError(f"demonstrations: {request.name!r} is neither a file nor a shipped expert; {near}")


def _looks_like_path(name: str) -> bool:
    return name.endswith((SUFFIX, ".npz", ".hdf5", ".h5", ".zip")) or "/" in name or os.sep in name


def _of_expert(name: str, episodes: int, environment: str | None) -> Demonstrations:
    from credo.demonstrations.generate import ACTION_NOISE, generate_demonstrations

    policy, card = experts.load_expert(name)
    environment = environment or card.environment
    # The environment's name may hold what a file name may not, and two such names must not meet in one file.
    readable = re.sub(r"[^A-Za-z0-9.-]", "_", environment)[:60]
    identity = f"{GENERATION}|{environment}|{ACTION_NOISE}|{SEED}|{card.sha256}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    file_name = f"{name}_{readable}_{episodes}-episodes_noise-{ACTION_NOISE:g}_{digest}{SUFFIX}"
    path = cache_folder() / file_name
    if path in _unsaved:
        return _unsaved[path]
    if path.exists():
        try:
            demonstrations = read_demonstrations(path)
        except CredoError as error:
            _logger.info("%s; it is made again", error)
        else:
            if demonstrations.environment == environment and demonstrations.episodes == episodes:
                return demonstrations
    if episodes > _FEW:
        _logger.warning("rolling out %s episodes of %s, once: it takes some minutes", f"{episodes:,}", name)
    demonstrations = generate_demonstrations(
        environment,
        policy,
        episodes=episodes,
        noise=ACTION_NOISE,
        seed=SEED,
        description=f"{name} ({card.algorithm}), {episodes} episodes, action noise {ACTION_NOISE:g}",
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_demonstrations(path, demonstrations, overwrite=True)
    except (CredoError, OSError) as error:
        _unsaved[path] = demonstrations
        _logger.warning("demonstrations of %s are kept in memory only: %s", name, error)
    return demonstrations
