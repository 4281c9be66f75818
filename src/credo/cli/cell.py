"""One cell of a study in a process: ``python -m credo.cli.cell ROOT CELL RUN CORES STALE_AFTER PARENT COMMAND``, then
the modules of plug-ins, with the cell's settings as JSON on standard input.

Started by ``credo study run``, whose process PARENT is: what the cell is comes from there alone, since the study's file
and its record may be of another edit by now. Exit status 0, whatever became of the cell: files tell.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from credo.cli import print_anything
from credo.cli.parse import find_local_modules, import_plugins
from credo.config import RunConfig, from_dict
from credo.files import parse_json
from credo.studies.cores import claim_cores
from credo.studies.execute import run_cell, stop_without
from credo.studies.store import Placed, Store
from credo.studies.study import Cell
from credo.types import CredoError


def train(config: RunConfig, folder: Path, cell: str, command: str, modules: Sequence[str] = ()) -> None:
    """Train a run as ``credo imitate`` does; ``command`` is what a user runs its study with, ``modules`` plug-ins.
    CredoError where it is another run than the folder is of."""
    import_plugins(modules)
    from credo.api import start
    from credo.preparation import prepare
    from credo.training.watching import Watcher

    find_local_modules(config.environment)
    watcher = Watcher(line=lambda text: print(text, flush=True))
    prepared = prepare(config)
    if prepared.identity != folder.name:
        what = "what it is trained on has changed since the study began"
        raise CredoError(f"cell {cell}: run {prepared.identity}, not {folder.name}: {what}; run the study again")
    start(prepared, folder, watcher, f"{command} --only {shlex.quote(cell)}")


def main(words: Sequence[str], settings: str) -> None:
    """Run one cell."""
    root, name, run, cores, stale_after, parent, command, *modules = words
    stop_without(int(parent))
    claim_cores(int(cores))
    store = Store(Path(root), float(stale_after))
    try:
        import_plugins(modules)
        config = from_dict(parse_json(f"cell {name}", settings), name)
    except CredoError as error:
        store.write_failure(run, str(error))
        return
    ended = run_cell(store, Placed(Cell(name, "", "", config), run), partial(train, command=command))
    print(f"process {os.getpid()}: {ended.state} {ended.about}".rstrip(), flush=True)


if __name__ == "__main__":
    print_anything()
    try:
        main(sys.argv[1:], sys.stdin.read())
    except CredoError as error:
        sys.exit(f"credo: {error}")
