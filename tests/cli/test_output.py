"""What is printed reaches any terminal, pipe and file: encodings that lack characters, pipes that nobody reads."""

import os
import subprocess
import sys

import pytest


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
