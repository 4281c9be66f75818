"""One cell of a study in a process: ``python -m credo.cli.cell ROOT STUDY CELL STEPS CORES STALE_AFTER COMMAND``, then
the modules of plug-ins.

Started by ``credo study run``, which has written the cells. Exit status 0, whatever became of the cell: files tell; 1
where there is no such cell.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from credo.cli import print_anything
from credo.cli.parse import find_local_modules, import_plugins
from credo.config import RunConfig, from_dict
from credo.studies.cores import claim_cores
from credo.studies.execute import end_with_parent, run_cell
from credo.studies.store import Placed, Store, read_record
from credo.studies.study import Cell
from credo.types import CredoError


def train(config: RunConfig, folder: Path, cell: str, command: str, modules: Sequence[str] = ()) -> None:
    """Train a run as ``credo imitate`` does; ``command`` is what a user runs its study with, ``modules`` plug-ins."""
    import_plugins(modules)
    from credo.api import start
    from credo.preparation import prepare
    from credo.training.watching import Watcher

    find_local_modules(config.environment)
    watcher = Watcher(line=lambda text: print(text, flush=True))
    start(prepare(config), folder, watcher, f"{command} --only {shlex.quote(cell)}")


def main(words: Sequence[str]) -> None:
    """Run one cell of the record."""
    root, study, name, steps, cores, stale_after, command, *modules = words
    end_with_parent()
    claim_cores(int(cores))
    store = Store(Path(root), float(stale_after))
    told = read_record(store.study(study)).get("cells", {}).get(name)
    if told is None:
        raise CredoError(f"cell: {name!r} is not in {store.study(study)}")
    try:
        import_plugins(modules)
        config = dataclasses.replace(from_dict(told["config"], name), steps=int(steps))
    except CredoError as error:
        store.write_failure(told["run"], str(error))
        return
    ended = run_cell(store, Placed(Cell(name, "", "", config), told["run"]), partial(train, command=command))
    print(f"process {os.getpid()}: {ended.state} {ended.about}".rstrip(), flush=True)


if __name__ == "__main__":
    print_anything()
    try:
        main(sys.argv[1:])
    except CredoError as error:
        sys.exit(f"credo: {error}")
