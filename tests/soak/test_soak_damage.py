"""Full disks, flipped bits and truncation of checkpoints, in number."""

import json
import shutil
import subprocess
import sys

import numpy as np

from soak.amount import trials
from training import stored_seeds
from training.stored_seeds import saved_run
from training.test_checkpoint import damaged, files_needed, survives


def test_killed_or_refused_at_every_file_operation(environment, say, tmp_path):
    done = subprocess.run(
        [sys.executable, stored_seeds.__file__, str(tmp_path), "1"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    say(
        f"killed at each of {tally['kill']} file operations of a save, a full disk at each of {tally['full']}, and at "
        f"{tally['limit']} file sizes: {tally['refused']} saves refused in one line, each time a whole checkpoint"
    )


def test_damage_is_survived(say, tmp_path):
    """In any file that the newest checkpoint needs: made again, or back to the one before, which is whole."""
    saved_run(tmp_path / "saved", 4)
    generator = np.random.default_rng(0)
    kinds = ["offset"] * trials(500) + ["length"] * trials(100)
    again = 0
    for kind in kinds:
        run = shutil.copytree(tmp_path / "saved", tmp_path / "run")
        path = generator.choice(files_needed(run))
        damaged(path, **{kind: int(generator.integers(path.stat().st_size))})
        survives(run, path, 4)
        shutil.rmtree(run)
        again += "replay" in path.parts
    flips = kinds.count("offset")
    say(
        f"{flips} flipped bits and {len(kinds) - flips} truncations, all found: {again} times a file of the replay was "
        f"made again, {len(kinds) - again} times the run went back to the checkpoint before"
    )
