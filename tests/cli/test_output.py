"""What is printed reaches any terminal, pipe and file: encodings that lack characters, pipes that nobody reads."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from credo import api, evaluating, run_folder
from credo.cli import runs
from credo.config import RunConfig


def credo(words, output=subprocess.PIPE):
    """The command in a process of its own, with output in ASCII."""
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    command = [sys.executable, "-m", "credo", *words.split()]
    return subprocess.run(command, env=environment, stdout=output, stderr=subprocess.PIPE, check=False)


def test_characters_that_the_encoding_lacks_are_shown_as_question_marks():
    done = credo("experts")
    assert done.returncode == 0, done.stderr
    assert b"mean ? standard deviation" in done.stdout
    assert b"hopper-expert" in done.stdout


def test_wrong_options_are_told_as_well_in_ascii():
    told = credo("imitate --stepss 3").stderr
    assert told == b"credo: Unrecognized options: --stepss, 3 (did you mean --steps?); see credo imitate --help\n"
    told = credo("imitate --steps 1e5").stderr
    assert told == b"credo: --steps: '1e5' is not possible; a whole number expected; see credo imitate --help\n"


@pytest.mark.parametrize("words", ["--help", "demos --help", "imitate --help"])
def test_a_pipe_that_nobody_reads_ends_a_command_without_a_traceback(words):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = credo(words, writer)
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("words", "name", "told"),
    [
        ([], "video.mp4", "seed 3, kept policy, "),
        (["--seed", "1"], "video-seed-1-best.mp4", "seed 1, kept policy, "),
        (["--policy", "last"], "video-seed-3-last.mp4", "seed 3, last policy, "),
        (["--seed", "1", "--out", "own.mp4"], "own.mp4", "seed 1, kept policy, "),
    ],
)
def test_a_video_says_whom_it_shows_and_replaces_no_others(words, name, told, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluating, "is_run", lambda run: True)
    monkeypatch.setattr(api.Run, "best_seed", 3)
    run_folder.create(Path("run"), RunConfig(), {}, "test")
    shown = []

    def record(run, seed, out, environment, which):
        shown.append(seed)
        return SimpleNamespace(path=out, length=7, episode_return=2.0, success=None)

    monkeypatch.setattr(runs, "record", record)
    runs.video(["run", *words])
    path = Path(name) if "own" in name else Path("run") / name
    assert capsys.readouterr().out.splitlines() == ["rendering", f"{path}: {told}7 steps, return 2.0"]
    assert f"seed {shown[0]}" in told
