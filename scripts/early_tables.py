"""Tables of docs/stability/first-steps.md: the first 2,560 steps, from the files of keep_study.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np
from kept_files import ENVIRONMENTS, LEARNERS, Rows, markdown, read

from credo.studies.counts import Stratum, exact_test, holm

CHANGES = {
    "plain": "nothing",
    "environment-reward": "the environment's own reward, no discriminator",
    "still-discriminator": "a discriminator that never learns (learning rate 1e-12)",
    "bounded-reward": "reward D, between 0 and 1 (r4)",
    "signed-reward": "reward l (cr)",
    "no-bootstrapping": "no bootstrapping (discount 0.001)",
    "slow-actor": "actor's learning rate 1e-4",
    "slow-critic": "critics' learning rate 1e-4",
    "late-actor": "actor from the 1,001st update on",
    "small-last-layer": "actor's last layer begins at a hundredth",
    "preactivation-penalty": "**pre-activation penalty, 0.01**",
    "actor-gradient-clip": "actor's gradient cut to norm 1",
    "layer-norm-actor": "layer norm in the actor",
    "layer-norm-critic": "layer norm in the critics",
    "normalised-observations": "normalised observations",
    "gradient-penalty": "gradient penalty on the discriminator",
    "credo": "CREDO, c = 5",
    "credo-at-once": "CREDO, c = 0.5: it acts from the first round",
    "credo-clip-at-once": "CREDO `clip`, c = 0.5",
    "two-critics": "two critics: TD3",
    "short-horizon": "discount 0.95",
    "cloned-actor": "actor begins as a clone of the expert",
    "cloning": "cloning loss beside the critic (`cloning_weight` 1)",
    "small-penalty": "pre-activation penalty, 0.001",
    "layer-norm-both": "layer norm in actor and critics",
    "slow-actor-and-critic": "all learning rates 3e-4",
    "later-learning": "learning from step 1,024 on",
    "credo-resample": "CREDO `resample`, c = 1",
    "credo-retained": "CREDO `retained`, c = 1",
    "credo-batch": "CREDO `batch`, c = 1",
    "credo-clip": "CREDO `clip`, c = 1",
    "credo-both": "CREDO `both`, c = 1",
    "reward-r4": "reward r4",
    "reward-cr": "reward l (cr)",
    "penalty-and-gradient-penalty": "pre-activation penalty 0.01, gradient penalty on the discriminator",
    "penalty-and-critic-norm": "pre-activation penalty 0.01, layer norm in the critics",
    "penalty-gradient-penalty-normalised": "pre-activation penalty 0.01, gradient penalty, normalised observations",
    "spectral-normalisation": "spectral normalisation of the discriminator",
    "controller": "C-GAIL's controller",
    "label-smoothing": "label smoothing",
    "mixup": "mixup",
    "entropy": "entropy bonus of the discriminator",
    "logit-clamp": "logit clamped to ±10 (changes no number but by rounding)",
    "reward-r5": "reward r5",
    "reward-r6": "reward r6",
    "reward-r7": "reward r7",
    "reward-r8": "reward r8",
    "reward-cr-absorbing": "reward l (cr), absorbing states",
    "no-random-steps": "the policy acts from the first step on",
    "few-updates": "a quarter of the updates",
    "critic-norm-and-slow": "layer norm in the critics, all learning rates 3e-4",
    "action-cost": "action cost in the reward, 0.3",
    "reward-r3": "reward log D (r3)",
    "reward-fairl": "reward of FAIRL",
    "reward-normalisation": "reward divided by its deviation",
    "states-alone": "a discriminator of states alone",
    "one-sided-penalty": "one-sided gradient penalty on the discriminator",
    "r1": "R1 penalty on the discriminator",
    "positive-unlabelled": "positive-unlabelled loss",
    "weight-decay": "weight decay of the discriminator",
    "dropout": "dropout in the discriminator",
    "instance-noise": "noise on what the discriminator sees",
}
CHANGE_HEADER = ("changed", "dead", "inactive at the end", "saturated at the end", "dead from step", "p, alone / Holm")
LEARNER_HEADER = (
    "",
    "{}: dead",
    "inactive at the end",
    "dead from step",
    "saturated at the end",
    "{}: dead",
    "inactive at the end",
    "saturated at the end",
    "p",
)
Cells = dict[tuple[str, str], Rows]


def cells_of(results: Path, study: str, first_seed: int = 0) -> Cells:
    """The seeds of each (method, environment), from a number on."""
    cells: Cells = {}
    for row in read(results / f"{study}-seeds.csv"):
        if row["seed"] >= first_seed:
            cells.setdefault((row["method"], row["environment"]), []).append(row)
    return cells


def dead(rows: Rows) -> str:
    """How many; a run on the environment's reward has no expert to be compared with."""
    known = all(row["expert_return"] != "" for row in rows)
    return f"{sum(row['verdict'] == 'dead' for row in rows)} of {len(rows)}" if known else "-"


def inactive(rows: Rows) -> int:
    return sum(int(row["inactive"]) for row in rows)


