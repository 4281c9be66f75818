"""Make a golden run folder of the present formats: ``PYTHONPATH=src:tests python -m golden.make NAME``.

Two seeds of a probe environment with two lanes each, cut off after six rounds: a checkpoint of round 6 and one of round
4, a replay that has wrapped, rows of metrics and evaluations. The settings must stay as they are: the golden folders of
all formats hold the same numbers.
"""

import contextlib
import sys
from pathlib import Path

from credo.environments.probes import PointMass
from training.training_runs import REWARDED, KilledError, changed, crash_after, run

FOLDER = Path(__file__).parent
CONFIG = changed(
    REWARDED,
    environment="probe",
    seeds=2,
    steps=128,
    environments_per_seed=2,
    replay_capacity=64,
    evaluation_interval=64,
    checkpoint_interval=32,
)
ROUNDS = 6


def main(name):
    import conftest  # noqa: F401 (JAX as strict as in the tests)

    folder = FOLDER / name
    with contextlib.suppress(KilledError):
        run(folder, CONFIG, PointMass, on_round=crash_after(ROUNDS))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder.name}: {size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
