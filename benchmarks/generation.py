"""Seconds that a million Hopper-v5 transitions of the shipped expert take, from the start of Python to the file.

Usage: python -m benchmarks.generation [--transitions N]. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.serving import ROOT

TRANSITIONS = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__.splitlines()[0])
    parser.add_argument("--transitions", type=int, default=TRANSITIONS)
    transitions = parser.parse_args().transitions
    with tempfile.TemporaryDirectory() as folder:
        wanted = ["--transitions", str(transitions), "--out", str(Path(folder, "demonstrations.safetensors"))]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "credo", "demos", "generate", "--expert", "hopper-expert", *wanted],
            cwd=ROOT,
            check=True,
            stdout=sys.stderr,
        )
        seconds = time.perf_counter() - start
    print(json.dumps({"transitions": transitions, "seconds": seconds}))


if __name__ == "__main__":
    main()
