"""The report as one HTML file: it opens offline, and nothing that a file says is taken for markup or script."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import html
import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from math import log10
from typing import Any, NamedTuple

import vl_convert

from credo import run_folder
from credo.demonstrations.load import cache_folder
from credo.diagnostics.divergence import KINDS
from credo.files import write_atomically
from credo.reports import charts
from credo.reports.collect import Collection
from credo.reports.figures import BOXES_KEY, BOXES_PAPER, FIGURES, Figure
from credo.reports.page_data import Files, page_data
from credo.reports.style import DASHES, GRID, INK, SOFT, SURFACE, VERDICTS
from credo.reports.summaries import headline
from credo.studies.present import shown
from credo.studies.tables import Share, Table

TITLE = "Credo report"
_LONG = 40
"""A table of more rows is folded."""
_LOG_BUTTON = '<button type="button" class="switch log">log(x+1) axis</button>'
_PAGE = {"light": "#F4F6F8", "dark": "#0D1117"}
_LINK = {"light": "#0757A8", "dark": "#6CB6FF"}
_EDGE = {"light": "#8A94A0", "dark": "#6E7A87"}


class Clip(NamedTuple):
    """A video of a page."""

    title: str
    text: str
    content: bytes
    """MP4."""
    file: str
    """Where it lies, relative to the page."""


def page(
    collection: Collection,
    tables: Sequence[Table],
    command: str,
    files: Files | None = None,
    clips: Sequence[Clip] = (),
    notes: Sequence[str] = (),
    reload: float | None = None,
) -> str:
    """The whole page.

    Args:
        collection: what it shows.
        tables: in order; one named "overview" is drawn as such.
        command: the command that makes this report.
        files: of the figures.
        clips: videos.
        notes: lines on what was left out.
        reload: seconds after which the page loads itself again; None: it does not.
    """
    first, second = headline(collection)
    library = _library()
    script = _static("report.js")
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(script)}; "
        "style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )
    drawn = [figure for figure in FIGURES if any(figure in collection.figures(e) for e in collection.environments)]
    sections = [_figure_section(figure) for figure in drawn]
    if any(collection.outcome(environment) for environment in collection.environments):
        sections.insert(min(1, len(sections)), _boxes_section())
    if not drawn:
        sections.append('<section id="figures"><h2>Figures</h2><p>Nothing is recorded yet.</p></section>')
    overview = [table for table in tables if table.name == "overview"]
    rest = [table for table in tables if table.name != "overview"]
    contents = [("overview", "Methods")] if overview else []
    contents += [(f"figure-{figure.key}", figure.title) for figure in drawn]
    contents += [(f"table-{table.name}", table.title) for table in rest]
    contents += [("videos", "Videos")] if clips else []
    contents += [("reproduce", "How to reproduce it")]
    links = "".join(f'<a href="#{html.escape(to)}">{html.escape(text)}</a>' for to, text in contents)
    body = [
        *(_overview(table, collection) for table in overview),
        _problems([*collection.problems, *notes]),
        _controls() if drawn else "",
        *sections,
        *(_table_section(table) for table in rest),
        _videos(clips),
        _reproduce(collection, command),
    ]
    title = f"{TITLE}: {', '.join(collection.environments)}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{_colours()}{_static("report.css")}</style>
</head>
<body data-reload="{reload or 0:g}">
<a class="skip" href="#main">Skip to the report</a>
<header>
<div><h1>{html.escape(title)}</h1><p class="headline">{html.escape(first)}</p>
<p class="lead">{html.escape(second)}</p></div>
<button type="button" id="theme" class="switch">Dark theme</button>
<nav aria-label="Contents"><details class="fold"><summary>Contents</summary><div>{links}</div></details></nav>
</header>
<main id="main">
<noscript><p class="note">The figures need JavaScript; the tables and the image files do not.</p></noscript>
{"".join(body)}
</main>
<footer>Made by Credo {html.escape(_version())} with <code>{html.escape(command)}</code></footer>
<div id="tip" role="presentation" hidden></div>
<div id="symbols" hidden>{"".join(_symbol(kind) for kind in KINDS)}</div>
<script type="application/json" id="data">{_json(page_data(collection, files or {}))}</script>
<script>{library}</script>
<script>{script}</script>
</body>
</html>
"""


