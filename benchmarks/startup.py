"""Start-up in a fresh process: from the start of Python to the end of the first learning round of all seeds.

Usage: python -m benchmarks.startup SCHEDULE STARTED, where STARTED is time.monotonic() at the start of the process.
Prints one line of JSON, in seconds.
"""

from __future__ import annotations

import json
import sys
import time


def main(schedule: str, started: float) -> None:
    import credo.training.loop  # noqa: F401
    from benchmarks import workload

    imported = time.monotonic()
    ready = workload.prepare(workload.configuration(schedule), stored=0)
    prepared = time.monotonic()
    workload.run_rounds(ready, range(1))
    done = time.monotonic()
    workload.run_rounds(ready, range(1, 2))
    again = time.monotonic() - done
    workload.close(ready)
    answer = {
        "total": done - started,
        "imports": imported - started,
        "set_up": prepared - imported,
        "first_round": done - prepared,
        "second_round": again,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
