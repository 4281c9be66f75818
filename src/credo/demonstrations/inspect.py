"""What a set of demonstrations holds, and what in it may spoil imitation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from credo.demonstrations.combine import with_bounds
from credo.demonstrations.dataset import Demonstrations
from credo.demonstrations.formats.recording import NOT_READ
from credo.demonstrations.rows import mean_and_deviation
from credo.demonstrations.validate import place
from credo.types import EnvironmentSpec

SATURATION = 0.999
"""An action component at least this large counts as saturated."""
SATURATED_SHARE = 0.5
"""Share of saturated action components that is reported as a problem."""
RETURN_SPREAD = 0.25
"""Standard deviation of the returns, as a share of the size of their mean, that is reported as a problem."""
BEYOND_SHARE = 0.01
"""Share of the values of a dimension beyond what the environment declares that is reported as a problem."""
BOUND_TOLERANCE = 1e-3
"""By how much a value may be beyond, as a share of the range."""
STILL_SHARE = 0.5
"""Share of next observations that equal the observation before, beyond which it is reported as a problem."""
NAMED = 8
"""At most so many episodes or dimensions are named in one problem."""
_SUBSAMPLED = 3
"""Steps of the longest episode that subsampling may leave all rows but one of."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Returns:
    """Undiscounted returns of the episodes as recorded."""

    mean: float
    std: float
    minimum: float
    maximum: float
    quantiles: tuple[float, ...]
    """At ``QUANTILES``."""


@dataclass(frozen=True)
class Range:
    """The values of one observation or action dimension."""

    minimum: float
    maximum: float
    mean: float
    std: float


@dataclass(frozen=True)
class Inspection:
    """A summary of demonstrations."""

    environment: str
    source: str
    sha256: str
    episodes: int
    transitions: int
    """Rows held; fewer than the episodes' steps where transitions were left out."""
    returns: Returns | None
    """None if the rewards are unknown."""
    length_minimum: int
    length_mean: float
    length_maximum: int
    """Lengths are in environment steps, of the episodes as recorded."""
    terminated_share: float
    """Share of episodes whose last held transition terminated; likewise ``truncated_share``."""
    truncated_share: float
    observation: tuple[Range, ...]
    """One a dimension."""
    action: tuple[Range, ...]
    """One a dimension."""
    action_bounds: np.ndarray | None
    """[2, A]: the box that actions were scaled from; else that of ``spec``; None: unknown."""
    saturated_share: float
    """Share of action components of size ``SATURATION`` or more."""
    problems: tuple[str, ...]
    """One line each; empty if none was found."""


def inspect(demonstrations: Demonstrations, spec: EnvironmentSpec | None = None) -> Inspection:
    """Summarise demonstrations and list the problems found.

    Problems: constant observation or action dimensions, saturated actions, duplicated episodes, one-step
    episodes, a single episode, returns whose standard deviation is above ``RETURN_SPREAD`` times the size of
    their mean, fields of the file that were not read, and those of ``doubtful_ends`` and ``beyond_bounds``; ``spec`` is
    the environment that they are for, where it is known.
    """
    d = demonstrations
    saturated = np.abs(d.action) >= SATURATION
    ends = d.last_row
    observation, action = _ranges(d.observation), _ranges(d.action)
    returns = None if d.returns is None else _returns(d.returns)
    return Inspection(
        environment=d.environment,
        source=d.source,
        sha256=d.sha256,
        episodes=d.episodes,
        transitions=len(d),
        returns=returns,
        length_minimum=int(d.lengths.min()),
        length_mean=float(d.lengths.mean()),
        length_maximum=int(d.lengths.max()),
        terminated_share=float(d.terminated[ends].mean()),
        truncated_share=float(d.truncated[ends].mean()),
        observation=observation,
        action=action,
        action_bounds=d.action_bounds if spec is None else with_bounds(d, spec).action_bounds,
        saturated_share=float(saturated.mean()) if d.has_actions else 0.0,
        problems=(
            *_problems(d, observation, action, saturated, returns),
            *doubtful_ends(d, None if spec is None else spec.max_episode_steps),
            *([] if spec is None else beyond_bounds(d, spec)),
            *([f"fields: not read: {d.source.partition(NOT_READ)[2].rstrip(')')}"] if NOT_READ in d.source else []),
        ),
    )


