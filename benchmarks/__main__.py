"""Credo's speed against the machine's ceiling and against stable-baselines3, measured in one run.

Usage: python -m benchmarks [--quick], after benchmarks/setup_peer.sh. Ends with a status other than 0 only where a
measurement failed; which targets were met is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import report, sizes
from benchmarks.learners import LEARNERS
from benchmarks.serving import ROOT, Worker, WorkerError

PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
SECONDS = {"rounds": 9.0, "peer": 9.0, "update": 5.0, "learner": 3.0, "ceiling": 3.0}
PAIRS = 5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one pair, written to build/benchmark: a look, no record")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"interleaved measurements (default {PAIRS})")
    parser.add_argument("--out", type=Path, help="folder of the results (default results/benchmark)")
    parser.add_argument(
        "--peer-python", type=Path, default=PEER_PYTHON, help="the Python of the peer's environment (.venv-bench)"
    )
    chosen = parser.parse_args()
    if chosen.pairs < 1:
        parser.error("--pairs must be at least 1")
    if chosen.quick:
        chosen.pairs = 1
    if chosen.out is None:
        chosen.out = ROOT / ("build" if chosen.quick else "results") / "benchmark"
    return chosen


def say(line: str) -> None:
    print(line, flush=True)


def run_once(module: str, *extra: str) -> dict[str, Any]:
    """A fresh process that prints its findings as one line of JSON."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-m", module, *extra], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise WorkerError(f"{module} ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def one_pair(credo: Worker, ceiling: Worker, peer: Worker) -> dict[str, Any]:
    """Everything that is compared, one soon after the other."""
    measured: dict[str, Any] = {}
    for schedule in report.SCHEDULES:
        rounds = credo.ask(measure="rounds", schedule=schedule, execution="threads", seconds=SECONDS["rounds"])
        update = credo.ask(measure="update", schedule=schedule, seconds=SECONDS["update"])
        measured[schedule] = {"rounds": rounds, "update": update}
        if "peer" not in measured:
            measured["peer"] = peer.ask(measure="peer", seconds=SECONDS["peer"])
            measured["ceiling"] = ceiling.ask(seconds=SECONDS["ceiling"])
    measured["learners"] = {
        name: credo.ask(measure="learner", learner=name, seconds=SECONDS["learner"]) for name in LEARNERS
    }
    return measured


def measure(pairs: int, peer_python: Path) -> dict[str, Any]:
    """All measurements; the workers stay up from one to the next and wait without work."""
    raw: dict[str, Any] = {"settings": {"pairs": pairs, "seconds": SECONDS["rounds"], "seeds": sizes.SEEDS}}
    raw["td3_update_mflop"] = sizes.flops(sizes.td3_update()) / 1e6
    say("start-up, each schedule in a fresh process")
    raw["startup"] = {s: run_once("benchmarks.startup", s, str(time.monotonic())) for s in report.SCHEDULES}
    say("peak memory with full replays")
    raw["memory"] = run_once("benchmarks.memory")
    say("PPO-GAIL beside bare stepping")
    raw["on_policy"] = run_once("benchmarks.on_policy", "--json")
    say("generating demonstrations")
    raw["generation"] = run_once("benchmarks.generation")
    say("one round, part by part")
    with Worker(sys.executable, "benchmarks.parts") as parts:
        raw["parts"] = {schedule: parts.ask(schedule=schedule) for schedule in report.SCHEDULES}
    with contextlib.ExitStack() as stack:
        credo = stack.enter_context(Worker(sys.executable, "benchmarks.rounds"))
        ceiling = stack.enter_context(Worker(sys.executable, "benchmarks.ceiling"))
        peer = stack.enter_context(Worker(peer_python, "benchmarks.peer_sb3"))
        raw["versions"] = {"credo": credo.ask(measure="versions"), "peer": peer.ask(measure="versions")}
        say("warm-up and compilation")
        for schedule in report.SCHEDULES:
            credo.ask(measure="rounds", schedule=schedule, execution="threads", seconds=0)
            credo.ask(measure="update", schedule=schedule, seconds=0)
        raw["learner_mflop"] = {
            name: credo.ask(measure="learner", learner=name, seconds=0)["mflop_per_update"] for name in LEARNERS
        }
        raw["peer_threads"] = peer.ask(measure="peer", seconds=0)["threads"]
        raw["machine"] = {
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "threads": ceiling.ask(seconds=0.5)["threads"],
        }
        raw["pairs"] = []
        for number in range(1, pairs + 1):
            found = one_pair(credo, ceiling, peer)
            raw["pairs"].append(found)
            rates = {name: found[name]["rounds"]["updates_per_second"] for name in report.SCHEDULES}
            told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
            say(
                f"pair {number} of {pairs}: updates/s: {told}, peer {found['peer']['updates_per_second']:,.0f}; "
                f"ceiling {found['ceiling']['gflops']:,.0f} GFLOP/s"
            )
        say("vmap execution, for the record")
        raw["vmap"] = {
            schedule: credo.ask(measure="rounds", schedule=schedule, execution="vmap", seconds=SECONDS["rounds"])
            for schedule in report.SCHEDULES
        }
    return raw


def cpu_model() -> str:
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        return next(line for line in file if line.startswith("model name")).split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> int:
    chosen = arguments()
    if not chosen.peer_python.exists():
        say(f"error: {chosen.peer_python} is missing; run benchmarks/setup_peer.sh first")
        return 1
    try:
        raw = measure(chosen.pairs, chosen.peer_python)
    except WorkerError as error:
        say(f"error: {error}")
        return 1
    raw["date"] = datetime.date.today().isoformat()
    raw["command"] = "python -m benchmarks" + (f" --pairs {chosen.pairs}" if chosen.pairs != PAIRS else "")
    summary = report.summarise(raw)
    text = report.markdown(raw, summary)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "benchmark.json").write_text(json.dumps({"summary": summary, "measured": raw}, indent=2) + "\n")
    (chosen.out / "benchmark.md").write_text(text)
    say("\n" + text)
    met = [target["met"] for target in summary["targets"]]
    say(f"{sum(met)} of {len(met)} targets met; written to {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
