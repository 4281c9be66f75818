"""What the benchmark found, as medians, targets and Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

SCHEDULES = {"paper": "1 discriminator update a round", "fast": "32 discriminator updates a round"}
PEER_TARGET = 4.0
CEILING_TARGET = 0.5
STARTUP_TARGET = 20.0
MEMORY_TARGET = 2.0
ON_POLICY_TARGET = 8_000.0
LEARNER_TARGETS = {"ddpg": 0.45, "td3": 0.45, "sac": 0.45, "sd3": 0.6}
"""Least share of the ceiling that a learner's updates alone should reach."""
CHEAPER_NOISE_TARGET = 4.0
GENERATION_TARGET = 180.0


def summarise(raw: dict[str, Any]) -> dict[str, Any]:
    """Medians over the pairs of what was measured, and the ratios within each pair."""
    pairs = raw["pairs"]
    peer = [pair["peer"]["updates_per_second"] for pair in pairs]
    ceiling = [pair["ceiling"]["gflops"] for pair in pairs]
    summary: dict[str, Any] = {
        "peer_updates_per_second": _spread(peer),
        "ceiling_gflops": _spread(ceiling),
        "schedules": {},
    }
    for schedule in SCHEDULES:
        credo = [pair[schedule]["rounds"] for pair in pairs]
        update = [pair[schedule]["update"] for pair in pairs]
        rates = [measured["updates_per_second"] for measured in credo]
        taken = [measured["milliseconds_per_round"] for measured in credo]
        inside = [measured["milliseconds_all_seeds"] for measured in update]
        alone = [measured["milliseconds_one_seed_alone"] for measured in update]
        reached = [measured["gflops"] for measured in update]
        summary["schedules"][schedule] = {
            "updates_per_second": _spread(rates),
            "steps_per_second": _spread([measured["steps_per_second"] for measured in credo]),
            "vmap_updates_per_second": raw["vmap"][schedule]["updates_per_second"],
            "ratio_to_peer": _spread(_ratios(rates, peer)),
            "milliseconds_per_round": _spread(taken),
            "milliseconds_in_update": _spread(inside),
            "milliseconds_one_seed_alone": _spread(alone),
            "share_of_time_in_update": _spread(_ratios(inside, taken)),
            "gflop_per_seed_and_round": update[0]["gflop_per_seed"],
            "update_gflops": _spread(reached),
            "share_of_ceiling": _spread(_ratios(reached, ceiling)),
        }
    learners = {name: [pair["learners"][name] for pair in pairs] for name in pairs[0]["learners"]}
    rates = {name: [one["updates_per_second"] for one in found] for name, found in learners.items()}
    summary["learners"] = {
        name: {
            "updates_per_second": _spread(rates[name]),
            "mflop_per_update": raw["learner_mflop"][name],
            "gflops": _spread([one["gflops"] for one in found]),
            "share_of_ceiling": _spread(_ratios([one["gflops"] for one in found], ceiling)),
        }
        for name, found in learners.items()
    }
    summary["cheaper_noise"] = _spread(_ratios(rates["sd3-sobol-8"], rates["sd3"]))
    summary["targets"] = _targets(summary, raw)
    return summary


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _targets(summary: dict[str, Any], raw: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for schedule, what in SCHEDULES.items():
        measured = summary["schedules"][schedule]
        ratio, share = measured["ratio_to_peer"]["median"], measured["share_of_ceiling"]["median"]
        seconds = raw["startup"][schedule]["total"]
        found += [
            _target(f"updates/s against the peer, {what}", ratio, f"at least {PEER_TARGET:g} x", ratio >= PEER_TARGET),
            _target(
                f"share of the ceiling, whole update, {what}",
                share,
                f"at least {CEILING_TARGET:g}",
                share >= CEILING_TARGET,
            ),
            _target(
                f"start-up and compilation, {what}",
                seconds,
                f"under {STARTUP_TARGET:g} s",
                seconds < STARTUP_TARGET,
            ),
        ]
    for name, least in LEARNER_TARGETS.items():
        share = summary["learners"][name]["share_of_ceiling"]["median"]
        found.append(
            _target(f"share of the ceiling, updates of {name} alone", share, f"at least {least:g}", share >= least)
        )
    ratio = summary["cheaper_noise"]["median"]
    found.append(
        _target(
            "SD3 with 8 Sobol samples, updates/s against 50 independent",
            ratio,
            f"at least {CHEAPER_NOISE_TARGET:g} x",
            ratio >= CHEAPER_NOISE_TARGET,
        )
    )
    memory = max(raw["memory"]["gigabytes"].values())
    found.append(
        _target(
            "peak memory, 11 seeds x 300k steps on Hopper-v5",
            memory,
            f"under {MEMORY_TARGET:g} GB",
            memory < MEMORY_TARGET,
        )
    )
    workers = raw["on_policy"]["workers"]
    for key, how in (("rounds", ""), ("rounds_in_workers", f", --environment-workers {workers}")):
        steps = raw["on_policy"][key]["steps_per_second"]
        found.append(
            _target(
                f"PPO-GAIL, environment steps/s, all seeds{how}",
                steps,
                f"at least {ON_POLICY_TARGET:,.0f}",
                steps >= ON_POLICY_TARGET,
            )
        )
    seconds = raw["generation"]["seconds"]
    found.append(
        _target(
            f"generating {raw['generation']['transitions']:,} transitions of Hopper-v5",
            seconds,
            f"under {GENERATION_TARGET:g} s",
            seconds < GENERATION_TARGET,
        )
    )
    return found


def on_policy_section(found: dict[str, Any]) -> list[str]:
    """Markdown lines of what ``benchmarks.on_policy`` measured; shares are of a step's processor time."""
    whole, bare = found["rounds"], found["parts"]["bare stepping"]
    inside = {name: value for name, value in found["parts"].items() if name != "bare stepping"}
    inside["all"] = total = sum(inside.values())
    return [
        f"## PPO-GAIL on HalfCheetah-v5, {whole['seeds']} seeds",
        "",
        f"Preset `paper-ppo`, whole rounds in threads on {found['cores']} cores: {whole['steps_per_second']:,.0f} "
        f"environment steps/s in all, beside {whole['bare_steps_per_second']:,.0f} of bare Gymnasium stepping in one "
        f"thread in between. A step takes {whole['microseconds_per_step']:.0f} us of processor time. With "
        f"`--environment-workers {found['workers']}`: {found['rounds_in_workers']['steps_per_second']:,.0f}.",
        "",
        *table(
            [
                ["part of a step of one seed", "processor time (us)", "share", "in bare steps"],
                *([name, f"{us:.1f}", f"{us / total:.0%}", f"{us / bare:.2f}"] for name, us in inside.items()),
                ["a bare Gymnasium step", f"{bare:.1f}", "", "1.00"],
            ]
        ),
    ]


def _target(name: str, value: float, right: str, met: bool) -> dict[str, Any]:
    return {"target": name, "value": value, "right": right, "met": met}


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def _text(spread: dict[str, float], form: str = ",.0f", factor: float = 1) -> str:
    median, lowest, highest = (factor * spread[name] for name in ("median", "lowest", "highest"))
    return f"{median:{form}} ({lowest:{form}} to {highest:{form}})"


def markdown(raw: dict[str, Any], summary: dict[str, Any]) -> str:
    """The whole report: medians, with the range over pairs in parentheses."""
    by_schedule = summary["schedules"]
    rows = [["", *SCHEDULES.values()]]

    def line(name: str, key: str, form: str = ",.0f", factor: float = 1) -> None:
        rows.append([name, *(_text(by_schedule[schedule][key], form, factor) for schedule in SCHEDULES)])

    line("policy updates/s, all seeds", "updates_per_second")
    line("environment steps/s, all seeds", "steps_per_second")
    line("ratio to the peer's updates/s", "ratio_to_peer", ".2f")
    line("a round of all seeds (ms)", "milliseconds_per_round", ".0f")
    line("of it in the compiled update, timed alone (%)", "share_of_time_in_update", ".0f", 100)
    line("the compiled update of one seed, machine to itself (ms)", "milliseconds_one_seed_alone", ".1f")
    line("the compiled update, all seeds (GFLOP/s)", "update_gflops")
    line("its share of the ceiling (%)", "share_of_ceiling", ".0f", 100)
    for name, key, form in (
        ("matrix products of one seed's round (GFLOP)", "gflop_per_seed_and_round", ".1f"),
        ("policy updates/s with `vmap` execution", "vmap_updates_per_second", ",.0f"),
    ):
        rows.append([name, *(f"{by_schedule[schedule][key]:{form}}" for schedule in SCHEDULES)])
    peer, settings = raw["versions"]["peer"], raw["settings"]
    parts = raw["parts"]
    return "\n".join(
        [
            "# Benchmark",
            "",
            f"`{raw['command']}` on {raw['machine']['cpu']}, {raw['machine']['cores']} cores, {raw['date']}. "
            f"{settings['pairs']} pairs of {settings['seconds']:g} s; median (lowest to highest).",
            "",
            f"TD3-GAIL on HalfCheetah-v5, {settings['seeds']} seeds in one process, `threads` execution, networks "
            "256-256, batch 128, 64 environment steps and 64 policy updates a round and seed.",
            "",
            *table(rows),
            "",
            f"Peer: stable-baselines3 {peer['stable_baselines3']} TD3 (PyTorch {peer['torch']}, "
            f"{raw['peer_threads']} threads, its fastest), one process, no discriminator: "
            f"{_text(summary['peer_updates_per_second'])} updates/s.",
            f"Ceiling: the matrix products of a TD3 update alone ({raw['td3_update_mflop']:.0f} MFLOP each), "
            f"{raw['machine']['threads']} threads: {_text(summary['ceiling_gflops'])} GFLOP/s float32. "
            f"The TD3 updates alone reach {_text(summary['learners']['td3']['share_of_ceiling'], '.0f', 100)} % of it.",
            "",
            "## Targets",
            "",
            *table(
                [
                    ["target", "wanted", "measured", "met"],
                    *(
                        [t["target"], t["right"], f"{t['value']:.2f}", "yes" if t["met"] else "no"]
                        for t in summary["targets"]
                    ),
                ]
            ),
            "",
            "## Learners: their updates alone, 11 seeds",
            "",
            "`sd3`: 50 independent noise samples; `sd3-sobol-8`: 8 Sobol samples. One update of SD3 trains both pairs.",
            "",
            *table(
                [
                    ["learner", "updates/s, all seeds", "MFLOP an update", "GFLOP/s", "share of the ceiling (%)"],
                    *(
                        [
                            name,
                            _text(one["updates_per_second"]),
                            f"{one['mflop_per_update']:,.0f}",
                            _text(one["gflops"]),
                            _text(one["share_of_ceiling"], ".0f", 100),
                        ]
                        for name, one in summary["learners"].items()
                    ),
                ]
            ),
            "",
            "## A round of one seed, part by part (ms, one thread)",
            "",
            *table(
                [
                    ["", *SCHEDULES.values()],
                    *(
                        [name.replace("_", " "), *(f"{parts[schedule][name]:.2f}" for schedule in SCHEDULES)]
                        for name in parts["paper"]
                    ),
                ]
            ),
            "",
            *on_policy_section(raw["on_policy"]),
            "",
            "## Versions",
            "",
            *(f"- {who}: {', '.join(f'{k} {v}' for k, v in found.items())}" for who, found in raw["versions"].items()),
            "",
        ]
    )
