"""Workers that measure when told to: one JSON request a line in, one JSON answer a line out. Standard library alone,
because the peer's worker runs in an environment without Credo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests from standard input until it ends. What a library prints goes to standard error."""
    output, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=output, flush=True)


class WorkerError(Exception):
    """A worker ended without an answer; its own message is on standard error."""


class Worker:
    """A process that serves, in this repository's root."""

    def __init__(self, python: Path | str, module: str):
        paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        self.module = module
        self.process = subprocess.Popen(
            [str(python), "-m", module],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(f"{self.module} ended before it was asked") from None
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.module} ended with status {self.process.wait()} while asked for {request}")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