def _figure_section(figure: Figure) -> str:
    log = "" if figure.scale == "share" else _LOG_BUTTON
    if figure.smallest is not None:
        log += f'<button type="button" class="switch small">log axis from 1e{log10(figure.smallest):.0f} on</button>'
    paper = f" As the paper's {html.escape(figure.paper)}." if figure.paper else ""
    return _section(figure.key, figure.title, f"{html.escape(figure.about)}{paper}", log)


def _boxes_section() -> str:
    about = (
        "Each point is a seed's mean over the evaluations of a phase; a box spans the middle half of the seeds and "
        f"the whiskers all. A seed without an evaluation in a phase has no point there. As the paper's {BOXES_PAPER}."
    )
    return _section(BOXES_KEY, "Phases of training", about, _LOG_BUTTON)


def _section(key: str, title: str, about: str, buttons: str) -> str:
    return (
        f'<section id="figure-{key}" data-figure="{key}" aria-labelledby="title-{key}"><div class="figure-head">'
        f'<div><h2 id="title-{key}">{html.escape(title)}</h2><p class="about">{about}</p></div>'
        f"<div>{buttons}</div></div>"
        f'<div class="panels{" wide" if key == BOXES_KEY else ""}"></div>'
        '<details class="fold numbers"><summary>The numbers as a table</summary></details>'
        '<p class="files"></p></section>'
    )


def _controls() -> str:
    def group(name: str, label: str, content: str = "") -> str:
        return f'<div class="group" id="{name}" role="group" aria-label="{label}"><span>{label}</span>{content}</div>'

    choice = '<div class="group"><label for="environment">Environment</label><select id="environment"></select></div>'
    switches = (
        '<div class="group"><button type="button" class="switch" id="by-seed">Colour by seed</button>'
        '<button type="button" id="everything">Show everything</button></div>'
    )
    return (
        '<section class="controls" aria-label="What the figures show">'
        f'<div class="groups">{choice}{group("verdicts", "Verdicts")}{switches}</div>'
        "<details><summary>Choose methods and seeds</summary>"
        f'<div class="groups">{group("methods", "Methods")}{group("seeds", "Seeds")}</div></details></section>'
    )


def _overview(table: Table, collection: Collection) -> str:
    """The table of methods, with a bar of verdicts in place of their counts."""
    bar = table.columns.index("verdicts")
    shown = [i for i, name in enumerate(table.columns) if any(row[i] is not None for row in table.rows)]
    if len(collection.environments) == 1:
        shown.remove(table.columns.index("environment"))
    rows = []
    for row in table.rows:
        cell = collection.cells.get((str(row[0]), str(row[1])))
        cells = []
        for index in shown:
            name, content = table.columns[index], _cell(row[index])
            if name == "diverged":
                content = f'<span class="big">{content}</span>'
            if index == bar and cell is not None:
                content = _bar(cell.counts) + content
            cells.append(_td(content, row[index], header=name == "method", wide=index == bar))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    content = _table([table.columns[i] for i in shown], rows, table, [[row[i] for i in shown] for row in table.rows])
    return _titled("overview", table.title, f'{content}<p class="note">{html.escape(table.note)}</p>')


def _table_section(table: Table) -> str:
    rows = []
    for row in table.rows:
        cells = []
        for name, value in zip(table.columns, row, strict=True):
            content = _cell(value)
            if name == "verdict" and value in KINDS:
                content = f'<span class="kind">{_symbol(str(value))}{content}</span>'
            cells.append(_td(content, value, header=False, wide=name == "reason"))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    content = _table(table.columns, rows, table, table.rows)
    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    if len(table.rows) > _LONG:
        content = f'<details class="fold"><summary>All {len(table.rows)} rows</summary>{content}</details>'
    return _titled(f"table-{table.name}", table.title, note + content)


def _titled(name: str, title: str, content: str, kind: str = "") -> str:
    """A section of the page; ``content`` is markup."""
    name = html.escape(name)
    heading = f'<h2 id="title-{name}">{html.escape(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="title-{name}"{kind}>{heading}{content}</section>'


