"""``credo study run``, ``status``, ``report`` and ``list``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from credo import run_folder
from credo.cli.display import busy
from credo.cli.parse import find_local_modules, load_plugins, parse, say
from credo.cli.study_cells import FILE_WIDTH, STYLES, asked_for, check_environments, grid, headline, same_runs, verdicts
from credo.cli.study_progress import Telling, log_of
from credo.config import to_dict, validate
from credo.config.limits import Count, Limit, NotNegative, WholeNumber
from credo.environment_name import canonical
from credo.files import check_folder, make_folder
from credo.machine import usable_cores
from credo.studies import record as records
from credo.studies import store as stores
from credo.studies.execute import Ended, run_study
from credo.studies.lease import STALE_AFTER
from credo.studies.on_ray import check_ray, run_on_ray
from credo.studies.shipped import FOLDER, find_study, shipped_names
from credo.studies.store import Placed, Progress, Store
from credo.studies.study import Cell, Study, load_study
from credo.types import CredoError, plural, printable

_Positional = tyro.conf.Positional
Seconds = Annotated[float, Limit(least=5, most=31_536_000)]
"""Up to a year; a file that is touched several times in less than five seconds says little over a network."""


@dataclass(frozen=True)
class RunOptions:
    file: Annotated[str, _Positional]
    """A study file, or a shipped study's name (credo study list)."""
    out: Path = Path("runs")
    """Folder for store/ (one run per identity, shared by all studies) and studies/NAME/; on a cluster a shared one."""
    only: tuple[str, ...] = ()
    """Cells by name; * stands for any text."""
    steps: Count | None = None
    """Stop these cells after so many steps per seed, if the study has more (clones stop by themselves). Without it the
    same runs go on to the study's later."""
    env: tuple[str, ...] = ()
    """Environments module:Id of the file whose modules may be imported, which runs their code."""
    jobs: Count = 1
    """Cells at once on this machine. One cell uses all cores for its seeds: more help where cells have few seeds."""
    on: Literal["local", "ray"] = "local"
    """Where: this machine, or a Ray cluster."""
    address: str | None = None
    """ray: the running cluster (HOST:PORT, or auto); default: Ray on this machine alone."""
    cores: WholeNumber = 0
    """Cores for each cell; 0: all of the machine, shared among --jobs (on ray: 1)."""
    gpus: NotNegative = 0.0
    """ray: GPUs for each cell; 0.5 lets two share one."""
    plugin: tuple[str, ...] = ()
    """Modules to import that register what the study names; in the current folder, or installed."""
    stale_after: Seconds = STALE_AFTER
    """Seconds without a sign of life after which another process's cell is taken over; longer where that has more."""


@dataclass(frozen=True)
class StatusOptions:
    file: Annotated[str, _Positional]
    """A study file, or a shipped study's name."""
    out: Path = Path("runs")
    """The folder that the study runs in."""
    plugin: tuple[str, ...] = ()
    """Modules to import that register what the study names; in the current folder, or installed."""
    stale_after: Seconds = STALE_AFTER
    """Seconds without a sign of life after which a cell counts as stopped; longer where its process has more."""


@dataclass(frozen=True)
class ReportOptions:
    file: Annotated[str, _Positional]
    """A study file, or a shipped study's name."""
    out: Path = Path("runs")
    """The folder that the study runs in; the report goes to studies/NAME/report."""
    plugin: tuple[str, ...] = ()
    """Modules to import that register what the study names; in the current folder, or installed."""
    figures: bool = False
    """Write each figure as PNG, SVG and PDF, and its numbers as CSV, too."""
    latex: bool = False
    """Write each table as LaTeX (tables/NAME.tex), too."""


@dataclass(frozen=True)
class ShowOptions:
    file: Annotated[str, _Positional]
    """A study file, or a shipped study's name (credo study list)."""


@dataclass(frozen=True)
class ListOptions:
    folder: Annotated[Path, _Positional] = FOLDER
    """A folder of study files; default: those that come with Credo."""