def dead_from(rows: Rows) -> str:
    """The steps from which seeds are dead, with how many where they are several."""
    known = [row for row in rows if row["expert_return"] != ""]
    steps = sorted(Counter(int(row["step"]) for row in known if row["verdict"] == "dead").items())
    return ", ".join(f"{step:,} ({count})" if count > 1 else f"{step:,}" for step, count in steps) or "-"


def saturated(results: Path, study: str, first_seed: int = 0) -> dict[tuple[str, str], str]:
    """Of each cell, the share of actions at +-1 in the last window of rounds: median over seeds, and the most."""
    last: dict[tuple[str, str], dict[float, float]] = {}
    for row in read(results / f"{study}-rounds.csv"):
        if row["seed"] >= first_seed:
            last.setdefault((row["method"], row["environment"]), {})[row["seed"]] = row["action_saturation"]
    return {cell: f"{median(seeds.values()):.2f} ({max(seeds.values()):.2f})" for cell, seeds in last.items()}


def against(rows: Rows, other: Rows) -> float:
    """The exact test of the seeds inactive at the end."""
    return exact_test([Stratum(inactive(rows), len(rows), inactive(other), len(other))])


def whole_seeds(pairs: Iterable[tuple[Rows, Rows]]) -> float:
    """The exact test of the seeds inactive at the end where a seed counts once in an environment, whatever the number
    of learners: they share its first weights and random actions. The two sides of whole seeds are exchanged."""
    differences: Counter[tuple[str, float]] = Counter()
    for plain, changed in pairs:
        for rows, sign in ((plain, 1), (changed, -1)):
            for row in rows:
                differences[row["environment"], row["seed"]] += sign * int(row["inactive"])
    sums = np.ones(1)
    for difference in differences.values():
        size = abs(difference)
        sums = (np.pad(sums, (2 * size, 0)) + np.pad(sums, (0, 2 * size))) / 2
    seen = abs(sum(differences.values()))
    reach = len(sums) // 2
    return float(sums[np.abs(np.arange(len(sums)) - reach) >= seen].sum())


def rounded(p: float) -> str:
    return f"{p:.2g}"


def changes(results: Path, study: str, first_seed: int = 0) -> list[str]:
    """One change a row, against nothing changed on the same seeds: the study's own, or else stability-early's. Seeds
    before ``first_seed`` are another study's."""
    cells = {method: rows for (method, _), rows in cells_of(results, study, first_seed).items()}
    shares = {method: share for (method, _), share in saturated(results, study, first_seed).items()}
    plain = cells.get("plain") or cells_of(results, "stability-early")["plain", "Hopper-v5"]
    p_values = {method: against(rows, plain) for method, rows in cells.items() if method != "plain"}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    rows = []
    for method, seeds in cells.items():
        told = "" if method == "plain" else f"{rounded(p_values[method])} / {rounded(corrected[method])}"
        counted = f"{inactive(seeds)} of {len(seeds)}"
        rows.append([CHANGES[method], dead(seeds), counted, shares[method], dead_from(seeds), told])
    return markdown(CHANGE_HEADER, rows)


def learners(
    results: Path,
    study: str,
    without: tuple[str, str],
    held: tuple[str, str],
    first_seed: int = 0,
    corrected: bool = False,
) -> list[str]:
    """A learner in an environment a row, without a remedy and with it, and all of them together; of each of the two the
    method's name in the study and in the header. Seeds before ``first_seed`` are another study's; ``corrected``: each
    row's test was fixed beforehand, and Holm's correction is for all of them."""
    cells = cells_of(results, study, first_seed)
    shares = saturated(results, study, first_seed)
    pairs, ends = {}, {}
    for (method, environment), rows in cells.items():
        learner, changed = method.split(" ")
        other = f"{learner} {held[0]}", environment
        if changed == without[0] and other in cells:
            name = f"{LEARNERS[learner]}, {ENVIRONMENTS[environment]}"
            pairs[name], ends[name] = (rows, cells[other]), (shares[method, environment], shares[other])
    alone = {name: against(changed, plain) for name, (plain, changed) in pairs.items()}
    told = {name: rounded(p) for name, p in alone.items()}
    if corrected:
        adjusted = zip(alone, holm(list(alone.values())), strict=True)
        told = {name: f"{told[name]} / {rounded(p)}" for name, p in adjusted}
    rows = [
        [
            name,
            dead(plain),
            f"{inactive(plain)} of {len(plain)}",
            dead_from(plain),
            ends[name][0],
            dead(changed),
            f"{inactive(changed)} of {len(changed)}",
            ends[name][1],
            told[name],
        ]
        for name, (plain, changed) in pairs.items()
    ]
    plain, changed = ([row for pair in pairs.values() for row in pair[side]] for side in (0, 1))
    strata = [Stratum(inactive(other), len(other), inactive(mine), len(mine)) for mine, other in pairs.values()]
    counts = [f"{inactive(each)} of {len(each)}" for each in (plain, changed)]
    p = f"{rounded(exact_test(strata))}; whole seeds {rounded(whole_seeds(pairs.values()))}"
    rows.append(["all", dead(plain), counts[0], "", "", dead(changed), counts[1], "", p])
    names = iter((without[1], held[1]))
    header = [title.format(next(names)) if "{}" in title else title for title in LEARNER_HEADER]
    return markdown([*header[:-1], "p, alone / Holm"] if corrected else header, rows)