def _table(columns: Sequence[str], rows: Sequence[str], table: Table, values: Sequence[Sequence[Any]]) -> str:
    numeric = [all(isinstance(row[i], int | float) or row[i] is None for row in values) for i in range(len(columns))]
    head = "".join(
        f'<th scope="col"{" class=number" if right else ""}>{html.escape(name)}</th>'
        for name, right in zip(columns, numeric, strict=True)
    )
    title = html.escape(table.title)
    return (
        f'<div class="scroll" role="region" aria-label="{title}" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _td(content: str, value: Any, header: bool, wide: bool) -> str:
    kind = "number" if isinstance(value, int | float) else "wide" if wide else ""
    name = f' class="{kind}"' if kind else ""
    return f'<th scope="row"{name}>{content}</th>' if header else f"<td{name}>{content}</td>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Share):
        return shown(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return html.escape(f"{value:,}" if isinstance(value, int) else str(value))


def _bar(counts: Counter[str]) -> str:
    parts = [
        f'<span style="flex:{counts[kind]};background:var(--v-{kind})"></span>'
        for kind in reversed(KINDS)
        if counts[kind]
    ]
    return f'<div class="bar" aria-hidden="true">{"".join(parts)}</div>'


def _symbol(kind: str) -> str:
    dash = ",".join(map(str, DASHES.get(kind, ())))
    return (
        f'<svg viewBox="0 0 22 10" aria-hidden="true" data-kind="{kind}"><line x1="0" y1="5" x2="22" y2="5" '
        f'stroke="var(--v-{kind})" stroke-width="4" stroke-dasharray="{dash or "none"}"/></svg>'
    )


def _problems(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return _titled("missing", "What is missing", f"<ul>{items}</ul>", ' class="problems"')


def _videos(clips: Sequence[Clip]) -> str:
    if not clips:
        return ""
    figures = []
    for clip in clips:
        source = f"data:video/mp4;base64,{base64.b64encode(clip.content).decode()}"
        label = html.escape(f"{clip.title}: {clip.text}")
        figures.append(
            f'<figure><video controls preload="metadata" aria-label="{label}" src="{source}"></video>'
            f"<figcaption><strong>{html.escape(clip.title)}</strong><br>{html.escape(clip.text)}</figcaption></figure>"
        )
    about = '<p class="about">One episode of the last policy of the median and of the worst seed of each method.</p>'
    return _titled("videos", "Videos", f'{about}<div class="videos">{"".join(figures)}</div>')


def _reproduce(collection: Collection, command: str) -> str:
    parts = [f"<p>This page and every figure on it: <code>{html.escape(command)}</code></p>"]
    for run in collection.runs:
        stored = run.stored
        title = html.escape(f"{run.method} on {run.environment}: {run.folder.name}")
        settings = json.dumps({k: stored.get(k) for k in ("id", "versions", "demonstrations", "config")}, indent=2)
        parts.append(
            f'<details class="fold"><summary>{title}</summary>'
            f"<p>The run: <code>{html.escape(str(stored.get('command')))}</code>{_gone_on(stored)}</p>"
            f'<pre tabindex="0" aria-label="Settings and versions of {title}">{html.escape(settings)}</pre></details>'
        )
    return _titled("reproduce", "How to reproduce it", "".join(parts))


def _gone_on(stored: dict[str, Any]) -> str:
    """How a run was last resumed by its folder, where it was."""
    resumed = stored.get("resumed")
    return f", resumed by <code>{html.escape(str(resumed))}</code>" if resumed else ""


def _colours() -> str:
    def variables(theme: str) -> str:
        found = {
            "page": _PAGE[theme],
            "surface": SURFACE[theme],
            "ink": INK[theme],
            "soft": SOFT[theme],
            "line": GRID[theme],
            "edge": _EDGE[theme],
            "link": _LINK[theme],
            **{f"v-{kind}": colour for kind, colour in VERDICTS[theme].items()},
        }
        return "".join(f"--{name}:{value};" for name, value in found.items()) + f"color-scheme:{theme};"

    dark = variables("dark")
    return (
        f":root{{{variables('light')}}}@media (prefers-color-scheme: dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}\n"
    )


@functools.cache
def _library() -> str:
    """Vega; kept on disk, since to bundle it takes seconds."""
    kept = cache_folder() / f"vega-embed-{vl_convert.get_vega_embed_version()}-vega-{vl_convert.get_vega_version()}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    # In a string "</script" would end the script.
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", charts.VEGA_LITE).replace(
        "</script", "<\\/script"
    )
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, bundle.encode())
    return bundle


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _static(name: str) -> str:
    return (resources.files("credo.reports") / "static" / name).read_text(encoding="utf-8")


def _json(tree: Any) -> str:
    """JSON that can stand in a script element: no text in it ends the element or opens a comment."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _version() -> str:
    return run_folder.versions().get("credo-imitation", "(from source)")