def beyond_bounds(d: Demonstrations, spec: EnvironmentSpec) -> list[str]:
    """A line on observations beyond what the environment declares: in other units, or in another order."""
    bounds = spec.observation_bounds
    if bounds is None or bounds.shape[1] != d.observation_size:
        return []
    low, high = bounds
    room = BOUND_TOLERANCE * np.where(np.isfinite(high - low), high - low, 0.0)
    share = ((d.observation < low - room) | (d.observation > high + room)).mean(axis=0)
    beyond = np.flatnonzero(share > BEYOND_SHARE)
    if not beyond.size:
        return []
    i = int(beyond[np.argmax(share[beyond])])
    return [
        f"observation: beyond what {spec.name} declares in {_named('dimension', beyond.tolist())}: dimension {i} is "
        f"{d.observation[:, i].min():.4g} to {d.observation[:, i].max():.4g}, declared are {low[i]:.4g} to "
        f"{high[i]:.4g}: other units, or another order of dimensions?"
    ]


def doubtful_ends(d: Demonstrations, time_limit: int | None = None) -> list[str]:
    """One line each on signs that episodes do not end where they are said to, or that successors are none.

    Args:
        d: the demonstrations.
        time_limit: of the environment, in steps; None: unknown.
    """
    ends = d.last_row
    lines = []
    still = float((d.next_observation == d.observation).all(axis=1).mean())
    if still > STILL_SHARE and (d.observation != d.observation[0]).any():
        lines.append(
            f"next observations: {still:.0%} of them equal the observation before: true successors are needed "
            "(unless the demonstrator holds still)"
        )
    elif len(d) == d.lengths.sum() and (gaps := np.setdiff1d(d.successor_row, ends)).size:
        lines.append(
            f"episodes: in {gaps.size} rows the next observation is not the next row's (the first is "
            f"{place(d.episode_start, int(gaps[0]))}): is the end of an episode without its flag there?"
        )
    if (d.rows_per_episode == d.lengths - 1).all() and int(d.lengths.min()) > _SUBSAMPLED:
        lines.append(
            "next observations: of every episode's last step the file has none: it is left out, "
            "and no episode counts as terminated"
        )
    shortest, longest = int(d.lengths.min()), int(d.lengths.max())
    early = shortest < longest if time_limit is None else longest < time_limit
    whole = d.whole.all()  # else a flag may be in a row that was left out
    if early and whole and d.episodes > 2 and not d.terminated.any():
        why = "are of different lengths" if time_limit is None else f"end before the limit of {time_limit} steps"
        lines.append(
            f"terminated: no episode is, though all {why} ({shortest} to {longest} steps): if they end in success or a "
            "fall, the file does not say so (credo demos convert --terminated counts them so)"
        )
    if time_limit is not None and (longer := np.flatnonzero(d.lengths > time_limit)).size:
        lines.append(
            f"episodes: longer than the environment's limit of {time_limit} steps: {_named('episode', longer.tolist())}"
        )
    limited = d.terminated[ends].all() and d.episodes > 2 and int(d.lengths.min()) == int(d.lengths.max()) > 1
    if limited and time_limit in (None, int(d.lengths[0])):
        lines.append(
            f"terminated: every episode is, after {d.lengths[0]} steps: if that is a time limit, "
            "truncated is its flag (a terminated episode is worth nothing after its end)"
        )
    return lines


def lines(inspection: Inspection) -> list[tuple[str, str]]:
    """Rows (name, value) of plain text for a table; ranges are in ``Inspection`` alone."""
    i = inspection
    length = f"{i.length_minimum} to {i.length_maximum}, mean {i.length_mean:.1f}"
    if i.length_minimum == i.length_maximum:
        length = str(i.length_maximum)
    rows = [
        ("environment", i.environment or "unknown"),
        ("source", i.source or "unknown"),
        ("sha256", i.sha256),
        ("episodes", str(i.episodes)),
        ("transitions", str(i.transitions)),
        ("episode length [steps]", length),
    ]
    if i.returns is None:
        rows.append(("return", "unknown (no rewards)"))
    elif i.returns.minimum == i.returns.maximum == 0:
        rows.append(("return", "0 in every episode, which tells nothing"))
    else:
        r = i.returns
        quantiles = [f"{q:.0%}: {value:.1f}" for q, value in zip(QUANTILES, r.quantiles, strict=True)]
        rows.append(("return", f"mean {r.mean:.1f}, std {r.std:.1f}, {r.minimum:.1f} to {r.maximum:.1f}"))
        rows.append(("return quantiles", ", ".join(quantiles)))
    rows += [
        ("terminated", f"{i.terminated_share:.1%} of episodes"),
        ("truncated", f"{i.truncated_share:.1%} of episodes"),
        ("observation", _extent(i.observation)),
        ("action", _extent(i.action) if i.action else "unknown (a discriminator of states alone can imitate them)"),
    ]
    if i.action:
        rows.append(("action box", _box(i.action_bounds)))
        rows.append(("saturated actions", f"{i.saturated_share:.1%} of components at {SATURATION} or more"))
    rows += [("problem", problem) for problem in i.problems] or [("problems", "none found")]
    return rows


