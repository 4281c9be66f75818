"""The page of findings, as Markdown and as one HTML file that opens without a network."""

from __future__ import annotations

import html
from typing import NamedTuple


class Block(NamedTuple):
    """A piece of the page."""

    kind: str
    """heading, text, table or figure."""
    text: str = ""
    """Heading, paragraph, or caption of a figure."""
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    figure: str = ""
    """File name of a figure without its suffix."""


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #1b1b1b; }
table { border-collapse: collapse; margin: 1em 0; font-size: 14px; }
th, td { border: 1px solid #ccc; padding: 0.35em 0.6em; vertical-align: top; text-align: left; }
th { background: #f3f3f3; }
figure { margin: 1.5em 0; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: 14px; max-width: 900px; }
"""


def markdown(title: str, blocks: list[Block]) -> str:
    """The page as Markdown, with figures as PNG files under ``figures/``."""
    parts = [f"# {title}"]
    for block in blocks:
        if block.kind == "heading":
            parts.append(f"## {block.text}")
        elif block.kind == "text":
            parts.append(block.text)
        elif block.kind == "figure":
            parts.append(f"![{block.figure.replace('_', ' ')}](figures/{block.figure}.png)\n\n{block.text}")
        else:
            lines = ["| " + " | ".join(_cell(c) for c in block.header) + " |", "|" + "---|" * len(block.header)]
            lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in block.rows]
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def page(title: str, blocks: list[Block], drawings: dict[str, str]) -> str:
    """The page as self-contained HTML; ``drawings`` maps a figure's name to its SVG."""
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
    ]
    for block in blocks:
        text = html.escape(block.text)
        if block.kind == "heading":
            parts.append(f"<h2>{text}</h2>")
        elif block.kind == "text":
            parts.append(f"<p>{text}</p>")
        elif block.kind == "figure":
            parts.append(f"<figure>{drawings[block.figure]}<figcaption>{text}</figcaption></figure>")
        else:
            head = "".join(f"<th>{html.escape(c)}</th>" for c in block.header)
            body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in block.rows)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    parts.append("</body></html>")
    return "\n".join(parts) + "\n"