def run(words: Sequence[str]) -> None:
    """Run a study, or go on with it."""
    load_plugins(words)
    about = "Run the cells of a study that are not done; the same command goes on after an interruption."
    options = parse(RunOptions, words, "study run", f"{about} credo study check FILE tries every cell first.")
    if options.on == "local" and (options.address is not None or options.gpus):
        raise CredoError(f"{'gpus' if options.address is None else 'address'}: used with --on ray alone")
    if options.on == "ray":
        if options.jobs > 1:
            raise CredoError(f"jobs: {options.jobs} with --on ray; Ray starts as many cells as it has --cores for")
        check_ray()
    console = Console()
    study = load_study(find_study(options.file))
    asked = asked_for(study, options.only, words)
    shortened = _shortened(study, options, asked)
    check_environments(study, options.env)
    store = Store(options.out, options.stale_after)
    store.check_writable(study.name)
    placed, known = _place(console, study, store, asked)
    chosen = tuple(p._replace(cell=shortened[p.cell.name]) for p in placed if p.cell.name in asked)
    if all(cell.problem for cell in chosen):
        raise CredoError(f"cell {chosen[0].cell.name}: {chosen[0].problem}")
    for cell in chosen:
        if cell.problem:
            say(console, f"{cell.cell.name}: {cell.problem}", "red")
    progress = [store.progress(p) for p in chosen]
    say(console, headline(study, chosen, progress))
    for line in _changed_code(store, chosen, progress):
        say(console, line)
    _remember(console, study, store, placed, known)

    def tell(cell: Placed, how: Ended) -> None:
        names = ", ".join(p.cell.name for p in chosen if p.run == cell.run)
        if how.state == stores.DONE:
            say(console, f"{names}: done, {verdicts(store, cell)}", "green")
        else:
            say(console, f"{names}: {how.state} {how.about}".rstrip(), STYLES[how.state])

    try:
        if options.on == "ray":
            _on_ray(study, store, chosen, options, tell)
        else:
            cores = options.cores or max(usable_cores() // options.jobs, 1)
            begin = partial(_start, store, cores=cores, command=_command(study, options), modules=options.plugin)
            telling = Telling(store, partial(say, console))
            run_study(store, chosen, begin, options.jobs, tell, telling)
    except KeyboardInterrupt:
        say(console, "stopped; the same command goes on from here")
        sys.exit(130)
    progress = [store.progress(p) for p in chosen]
    console.print(grid(study, store, chosen, progress))
    if any(now.state != stores.DONE for now in progress):
        wrong = (now.state == stores.FAILED and store.refused(p) for p, now in zip(chosen, progress, strict=True))
        sys.exit(2 if all(wrong) else 1)


def _changed_code(store: Store, chosen: Sequence[Placed], progress: Sequence[Progress]) -> Iterator[str]:
    """Of each cell that is done: plug-ins whose code is another now."""
    for cell, now in zip(chosen, progress, strict=True):
        done = now.state == stores.DONE and cell.run is not None
        if done and (changed := run_folder.changed_plugins(store.folder(str(cell.run)), cell.cell.config)):
            told = f"the code of {', '.join(changed)} has changed since it ran; if its numbers have"
            yield f"note: {cell.cell.name} is done, but {told}, give --out another folder"


def status(words: Sequence[str]) -> None:
    """How far a study is."""
    load_plugins(words)
    options = parse(
        StatusOptions, words, "study status", "Show the cells of a study: state, progress, verdicts so far."
    )
    console = Console()
    study = load_study(find_study(options.file))
    check_folder(options.out, "out", written=False)
    store = Store(options.out, options.stale_after)
    for line in records.edits(records.read_record(store.study(study.name)), study.cells):
        say(console, f"edited: {line}")
    placed = stores.place(study, records.known_data(store, study), reads=())
    progress = [store.progress(p) for p in placed]
    console.print(grid(study, store, placed, progress))
    say(console, headline(study, placed, progress))


def report(words: Sequence[str]) -> None:
    """The tables of a study."""
    load_plugins(words)
    options = parse(ReportOptions, words, "study report", "Compute the tables of a study from what has run so far.")
    from credo.reports.report import write_report
    from credo.studies.analysis import analyse
    from credo.studies.present import markdown, rich_table

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    study = load_study(find_study(options.file))
    check_folder(options.out, "out", written=False)
    store = Store(options.out)
    placed = stores.place(study, records.known_data(store, study), reads=())
    begun = [p for p in placed if p.run is not None and (store.folder(p.run) / run_folder.CONFIG).exists()]
    if not begun:
        raise CredoError(f"study: nothing of {study.name} has run in {options.out}; {_run_command(options)} runs it")
    begun = _once(console, begun)
    parts = [stores.part_of(store, p) for p in begun]
    with busy(console) as tell:
        tell(f"computing the tables of {plural(len(parts), 'cell')}")
        tables = analyse(parts, declared=records.declared(store, study, placed))
    folder = store.study(study.name) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        console.print(rich_table(table, console.width))
    (folder / "tables.md").write_text("\n".join(markdown(table) for table in tables), encoding="utf-8")
    words = ["credo", "study", "report", options.file, "--out", str(options.out)]
    words += ["--plugin", *options.plugin] if options.plugin else []
    words += [f"--{name}" for name in ("figures", "latex") if getattr(options, name)]
    command, drawn, tex = shlex.join(words), options.figures, options.latex
    with console.status("reporting"):
        line = partial(say, console)
        made = write_report(parts, folder, figures=drawn, statistics=tables, command=command, line=line, tex=tex)
    unfinished = sum(store.progress(p).state != stores.DONE for p in placed)
    if unfinished:
        say(console, f"{unfinished} of {len(placed)} cells are not done: the tables are of what there is", "yellow")
    say(console, f"tables: {folder}; the page is {made.page}")


def _run_command(options: ReportOptions) -> str:
    out = [] if options.out == RunOptions.out else ["--out", str(options.out)]
    return shlex.join(["credo", "study", "run", options.file, *out])


def _once(console: Console, placed: Sequence[Placed]) -> list[Placed]:
    """Cells whose seeds are others': the same seeds of one run are no independent ones."""
    again = same_runs(placed)
    for p, first in again:
        say(console, f"{p.cell.name} is the same run as {first.cell.name} and is left out of the tables", "yellow")
    return [p for p in placed if all(p is not later for later, _ in again)]


def show(words: Sequence[str]) -> None:
    """A study's file as it stands."""
    about = "Print the file of a study as it stands: credo study show threshold-small > mine.toml, and change that."
    path = find_study(parse(ShowOptions, words, "study show", about).file)
    load_study(path)  # what is no study is refused, and not poured into a terminal
    print(*map(printable, path.read_text(encoding="utf-8-sig").splitlines()), sep="\n")


def list_studies(words: Sequence[str]) -> None:
    """The shipped studies."""
    options = parse(ListOptions, words, "study list", "List study files with what they compare.")
    if not options.folder.is_dir():
        raise CredoError(f"folder: {options.folder} is not a folder; give one that holds study files")
    table = Table(title="studies", title_justify="left")
    for name in ("study", "cells", "seeds", "about"):
        table.add_column(name, overflow="fold")
    names = shipped_names() if options.folder == FOLDER else sorted(p.stem for p in options.folder.glob("*.toml"))
    for name in names:
        try:
            study = load_study(options.folder / f"{name}.toml")
            seeds = "-".join(map(str, sorted({cell.config.seeds for cell in study.cells})))
            table.add_row(Text(printable(name)), str(len(study.cells)), seeds, Text(study.description))
        except CredoError as error:
            table.add_row(Text(printable(name)), "", "", Text(printable(error), style="red"))
    Console().print(table)


def _shortened(study: Study, options: RunOptions, asked: Container[str]) -> dict[str, Cell]:
    """The cells by name, those that are asked for with the steps that are asked for. What is remembered of the study
    stays as it is: another process may run other cells of it."""
    cells = {cell.name: cell for cell in study.cells}
    for name, cell in cells.items():
        config = cell.config
        if options.steps is None or config.clones or options.steps >= config.steps:
            continue
        if name in asked:
            cells[name] = cell._replace(config=dataclasses.replace(config, steps=options.steps))
            try:
                validate(cells[name].config)
            except CredoError as error:
                raise CredoError(f"cell {name}: {error}") from None
    return cells


def _place(
    console: Console, study: Study, store: Store, asked: Container[str]
) -> tuple[tuple[Placed, ...], dict[str, str]]:
    """Place the cells and say what an edit changes; the SHA-256 of what they are trained on, too. Only what the cells
    asked for are trained on is read: of the others' it may be minutes of demonstrations."""
    record = records.read_record(store.study(study.name))
    for line in records.edits(record, study.cells):
        say(console, f"edited: {line}")
    for environment in {cell.config.environment for cell in study.cells}:
        find_local_modules(environment)
    # Files may have changed since they were last read.
    afresh = {name for c in study.cells if c.name in asked for name in stores.trained_on(c.config).values()}
    known = {name: sha for name, sha in records.known_data(store, study).items() if name not in afresh}
    placed = stores.place(study, known, lambda text: say(console, text), asked)
    for line in records.other_data(record, placed, known):
        say(console, f"edited: {line}")
    return placed, known


def _remember(console: Console, study: Study, store: Store, placed: Sequence[Placed], known: Mapping[str, str]) -> None:
    """Record the cells and the declared comparisons, which are fixed now: nothing is refused any more."""
    folder = store.study(study.name)
    before = records.declared(store, study, placed)
    comparisons = records.newly_declared(store, study, placed)
    records.write_record(folder, placed, known, comparisons)
    for comparison, (steps, _) in comparisons.items():
        if before[comparison] is None:
            say(console, f"fixed {f'after {steps:,} steps of its cells' if steps else 'beforehand'}: {comparison}")
    open_still = [str(each) for each, steps in before.items() if steps is None and each not in comparisons]
    if open_still:
        why = "what a cell of theirs is trained on has not been read"
        say(console, f"not fixed yet, since {why}: {'; '.join(open_still)}", "yellow")


def _start(store: Store, cell: Placed, cores: int, command: str, modules: Sequence[str]) -> subprocess.Popen[Any]:
    path = log_of(store, cell)
    make_folder(path.parent, "out")
    words = [str(store.root), cell.cell.name, str(cell.run), str(cores), str(store.stale_after), str(os.getpid())]
    words = [sys.executable, "-m", "credo.cli.cell", *words, command, *modules]
    with path.open("ab") as log:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # one that has ended is told by its exit status
        process.stdin.write(json.dumps(to_dict(cell.cell.config)).encode())
    return process


def _command(study: Study, options: RunOptions) -> str:
    """What runs the study again; a cell adds its name."""
    named = {canonical(name) for name in options.env}
    trusted = sorted({c.config.environment for c in study.cells if canonical(c.config.environment) in named})
    words = ["credo", "study", "run", options.file, "--out", str(options.out)]
    steps = [] if options.steps is None else ["--steps", str(options.steps)]
    plugins = ["--plugin", *options.plugin] if options.plugin else []
    return shlex.join([*words, *steps, *plugins, *(["--env", *trusted] if trusted else [])])


def _on_ray(study: Study, store: Store, chosen: Sequence[Placed], options: RunOptions, tell: Any) -> None:
    from credo.cli.cell import train

    shared = Store(store.root.resolve(), store.stale_after)
    begin = partial(train, command=_command(study, options), modules=options.plugin)
    run_on_ray(shared, chosen, begin, options.address, options.cores or 1, options.gpus, tell)