def _problems(
    d: Demonstrations,
    observation: tuple[Range, ...],
    action: tuple[Range, ...],
    saturated: np.ndarray,
    returns: Returns | None,
) -> list[str]:
    problems = []
    for name, ranges in (("observation", observation), ("action", action)):
        constant = [i for i, values in enumerate(ranges) if values.minimum == values.maximum]
        if constant:
            problems.append(f"{name}: constant in {_named('dimension', constant)}")
    share = saturated.mean() if d.has_actions else 0.0
    if share >= SATURATED_SHARE:
        problems.append(f"action: {share:.0%} of components are saturated; a tanh policy can only approach them")
    if d.episodes == 1:
        problems.append("episodes: only one, so none can be held out for measuring")
    if duplicates := _duplicates(d):
        problems.append(f"episodes: duplicates of earlier ones: {_named('episode', duplicates)}")
    if short := np.flatnonzero(d.lengths == 1).tolist():
        problems.append(f"episodes: one step only: {_named('episode', short)}")
    if returns is not None and returns.std > RETURN_SPREAD * abs(returns.mean):
        problems.append(
            f"returns: vary widely (std {returns.std:.1f}, mean {returns.mean:.1f}): "
            "the demonstrator may not be one expert, or the task's difficulty varies"
        )
    return problems


def _duplicates(d: Demonstrations) -> list[int]:
    """Episodes whose held observations and actions equal, bit for bit, those of an earlier one."""
    seen: set[bytes] = set()
    duplicates = []
    for k, (start, stop) in enumerate(zip(d.episode_start[:-1], d.episode_start[1:], strict=True)):
        digest = hashlib.sha256(d.observation[start:stop].tobytes())
        digest.update(d.action[start:stop].tobytes())
        if digest.digest() in seen:
            duplicates.append(k)
        seen.add(digest.digest())
    return duplicates


def _returns(returns: np.ndarray) -> Returns:
    return Returns(
        mean=float(returns.mean()),
        std=float(returns.std()),
        minimum=float(returns.min()),
        maximum=float(returns.max()),
        quantiles=tuple(np.quantile(returns, QUANTILES).tolist()),
    )


def _ranges(values: np.ndarray) -> tuple[Range, ...]:
    columns = (values.min(axis=0), values.max(axis=0), *mean_and_deviation(values))
    return tuple(Range(*(float(column[i]) for column in columns)) for i in range(values.shape[1]))


def _box(bounds: np.ndarray | None) -> str:
    """The units that actions were recorded in; those of many dimensions as one range."""
    if bounds is None:
        return "unknown: actions are taken to be in -1 to 1 already (--env names an environment that says it)"
    each = [f"{low:g} to {high:g}" for low, high in bounds.T.tolist()]
    return each[0] if len(set(each)) == 1 else ", ".join(each[:NAMED]) + (", ..." if len(each) > NAMED else "")


def _extent(ranges: tuple[Range, ...]) -> str:
    low, high = min(values.minimum for values in ranges), max(values.maximum for values in ranges)
    return f"{len(ranges)} dimensions, {low:.3g} to {high:.3g}"


def _named(what: str, indices: list[int]) -> str:
    shown = ", ".join(str(index) for index in indices[:NAMED])
    more = f" and {len(indices) - NAMED} more" if len(indices) > NAMED else ""
    return f"{what}{'s' if len(indices) > 1 else ''} {shown}{more}"
