"""A report on any set of runs: one page that opens offline, its figures and tables as files."""

from __future__ import annotations

import contextlib
import html
import os
import shlex
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from credo.files import as_path, check_folder, read_json, write_atomically
from credo.reports.collect import Collection, Reader
from credo.reports.page import TITLE, Clip, page
from credo.reports.stills import FOLDER as FIGURES
from credo.reports.stills import TABLES, VIDEOS, table_files, write_tables, writing_figures
from credo.reports.summaries import headline, tables
from credo.reports.tables import Line
from credo.run_folder import write_json
from credo.studies.read import MethodRun
from credo.studies.tables import Table
from credo.types import CredoError

PAGE = "report.html"
_FILES = "files.json"
"""What a report has written beside its page: the next one in its folder removes what it does not write again."""
_HEAD = 65_536
"""Bytes of a page in which its title stands."""


class Report(NamedTuple):
    """What was written."""

    page: Path
    collection: Collection
    headline: str
    """The verdict in a sentence."""


def is_ours(out: Path) -> bool:
    """Whether a report may replace what is in a folder: there is nothing, or an earlier report."""
    if not out.is_dir() or not any(out.iterdir()):
        return True
    earlier = out / PAGE
    if not earlier.is_file():
        return False
    with open(earlier, "rb") as file:
        return f"<title>{TITLE}".encode() in file.read(_HEAD)


def write_report(
    folders: Sequence[Path | MethodRun],
    out: Path,
    figures: bool = True,
    videos: bool = False,
    statistics: bool | Sequence[Table] = True,
    reader: Reader | None = None,
    command: str | None = None,
    reload: float | None = None,
    line: Line = lambda line: None,
    trusted: Sequence[str] = (),
    tex: bool = False,
) -> Report:
    """Write ``report.html``, ``tables/`` and, where wanted, ``figures/`` and ``videos/`` into ``out``.

    Args:
        folders: run folders, or folders that hold runs at any depth: their methods are named by the settings in which
            they differ. Or parts of runs with the names that a study gives them.
        out: made where it is missing; files of an earlier report are replaced.
        figures: each figure as PNG, SVG, PDF and its numbers as CSV too.
        videos: of the median and the worst seed of each method (seconds each).
        statistics: the tables of ``credo.studies`` too: of the runs that are shown, or those given here.
        command: what makes this page again, for its reader; None: ``credo report`` of these folders.
        reader: one that has read these folders before reads only what has changed.
        reload: seconds after which the page loads itself again; None: never.
        line: gets messages, and what takes time as it begins.
        trusted: environments module:Id whose modules may be imported for videos.
        tex: each table as LaTeX, too.

    Raises:
        CredoError: ``folders`` is no list, a folder is missing, none holds a run, or ``out`` cannot be written.
    """
    _check_list(folders)
    out = as_path("out", out)
    check_folder(out, "out")
    collection = (reader or Reader()).collect(folders, line)
    command = command or command_line(folders, out, figures, videos, tex, trusted)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / PAGE).exists():  # by it the folder is known as a report's, should this one be interrupted
            stub = f"<title>{TITLE}</title>It was not finished: {html.escape(command)}"
            write_atomically(out / PAGE, stub.encode(errors="backslashreplace"))
        nothing: contextlib.AbstractContextManager[dict[tuple[str, str], dict[str, str]]] = contextlib.nullcontext({})
        with writing_figures(collection, out, line) if figures else nothing as files:
            earlier = _earlier(out)
            drawn = {name for kinds in files.values() for name in kinds.values()}
            _remember(out, earlier | drawn)  # also of a report that is interrupted
            found = tables(collection, statistics)
            written = drawn | table_files(found, tex)
            _remember(out, earlier | written)
            write_tables(found, out, tex)
            clips, notes = _clips(collection, out, line, trusted) if videos else ([], [])
            text = page(collection, found, command, files, clips, notes, reload)
    except OSError as error:
        raise CredoError(f"out: {out} cannot be written ({error.strerror})") from None
    write_atomically(out / PAGE, text.encode(errors="backslashreplace"))
    written |= {clip.file for clip in clips}
    for name in earlier - written:
        (out / name).unlink(missing_ok=True)
    _remember(out, written)
    return Report(out / PAGE, collection, headline(collection)[0])


def _check_list(folders: Sequence[Path | MethodRun]) -> None:
    """CredoError for one folder in place of a list of them: text would be taken letter by letter."""
    if isinstance(folders, str | os.PathLike | MethodRun):
        raise CredoError(f"folders: {type(folders).__name__} found; a list of folders expected, of one folder too")


def _earlier(out: Path) -> set[str]:
    """What the report before has written and is still there."""
    try:
        told = set(map(str, read_json(out / _FILES).get("files") or ()))
    except (CredoError, TypeError):
        return set()
    # The file may be a stranger's: it names what lies here, or nothing.
    here = [path for folder in (FIGURES, TABLES, VIDEOS) for path in (out / folder).glob("*") if path.is_file()]
    return told & {str(path.relative_to(out)) for path in here}


def _remember(out: Path, files: set[str]) -> None:
    write_json(out / _FILES, {"files": sorted(files)})


def _clips(collection: Collection, out: Path, line: Line, trusted: Sequence[str]) -> tuple[list[Clip], list[str]]:
    # Only where it is wanted: it needs the libraries that draw.
    from credo.reports.clips import write_clips

    return write_clips(collection, out, line, trusted)


def watch_report(
    folders: Sequence[Path],
    out: Path,
    seconds: float = 15.0,
    figures: bool = True,
    videos: bool = False,
    line: Line = lambda line: None,
    wait: Callable[[float], None] = time.sleep,
    trusted: Sequence[str] = (),
    tex: bool = False,
) -> Report:
    """Write the page again and again while runs go on; it loads itself again as often.

    Ends when every run is done, or with Ctrl-C; then the figures are written as files too, and the page stays still.
    """
    _check_list(folders)
    reader = Reader()
    command = command_line(folders, out, figures, videos, tex, trusted)
    write = partial(write_report, folders, out, False, False, False, reader, command, seconds)
    # Only of the first page how much is read: the others read what has changed.
    reading = line
    try:
        while True:
            began = time.monotonic()
            report = write(line=reading)
            reading = _silent
            if report.collection.done:
                line("every run is done")
                break
            done = sum(run.state == "done" for run in report.collection.runs)
            line(f"{report.headline}; {done} of {len(report.collection.runs)} runs done")
            wait(max(seconds - (time.monotonic() - began), 1.0))
    except KeyboardInterrupt:
        line("stopped; writing the report once more")
    return write_report(folders, out, figures, videos, reader=reader, line=line, trusted=trusted, tex=tex)


def _silent(line: str) -> None:
    pass


def command_line(
    folders: Sequence[Path | MethodRun],
    out: Path,
    figures: bool,
    videos: bool,
    tex: bool = False,
    trusted: Sequence[str] = (),
) -> str:
    """The command that makes a report of the same runs, whole; ``trusted`` as in ``write_report``."""
    words = ["credo", "report", *(str(f.folder if isinstance(f, MethodRun) else f) for f in folders), "--out", str(out)]
    words += [] if figures else ["--no-figures"]
    words += ["--latex"] if tex else []
    words += ["--videos"] if videos else []
    return shlex.join([*words, *(["--env", *trusted] if trusted else [])])
