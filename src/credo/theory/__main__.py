"""``python -m credo.theory``: the same as ``credo theory``."""

import sys

import tyro

from credo.theory.command import TheoryOptions, run
from credo.types import CredoError

if __name__ == "__main__":
    try:
        print(run(tyro.cli(TheoryOptions, prog="credo theory")))
    except CredoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
